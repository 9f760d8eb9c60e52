//! Multi-class hinge loss.

use super::Reduction;
use super::nll::Targets;
use gradus_tensor::{Tensor, fail};

/// Options of [`multi_margin_loss_with`].
#[derive(Clone, Debug)]
pub struct MultiMarginOptions {
    /// The power of each violation, 1 or 2 (1).
    pub p: u32,
    /// By how much the label's score should be above the others (1).
    pub margin: f64,
    /// A weight a class, `[C]`, for the samples with this label.
    pub weight: Option<Tensor>,
    /// How the losses are made one.
    pub reduction: Reduction,
}

impl Default for MultiMarginOptions {
    fn default() -> Self {
        MultiMarginOptions { p: 1, margin: 1.0, weight: None, reduction: Reduction::Mean }
    }
}

/// Hinge loss of a multi-class support vector machine: the mean over samples of
/// `1/C sum_(j != y) max(0, margin - x_y + x_j)^p`.
///
/// The textbook's form has no 1/C: multiply the result by the number of classes.
///
/// # Shapes
/// scores `[N, C]`, labels (i64) `[N]` -> scalar; or `[C]` and a scalar label
///
/// # Panics
/// If the shapes do not fit; if a label is not in 0..C.
///
/// Source: Weston and Watkins, 1999, <https://www.esann.org/sites/default/files/proceedings/legacy/es1999-461.pdf>, in
/// PyTorch's form, <https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiMarginLoss.html>.
///
/// ```
/// use gradus_nn::losses::multi_margin_loss;
/// use gradus_tensor::Tensor;
/// let scores = Tensor::from_slice(&[3.2f32, 5.1, -1.7], [1, 3]);
/// let sum_form = multi_margin_loss(&scores, &Tensor::from_slice(&[0i64], [1])) * 3.0;
/// assert!((sum_form.item() - 2.9).abs() < 1e-5);
/// ```
#[track_caller]
pub fn multi_margin_loss(scores: &Tensor, labels: &Tensor) -> Tensor {
    multi_margin_loss_with(scores, labels, MultiMarginOptions::default())
}

/// [`multi_margin_loss`] with another power, margin or reduction, or with weights. The mean is not weighted:
/// it is over the number of samples.
///
/// # Panics
/// As [`multi_margin_loss`]; if `p` is not 1 or 2; if `weight` is not `[C]`.
#[track_caller]
pub fn multi_margin_loss_with(scores: &Tensor, labels: &Tensor, options: MultiMarginOptions) -> Tensor {
    const OP: &str = "multi_margin_loss";
    check_classes(OP, scores, "labels");
    if !(1..=2).contains(&options.p) {
        fail(OP, format_args!("p is {}, not 1 or 2", options.p));
    }
    let targets = Targets::new(OP, scores, labels, options.weight.as_ref(), None);
    let rows = targets.rows(scores);
    let label_score = targets.pick(&rows).unsqueeze(1);
    let violations = (rows - label_score + options.margin).relu();
    let violations = if options.p == 2 { violations.square() } else { violations };
    let losses = targets.without_label(&violations).mean_dim(1, false);
    targets.reduce_evenly(losses, options.reduction)
}

#[track_caller]
pub(super) fn check_classes(op: &str, scores: &Tensor, and: &str) {
    if !(1..=2).contains(&scores.rank()) || scores.size(-1) == 0 {
        fail(op, format_args!("needs scores [N, C] or [C] and {and}, got scores {}", scores.shape()));
    }
}
