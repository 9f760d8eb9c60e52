//! Adamax.

use super::adam::{checked_betas, rests};
use super::rule::{Descent, Rates, Rule, State};
use gradus_tensor::Tensor;
use gradus_tensor::optim_kernels::adamax_step;

/// [`Adam`](super::Adam) that divides by a fading maximum of the gradient's magnitude.
///
/// m = beta1 m + (1 - beta1) d, where d = g + weight_decay p; u = max(beta2 u, |d| + eps);
/// p -= lr / (1 - beta1^t) m / u.
///
/// Its options are methods of [`Descent`], `weight_decay` and `maximize` among them.
///
/// Source: Kingma and Ba, 2014, section 7.1, <https://arxiv.org/abs/1412.6980>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::Adamax;
/// let model = Linear::new(4, 2);
/// let optimizer = Adamax::new(model.parameters(), 2e-3).betas(0.9, 0.99);
/// ```
pub type Adamax = Descent<AdamaxRule>;

/// The rule of [`Adamax`].
#[derive(Clone, Copy)]
pub struct AdamaxRule {
    betas: (f64, f64),
    eps: f64,
}

impl Adamax {
    /// With betas 0.9 and 0.999 and eps 1e-8. PyTorch's default of `lr` is 2e-3.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> Adamax {
        Descent::begin(params, lr, AdamaxRule { betas: (0.9, 0.999), eps: 1e-8 })
    }

    /// Decay of the running mean of the gradient (0.9) and of its maximum (0.999).
    ///
    /// # Panics
    /// If one is not in 0..1.
    #[track_caller]
    pub fn betas(self, beta1: f64, beta2: f64) -> Adamax {
        let betas = checked_betas(beta1, beta2);
        self.with(|r| r.betas = betas)
    }

    /// What is added to the gradient's magnitude (1e-8).
    pub fn eps(self, eps: f64) -> Adamax {
        self.with(|r| r.eps = eps)
    }
}

impl Rule for AdamaxRule {
    const DECAYS: bool = true;

    fn step(&self, rates: Rates, p: &Tensor, g: &Tensor, state: &mut State) {
        let moments = [&state.zeros("exp_avg", p), &state.zeros("exp_inf", p)];
        let lr = rates.lr / rests(self.betas, state.steps)[0];
        adamax_step(p, g, moments, lr, self.betas, self.eps, rates.weight_decay);
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["exp_avg", "exp_inf"]
    }

    fn momentum(&mut self) -> Option<&mut f64> {
        Some(&mut self.betas.0)
    }
}
