//! Convolutions.

use super::reparametrize::HasWeight;
use super::sizes::{IntoSizes, resized};
use crate::init::{by_fan_in, fans};
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{ConvConfig, PadMode, Tensor, fail};

/// Convolution of `[N, C, L]`; see [`Conv`].
pub type Conv1d = Conv<1>;
/// Convolution of `[N, C, H, W]`; see [`Conv`].
pub type Conv2d = Conv<2>;
/// Convolution of `[N, C, D, H, W]`; see [`Conv`].
pub type Conv3d = Conv<3>;

/// What a convolution adds around its input: how many positions, or a rule.
///
/// A number or an array says how many at both ends of each spatial dimension.
///
/// ```
/// use gradus_nn::{Conv2d, Forward, Padding};
/// use gradus_tensor::Tensor;
/// let x = Tensor::zeros([1, 1, 9, 7]);
/// assert_eq!(Conv2d::new(1, 1, 5).padding(Padding::Same).forward(&x).shape(), [1, 1, 9, 7]);
/// assert_eq!(Conv2d::new(1, 1, 5).padding(Padding::Valid).forward(&x).shape(), [1, 1, 5, 3]);
/// assert_eq!(Conv2d::new(1, 1, 5).padding([2, 0]).forward(&x).shape(), [1, 1, 9, 3]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding<const D: usize> {
    /// PyTorch's "same": as many as keep the size at stride 1, `dilation (kernel - 1)` in all, half of
    /// them at either end and an odd one at the far end. For an odd kernel that is (kernel - 1) / 2 each.
    Same,
    /// PyTorch's "valid": none, the kernel stays inside.
    Valid,
    /// So many at both ends of each spatial dimension.
    Sizes([usize; D]),
}

impl<const D: usize> From<usize> for Padding<D> {
    fn from(size: usize) -> Self {
        Padding::Sizes([size; D])
    }
}

impl<const D: usize> From<[usize; D]> for Padding<D> {
    fn from(sizes: [usize; D]) -> Self {
        Padding::Sizes(sizes)
    }
}

/// What the positions that padding adds hold.
///
/// At the border of a picture a kernel of size k reaches k / 2 (rounded down) pixels too far. There are three
/// ways out: *extend* the border by as many copies of the edge (`Replicate` with a padding of k / 2), add a border
/// of black pixels, *padding* proper (`Zeros` with a padding of k / 2), or *crop*: let the kernel skip the edge, so
/// that the picture gets smaller ([`Padding::Valid`]).
///
/// ```
/// use gradus_nn::{Conv1d, Forward, PaddingMode};
/// use gradus_tensor::{Tensor, no_grad};
/// let mean = |mode| {
///     let layer = Conv1d::new(1, 1, 3).padding(1).padding_mode(mode).bias(false);
///     no_grad(|| layer.weight.fill_(1.0 / 3.0));
///     layer.forward(&Tensor::full([1, 1, 4], 3.0)).to_vec::<f32>()
/// };
/// assert_eq!(mean(PaddingMode::Zeros), [2.0, 3.0, 3.0, 2.0]);
/// assert_eq!(mean(PaddingMode::Replicate), [3.0; 4]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PaddingMode {
    /// Zeros. The default.
    #[default]
    Zeros,
    /// The elements mirrored at the edge, which is not repeated: `dcb|abcd|cba`.
    Reflect,
    /// Copies of the edge: `aaa|abcd|ddd`.
    Replicate,
    /// The elements from the other end: `bcd|abcd|abc`.
    Circular,
}

