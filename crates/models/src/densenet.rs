//! DenseNet: within a block, every layer sees the outputs of all before it.

use crate::ModelConfig;
use crate::common::{Begin, Needs, begin, check_dropout};
use crate::registry::check_width;
use crate::window::Pool;
use gradus_nn::init::Fan;
use gradus_nn::{AvgPool2d, BatchNorm2d, Conv2d, Dropout, Forward, Linear, MaxPool2d, Module, ReLU, Scope, Sequential};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Configuration of [`DenseNet`]; arguments and defaults are torchvision's where it has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DenseNetConfig {
    /// Channels that each layer adds.
    pub growth_rate: usize,
    /// Layers of each block.
    pub block_config: Vec<usize>,
    /// Channels before the first block.
    pub num_init_features: usize,
    /// Channels of a layer's 1x1 convolution, as a multiple of `growth_rate`.
    pub bn_size: usize,
    /// Part of each layer's output dropped while training.
    pub drop_rate: f64,
    /// Whether a 7x7 convolution of stride 2 and max pooling begin the net, or a 3x3 convolution.
    pub large_stem: bool,
    /// Channels of a picture.
    pub in_channels: usize,
    /// Classes.
    pub num_classes: usize,
}

/// Presets: name, growth rate, layers of the blocks, channels before them, whether for ImageNet. Those for CIFAR are
/// DenseNet-BC of 100 and 190 layers.
const PRESETS: &[(&str, usize, &[usize], usize, bool)] = &[
    ("densenet121", 32, &[6, 12, 24, 16], 64, true),
    ("densenet161", 48, &[6, 12, 36, 24], 96, true),
    ("densenet169", 32, &[6, 12, 32, 32], 64, true),
    ("densenet201", 32, &[6, 12, 48, 32], 64, true),
    ("densenet100_bc_cifar", 12, &[16, 16, 16], 24, false),
    ("densenet190_bc_cifar", 40, &[31, 31, 31], 80, false),
];

impl Default for DenseNetConfig {
    fn default() -> Self {
        DenseNetConfig {
            growth_rate: 32,
            block_config: vec![6, 12, 24, 16],
            num_init_features: 64,
            bn_size: 4,
            drop_rate: 0.0,
            large_stem: true,
            in_channels: 3,
            num_classes: 1000,
        }
    }
}

impl ModelConfig for DenseNetConfig {
    type Model = DenseNet;

    fn preset(name: &str) -> Option<Self> {
        let &(_, growth_rate, blocks, num_init_features, large_stem) = PRESETS.iter().find(|p| p.0 == name)?;
        let num_classes = if large_stem { 1000 } else { 10 };
        let block_config = blocks.to_vec();
        Some(DenseNetConfig {
            growth_rate,
            block_config,
            num_init_features,
            large_stem,
            num_classes,
            ..Self::default()
        })
    }

    fn needs(&self) -> Option<Needs> {
        let transitions = self.block_config.len().saturating_sub(1);
        let needed = 1usize << transitions;
        if transitions == 0 {
            return Some(Needs::new(self.in_channels, 1, "features.conv0"));
        }
        // The stem's two strides round up.
        let smallest = if self.large_stem { 4 * (needed - 1) + 1 } else { needed };
        Some(Needs::new(self.in_channels, smallest, format!("features.transition{transitions}.pool")))
    }

    fn check(&self) -> Result<(), String> {
        for (field, width) in [
            ("growth_rate", self.growth_rate),
            ("num_init_features", self.num_init_features),
            ("bn_size", self.bn_size),
            ("in_channels", self.in_channels),
            ("num_classes", self.num_classes),
        ] {
            check_width(field, &[width])?;
        }
        check_width("block_config", &self.block_config)?;
        if !(1..=8).contains(&self.block_config.len()) {
            return Err(format!("`block_config` must name 1 to 8 blocks, got {:?}", self.block_config));
        }
        check_dropout("drop_rate", self.drop_rate)
    }

