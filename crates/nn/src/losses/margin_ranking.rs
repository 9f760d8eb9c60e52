//! Margin ranking loss.

use super::Reduction;
use gradus_tensor::{Tensor, fail};

/// Options of [`margin_ranking_loss_with`].
#[derive(Clone, Copy, Debug, Default)]
pub struct MarginRankingOptions {
    /// By how much the one should be above the other (0).
    pub margin: f64,
    /// How the losses are made one.
    pub reduction: Reduction,
}

/// Ranking loss: mean_i max(0, -y_i (a_i - b_i) + margin), where y = 1 says that a should be above b, -1 that
/// it should be below.
///
/// # Shapes
/// any and the same -> scalar
///
/// # Panics
/// If the shapes differ.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.MarginRankingLoss.html>.
///
/// ```
/// use gradus_nn::losses::margin_ranking_loss;
/// use gradus_tensor::Tensor;
/// let (a, b) = (Tensor::from_slice(&[3.0f32, 1.0], [2]), Tensor::from_slice(&[2.0f32, 4.0], [2]));
/// assert_eq!(margin_ranking_loss(&a, &b, &Tensor::ones([2])).item(), 1.5);
/// ```
#[track_caller]
pub fn margin_ranking_loss(input1: &Tensor, input2: &Tensor, target: &Tensor) -> Tensor {
    margin_ranking_loss_with(input1, input2, target, MarginRankingOptions::default())
}

/// [`margin_ranking_loss`] with another margin or reduction.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn margin_ranking_loss_with(a: &Tensor, b: &Tensor, target: &Tensor, options: MarginRankingOptions) -> Tensor {
    const OP: &str = "margin_ranking_loss";
    if a.shape() != b.shape() || a.shape() != target.shape() {
        let shapes = (a.shape(), b.shape(), target.shape());
        let message =
            format_args!("inputs {} and {} and target {} must have the same shape", shapes.0, shapes.1, shapes.2);
        fail(OP, message);
    }
    options.reduction.apply((target * (b - a) + options.margin).relu())
}
