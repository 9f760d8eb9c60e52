//! Norms of matrices.

use gradus_tensor::{Tensor, fail};

/// Frobenius norm of matrices: sqrt(sum_ij |v_ij|^2). Its gradient at zero is taken as zero.
///
/// # Shapes
/// `[..., M, H]` -> `[...]`
///
/// # Panics
/// If the rank is below 2.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.linalg.matrix_norm.html>.
///
/// ```
/// use gradus_nn::losses::frobenius_norm;
/// use gradus_tensor::Tensor;
/// assert_eq!(frobenius_norm(&Tensor::from_slice(&[1.0f32, 2.0, 2.0, 4.0], [2, 2])).item(), 5.0);
/// ```
#[track_caller]
pub fn frobenius_norm(v: &Tensor) -> Tensor {
    check("frobenius_norm", v);
    v.norm_dim(2.0, [-2isize, -1], false)
}

/// Mixed norm of matrices: the `outer` norm of the `inner` norms of the rows,
/// `(sum_i (sum_j |v_ij|^inner)^(outer / inner))^(1 / outer)`.
///
/// With inner 1 and outer 2 it is sqrt(sum_i (sum_j |v_ij|)^2), at most sqrt(H) times [`frobenius_norm`] by the
/// inequality of Cauchy and Schwarz; with 2 and 1 it is the L2,1 norm of the rows.
///
/// # Shapes
/// `[..., M, H]` -> `[...]`
///
/// # Panics
/// If the rank is below 2, or if a norm's order is below 1.
///
/// Source: Kowalski, 2009, <https://doi.org/10.1016/j.acha.2009.05.006>.
///
/// ```
/// use gradus_nn::losses::mixed_norm;
/// use gradus_tensor::Tensor;
/// let v = Tensor::from_slice(&[1.0f32, -2.0, 0.0, 4.0], [2, 2]);
/// assert_eq!(mixed_norm(&v, 1.0, 2.0).item(), 5.0);
/// ```
#[track_caller]
pub fn mixed_norm(v: &Tensor, inner: f64, outer: f64) -> Tensor {
    const OP: &str = "mixed_norm";
    check(OP, v);
    if !(inner >= 1.0 && outer >= 1.0) {
        fail(OP, format_args!("inner {inner} and outer {outer} must be orders of norms, at least 1"));
    }
    v.norm_dim(inner, -1, false).norm_dim(outer, -1, false)
}

#[track_caller]
fn check(op: &str, v: &Tensor) {
    if v.rank() < 2 {
        fail(op, format_args!("needs matrices [..., M, H], got {}", v.shape()));
    }
}
