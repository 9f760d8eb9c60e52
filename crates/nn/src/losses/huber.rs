//! Huber loss.

use super::{Reduction, check_same_shape};
use gradus_tensor::autograd::record;
use gradus_tensor::{Tensor, fail, no_grad};

/// Options of [`huber_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct HuberOptions {
    /// The difference at which the quadratic part ends (1).
    pub delta: f64,
    /// How the losses are made one.
    pub reduction: Reduction,
}

impl Default for HuberOptions {
    fn default() -> Self {
        HuberOptions { delta: 1.0, reduction: Reduction::Mean }
    }
}

/// Huber loss: the mean of d^2 / 2 where d = |x - y| is at most delta, of delta (d - delta / 2) elsewhere.
///
/// # Shapes
/// any and the same -> scalar
///
/// # Panics
/// If the shapes differ.
///
/// Source: Huber, 1964, <https://doi.org/10.1214/aoms/1177703732>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html>.
///
/// ```
/// use gradus_nn::losses::{HuberOptions, huber_loss, huber_loss_with};
/// use gradus_tensor::Tensor;
/// let (x, y) = (Tensor::full([1], 3.0), Tensor::zeros([1]));
/// assert_eq!(huber_loss(&x, &y).item(), 2.5);
/// assert_eq!(huber_loss_with(&x, &y, HuberOptions { delta: 2.0, ..Default::default() }).item(), 4.0);
/// ```
#[track_caller]
pub fn huber_loss(x: &Tensor, target: &Tensor) -> Tensor {
    huber_loss_with(x, target, HuberOptions::default())
}

/// [`huber_loss`] with another delta or reduction.
///
/// # Panics
/// If the shapes differ; if `delta` is not positive.
#[track_caller]
pub fn huber_loss_with(x: &Tensor, target: &Tensor, options: HuberOptions) -> Tensor {
    const OP: &str = "huber_loss";
    check_same_shape(OP, x, target);
    if options.delta.is_nan() || options.delta <= 0.0 {
        fail(OP, format_args!("delta {} is not positive", options.delta));
    }
    options.reduction.apply(bent(&(x - target), options.delta, 1.0))
}

/// `scale` times: x^2 / 2 within `knee`, its tangent beyond.
#[track_caller]
pub(super) fn bent(x: &Tensor, knee: f64, scale: f64) -> Tensor {
    // With t = min(|x|, knee) either part is t (|x| - t / 2), and the derivative is x limited to the knee.
    let out = no_grad(|| {
        let d = x.detach().abs();
        let t = d.clamp(0.0, knee);
        (d - &t * 0.5) * t * scale
    });
    let saved = x.save();
    record("huber", out, &[x], move |ctx| ctx.set(0, || ctx.grad() * (saved.clamp(-knee, knee) * scale)))
}
