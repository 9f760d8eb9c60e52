//! Local response normalisation.

use crate::module::{Forward, Module, Scope};
use gradus_tensor::{PadMode, PoolConfig, Tensor, fail};

/// Divides each value by a power of the energy in the neighbouring channels at the same place:
/// `y[c] = x[c] (k + alpha / size * sum_j x[j]^2)^-beta`, j from c - size/2 to c + (size - 1)/2.
///
/// Channels beyond the ends count as zero. (The paper has alpha where PyTorch has alpha / size.)
///
/// # Shapes
/// `[N, C, L...]` -> the same
///
/// # Panics
/// `new` panics if `size` is 0; `forward` if the input has fewer than three dimensions.
///
/// Source: Krizhevsky, Sutskever and Hinton, 2012,
/// <https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks>.
///
/// ```
/// use gradus_nn::{Forward, LocalResponseNorm};
/// use gradus_tensor::Tensor;
/// let layer = LocalResponseNorm::new(1).alpha(1.0).beta(0.5).k(0.0);
/// let y = layer.forward(&Tensor::from_slice(&[3.0f32, -4.0], [1, 2, 1]));
/// assert!((y - Tensor::from_slice(&[1.0f32, -1.0], [1, 2, 1])).abs().max().item() < 1e-6);
/// ```
#[derive(Debug, Module)]
pub struct LocalResponseNorm {
    size: usize,
    alpha: f64,
    beta: f64,
    k: f64,
    scope: Scope,
}

impl LocalResponseNorm {
    /// Over `size` neighbouring channels, with alpha 1e-4, beta 0.75 and k 1.
    ///
    /// # Panics
    /// If `size` is 0.
    #[track_caller]
    pub fn new(size: usize) -> LocalResponseNorm {
        if size == 0 {
            fail("LocalResponseNorm", "needs a size of at least 1, got 0");
        }
        LocalResponseNorm { size, alpha: 1e-4, beta: 0.75, k: 1.0, scope: Scope::default() }
    }

    /// The factor of the energy (1e-4).
    pub fn alpha(mut self, alpha: f64) -> LocalResponseNorm {
        self.alpha = alpha;
        self
    }

    /// The exponent (0.75).
    pub fn beta(mut self, beta: f64) -> LocalResponseNorm {
        self.beta = beta;
        self
    }

    /// What is added to the energy (1).
    pub fn k(mut self, k: f64) -> LocalResponseNorm {
        self.k = k;
        self
    }
}

impl Forward for LocalResponseNorm {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let shape = x.shape();
        if shape.len() < 3 {
            fail("LocalResponseNorm", format_args!("needs an input [N, C, L...], got {shape}"));
        }
        if x.numel() == 0 {
            return x.clone();
        }
        // (N, C, L...) -> (N, 1, C, places): means over windows of channels
        let rows = x.square().reshape([shape[0], 1, shape[1], shape[2..].iter().product()]);
        let (before, after) = (self.size / 2, (self.size - 1) / 2);
        let padded = rows.pad(&[(before as isize, after as isize), (0, 0)], PadMode::Constant(0.0));
        let energy = padded.avg_pool2d(PoolConfig::new([self.size, 1]).stride([1, 1])).reshape(shape);
        x * (energy * self.alpha + self.k).pow(-self.beta)
    }
}
