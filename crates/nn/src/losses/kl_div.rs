//! Kullback-Leibler divergence.

use super::check_same_shape;
use gradus_tensor::{Tensor, fail};

/// How [`kl_div_with`] makes the terms one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KlDivReduction {
    /// Their mean over all elements, PyTorch's default. It is *not* the divergence: that is the sum.
    #[default]
    Mean,
    /// Their sum over the size of the first dimension: the mean divergence of a batch `[N, C]`.
    BatchMean,
    /// Their sum.
    Sum,
    /// They are not: one term an element.
    None,
}

/// Options of [`kl_div_with`].
#[derive(Clone, Copy, Debug, Default)]
pub struct KlDivOptions {
    /// Whether the target holds log-probabilities too (no).
    pub log_target: bool,
    /// How the terms are made one.
    pub reduction: KlDivReduction,
}

/// The terms of the Kullback-Leibler divergence D(P || Q) = sum_i p_i (ln p_i - ln q_i), to the base e, averaged.
///
/// The input holds ln q, the log-probabilities of the model; the target p, those it should have. A term with
/// p = 0 is `-p ln q`, as 0 ln 0 is 0. For the divergence itself take [`KlDivReduction::BatchMean`] or `Sum`.
///
/// # Shapes
/// any and the same -> scalar
///
/// # Panics
/// If the shapes differ.
///
/// Source: Kullback and Leibler, 1951, <https://doi.org/10.1214/aoms/1177729694>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html>.
///
/// ```
/// use gradus_nn::losses::{KlDivOptions, KlDivReduction, kl_div_with};
/// use gradus_tensor::Tensor;
/// let q = Tensor::from_slice(&[0.5f32, 0.5], [1, 2]);
/// let p = Tensor::from_slice(&[1.0f32, 0.0], [1, 2]);
/// let options = KlDivOptions { reduction: KlDivReduction::BatchMean, ..Default::default() };
/// assert!((kl_div_with(&q.log(), &p, options).item() - 2f32.ln()).abs() < 1e-6);
/// ```
#[track_caller]
pub fn kl_div(log_q: &Tensor, target: &Tensor) -> Tensor {
    kl_div_with(log_q, target, KlDivOptions::default())
}

/// [`kl_div`] with a target of log-probabilities or another reduction.
///
/// # Panics
/// If the shapes differ; for `BatchMean` of a scalar.
#[track_caller]
pub fn kl_div_with(log_q: &Tensor, target: &Tensor, options: KlDivOptions) -> Tensor {
    check_same_shape("kl_div", log_q, target);
    let terms = if options.log_target { target.exp() * (target - log_q) } else { x_log_x(target) - target * log_q };
    match options.reduction {
        KlDivReduction::Mean => terms.mean(),
        KlDivReduction::Sum => terms.sum(),
        KlDivReduction::None => terms,
        KlDivReduction::BatchMean if log_q.rank() == 0 => fail("kl_div", "BatchMean needs a batch [N, ...], got []"),
        KlDivReduction::BatchMean => terms.sum() / log_q.size(0) as f64,
    }
}

/// x ln x, 0 where x is 0, with a finite gradient there.
#[track_caller]
fn x_log_x(x: &Tensor) -> Tensor {
    let zero = x.eq_scalar(0.0);
    x * x.masked_fill(&zero, 1.0).log().masked_fill(&zero, 0.0)
}
