//! Negative log-likelihood of a normal distribution.

use super::{Reduction, check_same_shape};
use gradus_tensor::autograd::record;
use gradus_tensor::{Tensor, fail, no_grad};
use std::f64::consts::PI;

/// Options of [`gaussian_nll_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct GaussianNllOptions {
    /// Whether the constant ln(2 pi) / 2 is added (no).
    pub full: bool,
    /// The least variance (1e-6). Smaller ones count as this, but keep their gradient.
    pub eps: f64,
    /// How the losses are made one.
    pub reduction: Reduction,
}

impl Default for GaussianNllOptions {
    fn default() -> Self {
        GaussianNllOptions { full: false, eps: 1e-6, reduction: Reduction::Mean }
    }
}

/// Negative log-likelihood of targets under normal distributions of which a network gives mean and variance:
/// mean_i (ln var_i + (x_i - y_i)^2 / var_i) / 2.
///
/// # Shapes
/// x and target any and the same; var the same, or with dimensions of 1 or without the last one (one variance for
/// all its elements) -> scalar
///
/// # Panics
/// If the shapes do not fit; if a variance is negative.
///
/// Source: Nix and Weigend, 1994, <https://doi.org/10.1109/ICNN.1994.374138>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.GaussianNLLLoss.html>.
///
/// ```
/// use gradus_nn::losses::gaussian_nll_loss;
/// use gradus_tensor::Tensor;
/// let x = Tensor::zeros([2, 3]);
/// assert_eq!(gaussian_nll_loss(&x, &Tensor::ones([2, 3]), &Tensor::ones([2, 1])).item(), 0.5);
/// ```
#[track_caller]
pub fn gaussian_nll_loss(x: &Tensor, target: &Tensor, var: &Tensor) -> Tensor {
    gaussian_nll_loss_with(x, target, var, GaussianNllOptions::default())
}

/// [`gaussian_nll_loss`] with the constant, another least variance or another reduction.
///
/// # Panics
/// As [`gaussian_nll_loss`].
#[track_caller]
pub fn gaussian_nll_loss_with(x: &Tensor, target: &Tensor, var: &Tensor, options: GaussianNllOptions) -> Tensor {
    check_same_shape(OP, x, target);
    let (shape, rank) = (x.shape(), x.rank());
    let var = match var.shape() {
        s if s == shape => var.clone(),
        s if rank > 0 && s[..] == shape[..rank - 1] => var.unsqueeze(-1),
        s if s.len() == rank && (0..rank).all(|d| s[d] == shape[d] || s[d] == 1) => var.clone(),
        s => fail(OP, format_args!("var {s} does not fit the input {shape}")),
    };
    if var.numel() > 0 && var.detach().min().item_f64() < 0.0 {
        fail(OP, "a variance is negative; make it positive, such as by exp or softplus");
    }
    let var = at_least(&var, options.eps);
    let mut losses = (var.log() + (x - target).square() / &var) * 0.5;
    if options.full {
        losses = losses + 0.5 * (2.0 * PI).ln();
    }
    options.reduction.apply(losses)
}

const OP: &str = "gaussian_nll_loss";

/// The larger of each element and `low`; the gradient passes as if nothing was changed.
#[track_caller]
fn at_least(x: &Tensor, low: f64) -> Tensor {
    let out = no_grad(|| x.clamp(low, f64::INFINITY));
    record(OP, out, &[x], |ctx| ctx.set(0, || ctx.grad().clone()))
}
