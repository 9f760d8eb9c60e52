//! A convolutional net for 8x8 digits.

use crate::ModelConfig;
use crate::registry::check_width;
use crate::window::Pool;
use gradus_nn::{BatchNorm2d, Conv2d, Dropout, Forward, Linear, MaxPool2d, Module};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Configuration of [`DigitsCnn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DigitsCnnConfig {
    /// Output channels of the three convolutions.
    pub channels: [usize; 3],
    /// Units of the hidden linear layer.
    pub hidden: usize,
    /// Part of the hidden units dropped while training.
    pub dropout: f64,
}

impl Default for DigitsCnnConfig {
    fn default() -> Self {
        DigitsCnnConfig { channels: [32, 64, 64], hidden: 128, dropout: 0.4 }
    }
}

impl ModelConfig for DigitsCnnConfig {
    type Model = DigitsCnn;

    fn check(&self) -> Result<(), String> {
        check_width("channels", &self.channels)?;
        check_width("hidden", &[self.hidden])?;
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(format!("`dropout` must be at least 0 and below 1, got {}", self.dropout));
        }
        Ok(())
    }

    fn init(&self) -> DigitsCnn {
        let [a, b, c] = self.channels;
        let conv = |from, to| Conv2d::new(from, to, 3).padding(1).bias(false);
        DigitsCnn {
            conv1: conv(1, a),
            bn1: BatchNorm2d::new(a),
            conv2: conv(a, b),
            bn2: BatchNorm2d::new(b),
            conv3: conv(b, c),
            bn3: BatchNorm2d::new(c),
            pool: Pool(MaxPool2d::new(2)),
            fc1: Linear::new(c * 2 * 2, self.hidden),
            dropout: Dropout::new(self.dropout),
            fc2: Linear::new(self.hidden, 10),
        }
    }
}

/// Three 3x3 convolutions with batch norm, two of them followed by pooling, and two linear layers.
///
/// # Shapes
/// Input [N, 1, 8, 8]; output [N, 10] logits.
#[derive(Module)]
pub struct DigitsCnn {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    conv3: Conv2d,
    bn3: BatchNorm2d,
    pool: Pool<MaxPool2d>,
    fc1: Linear,
    dropout: Dropout,
    fc2: Linear,
}

impl Forward for DigitsCnn {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.bn1.forward(&self.conv1.forward(x)).relu(); // (N, a, 8, 8)
        let x = self.bn2.forward(&self.conv2.forward(&x)).relu(); // (N, b, 8, 8)
        let x = self.pool.forward(&x); // (N, b, 4, 4)
        let x = self.bn3.forward(&self.conv3.forward(&x)).relu(); // (N, c, 4, 4)
        let x = self.pool.forward(&x).flatten(1, -1); // (N, c, 2, 2) -> (N, c * 4)
        let x = self.dropout.forward(&self.fc1.forward(&x).relu());
        self.fc2.forward(&x)
    }
}
