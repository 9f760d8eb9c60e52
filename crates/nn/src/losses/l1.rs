//! Mean absolute error.

use super::{Reduction, check_same_shape};
use gradus_tensor::Tensor;

/// Mean absolute error: mean_i |x_i - y_i|. The gradient where they are equal is taken as 0.
///
/// # Shapes
/// any and the same -> scalar
///
/// # Panics
/// If the shapes differ.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.L1Loss.html>.
///
/// ```
/// use gradus_nn::losses::l1_loss;
/// use gradus_tensor::Tensor;
/// let x = Tensor::from_slice(&[1.0f32, -2.0], [2]);
/// assert_eq!(l1_loss(&x, &Tensor::zeros([2])).item(), 1.5);
/// ```
#[track_caller]
pub fn l1_loss(x: &Tensor, target: &Tensor) -> Tensor {
    l1_loss_with(x, target, Reduction::Mean)
}

/// [`l1_loss`] with another reduction.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn l1_loss_with(x: &Tensor, target: &Tensor, reduction: Reduction) -> Tensor {
    check_same_shape("l1_loss", x, target);
    reduction.apply((x - target).abs())
}
