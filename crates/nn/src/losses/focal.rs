//! Focal losses: cross entropy that counts less where the model is sure already.

use super::bce_with_logits::{BceWithLogitsOptions, binary_cross_entropy_with_logits_with};
use super::nll::Targets;
use super::{Reduction, check_same_shape};
use gradus_tensor::{Tensor, fail};

/// Options of [`sigmoid_focal_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct SigmoidFocalOptions {
    /// The factor of positive examples, 1 - alpha being that of negative ones (0.25); no factors if negative.
    pub alpha: f64,
    /// The power of 1 - p that takes weight from what is sure (2); 0 for none.
    pub gamma: f64,
    /// How the losses are made one: not at all, as in torchvision.
    pub reduction: Reduction,
}

impl Default for SigmoidFocalOptions {
    fn default() -> Self {
        SigmoidFocalOptions { alpha: 0.25, gamma: 2.0, reduction: Reduction::None }
    }
}

/// Focal loss of logits against zeros and ones: -alpha_t (1 - p_t)^gamma ln p_t with the probability
/// p_t = sigmoid(x) of what is true, or sigmoid(-x).
///
/// # Shapes
/// any and the same -> the same, one loss an element
///
/// # Panics
/// If the shapes differ.
///
/// Source: Lin et al., 2017, <https://arxiv.org/abs/1708.02002>, in torchvision's form,
/// <https://docs.pytorch.org/vision/stable/generated/torchvision.ops.sigmoid_focal_loss.html>.
///
/// ```
/// use gradus_nn::losses::sigmoid_focal_loss;
/// use gradus_tensor::Tensor;
/// let losses = sigmoid_focal_loss(&Tensor::zeros([2]), &Tensor::from_slice(&[1.0f32, 0.0], [2]));
/// let (positive, negative) = (losses.at(&[0]), losses.at(&[1]));
/// assert!((positive - 0.25 * 0.25 * 2f64.ln()).abs() < 1e-6 && (negative / positive - 3.0).abs() < 1e-5);
/// ```
#[track_caller]
pub fn sigmoid_focal_loss(logits: &Tensor, target: &Tensor) -> Tensor {
    sigmoid_focal_loss_with(logits, target, SigmoidFocalOptions::default())
}

/// [`sigmoid_focal_loss`] with another alpha, gamma or reduction.
///
/// # Panics
/// If the shapes differ; if `gamma` is negative.
#[track_caller]
pub fn sigmoid_focal_loss_with(logits: &Tensor, target: &Tensor, options: SigmoidFocalOptions) -> Tensor {
    const OP: &str = "sigmoid_focal_loss";
    check_same_shape(OP, logits, target);
    check_gamma(OP, options.gamma);
    let each = BceWithLogitsOptions { reduction: Reduction::None, ..Default::default() };
    let entropy = binary_cross_entropy_with_logits_with(logits, target, each);
    let missed = logits.sigmoid() * (1.0 - target) + (-logits).sigmoid() * target; // 1 - p_t
    let mut losses = entropy * power(&missed, options.gamma);
    if options.alpha >= 0.0 {
        losses = losses * (target * (2.0 * options.alpha - 1.0) + (1.0 - options.alpha));
    }
    options.reduction.apply(losses)
}

/// Options of [`focal_loss_with`].
#[derive(Clone, Debug)]
pub struct FocalOptions {
    /// A factor a class, `[C]`.
    pub alpha: Option<Tensor>,
    /// The power of 1 - p that takes weight from what is sure (2); 0 for none.
    pub gamma: f64,
    /// Elements with this label count nothing (-100).
    pub ignore_index: Option<i64>,
    /// How the losses are made one; the mean is over the elements that count.
    pub reduction: Reduction,
}

impl Default for FocalOptions {
    fn default() -> Self {
        FocalOptions { alpha: None, gamma: 2.0, ignore_index: Some(-100), reduction: Reduction::Mean }
    }
}

/// Focal loss of logits of several classes: `-mean_i alpha[y_i] (1 - p_i)^gamma ln p_i` with
/// `p_i = softmax(x_i)[y_i]`.
///
/// # Shapes
/// logits `[N, C, ...]`, labels (i64) `[N, ...]` -> scalar; or `[C]` and a scalar label
///
/// # Panics
/// If the shapes do not fit, or if a label is not in 0..C (nor -100, which counts nothing).
///
/// Source: Lin et al., 2017, <https://arxiv.org/abs/1708.02002>.
///
/// ```
/// use gradus_nn::losses::focal_loss;
/// use gradus_tensor::Tensor;
/// let loss = focal_loss(&Tensor::zeros([1, 4]), &Tensor::from_slice(&[2i64], [1]));
/// assert!((loss.item() - 0.75f32.powi(2) * 4f32.ln()).abs() < 1e-6);
/// ```
#[track_caller]
pub fn focal_loss(logits: &Tensor, labels: &Tensor) -> Tensor {
    focal_loss_with(logits, labels, FocalOptions::default())
}

/// [`focal_loss`] with factors, another gamma, ignored label or reduction.
///
/// # Panics
/// As [`focal_loss`]; if `gamma` is negative; if `alpha` is not `[C]`.
#[track_caller]
pub fn focal_loss_with(logits: &Tensor, labels: &Tensor, options: FocalOptions) -> Tensor {
    const OP: &str = "focal_loss";
    check_gamma(OP, options.gamma);
    let targets = Targets::new(OP, logits, labels, options.alpha.as_ref(), options.ignore_index);
    let ln_p = targets.pick(&targets.rows(logits).log_softmax(1));
    let losses = -&ln_p * power(&-ln_p.exp_m1(), options.gamma);
    targets.reduce_evenly(losses, options.reduction)
}

/// x^gamma of a probability. It is held above zero, where a power below 1 has no derivative: a logit that makes
/// it smaller than this costs nothing anyway.
#[track_caller]
fn power(x: &Tensor, gamma: f64) -> Tensor {
    x.clamp(1e-37, f64::INFINITY).pow(gamma)
}

#[track_caller]
fn check_gamma(op: &str, gamma: f64) {
    if gamma.is_nan() || gamma < 0.0 {
        fail(op, format_args!("gamma {gamma} is negative"));
    }
}
