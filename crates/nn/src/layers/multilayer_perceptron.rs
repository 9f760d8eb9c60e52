//! A stack of fully connected layers.

use super::activations::Heaviside;
use super::linear::Linear;
use crate::module::{Forward, Module, Scope};
use gradus_tensor::{Tensor, fail};

/// A stack of fully connected layers, each followed by an activation: h_l = g(W_l h_(l-1) + b_l), h_0 = x.
///
/// Both g, that of the hidden layers and that of the last, can be changed. As in the first such networks they are
/// [`Heaviside`] at first, which has no gradient: to train the stack, put in a differentiable one.
///
/// Parameters: those of [`Linear`], named `layers.0.weight`, `layers.0.bias`, `layers.1.weight`, ...
///
/// # Shapes
/// `[..., sizes[0]]` -> `[..., sizes[last]]`
///
/// # Panics
/// `forward` panics if the last dimension of `x` is not the first of the sizes.
///
/// Source: Rumelhart et al., 1986, <https://doi.org/10.1038/323533a0>.
///
/// ```
/// use gradus_nn::{Forward, Identity, MultilayerPerceptron, Tanh};
/// use gradus_tensor::Tensor;
/// let model = MultilayerPerceptron::new([2, 8, 8, 1]).activation(Tanh).output_activation(Identity);
/// assert_eq!(model.forward(&Tensor::zeros([5, 2])).shape(), [5, 1]);
/// ```
#[derive(Module)]
pub struct MultilayerPerceptron {
    /// The linear maps.
    pub layers: Vec<Linear>,
    activation: Box<dyn Forward>,
    output_activation: Box<dyn Forward>,
    scope: Scope,
}

impl MultilayerPerceptron {
    /// Layers between these numbers of units, the inputs first.
    ///
    /// # Panics
    /// If there are fewer than two numbers.
    #[track_caller]
    pub fn new(sizes: impl AsRef<[usize]>) -> MultilayerPerceptron {
        let sizes = sizes.as_ref();
        if sizes.len() < 2 {
            fail("MultilayerPerceptron", format_args!("needs the numbers of inputs and of outputs, got {sizes:?}"));
        }
        MultilayerPerceptron {
            layers: sizes.windows(2).map(|pair| Linear::new(pair[0], pair[1])).collect(),
            activation: Box::new(Heaviside),
            output_activation: Box::new(Heaviside),
            scope: Scope::default(),
        }
    }

    /// The activation behind every layer but the last ([`Heaviside`]). If it has parameters, these layers share them.
    pub fn activation(mut self, activation: impl Forward + 'static) -> MultilayerPerceptron {
        self.activation = Box::new(activation);
        self
    }

    /// The activation behind the last layer ([`Heaviside`]).
    pub fn output_activation(mut self, activation: impl Forward + 'static) -> MultilayerPerceptron {
        self.output_activation = Box::new(activation);
        self
    }
}

impl Forward for MultilayerPerceptron {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let last = self.layers.len() - 1;
        self.layers.iter().enumerate().fold(x.clone(), |h, (i, layer)| {
            let z = layer.forward(&h);
            if i < last { self.activation.forward(&z) } else { self.output_activation.forward(&z) }
        })
    }
}
