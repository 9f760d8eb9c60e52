//! Inception v2 (BN-Inception): GoogLeNet with batch norm and two 3x3 convolutions for each 5x5 one.

use crate::ModelConfig;
use crate::common::{BasicConv2d, Begin, Needs, begin, check_dropout, check_factor, scaled};
use crate::mixed::{Mixed, Plan, Pooled, chain, same};
use crate::registry::check_width;
use crate::window::Pool;
use gradus_nn::{Conv2d, Dropout, Forward, Linear, MaxPool2d, Module, Scope, Sequential, sequential};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Configuration of [`InceptionV2`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InceptionV2Config {
    /// Part of the features dropped while training (the paper needs none).
    pub dropout: f64,
    /// Factor of all published numbers of channels.
    pub width_mult: f64,
    /// Channels of a picture.
    pub in_channels: usize,
    /// Classes.
    pub num_classes: usize,
}

impl Default for InceptionV2Config {
    fn default() -> Self {
        InceptionV2Config { dropout: 0.0, width_mult: 1.0, in_channels: 3, num_classes: 1000 }
    }
}

/// A row of the paper's figure 5.
type Row = (&'static str, usize, [usize; 2], [usize; 2], Pooled);

/// Figure 5 of the paper: name, 1x1 (0: none, and the block has stride 2), 3x3 reduce, 3x3, double 3x3 reduce, double
/// 3x3, pool.
const BLOCKS: [Row; 10] = [
    ("inception3a", 64, [64, 64], [64, 96], Pooled::Mean(32)),
    ("inception3b", 64, [64, 96], [64, 96], Pooled::Mean(64)),
    ("inception3c", 0, [128, 160], [64, 96], Pooled::Max),
    ("inception4a", 224, [64, 96], [96, 128], Pooled::Mean(128)),
    ("inception4b", 192, [96, 128], [96, 128], Pooled::Mean(128)),
    ("inception4c", 160, [128, 160], [128, 160], Pooled::Mean(96)),
    ("inception4d", 96, [128, 192], [160, 192], Pooled::Mean(96)),
    ("inception4e", 0, [128, 192], [192, 256], Pooled::Max),
    ("inception5a", 352, [192, 320], [160, 224], Pooled::Mean(128)),
    ("inception5b", 352, [192, 320], [192, 224], Pooled::MaxKept(128)),
];

/// The branches of one block.
fn plans(one: usize, [reduce, three]: [usize; 2], [double_reduce, double]: [usize; 2]) -> Vec<Plan> {
    let stride = if one == 0 { 2 } else { 1 };
    let first = (one > 0).then(|| chain(&[same("branch1x1", one, [1, 1])]));
    let second = chain(&[same("branch3x3_1", reduce, [1, 1]), ("branch3x3_2", three, [3, 3], stride)]);
    let third = chain(&[
        same("branch3x3dbl_1", double_reduce, [1, 1]),
        same("branch3x3dbl_2", double, [3, 3]),
        ("branch3x3dbl_3", double, [3, 3], stride),
    ]);
    first.into_iter().chain([second, third]).collect()
}

impl ModelConfig for InceptionV2Config {
    type Model = InceptionV2;

    fn needs(&self) -> Option<Needs> {
        Some(Needs::new(self.in_channels, 1, "stem.0.conv"))
    }

    fn check(&self) -> Result<(), String> {
        check_dropout("dropout", self.dropout)?;
        check_factor("width_mult", self.width_mult)?;
        check_width("in_channels", &[self.in_channels])?;
        check_width("num_classes", &[self.num_classes])
    }

    fn init(&self) -> InceptionV2 {
        let (a, b) = (scaled(64, self.width_mult), scaled(192, self.width_mult));
        let conv = |from, to, kernel: usize, stride: usize| {
            BasicConv2d::around(Conv2d::new(from, to, kernel).stride(stride).padding(kernel / 2))
        };
        let pool = || Pool(MaxPool2d::new(3).stride(2).padding(1));
        let stem = sequential![conv(self.in_channels, a, 7, 2), pool(), conv(a, a, 1, 1), conv(a, b, 3, 1), pool()];
        let mut from = b;
        let mut blocks = Sequential::new();
        for (name, one, three, double, pooled) in BLOCKS {
            let block = Mixed::new(from, plans(one, three, double), pooled, self.width_mult, 1);
            from = block.out_channels;
            blocks.push_named(name, block);
        }
        let model = InceptionV2 {
            stem,
            blocks,
            dropout: Dropout::new(self.dropout),
            fc: Linear::new(from, self.num_classes),
            needs: Needs::new(self.in_channels, 1, "stem.0.conv"),
            scope: Scope::default(),
        };
        begin(&model, Begin::TruncNormal(0.1), Begin::TruncNormal(0.1), false);
        model
    }
}

/// Inception v2, also BN-Inception: the net with which batch norm was introduced.
///
/// It has GoogLeNet's plan with two 3x3 convolutions in the place of each 5x5 one and strides within blocks 3c and 4e;
/// auxiliary classifiers are not needed, for batch norm keeps the gradients in range. torchvision has no such model.
///
/// # Shapes
/// `[N, in_channels, H, W]` -> `[N, num_classes]` logits
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels.
///
/// Source: Ioffe and Szegedy, 2015, figure 5, <https://arxiv.org/abs/1502.03167>.
///
/// ```
/// use gradus_models::{InceptionV2Config, ModelConfig};
/// use gradus_nn::Forward;
/// use gradus_tensor::Tensor;
/// let model = InceptionV2Config { width_mult: 0.125, num_classes: 10, ..Default::default() }.init();
/// assert_eq!(model.forward(&Tensor::zeros([2, 3, 64, 64])).shape(), [2, 10]);
/// ```
#[derive(Module)]
pub struct InceptionV2 {
    stem: Sequential,
    blocks: Sequential,
    dropout: Dropout,
    fc: Linear,
    #[module(skip)]
    needs: Needs,
    scope: Scope,
}

impl Forward for InceptionV2 {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.needs.enforce("InceptionV2", x);
        let x = self.stem.forward(x); // (N, 192, 28, 28) for 224x224
        let x = self.blocks.forward(&x); // (N, 1024, 7, 7)
        let x = x.adaptive_avg_pool2d([1, 1]).flatten(1, -1); // (N, 1024, 1, 1) -> (N, 1024)
        self.fc.forward(&self.dropout.forward(&x))
    }
}