    fn init(&self) -> DenseNet {
        let mut channels = self.num_init_features;
        let mut features = Sequential::new();
        let stem = |kernel, stride, pad| Conv2d::new(self.in_channels, channels, kernel).stride(stride).padding(pad);
        if self.large_stem {
            features.push_named("conv0", stem(7, 2, 3).bias(false));
            features.push_named("norm0", BatchNorm2d::new(channels));
            features.push_named("relu0", ReLU);
            features.push_named("pool0", Pool(MaxPool2d::new(3).stride(2).padding(1)));
        } else {
            features.push_named("conv0", stem(3, 1, 1).bias(false));
        }
        for (i, &layers) in self.block_config.iter().enumerate() {
            let mut block = DenseBlock::default();
            for layer in 0..layers {
                block.layers.push((format!("denselayer{}", layer + 1), self.layer(channels)));
                channels += self.growth_rate;
            }
            features.push_named(&format!("denseblock{}", i + 1), block);
            if i + 1 < self.block_config.len() {
                let half = channels / 2;
                let mut transition = Sequential::new();
                transition.push_named("norm", BatchNorm2d::new(channels));
                transition.push_named("relu", ReLU);
                transition.push_named("conv", Conv2d::new(channels, half, 1).bias(false));
                transition.push_named("pool", Pool(AvgPool2d::new(2)));
                features.push_named(&format!("transition{}", i + 1), transition);
                channels = half;
            }
        }
        features.push_named("norm5", BatchNorm2d::new(channels));
        let classifier = Linear::new(channels, self.num_classes);
        let needs = self.needs().expect("it takes pictures");
        let model = DenseNet { features, classifier, needs, scope: Scope::default() };
        begin(&model, Begin::KaimingNormal(Fan::In), Begin::Kept, true);
        model
    }
}

impl DenseNetConfig {
    fn layer(&self, from: usize) -> DenseLayer {
        let width = self.bn_size * self.growth_rate;
        DenseLayer {
            norm1: BatchNorm2d::new(from),
            conv1: Conv2d::new(from, width, 1).bias(false),
            norm2: BatchNorm2d::new(width),
            conv2: Conv2d::new(width, self.growth_rate, 3).padding(1).bias(false),
            dropout: Dropout::new(self.drop_rate),
            scope: Scope::default(),
        }
    }
}

/// Batch norm, ReLU, 1x1 convolution, batch norm, ReLU, 3x3 convolution: the bottleneck layer of DenseNet-BC.
#[derive(Module)]
struct DenseLayer {
    norm1: BatchNorm2d,
    conv1: Conv2d,
    norm2: BatchNorm2d,
    conv2: Conv2d,
    dropout: Dropout,
    scope: Scope,
}

impl Forward for DenseLayer {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let x = self.conv1.forward(&self.norm1.forward(x).relu());
        self.dropout.forward(&self.conv2.forward(&self.norm2.forward(&x).relu()))
    }
}

/// Layers that each see all maps so far: layer i of 1, 2, ... has k (i - 1) + k0 input maps and adds k.
#[derive(Default)]
struct DenseBlock {
    layers: Vec<(String, DenseLayer)>,
}

impl Module for DenseBlock {
    fn visit(&self, visitor: &mut dyn gradus_nn::module::Visitor) {
        visitor.layer("DenseBlock");
        self.layers.iter().for_each(|(name, layer)| gradus_nn::module::visit_field(visitor, name, layer));
    }
    fn visit_mut(&mut self, visitor: &mut dyn gradus_nn::module::VisitorMut) {
        self.layers.iter_mut().for_each(|(name, layer)| gradus_nn::module::visit_field_mut(visitor, name, layer));
    }
}

impl Forward for DenseBlock {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.layers.iter().fold(x.clone(), |all, (_, layer)| {
            // (N, k (i - 1) + k0, H, W) and (N, k, H, W) -> (N, k i + k0, H, W)
            Tensor::cat(&[&all, &layer.forward(&all)], 1)
        })
    }
}

/// DenseNet-BC: dense blocks, with transitions that halve channels and size between them.
///
/// A layer adds only `growth_rate` channels, for it finds all earlier ones in its input. The layers are the paper's
/// (batch norm, ReLU, convolution); [`gradus_nn::DenseBlock`] also has the plain kind. Parameters have torchvision's
/// names (`features.denseblock1.denselayer1.norm1.weight`, `classifier.bias`).
///
/// # Shapes
/// `[N, in_channels, H, W]` -> `[N, num_classes]` logits
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels, or is smaller than 29x29 (with the small stem
/// and three blocks: 4x4).
///
/// Source: Huang et al., 2016, <https://arxiv.org/abs/1608.06993>.
///
/// ```
/// use gradus_models::{DenseNetConfig, ModelConfig};
/// use gradus_nn::Forward;
/// use gradus_tensor::Tensor;
/// let small = DenseNetConfig { growth_rate: 4, block_config: vec![2, 2], num_init_features: 8, ..Default::default() };
/// assert_eq!(small.init().forward(&Tensor::zeros([2, 3, 32, 32])).shape(), [2, 1000]);
/// ```
#[derive(Module)]
pub struct DenseNet {
    features: Sequential,
    classifier: Linear,
    #[module(skip)]
    needs: Needs,
    scope: Scope,
}

impl Forward for DenseNet {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.needs.enforce("DenseNet", x);
        let x = self.features.forward(x).relu(); // (N, C, h, w)
        let x = x.adaptive_avg_pool2d([1, 1]).flatten(1, -1); // (N, C, 1, 1) -> (N, C)
        self.classifier.forward(&x)
    }
}
