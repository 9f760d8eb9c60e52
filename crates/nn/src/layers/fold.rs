//! Patches of images as columns, and back.

use super::sizes::IntoSizes;
use crate::module::{Forward, Module, Scope};
use gradus_tensor::{PoolConfig, Tensor};

macro_rules! options {
    ($name:ident) => {
        impl $name {
            /// Distance between the elements of a patch (1).
            pub fn dilation(mut self, dilation: impl IntoSizes<2>) -> $name {
                self.config.dilation = dilation.into_sizes();
                self
            }

            /// Zeros around the images (0).
            pub fn padding(mut self, padding: impl IntoSizes<2>) -> $name {
                self.config.padding = padding.into_sizes();
                self
            }

            /// Step from one patch to the next (1).
            pub fn stride(mut self, stride: impl IntoSizes<2>) -> $name {
                self.config.stride = stride.into_sizes();
                self
            }
        }
    };
}
options!(Unfold);
options!(Fold);

/// Every patch of images as a column (im2col), ordered by channel, then by place in the patch. A convolution is the
/// product of its weight, a row for each output channel, with these columns.
///
/// # Shapes
/// `[N, C, H, W]` -> `[N, C kh kw, L]` with L = the product of
/// `(size + 2 padding - dilation (kernel - 1) - 1) / stride + 1`; also without N
///
/// # Panics
/// `forward` panics if the input has another rank or is smaller than a patch.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Unfold.html>.
///
/// ```
/// use gradus_nn::{Forward, Unfold};
/// use gradus_tensor::Tensor;
/// let y = Unfold::new([2, 3]).forward(&Tensor::zeros([2, 5, 3, 4]));
/// assert_eq!(y.shape(), [2, 30, 4]);
/// ```
#[derive(Clone, Debug, Module)]
pub struct Unfold {
    #[module(skip)]
    config: PoolConfig<2>,
    scope: Scope,
}

impl Unfold {
    /// Patches of this size, one beginning at every place.
    pub fn new(kernel_size: impl IntoSizes<2>) -> Unfold {
        Unfold { config: PoolConfig::new(kernel_size.into_sizes()).stride([1, 1]), scope: Scope::default() }
    }
}

impl Forward for Unfold {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        x.unfold2d(self.config)
    }
}

/// Adds columns of patches back into images (col2im), where they overlap as sums: the adjoint of [`Unfold`].
///
/// # Shapes
/// `[N, C kh kw, L]` -> `[N, C, output_size...]`; also without N
///
/// # Panics
/// `forward` panics if the rows are no multiple of a patch's size or images of that size have another number of
/// patches.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Fold.html>.
///
/// ```
/// use gradus_nn::{Fold, Forward};
/// use gradus_tensor::Tensor;
/// let y = Fold::new([3, 3], 2).forward(&Tensor::ones([1, 4, 4]));
/// assert_eq!(y.to_vec::<f32>(), [1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0]);
/// ```
#[derive(Clone, Debug, Module)]
pub struct Fold {
    output_size: [usize; 2],
    #[module(skip)]
    config: PoolConfig<2>,
    scope: Scope,
}

impl Fold {
    /// Images of this size from patches of that size, one beginning at every place.
    pub fn new(output_size: impl IntoSizes<2>, kernel_size: impl IntoSizes<2>) -> Fold {
        let config = PoolConfig::new(kernel_size.into_sizes()).stride([1, 1]);
        Fold { output_size: output_size.into_sizes(), config, scope: Scope::default() }
    }
}

impl Forward for Fold {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        x.fold2d(self.output_size, self.config)
    }
}
