//! Jensen-Shannon divergence.

use super::{Reduction, check_same_shape};
use gradus_tensor::{Tensor, fail};

/// Jensen-Shannon divergence of distributions along the last dimension, averaged:
/// D(P || M) / 2 + D(Q || M) / 2 with M = (P + Q) / 2.
///
/// It is to the base e, hence between 0 (equal) and ln 2 (nowhere positive together), and symmetric, unlike
/// [`kl_div`](super::kl_div()). The gradient in an element that is 0 is given as a finite number (it is -inf where
/// the other is not 0).
///
/// # Shapes
/// probabilities `[..., C]` and the same -> scalar
///
/// # Panics
/// If the shapes differ; if an element is negative.
///
/// Source: Lin, 1991, <https://doi.org/10.1109/18.61115>.
///
/// ```
/// use gradus_nn::losses::js_divergence;
/// use gradus_tensor::Tensor;
/// let p = Tensor::from_slice(&[1.0f32, 0.0], [1, 2]);
/// let q = Tensor::from_slice(&[0.0f32, 1.0], [1, 2]);
/// assert!((js_divergence(&p, &q).item() - 2f32.ln()).abs() < 1e-6);
/// assert_eq!(js_divergence(&p, &p).item(), 0.0);
/// ```
#[track_caller]
pub fn js_divergence(p: &Tensor, q: &Tensor) -> Tensor {
    js_divergence_with(p, q, Reduction::Mean)
}

/// [`js_divergence`] with another reduction; `None` gives one value a distribution, `[...]`.
///
/// # Panics
/// As [`js_divergence`].
#[track_caller]
pub fn js_divergence_with(p: &Tensor, q: &Tensor, reduction: Reduction) -> Tensor {
    const OP: &str = "js_divergence";
    check_same_shape(OP, p, q);
    if p.rank() == 0 {
        fail(OP, "needs distributions [..., C], got scalars");
    }
    let negative = |t: &Tensor| t.numel() > 0 && t.detach().min().item_f64() < 0.0;
    if negative(p) || negative(q) {
        fail(OP, "needs probabilities, but some are negative; give it the output of softmax");
    }
    let m = (p + q) * 0.5;
    // p ln(p / m), 0 where p is 0. The 1 stands for a logarithm that is infinite, so that gradients stay finite.
    let half = |x: &Tensor| {
        let zero = x.eq_scalar(0.0);
        let ratio = x.masked_fill(&zero, 1.0) / m.masked_fill(&zero, 1.0);
        x * ratio.log().masked_fill(&zero, 1.0)
    };
    reduction.apply((half(p) + half(q)).sum_dim(-1, false) * 0.5)
}
