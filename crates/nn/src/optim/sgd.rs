//! Stochastic gradient descent.

use super::rule::{Descent, Rates, Rule, State};
use gradus_tensor::Tensor;
use gradus_tensor::optim_kernels::{SgdStep, sgd_step};

/// Stochastic gradient descent, with momentum, Nesterov's momentum and weight decay.
///
/// d = g + weight_decay p; b = d at first, then momentum b + (1 - dampening) d;
/// p -= lr b, or lr (d + momentum b) with Nesterov's momentum. Without momentum, p -= lr d.
///
/// Its options are methods of [`Descent`], `weight_decay` and `maximize` among them.
///
/// Source: Sutskever et al., 2013, <https://proceedings.mlr.press/v28/sutskever13.html>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::Sgd;
/// let model = Linear::new(4, 2);
/// let optimizer = Sgd::new(model.parameters(), 0.1).momentum(0.9).nesterov(true).weight_decay(1e-4);
/// ```
pub type Sgd = Descent<SgdRule>;

/// The rule of [`Sgd`].
#[derive(Clone, Copy)]
pub struct SgdRule {
    momentum: f64,
    dampening: f64,
    nesterov: bool,
}

impl Sgd {
    /// Plain gradient descent.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> Sgd {
        Descent::begin(params, lr, SgdRule { momentum: 0.0, dampening: 0.0, nesterov: false })
    }

    /// Share of the momentum that stays in each step (0).
    pub fn momentum(self, momentum: f64) -> Sgd {
        self.with(|r| r.momentum = momentum)
    }

    /// Share of the gradient that the momentum leaves out (0).
    pub fn dampening(self, dampening: f64) -> Sgd {
        self.with(|r| r.dampening = dampening)
    }

    /// Whether to look ahead along the momentum (no).
    pub fn nesterov(self, on: bool) -> Sgd {
        self.with(|r| r.nesterov = on)
    }
}

impl Rule for SgdRule {
    const DECAYS: bool = true;

    fn step(&self, Rates { lr, weight_decay }: Rates, p: &Tensor, g: &Tensor, state: &mut State) {
        let SgdRule { momentum, dampening, nesterov } = *self;
        let step = SgdStep { lr, momentum, dampening, weight_decay, nesterov };
        if momentum == 0.0 {
            return sgd_step(p, g, None, &step);
        }
        // The buffer begins as the whole gradient: it is zero, and nothing of it is left out.
        let dampening = if state.contains("momentum_buffer") { dampening } else { 0.0 };
        sgd_step(p, g, Some(&state.zeros("momentum_buffer", p)), &SgdStep { dampening, ..step });
    }

    fn step_rows(&self, Rates { lr, .. }: Rates, p: &Tensor, rows: &[(Tensor, Tensor)]) -> bool {
        if self.momentum == 0.0 {
            rows.iter().for_each(|(index, rows)| p.index_add_(index, rows, -lr));
        }
        self.momentum == 0.0
    }

    fn slots(&self) -> Vec<&'static str> {
        if self.momentum == 0.0 { vec![] } else { vec!["momentum_buffer"] }
    }

    fn momentum(&mut self) -> Option<&mut f64> {
        Some(&mut self.momentum)
    }

    fn check(&self) {
        let fits = !self.nesterov || (self.momentum > 0.0 && self.dampening == 0.0);
        assert!(fits, "nesterov needs momentum and no dampening");
    }
}
