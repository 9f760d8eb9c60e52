//! Clipping of gradients.

use gradus_tensor::optim_kernels::{clamp_gradients, scale_gradients, total_norm};
use gradus_tensor::{DType, Tensor, no_grad};

/// Limits every element of the gradients to `-clip_value ..= clip_value`. A NaN stays one.
///
/// # Panics
/// If `clip_value` is negative or NaN.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_value_.html>.
///
/// ```
/// use gradus_nn::utils::clip_grad_value_;
/// use gradus_tensor::Tensor;
/// let w = Tensor::zeros([3]).requires_grad_(true);
/// w.set_grad(Some(Tensor::from_slice(&[-7.0f32, 0.5, 2.0], [3])));
/// clip_grad_value_(&[w.clone()], 1.0);
/// assert_eq!(w.grad().unwrap().to_vec::<f32>(), [-1.0, 0.5, 1.0]);
/// ```
#[track_caller]
pub fn clip_grad_value_(parameters: &[Tensor], clip_value: f64) {
    assert!(clip_value >= 0.0, "clip_value must be at least 0, got {clip_value}");
    clamp_gradients(parameters, clip_value);
}

/// Scales the gradients of all parameters together so that their Euclidean norm is at most `max_norm`, and returns
/// the norm they had.
///
/// g = g min(1, max_norm / (norm + 1e-6)), where norm is that of all elements of all gradients. Parameters without a
/// gradient are passed by; without any gradient the norm is 0.
///
/// # Panics
/// If `max_norm` is negative or NaN.
///
/// Source: Pascanu et al., 2012, <https://arxiv.org/abs/1211.5063>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html>.
///
/// ```
/// use gradus_nn::utils::clip_grad_norm_;
/// use gradus_tensor::Tensor;
/// let w = Tensor::zeros([2]).requires_grad_(true);
/// w.set_grad(Some(Tensor::from_slice(&[3.0f32, 4.0], [2])));
/// assert_eq!(clip_grad_norm_(&[w.clone()], 1.0), 5.0);
/// assert!((w.grad().unwrap().norm().item() - 1.0).abs() < 1e-6);
/// ```
#[track_caller]
pub fn clip_grad_norm_(parameters: &[Tensor], max_norm: f64) -> f64 {
    clip_grad_norm_with(parameters, max_norm, 2.0, false).expect("only asked for otherwise")
}

/// As [`clip_grad_norm_`] with the norm of order `norm_type` (infinity for the largest magnitude).
///
/// If the norm is infinite, finite gradients become 0 and infinite ones NaN; if it is NaN, all become NaN.
///
/// # Errors
/// If `error_if_nonfinite` and the norm is not finite; then the gradients are as they were.
///
/// # Panics
/// If `max_norm` is negative or NaN.
///
/// ```
/// use gradus_nn::utils::clip_grad_norm_with;
/// use gradus_tensor::Tensor;
/// let w = Tensor::zeros([2]).requires_grad_(true);
/// w.set_grad(Some(Tensor::from_slice(&[3.0f32, -4.0], [2])));
/// assert_eq!(clip_grad_norm_with(&[w.clone()], 9.0, f64::INFINITY, true), Ok(4.0));
/// w.set_grad(Some(Tensor::from_slice(&[3.0f32, f32::NAN], [2])));
/// assert!(clip_grad_norm_with(&[w], 1.0, 2.0, true).is_err());
/// ```
#[track_caller]
pub fn clip_grad_norm_with(
    parameters: &[Tensor],
    max_norm: f64,
    norm_type: f64,
    error_if_nonfinite: bool,
) -> Result<f64, NonFiniteNorm> {
    assert!(max_norm >= 0.0, "max_norm must be at least 0, got {max_norm}");
    let grads: Vec<Tensor> = parameters.iter().filter_map(Tensor::grad).collect();
    let norm = get_total_norm(&grads, norm_type);
    if error_if_nonfinite && !norm.is_finite() {
        return Err(NonFiniteNorm { norm, norm_type });
    }
    let factor = max_norm / (norm + 1e-6);
    // A NaN is to show in the gradients.
    if factor < 1.0 || factor.is_nan() {
        scale_gradients(parameters, factor);
    }
    Ok(norm)
}

/// The norm of order `norm_type` of all elements of all tensors (0 without any), computed in f64.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.get_total_norm.html>.
///
/// ```
/// use gradus_nn::utils::get_total_norm;
/// use gradus_tensor::Tensor;
/// let tensors = [Tensor::full([2, 2], 1.0), Tensor::full([5], -1.0)];
/// assert_eq!([1.0, 2.0, f64::INFINITY].map(|p| get_total_norm(&tensors, p)), [9.0, 3.0, 1.0]);
/// ```
pub fn get_total_norm(tensors: &[Tensor], norm_type: f64) -> f64 {
    if let Some(norm) = total_norm(tensors, norm_type) {
        return norm;
    }
    let norms: Vec<f64> = no_grad(|| {
        let flat = |t: &Tensor| t.detach().to_dtype(DType::F64).reshape([-1]);
        let filled = tensors.iter().filter(|t| t.numel() > 0);
        filled.map(|t| flat(t).norm_dim(norm_type, 0, false).item_f64()).collect()
    });
    if norms.is_empty() {
        return 0.0;
    }
    Tensor::from_slice(&norms, [norms.len()]).norm_dim(norm_type, 0, false).item_f64()
}

/// The gradients have no finite norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NonFiniteNorm {
    /// What it is.
    pub norm: f64,
    /// Its order.
    pub norm_type: f64,
}

impl std::error::Error for NonFiniteNorm {}

impl std::fmt::Display for NonFiniteNorm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the norm of order {} of the gradients is {}: they cannot be clipped", self.norm_type, self.norm)
    }
}
