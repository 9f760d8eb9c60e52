//! The rectifier with a random slope.

use crate::module::{Forward, Mode, Module, Scope};
use gradus_tensor::{Tensor, fail};

/// x for x > 0, a x otherwise: in training each a is drawn evenly from `lower .. upper`, in use it is their mean.
///
/// # Shapes
/// any -> the same
///
/// # Panics
/// `forward` panics if `lower` is above `upper`.
///
/// Source: Xu et al., 2015, <https://arxiv.org/abs/1505.00853>.
///
/// ```
/// use gradus_nn::{Forward, Module, RReLU};
/// use gradus_tensor::Tensor;
/// let layer = RReLU::new().lower(0.25).upper(0.75);
/// let x = Tensor::from_slice(&[-1.0f32, 2.0], [2]);
/// let y = layer.forward(&x).to_vec::<f32>();
/// assert!((-0.75..=-0.25).contains(&y[0]) && y[1] == 2.0);
/// layer.eval();
/// assert_eq!(layer.forward(&x).to_vec::<f32>(), [-0.5, 2.0]);
/// ```
#[derive(Clone, Debug, Module)]
pub struct RReLU {
    lower: f64,
    upper: f64,
    mode: Mode,
    scope: Scope,
}

impl RReLU {
    /// With slopes from 1/8 to 1/3.
    pub fn new() -> RReLU {
        RReLU { lower: 1.0 / 8.0, upper: 1.0 / 3.0, mode: Mode::default(), scope: Scope::default() }
    }

    /// Smallest slope (1/8).
    pub fn lower(self, lower: f64) -> RReLU {
        RReLU { lower, ..self }
    }

    /// Largest slope (1/3).
    pub fn upper(self, upper: f64) -> RReLU {
        RReLU { upper, ..self }
    }
}

impl Default for RReLU {
    fn default() -> RReLU {
        RReLU::new()
    }
}

impl Forward for RReLU {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let (lower, upper) = (self.lower, self.upper);
        if lower > upper {
            fail("RReLU", format_args!("lower {lower} is above upper {upper}"));
        }
        if !self.mode.is_training() {
            return x.leaky_relu((lower + upper) / 2.0);
        }
        let slopes = Tensor::uniform(lower, upper, x.shape()).to_dtype(x.dtype());
        x.gt_scalar(0.0).where_(x, &(x * slopes))
    }
}
