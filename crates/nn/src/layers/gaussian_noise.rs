//! Gaussian noise on activations.

use crate::module::{Forward, Mode, Module, Scope};
use gradus_tensor::{Tensor, fail};

/// In training, adds normal noise of mean 0 and standard deviation `std` to each element, which regularises like a
/// penalty on the function's slope; in use, the identity.
///
/// For noise on the weights see [`WeightNoise`](crate::optim::WeightNoise).
///
/// # Shapes
/// any -> the same
///
/// Source: Bishop, 1995, <https://doi.org/10.1162/neco.1995.7.1.108>.
///
/// ```
/// use gradus_nn::{Forward, GaussianNoise, Module};
/// use gradus_tensor::Tensor;
/// let layer = GaussianNoise::new(0.1);
/// let noise = layer.forward(&Tensor::zeros([1000]));
/// assert!((noise.std(1).item() - 0.1).abs() < 0.02);
/// layer.eval();
/// assert_eq!(layer.forward(&Tensor::ones([3])).to_vec::<f32>(), [1.0; 3]);
/// ```
#[derive(Debug, Module)]
pub struct GaussianNoise {
    std: f64,
    mode: Mode,
    scope: Scope,
}

impl GaussianNoise {
    /// Noise of standard deviation `std`.
    ///
    /// # Panics
    /// If `std` is negative or not finite.
    #[track_caller]
    pub fn new(std: f64) -> GaussianNoise {
        if !(std >= 0.0 && std.is_finite()) {
            fail("GaussianNoise", format_args!("{std} is not a standard deviation"));
        }
        GaussianNoise { std, mode: Mode::default(), scope: Scope::default() }
    }
}

impl Forward for GaussianNoise {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        if !x.dtype().is_float() {
            fail("GaussianNoise", format_args!("needs float elements, got {}", x.dtype()));
        }
        if self.mode.is_training() && self.std > 0.0 { x + x.randn_like() * self.std } else { x.clone() }
    }
}
