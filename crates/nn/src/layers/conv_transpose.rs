//! Transposed convolutions.

use super::conv::{bias_for, fixed};
use super::reparametrize::HasWeight;
use super::sizes::IntoSizes;
use crate::init::{by_fan_in, fans};
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{ConvConfig, Tensor, fail};

/// Transposed convolution of `[N, C, L]`; see [`ConvTranspose`].
pub type ConvTranspose1d = ConvTranspose<1>;
/// Transposed convolution of `[N, C, H, W]`; see [`ConvTranspose`].
pub type ConvTranspose2d = ConvTranspose<2>;
/// Transposed convolution of `[N, C, D, H, W]`; see [`ConvTranspose`].
pub type ConvTranspose3d = ConvTranspose<3>;

/// The adjoint of a convolution: each input paints the kernel, scaled by its value, into the output, `stride` apart,
/// and where the kernels overlap they add up: `y[o, i stride + k dilation - padding] += x[c, i] weight[c, o, k]`.
///
/// The same comes out of putting `stride - 1` zeros between the inputs and convolving with the flipped kernel. Other
/// names: deconvolution, backwards-strided convolution, convolution with the fractional stride 1 / `stride`.
/// It maps the output's shape of a [`Conv`](super::Conv) with the same arguments back to its input's.
///
/// Parameters: `weight` `[in, out / groups, kernel...]` and `bias` `[out]`, both begun evenly from
/// ±1/sqrt(out / groups * kernel...).
///
/// # Shapes
/// `[N, in, size...]` -> `[N, out, (size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1, ...]`;
/// also without N
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels, nothing would be left, or
/// `output_padding` is neither smaller than the stride nor than the dilation.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html>;
/// Dumoulin and Visin, 2016, <https://arxiv.org/abs/1603.07285>.
///
/// ```
/// use gradus_nn::{ConvTranspose2d, Forward};
/// use gradus_tensor::Tensor;
/// let layer = ConvTranspose2d::new(16, 8, 3).stride(2).padding(1).output_padding(1);
/// assert_eq!(layer.forward(&Tensor::zeros([4, 16, 7, 7])).shape(), [4, 8, 14, 14]);
/// ```
#[derive(Debug, Module)]
#[module(kind = "Self::KIND")]
pub struct ConvTranspose<const D: usize> {
    /// `[in, out / groups, kernel...]`
    pub weight: Param,
    /// `[out]`
    pub bias: Option<Param>,
    #[module(skip)]
    config: ConvConfig<D>,
    scope: Scope,
}

impl<const D: usize> ConvTranspose<D> {
    /// From `in_channels` to `out_channels` with a kernel of this size, step 1, no padding, and a bias.
    pub fn new(in_channels: usize, out_channels: usize, kernel_size: impl IntoSizes<D>) -> Self {
        let mut shape = vec![in_channels, out_channels];
        shape.extend(kernel_size.into_sizes());
        let weight = Param::new(by_fan_in(&shape, fans(&shape).0));
        let bias = Some(bias_for(out_channels, &shape));
        ConvTranspose { weight, bias, config: ConvConfig::default(), scope: Scope::default() }
    }

    /// Distance of neighbouring inputs in the output (1).
    pub fn stride(mut self, stride: impl IntoSizes<D>) -> Self {
        self.config.stride = stride.into_sizes();
        self
    }

    /// Positions taken off both ends of the output (0): the padding of the convolution this is the adjoint of.
    pub fn padding(mut self, padding: impl IntoSizes<D>) -> Self {
        self.config.padding = padding.into_sizes();
        self
    }

    /// Positions added at the far end of the output (0): it chooses among the sizes that a strided convolution
    /// maps to one.
    pub fn output_padding(mut self, output_padding: impl IntoSizes<D>) -> Self {
        self.config.output_padding = output_padding.into_sizes();
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
        let (inputs, outputs) = (shape[0], shape[1] * self.config.groups);
        if groups == 0 || outputs % groups != 0 || inputs % groups != 0 {
            fail(Self::KIND, format_args!("{inputs} and {outputs} channels cannot be divided into {groups} groups"));
        }
        shape[1] = outputs / groups;
        self.weight = Param::new(by_fan_in(&shape, fans(&shape).0));
        self.bias = self.bias.is_some().then(|| bias_for(outputs, &shape));
        self.config.groups = groups;
        self
    }

    /// With or without a bias.
    pub fn bias(mut self, on: bool) -> Self {
        if on != self.bias.is_some() {
            let shape = self.weight.shape();
            self.bias = on.then(|| bias_for(shape[1] * self.config.groups, &shape));
        }
        self
    }

    const KIND: &str = match D {
        1 => "ConvTranspose1d",
        2 => "ConvTranspose2d",
        3 => "ConvTranspose3d",
        _ => panic!("convolutions have 1, 2 or 3 dimensions"),
    };

    /// As `forward`, to the spatial extents `output_size`, which replace the output padding.
    ///
    /// # Panics
    /// As `forward`, or if no output padding gives this size.
    pub fn forward_to(&self, x: &Tensor, output_size: impl IntoSizes<D>) -> Tensor {
        let _scope = self.scope.enter();
        let wanted = output_size.into_sizes();
        let (shape, kernel, mut c) = (x.shape(), self.weight.shape(), self.config);
        if shape.len() != D + 1 && shape.len() != D + 2 {
            fail(Self::KIND, format_args!("needs {} or {} dimensions, got an input {shape}", D + 1, D + 2));
        }
        for d in 0..D {
            let n = shape[shape.len() - D + d];
            let reach = n.saturating_sub(1) * c.stride[d] + c.dilation[d] * (kernel[d + 2] - 1) + 1;
            let smallest = reach.saturating_sub(2 * c.padding[d]);
            let most = smallest + c.stride[d].max(c.dilation[d]) - 1;
            if !(smallest..=most).contains(&wanted[d]) {
                fail(
                    Self::KIND,
                    format_args!(
                        "an input {shape} gives {smallest} to {most} positions in spatial dimension {d}, not {}",
                        wanted[d]
                    ),
                );
            }
            c.output_padding[d] = wanted[d] - smallest;
        }
        self.apply(x, &self.weight, &c)
    }

    fn apply(&self, x: &Tensor, w: &Tensor, c: &ConvConfig<D>) -> Tensor {
        let b = self.bias.as_deref();
        match D {
            1 => x.conv_transpose1d(w, b, fixed(c)),
            2 => x.conv_transpose2d(w, b, fixed(c)),
            _ => x.conv_transpose3d(w, b, fixed(c)),
        }
    }
}

impl<const D: usize> Forward for ConvTranspose<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with(x, &self.weight)
    }
}

impl<const D: usize> HasWeight for ConvTranspose<D> {
    fn weight(&self) -> &Param {
        &self.weight
    }

    fn weight_mut(&mut self) -> &mut Param {
        &mut self.weight
    }

    fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.apply(x, weight, &self.config)
    }

    fn output_dim(&self) -> usize {
        1
    }
}
