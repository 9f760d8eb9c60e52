//! The rectifier with a learned slope.

use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{Tensor, fail};

/// x for x > 0, a x otherwise, with a learned slope a: one, or one a channel.
///
/// Parameter: `weight` `[num_parameters]`, begun at 0.25.
///
/// # Shapes
/// any -> the same; the channels are dimension 1 (of `[C]` the only one)
///
/// # Panics
/// `forward` panics if there is more than one slope and the input has another number of channels.
///
/// Source: He et al., 2015, <https://arxiv.org/abs/1502.01852>.
///
/// ```
/// use gradus_nn::{Forward, PReLU};
/// use gradus_tensor::Tensor;
/// let layer = PReLU::new().num_parameters(2).init(0.5);
/// let y = layer.forward(&Tensor::from_slice(&[-1.0f32, 2.0], [1, 2]));
/// assert_eq!(y.to_vec::<f32>(), [-0.5, 2.0]);
/// ```
#[derive(Debug, Module)]
pub struct PReLU {
    /// `[num_parameters]`
    pub weight: Param,
    scope: Scope,
}

impl PReLU {
    /// One slope for all elements, 0.25 at first.
    pub fn new() -> PReLU {
        PReLU { weight: Param::new(Tensor::full([1], 0.25)), scope: Scope::default() }
    }

    /// Number of slopes: 1, or that of the channels (1).
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn num_parameters(mut self, num_parameters: usize) -> PReLU {
        if num_parameters == 0 {
            fail("PReLU", "needs at least one slope");
        }
        self.weight = Param::new(Tensor::full([num_parameters], self.weight.at(&[0])));
        self
    }

    /// The slopes at first (0.25).
    pub fn init(mut self, init: f64) -> PReLU {
        self.weight = Param::new(self.weight.full_like(init));
        self
    }
}

impl Default for PReLU {
    fn default() -> PReLU {
        PReLU::new()
    }
}

impl Forward for PReLU {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let slopes = self.weight.numel();
        let channel = 1.min(x.rank().saturating_sub(1));
        if slopes > 1 && x.shape().get(channel) != Some(&slopes) {
            fail("PReLU", format_args!("needs an input [N, {slopes}, ...], got {}", x.shape()));
        }
        let mut shape = vec![1; x.rank()];
        if let Some(n) = shape.get_mut(channel) {
            *n = slopes;
        }
        x.gt_scalar(0.0).where_(x, &(x * self.weight.reshape(shape)))
    }
}
