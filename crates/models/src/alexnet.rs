//! AlexNet.

use crate::ModelConfig;
use crate::common::{Needs, check_dropout, check_factor, scaled};
use crate::registry::check_width;
use crate::window::Pool;
use gradus_nn::{
    AdaptiveAvgPool2d, Conv2d, Dropout, Forward, Linear, MaxPool2d, Module, ReLU, Scope, Sequential, sequential,
};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Configuration of [`AlexNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlexNetConfig {
    /// Part of the units dropped while training.
    pub dropout: f64,
    /// Factor of all published numbers of channels and units.
    pub width_mult: f64,
    /// Channels of a picture.
    pub in_channels: usize,
    /// Classes.
    pub num_classes: usize,
}

impl Default for AlexNetConfig {
    fn default() -> Self {
        AlexNetConfig { dropout: 0.5, width_mult: 1.0, in_channels: 3, num_classes: 1000 }
    }
}

impl ModelConfig for AlexNetConfig {
    type Model = AlexNet;

    fn needs(&self) -> Option<Needs> {
        Some(Needs::new(self.in_channels, 63, "features.12"))
    }

    fn check(&self) -> Result<(), String> {
        check_dropout("dropout", self.dropout)?;
        check_factor("width_mult", self.width_mult)?;
        check_width("in_channels", &[self.in_channels])?;
        check_width("num_classes", &[self.num_classes])
    }

    fn init(&self) -> AlexNet {
        let [a, b, c, d, hidden] = [64, 192, 384, 256, 4096].map(|n| scaled(n, self.width_mult));
        let pool = || Pool(MaxPool2d::new(3).stride(2));
        AlexNet {
            features: sequential![
                Conv2d::new(self.in_channels, a, 11).stride(4).padding(2),
                ReLU,
                pool(),
                Conv2d::new(a, b, 5).padding(2),
                ReLU,
                pool(),
                Conv2d::new(b, c, 3).padding(1),
                ReLU,
                Conv2d::new(c, d, 3).padding(1),
                ReLU,
                Conv2d::new(d, d, 3).padding(1),
                ReLU,
                pool()
            ],
            avgpool: AdaptiveAvgPool2d::new(6),
            classifier: sequential![
                Dropout::new(self.dropout),
                Linear::new(d * 6 * 6, hidden),
                ReLU,
                Dropout::new(self.dropout),
                Linear::new(hidden, hidden),
                ReLU,
                Linear::new(hidden, self.num_classes)
            ],
            needs: Needs::new(self.in_channels, 63, "features.12"),
            scope: Scope::default(),
        }
    }
}

/// AlexNet: LeNet's recipe with more data, ReLU, overlapping max pooling and dropout.
///
/// The layers are those of torchvision (one column, without local response normalisation), and so are the names of the
/// parameters (`features.0.weight`, `classifier.6.bias`).
///
/// # Shapes
/// `[N, in_channels, H, W]` -> `[N, num_classes]` logits
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels, or is smaller than 63x63.
///
/// Sources: Krizhevsky, Sutskever and Hinton, 2012,
/// <https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks>; the column is
/// that of Krizhevsky, 2014, <https://arxiv.org/abs/1404.5997>.
///
/// ```
/// use gradus_models::{AlexNetConfig, ModelConfig};
/// use gradus_nn::Forward;
/// use gradus_tensor::Tensor;
/// let model = AlexNetConfig { width_mult: 0.125, num_classes: 10, ..Default::default() }.init();
/// assert_eq!(model.forward(&Tensor::zeros([1, 3, 63, 63])).shape(), [1, 10]);
/// ```
#[derive(Module)]
pub struct AlexNet {
    features: Sequential,
    avgpool: AdaptiveAvgPool2d,
    classifier: Sequential,
    #[module(skip)]
    needs: Needs,
    scope: Scope,
}

impl Forward for AlexNet {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.needs.enforce("AlexNet", x);
        let x = self.features.forward(x); // (N, d, 6, 6) for 224x224
        let x = self.avgpool.forward(&x).flatten(1, -1); // (N, d, 6, 6) -> (N, 36 d)
        self.classifier.forward(&x)
    }
}
