//! Convolutions in two steps: space, then channels.

use super::conv::{Conv, Padding, PaddingMode};
use super::sizes::IntoSizes;
use crate::module::{Forward, Module, Scope};
use gradus_tensor::Tensor;

/// Depthwise-separable convolution of `[N, C, L]`; see [`DepthwiseSeparableConv`].
pub type DepthwiseSeparableConv1d = DepthwiseSeparableConv<1>;
/// Depthwise-separable convolution of `[N, C, H, W]`; see [`DepthwiseSeparableConv`].
pub type DepthwiseSeparableConv2d = DepthwiseSeparableConv<2>;
/// Depthwise-separable convolution of `[N, C, D, H, W]`; see [`DepthwiseSeparableConv`].
pub type DepthwiseSeparableConv3d = DepthwiseSeparableConv<3>;

/// A depthwise convolution, which gives each channel a kernel of its own, and a pointwise one (kernel 1), which
/// mixes the channels: `y = pointwise(depthwise(x))`.
///
/// It has `in * kernel + in * out` weights where a plain convolution has `in * out * kernel`.
///
/// # Shapes
/// as [`Conv`]
///
/// # Panics
/// as [`Conv`]
///
/// Source: Howard et al., 2017 (MobileNet), <https://arxiv.org/abs/1704.04861>; there batch norm and ReLU follow each
/// of the two.
///
/// ```
/// use gradus_nn::{DepthwiseSeparableConv2d, Forward, Module};
/// use gradus_tensor::Tensor;
/// let layer = DepthwiseSeparableConv2d::new(8, 16, 3).padding(1).stride(2).bias(false);
/// assert_eq!(layer.forward(&Tensor::zeros([1, 8, 10, 10])).shape(), [1, 16, 5, 5]);
/// assert_eq!(layer.num_parameters(), 8 * 9 + 8 * 16);
/// ```
#[derive(Debug, Module)]
#[module(kind = "Self::KIND")]
pub struct DepthwiseSeparableConv<const D: usize> {
    /// One kernel a channel.
    pub depthwise: Conv<D>,
    /// Kernels of size 1.
    pub pointwise: Conv<D>,
    scope: Scope,
}

impl<const D: usize> DepthwiseSeparableConv<D> {
    const KIND: &str = match D {
        1 => "DepthwiseSeparableConv1d",
        2 => "DepthwiseSeparableConv2d",
        3 => "DepthwiseSeparableConv3d",
        _ => panic!("convolutions have 1, 2 or 3 dimensions"),
    };

    /// From `in_channels` to `out_channels` with depthwise kernels of this size, step 1, no padding, and biases.
    pub fn new(in_channels: usize, out_channels: usize, kernel_size: impl IntoSizes<D>) -> Self {
        let depthwise = Conv::new(in_channels, in_channels, kernel_size).groups(in_channels);
        let pointwise = Conv::new(in_channels, out_channels, 1);
        DepthwiseSeparableConv { depthwise, pointwise, scope: Scope::default() }
    }

    /// Step of the depthwise kernels over the input (1).
    #[track_caller]
    pub fn stride(mut self, stride: impl IntoSizes<D>) -> Self {
        self.depthwise = self.depthwise.stride(stride);
        self
    }

    /// Positions added at both ends before the depthwise kernels (0).
    #[track_caller]
    pub fn padding(mut self, padding: impl Into<Padding<D>>) -> Self {
        self.depthwise = self.depthwise.padding(padding);
        self
    }

    /// What the positions added hold (zeros).
    pub fn padding_mode(mut self, mode: PaddingMode) -> Self {
        self.depthwise = self.depthwise.padding_mode(mode);
        self
    }

    /// Distance between the elements of the depthwise kernels (1).
    pub fn dilation(mut self, dilation: impl IntoSizes<D>) -> Self {
        self.depthwise = self.depthwise.dilation(dilation);
        self
    }

    /// With or without biases.
    pub fn bias(mut self, on: bool) -> Self {
        self.depthwise = self.depthwise.bias(on);
        self.pointwise = self.pointwise.bias(on);
        self
    }
}

impl<const D: usize> Forward for DepthwiseSeparableConv<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.pointwise.forward(&self.depthwise.forward(x))
    }
}
