//! SegNet: a decoder that puts maxima back where they came from.

use crate::ModelConfig;
use crate::common::{Begin, Needs, begin};
use crate::registry::check_width;
use crate::vgg::{check_stages, stages};
use crate::window::Pool;
use gradus_nn::init::Fan;
use gradus_nn::{BatchNorm2d, Conv2d, Forward, MaxPool2d, MaxUnpool2d, Module, ReLU, Scope, Sequential};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Configuration of [`SegNet`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SegNetConfig {
    /// Channels of the convolutions of each stage, VGG-16's; the decoder mirrors them.
    pub stages: Vec<Vec<usize>>,
    /// Channels of a picture.
    pub in_channels: usize,
    /// Classes of a pixel.
    pub num_classes: usize,
}

impl Default for SegNetConfig {
    fn default() -> Self {
        SegNetConfig { stages: stages([2, 2, 3, 3, 3]), in_channels: 3, num_classes: 21 }
    }
}

impl SegNetConfig {
    fn pictures(&self) -> Needs {
        let last = self.stages.len().saturating_sub(1);
        Needs::new(self.in_channels, 1 << self.stages.len(), format!("encoder.{last}"))
    }
}

impl ModelConfig for SegNetConfig {
    type Model = SegNet;

    fn needs(&self) -> Option<Needs> {
        Some(self.pictures())
    }

    fn check(&self) -> Result<(), String> {
        check_stages(&self.stages)?;
        check_width("in_channels", &[self.in_channels])?;
        check_width("num_classes", &[self.num_classes])
    }

    fn init(&self) -> SegNet {
        let unit = |layers: &mut Sequential, from, to| {
            layers.push(Conv2d::new(from, to, 3).padding(1));
            layers.push(BatchNorm2d::new(to));
            layers.push(ReLU);
        };
        let mut from = self.in_channels;
        let (mut encoder, mut decoder) = (Vec::new(), Vec::new());
        for stage in &self.stages {
            let (mut down, mut up) = (Sequential::new(), Sequential::new());
            for &to in stage {
                unit(&mut down, from, to);
                from = to;
            }
            encoder.push(down);
            // The way back through the same channels: the last convolution leads to those of the stage before.
            let index = encoder.len() - 1;
            let before = index.checked_sub(1).map(|i| *self.stages[i].last().expect("no stage is empty"));
            for i in (0..stage.len()).rev() {
                match (i.checked_sub(1), before) {
                    (Some(i), _) => unit(&mut up, stage[i + 1], stage[i]),
                    (None, Some(to)) => unit(&mut up, stage[0], to),
                    (None, None) => up.push(Conv2d::new(stage[0], self.num_classes, 3).padding(1)),
                }
            }
            decoder.insert(0, up);
        }
        let model = SegNet {
            encoder,
            pool: Pool(MaxPool2d::new(2)),
            unpool: MaxUnpool2d::new(2),
            decoder,
            needs: self.pictures(),
            scope: Scope::default(),
        };
        begin(&model, Begin::KaimingNormal(Fan::In), Begin::Kept, true);
        model
    }
}

/// SegNet: VGG-16's convolutions with batch norm as the encoder, and their mirror as the decoder, which puts each value
/// back to the place it was the maximum of and fills the gaps by convolutions.
///
/// The places cost far less memory than the encoder's maps, which U-Net keeps, and outlines stay sharp.
///
/// # Shapes
/// `[N, in_channels, H, W]` -> `[N, num_classes, H, W]` logits
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels, or is smaller than 32x32 (two to the power of
/// the number of stages).
///
/// Source: Badrinarayanan, Kendall and Cipolla, 2015, <https://arxiv.org/abs/1511.00561>.
///
/// ```
/// use gradus_models::{ModelConfig, SegNetConfig};
/// use gradus_nn::Forward;
/// use gradus_tensor::Tensor;
/// let model = SegNetConfig { stages: vec![vec![4, 4], vec![8]], num_classes: 5, ..Default::default() }.init();
/// assert_eq!(model.forward(&Tensor::zeros([1, 3, 21, 30])).shape(), [1, 5, 21, 30]);
/// ```
#[derive(Module)]
pub struct SegNet {
    encoder: Vec<Sequential>,
    pool: Pool<MaxPool2d>,
    unpool: MaxUnpool2d,
    decoder: Vec<Sequential>,
    #[module(skip)]
    needs: Needs,
    scope: Scope,
}

impl Forward for SegNet {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.needs.enforce("SegNet", x);
        let (mut x, mut places) = (x.clone(), Vec::new());
        for stage in &self.encoder {
            let full = stage.forward(&x); // (N, C, h, w)
            let (pooled, indices) = self.pool.forward_with_indices(&full); // (N, C, h / 2, w / 2)
            places.push((indices, [full.size(2), full.size(3)]));
            x = pooled;
        }
        for stage in &self.decoder {
            let (indices, size) = places.pop().expect("as many stages up as down");
            x = stage.forward(&self.unpool.forward_to(&x, &indices, size)); // (N, C, h / 2, w / 2) -> (N, C, h, w)
        }
        x // (N, K, H, W)
    }
}
