//! LAMB.

use super::adam::{checked_betas, rests};
use super::rule::{Descent, Rates, Rule, State};
use gradus_tensor::Tensor;
use gradus_tensor::optim_kernels::{AdamStep, lamb_step};

/// LAMB: Adam whose step of each parameter is as long as the parameter itself, times the rate, for large batches.
///
/// m and v as in Adam; r = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay p;
/// p -= lr |p| / |r| r, with Euclidean norms over the whole parameter. Where a norm is 0, the factor is 1.
///
/// Its options are methods of [`Descent`], `weight_decay` and `maximize` among them.
///
/// Source: You et al., 2019, <https://arxiv.org/abs/1904.00962>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::Lamb;
/// let model = Linear::new(4, 2);
/// let optimizer = Lamb::new(model.parameters(), 1e-3).weight_decay(0.02);
/// ```
pub type Lamb = Descent<LambRule>;

/// The rule of [`Lamb`].
#[derive(Clone, Copy)]
pub struct LambRule {
    betas: (f64, f64),
    eps: f64,
}

impl Lamb {
    /// With betas 0.9 and 0.999, eps 1e-6 and weight decay 0.01, as in the paper.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> Lamb {
        Descent::begin(params, lr, LambRule { betas: (0.9, 0.999), eps: 1e-6 }).weight_decay(0.01)
    }

    /// Decay of the running mean of the gradient (0.9) and of its square (0.999).
    ///
    /// # Panics
    /// If one is not in 0..1.
    #[track_caller]
    pub fn betas(self, beta1: f64, beta2: f64) -> Lamb {
        let betas = checked_betas(beta1, beta2);
        self.with(|r| r.betas = betas)
    }

    /// What is added to the root of the running square (1e-6).
    pub fn eps(self, eps: f64) -> Lamb {
        self.with(|r| r.eps = eps)
    }
}

impl Rule for LambRule {
    const DECAYS: bool = true;

    fn step(&self, rates: Rates, p: &Tensor, g: &Tensor, state: &mut State) {
        let [rest1, rest2] = rests(self.betas, state.steps);
        let step = AdamStep {
            betas: self.betas,
            decay: rates.weight_decay,
            shrink: 1.0,
            of_grad: 0.0,
            of_mean: 1.0 / rest1,
            scale: 1.0 / rest2.sqrt(),
            eps: self.eps,
        };
        lamb_step(p, g, [&state.zeros("exp_avg", p), &state.zeros("exp_avg_sq", p)], rates.lr, &step);
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["exp_avg", "exp_avg_sq"]
    }

    fn momentum(&mut self) -> Option<&mut f64> {
        Some(&mut self.betas.0)
    }
}
