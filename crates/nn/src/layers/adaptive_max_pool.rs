//! Pooling to a given size by the largest element.

use super::sizes::{IntoSizes, resized};
use crate::module::{Forward, Module, Scope};
use gradus_tensor::Tensor;

/// Maxima of `[N, C, L]` to a given size; see [`AdaptiveMaxPool`].
pub type AdaptiveMaxPool1d = AdaptiveMaxPool<1>;
/// Maxima of `[N, C, H, W]` to a given size; see [`AdaptiveMaxPool`].
pub type AdaptiveMaxPool2d = AdaptiveMaxPool<2>;
/// Maxima of `[N, C, D, H, W]` to a given size; see [`AdaptiveMaxPool`].
pub type AdaptiveMaxPool3d = AdaptiveMaxPool<3>;

/// The largest elements of windows that divide the input as evenly as can be, whatever its size: output i covers
/// floor(i size / out) .. ceil((i + 1) size / out).
///
/// # Shapes
/// `[N, C, size...]` -> `[N, C, out...]`; also without N
///
/// # Panics
/// `forward` panics if the input has another rank.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool2d.html>.
///
/// ```
/// use gradus_nn::{AdaptiveMaxPool2d, Forward};
/// use gradus_tensor::Tensor;
/// let x = Tensor::arange(6).reshape([1, 1, 2, 3]);
/// assert_eq!(AdaptiveMaxPool2d::new([1, 2]).forward(&x).to_vec::<f32>(), [4.0, 5.0]);
/// ```
#[derive(Clone, Debug, Module)]
#[module(kind = "Self::KIND")]
pub struct AdaptiveMaxPool<const D: usize> {
    output_size: [usize; D],
    scope: Scope,
}

impl<const D: usize> AdaptiveMaxPool<D> {
    const KIND: &str = match D {
        1 => "AdaptiveMaxPool1d",
        2 => "AdaptiveMaxPool2d",
        3 => "AdaptiveMaxPool3d",
        _ => panic!("pooling is for 1, 2 or 3 dimensions"),
    };

    /// To this size.
    pub fn new(output_size: impl IntoSizes<D>) -> Self {
        AdaptiveMaxPool { output_size: output_size.into_sizes(), scope: Scope::default() }
    }

    /// As `forward`, with the places (i64) of the elements in their flat input planes.
    ///
    /// # Panics
    /// As `forward`.
    pub fn forward_with_indices(&self, x: &Tensor) -> (Tensor, Tensor) {
        let _scope = self.scope.enter();
        let out = &self.output_size;
        match D {
            1 => x.adaptive_max_pool1d_with_indices(resized(out)),
            2 => x.adaptive_max_pool2d_with_indices(resized(out)),
            _ => x.adaptive_max_pool3d_with_indices(resized(out)),
        }
    }
}

impl<const D: usize> Forward for AdaptiveMaxPool<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with_indices(x).0
    }
}
