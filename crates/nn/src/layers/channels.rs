//! Running averages of channels, and normalisation by them.

use gradus_tensor::{Tensor, no_grad};

/// (x - mean) / sqrt(var + eps) * weight + bias for `[N, C, ...]`, one number a channel each, in one product and one
/// sum of the operand.
pub(super) fn in_use(
    x: &Tensor,
    (mean, var): (&Tensor, &Tensor),
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Tensor {
    let inverse = (var + eps).rsqrt();
    let scale = weight.map_or(inverse.clone(), |w| w * &inverse);
    let shift = bias.map_or(-(mean * &scale), |b| b - mean * &scale);
    x.channel_affine(&scale, &shift)
}

/// Takes means and biased variances `[C]` over `n` values each into the running ones with this share; the running
/// variance is unbiased.
pub(super) fn blend(
    (running_mean, running_var): (&Tensor, &Tensor),
    (mean, var): (&Tensor, &Tensor),
    n: usize,
    share: f64,
) {
    no_grad(|| {
        let unbiased = n as f64 / (n as f64 - 1.0);
        for (running, batch, factor) in [(running_mean, mean, 1.0), (running_var, var, unbiased)] {
            running.mul_(1.0 - share);
            running.add_(batch, share * factor);
        }
    });
}
