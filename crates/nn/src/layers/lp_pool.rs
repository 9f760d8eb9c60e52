//! Pooling by a power mean.

use super::sizes::{IntoSizes, fixed};
use crate::module::{Forward, Module, Scope};
use gradus_tensor::{PoolConfig, Tensor, fail};

/// Power means of `[N, C, L]`; see [`LPPool`].
pub type LPPool1d = LPPool<1>;
/// Power means of `[N, C, H, W]`; see [`LPPool`].
pub type LPPool2d = LPPool<2>;
/// Power means of `[N, C, D, H, W]`; see [`LPPool`].
pub type LPPool3d = LPPool<3>;

/// The root of the sum of powers of each window, channel by channel: `(sum x^p)^(1/p)`.
///
/// p = 1 is sum pooling; towards infinity it becomes max pooling of positive elements. Where a sum is zero, the
/// gradient is taken as zero; where a sum is negative (p is odd), the root is NaN unless p = 1.
///
/// # Shapes
/// `[N, C, size...]` -> `[N, C, (size - kernel) / stride + 1, ...]`, rounded down, or up in the ceil mode (but a
/// window must begin inside); also without N
///
/// # Panics
/// `forward` panics if the input has another rank or is smaller than the window.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool2d.html>, down to its ceil mode:
/// there the sum of a window that leaves the input is scaled up to the full size of the window.
///
/// ```
/// use gradus_nn::{Forward, LPPool1d};
/// use gradus_tensor::Tensor;
/// let x = Tensor::from_slice(&[3.0f32, 4.0, 0.0, 0.0], [1, 1, 4]);
/// assert_eq!(LPPool1d::new(2.0, 2).forward(&x).to_vec::<f32>(), [5.0, 0.0]);
/// ```
#[derive(Clone, Debug, Module)]
#[module(kind = "Self::KIND")]
pub struct LPPool<const D: usize> {
    norm_type: f64,
    #[module(skip)]
    config: PoolConfig<D>,
    scope: Scope,
}

impl<const D: usize> LPPool<D> {
    const KIND: &str = match D {
        1 => "LPPool1d",
        2 => "LPPool2d",
        3 => "LPPool3d",
        _ => panic!("pooling is for 1, 2 or 3 dimensions"),
    };

    /// With the power `norm_type` over windows of this size, side by side.
    ///
    /// # Panics
    /// If the power is not a positive number.
    #[track_caller]
    pub fn new(norm_type: f64, kernel_size: impl IntoSizes<D>) -> Self {
        if !(norm_type > 0.0 && norm_type.is_finite()) {
            fail(Self::KIND, format_args!("the power {norm_type} is not positive and finite"));
        }
        LPPool { norm_type, config: PoolConfig::new(kernel_size.into_sizes()), scope: Scope::default() }
    }

    /// Step of the window (its size).
    pub fn stride(mut self, stride: impl IntoSizes<D>) -> Self {
        self.config.stride = stride.into_sizes();
        self
    }

    /// Whether a last window that leaves the input counts as well (no).
    pub fn ceil_mode(mut self, on: bool) -> Self {
        self.config.ceil_mode = on;
        self
    }
}

impl<const D: usize> Forward for LPPool<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let (p, c) = (self.norm_type, &self.config);
        let powers = x.pow(p);
        let means = match D {
            1 => powers.avg_pool1d(fixed(c)),
            2 => powers.avg_pool2d(fixed(c)),
            _ => powers.avg_pool3d(fixed(c)),
        };
        let sums = means * c.kernel.iter().product::<usize>() as f64;
        // The root has no derivative at 0: give it a constant 0 there.
        let zero = sums.eq_scalar(0.0);
        sums.masked_fill(&zero, 1.0).pow(1.0 / p).masked_fill(&zero, 0.0)
    }
}
