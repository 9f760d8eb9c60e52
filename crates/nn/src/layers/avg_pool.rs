//! Pooling by the mean.

use super::sizes::{IntoSizes, fixed};
use crate::module::{Forward, Module, Scope};
use gradus_tensor::{PoolConfig, Tensor};

/// Means of `[N, C, L]`; see [`AvgPool`].
pub type AvgPool1d = AvgPool<1>;
/// Means of `[N, C, H, W]`; see [`AvgPool`].
pub type AvgPool2d = AvgPool<2>;
/// Means of `[N, C, D, H, W]`; see [`AvgPool`].
pub type AvgPool3d = AvgPool<3>;

/// The mean of each window, channel by channel.
///
/// The windows lie side by side unless another stride is set. Padding counts as zeros.
///
/// # Shapes
/// `[N, C, size...]` -> `[N, C, (size + 2 padding - kernel) / stride + 1, ...]`, rounded down, or up in the
/// ceil mode (but a window must begin inside); also without N
///
/// # Panics
/// `forward` panics if the input has another rank or is smaller than the window.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html>.
///
/// ```
/// use gradus_nn::{AvgPool2d, Forward};
/// use gradus_tensor::Tensor;
/// let x = Tensor::arange(16).reshape([1, 1, 4, 4]);
/// assert_eq!(AvgPool2d::new(2).forward(&x).to_vec::<f32>(), [2.5, 4.5, 10.5, 12.5]);
/// ```
#[derive(Clone, Debug, Module)]
#[module(kind = "Self::KIND")]
pub struct AvgPool<const D: usize> {
    #[module(skip)]
    config: PoolConfig<D>,
    scope: Scope,
}

impl<const D: usize> AvgPool<D> {
    const KIND: &str = match D {
        1 => "AvgPool1d",
        2 => "AvgPool2d",
        3 => "AvgPool3d",
        _ => panic!("pooling is for 1, 2 or 3 dimensions"),
    };

    /// Windows of this size, side by side.
    pub fn new(kernel_size: impl IntoSizes<D>) -> Self {
        AvgPool { config: PoolConfig::new(kernel_size.into_sizes()), scope: Scope::default() }
    }

    /// Step of the window (its size).
    pub fn stride(mut self, stride: impl IntoSizes<D>) -> Self {
        self.config.stride = stride.into_sizes();
        self
    }

    /// Zeros added at both ends (0).
    pub fn padding(mut self, padding: impl IntoSizes<D>) -> Self {
        self.config.padding = padding.into_sizes();
        self
    }

    /// Whether a last window that leaves the input counts as well (no).
    pub fn ceil_mode(mut self, on: bool) -> Self {
        self.config.ceil_mode = on;
        self
    }

    /// Whether a mean counts the padding in its window (yes).
    pub fn count_include_pad(mut self, on: bool) -> Self {
        self.config.count_include_pad = on;
        self
    }

    /// What to divide by instead of the window's size.
    pub fn divisor_override(mut self, divisor: usize) -> Self {
        self.config.divisor_override = Some(divisor);
        self
    }
}

impl<const D: usize> Forward for AvgPool<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let c = &self.config;
        match D {
            1 => x.avg_pool1d(fixed(c)),
            2 => x.avg_pool2d(fixed(c)),
            _ => x.avg_pool3d(fixed(c)),
        }
    }
}
