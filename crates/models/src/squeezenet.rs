//! SqueezeNet: AlexNet's accuracy with a fiftieth of its parameters.

use crate::ModelConfig;
use crate::common::{Begin, Needs, begin, check_dropout, check_factor, scaled};
use crate::registry::check_width;
use crate::window::Pool;
use gradus_nn::{
    AdaptiveAvgPool2d, Conv2d, Dropout, Forward, MaxPool2d, Module, ReLU, Scope, Sequential, init, sequential,
};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Which SqueezeNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SqueezeNetVersion {
    /// The paper's.
    #[serde(rename = "1_0")]
    V1_0,
    /// With a smaller stem and earlier pooling: 2.4 times less computation.
    #[serde(rename = "1_1")]
    V1_1,
}

/// Configuration of [`SqueezeNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SqueezeNetConfig {
    /// Which one.
    pub version: SqueezeNetVersion,
    /// Part of the features dropped while training.
    pub dropout: f64,
    /// Factor of all published numbers of channels.
    pub width_mult: f64,
    /// Channels of a picture.
    pub in_channels: usize,
    /// Classes.
    pub num_classes: usize,
}

impl Default for SqueezeNetConfig {
    fn default() -> Self {
        let version = SqueezeNetVersion::V1_0;
        SqueezeNetConfig { version, dropout: 0.5, width_mult: 1.0, in_channels: 3, num_classes: 1000 }
    }
}

impl SqueezeNetVersion {
    /// Channels and kernel of the stem, and behind which fire modules (counted from 0) pooling follows.
    fn shape(self) -> (usize, usize, [usize; 2]) {
        match self {
            SqueezeNetVersion::V1_0 => (96, 7, [2, 6]),
            SqueezeNetVersion::V1_1 => (64, 3, [1, 3]),
        }
    }
}

/// Channels after squeezing, and of each half after expanding.
const FIRES: [(usize, usize); 8] =
    [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)];

impl ModelConfig for SqueezeNetConfig {
    type Model = SqueezeNet;

    fn preset(name: &str) -> Option<Self> {
        let version = match name {
            "squeezenet1_0" => SqueezeNetVersion::V1_0,
            "squeezenet1_1" => SqueezeNetVersion::V1_1,
            _ => return None,
        };
        Some(SqueezeNetConfig { version, ..Self::default() })
    }

    fn needs(&self) -> Option<Needs> {
        Some(match self.version {
            SqueezeNetVersion::V1_0 => Needs::new(self.in_channels, 21, "features.11"),
            SqueezeNetVersion::V1_1 => Needs::new(self.in_channels, 17, "features.8"),
        })
    }

    fn check(&self) -> Result<(), String> {
        check_dropout("dropout", self.dropout)?;
        check_factor("width_mult", self.width_mult)?;
        check_width("in_channels", &[self.in_channels])?;
        check_width("num_classes", &[self.num_classes])
    }

    fn init(&self) -> SqueezeNet {
        let (stem, kernel, pools) = self.version.shape();
        let pool = || Pool(MaxPool2d::new(3).stride(2).ceil_mode(true));
        let mut from = scaled(stem, self.width_mult);
        let mut features = sequential![Conv2d::new(self.in_channels, from, kernel).stride(2), ReLU, pool()];
        for (i, fire) in FIRES.iter().enumerate() {
            let (squeeze, half) = (scaled(fire.0, self.width_mult), scaled(fire.1, self.width_mult));
            features.push(Fire {
                squeeze: Conv2d::new(from, squeeze, 1),
                expand1x1: Conv2d::new(squeeze, half, 1),
                expand3x3: Conv2d::new(squeeze, half, 3).padding(1),
                scope: Scope::default(),
            });
            from = 2 * half;
            if pools.contains(&i) {
                features.push(pool());
            }
        }
        let last = Conv2d::new(from, self.num_classes, 1);
        let last_weight = last.weight.clone();
        let classifier = sequential![Dropout::new(self.dropout), last, ReLU, AdaptiveAvgPool2d::new(1)];
        let needs = self.needs().expect("it takes pictures");
        let model = SqueezeNet { features, classifier, needs, scope: Scope::default() };
        begin(&model, Begin::KaimingUniform, Begin::Kept, true);
        init::normal_(&last_weight, 0.0, 0.01);
        model
    }
}

/// A fire module: squeezed to few channels by a 1x1 convolution, expanded by a 1x1 and a 3x3 one side by side.
#[derive(Module)]
struct Fire {
    squeeze: Conv2d,
    expand1x1: Conv2d,
    expand3x3: Conv2d,
    scope: Scope,
}

impl Forward for Fire {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let x = self.squeeze.forward(x).relu();
        // 2 of (N, half, H, W) -> (N, 2 half, H, W)
        Tensor::cat(&[&self.expand1x1.forward(&x).relu(), &self.expand3x3.forward(&x).relu()], 1)
    }
}

/// SqueezeNet: a convolution and eight fire modules with pooling between them; a 1x1 convolution scores the classes at
/// every place, and their mean is the output. Parameters have torchvision's names
/// (`features.3.squeeze.weight`, `classifier.1.bias`).
///
/// # Shapes
/// `[N, in_channels, H, W]` -> `[N, num_classes]` logits (not negative, for a ReLU ends the net)
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels, or is smaller than 21x21 (version 1_1: 17x17).
///
/// Source: Iandola et al., 2016, <https://arxiv.org/abs/1602.07360>.
///
/// ```
/// use gradus_models::{ModelConfig, SqueezeNetConfig};
/// use gradus_nn::Forward;
/// use gradus_tensor::Tensor;
/// let model = SqueezeNetConfig { width_mult: 0.125, num_classes: 10, ..Default::default() }.init();
/// assert_eq!(model.forward(&Tensor::zeros([2, 3, 32, 32])).shape(), [2, 10]);
/// ```
#[derive(Module)]
pub struct SqueezeNet {
    features: Sequential,
    classifier: Sequential,
    #[module(skip)]
    needs: Needs,
    scope: Scope,
}

impl Forward for SqueezeNet {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.needs.enforce("SqueezeNet", x);
        let x = self.features.forward(x); // (N, C, h, w)
        self.classifier.forward(&x).flatten(1, -1) // (N, K, 1, 1) -> (N, K)
    }
}
