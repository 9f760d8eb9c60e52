//! The blocks of residual nets, and what normalises them.

use crate::common::PadChannels;
use crate::window::Pool;
use crate::{FrozenBatchNorm2d, ResNetConfig};
use ResNetBlock::{Basic, Bottleneck};
use gradus_nn::{BatchNorm2d, Conv2d, Forward, MaxPool2d, Module, Scope, Sequential};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The residual function of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResNetBlock {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1 to fewer channels, 3x3 (with the stride), 1x1 to four times as many.
    Bottleneck,
}

impl ResNetBlock {
    /// How many times more channels a block puts out than its 3x3 convolution has.
    pub(crate) fn expansion(self) -> usize {
        match self {
            ResNetBlock::Basic => 1,
            ResNetBlock::Bottleneck => 4,
        }
    }
}

/// What a block's function is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResNetShortcut {
    /// The input, through a 1x1 convolution and batch norm where the shape changes (option B).
    Projection,
    /// The input, with every second pixel and new channels of zeros where the shape changes (option A).
    Padding,
    /// Nothing: a plain net, to see what the addition does.
    None,
}

/// The normalisation behind the convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResNetNorm {
    /// [`BatchNorm2d`].
    Batch,
    /// [`FrozenBatchNorm2d`]: the statistics and scales that were loaded, never changed.
    Frozen,
}

impl ResNetNorm {
    pub(crate) fn layer(self, channels: usize) -> Box<dyn Forward> {
        match self {
            ResNetNorm::Batch => Box::new(BatchNorm2d::new(channels)),
            ResNetNorm::Frozen => Box::new(FrozenBatchNorm2d::new(channels)),
        }
    }
}

impl ResNetConfig {
    /// Channels of the 3x3 convolution of a bottleneck whose stage has so many.
    pub(crate) fn width(&self, planes: usize) -> usize {
        planes * self.width_per_group / 64 * self.groups
    }

    /// A block from so many channels to `planes` times the block's expansion.
    pub(crate) fn block(&self, from: usize, planes: usize, stride: usize) -> Block {
        let to = planes * self.block.expansion();
        let conv = |from, to, kernel: usize, stride: usize| {
            Conv2d::new(from, to, kernel).stride(stride).padding(kernel / 2).bias(false)
        };
        let norm = |channels| self.norm_layer.layer(channels);
        let changes = stride != 1 || from != to;
        let downsample: Option<Box<dyn Forward>> = match self.shortcut {
            ResNetShortcut::Projection if changes => {
                let layers: [Box<dyn Forward>; 2] = [Box::new(conv(from, to, 1, stride)), self.norm_layer.layer(to)];
                Some(Box::new(layers.into_iter().collect::<Sequential>()))
            }
            ResNetShortcut::Padding if changes => {
                Some(Box::new(PadChannels { to, every: Pool(MaxPool2d::new(1).stride(stride)) }))
            }
            _ => None,
        };
        let plain = self.shortcut == ResNetShortcut::None;
        let (first, second, third) = match self.block {
            Basic => (conv(from, to, 3, stride), conv(to, to, 3, 1), None),
            Bottleneck => {
                let width = self.width(planes);
                let spatial = conv(width, width, 3, stride).groups(self.groups);
                (conv(from, width, 1, 1), spatial, Some(conv(width, to, 1, 1)))
            }
        };
        Block {
            bn1: norm(first.weight.size(0)),
            conv1: first,
            bn2: norm(second.weight.size(0)),
            conv2: second,
            bn3: third.as_ref().map(|_| norm(to)),
            conv3: third,
            downsample,
            plain,
            scope: Scope::default(),
        }
    }
}

/// A residual block: ReLU(F(x) + shortcut(x)).
#[derive(Module)]
pub(crate) struct Block {
    conv1: Conv2d,
    bn1: Box<dyn Forward>,
    conv2: Conv2d,
    bn2: Box<dyn Forward>,
    conv3: Option<Conv2d>,
    bn3: Option<Box<dyn Forward>>,
    downsample: Option<Box<dyn Forward>>,
    plain: bool,
    scope: Scope,
}

impl Forward for Block {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let y = self.bn1.forward(&self.conv1.forward(x)).relu();
        let mut y = self.bn2.forward(&self.conv2.forward(&y));
        if let (Some(conv3), Some(bn3)) = (&self.conv3, &self.bn3) {
            y = bn3.forward(&conv3.forward(&y.relu()));
        }
        match &self.downsample {
            _ if self.plain => y.relu(),
            Some(shortcut) => (y + shortcut.forward(x)).relu(),
            None => (y + x).relu(),
        }
    }
}
