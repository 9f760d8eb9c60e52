//! Adagrad.

use super::rule::{Descent, Rates, Rule, State};
use gradus_tensor::Tensor;
use gradus_tensor::optim_kernels::adagrad_step;

/// Adagrad: each element's rate falls with the sum of the squares of its gradients, of which nothing is forgotten.
///
/// s += d^2; p -= lr / (1 + (t - 1) lr_decay) d / (sqrt(s) + eps), where d = g + weight_decay p.
///
/// Its options are methods of [`Descent`], `weight_decay` and `maximize` among them.
///
/// Source: Duchi, Hazan and Singer, 2011, <https://jmlr.org/papers/v12/duchi11a.html>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::Adagrad;
/// let model = Linear::new(4, 2);
/// let optimizer = Adagrad::new(model.parameters(), 0.01).lr_decay(1e-3).initial_accumulator_value(0.1);
/// ```
pub type Adagrad = Descent<AdagradRule>;

/// The rule of [`Adagrad`].
#[derive(Clone, Copy)]
pub struct AdagradRule {
    lr_decay: f64,
    initial_accumulator_value: f64,
    eps: f64,
}

impl Adagrad {
    /// With sums that begin at 0, no further decay of the rate and eps 1e-10. PyTorch's default of `lr` is 0.01.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> Adagrad {
        Descent::begin(params, lr, AdagradRule { lr_decay: 0.0, initial_accumulator_value: 0.0, eps: 1e-10 })
    }

    /// How fast the rate falls with the number of steps (0).
    pub fn lr_decay(self, lr_decay: f64) -> Adagrad {
        self.with(|r| r.lr_decay = lr_decay)
    }

    /// What the sums of squares begin with (0).
    pub fn initial_accumulator_value(self, value: f64) -> Adagrad {
        self.with(|r| r.initial_accumulator_value = value)
    }

    /// What is added to the root of the sum (1e-10).
    pub fn eps(self, eps: f64) -> Adagrad {
        self.with(|r| r.eps = eps)
    }
}

impl Rule for AdagradRule {
    const DECAYS: bool = true;

    fn step(&self, rates: Rates, p: &Tensor, g: &Tensor, state: &mut State) {
        let sum = state.get_or("sum", || p.full_like(self.initial_accumulator_value));
        let lr = rates.lr / (1.0 + (state.steps - 1) as f64 * self.lr_decay);
        adagrad_step(p, g, &sum, lr, self.eps, rates.weight_decay);
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["sum"]
    }
}
