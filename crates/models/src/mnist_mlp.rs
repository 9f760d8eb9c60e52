//! The classic first network on MNIST: three linear layers with ReLU between them and log-softmax at the end.
//!
//! Input [N, 1, 28, 28]; output [N, 10] log-probabilities.

use crate::ModelConfig;
use crate::registry::check_width;
use gradus_nn::{Flatten, Linear, LogSoftmax, ReLU, Sequential, sequential};
use serde::{Deserialize, Serialize};

/// Configuration of the 784-128-64-10 net.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MnistMlpConfig {
    /// Units of the two hidden layers.
    pub hidden: [usize; 2],
}

impl Default for MnistMlpConfig {
    fn default() -> Self {
        MnistMlpConfig { hidden: [128, 64] }
    }
}

impl ModelConfig for MnistMlpConfig {
    type Model = Sequential;

    fn check(&self) -> Result<(), String> {
        check_width("hidden", &self.hidden)
    }

    fn init(&self) -> Sequential {
        let [a, b] = self.hidden;
        sequential![
            Flatten::new(), // (N, 1, 28, 28) -> (N, 784)
            Linear::new(784, a),
            ReLU,
            Linear::new(a, b),
            ReLU,
            Linear::new(b, 10),
            LogSoftmax::new(1)
        ]
    }
}
