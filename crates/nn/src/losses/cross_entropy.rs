//! Cross entropy of logits.

use super::nll::Targets;
use super::{Reduction, check_same_shape};
use gradus_tensor::{DType, Tensor, fail};

/// Options of [`cross_entropy_with`].
#[derive(Clone, Debug)]
pub struct CrossEntropyOptions {
    /// A weight a class, `[C]`.
    pub weight: Option<Tensor>,
    /// Elements with this label count nothing (-100).
    pub ignore_index: Option<i64>,
    /// The share s of the target that is spread evenly over all classes (0): 1 - s + s/C for the label,
    /// s/C for the others (Szegedy et al., 2016, <https://arxiv.org/abs/1512.00567>, with 0.1). The smoothing of a
    /// GAN's real labels alone, by a factor, is another thing.
    pub label_smoothing: f64,
    /// How the losses are made one (the mean, weighted by the classes' weights).
    pub reduction: Reduction,
}

impl Default for CrossEntropyOptions {
    fn default() -> Self {
        let reduction = Reduction::Mean;
        CrossEntropyOptions { weight: None, ignore_index: Some(-100), label_smoothing: 0.0, reduction }
    }
}

/// Cross entropy of a target under the softmax of logits: `-mean_i ln softmax(x_i)[y_i]` for class labels y,
/// `-mean_i sum_c y_ic ln softmax(x_i)_c` for class probabilities.
///
/// It takes raw outputs (logits), not probabilities: log-softmax is part of it.
///
/// # Shapes
/// x `[N, C, ...]`, labels (i64) `[N, ...]` or probabilities (float) `[N, C, ...]` -> scalar; or `[C]` and a
/// scalar label or probabilities `[C]`
///
/// # Panics
/// If the shapes do not fit, or if a label is not in 0..C (nor -100, which counts nothing).
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html>.
///
/// ```
/// use gradus_nn::losses::cross_entropy;
/// use gradus_tensor::Tensor;
/// let logits = Tensor::from_slice(&[0.0f32, 0.0, 1e4, 0.0], [2, 2]);
/// let loss = cross_entropy(&logits, &Tensor::from_slice(&[1i64, 0], [2]));
/// assert!((loss.item() - 2f32.ln() / 2.0).abs() < 1e-6);
/// ```
#[track_caller]
pub fn cross_entropy(logits: &Tensor, target: &Tensor) -> Tensor {
    cross_entropy_with(logits, target, CrossEntropyOptions::default())
}

/// [`cross_entropy`] with weights, an ignored label, smoothed labels or another reduction. With labels the
/// mean is weighted, `sum_i w[y_i] l_i / sum_i w[y_i]` (NaN if every label is ignored); with probabilities
/// it is over the elements.
///
/// # Panics
/// As [`cross_entropy`]; if `weight` is not `[C]`; if `label_smoothing` is not in 0..=1.
#[track_caller]
pub fn cross_entropy_with(logits: &Tensor, target: &Tensor, options: CrossEntropyOptions) -> Tensor {
    let smoothing = options.label_smoothing;
    if !(0.0..=1.0).contains(&smoothing) {
        fail(OP, format_args!("label_smoothing {smoothing} is not in 0..=1"));
    }
    if target.dtype().is_float() {
        return of_probabilities(logits, target, &options);
    }
    let targets = Targets::new(OP, logits, target, options.weight.as_ref(), options.ignore_index);
    let plain = targets.factors.is_none() && smoothing == 0.0 && options.reduction == Reduction::Mean;
    if plain && logits.rank() == 2 {
        return logits.cross_entropy_mean(target);
    }
    let log_p = targets.rows(logits).log_softmax(1);
    let losses = -targets.pick(&log_p);
    if smoothing == 0.0 {
        return targets.reduce(losses, options.reduction);
    }
    let classes = log_p.size(1);
    let weighted_log_p = options.weight.as_ref().map_or(log_p.clone(), |w| &log_p * w.detach().to_dtype(log_p.dtype()));
    let mut spread = -weighted_log_p.sum_dim(1, false);
    if let Some(kept) = &targets.kept {
        spread = spread * kept;
    }
    let losses = targets.factors.as_ref().map_or(losses.clone(), |f| &losses * f);
    targets.join(losses * (1.0 - smoothing) + spread * (smoothing / classes as f64), options.reduction)
}

const OP: &str = "cross_entropy";

#[track_caller]
fn of_probabilities(logits: &Tensor, target: &Tensor, options: &CrossEntropyOptions) -> Tensor {
    check_same_shape(OP, logits, target);
    if logits.rank() == 0 || logits.dtype() == DType::Bool {
        fail(OP, format_args!("needs logits [N, C, ...], got {}", logits.shape()));
    }
    let dim = if logits.rank() == 1 { 0 } else { 1 };
    let classes = logits.size(dim);
    let smoothing = options.label_smoothing;
    let target = match smoothing {
        0.0 => target.clone(),
        s => target * (1.0 - s) + s / classes as f64,
    };
    let mut terms = logits.log_softmax(dim) * target;
    if let Some(w) = &options.weight {
        if w.shape() != [classes] {
            fail(OP, format_args!("needs a weight [{classes}] for {classes} classes, got {}", w.shape()));
        }
        let mut shape = vec![1; logits.rank()];
        shape[dim as usize] = classes;
        terms = terms * w.detach().to_dtype(logits.dtype()).reshape(&shape[..]);
    }
    options.reduction.apply(-terms.sum_dim(dim, false))
}
