//! Triplet losses.

use super::Reduction;
use crate::distance::pairwise_distance;
use gradus_tensor::{Tensor, fail};

/// Options of [`triplet_margin_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct TripletMarginOptions {
    /// By how much the negative should be farther than the positive (1).
    pub margin: f64,
    /// The norm's order (2).
    pub p: f64,
    /// What is added to each difference, so that the norm has a gradient everywhere (1e-6).
    pub eps: f64,
    /// Whether the nearer of anchor and positive is compared with the negative (no; Balntas et al., 2016).
    pub swap: bool,
    /// How the losses are made one.
    pub reduction: Reduction,
}

impl Default for TripletMarginOptions {
    fn default() -> Self {
        TripletMarginOptions { margin: 1.0, p: 2.0, eps: 1e-6, swap: false, reduction: Reduction::Mean }
    }
}

/// Triplet loss: mean_i max(0, d(a_i, p_i) - d(a_i, n_i) + margin) with the distance
/// [`pairwise_distance`].
///
/// # Shapes
/// anchor, positive, negative `[N, D]` -> scalar; or `[D]` each
///
/// # Panics
/// If the shapes differ.
///
/// Source: Schroff et al., 2015, <https://arxiv.org/abs/1503.03832>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.TripletMarginLoss.html>.
///
/// ```
/// use gradus_nn::losses::triplet_margin_loss;
/// use gradus_tensor::Tensor;
/// let anchor = Tensor::zeros([1, 2]);
/// let positive = Tensor::from_slice(&[0.0f32, 1.0], [1, 2]);
/// let negative = Tensor::from_slice(&[1.5f32, 0.0], [1, 2]);
/// assert!((triplet_margin_loss(&anchor, &positive, &negative).item() - 0.5).abs() < 1e-5);
/// ```
#[track_caller]
pub fn triplet_margin_loss(anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Tensor {
    triplet_margin_loss_with(anchor, positive, negative, TripletMarginOptions::default())
}

/// [`triplet_margin_loss`] with another margin, norm or reduction, or with the swap.
///
/// # Panics
/// As [`triplet_margin_loss`].
#[track_caller]
pub fn triplet_margin_loss_with(
    anchor: &Tensor,
    positive: &Tensor,
    negative: &Tensor,
    options: TripletMarginOptions,
) -> Tensor {
    const OP: &str = "triplet_margin_loss";
    check_triplet(OP, anchor, positive, negative);
    if anchor.rank() == 0 {
        fail(OP, "needs vectors [N, D] or [D], got scalars");
    }
    let distance = |a: &Tensor, b: &Tensor| pairwise_distance(a, b, options.p, options.eps, false);
    let losses = violations([anchor, positive, negative], &distance, options.margin, options.swap);
    options.reduction.apply(losses)
}

/// Options of [`triplet_margin_with_distance_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct TripletMarginWithDistanceOptions {
    /// By how much the negative should be farther than the positive (1).
    pub margin: f64,
    /// Whether the nearer of anchor and positive is compared with the negative (no).
    pub swap: bool,
    /// How the losses are made one.
    pub reduction: Reduction,
}

impl Default for TripletMarginWithDistanceOptions {
    fn default() -> Self {
        TripletMarginWithDistanceOptions { margin: 1.0, swap: false, reduction: Reduction::Mean }
    }
}

/// [`triplet_margin_loss`] with a distance of one's own, a differentiable function of two batches.
///
/// # Shapes
/// anchor, positive, negative `[N, ...]`; the distance gives `[N]` -> scalar
///
/// # Panics
/// If the shapes differ.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.TripletMarginWithDistanceLoss.html>.
///
/// ```
/// use gradus_nn::distance::cosine_similarity;
/// use gradus_nn::losses::triplet_margin_with_distance_loss;
/// use gradus_tensor::Tensor;
/// let (x, y) = (Tensor::ones([2, 3]), -Tensor::ones([2, 3]));
/// let distance = |a: &Tensor, b: &Tensor| 1.0 - cosine_similarity(a, b, 1, 1e-8);
/// assert_eq!(triplet_margin_with_distance_loss(&x, &x, &y, distance).item(), 0.0);
/// ```
#[track_caller]
pub fn triplet_margin_with_distance_loss(
    anchor: &Tensor,
    positive: &Tensor,
    negative: &Tensor,
    distance: impl Fn(&Tensor, &Tensor) -> Tensor,
) -> Tensor {
    let options = TripletMarginWithDistanceOptions::default();
    triplet_margin_with_distance_loss_with(anchor, positive, negative, distance, options)
}

/// [`triplet_margin_with_distance_loss`] with another margin or reduction, or with the swap.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn triplet_margin_with_distance_loss_with(
    anchor: &Tensor,
    positive: &Tensor,
    negative: &Tensor,
    distance: impl Fn(&Tensor, &Tensor) -> Tensor,
    options: TripletMarginWithDistanceOptions,
) -> Tensor {
    check_triplet("triplet_margin_with_distance_loss", anchor, positive, negative);
    let losses = violations([anchor, positive, negative], &distance, options.margin, options.swap);
    options.reduction.apply(losses)
}

#[track_caller]
fn violations(
    [anchor, positive, negative]: [&Tensor; 3],
    distance: &dyn Fn(&Tensor, &Tensor) -> Tensor,
    margin: f64,
    swap: bool,
) -> Tensor {
    let near = distance(anchor, positive);
    let mut far = distance(anchor, negative);
    if swap {
        far = far.minimum(&distance(positive, negative));
    }
    (near - far + margin).relu()
}

#[track_caller]
fn check_triplet(op: &str, anchor: &Tensor, positive: &Tensor, negative: &Tensor) {
    let (a, p, n) = (anchor.shape(), positive.shape(), negative.shape());
    if a != p || a != n {
        fail(op, format_args!("anchor {a}, positive {p} and negative {n} must have the same shape"));
    }
}
