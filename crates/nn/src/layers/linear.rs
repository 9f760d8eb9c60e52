//! Fully connected layer.

use super::reparametrize::HasWeight;
use crate::init::by_fan_in;
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{Tensor, fail};

/// A fully connected layer: y = x W^T + b.
///
/// Parameters: `weight` `[out, in]` and `bias` `[out]`, both begun evenly from ±1/sqrt(in).
///
/// # Shapes
/// `[..., in]` -> `[..., out]`
///
/// # Panics
/// `forward` panics if the last dimension of `x` is not `in`.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html>.
///
/// ```
/// use gradus_nn::{Forward, Linear};
/// use gradus_tensor::Tensor;
/// let layer = Linear::new(784, 128).bias(false);
/// assert_eq!(layer.forward(&Tensor::zeros([64, 784])).shape(), [64, 128]);
/// ```
#[derive(Debug, Module)]
pub struct Linear {
    /// `[out, in]`
    pub weight: Param,
    /// `[out]`
    pub bias: Option<Param>,
    scope: Scope,
}

impl Linear {
    /// A layer from `in_features` to `out_features` numbers, with a bias.
    pub fn new(in_features: usize, out_features: usize) -> Linear {
        let weight = Param::new(by_fan_in(&[out_features, in_features], in_features));
        let bias = Some(Param::new(by_fan_in(&[out_features], in_features)));
        Linear { weight, bias, scope: Scope::default() }
    }

    /// With or without a bias.
    pub fn bias(mut self, on: bool) -> Linear {
        match (on, &self.bias) {
            (false, _) => self.bias = None,
            (true, None) => self.bias = Some(Param::new(by_fan_in(&[self.out_features()], self.in_features()))),
            (true, Some(_)) => (),
        }
        self
    }

    /// Extent of the last dimension of the input.
    pub fn in_features(&self) -> usize {
        self.weight.size(1)
    }

    /// Extent of the last dimension of the output.
    pub fn out_features(&self) -> usize {
        self.weight.size(0)
    }
}

impl Forward for Linear {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with(x, &self.weight)
    }
}

impl HasWeight for Linear {
    fn weight(&self) -> &Param {
        &self.weight
    }

    fn weight_mut(&mut self) -> &mut Param {
        &mut self.weight
    }

    fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        if x.shape().last() != Some(&self.in_features()) {
            let (found, inputs) = (x.shape(), self.in_features());
            fail(
                "Linear",
                format_args!("needs an input [..., {inputs}] (the weight is {}), got {found}", self.weight.shape()),
            );
        }
        x.linear(weight, self.bias.as_deref())
    }
}
