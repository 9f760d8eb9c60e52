//! VGG: 3x3 convolutions all the way down.

use crate::ModelConfig;
use crate::common::{Begin, Needs, begin, check_dropout};
use crate::registry::check_width;
use crate::window::Pool;
use gradus_nn::init::Fan;
use gradus_nn::{
    AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Dropout, Forward, Linear, MaxPool2d, Module, ReLU, Scope, Sequential,
    sequential,
};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Configuration of [`Vgg`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VggConfig {
    /// Channels of the convolutions of each stage; max pooling ends a stage.
    pub stages: Vec<Vec<usize>>,
    /// Whether batch norm follows each convolution.
    pub batch_norm: bool,
    /// Units of the two hidden linear layers.
    pub hidden: usize,
    /// Extent of the map that the linear layers see.
    pub pool: usize,
    /// Part of the hidden units dropped while training.
    pub dropout: f64,
    /// Channels of a picture.
    pub in_channels: usize,
    /// Classes.
    pub num_classes: usize,
}

/// torchvision's presets: name, convolutions of the five stages, batch norm. The stages have 64, 128, 256, 512 and 512
/// channels.
const PRESETS: &[(&str, [usize; 5], bool)] = &[
    ("vgg11", [1, 1, 2, 2, 2], false),
    ("vgg11_bn", [1, 1, 2, 2, 2], true),
    ("vgg13", [2, 2, 2, 2, 2], false),
    ("vgg13_bn", [2, 2, 2, 2, 2], true),
    ("vgg16", [2, 2, 3, 3, 3], false),
    ("vgg16_bn", [2, 2, 3, 3, 3], true),
    ("vgg19", [2, 2, 4, 4, 4], false),
    ("vgg19_bn", [2, 2, 4, 4, 4], true),
];

/// The published stages with so many convolutions.
pub(crate) fn stages(convolutions: [usize; 5]) -> Vec<Vec<usize>> {
    convolutions.iter().zip([64, 128, 256, 512, 512]).map(|(&n, channels)| vec![channels; n]).collect()
}

impl Default for VggConfig {
    fn default() -> Self {
        VggConfig {
            stages: stages([1, 1, 2, 2, 2]),
            batch_norm: false,
            hidden: 4096,
            pool: 7,
            dropout: 0.5,
            in_channels: 3,
            num_classes: 1000,
        }
    }
}

/// What is wrong with the stages, if anything.
pub(crate) fn check_stages(all: &[Vec<usize>]) -> Result<(), String> {
    if all.is_empty() || all.len() > 8 || all.iter().any(Vec::is_empty) {
        return Err(format!("`stages` must be 1 to 8 lists of channels, none empty, got {all:?}"));
    }
    all.iter().try_for_each(|stage| check_width("stages", stage))
}

impl VggConfig {
    fn last_pool(&self) -> String {
        let per_conv = if self.batch_norm { 3 } else { 2 };
        let layers: usize = self.stages.iter().map(|stage| per_conv * stage.len() + 1).sum();
        format!("features.{}", layers.saturating_sub(1))
    }
}

impl ModelConfig for VggConfig {
    type Model = Vgg;

    fn preset(name: &str) -> Option<Self> {
        let (_, convolutions, batch_norm) = PRESETS.iter().find(|p| p.0 == name)?;
        Some(VggConfig { stages: stages(*convolutions), batch_norm: *batch_norm, ..Self::default() })
    }

    fn needs(&self) -> Option<Needs> {
        Some(Needs::new(self.in_channels, 1 << self.stages.len(), self.last_pool()))
    }

    fn check(&self) -> Result<(), String> {
        check_stages(&self.stages)?;
        check_width("hidden", &[self.hidden])?;
        check_width("pool", &[self.pool])?;
        check_dropout("dropout", self.dropout)?;
        check_width("in_channels", &[self.in_channels])?;
        check_width("num_classes", &[self.num_classes])
    }

    fn init(&self) -> Vgg {
        let mut features = Sequential::new();
        let mut from = self.in_channels;
        for stage in &self.stages {
            for &to in stage {
                features.push(Conv2d::new(from, to, 3).padding(1));
                if self.batch_norm {
                    features.push(BatchNorm2d::new(to));
                }
                features.push(ReLU);
                from = to;
            }
            features.push(Pool(MaxPool2d::new(2)));
        }
        let hidden = self.hidden;
        let model = Vgg {
            features,
            avgpool: AdaptiveAvgPool2d::new(self.pool),
            classifier: sequential![
                Linear::new(from * self.pool * self.pool, hidden),
                ReLU,
                Dropout::new(self.dropout),
                Linear::new(hidden, hidden),
                ReLU,
                Dropout::new(self.dropout),
                Linear::new(hidden, self.num_classes)
            ],
            needs: Needs::new(self.in_channels, 1 << self.stages.len(), self.last_pool()),
            scope: Scope::default(),
        };
        begin(&model, Begin::KaimingNormal(Fan::Out), Begin::Normal(0.01), true);
        model
    }
}

/// VGG: stages of 3x3 convolutions, each ended by max pooling, and three linear layers.
///
/// Small kernels stacked see as far as a large one with fewer weights and more non-linearities. Most of the parameters
/// (103 of VGG-16's 138 million) are in the first linear layer. Parameters have torchvision's names
/// (`features.0.weight`, `classifier.6.bias`).
///
/// # Shapes
/// `[N, in_channels, H, W]` -> `[N, num_classes]` logits
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels, or is smaller than 32x32 (two to the power of
/// the number of stages).
///
/// Source: Simonyan and Zisserman, 2014, <https://arxiv.org/abs/1409.1556>; batch norm as in torchvision.
///
/// ```
/// use gradus_models::{ModelConfig, VggConfig};
/// use gradus_nn::Forward;
/// use gradus_tensor::Tensor;
/// let stages = vec![vec![8], vec![16], vec![16, 16]];
/// let model = VggConfig { stages, hidden: 32, pool: 2, num_classes: 10, ..Default::default() }.init();
/// assert_eq!(model.forward(&Tensor::zeros([2, 3, 16, 16])).shape(), [2, 10]);
/// ```
#[derive(Module)]
pub struct Vgg {
    features: Sequential,
    avgpool: AdaptiveAvgPool2d,
    classifier: Sequential,
    #[module(skip)]
    needs: Needs,
    scope: Scope,
}

impl Forward for Vgg {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.needs.enforce("Vgg", x);
        let x = self.features.forward(x); // (N, C, H / 2^stages, W / 2^stages)
        let x = self.avgpool.forward(&x).flatten(1, -1); // (N, C, pool, pool) -> (N, C pool^2)
        self.classifier.forward(&x)
    }
}
