//! Mean squared error.

use super::{Reduction, check_same_shape};
use gradus_tensor::Tensor;

/// Mean squared error: mean_i (x_i - y_i)^2.
///
/// # Shapes
/// any and the same -> scalar
///
/// # Panics
/// If the shapes differ.
///
/// ```
/// use gradus_nn::losses::mse_loss;
/// use gradus_tensor::Tensor;
/// let x = Tensor::from_slice(&[1.0f32, 2.0], [2]);
/// assert_eq!(mse_loss(&x, &Tensor::zeros([2])).item(), 2.5);
/// ```
#[track_caller]
pub fn mse_loss(x: &Tensor, target: &Tensor) -> Tensor {
    mse_loss_with(x, target, Reduction::Mean)
}

/// [`mse_loss`] with another reduction.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn mse_loss_with(x: &Tensor, target: &Tensor, reduction: Reduction) -> Tensor {
    check_same_shape("mse_loss", x, target);
    reduction.apply((x - target).square())
}
