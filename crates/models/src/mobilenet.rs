//! MobileNetV2: inverted residual blocks of depthwise convolutions.

use crate::ModelConfig;
use crate::common::{Begin, Needs, begin, check_dropout, check_factor};
use crate::registry::check_width;
use gradus_nn::init::Fan;
use gradus_nn::{BatchNorm2d, Conv2d, Dropout, Forward, Linear, Module, ReLU6, Scope, Sequential, sequential};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Configuration of [`MobileNetV2`]; arguments and defaults are torchvision's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MobileNetV2Config {
    /// Factor of the published numbers of channels.
    pub width_mult: f64,
    /// Rows of t, c, n, s: expansion, channels, blocks, and stride of the first of them.
    pub inverted_residual_setting: Vec<[usize; 4]>,
    /// Numbers of channels are rounded to a multiple of this.
    pub round_nearest: usize,
    /// Part of the features dropped while training.
    pub dropout: f64,
    /// Channels of a picture.
    pub in_channels: usize,
    /// Classes.
    pub num_classes: usize,
}

/// The paper's table 2: t, c, n, s.
const BLOCKS: [[usize; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

impl Default for MobileNetV2Config {
    fn default() -> Self {
        MobileNetV2Config {
            width_mult: 1.0,
            inverted_residual_setting: BLOCKS.to_vec(),
            round_nearest: 8,
            dropout: 0.2,
            in_channels: 3,
            num_classes: 1000,
        }
    }
}

impl MobileNetV2Config {
    /// `published * by` rounded to a multiple, by no more than a tenth down.
    fn channels(&self, published: usize, by: f64) -> usize {
        let (wanted, step) = (published as f64 * by, self.round_nearest);
        let rounded = ((wanted + step as f64 / 2.0) as usize / step * step).max(step);
        if (rounded as f64) < 0.9 * wanted { rounded + step } else { rounded }
    }
}

/// A convolution that keeps the size at stride 1, batch norm, ReLU6.
fn unit(from: usize, to: usize, kernel: usize, stride: usize, groups: usize) -> Sequential {
    let conv = Conv2d::new(from, to, kernel).stride(stride).padding(kernel / 2).bias(false).groups(groups);
    sequential![conv, BatchNorm2d::new(to), ReLU6]
}

impl ModelConfig for MobileNetV2Config {
    type Model = MobileNetV2;

    fn needs(&self) -> Option<Needs> {
        Some(Needs::new(self.in_channels, 1, "features.0.0"))
    }

    fn check(&self) -> Result<(), String> {
        check_factor("width_mult", self.width_mult)?;
        check_width("inverted_residual_setting", self.inverted_residual_setting.as_flattened())?;
        check_width("round_nearest", &[self.round_nearest])?;
        check_dropout("dropout", self.dropout)?;
        check_width("in_channels", &[self.in_channels])?;
        check_width("num_classes", &[self.num_classes])
    }

    fn init(&self) -> MobileNetV2 {
        let mut from = self.channels(32, self.width_mult);
        let mut features = sequential![unit(self.in_channels, from, 3, 2, 1)];
        for &[expansion, channels, blocks, stride] in &self.inverted_residual_setting {
            let to = self.channels(channels, self.width_mult);
            for i in 0..blocks {
                features.push(InvertedResidual::new(from, to, if i == 0 { stride } else { 1 }, expansion));
                from = to;
            }
        }
        let last = self.channels(1280, self.width_mult.max(1.0));
        features.push(unit(from, last, 1, 1, 1));
        let classifier = sequential![Dropout::new(self.dropout), Linear::new(last, self.num_classes)];
        let needs = Needs::new(self.in_channels, 1, "features.0.0");
        let model = MobileNetV2 { features, classifier, needs, scope: Scope::default() };
        begin(&model, Begin::KaimingNormal(Fan::Out), Begin::Normal(0.01), true);
        model
    }
}

/// Expanded to more channels, each convolved alone, and projected to few again without an activation; the input is
/// added where the shape allows.
#[derive(Module)]
struct InvertedResidual {
    conv: Sequential,
    adds: bool,
    scope: Scope,
}

impl InvertedResidual {
    fn new(from: usize, to: usize, stride: usize, expansion: usize) -> InvertedResidual {
        let hidden = from * expansion;
        let mut conv = Sequential::new();
        if expansion != 1 {
            conv.push(unit(from, hidden, 1, 1, 1));
        }
        conv.push(unit(hidden, hidden, 3, stride, hidden));
        conv.push(Conv2d::new(hidden, to, 1).bias(false));
        conv.push(BatchNorm2d::new(to));
        InvertedResidual { conv, adds: stride == 1 && from == to, scope: Scope::default() }
    }
}

impl Forward for InvertedResidual {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let y = self.conv.forward(x);
        if self.adds { x + y } else { y }
    }
}

/// MobileNetV2: depthwise convolutions between 1x1 ones, with the skip connections between the narrow ends.
///
/// A depthwise convolution and a 1x1 one take k^2 C + C C' multiplications a place, against k^2 C C' of a full one.
/// Parameters have torchvision's names (`features.1.conv.0.0.weight`, `classifier.1.bias`).
///
/// # Shapes
/// `[N, in_channels, H, W]` -> `[N, num_classes]` logits
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels.
///
/// Source: Sandler et al., 2018, <https://arxiv.org/abs/1801.04381>.
///
/// ```
/// use gradus_models::{MobileNetV2Config, ModelConfig};
/// use gradus_nn::Forward;
/// use gradus_tensor::Tensor;
/// let model = MobileNetV2Config { width_mult: 0.25, num_classes: 10, ..Default::default() }.init();
/// assert_eq!(model.forward(&Tensor::zeros([2, 3, 64, 64])).shape(), [2, 10]);
/// ```
#[derive(Module)]
pub struct MobileNetV2 {
    features: Sequential,
    classifier: Sequential,
    #[module(skip)]
    needs: Needs,
    scope: Scope,
}

impl Forward for MobileNetV2 {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.needs.enforce("MobileNetV2", x);
        let x = self.features.forward(x); // (N, C, H / 32, W / 32)
        let x = x.adaptive_avg_pool2d([1, 1]).flatten(1, -1); // (N, C, 1, 1) -> (N, C)
        self.classifier.forward(&x)
    }
}
