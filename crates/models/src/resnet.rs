//! Residual nets: ResNet, Wide ResNet, ResNeXt, the CIFAR variants, and the plain nets they are measured against.
//!
//! Shapes: N pictures, C channels, H and W height and width, K classes.

use crate::ModelConfig;
use crate::common::{Begin, Needs, begin};
use crate::registry::check_width;
use crate::resnet_block::{ResNetBlock, ResNetNorm, ResNetShortcut};
use crate::window::Pool;
use gradus_nn::init::{self, Fan};
use gradus_nn::{Conv2d, Forward, Linear, MaxPool2d, Module, Scope, Sequential};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The first layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResNetStem {
    /// A 7x7 convolution of stride 2 and max pooling of stride 2.
    Imagenet,
    /// A 3x3 convolution of stride 1.
    Cifar,
}

/// Configuration of [`ResNet`]; arguments and defaults are torchvision's where it has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResNetConfig {
    /// The residual function.
    pub block: ResNetBlock,
    /// Blocks of each stage (3 or 4 stages).
    pub layers: Vec<usize>,
    /// Channels of the first stage, doubled at every further one; torchvision's 64.
    pub inplanes: usize,
    /// Groups of the 3x3 convolution of a bottleneck: ResNeXt's cardinality.
    pub groups: usize,
    /// Channels of a group where `inplanes` is 64: ResNeXt's and Wide ResNet's width.
    pub width_per_group: usize,
    /// The first layers.
    pub stem: ResNetStem,
    /// What a block's function is added to.
    pub shortcut: ResNetShortcut,
    /// The normalisation behind the convolutions.
    pub norm_layer: ResNetNorm,
    /// Whether the last batch norm of each block begins at 0, so that blocks begin as the identity.
    pub zero_init_residual: bool,
    /// Channels of a picture.
    pub in_channels: usize,
    /// Classes.
    pub num_classes: usize,
}

use ResNetBlock::{Basic, Bottleneck};

/// torchvision's presets: name, block, layers, groups, width of a group.
const IMAGENET: &[(&str, ResNetBlock, [usize; 4], usize, usize)] = &[
    ("resnet18", Basic, [2, 2, 2, 2], 1, 64),
    ("resnet34", Basic, [3, 4, 6, 3], 1, 64),
    ("resnet50", Bottleneck, [3, 4, 6, 3], 1, 64),
    ("resnet101", Bottleneck, [3, 4, 23, 3], 1, 64),
    ("resnet152", Bottleneck, [3, 8, 36, 3], 1, 64),
    ("wide_resnet50_2", Bottleneck, [3, 4, 6, 3], 1, 128),
    ("wide_resnet101_2", Bottleneck, [3, 4, 23, 3], 1, 128),
    ("resnext50_32x4d", Bottleneck, [3, 4, 6, 3], 32, 4),
    ("resnext101_32x8d", Bottleneck, [3, 4, 23, 3], 32, 8),
    ("resnext101_64x4d", Bottleneck, [3, 4, 23, 3], 64, 4),
];

/// Presets for 32x32 pictures of 10 classes: name, layers, channels of the first stage, shortcut.
const CIFAR: &[(&str, &[usize], usize, ResNetShortcut)] = &[
    ("resnet18_cifar", &[2, 2, 2, 2], 64, ResNetShortcut::Projection),
    ("resnet34_cifar", &[3, 4, 6, 3], 64, ResNetShortcut::Projection),
    ("resnet20_cifar", &[3, 3, 3], 16, ResNetShortcut::Padding),
    ("resnet32_cifar", &[5, 5, 5], 16, ResNetShortcut::Padding),
    ("resnet44_cifar", &[7, 7, 7], 16, ResNetShortcut::Padding),
    ("resnet56_cifar", &[9, 9, 9], 16, ResNetShortcut::Padding),
    ("resnet110_cifar", &[18, 18, 18], 16, ResNetShortcut::Padding),
    ("plain20_cifar", &[3, 3, 3], 16, ResNetShortcut::None),
    ("plain56_cifar", &[9, 9, 9], 16, ResNetShortcut::None),
];

