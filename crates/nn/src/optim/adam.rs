//! Adam.

use super::state::Memory;
use super::{Optimizer, checked_lr, with_gradients};
use crate::{LoadError, StateDict};
use gradus_tensor::Tensor;
use gradus_tensor::optim_kernels::{AdamStep, adam_step};

/// Adam: steps along the running mean of the gradient, divided by the root of its running square.
///
/// d = g + weight_decay p; m = beta1 m + (1 - beta1) d; v = beta2 v + (1 - beta2) d^2;
/// p -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).
///
/// Source: Kingma and Ba, 2014, <https://arxiv.org/abs/1412.6980>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::Adam;
/// let model = Linear::new(4, 2);
/// let optimizer = Adam::new(model.parameters(), 1e-3).betas(0.9, 0.99);
/// ```
pub struct Adam {
    params: Vec<Tensor>,
    step: AdamStep,
    memory: Memory<2>,
}

impl Adam {
    /// With betas 0.9 and 0.999, eps 1e-8 and no weight decay.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> Adam {
        Adam::with_decay(params, lr, 0.0, false)
    }

    #[track_caller]
    pub(super) fn with_decay(params: Vec<Tensor>, lr: f64, weight_decay: f64, decoupled: bool) -> Adam {
        let lr = checked_lr(lr);
        let step = AdamStep { lr, betas: (0.9, 0.999), eps: 1e-8, weight_decay, decoupled, t: 0 };
        let memory = Memory::new(["exp_avg", "exp_avg_sq"], params.len());
        Adam { params, step, memory }
    }

    /// Decay of the running mean of the gradient (0.9) and of its square (0.999).
    ///
    /// # Panics
    /// If one is not in 0..1.
    #[track_caller]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Adam {
        for beta in [beta1, beta2] {
            assert!((0.0..1.0).contains(&beta), "betas must be in 0..1, got {beta}");
        }
        self.step.betas = (beta1, beta2);
        self
    }

    /// What is added to the root of the running square (1e-8).
    pub fn eps(mut self, eps: f64) -> Adam {
        self.step.eps = eps;
        self
    }

    /// Factor of the parameter that is added to its gradient (0).
    pub fn weight_decay(mut self, weight_decay: f64) -> Adam {
        self.step.weight_decay = weight_decay;
        self
    }
}

impl Optimizer for Adam {
    fn step(&mut self) {
        for (i, p, g) in with_gradients(&self.params) {
            let memory = self.memory.entry(i, p);
            memory.steps += 1;
            let [m, v] = &memory.tensors;
            adam_step(p, &g, m, v, &AdamStep { t: memory.steps, ..self.step });
        }
    }

    fn parameters(&self) -> &[Tensor] {
        &self.params
    }

    fn lr(&self) -> f64 {
        self.step.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.step.lr = checked_lr(lr);
    }

    fn state_dict(&self) -> StateDict {
        self.memory.state_dict(self.step.lr)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<(), LoadError> {
        self.step.lr = self.memory.load(state, &self.params)?;
        Ok(())
    }
}