/// A convolution (a cross-correlation: the kernel is not flipped):
/// `y[n, o] = bias[o] + sum_c weight[o, c] * x[n, c]`.
///
/// Parameters: `weight` `[out, in / groups, kernel...]` and `bias` `[out]`, both begun evenly from
/// ±1/sqrt(in / groups * kernel...). An output sees `dilation (kernel - 1) + 1` inputs along a dimension.
/// A convolution is translation *equivariant*: away from the edges, a shifted input gives the shifted output. (Some
/// invariance, where the output stays as it is, comes from pooling.)
///
/// With `groups` equal to the channels, each channel has its own kernels (a depthwise convolution); a kernel of
/// size 1 mixes the channels of each position alone.
///
/// # Shapes
/// `[N, in, size...]` -> `[N, out, (size + 2 padding - dilation (kernel - 1) - 1) / stride + 1, ...]`, rounded
/// down; also without N
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels, or is smaller than the kernel.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html>.
///
/// ```
/// use gradus_nn::{Conv2d, Forward};
/// use gradus_tensor::Tensor;
/// let layer = Conv2d::new(1, 32, 3).stride(2).padding([1, 0]).bias(false);
/// assert_eq!(layer.forward(&Tensor::zeros([8, 1, 28, 28])).shape(), [8, 32, 14, 13]);
/// ```
#[derive(Debug, Module)]
#[module(kind = "Self::KIND")]
pub struct Conv<const D: usize> {
    /// `[out, in / groups, kernel...]`
    pub weight: Param,
    /// `[out]`
    pub bias: Option<Param>,
    #[module(skip)]
    windows: Windows<D>,
    scope: Scope,
}

impl<const D: usize> Conv<D> {
    /// From `in_channels` to `out_channels` with a kernel of this size, step 1, no padding, and a bias.
    pub fn new(in_channels: usize, out_channels: usize, kernel_size: impl IntoSizes<D>) -> Self {
        let mut shape = vec![out_channels, in_channels];
        shape.extend(kernel_size.into_sizes());
        let (weight, bias) = begin(&shape, true);
        Conv { weight, bias, windows: Windows::default(), scope: Scope::default() }
    }

    /// Step of the kernel over the input (1).
    ///
    /// # Panics
    /// If it is not 1 and the padding is [`Padding::Same`].
    #[track_caller]
    pub fn stride(mut self, stride: impl IntoSizes<D>) -> Self {
        self.windows.config.stride = stride.into_sizes();
        self.windows.check_same(Self::KIND);
        self
    }

    /// Positions added at both ends (0).
    ///
    /// # Panics
    /// If it is [`Padding::Same`] and the stride is not 1.
    #[track_caller]
    pub fn padding(mut self, padding: impl Into<Padding<D>>) -> Self {
        self.windows.padding = padding.into();
        self.windows.check_same(Self::KIND);
        self
    }

    /// What the positions added hold (zeros).
    pub fn padding_mode(mut self, mode: PaddingMode) -> Self {
        self.windows.padding_mode = mode;
        self
    }

    /// Distance between the elements of the kernel (1).
    pub fn dilation(mut self, dilation: impl IntoSizes<D>) -> Self {
        self.windows.config.dilation = dilation.into_sizes();
        self
    }

    /// Groups of channels that do not see each other (1). The parameters are begun anew.
    ///
    /// # Panics
    /// If one of the numbers of channels cannot be divided by `groups`.
    #[track_caller]
    pub fn groups(mut self, groups: usize) -> Self {
        let mut shape = self.weight.shape().to_vec();
        let (outputs, inputs) = (shape[0], shape[1] * self.windows.config.groups);
        if groups == 0 || outputs % groups != 0 || inputs % groups != 0 {
            fail(Self::KIND, format_args!("{inputs} and {outputs} channels cannot be divided into {groups} groups"));
        }
        shape[1] = inputs / groups;
        (self.weight, self.bias) = begin(&shape, self.bias.is_some());
        self.windows.config.groups = groups;
        self
    }

    /// With or without a bias.
    pub fn bias(mut self, on: bool) -> Self {
        if on != self.bias.is_some() {
            let shape = self.weight.shape();
            self.bias = on.then(|| bias_for(shape[0], &shape));
        }
        self
    }

