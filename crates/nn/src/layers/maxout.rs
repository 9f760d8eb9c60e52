//! The largest of several linear functions.

use crate::init::by_fan_in;
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{Tensor, fail};

/// The largest of k linear functions of the input: y_j = max_k (W_k x + b_k)_j, a learned convex activation.
///
/// Parameters: `weight` `[k, out, in]` and `bias` `[k, out]`, both begun evenly from ±1/sqrt(in).
///
/// # Shapes
/// `[..., in]` -> `[..., out]`
///
/// # Panics
/// `forward` panics if the last dimension of `x` is not `in`.
///
/// Source: Goodfellow et al., 2013, <https://arxiv.org/abs/1302.4389>.
///
/// ```
/// use gradus_nn::{Forward, Maxout};
/// use gradus_tensor::Tensor;
/// let layer = Maxout::new(8, 4).k(3);
/// assert_eq!(layer.weight.shape(), [3, 4, 8]);
/// assert_eq!(layer.forward(&Tensor::zeros([5, 8])).shape(), [5, 4]);
/// ```
#[derive(Debug, Module)]
pub struct Maxout {
    /// `[k, out, in]`
    pub weight: Param,
    /// `[k, out]`
    pub bias: Option<Param>,
    scope: Scope,
}

impl Maxout {
    /// From `in_features` to `out_features` numbers, each the larger of two linear functions with a bias.
    pub fn new(in_features: usize, out_features: usize) -> Maxout {
        let (weight, bias) = begin(2, in_features, out_features, true);
        Maxout { weight, bias, scope: Scope::default() }
    }

    /// Number of linear functions (2). The parameters are begun anew.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn k(mut self, k: usize) -> Maxout {
        if k == 0 {
            fail("Maxout", "needs at least one linear function");
        }
        (self.weight, self.bias) = begin(k, self.weight.size(2), self.weight.size(1), self.bias.is_some());
        self
    }

    /// With or without a bias (with). The parameters are begun anew.
    pub fn bias(mut self, on: bool) -> Maxout {
        (self.weight, self.bias) = begin(self.weight.size(0), self.weight.size(2), self.weight.size(1), on);
        self
    }
}

fn begin(k: usize, inputs: usize, outputs: usize, with_bias: bool) -> (Param, Option<Param>) {
    let weight = Param::new(by_fan_in(&[k, outputs, inputs], inputs));
    (weight, with_bias.then(|| Param::new(by_fan_in(&[k, outputs], inputs))))
}

impl Forward for Maxout {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let (k, outputs, inputs) = (self.weight.size(0), self.weight.size(1), self.weight.size(2));
        if x.shape().last() != Some(&inputs) {
            let (found, weight) = (x.shape(), self.weight.shape());
            fail("Maxout", format_args!("needs an input [..., {inputs}] (the weight is {weight}), got {found}"));
        }
        let bias = self.bias.as_ref().map(|b| b.reshape([k * outputs]));
        let pieces = x.linear(&self.weight.reshape([k * outputs, inputs]), bias.as_ref());
        let mut shape = x.shape().to_vec();
        shape.pop();
        shape.extend([k, outputs]);
        pieces.reshape(shape).amax([-2], false)
    }
}
