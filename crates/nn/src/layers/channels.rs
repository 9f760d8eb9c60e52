//! Normalisation of channels by numbers that do not come from the input.

use gradus_tensor::Tensor;

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
    // (C) -> (C, 1, ...), to be broadcast against (N, C, ...)
    let mut channels = vec![1; x.rank() - 1];
    channels[0] = mean.numel();
    x * scale.reshape(&channels[..]) + shift.reshape(channels)
}
