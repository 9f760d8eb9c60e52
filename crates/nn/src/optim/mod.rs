//! Optimisers, one file each: its options, and its step of one parameter ([`rule::Rule`]). What they share, such as
//! groups, state and its saving, is written once ([`rule::Descent`]). [`Lbfgs`] alone stands apart: it looks at all
//! parameters together and evaluates the loss several times in a step.
//!
//! How a learning rate changes over time is said by [`lr_scheduler`].

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod asgd;
mod group;
mod lamb;
mod lbfgs;
mod line_search;
mod lion;
pub mod lr_scheduler;
mod nadam;
mod radam;
mod rmsprop;
mod rprop;
pub mod rule;
mod sgd;
mod weight_noise;

pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adam::{Adam, AdamW};
pub use adamax::Adamax;
pub use asgd::ASGD;
pub use group::ParamGroup;
pub use lamb::Lamb;
pub use lbfgs::{Lbfgs, LineSearch};
pub use lion::Lion;
pub use nadam::NAdam;
pub use radam::RAdam;
pub use rmsprop::RMSprop;
pub use rprop::Rprop;
pub use sgd::Sgd;
pub use weight_noise::WeightNoise;

use crate::{LoadError, StateDict};
use gradus_tensor::{Tensor, profiler::record_function};
use group::checked_lr;

/// What changes parameters along their gradients.
///
/// ```
/// use gradus_nn::optim::{Adam, Optimizer};
/// use gradus_tensor::Tensor;
/// let w = Tensor::full([3], 5.0).requires_grad_(true);
/// let mut optimizer: Box<dyn Optimizer> = Box::new(Adam::new(vec![w.clone()], 0.1));
/// for _ in 0..200 {
///     optimizer.zero_grad();
///     w.square().sum().backward();
///     optimizer.step();
/// }
/// assert!(w.detach().abs().max().item() < 0.1);
/// ```
pub trait Optimizer: Send {
    /// Changes every parameter that takes gradients and has one.
    fn step(&mut self);

    /// The groups of parameters; those given to `new` are the first.
    fn param_groups(&self) -> &[ParamGroup];

    /// The groups for a change of their rates, with those given to `new` first.
    #[doc(hidden)]
    fn param_groups_mut(&mut self) -> &mut [ParamGroup];

    /// Takes further parameters in, under options of their own.
    ///
    /// # Panics
    /// If the group sets an option that the optimiser lacks, or a rate where the optimiser's is 0.
    #[track_caller]
    fn add_param_group(&mut self, group: ParamGroup);

    /// The momentum (beta1 for Adam and its kin), if the optimiser has one.
    fn current_momentum(&self) -> Option<f64> {
        None
    }

    /// Changes the momentum (beta1) of all groups.
    ///
    /// # Panics
    /// If the optimiser has none.
    #[track_caller]
    fn set_momentum(&mut self, momentum: f64) {
        panic!("the momentum cannot be set to {momentum}: this optimiser has none");
    }

    /// The learning rates (`lr`, and `groups.1.lr` ... of further groups), the momentum if there is one, and what
    /// is remembered of each parameter, by its place: `0.momentum_buffer`, `0.step` ... The tensors share their
    /// elements with the optimiser.
    fn state_dict(&self) -> StateDict;

    /// Goes on from a state that [`Optimizer::state_dict`] gave.
    ///
    /// # Errors
    /// If it is not the state of such an optimiser of parameters of these shapes. The error lists every
    /// entry that is wrong, and then nothing was loaded.
    fn load_state_dict(&mut self, state: &StateDict) -> Result<(), LoadError>;

    /// Clears the gradients, runs `loss` and its backward pass, and steps. Returns the loss before the step.
    ///
    /// Most optimisers call `loss` once; [`Lbfgs`] calls it again as it searches.
    ///
    /// ```
    /// use gradus_nn::optim::{Optimizer, Sgd};
    /// use gradus_tensor::Tensor;
    /// let w = Tensor::full([1], 3.0).requires_grad_(true);
    /// let mut optimizer = Sgd::new(vec![w.clone()], 0.5);
    /// assert_eq!(optimizer.step_with(&mut || w.square().sum()).item(), 9.0);
    /// assert_eq!(w.item(), 0.0);
    /// ```
    fn step_with(&mut self, loss: &mut dyn FnMut() -> Tensor) -> Tensor {
        self.zero_grad();
        let value = loss();
        value.backward();
        self.step();
        value.detach()
    }

    /// The parameters of all groups.
    fn parameters(&self) -> Vec<Tensor> {
        self.param_groups().iter().flat_map(|g| g.params.iter().cloned()).collect()
    }

    /// The learning rate of the first group, to which those of the others are in proportion.
    fn lr(&self) -> f64 {
        self.lrs()[0]
    }

    /// The learning rates of all groups.
    fn lrs(&self) -> Vec<f64> {
        self.param_groups().iter().map(|g| g.lr.expect("a group in use has a rate")).collect()
    }

    /// Changes the learning rate of the first group, and those of the others in the proportion they began with.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    fn set_lr(&mut self, lr: f64) {
        let lrs: Vec<f64> = self.param_groups().iter().map(|g| checked_lr(lr) * g.ratio).collect();
        self.set_lrs(&lrs);
    }

    /// Changes the learning rate of each group by itself.
    ///
    /// # Panics
    /// If one is negative or not finite, or their number is not that of the groups.
    #[track_caller]
    fn set_lrs(&mut self, lrs: &[f64]) {
        let groups = self.param_groups_mut();
        assert_eq!(groups.len(), lrs.len(), "one rate for each group of parameters");
        for (group, lr) in groups.iter_mut().zip(lrs) {
            group.lr = Some(checked_lr(*lr));
        }
    }

    /// Forgets the gradients of all parameters.
    fn zero_grad(&self) {
        let _span = record_function("zero_grad");
        self.param_groups().iter().flat_map(|g| &g.params).for_each(Tensor::zero_grad);
    }
}