    const KIND: &str = match D {
        1 => "Conv1d",
        2 => "Conv2d",
        3 => "Conv3d",
        _ => panic!("convolutions have 1, 2 or 3 dimensions"),
    };
}

/// How a convolution moves over its input and what it adds around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows<const D: usize> {
    /// All but the padding.
    pub config: ConvConfig<D>,
    pub padding: Padding<D>,
    pub padding_mode: PaddingMode,
}

impl<const D: usize> Default for Windows<D> {
    fn default() -> Self {
        let (config, padding_mode) = (ConvConfig::default(), PaddingMode::default());
        Windows { config, padding: Padding::Valid, padding_mode }
    }
}

impl<const D: usize> Windows<D> {
    /// A size of "same" means one output for each input.
    #[track_caller]
    pub fn check_same(&self, kind: &str) {
        if self.padding == Padding::Same && self.config.stride != [1; D] {
            fail(kind, format_args!("the padding `Same` needs a stride of 1, not {:?}", self.config.stride));
        }
    }

    /// Positions added before and after along each spatial dimension.
    fn pads(&self, weight: &Tensor) -> [(usize, usize); D] {
        std::array::from_fn(|d| match self.padding {
            Padding::Valid => (0, 0),
            Padding::Sizes(sizes) => (sizes[d], sizes[d]),
            Padding::Same => {
                let total = self.config.dilation[d] * weight.shape()[d + 2].saturating_sub(1);
                (total / 2, total - total / 2)
            }
        })
    }

    /// The convolution of `x` by `weight` `[out, in / groups, kernel...]`.
    pub fn convolve(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        if x.rank() == D + 1 {
            return self.convolve(&x.unsqueeze(0), weight, bias).squeeze(0);
        }
        let (mut c, pads, mut x) = (self.config, self.pads(weight), x.clone());
        let mode = match self.padding_mode {
            PaddingMode::Zeros => PadMode::Constant(0.0),
            PaddingMode::Reflect => PadMode::Reflect,
            PaddingMode::Replicate => PadMode::Replicate,
            PaddingMode::Circular => PadMode::Circular,
        };
        if self.padding_mode == PaddingMode::Zeros && pads.iter().all(|(before, after)| before == after) {
            c.padding = pads.map(|(before, _)| before);
        } else if x.rank() == D + 2 {
            x = x.pad(&pads.map(|(before, after)| (before as isize, after as isize)), mode);
        }
        match D {
            1 => x.conv1d(weight, bias, fixed(&c)),
            2 => x.conv2d(weight, bias, fixed(&c)),
            _ => x.conv3d(weight, bias, fixed(&c)),
        }
    }
}

/// New parameters for a weight of this shape.
fn begin(shape: &[usize], with_bias: bool) -> (Param, Option<Param>) {
    let weight = Param::new(by_fan_in(shape, fans(shape).0));
    (weight, with_bias.then(|| bias_for(shape[0], shape)))
}

/// A new bias of so many channels beside a weight of this shape.
pub(super) fn bias_for(channels: usize, weight: &[usize]) -> Param {
    Param::new(by_fan_in(&[channels], fans(weight).0))
}

/// The configuration for `N` = `D` dimensions, as the operations name it.
pub(super) fn fixed<const D: usize, const N: usize>(c: &ConvConfig<D>) -> ConvConfig<N> {
    let (stride, padding, dilation) = (resized(&c.stride), resized(&c.padding), resized(&c.dilation));
    let output_padding = resized(&c.output_padding);
    ConvConfig { stride, padding, dilation, output_padding, groups: c.groups }
}

impl<const D: usize> Forward for Conv<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with(x, &self.weight)
    }
}

impl<const D: usize> HasWeight for Conv<D> {
    fn weight(&self) -> &Param {
        &self.weight
    }

    fn weight_mut(&mut self) -> &mut Param {
        &mut self.weight
    }

    fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.windows.convolve(x, weight, self.bias.as_deref())
    }
}
