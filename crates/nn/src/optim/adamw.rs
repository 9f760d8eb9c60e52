//! AdamW.

use super::{Adam, Optimizer};
use crate::{LoadError, StateDict};
use gradus_tensor::Tensor;

/// [`Adam`] whose weight decay passes the running means by: p is first multiplied by
/// 1 - lr weight_decay, then stepped as in Adam without decay.
///
/// Source: Loshchilov and Hutter, 2017, <https://arxiv.org/abs/1711.05101>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::AdamW;
/// let model = Linear::new(4, 2);
/// let optimizer = AdamW::new(model.parameters(), 1e-3).weight_decay(0.05);
/// ```
pub struct AdamW(Adam);

impl AdamW {
    /// With betas 0.9 and 0.999, eps 1e-8 and weight decay 0.01.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> AdamW {
        AdamW(Adam::with_decay(params, lr, 0.01, true))
    }

    /// Decay of the running mean of the gradient (0.9) and of its square (0.999).
    ///
    /// # Panics
    /// If one is not in 0..1.
    #[track_caller]
    pub fn betas(self, beta1: f64, beta2: f64) -> AdamW {
        AdamW(self.0.betas(beta1, beta2))
    }

    /// What is added to the root of the running square (1e-8).
    pub fn eps(self, eps: f64) -> AdamW {
        AdamW(self.0.eps(eps))
    }

    /// Share of the parameter that is taken off in each step, times the learning rate (0.01).
    pub fn weight_decay(self, weight_decay: f64) -> AdamW {
        AdamW(self.0.weight_decay(weight_decay))
    }
}

impl Optimizer for AdamW {
    fn step(&mut self) {
        self.0.step();
    }

    fn parameters(&self) -> &[Tensor] {
        self.0.parameters()
    }

    fn lr(&self) -> f64 {
        self.0.lr()
    }

    fn set_lr(&mut self, lr: f64) {
        self.0.set_lr(lr);
    }

    fn state_dict(&self) -> StateDict {
        self.0.state_dict()
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<(), LoadError> {
        self.0.load_state_dict(state)
    }
}
