//! Smooth L1 loss.

use super::huber::bent;
use super::{Reduction, check_same_shape};
use gradus_tensor::{Tensor, fail};

/// Options of [`smooth_l1_loss_with`].
#[derive(Clone, Copy, Debug)]
pub struct SmoothL1Options {
    /// The difference at which the quadratic part ends (1); 0 gives [`l1_loss`](super::l1_loss()).
    pub beta: f64,
    /// How the losses are made one.
    pub reduction: Reduction,
}

impl Default for SmoothL1Options {
    fn default() -> Self {
        SmoothL1Options { beta: 1.0, reduction: Reduction::Mean }
    }
}

/// Smooth L1 loss: the mean of d^2 / (2 beta) where d = |x - y| is below beta, of d - beta / 2 elsewhere.
///
/// It is [`huber_loss`](super::huber_loss()) divided by beta: the slope far from zero is 1 for every beta.
///
/// # Shapes
/// any and the same -> scalar
///
/// # Panics
/// If the shapes differ.
///
/// Source: Girshick, 2015, <https://arxiv.org/abs/1504.08083>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html>.
///
/// ```
/// use gradus_nn::losses::smooth_l1_loss;
/// use gradus_tensor::Tensor;
/// let x = Tensor::from_slice(&[0.5f32, 3.0], [2]);
/// assert_eq!(smooth_l1_loss(&x, &Tensor::zeros([2])).item(), (0.125 + 2.5) / 2.0);
/// ```
#[track_caller]
pub fn smooth_l1_loss(x: &Tensor, target: &Tensor) -> Tensor {
    smooth_l1_loss_with(x, target, SmoothL1Options::default())
}

/// [`smooth_l1_loss`] with another beta or reduction.
///
/// # Panics
/// If the shapes differ; if `beta` is negative.
#[track_caller]
pub fn smooth_l1_loss_with(x: &Tensor, target: &Tensor, options: SmoothL1Options) -> Tensor {
    const OP: &str = "smooth_l1_loss";
    let beta = options.beta;
    check_same_shape(OP, x, target);
    if beta.is_nan() || beta < 0.0 {
        fail(OP, format_args!("beta {beta} is negative"));
    }
    let losses = if beta == 0.0 { (x - target).abs() } else { bent(&(x - target), beta, 1.0 / beta) };
    options.reduction.apply(losses)
}
