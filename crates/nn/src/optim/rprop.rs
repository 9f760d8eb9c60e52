//! Rprop.

use super::rule::{Descent, Rates, Rule, State};
use gradus_tensor::Tensor;
use gradus_tensor::optim_kernels::rprop_step;

/// Rprop: only the gradient's sign counts, and each element's step grows while the sign stays. For whole batches.
///
/// s grows by etas.1 where g and the gradient before agree in sign, and shrinks by etas.0 where they do not (there
/// g counts as 0 now and next time), within the step sizes; p -= sign(g) s. s begins at lr.
///
/// Its options are methods of [`Descent`], `weight_decay` and `maximize` among them.
///
/// Source: Riedmiller and Braun, 1993, <https://doi.org/10.1109/ICNN.1993.298623>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.optim.Rprop.html>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::Rprop;
/// let model = Linear::new(4, 2);
/// let optimizer = Rprop::new(model.parameters(), 0.01).etas(0.5, 1.1).step_sizes(1e-6, 1.0);
/// ```
pub type Rprop = Descent<RpropRule>;

/// The rule of [`Rprop`].
#[derive(Clone, Copy)]
pub struct RpropRule {
    etas: (f64, f64),
    step_sizes: (f64, f64),
}

impl Rprop {
    /// With etas 0.5 and 1.2 and step sizes 1e-6 to 50. PyTorch's default of `lr` is 0.01.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> Rprop {
        Descent::begin(params, lr, RpropRule { etas: (0.5, 1.2), step_sizes: (1e-6, 50.0) })
    }

    /// The factors of the step where signs differ (0.5) and where they agree (1.2).
    ///
    /// # Panics
    /// If the first is not between 0 and 1, or the second not above 1.
    #[track_caller]
    pub fn etas(self, minus: f64, plus: f64) -> Rprop {
        assert!(0.0 < minus && minus < 1.0 && 1.0 < plus, "etas must be below and above 1, got {minus} and {plus}");
        self.with(|r| r.etas = (minus, plus))
    }

    /// The smallest step (1e-6) and the largest (50).
    pub fn step_sizes(self, smallest: f64, largest: f64) -> Rprop {
        self.with(|r| r.step_sizes = (smallest, largest))
    }
}

impl Rule for RpropRule {
    const DECAYS: bool = true;

    fn step(&self, rates: Rates, p: &Tensor, g: &Tensor, state: &mut State) {
        let before = state.zeros("prev", p);
        let size = state.get_or("step_size", || p.full_like(rates.lr));
        rprop_step(p, g, [&before, &size], self.etas, self.step_sizes, rates.weight_decay);
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["prev", "step_size"]
    }
}
