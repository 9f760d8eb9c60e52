//! RMSprop.

use super::rule::{Descent, Rates, Rule, State};
use gradus_tensor::Tensor;
use gradus_tensor::optim_kernels::{RmsPropStep, rms_prop_step};

/// RMSprop: divides the gradient by the root of a running mean of its square, in which old steps fade.
///
/// v = alpha v + (1 - alpha) d^2, where d = g + weight_decay p; p -= lr d / (sqrt(v) + eps).
/// If centered, v less the square of the running mean of d stands in the root. With momentum,
/// b = momentum b + d / (sqrt(v) + eps) and p -= lr b.
///
/// The running mean of squares is not itself a momentum; that is a separate option.
///
/// Its options are methods of [`Descent`], `weight_decay` and `maximize` among them.
///
/// Source: Hinton, 2012, lecture 6 of "Neural Networks for Machine Learning",
/// <https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::RMSprop;
/// let model = Linear::new(4, 2);
/// let optimizer = RMSprop::new(model.parameters(), 0.01).alpha(0.9).momentum(0.9).centered(true);
/// ```
pub type RMSprop = Descent<RMSpropRule>;

/// The rule of [`RMSprop`].
#[derive(Clone, Copy)]
pub struct RMSpropRule {
    alpha: f64,
    eps: f64,
    momentum: f64,
    centered: bool,
}

impl RMSprop {
    /// With alpha 0.99, eps 1e-8, not centered and without momentum. PyTorch's default of `lr` is 0.01.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> RMSprop {
        Descent::begin(params, lr, RMSpropRule { alpha: 0.99, eps: 1e-8, momentum: 0.0, centered: false })
    }

    /// Share of the running mean that stays in each step (0.99).
    pub fn alpha(self, alpha: f64) -> RMSprop {
        self.with(|r| r.alpha = alpha)
    }

    /// What is added to the root (1e-8).
    pub fn eps(self, eps: f64) -> RMSprop {
        self.with(|r| r.eps = eps)
    }

    /// Share of the momentum that stays in each step (0).
    pub fn momentum(self, momentum: f64) -> RMSprop {
        self.with(|r| r.momentum = momentum)
    }

    /// Whether to divide by an estimate of the standard deviation instead of the root mean square (no).
    pub fn centered(self, on: bool) -> RMSprop {
        self.with(|r| r.centered = on)
    }
}

impl Rule for RMSpropRule {
    const DECAYS: bool = true;

    fn step(&self, Rates { lr, weight_decay }: Rates, p: &Tensor, g: &Tensor, state: &mut State) {
        let square = state.zeros("square_avg", p);
        let mean = self.centered.then(|| state.zeros("grad_avg", p));
        let buffer = (self.momentum > 0.0).then(|| state.zeros("momentum_buffer", p));
        let RMSpropRule { alpha, eps, momentum, .. } = *self;
        let step = RmsPropStep { lr, alpha, eps, momentum, weight_decay };
        rms_prop_step(p, g, &square, mean.as_ref(), buffer.as_ref(), &step);
    }

    fn slots(&self) -> Vec<&'static str> {
        let optional = [(self.centered, "grad_avg"), (self.momentum > 0.0, "momentum_buffer")];
        ["square_avg"].into_iter().chain(optional.into_iter().filter(|o| o.0).map(|o| o.1)).collect()
    }

    fn momentum(&mut self) -> Option<&mut f64> {
        Some(&mut self.momentum)
    }
}
