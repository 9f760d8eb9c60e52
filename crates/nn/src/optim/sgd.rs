//! Stochastic gradient descent.

use super::state::Memory;
use super::{Optimizer, checked_lr, with_gradients};
use crate::{LoadError, StateDict};
use gradus_tensor::Tensor;
use gradus_tensor::optim_kernels::{SgdStep, sgd_step};

/// Stochastic gradient descent, with momentum, Nesterov's momentum and weight decay.
///
/// d = g + weight_decay p; b = d at first, then momentum b + (1 - dampening) d;
/// p -= lr b, or lr (d + momentum b) with Nesterov's momentum. Without momentum, p -= lr d.
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
pub struct Sgd {
    params: Vec<Tensor>,
    step: SgdStep,
    memory: Memory<1>,
}

impl Sgd {
    /// Plain gradient descent.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> Sgd {
        let step = SgdStep { lr: checked_lr(lr), momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false };
        let memory = Memory::new(["momentum_buffer"], params.len());
        Sgd { params, step, memory }
    }

    /// Share of the momentum that stays in each step (0).
    pub fn momentum(mut self, momentum: f64) -> Sgd {
        self.step.momentum = momentum;
        self
    }

    /// Share of the gradient that the momentum leaves out (0).
    pub fn dampening(mut self, dampening: f64) -> Sgd {
        self.step.dampening = dampening;
        self
    }

    /// Whether to look ahead along the momentum (no).
    pub fn nesterov(mut self, on: bool) -> Sgd {
        self.step.nesterov = on;
        self
    }

    /// Factor of the parameter that is added to its gradient (0).
    pub fn weight_decay(mut self, weight_decay: f64) -> Sgd {
        self.step.weight_decay = weight_decay;
        self
    }
}

impl Optimizer for Sgd {
    /// # Panics
    /// If Nesterov's momentum was chosen without momentum or with dampening.
    fn step(&mut self) {
        let s = self.step;
        assert!(!s.nesterov || (s.momentum > 0.0 && s.dampening == 0.0), "nesterov needs momentum and no dampening");
        for (i, p, g) in with_gradients(&self.params) {
            if s.momentum == 0.0 {
                sgd_step(p, &g, None, &s);
                continue;
            }
            let memory = self.memory.entry(i, p);
            memory.steps += 1;
            // The buffer begins as the whole gradient: it is zero, and nothing of it is left out.
            let dampening = if memory.steps == 1 { 0.0 } else { s.dampening };
            sgd_step(p, &g, Some(&memory.tensors[0]), &SgdStep { dampening, ..s });
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
