//! Extents of kernels, strides and paddings.

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
