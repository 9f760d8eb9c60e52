//! Skip connections that join.

use super::batch_norm::BatchNorm2d;
use super::conv::Conv2d;
use crate::module::{Forward, Module, Scope};
use gradus_tensor::{Tensor, fail};

/// What a layer of a [`DenseBlock`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DenseLayerKind {
    /// The paper's: batch norm, ReLU, then a 3x3 convolution. The default.
    #[default]
    BnReluConv,
    /// The plain one: a 3x3 convolution, then ReLU.
    ConvRelu,
}

/// One layer: from all maps so far to `growth_rate` new ones.
#[derive(Debug, Module)]
struct DenseLayer {
    norm: Option<BatchNorm2d>,
    conv: Conv2d,
}

/// Dense skip connections: every layer sees the outputs of all before it, `x_i = F(x_0, ..., x_{i-1})`, joined along
/// the channels, and adds k = `growth_rate` maps. So layer i of 1, 2, ... has k (i - 1) + k0 input maps, where k0 are
/// the block's.
///
/// Parameters: `layers.I.conv.weight` `[k, k (i - 1) + k0, 3, 3]`, `layers.I.conv.bias`, and those of the batch norm
/// under `layers.I.norm`, if it has one (then the convolution has no bias).
///
/// # Shapes
/// `[N, k0, H, W]` -> `[N, k0 + k num_layers, H, W]`, the input first
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels.
///
/// Source: Huang et al., 2017 (DenseNet), <https://arxiv.org/abs/1608.06993>.
///
/// ```
/// use gradus_nn::{DenseBlock, Forward};
/// use gradus_tensor::Tensor;
/// let block = DenseBlock::new(4, 16, 12);
/// assert_eq!(block.forward(&Tensor::zeros([2, 16, 5, 5])).shape(), [2, 16 + 4 * 12, 5, 5]);
/// assert_eq!(block.in_channels(3), 12 * 2 + 16);
/// ```
#[derive(Debug, Module)]
pub struct DenseBlock {
    layers: Vec<DenseLayer>,
    first: usize,
    growth_rate: usize,
    scope: Scope,
}

impl DenseBlock {
    /// `num_layers` layers of the paper's kind that add `growth_rate` maps each to `in_channels`.
    pub fn new(num_layers: usize, in_channels: usize, growth_rate: usize) -> DenseBlock {
        let block = DenseBlock { layers: Vec::new(), first: in_channels, growth_rate, scope: Scope::default() };
        block.build(num_layers, DenseLayerKind::default())
    }

    /// With layers of this kind (`BnReluConv`). The parameters are begun anew.
    pub fn kind(self, kind: DenseLayerKind) -> DenseBlock {
        let n = self.layers.len();
        self.build(n, kind)
    }

    fn build(mut self, num_layers: usize, kind: DenseLayerKind) -> DenseBlock {
        let with_norm = kind == DenseLayerKind::BnReluConv;
        let layer = |i| {
            let width = self.in_channels(i);
            DenseLayer {
                norm: with_norm.then(|| BatchNorm2d::new(width)),
                conv: Conv2d::new(width, self.growth_rate, 3).padding(1).bias(!with_norm),
            }
        };
        self.layers = (1..=num_layers).map(layer).collect();
        self
    }

    /// The number of input maps of layer `i` of 1, 2, ...: k (i - 1) + k0.
    pub fn in_channels(&self, i: usize) -> usize {
        self.growth_rate * (i - 1) + self.first
    }

    /// The number of maps that come out.
    pub fn out_channels(&self) -> usize {
        self.in_channels(self.layers.len() + 1)
    }
}

impl Forward for DenseBlock {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        if x.rank() != 4 || x.size(1) != self.first {
            fail("DenseBlock", format_args!("needs an input [N, {}, H, W], got {}", self.first, x.shape()));
        }
        let mut all = x.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            assert_eq!(all.size(1), self.in_channels(i + 1), "DenseBlock: the width of layer {}", i + 1);
            let new = match &layer.norm {
                Some(norm) => layer.conv.forward(&norm.forward(&all).relu()),
                None => layer.conv.forward(&all).relu(),
            };
            all = Tensor::cat(&[&all, &new], 1);
        }
        all
    }
}
