//! GoogLeNet: parallel branches, and auxiliary classifiers along the way.

use crate::ModelConfig;
use crate::common::{
    BasicConv2d, Begin, Needs, begin, check_dropout, check_factor, check_transform, scaled, transformed,
};
use crate::extra::{Extra, Taught};
use crate::registry::check_width;
use crate::window::Pool;
use gradus_nn::{Conv2d, Dropout, Forward, Linear, MaxPool2d, Module, Scope, Sequential, sequential};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Configuration of [`GoogLeNet`]; arguments and defaults are torchvision's where it has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GoogLeNetConfig {
    /// Whether there are auxiliary classifiers. (torchvision leaves them out of pretrained models unless asked.)
    pub aux_logits: bool,
    /// Whether pictures normalised for torchvision's other nets are turned into those of the original weights.
    pub transform_input: bool,
    /// Part of the features dropped while training.
    pub dropout: f64,
    /// Part of the hidden units of the auxiliary classifiers dropped while training.
    pub dropout_aux: f64,
    /// Factor of all published numbers of channels and units.
    pub width_mult: f64,
    /// Channels of a picture.
    pub in_channels: usize,
    /// Classes.
    pub num_classes: usize,
}

impl Default for GoogLeNetConfig {
    fn default() -> Self {
        GoogLeNetConfig {
            aux_logits: true,
            transform_input: false,
            dropout: 0.2,
            dropout_aux: 0.7,
            width_mult: 1.0,
            in_channels: 3,
            num_classes: 1000,
        }
    }
}

/// Table 1 of the paper from 3a to 5b: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, projection of the pool.
const BLOCKS: [[usize; 6]; 9] = [
    [64, 96, 128, 16, 32, 32],
    [128, 128, 192, 32, 96, 64],
    [192, 96, 208, 16, 48, 64],
    [160, 112, 224, 24, 64, 64],
    [128, 128, 256, 24, 64, 64],
    [112, 144, 288, 32, 64, 64],
    [256, 160, 320, 32, 128, 128],
    [256, 160, 320, 32, 128, 128],
    [384, 192, 384, 48, 128, 128],
];

impl ModelConfig for GoogLeNetConfig {
    type Model = GoogLeNet;

    fn needs(&self) -> Option<Needs> {
        Some(Needs::new(self.in_channels, 15, "maxpool3"))
    }

    fn check(&self) -> Result<(), String> {
        check_dropout("dropout", self.dropout)?;
        check_dropout("dropout_aux", self.dropout_aux)?;
        check_factor("width_mult", self.width_mult)?;
        check_width("in_channels", &[self.in_channels])?;
        check_width("num_classes", &[self.num_classes])?;
        check_transform(self.transform_input, self.in_channels)
    }

    fn extra(&self) -> Extra {
        let smallest = self.needs().map_or(1, |n| n.smallest);
        if self.aux_logits { Extra::Auxiliary { heads: 2, smallest } } else { Extra::None }
    }

    fn forward_taught(model: &GoogLeNet, x: &Tensor, _: &Tensor) -> Taught {
        Taught::with_auxiliary(model.forward_with_aux(x))
    }

