//! RAdam.

use super::adam::{checked_betas, decayed_step, rests};
use super::rule::{Descent, Rates, Rule, State};
use gradus_tensor::Tensor;
use gradus_tensor::optim_kernels::{AdamStep, adam_step};

/// [`Adam`](super::Adam) that divides by the root of the running square only once enough steps stand behind it.
///
/// m and v as in Adam; n = 2 / (1 - beta2) - 1; r = n - 2 t beta2^t / (1 - beta2^t).
/// While r <= 5, p -= lr m / (1 - beta1^t). Then
/// p -= lr m / (1 - beta1^t) sqrt(1 - beta2^t) / (sqrt(v) + eps)
/// sqrt((r - 4)(r - 2) n / ((n - 4)(n - 2) r)).
///
/// Its options are methods of [`Descent`], `weight_decay` and `maximize` among them.
///
/// Source: Liu et al., 2019, <https://arxiv.org/abs/1908.03265>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.optim.RAdam.html>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::RAdam;
/// let model = Linear::new(4, 2);
/// let optimizer = RAdam::new(model.parameters(), 1e-3).weight_decay(0.01).decoupled_weight_decay(true);
/// ```
pub type RAdam = Descent<RAdamRule>;

/// The rule of [`RAdam`].
#[derive(Clone, Copy)]
pub struct RAdamRule {
    betas: (f64, f64),
    eps: f64,
    decoupled_weight_decay: bool,
}

impl RAdam {
    /// With betas 0.9 and 0.999 and eps 1e-8. PyTorch's default of `lr` is 1e-3.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> RAdam {
        Descent::begin(params, lr, RAdamRule { betas: (0.9, 0.999), eps: 1e-8, decoupled_weight_decay: false })
    }

    /// Decay of the running mean of the gradient (0.9) and of its square (0.999).
    ///
    /// # Panics
    /// If one is not in 0..1.
    #[track_caller]
    pub fn betas(self, beta1: f64, beta2: f64) -> RAdam {
        let betas = checked_betas(beta1, beta2);
        self.with(|r| r.betas = betas)
    }

    /// What is added to the root of the running square (1e-8).
    pub fn eps(self, eps: f64) -> RAdam {
        self.with(|r| r.eps = eps)
    }

    /// Whether the weight decay passes the running means by, as in AdamW (no).
    pub fn decoupled_weight_decay(self, on: bool) -> RAdam {
        self.with(|r| r.decoupled_weight_decay = on)
    }
}

impl Rule for RAdamRule {
    const DECAYS: bool = true;

    fn step(&self, rates: Rates, p: &Tensor, g: &Tensor, state: &mut State) {
        let (t, beta2) = (state.steps as f64, self.betas.1);
        let [rest1, rest2] = rests(self.betas, state.steps);
        let n = 2.0 / (1.0 - beta2) - 1.0;
        let r = n - 2.0 * t * beta2.powf(t) / rest2;
        let plain = decayed_step(self.betas, rates, self.decoupled_weight_decay);
        let step = if r > 5.0 {
            let trust = ((r - 4.0) * (r - 2.0) * n / ((n - 4.0) * (n - 2.0) * r)).sqrt();
            AdamStep { of_mean: rates.lr / rest1 * rest2.sqrt() * trust, scale: 1.0, eps: self.eps, ..plain }
        } else {
            AdamStep { of_mean: rates.lr / rest1, ..plain }
        };
        adam_step(p, g, [&state.zeros("exp_avg", p), &state.zeros("exp_avg_sq", p)], None, &step);
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["exp_avg", "exp_avg_sq"]
    }

    fn momentum(&mut self) -> Option<&mut f64> {
        Some(&mut self.betas.0)
    }
}
