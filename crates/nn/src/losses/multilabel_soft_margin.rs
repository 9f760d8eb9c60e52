//! Multi-label soft margin loss.

use super::{Reduction, check_same_shape};
use gradus_tensor::{Tensor, fail};

/// Options of [`multilabel_soft_margin_loss_with`].
#[derive(Clone, Debug, Default)]
pub struct MultilabelSoftMarginOptions {
    /// A weight a class, `[C]`.
    pub weight: Option<Tensor>,
    /// How the losses are made one.
    pub reduction: Reduction,
}

/// Binary cross entropy of the sigmoid of each class's logit, averaged over classes and samples:
/// `-1/C sum_c y_c ln sigmoid(x_c) + (1 - y_c) ln sigmoid(-x_c)`.
///
/// # Shapes
/// logits `[..., C]`, target of zeros and ones `[..., C]` -> scalar
///
/// # Panics
/// If the shapes differ.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelSoftMarginLoss.html>.
///
/// ```
/// use gradus_nn::losses::multilabel_soft_margin_loss;
/// use gradus_tensor::Tensor;
/// let loss = multilabel_soft_margin_loss(&Tensor::zeros([2, 3]), &Tensor::ones([2, 3]));
/// assert!((loss.item() - 2f32.ln()).abs() < 1e-6);
/// ```
#[track_caller]
pub fn multilabel_soft_margin_loss(logits: &Tensor, target: &Tensor) -> Tensor {
    multilabel_soft_margin_loss_with(logits, target, MultilabelSoftMarginOptions::default())
}

/// [`multilabel_soft_margin_loss`] with weights or another reduction; `None` gives one loss a sample.
///
/// # Panics
/// As [`multilabel_soft_margin_loss`]; if the weight does not broadcast to the logits.
#[track_caller]
pub fn multilabel_soft_margin_loss_with(
    logits: &Tensor,
    target: &Tensor,
    options: MultilabelSoftMarginOptions,
) -> Tensor {
    const OP: &str = "multilabel_soft_margin_loss";
    check_same_shape(OP, logits, target);
    if logits.rank() == 0 {
        fail(OP, "needs logits [..., C], got a scalar");
    }
    let losses = target * (-logits).softplus() + (1.0 - target) * logits.softplus();
    let losses = options.weight.as_ref().map_or(losses.clone(), |w| &losses * w);
    options.reduction.apply(losses.mean_dim(-1, false))
}