    fn init(&self) -> GoogLeNet {
        let wide = |n| scaled(n, self.width_mult);
        let conv = |from, to, kernel: usize| Conv2d::new(from, to, kernel).padding(kernel / 2);
        let (a, b) = (wide(64), wide(192));
        let mut from = b;
        let mut inputs = Vec::new();
        let mut blocks = BLOCKS.iter().map(|published| {
            inputs.push(from);
            let block = Inception::new(from, published.map(wide));
            from = block.out_channels;
            block
        });
        let mut next = || blocks.next().expect("there are nine blocks");
        let (inception3a, inception3b) = (next(), next());
        let (inception4a, inception4b, inception4c) = (next(), next(), next());
        let (inception4d, inception4e, inception5a, inception5b) = (next(), next(), next(), next());
        drop(blocks);
        let aux = |channels| self.aux_logits.then(|| InceptionAux::new(channels, self));
        let pool = |kernel: usize| Pool(MaxPool2d::new(kernel).stride(2).ceil_mode(true));
        let model = GoogLeNet {
            conv1: BasicConv2d::around(conv(self.in_channels, a, 7).stride(2)),
            maxpool1: pool(3),
            conv2: BasicConv2d::around(conv(a, a, 1)),
            conv3: BasicConv2d::around(conv(a, b, 3)),
            maxpool2: pool(3),
            inception3a,
            inception3b,
            maxpool3: pool(3),
            inception4a,
            inception4b,
            inception4c,
            inception4d,
            inception4e,
            maxpool4: pool(2),
            inception5a,
            inception5b,
            aux1: aux(inputs[3]),
            aux2: aux(inputs[6]),
            dropout: Dropout::new(self.dropout),
            fc: Linear::new(from, self.num_classes),
            transform_input: self.transform_input,
            needs: Needs::new(self.in_channels, 15, "maxpool3"),
            scope: Scope::default(),
        };
        begin(&model, Begin::TruncNormal(0.01), Begin::TruncNormal(0.01), false);
        model
    }
}

/// Four branches side by side, joined along the channels; 1x1 convolutions keep them cheap.
#[derive(Module)]
struct Inception {
    branch1: BasicConv2d,
    branch2: Sequential,
    branch3: Sequential,
    branch4: Sequential,
    out_channels: usize,
    scope: Scope,
}

impl Inception {
    fn new(from: usize, [one, reduce3, three, reduce5, five, pool]: [usize; 6]) -> Inception {
        let conv = |from, to, kernel: usize| BasicConv2d::around(Conv2d::new(from, to, kernel).padding(kernel / 2));
        Inception {
            branch1: conv(from, one, 1),
            branch2: sequential![conv(from, reduce3, 1), conv(reduce3, three, 3)],
            // The paper has 5x5 here; torchvision's published weights are for 3x3.
            branch3: sequential![conv(from, reduce5, 1), conv(reduce5, five, 3)],
            branch4: sequential![Pool(MaxPool2d::new(3).stride(1).padding(1).ceil_mode(true)), conv(from, pool, 1)],
            out_channels: one + three + five + pool,
            scope: Scope::default(),
        }
    }
}

impl Forward for Inception {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let branches: [&dyn Forward; 4] = [&self.branch1, &self.branch2, &self.branch3, &self.branch4];
        let outputs = branches.map(|b| b.forward(x));
        Tensor::cat(&outputs.each_ref(), 1) // 4 of (N, C_i, H, W) -> (N, sum C_i, H, W)
    }
}

/// A small classifier half-way.
#[derive(Module)]
struct InceptionAux {
    conv: BasicConv2d,
    fc1: Linear,
    fc2: Linear,
    dropout: Dropout,
    scope: Scope,
}

impl InceptionAux {
    fn new(from: usize, c: &GoogLeNetConfig) -> InceptionAux {
        let (channels, hidden) = (scaled(128, c.width_mult), scaled(1024, c.width_mult));
        InceptionAux {
            conv: BasicConv2d::around(Conv2d::new(from, channels, 1)),
            fc1: Linear::new(channels * 4 * 4, hidden),
            fc2: Linear::new(hidden, c.num_classes),
            dropout: Dropout::new(c.dropout_aux),
            scope: Scope::default(),
        }
    }
}

impl Forward for InceptionAux {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let x = self.conv.forward(&x.adaptive_avg_pool2d([4, 4])).flatten(1, -1); // (N, 128, 4, 4) -> (N, 2048)
        self.fc2.forward(&self.dropout.forward(&self.fc1.forward(&x).relu()))
    }
}