impl Default for ResNetConfig {
    fn default() -> Self {
        ResNetConfig {
            block: Basic,
            layers: vec![2, 2, 2, 2],
            inplanes: 64,
            groups: 1,
            width_per_group: 64,
            stem: ResNetStem::Imagenet,
            shortcut: ResNetShortcut::Projection,
            norm_layer: ResNetNorm::Batch,
            zero_init_residual: false,
            in_channels: 3,
            num_classes: 1000,
        }
    }
}

impl ModelConfig for ResNetConfig {
    type Model = ResNet;

    fn preset(name: &str) -> Option<Self> {
        let plain = Self::default();
        if let Some((_, block, layers, groups, width)) = IMAGENET.iter().find(|p| p.0 == name) {
            let (layers, groups, width_per_group) = (layers.to_vec(), *groups, *width);
            return Some(ResNetConfig { block: *block, layers, groups, width_per_group, ..plain });
        }
        CIFAR.iter().find(|p| p.0 == name).map(|(_, layers, inplanes, shortcut)| ResNetConfig {
            layers: layers.to_vec(),
            inplanes: *inplanes,
            shortcut: *shortcut,
            stem: ResNetStem::Cifar,
            num_classes: 10,
            ..plain
        })
    }

    fn needs(&self) -> Option<Needs> {
        Some(Needs::new(self.in_channels, 1, "conv1"))
    }

    fn check(&self) -> Result<(), String> {
        check_width("layers", &self.layers)?;
        check_width("inplanes", &[self.inplanes])?;
        check_width("groups", &[self.groups])?;
        check_width("width_per_group", &[self.width_per_group])?;
        check_width("in_channels", &[self.in_channels])?;
        check_width("num_classes", &[self.num_classes])?;
        if !(3..=4).contains(&self.layers.len()) {
            return Err(format!("`layers` must name 3 or 4 stages, got {:?}", self.layers));
        }
        if self.block == Basic && (self.groups, self.width_per_group) != (1, 64) {
            return Err("`groups` and `width_per_group` need the block `bottleneck`".into());
        }
        if self.norm_layer == ResNetNorm::Frozen && self.zero_init_residual {
            return Err("`zero_init_residual` needs the `norm_layer` `batch`: one that is frozen would stay 0".into());
        }
        if self.width(self.inplanes) == 0 {
            return Err(format!("`width_per_group` of {} leaves no channels", self.width_per_group));
        }
        Ok(())
    }

    fn init(&self) -> ResNet {
        let c = self.inplanes;
        let stem = |kernel, stride, pad| Conv2d::new(self.in_channels, c, kernel).stride(stride).padding(pad);
        let (conv1, maxpool) = match self.stem {
            ResNetStem::Imagenet => (stem(7, 2, 3), Some(Pool(MaxPool2d::new(3).stride(2).padding(1)))),
            ResNetStem::Cifar => (stem(3, 1, 1), None),
        };
        let mut from = c;
        let mut stages = self.layers.iter().enumerate().map(|(i, &blocks)| {
            let (planes, stride) = (c << i, if i == 0 { 1 } else { 2 });
            let stage = (0..blocks).map(|b| {
                let block = self.block(from, planes, if b == 0 { stride } else { 1 });
                from = planes * self.block.expansion();
                Box::new(block) as Box<dyn Forward>
            });
            stage.collect::<Sequential>()
        });
        let mut next = || stages.next();
        let (layer1, layer2, layer3, layer4) = (next(), next(), next(), next());
        let model = ResNet {
            conv1: conv1.bias(false),
            bn1: self.norm_layer.layer(c),
            maxpool,
            layer1: layer1.unwrap_or_default(),
            layer2,
            layer3,
            layer4,
            fc: Some(Linear::new(self.channels()[self.layers.len() - 1], self.num_classes)),
            needs: Needs::new(self.in_channels, 1, "conv1"),
            scope: Scope::default(),
        };
        begin(&model, Begin::KaimingNormal(Fan::Out), Begin::Kept, false);
        if self.zero_init_residual {
            let last = if self.block == Basic { "bn2.weight" } else { "bn3.weight" };
            model.named_parameters().iter().filter(|(n, _)| n.ends_with(last)).for_each(|(_, p)| init::zeros_(p));
        }
        model
    }
}

