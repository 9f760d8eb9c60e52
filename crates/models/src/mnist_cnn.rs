//! A convolutional net for 28x28 digits.

use crate::ModelConfig;
use crate::registry::check_width;
use crate::window::Pool;
use gradus_nn::{Conv2d, Forward, Linear, MaxPool2d, Module};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Configuration of [`MnistCnn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MnistCnnConfig {
    /// Output channels of the two convolutions.
    pub channels: [usize; 2],
    /// Units of the hidden linear layer.
    pub hidden: usize,
}

impl Default for MnistCnnConfig {
    fn default() -> Self {
        MnistCnnConfig { channels: [32, 64], hidden: 128 }
    }
}

impl ModelConfig for MnistCnnConfig {
    type Model = MnistCnn;

    fn check(&self) -> Result<(), String> {
        check_width("channels", &self.channels)?;
        check_width("hidden", &[self.hidden])
    }

    fn init(&self) -> MnistCnn {
        let [a, b] = self.channels;
        MnistCnn {
            conv1: Conv2d::new(1, a, 3).padding(1),
            conv2: Conv2d::new(a, b, 3).padding(1),
            pool: Pool(MaxPool2d::new(2)),
            fc1: Linear::new(b * 7 * 7, self.hidden),
            fc2: Linear::new(self.hidden, 10),
        }
    }
}

/// Two 3x3 convolutions, each followed by pooling, and two linear layers.
///
/// # Shapes
/// Input [N, 1, 28, 28]; output [N, 10] logits.
#[derive(Module)]
pub struct MnistCnn {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: Pool<MaxPool2d>,
    fc1: Linear,
    fc2: Linear,
}

impl Forward for MnistCnn {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.pool.forward(&self.conv1.forward(x).relu()); // (N, a, 14, 14)
        let x = self.pool.forward(&self.conv2.forward(&x).relu()); // (N, b, 7, 7)
        let x = self.fc1.forward(&x.flatten(1, -1)).relu(); // (N, b * 49) -> (N, hidden)
        self.fc2.forward(&x)
    }
}
