//! Pooling by the largest element.

use super::sizes::{IntoSizes, fixed};
use crate::module::{Forward, Module, Scope};
use gradus_tensor::{PoolConfig, Tensor};

/// Maxima of `[N, C, L]`; see [`MaxPool`].
pub type MaxPool1d = MaxPool<1>;
/// Maxima of `[N, C, H, W]`; see [`MaxPool`].
pub type MaxPool2d = MaxPool<2>;
/// Maxima of `[N, C, D, H, W]`; see [`MaxPool`].
pub type MaxPool3d = MaxPool<3>;

/// The largest element of each window, channel by channel.
///
/// The windows lie side by side unless another stride is set. Padding counts as negative infinity.
///
/// # Shapes
/// `[N, C, size...]` -> `[N, C, (size + 2 padding - dilation (kernel - 1) - 1) / stride + 1, ...]`, rounded
/// down, or up in the ceil mode (but a window must begin inside); also without N
///
/// # Panics
/// `forward` panics if the input has another rank or is smaller than the window, or a dilated window has all its
/// elements in the padding.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html>.
///
/// ```
/// use gradus_nn::{Forward, MaxPool2d};
/// use gradus_tensor::Tensor;
/// let x = Tensor::arange(16).reshape([1, 1, 4, 4]);
/// assert_eq!(MaxPool2d::new(2).forward(&x).to_vec::<f32>(), [5.0, 7.0, 13.0, 15.0]);
/// ```
#[derive(Clone, Debug, Module)]
#[module(kind = "Self::KIND")]
pub struct MaxPool<const D: usize> {
    #[module(skip)]
    config: PoolConfig<D>,
    scope: Scope,
}

impl<const D: usize> MaxPool<D> {
    const KIND: &str = match D {
        1 => "MaxPool1d",
        2 => "MaxPool2d",
        3 => "MaxPool3d",
        _ => panic!("pooling is for 1, 2 or 3 dimensions"),
    };

    /// Windows of this size, side by side.
    pub fn new(kernel_size: impl IntoSizes<D>) -> Self {
        MaxPool { config: PoolConfig::new(kernel_size.into_sizes()), scope: Scope::default() }
    }

    /// Step of the window (its size).
    pub fn stride(mut self, stride: impl IntoSizes<D>) -> Self {
        self.config.stride = stride.into_sizes();
        self
    }

    /// Positions added at both ends (0).
    pub fn padding(mut self, padding: impl IntoSizes<D>) -> Self {
        self.config.padding = padding.into_sizes();
        self
    }

    /// Distance between the elements of the window (1).
    pub fn dilation(mut self, dilation: impl IntoSizes<D>) -> Self {
        self.config.dilation = dilation.into_sizes();
        self
    }

    /// Whether a last window that leaves the input counts as well (no).
    pub fn ceil_mode(mut self, on: bool) -> Self {
        self.config.ceil_mode = on;
        self
    }

    /// As `forward`, with the places (i64) of the elements in their flat input planes, for
    /// [`MaxUnpool`](super::MaxUnpool).
    ///
    /// # Panics
    /// As `forward`.
    pub fn forward_with_indices(&self, x: &Tensor) -> (Tensor, Tensor) {
        let _scope = self.scope.enter();
        let c = &self.config;
        match D {
            1 => x.max_pool1d_with_indices(fixed(c)),
            2 => x.max_pool2d_with_indices(fixed(c)),
            _ => x.max_pool3d_with_indices(fixed(c)),
        }
    }
}

impl<const D: usize> Forward for MaxPool<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with_indices(x).0
    }
}