impl ResNetConfig {
    /// Channels of the outputs of the stages.
    pub(crate) fn channels(&self) -> Vec<usize> {
        (0..self.layers.len()).map(|i| (self.inplanes << i) * self.block.expansion()).collect()
    }
}

/// A residual net: a stem, three or four stages of residual blocks, each of half the size and twice the channels of
/// the one before, the mean over all places, and a linear layer.
///
/// Adding the input makes the identity easy to model, so that depth does no harm. Parameters have torchvision's names
/// (`layer1.0.conv1.weight`, `layer2.0.downsample.0.weight`, `fc.bias`).
///
/// # Shapes
/// `[N, in_channels, H, W]` -> `[N, num_classes]` logits
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels.
///
/// Sources: He et al., 2015, <https://arxiv.org/abs/1512.03385> (with the stride on the 3x3 convolution, as
/// torchvision has it); Zagoruyko and Komodakis, 2016, <https://arxiv.org/abs/1605.07146> (wide); Xie et al., 2016,
/// <https://arxiv.org/abs/1611.05431> (ResNeXt).
///
/// ```
/// use gradus_models::{ModelConfig, ResNetConfig};
/// use gradus_nn::Forward;
/// use gradus_tensor::Tensor;
/// let model = ResNetConfig { inplanes: 8, num_classes: 10, ..Default::default() }.init();
/// assert_eq!(model.forward(&Tensor::zeros([2, 3, 64, 64])).shape(), [2, 10]);
/// ```
#[derive(Module)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: Box<dyn Forward>,
    maxpool: Option<Pool<MaxPool2d>>,
    layer1: Sequential,
    layer2: Option<Sequential>,
    layer3: Option<Sequential>,
    layer4: Option<Sequential>,
    fc: Option<Linear>,
    #[module(skip)]
    needs: Needs,
    scope: Scope,
}

impl ResNet {
    /// The outputs of the stages, from fine to coarse: `[N, C 2^i, H / (s 2^i), W / (s 2^i)]`, rounded up, with s = 4
    /// behind ImageNet's stem and 1 behind CIFAR's.
    ///
    /// # Panics
    /// As `forward`.
    pub fn stages(&self, x: &Tensor) -> Vec<Tensor> {
        self.needs.enforce("ResNet", x);
        let x = self.bn1.forward(&self.conv1.forward(x)).relu(); // (N, C, H / 2, W / 2)
        let mut x = self.maxpool.as_ref().map_or_else(|| x.clone(), |pool| pool.forward(&x)); // (N, C, H / 4, W / 4)
        let stages = [Some(&self.layer1), self.layer2.as_ref(), self.layer3.as_ref(), self.layer4.as_ref()];
        let mut outputs = Vec::new();
        for stage in stages.into_iter().flatten() {
            x = stage.forward(&x);
            outputs.push(x.clone());
        }
        outputs
    }

    /// The first `stages` stages without what is behind them, to be asked for [`ResNet::stages`]; of the four stages and
    /// the stem the last `trainable` are trained.
    pub(crate) fn body(mut self, stages: usize, trainable: usize) -> ResNet {
        let later = [&mut self.layer2, &mut self.layer3, &mut self.layer4];
        later.into_iter().skip(stages - 1).for_each(|stage| *stage = None);
        self.fc = None;
        let layers = [self.layer4.as_ref(), self.layer3.as_ref(), self.layer2.as_ref(), Some(&self.layer1)];
        layers.into_iter().skip(trainable).flatten().for_each(Module::freeze);
        if trainable < 5 {
            self.conv1.freeze();
            self.bn1.freeze();
        }
        self
    }
}

impl Forward for ResNet {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let deepest = self.stages(x).pop().expect("there is at least one stage");
        let pooled = deepest.adaptive_avg_pool2d([1, 1]).flatten(1, -1); // (N, C', h, w) -> (N, C')
        self.fc.as_ref().map_or_else(|| pooled.clone(), |fc| fc.forward(&pooled)) // (N, C') -> (N, K)
    }
}
