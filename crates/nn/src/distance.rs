//! How far apart, or how alike, vectors are.

use gradus_tensor::{Tensor, fail};

/// Cosine of the angle between vectors along `dim`: `a.b / (max(|a|, eps) max(|b|, eps))`.
///
/// It is 1 for the same direction, 0 at a right angle, -1 for opposite ones, whatever the lengths; the angle
/// itself is its `acos`. With a zero vector it is 0. PyTorch's eps is 1e-8.
///
/// # Shapes
/// two that broadcast -> their broadcast shape without `dim`
///
/// # Panics
/// If the shapes do not broadcast or there is no such dimension.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineSimilarity.html>.
///
/// ```
/// use gradus_nn::distance::cosine_similarity;
/// use gradus_tensor::Tensor;
/// let a = Tensor::from_slice(&[3.0f32, 0.0, 0.0, 0.0], [2, 2]);
/// let b = Tensor::from_slice(&[2.0f32, 0.0, 1.0, 1.0], [2, 2]);
/// assert_eq!(cosine_similarity(&a, &b, 1, 1e-8).to_vec::<f32>(), [1.0, 0.0]);
/// ```
#[track_caller]
pub fn cosine_similarity(a: &Tensor, b: &Tensor, dim: isize, eps: f64) -> Tensor {
    let (a, b) = together("cosine_similarity", a, b);
    (unit(&a, dim, eps) * unit(&b, dim, eps)).sum_dim(dim, false)
}

/// Vectors along `dim` scaled to length 1 (shorter ones than `eps` stay near zero).
#[track_caller]
pub(crate) fn unit(x: &Tensor, dim: isize, eps: f64) -> Tensor {
    x / x.norm_dim(2.0, dim, true).clamp(eps, f64::INFINITY)
}

/// The p-norm of the difference of vectors along the last dimension: `(sum_i |a_i - b_i + eps|^p)^(1/p)`.
///
/// `eps` keeps the gradient finite where the vectors are equal. PyTorch's p is 2, its eps 1e-6.
///
/// # Shapes
/// two that broadcast, `[..., D]` -> `[...]`, or `[..., 1]` with `keepdim`
///
/// # Panics
/// If the shapes do not broadcast or are those of scalars.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.PairwiseDistance.html>.
///
/// ```
/// use gradus_nn::distance::pairwise_distance;
/// use gradus_tensor::Tensor;
/// let a = Tensor::from_slice(&[3.0f32, 4.0], [1, 2]);
/// assert_eq!(pairwise_distance(&a, &Tensor::zeros([1, 2]), 2.0, 0.0, false).to_vec::<f32>(), [5.0]);
/// ```
#[track_caller]
pub fn pairwise_distance(a: &Tensor, b: &Tensor, p: f64, eps: f64, keepdim: bool) -> Tensor {
    let (a, b) = together("pairwise_distance", a, b);
    (a - b + eps).norm_dim(p, -1, keepdim)
}

/// Both in the shape they broadcast to.
#[track_caller]
fn together(op: &str, a: &Tensor, b: &Tensor) -> (Tensor, Tensor) {
    let (sa, sb) = (a.shape(), b.shape());
    match sa.broadcast(&sb) {
        Some(shape) if !shape.is_empty() => (a.broadcast_to(shape), b.broadcast_to(shape)),
        _ => fail(op, format_args!("needs vectors whose shapes broadcast, got {sa} and {sb}")),
    }
}