/// GoogLeNet (Inception v1): a stem that quickly reduces the resolution, nine Inception blocks of parallel branches, and
/// the mean over all places in the place of large linear layers.
///
/// Two auxiliary classifiers bring gradients to the middle of the net while it is trained; in use they do nothing. As
/// in torchvision there is batch norm, which makes them unnecessary. Parameters have torchvision's names
/// (`inception3a.branch2.1.conv.weight`, `aux1.fc2.bias`, `fc.weight`).
///
/// # Shapes
/// `[N, in_channels, H, W]` -> `[N, num_classes]` logits
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels, or is smaller than 15x15.
///
/// Source: Szegedy et al., 2014, <https://arxiv.org/abs/1409.4842>.
///
/// ```
/// use gradus_models::{GoogLeNetConfig, ModelConfig};
/// use gradus_nn::Forward;
/// use gradus_tensor::Tensor;
/// let model = GoogLeNetConfig { width_mult: 0.125, num_classes: 10, ..Default::default() }.init();
/// let x = Tensor::zeros([2, 3, 64, 64]);
/// assert_eq!(model.forward(&x).shape(), [2, 10]);
/// assert_eq!(model.forward_with_aux(&x).1.len(), 2);
/// ```
#[derive(Module)]
pub struct GoogLeNet {
    conv1: BasicConv2d,
    maxpool1: Pool<MaxPool2d>,
    conv2: BasicConv2d,
    conv3: BasicConv2d,
    maxpool2: Pool<MaxPool2d>,
    inception3a: Inception,
    inception3b: Inception,
    maxpool3: Pool<MaxPool2d>,
    inception4a: Inception,
    inception4b: Inception,
    inception4c: Inception,
    inception4d: Inception,
    inception4e: Inception,
    maxpool4: Pool<MaxPool2d>,
    inception5a: Inception,
    inception5b: Inception,
    aux1: Option<InceptionAux>,
    aux2: Option<InceptionAux>,
    dropout: Dropout,
    fc: Linear,
    transform_input: bool,
    #[module(skip)]
    needs: Needs,
    scope: Scope,
}

impl GoogLeNet {
    /// The logits, and those of the auxiliary classifiers from deep to early (torchvision's order). The paper adds their
    /// losses with a weight of 0.3 each.
    ///
    /// # Panics
    /// As `forward`.
    pub fn forward_with_aux(&self, x: &Tensor) -> (Tensor, Vec<Tensor>) {
        let _scope = self.scope.enter();
        let (y, middle) = self.run(x);
        let heads = [(&self.aux2, &middle[1]), (&self.aux1, &middle[0])];
        (y, heads.iter().filter_map(|(head, x)| Some(head.as_ref()?.forward(x))).collect())
    }

    /// The logits, and what the auxiliary classifiers see: the outputs of 4a and 4d.
    fn run(&self, x: &Tensor) -> (Tensor, [Tensor; 2]) {
        self.needs.enforce("GoogLeNet", x);
        let x = if self.transform_input { transformed(x) } else { x.clone() };
        let through = |x: Tensor, layers: &[&dyn Forward]| layers.iter().fold(x, |x, layer| layer.forward(&x));
        let stem: [&dyn Forward; 5] = [&self.conv1, &self.maxpool1, &self.conv2, &self.conv3, &self.maxpool2];
        let x = through(x, &stem); // (N, 192, 28, 28) for 224x224
        let x = through(x, &[&self.inception3a, &self.inception3b, &self.maxpool3]); // (N, 480, 14, 14)
        let early = self.inception4a.forward(&x); // (N, 512, 14, 14)
        let late = through(early.clone(), &[&self.inception4b, &self.inception4c, &self.inception4d]); // (N, 528, 14, 14)
        let x = through(late.clone(), &[&self.inception4e, &self.maxpool4]); // (N, 832, 7, 7)
        let x = through(x, &[&self.inception5a, &self.inception5b]); // (N, 1024, 7, 7)
        let x = x.adaptive_avg_pool2d([1, 1]).flatten(1, -1); // (N, 1024, 1, 1) -> (N, 1024)
        (self.fc.forward(&self.dropout.forward(&x)), [early, late])
    }
}

impl Forward for GoogLeNet {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.run(x).0
    }
}
