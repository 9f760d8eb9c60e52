//! Fully convolutional nets: FCN-32s, FCN-16s and FCN-8s on VGG-16.

use crate::ModelConfig;
use crate::common::{Begin, Needs, begin, check_dropout};
use crate::registry::check_width;
use crate::vgg::{check_stages, stages};
use crate::window::Pool;
use gradus_nn::init::Fan;
use gradus_nn::{Conv2d, ConvTranspose2d, Dropout2d, Forward, MaxPool2d, Module, ReLU, Scope, Sequential, init};
use gradus_tensor::{Tensor, no_grad};
use serde::{Deserialize, Serialize};

/// Configuration of [`Fcn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FcnConfig {
    /// Stride of the finest scores that are used: 32, 16 or 8.
    pub stride: usize,
    /// Channels of the convolutions of the five stages, VGG-16's.
    pub stages: Vec<Vec<usize>>,
    /// Channels of the two convolutions in the place of linear layers.
    pub hidden: usize,
    /// Whether the transposed convolutions are trained; they begin as bilinear interpolation.
    pub learn_upsampling: bool,
    /// Part of the hidden channels dropped while training.
    pub dropout: f64,
    /// Channels of a picture.
    pub in_channels: usize,
    /// Classes of a pixel.
    pub num_classes: usize,
}

impl Default for FcnConfig {
    fn default() -> Self {
        FcnConfig {
            stride: 32,
            stages: stages([2, 2, 3, 3, 3]),
            hidden: 4096,
            learn_upsampling: true,
            dropout: 0.5,
            in_channels: 3,
            num_classes: 21,
        }
    }
}

impl ModelConfig for FcnConfig {
    type Model = Fcn;

    fn preset(name: &str) -> Option<Self> {
        let stride = match name {
            "fcn32s" => 32,
            "fcn16s" => 16,
            "fcn8s" => 8,
            _ => return None,
        };
        Some(FcnConfig { stride, ..Self::default() })
    }

    fn needs(&self) -> Option<Needs> {
        Some(Needs::new(self.in_channels, 1, "features.0"))
    }

    fn check(&self) -> Result<(), String> {
        if ![8, 16, 32].contains(&self.stride) {
            return Err(format!("`stride` must be 8, 16 or 32, got {}", self.stride));
        }
        check_stages(&self.stages)?;
        if self.stages.len() != 5 {
            return Err(format!("`stages` must be five, got {}", self.stages.len()));
        }
        check_width("hidden", &[self.hidden])?;
        check_dropout("dropout", self.dropout)?;
        check_width("in_channels", &[self.in_channels])?;
        check_width("num_classes", &[self.num_classes])
    }

    fn init(&self) -> Fcn {
        let mut features = Sequential::new();
        let mut taps = Vec::new();
        let mut from = self.in_channels;
        for stage in &self.stages {
            for &to in stage {
                features.push(Conv2d::new(from, to, 3).padding(1));
                features.push(ReLU);
                from = to;
            }
            features.push(Pool(MaxPool2d::new(2).ceil_mode(true)));
            taps.push((features.len(), from));
        }
        let (classes, hidden) = (self.num_classes, self.hidden);
        let score = |stage: usize| Conv2d::new(taps[stage].1, classes, 1);
        let up = |factor: usize| {
            ConvTranspose2d::new(classes, classes, 2 * factor).stride(factor).padding(factor / 2).bias(false)
        };
        let model = Fcn {
            features,
            fc6: Conv2d::new(from, hidden, 7).padding(3),
            fc7: Conv2d::new(hidden, hidden, 1),
            dropout: Dropout2d::new(self.dropout),
            score_fr: Conv2d::new(hidden, classes, 1),
            score_pool4: (self.stride <= 16).then(|| score(3)),
            score_pool3: (self.stride == 8).then(|| score(2)),
            upscore2: (self.stride <= 16).then(|| up(2)),
            upscore_pool4: (self.stride == 8).then(|| up(2)),
            upscore: up(self.stride),
            taps: [taps[2].0, taps[3].0],
            needs: Needs::new(self.in_channels, 1, "features.0"),
            scope: Scope::default(),
        };
        begin(&model, Begin::KaimingNormal(Fan::Out), Begin::Kept, true);
        for score in
            [Some(&model.score_fr), model.score_pool4.as_ref(), model.score_pool3.as_ref()].into_iter().flatten()
        {
            init::zeros_(&score.weight);
        }
        for up in [Some(&model.upscore), model.upscore2.as_ref(), model.upscore_pool4.as_ref()].into_iter().flatten() {
            bilinear_(&up.weight);
            if !self.learn_upsampling {
                up.freeze();
            }
        }
        model
    }
}

