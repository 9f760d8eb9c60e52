//! Contrastive losses: each embedding is to be found among many by its partner.

use super::{CrossEntropyOptions, Reduction, cross_entropy_with};
use crate::distance::unit;
use gradus_tensor::{Tensor, fail};

/// Options of [`info_nce_loss_with`].
#[derive(Clone, Debug)]
pub struct InfoNceOptions {
    /// What the cosines are divided by (0.1).
    pub temperature: f64,
    /// Negatives shared by all queries, `[M, D]`, in place of the other queries' keys.
    pub negatives: Option<Tensor>,
    /// How the losses, one a query, are made one.
    pub reduction: Reduction,
}

impl Default for InfoNceOptions {
    fn default() -> Self {
        InfoNceOptions { temperature: 0.1, negatives: None, reduction: Reduction::Mean }
    }
}

/// InfoNCE loss: the cross entropy of finding each query's key among the keys of the batch by its cosine,
/// `-mean_i ln(exp(cos(q_i, k_i) / t) / sum_j exp(cos(q_i, k_j) / t))`.
///
/// ln N minus the loss is a lower bound of the mutual information of queries and keys.
///
/// # Shapes
/// queries and keys `[N, D]` -> scalar
///
/// # Panics
/// If the shapes do not fit.
///
/// Source: van den Oord et al., 2018, <https://arxiv.org/abs/1807.03748>.
///
/// ```
/// use gradus_nn::losses::{InfoNceOptions, info_nce_loss, info_nce_loss_with};
/// use gradus_tensor::Tensor;
/// let x = Tensor::eye(4);
/// assert!(info_nce_loss(&x, &x).item() < 1e-3);
/// // Keys that are all alike tell nothing: ln 4.
/// let loss = info_nce_loss_with(&x, &Tensor::ones([4, 4]), InfoNceOptions::default());
/// assert!((loss.item() - 4f32.ln()).abs() < 1e-5);
/// ```
#[track_caller]
pub fn info_nce_loss(queries: &Tensor, keys: &Tensor) -> Tensor {
    info_nce_loss_with(queries, keys, InfoNceOptions::default())
}

/// [`info_nce_loss`] with another temperature or reduction, or with negatives of their own.
///
/// # Panics
/// As [`info_nce_loss`]; if the negatives are not `[M, D]`; if the temperature is not positive.
#[track_caller]
pub fn info_nce_loss_with(queries: &Tensor, keys: &Tensor, options: InfoNceOptions) -> Tensor {
    const OP: &str = "info_nce_loss";
    check(OP, "queries", queries, "keys", keys, options.temperature);
    let (q, k) = (unit(queries, 1, EPS), unit(keys, 1, EPS));
    let n = queries.size(0);
    let (cosines, labels) = match &options.negatives {
        None => (q.matmul(&k.t()), (0..n as i64).collect()), // (N, N)
        Some(negatives) => {
            if negatives.rank() != 2 || negatives.size(1) != queries.size(1) {
                let (found, width) = (negatives.shape(), queries.size(1));
                fail(OP, format_args!("needs negatives [M, {width}], got {found}"));
            }
            let own = (&q * &k).sum_dim(1, true); // (N, 1)
            let others = q.matmul(&unit(negatives, 1, EPS).t()); // (N, M)
            (Tensor::cat(&[&own, &others], 1), vec![0i64; n])
        }
    };
    let ce = CrossEntropyOptions { reduction: options.reduction, ..Default::default() };
    cross_entropy_with(&(cosines / options.temperature), &Tensor::from_vec(labels, [n]), ce)
}

/// Options of [`nt_xent_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct NtXentOptions {
    /// What the cosines are divided by (0.5).
    pub temperature: f64,
    /// How the losses, one a view, are made one.
    pub reduction: Reduction,
}

impl Default for NtXentOptions {
    fn default() -> Self {
        NtXentOptions { temperature: 0.5, reduction: Reduction::Mean }
    }
}

/// NT-Xent loss of SimCLR: the cross entropy of finding for each of 2N views the other view of the same sample,
/// among all but itself, by its cosine divided by the temperature.
///
/// # Shapes
/// first and second views `[N, D]` -> scalar
///
/// # Panics
/// If the shapes do not fit.
///
/// Source: Chen et al., 2020, <https://arxiv.org/abs/2002.05709>.
///
/// ```
/// use gradus_nn::losses::nt_xent_loss;
/// use gradus_tensor::Tensor;
/// // Views that are all alike: one of the three others is as likely as another.
/// let views = Tensor::ones([2, 5]);
/// assert!((nt_xent_loss(&views, &views).item() - 3f32.ln()).abs() < 1e-5);
/// ```
#[track_caller]
pub fn nt_xent_loss(views1: &Tensor, views2: &Tensor) -> Tensor {
    nt_xent_loss_with(views1, views2, NtXentOptions::default())
}

/// [`nt_xent_loss`] with another temperature or reduction; `None` gives `[2 N]`.
///
/// # Panics
/// As [`nt_xent_loss`]; if the temperature is not positive.
#[track_caller]
pub fn nt_xent_loss_with(views1: &Tensor, views2: &Tensor, options: NtXentOptions) -> Tensor {
    check("nt_xent_loss", "views", views1, "views", views2, options.temperature);
    let n = views1.size(0);
    let views = unit(&Tensor::cat(&[views1, views2], 0), 1, EPS); // (2N, D)
    let itself = Tensor::eye(2 * n).ne_scalar(0.0);
    let cosines = views.matmul(&views.t()) / options.temperature;
    let partner = (0..2 * n).map(|i| ((i + n) % (2 * n)) as i64).collect();
    let ce = CrossEntropyOptions { reduction: options.reduction, ..Default::default() };
    cross_entropy_with(&cosines.masked_fill(&itself, f64::NEG_INFINITY), &Tensor::from_vec(partner, [2 * n]), ce)
}

/// Shorter vectors than this are not scaled to length 1.
const EPS: f64 = 1e-12;

#[track_caller]
fn check(op: &str, name1: &str, a: &Tensor, name2: &str, b: &Tensor, temperature: f64) {
    if a.rank() != 2 || a.shape() != b.shape() {
        fail(op, format_args!("needs {name1} and {name2} [N, D], got {} and {}", a.shape(), b.shape()));
    }
    if temperature.is_nan() || temperature <= 0.0 {
        fail(op, format_args!("the temperature {temperature} is not positive"));
    }
}
