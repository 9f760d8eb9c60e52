//! Pooling to a given size.

use super::sizes::{IntoSizes, resized};
use crate::module::{Forward, Module, Scope};
use gradus_tensor::Tensor;

/// Means of `[N, C, L]` to a given size; see [`AdaptiveAvgPool`].
pub type AdaptiveAvgPool1d = AdaptiveAvgPool<1>;
/// Means of `[N, C, H, W]` to a given size; see [`AdaptiveAvgPool`].
pub type AdaptiveAvgPool2d = AdaptiveAvgPool<2>;
/// Means of `[N, C, D, H, W]` to a given size; see [`AdaptiveAvgPool`].
pub type AdaptiveAvgPool3d = AdaptiveAvgPool<3>;

/// Means over windows that divide the input as evenly as can be, whatever its size: output i covers
/// floor(i size / out) .. ceil((i + 1) size / out). To size 1 it is global average pooling: one mean a channel.
///
/// # Shapes
/// `[N, C, size...]` -> `[N, C, out...]`; also without N
///
/// # Panics
/// `forward` panics if the input has another rank.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html>.
///
/// ```
/// use gradus_nn::{AdaptiveAvgPool2d, Forward};
/// use gradus_tensor::Tensor;
/// let x = Tensor::arange(6).reshape([1, 1, 2, 3]);
/// assert_eq!(AdaptiveAvgPool2d::new([1, 2]).forward(&x).to_vec::<f32>(), [2.0, 3.0]);
/// ```
#[derive(Clone, Debug, Module)]
#[module(kind = "Self::KIND")]
pub struct AdaptiveAvgPool<const D: usize> {
    output_size: [usize; D],
    scope: Scope,
}

impl<const D: usize> AdaptiveAvgPool<D> {
    const KIND: &str = match D {
        1 => "AdaptiveAvgPool1d",
        2 => "AdaptiveAvgPool2d",
        3 => "AdaptiveAvgPool3d",
        _ => panic!("pooling is for 1, 2 or 3 dimensions"),
    };

    /// To this size.
    pub fn new(output_size: impl IntoSizes<D>) -> Self {
        AdaptiveAvgPool { output_size: output_size.into_sizes(), scope: Scope::default() }
    }
}

impl<const D: usize> Forward for AdaptiveAvgPool<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let out = &self.output_size;
        match D {
            1 => x.adaptive_avg_pool1d(resized(out)),
            2 => x.adaptive_avg_pool2d(resized(out)),
            _ => x.adaptive_avg_pool3d(resized(out)),
        }
    }
}
