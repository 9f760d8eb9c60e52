//! What the normalisations share.

use crate::module::Param;
use gradus_tensor::Tensor;

/// `x` less its mean over `dims`, divided by the root of its (biased) variance plus `eps`; then the mean and
/// the variance, with `dims` kept at extent 1.
pub(super) fn standardise(x: &Tensor, dims: &[isize], eps: f64) -> (Tensor, Tensor, Tensor) {
    let mean = x.mean_dim(dims, true);
    let centred = x - &mean;
    let var = centred.square().mean_dim(dims, true);
    (centred * (&var + eps).rsqrt(), mean, var)
}

/// `x * weight + bias`, each of which may be missing.
pub(super) fn scale_and_shift(x: Tensor, weight: Option<Tensor>, bias: Option<Tensor>) -> Tensor {
    let scaled = match weight {
        Some(w) => x * w,
        None => x,
    };
    match bias {
        Some(b) => scaled + b,
        None => scaled,
    }
}

/// A parameter of one number a channel, to be broadcast against `[N, C, ...]` of this rank.
pub(super) fn by_channel(parameter: &Option<Param>, rank: usize) -> Option<Tensor> {
    parameter.as_ref().map(|p| along_channels(p, rank))
}

/// One number a channel, `[C]`, as `[C, 1, ...]`, to be broadcast against `[N, C, ...]` of this rank.
pub(super) fn along_channels(t: &Tensor, rank: usize) -> Tensor {
    let mut shape = vec![1; rank - 1];
    shape[0] = t.numel();
    t.reshape(shape)
}
