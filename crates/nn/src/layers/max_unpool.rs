//! The way back from pooling by the largest element.

use super::sizes::{IntoSizes, resized};
use crate::module::{Module, Scope};
use gradus_tensor::{Tensor, fail};

/// The way back from [`MaxPool1d`](super::MaxPool1d); see [`MaxUnpool`].
pub type MaxUnpool1d = MaxUnpool<1>;
/// The way back from [`MaxPool2d`](super::MaxPool2d); see [`MaxUnpool`].
pub type MaxUnpool2d = MaxUnpool<2>;
/// The way back from [`MaxPool3d`](super::MaxPool3d); see [`MaxUnpool`].
pub type MaxUnpool3d = MaxUnpool<3>;

/// Puts each element back to the place it was the maximum of, and zeros elsewhere.
///
/// The places come from [`MaxPool::forward_with_indices`](super::MaxPool::forward_with_indices). The result is
/// sparse, so a convolution commonly follows. Of several elements for one place the last stays.
///
/// # Shapes
/// `[N, C, size...]` and places of the same shape -> `[N, C, (size - 1) stride - 2 padding + kernel, ...]`, or
/// `[N, C, output_size...]` where that is given; also without N
///
/// # Panics
/// `forward` panics if the shapes differ, the input has another rank, or a place lies outside the output.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool2d.html>;
/// Zeiler and Fergus, 2014, <https://arxiv.org/abs/1311.2901>.
///
/// ```
/// use gradus_nn::{MaxPool2d, MaxUnpool2d};
/// use gradus_tensor::Tensor;
/// let x = Tensor::from_slice(&[1.0f32, 4.0, 2.0, 3.0], [1, 1, 2, 2]);
/// let (y, indices) = MaxPool2d::new(2).forward_with_indices(&x);
/// assert_eq!(MaxUnpool2d::new(2).forward(&y, &indices).to_vec::<f32>(), [0.0, 4.0, 0.0, 0.0]);
/// ```
#[derive(Clone, Debug, Module)]
#[module(kind = "Self::KIND")]
pub struct MaxUnpool<const D: usize> {
    kernel_size: [usize; D],
    stride: [usize; D],
    padding: [usize; D],
    scope: Scope,
}

impl<const D: usize> MaxUnpool<D> {
    const KIND: &str = match D {
        1 => "MaxUnpool1d",
        2 => "MaxUnpool2d",
        3 => "MaxUnpool3d",
        _ => panic!("pooling is for 1, 2 or 3 dimensions"),
    };

    /// For windows of this size that lay side by side.
    pub fn new(kernel_size: impl IntoSizes<D>) -> Self {
        let kernel_size = kernel_size.into_sizes();
        MaxUnpool { kernel_size, stride: kernel_size, padding: [0; D], scope: Scope::default() }
    }

    /// Step of the pooling's window (its size).
    pub fn stride(mut self, stride: impl IntoSizes<D>) -> Self {
        self.stride = stride.into_sizes();
        self
    }

    /// The pooling's padding (0).
    pub fn padding(mut self, padding: impl IntoSizes<D>) -> Self {
        self.padding = padding.into_sizes();
        self
    }

    /// The elements of `x` at the places `indices` (i64), in the smallest output whose pooling gives this shape.
    ///
    /// # Panics
    /// If the shapes do not fit or a place lies outside.
    pub fn forward(&self, x: &Tensor, indices: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let shape = self.spatial(x);
        let size = std::array::from_fn(|d| {
            let reach = shape[d].saturating_sub(1) * self.stride[d] + self.kernel_size[d];
            reach.saturating_sub(2 * self.padding[d])
        });
        self.place(x, indices, &size)
    }

    /// As [`MaxUnpool::forward`], in an output of the spatial extents `output_size`: pooling rounds down, so
    /// several sizes give one.
    ///
    /// # Panics
    /// As [`MaxUnpool::forward`].
    pub fn forward_to(&self, x: &Tensor, indices: &Tensor, output_size: impl IntoSizes<D>) -> Tensor {
        let _scope = self.scope.enter();
        self.spatial(x);
        self.place(x, indices, &output_size.into_sizes())
    }

    fn spatial(&self, x: &Tensor) -> [usize; D] {
        let shape = x.shape();
        if shape.len() != D + 1 && shape.len() != D + 2 {
            fail(Self::KIND, format_args!("needs {} or {} dimensions, got an input {shape}", D + 1, D + 2));
        }
        std::array::from_fn(|d| shape[shape.len() - D + d])
    }

    fn place(&self, x: &Tensor, indices: &Tensor, size: &[usize; D]) -> Tensor {
        match D {
            1 => x.max_unpool1d(indices, resized(size)),
            2 => x.max_unpool2d(indices, resized(size)),
            _ => x.max_unpool3d(indices, resized(size)),
        }
    }
}