/// Begins a transposed convolution `[C, C, 2s, 2s]` of stride s as bilinear interpolation of each channel.
fn bilinear_(weight: &Tensor) {
    let (channels, kernel) = (weight.size(0), weight.size(2));
    let factor = kernel as f64 / 2.0;
    let along = |i: usize| 1.0 - (i as f64 - (kernel as f64 - 1.0) / 2.0).abs() / factor;
    let mut values = vec![0.0f32; weight.numel()];
    for c in 0..channels {
        for i in 0..kernel {
            for j in 0..kernel {
                values[((c * channels + c) * kernel + i) * kernel + j] = (along(i) * along(j)) as f32;
            }
        }
    }
    no_grad(|| weight.copy_(&Tensor::from_vec(values, weight.shape())));
}

/// A fully convolutional net: VGG-16 whose linear layers are convolutions (a 7x7 and a 1x1), so that it takes pictures
/// of any size and scores every place; transposed convolutions bring the scores back to the picture's size.
///
/// A linear layer over a map of 7x7 *is* a 7x7 convolution without padding, whose output is 1x1 for a picture of the
/// size it was made for; for a larger picture the same weights give a map. FCN-16s and FCN-8s add scores from the pools
/// of stride 16 and 8, which know better where things are. The names of `features` are torchvision's of VGG-16, so its
/// weights load there.
///
/// # Shapes
/// `[N, in_channels, H, W]` -> `[N, num_classes, H, W]` logits
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels.
///
/// Source: Long, Shelhamer and Darrell, 2014, <https://arxiv.org/abs/1411.4038> (with padding by half the kernels in the
/// place of 100 pixels around the picture).
///
/// ```
/// use gradus_models::{FcnConfig, ModelConfig};
/// use gradus_nn::Forward;
/// use gradus_tensor::Tensor;
/// let stages = vec![vec![4], vec![4], vec![8], vec![8], vec![8]];
/// let model = FcnConfig { stride: 8, stages, hidden: 16, num_classes: 5, ..Default::default() }.init();
/// assert_eq!(model.forward(&Tensor::zeros([1, 3, 45, 70])).shape(), [1, 5, 45, 70]);
/// ```
#[derive(Module)]
pub struct Fcn {
    features: Sequential,
    fc6: Conv2d,
    fc7: Conv2d,
    dropout: Dropout2d,
    score_fr: Conv2d,
    score_pool4: Option<Conv2d>,
    score_pool3: Option<Conv2d>,
    upscore2: Option<ConvTranspose2d>,
    upscore_pool4: Option<ConvTranspose2d>,
    upscore: ConvTranspose2d,
    /// How many layers of `features` end at the third and fourth pool.
    taps: [usize; 2],
    #[module(skip)]
    needs: Needs,
    scope: Scope,
}

/// The first `h` rows and `w` columns: what a size that was rounded up has too much.
fn cropped(x: &Tensor, h: usize, w: usize) -> Tensor {
    x.narrow(2, 0, h).narrow(3, 0, w)
}

impl Forward for Fcn {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.needs.enforce("Fcn", x);
        let (height, width) = (x.size(2), x.size(3));
        let (mut x, mut pools) = (x.clone(), Vec::new());
        for (i, (_, layer)) in self.features.iter().enumerate() {
            x = layer.forward(&x);
            if self.taps.contains(&(i + 1)) {
                pools.push(x.clone()); // (N, C3, H / 8, W / 8), (N, C4, H / 16, W / 16), rounded up
            }
        }
        let x = self.dropout.forward(&self.fc6.forward(&x).relu()); // (N, hidden, H / 32, W / 32)
        let x = self.dropout.forward(&self.fc7.forward(&x).relu());
        let mut scores = self.score_fr.forward(&x); // (N, K, H / 32, W / 32)
        let finer =
            [(&self.upscore2, &self.score_pool4, &pools[1]), (&self.upscore_pool4, &self.score_pool3, &pools[0])];
        for (up, score, pool) in finer {
            if let (Some(up), Some(score)) = (up, score) {
                let own = score.forward(pool);
                scores = cropped(&up.forward(&scores), own.size(2), own.size(3)) + own; // (N, K, h, w) of the pool
            }
        }
        cropped(&self.upscore.forward(&scores), height, width) // (N, K, s h, s w) -> (N, K, H, W)
    }
}
