//! A ResNet with a feature pyramid over its stages: what detectors look through.

use crate::architecture::ModelError;
use crate::registry::{ModelConfig, find};
use crate::resnet::{ResNet, ResNetConfig};
use crate::resnet_block::ResNetNorm;
use crate::{ExtraBlocks, FeaturePyramidNetwork};
use gradus_nn::{Module, Scope};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Configuration of [`BackboneWithFpn`]; arguments and defaults are those of torchvision's `resnet_fpn_backbone`, with
/// ResNet-50.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResNetFpnConfig {
    /// The residual net, whose classes are of no account.
    pub body: ResNetConfig,
    /// How many of `layer4`, `layer3`, `layer2`, `layer1` and stem are trained, counted from the last; 5 is all.
    pub trainable_layers: usize,
    /// The stages that go into the pyramid, from 1 on and in rising order.
    pub returned_layers: Vec<usize>,
    /// Levels beyond the coarsest.
    pub extra_blocks: ExtraBlocks,
    /// Channels of each level.
    pub out_channels: usize,
}

impl Default for ResNetFpnConfig {
    fn default() -> Self {
        let body = ResNetConfig::preset("resnet50").expect("there is such a preset");
        ResNetFpnConfig {
            body: ResNetConfig { norm_layer: ResNetNorm::Frozen, ..body },
            trainable_layers: 3,
            returned_layers: vec![1, 2, 3, 4],
            extra_blocks: ExtraBlocks::LastLevelMaxPool,
            out_channels: 256,
        }
    }
}

impl ResNetFpnConfig {
    /// Whether the numbers make a model.
    ///
    /// # Errors
    /// What is wrong, naming the field.
    pub fn check(&self) -> Result<(), String> {
        self.body.check().map_err(|e| format!("`body`: {e}"))?;
        let (stages, wanted) = (self.body.layers.len(), &self.returned_layers);
        let rising = wanted.windows(2).all(|pair| pair[0] < pair[1]);
        if wanted.is_empty() || !rising || wanted[0] == 0 || wanted[wanted.len() - 1] > stages {
            return Err(format!("`returned_layers` must rise within 1 to {stages}, got {wanted:?}"));
        }
        if self.trainable_layers > 5 {
            return Err(format!("`trainable_layers` must be 0 to 5, got {}", self.trainable_layers));
        }
        crate::registry::check_width("out_channels", &[self.out_channels])
    }

    /// A backbone with fresh random weights.
    ///
    /// # Panics
    /// If [`check`](Self::check) fails.
    pub fn init(&self) -> BackboneWithFpn {
        self.check().unwrap_or_else(|e| panic!("ResNetFpnConfig: {e}"));
        let channels = self.body.channels();
        let from: Vec<usize> = self.returned_layers.iter().map(|stage| channels[stage - 1]).collect();
        let body = self.body.init().body(self.returned_layers[from.len() - 1], self.trainable_layers);
        BackboneWithFpn {
            body,
            fpn: FeaturePyramidNetwork::new(&from, self.out_channels).extra_blocks(self.extra_blocks),
            returned_layers: self.returned_layers.clone(),
            extra_blocks: self.extra_blocks,
            out_channels: self.out_channels,
            scope: Scope::default(),
        }
    }
}

/// The configuration of a feature pyramid over the ResNet preset `backbone_name` (`resnet50`, `resnext50_32x4d`), with
/// frozen batch norm, the last three stages trained and a further level by pooling.
///
/// # Errors
/// If there is no such model, or it is no ResNet.
///
/// Source: <https://docs.pytorch.org/vision/stable/models/faster_rcnn.html>, `resnet_fpn_backbone` there.
///
/// ```
/// let mut config = gradus_models::resnet_fpn_backbone("resnet18").unwrap();
/// config.body.inplanes = 8;
/// let backbone = config.init();
/// let maps = backbone.forward(&gradus_tensor::Tensor::zeros([1, 3, 64, 64]));
/// let sizes: Vec<_> = maps.iter().map(|m| m.shape().to_vec()).collect();
/// assert_eq!(sizes[0], [1, 256, 16, 16]);
/// assert_eq!(backbone.names(), ["0", "1", "2", "3", "pool"]);
/// ```
pub fn resnet_fpn_backbone(backbone_name: &str) -> Result<ResNetFpnConfig, ModelError> {
    let row = find(backbone_name)?;
    let body = ResNetConfig::preset(row.name).ok_or_else(|| ModelError::Config {
        model: row.name.into(),
        reason: "only a ResNet can carry a feature pyramid".into(),
    })?;
    let body = ResNetConfig { norm_layer: ResNetNorm::Frozen, ..body };
    Ok(ResNetFpnConfig { body, ..Default::default() })
}

/// A residual net without its classifier, and a feature pyramid over the outputs of its stages.
///
/// Parameters have torchvision's names (`body.layer1.0.conv1.weight`, `fpn.inner_blocks.0.0.weight`,
/// `fpn.layer_blocks.3.0.bias`), so that the `backbone` of its detectors loads by name.
///
/// # Shapes
/// `[N, in_channels, H, W]` -> for each stage of `returned_layers` `[N, out_channels, H / 2^(i+1), W / 2^(i+1)]`, rounded
/// up, and the further levels
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels.
///
/// Sources: Lin et al., 2017, <https://arxiv.org/abs/1612.03144>; torchvision's `BackboneWithFPN`,
/// <https://github.com/pytorch/vision/blob/main/torchvision/models/detection/backbone_utils.py>.
#[derive(Module)]
pub struct BackboneWithFpn {
    body: ResNet,
    fpn: FeaturePyramidNetwork,
    #[module(skip)]
    returned_layers: Vec<usize>,
    #[module(skip)]
    extra_blocks: ExtraBlocks,
    out_channels: usize,
    scope: Scope,
}

impl BackboneWithFpn {
    /// The maps of all levels, from fine to coarse.
    ///
    /// # Panics
    /// See the type.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Vec<Tensor> {
        let _scope = self.scope.enter();
        let stages = self.body.stages(x); // (N, C_i, H / 2^(i+1), W / 2^(i+1))
        let maps: Vec<Tensor> = self.returned_layers.iter().map(|stage| stages[stage - 1].clone()).collect();
        self.fpn.forward(&maps) // (N, out, h, w) each
    }

    /// torchvision's names of the maps: `0` and so on, then `pool` or `p6` and `p7`.
    pub fn names(&self) -> Vec<String> {
        let own = (0..self.returned_layers.len()).map(|i| i.to_string());
        let further: &[&str] = match self.extra_blocks {
            ExtraBlocks::None => &[],
            ExtraBlocks::LastLevelMaxPool => &["pool"],
            ExtraBlocks::LastLevelP6P7 | ExtraBlocks::LastLevelP6P7FromInput => &["p6", "p7"],
        };
        own.chain(further.iter().map(|name| name.to_string())).collect()
    }

    /// Channels of each map.
    pub fn out_channels(&self) -> usize {
        self.out_channels
    }
}
