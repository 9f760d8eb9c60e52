//! Hinge embedding loss.

use super::{Reduction, check_same_shape, check_signs};
use gradus_tensor::Tensor;

/// Options of [`hinge_embedding_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct HingeEmbeddingOptions {
    /// The distance from which unlike pairs cost nothing (1).
    pub margin: f64,
    /// How the losses are made one.
    pub reduction: Reduction,
}

impl Default for HingeEmbeddingOptions {
    fn default() -> Self {
        HingeEmbeddingOptions { margin: 1.0, reduction: Reduction::Mean }
    }
}

/// Hinge embedding loss of distances: the mean of x_i for like pairs (y = 1), of max(0, margin - x_i) for unlike
/// ones (y = -1).
///
/// # Shapes
/// any and the same -> scalar
///
/// # Panics
/// If the shapes differ; if a target is neither 1 nor -1.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.HingeEmbeddingLoss.html>.
///
/// ```
/// use gradus_nn::losses::hinge_embedding_loss;
/// use gradus_tensor::Tensor;
/// let distance = Tensor::from_slice(&[0.5f32, 0.75], [2]);
/// let y = Tensor::from_slice(&[1.0f32, -1.0], [2]);
/// assert_eq!(hinge_embedding_loss(&distance, &y).item(), (0.5 + 0.25) / 2.0);
/// ```
#[track_caller]
pub fn hinge_embedding_loss(x: &Tensor, target: &Tensor) -> Tensor {
    hinge_embedding_loss_with(x, target, HingeEmbeddingOptions::default())
}

/// [`hinge_embedding_loss`] with another margin or reduction.
///
/// # Panics
/// As [`hinge_embedding_loss`].
#[track_caller]
pub fn hinge_embedding_loss_with(x: &Tensor, target: &Tensor, options: HingeEmbeddingOptions) -> Tensor {
    const OP: &str = "hinge_embedding_loss";
    check_same_shape(OP, x, target);
    check_signs(OP, target);
    options.reduction.apply(target.gt_scalar(0.0).where_(x, &(options.margin - x).relu()))
}
