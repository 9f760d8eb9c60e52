//! Batch normalisation by fixed statistics.

use gradus_nn::{Buffer, Forward, Module, Scope};
use gradus_tensor::Tensor;

/// Batch normalisation whose statistics, scale and shift are all fixed: for a backbone that was trained with large
/// batches and is trained further with small ones.
///
/// y = (x - running_mean) / sqrt(running_var + eps) * weight + bias, in training as in use. All four are buffers
/// `[C]`, so that no optimiser changes them.
///
/// # Shapes
/// `[N, C, H, W]` -> the same
///
/// # Panics
/// `forward` panics if the input has another number of channels.
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.ops.FrozenBatchNorm2d.html>.
///
/// ```
/// use gradus_models::FrozenBatchNorm2d;
/// use gradus_nn::{Forward, Module};
/// use gradus_tensor::Tensor;
/// let norm = FrozenBatchNorm2d::new(3);
/// assert_eq!((norm.num_parameters(), norm.state_dict().len()), (0, 4));
/// let y = norm.forward(&Tensor::ones([1, 3, 2, 2]));
/// assert!((y.max().item() - 1.0).abs() < 1e-5);
/// ```
#[derive(Debug, Module)]
pub struct FrozenBatchNorm2d {
    /// `[C]`, ones at first.
    pub weight: Buffer,
    /// `[C]`, zeros at first.
    pub bias: Buffer,
    /// `[C]`, zeros at first.
    pub running_mean: Buffer,
    /// `[C]`, ones at first.
    pub running_var: Buffer,
    eps: f64,
    scope: Scope,
}

impl FrozenBatchNorm2d {
    /// For `num_features` channels, with eps 1e-5.
    pub fn new(num_features: usize) -> FrozenBatchNorm2d {
        let (zeros, ones) =
            (|| Buffer::new(Tensor::zeros([num_features])), || Buffer::new(Tensor::ones([num_features])));
        FrozenBatchNorm2d {
            weight: ones(),
            bias: zeros(),
            running_mean: zeros(),
            running_var: ones(),
            eps: 1e-5,
            scope: Scope::default(),
        }
    }

    /// What is added to the variance (1e-5).
    pub fn eps(mut self, eps: f64) -> FrozenBatchNorm2d {
        self.eps = eps;
        self
    }
}

impl Forward for FrozenBatchNorm2d {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let scale = self.weight.tensor() * (self.running_var.tensor() + self.eps).rsqrt();
        let shift = self.bias.tensor() - self.running_mean.tensor() * &scale;
        x.channel_affine(&scale, &shift) // (N, C, H, W)
    }
}
