//! Intersection over union of masks as a loss.

use super::OverlapOptions;
use super::dice::overlap;
use gradus_tensor::Tensor;

/// Jaccard (intersection over union) loss of soft masks: the mean over samples and classes of
/// `1 - (I + smooth) / (U + smooth)` with I = sum_i p_i y_i and U = sum_i p_i + sum_i y_i - I.
///
/// It takes probabilities: sigmoid or softmax come first.
///
/// # Shapes
/// masks `[N, C, ...]` with one dimension of positions or more, and the same -> scalar
///
/// # Panics
/// If the shapes do not fit.
///
/// Source: Rahman and Wang, 2016, <https://doi.org/10.1007/978-3-319-50835-1_22>.
///
/// ```
/// use gradus_nn::losses::jaccard_loss;
/// use gradus_tensor::Tensor;
/// let mask = Tensor::from_slice(&[1.0f32, 1.0, 0.0, 0.0], [1, 1, 4]);
/// let half = Tensor::from_slice(&[1.0f32, 0.0, 1.0, 0.0], [1, 1, 4]);
/// assert!((jaccard_loss(&half, &mask).item() - 2.0 / 3.0).abs() < 1e-5);
/// ```
#[track_caller]
pub fn jaccard_loss(probs: &Tensor, target: &Tensor) -> Tensor {
    jaccard_loss_with(probs, target, OverlapOptions::default())
}

/// [`jaccard_loss`] with another smoothing or reduction, or with squares; `None` gives `[N, C]`.
///
/// # Panics
/// As [`jaccard_loss`].
#[track_caller]
pub fn jaccard_loss_with(probs: &Tensor, target: &Tensor, options: OverlapOptions) -> Tensor {
    let (both, sizes) = overlap("jaccard_loss", probs, target, options.squared);
    options.reduction.apply(1.0 - (&both + options.smooth) / (sizes - &both + options.smooth))
}
