//! Parameters that are trained under options of their own.

use gradus_tensor::Tensor;

/// Parameters with options of their own: what is not given here is as the optimiser has it.
///
/// A rate given here is kept in proportion to the optimiser's: `set_lr` and schedules change both.
///
/// Source: PyTorch's per-parameter options, <https://docs.pytorch.org/docs/stable/optim.html#per-parameter-options>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::{Optimizer, ParamGroup, Sgd};
/// let (body, head) = (Linear::new(4, 3), Linear::new(3, 2));
/// let mut optimizer = Sgd::new(head.parameters(), 0.1).momentum(0.9).weight_decay(1e-4);
/// optimizer.add_param_group(ParamGroup::new(body.parameters()).lr(0.01).weight_decay(0.0));
/// optimizer.set_lr(0.05);
/// assert_eq!(optimizer.lrs(), [0.05, 0.005]);
/// ```
#[derive(Clone)]
pub struct ParamGroup {
    pub(super) params: Vec<Tensor>,
    pub(super) lr: Option<f64>,
    pub(super) weight_decay: Option<f64>,
    pub(super) momentum: Option<f64>,
    /// The group's rate for each unit of the optimiser's.
    pub(super) ratio: f64,
}

impl ParamGroup {
    /// A group in which everything is as the optimiser has it.
    pub fn new(params: Vec<Tensor>) -> ParamGroup {
        ParamGroup { params, lr: None, weight_decay: None, momentum: None, ratio: 1.0 }
    }

    /// Its learning rate.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn lr(mut self, lr: f64) -> ParamGroup {
        self.lr = Some(checked_lr(lr));
        self
    }

    /// Its weight decay.
    pub fn weight_decay(mut self, weight_decay: f64) -> ParamGroup {
        self.weight_decay = Some(weight_decay);
        self
    }

    /// Its momentum, which is beta1 for Adam and its kin.
    pub fn momentum(mut self, momentum: f64) -> ParamGroup {
        self.momentum = Some(momentum);
        self
    }

    /// The parameters.
    pub fn params(&self) -> &[Tensor] {
        &self.params
    }
}

#[track_caller]
pub(super) fn checked_lr(lr: f64) -> f64 {
    assert!(lr >= 0.0 && lr.is_finite(), "the learning rate must be a number of at least 0, got {lr}");
    lr
}
