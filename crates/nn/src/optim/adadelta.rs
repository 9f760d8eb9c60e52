//! Adadelta.

use super::rule::{Descent, Rates, Rule, State};
use gradus_tensor::Tensor;
use gradus_tensor::optim_kernels::adadelta_step;

/// Adadelta: the size of a step follows from the sizes of the steps before, so that no rate need be chosen.
///
/// v = rho v + (1 - rho) d^2, where d = g + weight_decay p; s = sqrt(u + eps) / sqrt(v + eps) d;
/// u = rho u + (1 - rho) s^2; p -= lr s.
///
/// Its options are methods of [`Descent`], `weight_decay` and `maximize` among them.
///
/// Source: Zeiler, 2012, <https://arxiv.org/abs/1212.5701>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::Adadelta;
/// let model = Linear::new(4, 2);
/// let optimizer = Adadelta::new(model.parameters(), 1.0).rho(0.95);
/// ```
pub type Adadelta = Descent<AdadeltaRule>;

/// The rule of [`Adadelta`].
#[derive(Clone, Copy)]
pub struct AdadeltaRule {
    rho: f64,
    eps: f64,
}

impl Adadelta {
    /// With rho 0.9 and eps 1e-6. PyTorch's default of `lr` is 1, as in the paper.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> Adadelta {
        Descent::begin(params, lr, AdadeltaRule { rho: 0.9, eps: 1e-6 })
    }

    /// Share of the running means that stays in each step (0.9).
    pub fn rho(self, rho: f64) -> Adadelta {
        self.with(|r| r.rho = rho)
    }

    /// What is added to the running means in the roots (1e-6).
    pub fn eps(self, eps: f64) -> Adadelta {
        self.with(|r| r.eps = eps)
    }
}

impl Rule for AdadeltaRule {
    const DECAYS: bool = true;

    fn step(&self, rates: Rates, p: &Tensor, g: &Tensor, state: &mut State) {
        let means = [&state.zeros("square_avg", p), &state.zeros("acc_delta", p)];
        adadelta_step(p, g, means, rates.lr, self.rho, self.eps, rates.weight_decay);
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["square_avg", "acc_delta"]
    }
}
