//! Averaged stochastic gradient descent.

use super::rule::{Descent, Rates, Rule, State};
use gradus_tensor::Tensor;
use gradus_tensor::optim_kernels::asgd_step;

/// Averaged stochastic gradient descent: plain descent at a falling rate, and the mean of where it went.
///
/// eta = lr / (1 + lambd lr (t - 1))^alpha; p = (1 - lambd eta) p - eta d, where d = g + weight_decay p;
/// a += (p - a) / max(1, t - 1 - t0), in the state under the name `ax`.
///
/// Its options are methods of [`Descent`], `weight_decay` and `maximize` among them.
///
/// Source: Polyak and Juditsky, 1992, <https://doi.org/10.1137/0330046>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.optim.ASGD.html>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::ASGD;
/// let model = Linear::new(4, 2);
/// let optimizer = ASGD::new(model.parameters(), 0.01).t0(100.0);
/// ```
pub type ASGD = Descent<AsgdRule>;

/// The rule of [`ASGD`].
#[derive(Clone, Copy)]
pub struct AsgdRule {
    lambd: f64,
    alpha: f64,
    t0: f64,
}

impl ASGD {
    /// With lambd 1e-4, alpha 0.75, and averaging after 1e6 steps. PyTorch's default of `lr` is 0.01.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> ASGD {
        Descent::begin(params, lr, AsgdRule { lambd: 1e-4, alpha: 0.75, t0: 1e6 })
    }

    /// The decay (1e-4).
    pub fn lambd(self, lambd: f64) -> ASGD {
        self.with(|r| r.lambd = lambd)
    }

    /// The power with which the rate falls (0.75).
    pub fn alpha(self, alpha: f64) -> ASGD {
        self.with(|r| r.alpha = alpha)
    }

    /// After how many steps averaging begins (1e6).
    pub fn t0(self, t0: f64) -> ASGD {
        self.with(|r| r.t0 = t0)
    }
}

impl Rule for AsgdRule {
    const DECAYS: bool = true;

    fn step(&self, rates: Rates, p: &Tensor, g: &Tensor, state: &mut State) {
        let before = (state.steps - 1) as f64;
        let eta = rates.lr / (1.0 + self.lambd * rates.lr * before).powf(self.alpha);
        let share = 1.0 / (before - self.t0).max(1.0);
        asgd_step(p, g, &state.zeros("ax", p), eta, 1.0 - self.lambd * eta, share, rates.weight_decay);
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["ax"]
    }
}
