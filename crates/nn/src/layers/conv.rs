//! Convolutions.

use super::reparametrize::HasWeight;
use super::sizes::{IntoSizes, resized};
use crate::init::{by_fan_in, fans};
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{ConvConfig, Tensor, fail};

/// Convolution of `[N, C, L]`; see [`Conv`].
pub type Conv1d = Conv<1>;
/// Convolution of `[N, C, H, W]`; see [`Conv`].
pub type Conv2d = Conv<2>;
/// Convolution of `[N, C, D, H, W]`; see [`Conv`].
pub type Conv3d = Conv<3>;

/// A convolution (a cross-correlation: the kernel is not flipped):
/// `y[n, o] = bias[o] + sum_c weight[o, c] * x[n, c]`.
///
/// Parameters: `weight` `[out, in / groups, kernel...]` and `bias` `[out]`, both begun evenly from
/// ±1/sqrt(in / groups * kernel...).
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
    config: ConvConfig<D>,
    scope: Scope,
}

impl<const D: usize> Conv<D> {
    /// From `in_channels` to `out_channels` with a kernel of this size, step 1, no padding, and a bias.
    pub fn new(in_channels: usize, out_channels: usize, kernel_size: impl IntoSizes<D>) -> Self {
        let mut shape = vec![out_channels, in_channels];
        shape.extend(kernel_size.into_sizes());
        let (weight, bias) = begin(&shape, true);
        Conv { weight, bias, config: ConvConfig::default(), scope: Scope::default() }
    }

    /// Step of the kernel over the input (1).
    pub fn stride(mut self, stride: impl IntoSizes<D>) -> Self {
        self.config.stride = stride.into_sizes();
        self
    }

    /// Zeros added at both ends (0).
    pub fn padding(mut self, padding: impl IntoSizes<D>) -> Self {
        self.config.padding = padding.into_sizes();
        self
    }

    /// Distance between the elements of the kernel (1).
    pub fn dilation(mut self, dilation: impl IntoSizes<D>) -> Self {
        self.config.dilation = dilation.into_sizes();
        self
    }

    /// Groups of channels that do not see each other (1). The parameters are begun anew.
    ///
    /// # Panics
    /// If one of the numbers of channels cannot be divided by `groups`.
    #[track_caller]
    pub fn groups(mut self, groups: usize) -> Self {
        let mut shape = self.weight.shape().to_vec();
        let (outputs, inputs) = (shape[0], shape[1] * self.config.groups);
        if groups == 0 || outputs % groups != 0 || inputs % groups != 0 {
            fail(Self::KIND, format_args!("{inputs} and {outputs} channels cannot be divided into {groups} groups"));
        }
        shape[1] = inputs / groups;
        (self.weight, self.bias) = begin(&shape, self.bias.is_some());
        self.config.groups = groups;
        self
    }

    /// With or without a bias.
    pub fn bias(mut self, on: bool) -> Self {
        if on != self.bias.is_some() {
            self.bias = on.then(|| bias_for(&self.weight.shape()));
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

/// New parameters for a weight of this shape.
fn begin(shape: &[usize], with_bias: bool) -> (Param, Option<Param>) {
    let weight = Param::new(by_fan_in(shape, fans(shape).0));
    (weight, with_bias.then(|| bias_for(shape)))
}

fn bias_for(weight: &[usize]) -> Param {
    Param::new(by_fan_in(&weight[..1], fans(weight).0))
}

/// The configuration for `N` = `D` dimensions, as the operations name it.
fn fixed<const D: usize, const N: usize>(c: &ConvConfig<D>) -> ConvConfig<N> {
    let (stride, padding, dilation) = (resized(&c.stride), resized(&c.padding), resized(&c.dilation));
    ConvConfig::default().stride(stride).padding(padding).dilation(dilation).groups(c.groups)
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
        if x.rank() == D + 1 {
            return self.forward_with(&x.unsqueeze(0), weight).squeeze(0);
        }
        let (b, c) = (self.bias.as_deref(), &self.config);
        match D {
            1 => x.conv1d(weight, b, fixed(c)),
            2 => x.conv2d(weight, b, fixed(c)),
            _ => x.conv3d(weight, b, fixed(c)),
        }
    }
}
