//! Negative log-likelihood.

use super::Reduction;
use gradus_tensor::{DType, Tensor, fail};

/// Options of [`nll_loss_with`].
#[derive(Clone, Debug)]
pub struct NllOptions {
    /// A weight a class, `[C]`.
    pub weight: Option<Tensor>,
    /// Elements with this label count nothing (-100).
    pub ignore_index: Option<i64>,
    /// How the losses are made one (the mean, weighted by the classes' weights).
    pub reduction: Reduction,
}

impl Default for NllOptions {
    fn default() -> Self {
        NllOptions { weight: None, ignore_index: Some(-100), reduction: Reduction::Mean }
    }
}

/// Negative log-likelihood of class labels under log-probabilities: `-mean_i x_i[y_i]`.
///
/// It takes *log*-probabilities, as [`LogSoftmax`](crate::LogSoftmax) gives them; for raw outputs use
/// [`cross_entropy`](super::cross_entropy()), which is both in one.
///
/// # Shapes
/// x `[N, C, ...]`, labels (i64) `[N, ...]` -> scalar; or `[C]` and a scalar label
///
/// # Panics
/// If the shapes do not fit; if a label is not in 0..C (nor -100, which counts nothing); if an
/// element is positive, hence no log-probability (beyond what rounding explains, 1e-4).
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html>.
///
/// ```
/// use gradus_nn::losses::nll_loss;
/// use gradus_tensor::Tensor;
/// let log_p = Tensor::zeros([2, 4]).log_softmax(1);
/// let loss = nll_loss(&log_p, &Tensor::from_slice(&[3i64, 1], [2]));
/// assert!((loss.item() - 4f32.ln()).abs() < 1e-6);
/// ```
#[track_caller]
pub fn nll_loss(log_probs: &Tensor, labels: &Tensor) -> Tensor {
    nll_loss_with(log_probs, labels, NllOptions::default())
}

/// [`nll_loss`] with weights, an ignored label or another reduction. The mean is
/// `sum_i w[y_i] l_i / sum_i w[y_i]`; NaN if every label is ignored.
///
/// # Panics
/// As [`nll_loss`], and if `weight` is not `[C]`.
#[track_caller]
pub fn nll_loss_with(log_probs: &Tensor, labels: &Tensor, options: NllOptions) -> Tensor {
    check_log_probs("nll_loss", log_probs);
    let targets = Targets::new("nll_loss", log_probs, labels, options.weight.as_ref(), options.ignore_index);
    let picked = targets.pick(&targets.rows(log_probs));
    targets.reduce(-picked, options.reduction)
}

/// Refuses positive elements, which probabilities and raw outputs have.
#[track_caller]
pub(super) fn check_log_probs(op: &str, log_probs: &Tensor) {
    if log_probs.numel() > 0 && log_probs.detach().max().item_f64() > 1e-4 {
        let message = "log-probabilities are never positive, but some of these are: give it the output of log_softmax \
                       (cross_entropy takes raw outputs)";
        fail(op, message);
    }
}

/// Class labels, checked, as rows for logits `[M, C]`.
pub(super) struct Targets {
    /// `[M]`; 0 where the label is to be ignored.
    labels: Tensor,
    /// 1 for each row `[M]`, 0 where it is to be ignored. `None` where none is.
    pub kept: Option<Tensor>,
    /// The factor of each row `[M]`: the class's weight, 0 where ignored. `None` where all are 1.
    pub factors: Option<Tensor>,
    classes: usize,
    /// Shape of the labels as they came.
    shape: Vec<usize>,
}

