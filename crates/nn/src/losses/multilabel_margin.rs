//! Multi-label margin loss.

use super::multi_margin::check_classes;
use super::{Reduction, check_same_shape};
use gradus_tensor::{DType, Tensor, fail};

/// Multi-label margin loss: the mean over samples of
/// `1/C sum_(y in labels) sum_(j not in labels) max(0, 1 - x_y + x_j)`.
///
/// The labels of a sample are the classes listed in its row of `target` before the first -1.
///
/// # Shapes
/// scores `[N, C]`, target (i64) `[N, C]` -> scalar; or `[C]` and `[C]`
///
/// # Panics
/// If the shapes do not fit; if a label is not in 0..C.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelMarginLoss.html>.
///
/// ```
/// use gradus_nn::losses::multilabel_margin_loss;
/// use gradus_tensor::Tensor;
/// let scores = Tensor::from_slice(&[0.1f32, 0.2, 0.4, 0.8], [1, 4]);
/// let target = Tensor::from_slice(&[3i64, 0, -1, 1], [1, 4]);
/// assert!((multilabel_margin_loss(&scores, &target).item() - 0.85).abs() < 1e-6);
/// ```
#[track_caller]
pub fn multilabel_margin_loss(scores: &Tensor, target: &Tensor) -> Tensor {
    multilabel_margin_loss_with(scores, target, Reduction::Mean)
}

/// [`multilabel_margin_loss`] with another reduction; `None` gives one loss a sample.
///
/// # Panics
/// As [`multilabel_margin_loss`].
#[track_caller]
pub fn multilabel_margin_loss_with(scores: &Tensor, target: &Tensor, reduction: Reduction) -> Tensor {
    const OP: &str = "multilabel_margin_loss";
    check_classes(OP, scores, "a target of the same shape");
    check_same_shape(OP, scores, target);
    if target.dtype() != DType::I64 {
        fail(OP, format_args!("needs an i64 target, got {}; convert with to_dtype", target.dtype()));
    }
    let classes = scores.size(-1);
    let samples = if scores.rank() == 2 { scores.size(0) } else { 1 };
    let mut list = target.to_vec::<i64>();
    let mut listed = vec![0.0f32; list.len()];
    let mut other = vec![1.0f32; list.len()];
    for first in (0..samples).map(|n| n * classes) {
        for i in 0..classes {
            let label = list[first + i];
            if label == -1 {
                list[first + i..first + classes].fill(0);
                break;
            }
            if !(0..classes as i64).contains(&label) {
                let message =
                    format_args!("label {label} at position {} is not a class index in 0..{classes}", first + i);
                fail(OP, message);
            }
            listed[first + i] = 1.0;
            other[first + label as usize] = 0.0;
        }
    }
    let factor = |v: Vec<f32>, shape: [usize; 3]| Tensor::from_vec(v, shape).to_dtype(scores.dtype());
    let pairs = factor(listed, [samples, classes, 1]) * factor(other, [samples, 1, classes]);
    let rows = scores.reshape([samples, classes]);
    let label_scores = rows.gather(1, &Tensor::from_vec(list, [samples, classes])).unsqueeze(2); // (N, list, 1)
    let violations = (rows.unsqueeze(1) - label_scores + 1.0).relu() * pairs; // (N, list, C)
    let losses = violations.sum_dim([1, 2], false) / classes as f64;
    reduction.apply(if scores.rank() == 2 { losses } else { losses.squeeze(0) })
}
