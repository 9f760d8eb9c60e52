//! Optimisers, one file each. They walk every parameter in one pass over its elements, in place.

mod adam;
mod adamw;
mod sgd;
mod state;
mod weight_noise;

pub use adam::Adam;
pub use adamw::AdamW;
pub use sgd::Sgd;
pub use weight_noise::WeightNoise;

use crate::{LoadError, StateDict};
use gradus_tensor::Tensor;

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

    /// The parameters.
    fn parameters(&self) -> &[Tensor];

    /// The learning rate.
    fn lr(&self) -> f64;

    /// Changes the learning rate.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    fn set_lr(&mut self, lr: f64);

    /// The learning rate (`lr`) and what is remembered of each parameter, by its place:
    /// `0.momentum_buffer`, `0.step` ... The tensors share their elements with the optimiser.
    fn state_dict(&self) -> StateDict;

    /// Goes on from a state that [`Optimizer::state_dict`] gave.
    ///
    /// # Errors
    /// If it is not the state of such an optimiser of parameters of these shapes. The error lists every
    /// entry that is wrong, and then nothing was loaded.
    fn load_state_dict(&mut self, state: &StateDict) -> Result<(), LoadError>;

    /// Forgets the gradients of all parameters.
    fn zero_grad(&self) {
        self.parameters().iter().for_each(Tensor::zero_grad);
    }
}

#[track_caller]
fn checked_lr(lr: f64) -> f64 {
    assert!(lr >= 0.0 && lr.is_finite(), "the learning rate must be a number of at least 0, got {lr}");
    lr
}

/// The parameters to change now, with their places and gradients.
fn with_gradients(params: &[Tensor]) -> impl Iterator<Item = (usize, &Tensor, Tensor)> {
    params.iter().enumerate().filter(|(_, p)| p.requires_grad()).filter_map(|(i, p)| Some((i, p, p.grad()?)))
}