impl Targets {
    #[track_caller]
    pub fn new(op: &str, x: &Tensor, labels: &Tensor, weight: Option<&Tensor>, ignore: Option<i64>) -> Targets {
        let dim = if x.rank() == 1 { 0 } else { 1 };
        let mut expected = x.shape().to_vec();
        if x.rank() == 0 || expected.remove(dim) != x.size(dim as isize) || expected[..] != labels.shape()[..] {
            let message = format_args!(
                "needs an input [N, C, ...] and labels [N, ...], got {} and {}",
                x.shape(),
                labels.shape()
            );
            fail(op, message);
        }
        if labels.dtype() != DType::I64 {
            fail(op, format_args!("needs i64 labels, got {}; convert with to_dtype", labels.dtype()));
        }
        let classes = x.size(dim as isize);
        if let Some(w) = weight
            && w.shape() != [classes]
        {
            fail(op, format_args!("needs a weight [{classes}] for {classes} classes, got {}", w.shape()));
        }
        let mut values = labels.to_vec::<i64>();
        let ignored: Vec<usize> = (0..values.len()).filter(|&i| Some(values[i]) == ignore).collect();
        for &i in &ignored {
            values[i] = 0;
        }
        if let Some(i) = values.iter().position(|&v| v < 0 || v >= classes as i64) {
            let label = values[i];
            fail(op, format_args!("label {label} at position {i} is not a class index in 0..{classes}"));
        }
        let rows = values.len();
        let labels = Tensor::from_vec(values, [rows]);
        let kept = (!ignored.is_empty()).then(|| {
            let mut kept = vec![1.0f32; rows];
            ignored.iter().for_each(|&i| kept[i] = 0.0);
            Tensor::from_vec(kept, [rows]).to_dtype(x.dtype())
        });
        let weights = weight.map(|w| w.detach().to_dtype(x.dtype()).index_select(0, &labels));
        let factors = match (weights, &kept) {
            (Some(w), Some(k)) => Some(w * k),
            (w, k) => w.or(k.clone()),
        };
        Targets { labels, kept, factors, classes, shape: expected }
    }

    /// `[N, C, ...]` -> `[M, C]`, the rows in the order of the labels.
    pub fn rows(&self, x: &Tensor) -> Tensor {
        let last = if x.rank() > 2 {
            let mut order: Vec<isize> = (0..x.rank() as isize).filter(|&d| d != 1).collect();
            order.push(1);
            x.permute(&order) // (N, C, ...) -> (N, ..., C)
        } else {
            x.clone()
        };
        last.reshape([self.labels.numel(), self.classes])
    }

    /// The entry of each row that its label names: `[M, C]` -> `[M]`.
    pub fn pick(&self, rows: &Tensor) -> Tensor {
        rows.gather(1, &self.labels.unsqueeze(1)).squeeze(1)
    }

    /// Weighs the losses `[M]` and makes them one.
    pub fn reduce(&self, losses: Tensor, reduction: Reduction) -> Tensor {
        let weighted = self.factors.as_ref().map_or(losses.clone(), |f| &losses * f);
        self.join(weighted, reduction)
    }

    /// Makes losses `[M]` one that are weighed already.
    pub fn join(&self, losses: Tensor, reduction: Reduction) -> Tensor {
        match (reduction, &self.factors) {
            (Reduction::Mean, Some(f)) => losses.sum() / f.sum(),
            (Reduction::Mean, None) => losses.mean(),
            (Reduction::Sum, _) => losses.sum(),
            (Reduction::None, _) => losses.reshape(&self.shape[..]),
        }
    }

    /// Weighs the losses `[M]` and makes them one; the mean is over the number of rows that are kept.
    pub fn reduce_evenly(&self, losses: Tensor, reduction: Reduction) -> Tensor {
        let weighted = self.factors.as_ref().map_or(losses.clone(), |f| &losses * f);
        match (reduction, &self.kept) {
            (Reduction::Mean, Some(kept)) => weighted.sum() / kept.sum(),
            (Reduction::Mean, None) => weighted.mean(),
            (reduction, _) => self.join(weighted, reduction),
        }
    }

    /// The rows `[M, C]` with 0 at each one's label.
    pub fn without_label(&self, rows: &Tensor) -> Tensor {
        rows.masked_fill(&self.labels.one_hot(self.classes).ne_scalar(0.0), 0.0)
    }
}
