//! Soft margin loss.

use super::{Reduction, check_same_shape, check_signs};
use gradus_tensor::Tensor;

/// Logistic loss of labels 1 and -1: mean_i ln(1 + exp(-y_i x_i)), without overflow.
///
/// # Shapes
/// any and the same -> scalar
///
/// # Panics
/// If the shapes differ; if a target is neither 1 nor -1.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.SoftMarginLoss.html>.
///
/// ```
/// use gradus_nn::losses::soft_margin_loss;
/// use gradus_tensor::Tensor;
/// let x = Tensor::from_slice(&[1e4f32, -1e4], [2]);
/// assert_eq!(soft_margin_loss(&x, &Tensor::ones([2])).item(), 5e3);
/// ```
#[track_caller]
pub fn soft_margin_loss(x: &Tensor, target: &Tensor) -> Tensor {
    soft_margin_loss_with(x, target, Reduction::Mean)
}

/// [`soft_margin_loss`] with another reduction.
///
/// # Panics
/// As [`soft_margin_loss`].
#[track_caller]
pub fn soft_margin_loss_with(x: &Tensor, target: &Tensor, reduction: Reduction) -> Tensor {
    const OP: &str = "soft_margin_loss";
    check_same_shape(OP, x, target);
    check_signs(OP, target);
    reduction.apply((-(target * x)).softplus())
}
