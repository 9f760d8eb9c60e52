//! What the vision models share: what they take, blocks, initial values.

use crate::window::Pool;
use gradus_nn::{BatchNorm2d, Conv2d, Forward, MaxPool2d, Module, Scope, init};
use gradus_tensor::{PadMode, Tensor, fail};

/// What pictures a model takes: how many channels, and how large at least.
///
/// ```
/// let needs = gradus_models::find("alexnet").unwrap().needs(&Default::default()).unwrap().unwrap();
/// assert_eq!((needs.channels, needs.smallest, &*needs.layer), (3, 63, "features.12"));
/// assert!(needs.check(&[3, 62, 80]).unwrap_err().contains("at least 63x63"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Channels of a picture.
    pub channels: usize,
    /// The smallest height and width.
    pub smallest: usize,
    /// The path of the layer that would have nothing left of a smaller one.
    pub layer: String,
}

impl Needs {
    pub(crate) fn new(channels: usize, smallest: usize, layer: impl Into<String>) -> Needs {
        Needs { channels, smallest, layer: layer.into() }
    }

    /// Whether a picture of the shape `[C, H, W]` fits.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn check(&self, shape: &[usize]) -> Result<(), String> {
        let [channels, height, width] = *shape else {
            return Err(format!("needs pictures [{}, H, W], got {shape:?}", self.channels));
        };
        if channels != self.channels {
            return Err(format!("needs pictures of {} channels, got {shape:?} with {channels}", self.channels));
        }
        if height.min(width) < self.smallest {
            let (least, layer) = (self.smallest, &self.layer);
            return Err(format!(
                "needs pictures of at least {least}x{least}, got {height}x{width}: layer `{layer}` would have nothing left"
            ));
        }
        Ok(())
    }

    /// The same for a batch, as a panic in the name of `model`.
    #[track_caller]
    pub(crate) fn enforce(&self, model: &str, x: &Tensor) {
        let shape = x.shape();
        if shape.len() != 4 {
            fail(model, format_args!("needs an input [N, {}, H, W], got {shape}", self.channels));
        }
        if let Err(what) = self.check(&shape[1..]) {
            fail(model, format_args!("{what}"));
        }
    }
}

/// A published number of channels or units times `by`, at least one.
pub(crate) fn scaled(published: usize, by: f64) -> usize {
    ((published as f64 * by).round() as usize).max(1)
}

/// Whether a factor of widths is one that [`scaled`] can use.
pub(crate) fn check_factor(field: &str, by: f64) -> Result<(), String> {
    if by > 0.0 && by <= 64.0 { Ok(()) } else { Err(format!("`{field}` must be above 0 and at most 64, got {by}")) }
}

/// Whether `p` is a probability that dropout can use.
pub(crate) fn check_dropout(field: &str, p: f64) -> Result<(), String> {
    if (0.0..1.0).contains(&p) { Ok(()) } else { Err(format!("`{field}` must be at least 0 and below 1, got {p}")) }
}

/// Whether pictures of so many channels can be brought from one normalisation to the other; see [`transformed`].
pub(crate) fn check_transform(transform_input: bool, in_channels: usize) -> Result<(), String> {
    match transform_input && in_channels != 3 {
        true => Err("`transform_input` needs pictures of 3 channels".into()),
        false => Ok(()),
    }
}

/// How the weights of one kind of layer begin.
#[derive(Clone, Copy)]
pub(crate) enum Begin {
    /// As the layer begins them.
    Kept,
    /// [`init::kaiming_normal_`] for ReLU.
    KaimingNormal(init::Fan),
    /// [`init::kaiming_uniform_`] for ReLU.
    KaimingUniform,
    /// A normal distribution of this deviation.
    Normal(f64),
    /// A normal distribution of this deviation, cut at -2 and 2.
    TruncNormal(f64),
}

impl Begin {
    pub(crate) fn apply(self, weight: &Tensor) {
        match self {
            Begin::Kept => (),
            Begin::KaimingNormal(fan) => init::kaiming_normal_(weight, fan, init::Nonlinearity::ReLU),
            Begin::KaimingUniform => init::kaiming_uniform_(weight, init::Fan::In, init::Nonlinearity::ReLU),
            Begin::Normal(std) => init::normal_(weight, 0.0, std),
            Begin::TruncNormal(std) => init::trunc_normal_(weight, 0.0, std, -2.0, 2.0),
        }
    }
}

/// Begins the weights of convolutions and linear layers anew, and all biases at 0 if `zero_bias`.
pub(crate) fn begin(model: &dyn Module, conv: Begin, linear: Begin, zero_bias: bool) {
    for (name, parameter) in model.named_parameters() {
        match parameter.rank() {
            4 => conv.apply(&parameter),
            2 => linear.apply(&parameter),
            1 if zero_bias && name.ends_with("bias") => init::zeros_(&parameter),
            _ => (),
        }
    }
}

/// A convolution without a bias, batch norm with eps 0.001, ReLU: the unit of the Inception nets.
#[derive(Module)]
pub(crate) struct BasicConv2d {
    pub conv: Conv2d,
    bn: BatchNorm2d,
    scope: Scope,
}

impl BasicConv2d {
    /// Around a convolution to `out_channels`.
    pub fn around(conv: Conv2d) -> BasicConv2d {
        let conv = conv.bias(false);
        let bn = BatchNorm2d::new(conv.weight.size(0)).eps(0.001);
        BasicConv2d { conv, bn, scope: Scope::default() }
    }
}

impl Forward for BasicConv2d {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.bn.forward(&self.conv.forward(x)).relu()
    }
}

/// Pictures normalised with ImageNet's mean and deviation as those scaled to [-1, 1] that the Inception nets were first
/// trained on: `[N, 3, H, W]` to the same.
pub(crate) fn transformed(x: &Tensor) -> Tensor {
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let row = |f: &dyn Fn(usize) -> f64| {
        Tensor::from_vec((0..3).map(f).collect::<Vec<f64>>(), [1, 3, 1, 1]).to_dtype(x.dtype())
    };
    x * row(&|c| std[c] / 0.5) + row(&|c| (mean[c] - 0.5) / 0.5)
}

/// A ResNet's parameter-free shortcut: every stride-th pixel, and new channels of zeros.
#[derive(Module)]
pub(crate) struct PadChannels {
    pub to: usize,
    pub every: Pool<MaxPool2d>,
}

impl Forward for PadChannels {
    fn forward(&self, x: &Tensor) -> Tensor {
        let more = self.to - x.size(1);
        // (N, C, H, W) -> (N, C, H / s, W / s) -> (N, to, H / s, W / s)
        let channels = ((more / 2) as isize, (more - more / 2) as isize);
        self.every.forward(x).pad(&[channels, (0, 0), (0, 0)], PadMode::Constant(0.0))
    }
}
