//! Convolutions with given kernels.

use super::conv::{Padding, PaddingMode, Windows};
use super::filters;
use super::sizes::IntoSizes;
use crate::module::{Buffer, Forward, Module, Scope};
use gradus_tensor::{DType, Tensor, fail};

/// A convolution whose kernels are given and not trained: each of the K kernels is run over each channel, so one
/// channel gives K outputs.
///
/// The kernels are not part of the state dict. [`filters`] has well-known ones.
///
/// # Shapes
/// `[N, C, H, W]` -> `[N, C K, H', W']` with extents as in [`Conv2d`](super::Conv2d), channel c under kernel k at
/// `c K + k`; also without N
///
/// # Panics
/// `forward` panics if the input has another rank or is smaller than the kernels.
///
/// ```
/// use gradus_nn::{FixedConv2d, Forward};
/// use gradus_tensor::Tensor;
/// // A picture that gets brighter from left to right has a horizontal gradient and no vertical one.
/// let ramp = Tensor::arange(5).broadcast_to([1, 1, 4, 5]);
/// let y = FixedConv2d::sobel().forward(&ramp);
/// assert_eq!(y.shape(), [1, 2, 2, 3]);
/// assert_eq!((y.at(&[0, 0, 0, 0]), y.at(&[0, 1, 0, 0])), (8.0, 0.0));
/// ```
#[derive(Debug, Module)]
pub struct FixedConv2d {
    /// `[K, kh, kw]`
    pub kernels: Buffer,
    #[module(skip)]
    windows: Windows<2>,
    scope: Scope,
}

impl FixedConv2d {
    /// With the kernels `[K, kh, kw]`, step 1 and no padding.
    ///
    /// # Panics
    /// If the kernels are not floats of that shape.
    #[track_caller]
    pub fn new(kernels: Tensor) -> FixedConv2d {
        if kernels.rank() != 3 || kernels.numel() == 0 || !kernels.dtype().is_float() {
            let (dtype, shape) = (kernels.dtype(), kernels.shape());
            fail("FixedConv2d", format_args!("needs kernels [K, kh, kw] of floats, got {dtype} {shape}"));
        }
        FixedConv2d { kernels: Buffer::transient(kernels), windows: Windows::default(), scope: Scope::default() }
    }

    /// With the two kernels of [`filters::sobel`]: two outputs for each channel.
    pub fn sobel() -> FixedConv2d {
        FixedConv2d::new(filters::sobel())
    }

    /// With high-pass kernels `[K, kh, kw]`. The values of each add up to zero, so that an even surface gives zero:
    /// the filter neither brightens nor darkens.
    ///
    /// # Panics
    /// If the sum of a kernel is not zero (to rounding).
    ///
    /// ```
    /// use gradus_nn::{FixedConv2d, Forward, filters};
    /// use gradus_tensor::Tensor;
    /// let layer = FixedConv2d::high_pass(filters::laplacian());
    /// assert_eq!(layer.forward(&Tensor::full([1, 1, 3, 3], 0.7)).abs().max().item(), 0.0);
    /// ```
    #[track_caller]
    pub fn high_pass(kernels: Tensor) -> FixedConv2d {
        let layer = FixedConv2d::new(kernels);
        let k = layer.kernels.to_dtype(DType::F64);
        let sums = k.sum_dim([1, 2], false).to_vec::<f64>();
        let sizes = k.abs().sum_dim([1, 2], false).to_vec::<f64>();
        for (i, (sum, size)) in sums.iter().zip(sizes).enumerate() {
            if sum.is_nan() || sum.abs() > 1e-6 * size {
                fail("FixedConv2d", format_args!("the values of high-pass kernel {i} add up to {sum}, not to 0"));
            }
        }
        layer
    }

    /// Step of the kernels over the input (1).
    ///
    /// # Panics
    /// If it is not 1 and the padding is [`Padding::Same`].
    #[track_caller]
    pub fn stride(mut self, stride: impl IntoSizes<2>) -> FixedConv2d {
        self.windows.config.stride = stride.into_sizes();
        self.windows.check_same("FixedConv2d");
        self
    }

    /// Positions added at both ends (0).
    ///
    /// # Panics
    /// If it is [`Padding::Same`] and the stride is not 1.
    #[track_caller]
    pub fn padding(mut self, padding: impl Into<Padding<2>>) -> FixedConv2d {
        self.windows.padding = padding.into();
        self.windows.check_same("FixedConv2d");
        self
    }

    /// What the positions added hold (zeros).
    pub fn padding_mode(mut self, mode: PaddingMode) -> FixedConv2d {
        self.windows.padding_mode = mode;
        self
    }
}

impl Forward for FixedConv2d {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        if x.rank() != 3 && x.rank() != 4 {
            fail("FixedConv2d", format_args!("needs [N, C, H, W] or [C, H, W], got an input {}", x.shape()));
        }
        let channels = x.size(-3);
        let mut windows = self.windows;
        windows.config.groups = channels;
        windows.convolve(x, &self.kernels.unsqueeze(1).repeat([channels, 1, 1, 1]), None)
    }
}
