//! The first networks: perceptron, multilayer perceptron, LeNet-5.

use crate::ModelConfig;
use crate::common::{Needs, check_dropout};
use crate::registry::check_width;
use crate::window::Pool;
use gradus_nn::{
    AvgPool2d, Conv2d, Dropout, Flatten, Forward, GELU, Linear, Module, ReLU, Scope, Sequential, Sigmoid, Tanh,
    sequential,
};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Configuration of a single layer of perceptrons, one a class, with raw scores as output.
///
/// Its gradient is that of the scores; Rosenblatt's own rule, for a single unit with a step, is
/// [`gradus_nn::Perceptron::learn`]. Input `[N, ...]` with `inputs` numbers each; output `[N, num_classes]` logits.
///
/// Source: Rosenblatt, 1958, <https://doi.org/10.1037/h0042519>.
///
/// ```
/// use gradus_models::{ModelConfig, PerceptronConfig};
/// use gradus_nn::Module;
/// assert_eq!(PerceptronConfig::default().init().num_parameters(), 784 * 10 + 10);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PerceptronConfig {
    /// Numbers of an input, all its dimensions together.
    pub inputs: usize,
    /// Classes.
    pub num_classes: usize,
}

impl Default for PerceptronConfig {
    fn default() -> Self {
        PerceptronConfig { inputs: 784, num_classes: 10 }
    }
}

impl ModelConfig for PerceptronConfig {
    type Model = Sequential;

    fn check(&self) -> Result<(), String> {
        check_inputs(self.inputs)?;
        check_width("num_classes", &[self.num_classes])
    }

    fn init(&self) -> Sequential {
        sequential![Flatten::new(), Linear::new(self.inputs, self.num_classes)]
    }
}

fn check_inputs(inputs: usize) -> Result<(), String> {
    if (1..=1 << 24).contains(&inputs) { Ok(()) } else { Err(format!("`inputs` must be 1 to 16777216, got {inputs}")) }
}

/// A non-linearity by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// Logistic sigmoid.
    Sigmoid,
    /// x Phi(x).
    Gelu,
}

impl Activation {
    fn push(self, layers: &mut Sequential) {
        match self {
            Activation::Relu => layers.push(ReLU),
            Activation::Tanh => layers.push(Tanh),
            Activation::Sigmoid => layers.push(Sigmoid),
            Activation::Gelu => layers.push(GELU::new()),
        }
    }
}

/// Configuration of a multilayer perceptron of any depth: linear layers with an activation between them.
///
/// It sees a picture as a list of numbers: there are many parameters (inputs times hidden units in the first layer
/// alone), and it does not know which pixels are neighbours. Input `[N, ...]` with `inputs` numbers each; output
/// `[N, num_classes]` logits.
///
/// Source: Rumelhart et al., 1986, <https://doi.org/10.1038/323533a0>.
///
/// ```
/// use gradus_models::{MlpConfig, ModelConfig};
/// use gradus_nn::Module;
/// let model = MlpConfig { hidden: vec![300, 100], ..Default::default() }.init();
/// assert_eq!(model.num_parameters(), 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlpConfig {
    /// Numbers of an input, all its dimensions together.
    pub inputs: usize,
    /// Units of each hidden layer.
    pub hidden: Vec<usize>,
    /// What follows each hidden layer.
    pub activation: Activation,
    /// Part of the hidden units dropped while training.
    pub dropout: f64,
    /// Classes.
    pub num_classes: usize,
}

impl Default for MlpConfig {
    fn default() -> Self {
        MlpConfig { inputs: 784, hidden: vec![256, 256], activation: Activation::Relu, dropout: 0.0, num_classes: 10 }
    }
}

impl ModelConfig for MlpConfig {
    type Model = Sequential;

    fn check(&self) -> Result<(), String> {
        check_inputs(self.inputs)?;
        check_width("hidden", &self.hidden)?;
        check_dropout("dropout", self.dropout)?;
        check_width("num_classes", &[self.num_classes])
    }

    fn init(&self) -> Sequential {
        let mut layers = sequential![Flatten::new()];
        let mut from = self.inputs;
        for &to in &self.hidden {
            layers.push(Linear::new(from, to));
            self.activation.push(&mut layers);
            if self.dropout > 0.0 {
                layers.push(Dropout::new(self.dropout));
            }
            from = to;
        }
        layers.push(Linear::new(from, self.num_classes));
        layers
    }
}

/// Configuration of [`LeNet5`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeNet5Config {
    /// What follows each layer but the pools; the paper's is the hyperbolic tangent.
    pub activation: Activation,
    /// Channels of a picture.
    pub in_channels: usize,
    /// Classes.
    pub num_classes: usize,
}

impl Default for LeNet5Config {
    fn default() -> Self {
        LeNet5Config { activation: Activation::Tanh, in_channels: 1, num_classes: 10 }
    }
}

impl ModelConfig for LeNet5Config {
    type Model = LeNet5;

    fn check(&self) -> Result<(), String> {
        check_width("in_channels", &[self.in_channels])?;
        check_width("num_classes", &[self.num_classes])
    }

    fn init(&self) -> LeNet5 {
        let g = self.activation;
        let mut features = sequential![Conv2d::new(self.in_channels, 6, 5).padding(2)];
        g.push(&mut features);
        features.push(Pool(AvgPool2d::new(2)));
        features.push(Conv2d::new(6, 16, 5));
        g.push(&mut features);
        features.push(Pool(AvgPool2d::new(2)));
        let mut classifier = sequential![Linear::new(16 * 5 * 5, 120)];
        g.push(&mut classifier);
        classifier.push(Linear::new(120, 84));
        g.push(&mut classifier);
        classifier.push(Linear::new(84, self.num_classes));
        LeNet5 { features, classifier, channels: self.in_channels, scope: Scope::default() }
    }
}

/// LeNet-5: two convolutions, each followed by pooling, and three linear layers. The number of maps rises as their
/// size falls.
///
/// As it is usually built today: plain means in the place of pools with coefficients, every map of the second
/// convolution seeing all six before it, and a linear layer in the place of distances to drawn digits.
///
/// # Shapes
/// `[N, in_channels, 28, 28]` -> `[N, num_classes]` logits
///
/// # Panics
/// `forward` panics if the input has another shape.
///
/// Source: LeCun et al., 1998, <https://doi.org/10.1109/5.726791>.
///
/// ```
/// use gradus_models::{LeNet5Config, ModelConfig};
/// use gradus_nn::{Forward, Module};
/// use gradus_tensor::Tensor;
/// let model = LeNet5Config::default().init();
/// assert_eq!(model.num_parameters(), 61_706);
/// assert_eq!(model.forward(&Tensor::zeros([2, 1, 28, 28])).shape(), [2, 10]);
/// ```
#[derive(Module)]
pub struct LeNet5 {
    features: Sequential,
    classifier: Sequential,
    channels: usize,
    scope: Scope,
}

impl Forward for LeNet5 {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        Needs::new(self.channels, 28, "classifier.0").enforce("LeNet5", x);
        let x = self.features.forward(x); // (N, 6, 14, 14) -> (N, 16, 5, 5)
        self.classifier.forward(&x.flatten(1, -1)) // (N, 16, 5, 5) -> (N, 400)
    }
}
