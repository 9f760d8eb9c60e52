//! Extents of kernels, strides and paddings.

use gradus_tensor::PoolConfig;

/// One number for every spatial dimension, or one number each: `3` or `[3, 5]`.
pub trait IntoSizes<const D: usize> {
    /// One number each.
    fn into_sizes(self) -> [usize; D];
}

impl<const D: usize> IntoSizes<D> for usize {
    fn into_sizes(self) -> [usize; D] {
        [self; D]
    }
}

impl<const D: usize> IntoSizes<D> for [usize; D] {
    fn into_sizes(self) -> [usize; D] {
        self
    }
}

/// `D` numbers as the `N` = `D` that an operation for a fixed number of dimensions takes.
pub(super) fn resized<const D: usize, const N: usize>(sizes: &[usize; D]) -> [usize; N] {
    std::array::from_fn(|i| sizes[i])
}

/// As [`resized`], for the windows of a pooling.
pub(super) fn fixed<const D: usize, const N: usize>(c: &PoolConfig<D>) -> PoolConfig<N> {
    PoolConfig {
        kernel: resized(&c.kernel),
        stride: resized(&c.stride),
        padding: resized(&c.padding),
        dilation: resized(&c.dilation),
        ceil_mode: c.ceil_mode,
        count_include_pad: c.count_include_pad,
        divisor_override: c.divisor_override,
    }
}
