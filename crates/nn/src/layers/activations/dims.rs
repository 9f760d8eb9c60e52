//! Activations along a dimension.

use crate::module::{Forward, Module, Scope};
use gradus_tensor::{Tensor, fail};

macro_rules! along_dim {
    ($($(#[$doc:meta])* $name:ident |$x:ident, $dim:ident| $f:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Module)]
        pub struct $name {
            dim: isize,
            scope: Scope,
        }

        impl $name {
            /// Along `dim`, counted from the end if negative.
            pub fn new(dim: isize) -> $name {
                $name { dim, scope: Scope::default() }
            }
        }

        impl Forward for $name {
            fn forward(&self, $x: &Tensor) -> Tensor {
                let _scope = self.scope.enter();
                let $dim = self.dim;
                $f
            }
        }
    )* };
}

along_dim! {
    /// e^x_i / sum_j e^x_j along one dimension: positive numbers that sum to 1, computed without overflow by taking
    /// the largest x out of all exponents.
    ///
    /// With s the result, the derivative of s_i by x_j is s_i (delta_ij - s_j).
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// # Panics
    /// `forward` panics if the input does not have the dimension.
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Softmax};
    /// use gradus_tensor::Tensor;
    /// let p = Softmax::new(1).forward(&Tensor::zeros([2, 4]));
    /// assert_eq!(p.to_vec::<f32>(), [0.25; 8]);
    /// ```
    Softmax |x, dim| x.softmax(dim);
    /// x_i - ln sum_j e^x_j along one dimension: what [`nll_loss`](crate::losses::nll_loss) takes.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// # Panics
    /// `forward` panics if the input does not have the dimension.
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, LogSoftmax};
    /// use gradus_tensor::Tensor;
    /// let log_p = LogSoftmax::new(-1).forward(&Tensor::from_slice(&[0.0f32, 1e4], [1, 2]));
    /// assert_eq!(log_p.to_vec::<f32>(), [-1e4, 0.0]);
    /// ```
    LogSoftmax |x, dim| x.log_softmax(dim);
    /// e^-x_i / sum_j e^-x_j along one dimension: the smallest element gets the largest share.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// # Panics
    /// `forward` panics if the input does not have the dimension.
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmin.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Softmin};
    /// use gradus_tensor::Tensor;
    /// let p = Softmin::new(0).forward(&Tensor::from_slice(&[-1e4f32, 1e4], [2]));
    /// assert_eq!(p.to_vec::<f32>(), [1.0, 0.0]);
    /// ```
    Softmin |x, dim| (-x).softmax(dim);
}

/// Softmax over the channels at every place of a picture: e^x_c / sum_k e^x_k.
///
/// # Shapes
/// `[N, C, H, W]` or `[C, H, W]` -> the same
///
/// # Panics
/// `forward` panics if the input has another rank.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax2d.html>.
///
/// ```
/// use gradus_nn::{Forward, Softmax2d};
/// use gradus_tensor::Tensor;
/// let p = Softmax2d::new().forward(&Tensor::zeros([1, 4, 2, 3]));
/// assert_eq!(p.at(&[0, 2, 1, 1]), 0.25);
/// ```
#[derive(Clone, Debug, Default, Module)]
pub struct Softmax2d {
    scope: Scope,
}

impl Softmax2d {
    /// Over the dimension before the last two.
    pub fn new() -> Softmax2d {
        Softmax2d::default()
    }
}

impl Forward for Softmax2d {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        if !matches!(x.rank(), 3 | 4) {
            fail("Softmax2d", format_args!("needs an input [N, C, H, W] or [C, H, W], got {}", x.shape()));
        }
        x.softmax(-3)
    }
}

/// The gated linear unit: a sigmoid(b), where a is the first half of the input along one dimension and b the second.
///
/// # Shapes
/// `[..., 2 n, ...]` -> `[..., n, ...]`
///
/// # Panics
/// `forward` panics if the input does not have the dimension or its extent is odd.
///
/// Source: Dauphin et al., 2016, <https://arxiv.org/abs/1612.08083>.
///
/// ```
/// use gradus_nn::{Forward, GLU};
/// use gradus_tensor::Tensor;
/// let y = GLU::new().forward(&Tensor::from_slice(&[3.0f32, 4.0, 0.0, 1e4], [1, 4]));
/// assert_eq!(y.to_vec::<f32>(), [1.5, 4.0]);
/// ```
#[derive(Clone, Debug, Module)]
pub struct GLU {
    dim: isize,
    scope: Scope,
}

impl GLU {
    /// Along the last dimension.
    pub fn new() -> GLU {
        GLU { dim: -1, scope: Scope::default() }
    }

    /// Along `dim`, counted from the end if negative (-1).
    pub fn dim(self, dim: isize) -> GLU {
        GLU { dim, ..self }
    }
}

impl Default for GLU {
    fn default() -> GLU {
        GLU::new()
    }
}

impl Forward for GLU {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let rank = x.rank() as isize;
        if !(-rank..rank).contains(&self.dim) || !x.size(self.dim).is_multiple_of(2) {
            let (dim, shape) = (self.dim, x.shape());
            fail("GLU", format_args!("needs an input with an even extent in dimension {dim}, got {shape}"));
        }
        let half = x.size(self.dim) / 2;
        x.narrow(self.dim, 0, half) * x.narrow(self.dim, half, half).sigmoid()
    }
}
