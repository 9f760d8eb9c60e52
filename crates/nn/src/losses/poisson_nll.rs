//! Negative log-likelihood of a Poisson distribution.

use super::{Reduction, check_same_shape};
use gradus_tensor::Tensor;
use std::f64::consts::PI;

/// Options of [`poisson_nll_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct PoissonNllOptions {
    /// Whether the input is the logarithm of the rate (yes).
    pub log_input: bool,
    /// Whether Stirling's approximation of ln y! is added where y > 1 (no).
    pub full: bool,
    /// What is added to a rate before its logarithm is taken (1e-8).
    pub eps: f64,
    /// How the losses are made one.
    pub reduction: Reduction,
}

impl Default for PoissonNllOptions {
    fn default() -> Self {
        PoissonNllOptions { log_input: true, full: false, eps: 1e-8, reduction: Reduction::Mean }
    }
}

/// Negative log-likelihood of counts y under Poisson distributions of rate e^x: mean_i e^(x_i) - y_i x_i,
/// without the constant ln y!.
///
/// # Shapes
/// any and the same -> scalar
///
/// # Panics
/// If the shapes differ.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.PoissonNLLLoss.html>.
///
/// ```
/// use gradus_nn::losses::poisson_nll_loss;
/// use gradus_tensor::Tensor;
/// // The rate 3 is the best for a count of 3.
/// let log_rate = Tensor::full([1], 3f64.ln()).requires_grad_(true);
/// poisson_nll_loss(&log_rate, &Tensor::full([1], 3.0)).backward();
/// assert!(log_rate.grad().unwrap().item().abs() < 1e-6);
/// ```
#[track_caller]
pub fn poisson_nll_loss(x: &Tensor, target: &Tensor) -> Tensor {
    poisson_nll_loss_with(x, target, PoissonNllOptions::default())
}

/// [`poisson_nll_loss`] of rates instead of their logarithms, `x - y ln(x + eps)`, with the constant, or with
/// another reduction.
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn poisson_nll_loss_with(x: &Tensor, target: &Tensor, options: PoissonNllOptions) -> Tensor {
    check_same_shape("poisson_nll_loss", x, target);
    let losses = if options.log_input { x.exp() - target * x } else { x - target * (x + options.eps).log() };
    if !options.full {
        return options.reduction.apply(losses);
    }
    let small = target.le_scalar(1.0);
    let y = target.to_dtype(x.dtype()).masked_fill(&small, 1.0);
    let ln_factorial = &y * y.log() - &y + (&y * (2.0 * PI)).log() * 0.5;
    options.reduction.apply(losses + ln_factorial.masked_fill(&small, 0.0))
}
