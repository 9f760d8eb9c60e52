//! Dice loss.

use super::{Reduction, check_same_shape};
use gradus_tensor::{Tensor, fail};

/// Options of [`dice_loss_with`] and [`jaccard_loss_with`](super::jaccard_loss_with).
#[derive(Clone, Copy, Debug)]
pub struct OverlapOptions {
    /// What is added above and below the fraction (1e-5), so that two empty masks agree.
    pub smooth: f64,
    /// Whether the sizes below the fraction are those of the squares, as in the V-Net paper (no).
    pub squared: bool,
    /// How the losses, one a sample and class, are made one.
    pub reduction: Reduction,
}

impl Default for OverlapOptions {
    fn default() -> Self {
        OverlapOptions { smooth: 1e-5, squared: false, reduction: Reduction::Mean }
    }
}

/// Dice loss of soft masks: the mean over samples and classes of
/// `1 - (2 sum_i p_i y_i + smooth) / (sum_i p_i + sum_i y_i + smooth)`, summed over positions.
///
/// It takes probabilities: sigmoid or softmax come first.
///
/// # Shapes
/// masks `[N, C, ...]` with one dimension of positions or more, and the same -> scalar
///
/// # Panics
/// If the shapes do not fit.
///
/// Source: Milletari et al., 2016, <https://arxiv.org/abs/1606.04797>.
///
/// ```
/// use gradus_nn::losses::dice_loss;
/// use gradus_tensor::Tensor;
/// let mask = Tensor::from_slice(&[1.0f32, 1.0, 0.0, 0.0], [1, 1, 4]);
/// assert_eq!(dice_loss(&mask, &mask).item(), 0.0);
/// let half = Tensor::from_slice(&[1.0f32, 0.0, 1.0, 0.0], [1, 1, 4]);
/// assert!((dice_loss(&half, &mask).item() - 0.5).abs() < 1e-5);
/// ```
#[track_caller]
pub fn dice_loss(probs: &Tensor, target: &Tensor) -> Tensor {
    dice_loss_with(probs, target, OverlapOptions::default())
}

/// [`dice_loss`] with another smoothing or reduction, or with squares; `None` gives `[N, C]`.
///
/// # Panics
/// As [`dice_loss`].
#[track_caller]
pub fn dice_loss_with(probs: &Tensor, target: &Tensor, options: OverlapOptions) -> Tensor {
    let (both, sizes) = overlap("dice_loss", probs, target, options.squared);
    options.reduction.apply(1.0 - (both * 2.0 + options.smooth) / (sizes + options.smooth))
}

/// Sum of the products and sum of both masks' sizes, `[N, C]` each.
#[track_caller]
pub(super) fn overlap(op: &str, probs: &Tensor, target: &Tensor, squared: bool) -> (Tensor, Tensor) {
    check_same_shape(op, probs, target);
    if probs.rank() < 3 {
        fail(op, format_args!("needs masks [N, C, ...] with dimensions of positions, got {}", probs.shape()));
    }
    let positions: Vec<isize> = (2..probs.rank() as isize).collect();
    let over = |t: Tensor| t.sum_dim(&positions[..], false);
    let size = |t: &Tensor| over(if squared { t.square() } else { t.clone() });
    let target = target.to_dtype(probs.dtype());
    (over(probs * &target), size(probs) + size(&target))
}
