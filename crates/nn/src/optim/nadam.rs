//! NAdam.

use super::adam::{checked_betas, decayed_step, rests};
use super::rule::{Descent, Rates, Rule, State};
use gradus_tensor::Tensor;
use gradus_tensor::optim_kernels::{AdamStep, adam_step};

/// [`Adam`](super::Adam) with Nesterov's momentum.
///
/// m and v as in Adam; mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2), and P_t is the product of the first t of them;
/// p -= lr ((1 - mu_t) d / (1 - P_t) + mu_(t+1) m / (1 - P_(t+1))) / (sqrt(v / (1 - beta2^t)) + eps).
///
/// Its options are methods of [`Descent`], `weight_decay` and `maximize` among them.
///
/// Source: Dozat, 2016, <https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.optim.NAdam.html>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::NAdam;
/// let model = Linear::new(4, 2);
/// let optimizer = NAdam::new(model.parameters(), 2e-3).momentum_decay(0.01);
/// ```
pub type NAdam = Descent<NAdamRule>;

/// The rule of [`NAdam`].
#[derive(Clone, Copy)]
pub struct NAdamRule {
    betas: (f64, f64),
    eps: f64,
    momentum_decay: f64,
    decoupled_weight_decay: bool,
}

impl NAdam {
    /// With betas 0.9 and 0.999, eps 1e-8 and momentum decay 0.004. PyTorch's default of `lr` is 2e-3.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> NAdam {
        let rule = NAdamRule { betas: (0.9, 0.999), eps: 1e-8, momentum_decay: 0.004, decoupled_weight_decay: false };
        Descent::begin(params, lr, rule)
    }

    /// Decay of the running mean of the gradient (0.9) and of its square (0.999).
    ///
    /// # Panics
    /// If one is not in 0..1.
    #[track_caller]
    pub fn betas(self, beta1: f64, beta2: f64) -> NAdam {
        let betas = checked_betas(beta1, beta2);
        self.with(|r| r.betas = betas)
    }

    /// What is added to the root of the running square (1e-8).
    pub fn eps(self, eps: f64) -> NAdam {
        self.with(|r| r.eps = eps)
    }

    /// How fast the momentum rises to beta1 (0.004).
    pub fn momentum_decay(self, momentum_decay: f64) -> NAdam {
        self.with(|r| r.momentum_decay = momentum_decay)
    }

    /// Whether the weight decay passes the running means by, as in AdamW (no).
    pub fn decoupled_weight_decay(self, on: bool) -> NAdam {
        self.with(|r| r.decoupled_weight_decay = on)
    }
}

impl Rule for NAdamRule {
    const DECAYS: bool = true;
    const NUMBERS: &'static [&'static str] = &["mu_product"];

    fn step(&self, rates: Rates, p: &Tensor, g: &Tensor, state: &mut State) {
        let mu = |t: u64| self.betas.0 * (1.0 - 0.5 * 0.96f64.powf(t as f64 * self.momentum_decay));
        let (now, next) = (mu(state.steps), mu(state.steps + 1));
        let product = state.number("mu_product", 1.0) * now;
        state.set_number("mu_product", product);
        let step = AdamStep {
            of_grad: rates.lr * (1.0 - now) / (1.0 - product),
            of_mean: rates.lr * next / (1.0 - product * next),
            scale: 1.0 / rests(self.betas, state.steps)[1].sqrt(),
            eps: self.eps,
            ..decayed_step(self.betas, rates, self.decoupled_weight_decay)
        };
        adam_step(p, g, [&state.zeros("exp_avg", p), &state.zeros("exp_avg_sq", p)], None, &step);
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["mu_product", "exp_avg", "exp_avg_sq"]
    }

    fn momentum(&mut self) -> Option<&mut f64> {
        Some(&mut self.betas.0)
    }
}
