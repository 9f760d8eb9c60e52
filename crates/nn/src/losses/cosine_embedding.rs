//! Cosine embedding loss.

use super::{Reduction, check_signs};
use gradus_tensor::{Tensor, fail};

/// Options of [`cosine_embedding_loss_with`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CosineEmbeddingOptions {
    /// The cosine that unlike pairs may have for nothing (0).
    pub margin: f64,
    /// How the losses are made one.
    pub reduction: Reduction,
}

/// Cosine embedding loss: the mean of 1 - cos(a_i, b_i) for like pairs (y = 1), of max(0, cos(a_i, b_i) - margin)
/// for unlike ones (y = -1).
///
/// The cosine is `a.b / sqrt((a.a + 1e-12)(b.b + 1e-12))`, 0 if either is a zero vector.
///
/// # Shapes
/// `[N, D]`, `[N, D]` and target `[N]` -> scalar; or `[D]`, `[D]` and a scalar target
///
/// # Panics
/// If the shapes do not fit; if a target is neither 1 nor -1.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineEmbeddingLoss.html>.
///
/// ```
/// use gradus_nn::losses::cosine_embedding_loss;
/// use gradus_tensor::Tensor;
/// let (a, b) = (Tensor::from_slice(&[1.0f32, 0.0], [1, 2]), Tensor::from_slice(&[0.0f32, 2.0], [1, 2]));
/// assert_eq!(cosine_embedding_loss(&a, &b, &Tensor::ones([1])).item(), 1.0);
/// assert_eq!(cosine_embedding_loss(&a, &b, &-Tensor::ones([1])).item(), 0.0);
/// ```
#[track_caller]
pub fn cosine_embedding_loss(input1: &Tensor, input2: &Tensor, target: &Tensor) -> Tensor {
    cosine_embedding_loss_with(input1, input2, target, CosineEmbeddingOptions::default())
}

/// [`cosine_embedding_loss`] with a margin or another reduction.
///
/// # Panics
/// As [`cosine_embedding_loss`].
#[track_caller]
pub fn cosine_embedding_loss_with(
    input1: &Tensor,
    input2: &Tensor,
    target: &Tensor,
    options: CosineEmbeddingOptions,
) -> Tensor {
    const OP: &str = "cosine_embedding_loss";
    const EPS: f64 = 1e-12;
    let (a, b, y) = (input1.shape(), input2.shape(), target.shape());
    if a != b || !(1..=2).contains(&a.len()) || y[..] != a[..a.len() - 1] {
        fail(OP, format_args!("needs inputs [N, D] and [N, D] and a target [N], got {a}, {b} and {y}"));
    }
    check_signs(OP, target);
    let inner = |a: &Tensor, b: &Tensor| (a * b).sum_dim(-1, false);
    let squares = (inner(input1, input1) + EPS) * (inner(input2, input2) + EPS);
    let cosine = inner(input1, input2) * squares.rsqrt();
    let alike = target.gt_scalar(0.0);
    options.reduction.apply(alike.where_(&(1.0 - &cosine), &(&cosine - options.margin).relu()))
}
