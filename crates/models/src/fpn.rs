//! Feature pyramids: maps of several resolutions that all know what is in the picture.

use gradus_nn::init::{self, Fan, Nonlinearity};
use gradus_nn::{Conv2d, Forward, Module, Scope, Sequential, sequential};
use gradus_tensor::{Interpolation, Tensor, fail};
use serde::{Deserialize, Serialize};

/// Levels beyond the coarsest map of a [`FeaturePyramidNetwork`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtraBlocks {
    /// None.
    #[default]
    None,
    /// Every second pixel of the coarsest level.
    LastLevelMaxPool,
    /// Two levels by 3x3 convolutions of stride 2 (`extra_blocks.p6`, `extra_blocks.p7`), the first from the pyramid's
    /// coarsest level.
    LastLevelP6P7,
    /// The same, the first from the coarsest map that goes into the pyramid.
    LastLevelP6P7FromInput,
}

/// The convolutions of [`ExtraBlocks::LastLevelP6P7`].
#[derive(Module)]
struct LastLevelP6P7 {
    p6: Conv2d,
    p7: Conv2d,
    from_input: bool,
}

/// A convolution as torchvision's pyramid begins it.
fn conv(conv: Conv2d) -> Conv2d {
    init::kaiming_uniform_(&conv.weight, Fan::In, Nonlinearity::LeakyReLU(1.0));
    conv.bias.iter().for_each(|bias| init::zeros_(bias));
    conv
}

/// A feature pyramid: from maps of growing stride (coarse ones see much, fine ones know where) as many maps of equal
/// width, each of which sees as much as the coarsest.
///
/// A 1x1 convolution brings each map to `out_channels`; from the coarsest on, each sum is resized to the next finer
/// map (nearest pixel) and added to it; a 3x3 convolution gives the result of that level. Heads that predict boxes take
/// each level for objects of its size. Parameters have torchvision's names (`inner_blocks.0.0.weight`,
/// `layer_blocks.3.0.bias`). [`resnet_fpn_backbone`](crate::resnet_fpn_backbone) puts one over a ResNet.
///
/// # Shapes
/// `[N, C_i, H_i, W_i]` for each level, from fine to coarse -> `[N, out_channels, H_i, W_i]` each, and with
/// [`extra_blocks`](Self::extra_blocks) one or two further levels, each of half the size (rounded up) of the one before
///
/// # Panics
/// `forward` panics if there are not as many maps as levels, or one has another rank or number of channels.
///
/// Source: Lin et al., 2017, <https://arxiv.org/abs/1612.03144>; torchvision,
/// <https://docs.pytorch.org/vision/stable/generated/torchvision.ops.FeaturePyramidNetwork.html>.
///
/// ```
/// use gradus_models::{FeaturePyramidNetwork, ModelConfig, ResNetConfig};
/// use gradus_tensor::Tensor;
/// let backbone = ResNetConfig { inplanes: 8, ..Default::default() }.init();
/// let pyramid = FeaturePyramidNetwork::new(&[8, 16, 32, 64], 16);
/// let maps = pyramid.forward(&backbone.stages(&Tensor::zeros([1, 3, 64, 96])));
/// let sizes: Vec<_> = maps.iter().map(|m| m.shape().to_vec()).collect();
/// assert_eq!(sizes, [[1, 16, 16, 24], [1, 16, 8, 12], [1, 16, 4, 6], [1, 16, 2, 3]]);
/// ```
#[derive(Module)]
pub struct FeaturePyramidNetwork {
    inner_blocks: Vec<Sequential>,
    layer_blocks: Vec<Sequential>,
    extra_blocks: Option<LastLevelP6P7>,
    max_pool: bool,
    /// Of the coarsest map, and of each level.
    in_channels: usize,
    out_channels: usize,
    scope: Scope,
}

impl FeaturePyramidNetwork {
    /// For maps with these channels, from fine to coarse.
    ///
    /// # Panics
    /// If there are none, or a number is 0.
    #[track_caller]
    pub fn new(in_channels: &[usize], out_channels: usize) -> FeaturePyramidNetwork {
        if in_channels.is_empty() || in_channels.contains(&0) || out_channels == 0 {
            let given = format_args!("needs levels of at least one channel, got {in_channels:?} and {out_channels}");
            fail("FeaturePyramidNetwork", given);
        }
        let level =
            |from: usize, kernel: usize| sequential![conv(Conv2d::new(from, out_channels, kernel).padding(kernel / 2))];
        FeaturePyramidNetwork {
            inner_blocks: in_channels.iter().map(|&from| level(from, 1)).collect(),
            layer_blocks: in_channels.iter().map(|_| level(out_channels, 3)).collect(),
            extra_blocks: None,
            max_pool: false,
            in_channels: in_channels[in_channels.len() - 1],
            out_channels,
            scope: Scope::default(),
        }
    }

    /// Levels beyond the coarsest (none).
    pub fn extra_blocks(mut self, blocks: ExtraBlocks) -> Self {
        self.max_pool = blocks == ExtraBlocks::LastLevelMaxPool;
        let from_input = blocks == ExtraBlocks::LastLevelP6P7FromInput;
        self.extra_blocks = (from_input || blocks == ExtraBlocks::LastLevelP6P7).then(|| {
            let out = self.out_channels;
            let from = if from_input { self.in_channels } else { out };
            let halved = |from| conv(Conv2d::new(from, out, 3).stride(2).padding(1));
            LastLevelP6P7 { p6: halved(from), p7: halved(out), from_input }
        });
        self
    }

    /// The pyramid of `maps`, from fine to coarse.
    ///
    /// # Panics
    /// See the type.
    #[track_caller]
    pub fn forward(&self, maps: &[Tensor]) -> Vec<Tensor> {
        let _scope = self.scope.enter();
        let levels = self.inner_blocks.len();
        if maps.len() != levels {
            fail("FeaturePyramidNetwork", format_args!("needs {levels} maps, got {}", maps.len()));
        }
        let mut results = Vec::new();
        let mut above: Option<Tensor> = None;
        for ((map, inner), layer) in maps.iter().zip(&self.inner_blocks).zip(&self.layer_blocks).rev() {
            let lateral = inner.forward(map); // (N, C_i, H_i, W_i) -> (N, out, H_i, W_i)
            let size = [map.size(2), map.size(3)];
            let sum = match above {
                // (N, out, h, w) of the coarser level -> (N, out, H_i, W_i)
                Some(above) => lateral + above.interpolate(size, Interpolation::Nearest),
                None => lateral,
            };
            results.push(layer.forward(&sum)); // (N, out, H_i, W_i)
            above = Some(sum);
        }
        results.reverse();
        let coarsest = &results[levels - 1];
        if self.max_pool {
            // (N, out, H, W) -> (N, out, H / 2, W / 2), rounded up
            results.push(coarsest.slice(2, 0, coarsest.size(2), 2).slice(3, 0, coarsest.size(3), 2));
        } else if let Some(extra) = &self.extra_blocks {
            let p6 = extra.p6.forward(if extra.from_input { &maps[levels - 1] } else { coarsest }); // (N, out, H / 2, W / 2)
            let p7 = extra.p7.forward(&p6.relu()); // (N, out, H / 4, W / 4)
            results.extend([p6, p7]);
        }
        results
    }
}
