//! Convolutions in one, two and three dimensions and their transposes.
//!
//! Three operations on [N, C, ..] that are bilinear and each other's gradients: the convolution, the
//! gradient of its input (which is the transposed convolution) and the gradient of its weight. So every
//! order of derivative is one of the three again. As everywhere in deep learning, "convolution" does not
//! flip the kernel (cross-correlation).

use crate::autograd::{Ctx, record};
use crate::deferred;
use crate::kernels::conv::{ConvShape, conv_backward_weight};
use crate::shape::Shape;
use crate::{Tensor, dispatch_float, fail};

/// How a convolution over `N` spatial dimensions moves: one entry a dimension.
///
/// ```
/// use gradus_tensor::{ConvConfig, Tensor};
/// let (x, w) = (Tensor::zeros([1, 3, 8, 8]), Tensor::zeros([16, 3, 3, 3]));
/// let y = x.conv2d(&w, None, ConvConfig::default().stride([2, 2]).padding([1, 1]));
/// assert_eq!(y.shape(), [1, 16, 4, 4]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvConfig<const N: usize> {
    /// Step of the kernel over the input.
    pub stride: [usize; N],
    /// Zeros added at both ends.
    pub padding: [usize; N],
    /// Distance between the elements of the kernel.
    pub dilation: [usize; N],
    /// Positions added at the far end of a transposed convolution's result, to choose among the input
    /// sizes that a strided convolution maps to one output size.
    pub output_padding: [usize; N],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl<const N: usize> Default for ConvConfig<N> {
    fn default() -> Self {
        ConvConfig { stride: [1; N], padding: [0; N], dilation: [1; N], output_padding: [0; N], groups: 1 }
    }
}

impl<const N: usize> ConvConfig<N> {
    /// With this step.
    pub fn stride(mut self, stride: [usize; N]) -> Self {
        self.stride = stride;
        self
    }

    /// With this many zeros at both ends.
    pub fn padding(mut self, padding: [usize; N]) -> Self {
        self.padding = padding;
        self
    }

    /// With this distance between the kernel's elements.
    pub fn dilation(mut self, dilation: [usize; N]) -> Self {
        self.dilation = dilation;
        self
    }

    /// With this many additional positions in a transposed convolution's result.
    pub fn output_padding(mut self, output_padding: [usize; N]) -> Self {
        self.output_padding = output_padding;
        self
    }

    /// With this many groups of channels.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }
}

/// `N` spatial extents as three, with `fill` in front.
pub(crate) fn lift(extents: &[usize], fill: usize) -> [usize; 3] {
    let mut out = [fill; 3];
    out[3 - extents.len()..].copy_from_slice(extents);
    out
}

/// A shape [n, c, ..] of the same number of spatial dimensions as `like`.
pub(crate) fn spatial_shape(n: usize, c: usize, extents: [usize; 3], rank: usize) -> Shape {
    let mut s = Shape::new(&[n, c]);
    extents[5 - rank..].iter().for_each(|&e| s.push(e));
    s
}

fn names(dims: usize) -> &'static str {
    ["", "[N, C, L]", "[N, C, H, W]", "[N, C, D, H, W]"][dims]
}

#[track_caller]
fn convolve(s: ConvShape, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Tensor {
    deferred::check_float("conv", x);
    let out = spatial_shape(s.n, s.c_out, s.output, x.rank());
    let out = deferred::conv(s, &x.contiguous_data(), &w.contiguous_data(), bias, out);
    let (sx, sw, biased) = (x.save(), w.save(), bias.is_some());
    let rule = move |ctx: &Ctx| {
        ctx.set(0, || input_grad(s, ctx.grad(), &sw, None));
        ctx.set(1, || weight_grad(s, ctx.grad(), &sx));
        if biased {
            ctx.set(2, || channel_sums(ctx.grad()));
        }
    };
    match bias {
        Some(b) => record("conv", out, &[x, w, b], rule),
        None => record("conv", out, &[x, w], rule),
    }
}

/// The adjoint of the convolution in its input, a transposed convolution of `g`; then a bias.
#[track_caller]
fn input_grad(s: ConvShape, g: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Tensor {
    deferred::check_float("conv_transpose", g);
    let out = spatial_shape(s.n, s.c_in, s.input, g.rank());
    let out = deferred::conv_transpose(s, &g.contiguous_data(), &w.contiguous_data(), bias, out);
    let (sg, sw, biased) = (g.save(), w.save(), bias.is_some());
    let rule = move |ctx: &Ctx| {
        ctx.set(0, || convolve(s, ctx.grad(), &sw, None));
        ctx.set(1, || weight_grad(s, &sg, ctx.grad()));
        if biased {
            ctx.set(2, || channel_sums(ctx.grad()));
        }
    };
    match bias {
        Some(b) => record("conv_transpose", out, &[g, w, b], rule),
        None => record("conv_transpose", out, &[g, w], rule),
    }
}

/// The gradient of a bias. The plane of each channel first, then the batch: runs of neighbours, no copy.
fn channel_sums(g: &Tensor) -> Tensor {
    let spatial: Vec<isize> = (2..g.rank() as isize).collect();
    g.sum_dim(spatial, false).sum_dim(0, false)
}

/// The adjoint of the convolution in its weight.
fn weight_grad(s: ConvShape, g: &Tensor, x: &Tensor) -> Tensor {
    let (cg, cx) = (g.contiguous_data(), x.contiguous_data());
    let out = dispatch_float!(g.dtype(), "conv_weight_grad", T => {
        let (gg, gx) = (cg.read::<T>(), cx.read::<T>());
        let shape = spatial_shape(s.c_out, s.c_in / s.groups, s.kernel, g.rank());
        Tensor::build::<T>(shape, |out| conv_backward_weight(&s, &gx, &gg, out))
    });
    let (sg, sx) = (g.save(), x.save());
    record("conv_weight_grad", out, &[g, x], move |ctx| {
        ctx.set(0, || convolve(s, &sx, ctx.grad(), None));
        ctx.set(1, || input_grad(s, &sg, ctx.grad(), None));
    })
}

/// Checks what convolutions and their transposes have in common; `x_channels` is the number of the
/// input's channels that the weight asks for.
#[track_caller]
fn check<const N: usize>(op: &str, x: &Tensor, w: &Tensor, bias: Option<&Tensor>, c: &ConvConfig<N>, transposed: bool) {
    if w.rank() != N + 2 || x.rank() != N + 2 {
        fail(
            op,
            format_args!(
                "needs an input {} and a weight of {} dimensions, got shapes {} and {}",
                names(N),
                N + 2,
                x.shape(),
                w.shape()
            ),
        );
    }
    let (axis, layout) = if transposed { (0, "[in, out / groups, ..]") } else { (1, "[out, in / groups, ..]") };
    let wanted = if transposed { w.size(0) } else { w.size(1) * c.groups };
    if x.size(1) != wanted {
        fail(
            op,
            format_args!(
                "the weight {} {layout} with {} groups takes {wanted} input channels (its dimension {axis}), the input {} has {}",
                w.shape(),
                c.groups,
                x.shape(),
                x.size(1)
            ),
        );
    }
    if c.groups == 0 || !w.size(0).is_multiple_of(c.groups) {
        fail(
            op,
            format_args!(
                "the {} channels of dimension 0 of the weight {} cannot be divided into {} groups",
                w.size(0),
                w.shape(),
                c.groups
            ),
        );
    }
    let outputs = if transposed { w.size(1) * c.groups } else { w.size(0) };
    if let Some(b) = bias
        && b.shape() != [outputs]
    {
        fail(op, format_args!("expected a bias [{outputs}] for the weight {}, got {}", w.shape(), b.shape()));
    }
    if x.dtype() != w.dtype() || bias.is_some_and(|b| b.dtype() != x.dtype()) {
        fail(op, format_args!("the input is {}, the weight {}; convert with to_dtype", x.dtype(), w.dtype()));
    }
    for d in 0..N {
        if c.stride[d] == 0 || c.dilation[d] == 0 || w.shape()[d + 2] == 0 {
            fail(
                op,
                format_args!(
                    "stride, dilation and kernel must be positive in spatial dimension {d}: {c:?}, weight {}",
                    w.shape()
                ),
            );
        }
    }
}

impl Tensor {
    #[track_caller]
    fn conv<const N: usize>(&self, op: &str, w: &Tensor, bias: Option<&Tensor>, c: ConvConfig<N>) -> Tensor {
        if self.rank() == N + 1 {
            return self.unsqueeze(0).conv(op, w, bias, c).squeeze(0);
        }
        check(op, self, w, bias, &c, false);
        if c.output_padding != [0; N] {
            fail(op, "output_padding is for transposed convolutions");
        }
        let (input, kernel) = (&self.shape()[2..], &w.shape()[2..]);
        let mut output = [0; N];
        for d in 0..N {
            let (padded, span) = (input[d] + 2 * c.padding[d], c.dilation[d] * (kernel[d] - 1) + 1);
            if padded < span {
                fail(
                    op,
                    format_args!(
                        "the input {} with padding {} has {padded} positions in spatial dimension {d}, fewer than the kernel's span {span} (weight {}, dilation {})",
                        self.shape(),
                        c.padding[d],
                        w.shape(),
                        c.dilation[d]
                    ),
                );
            }
            output[d] = (padded - span) / c.stride[d] + 1;
        }
        let shape = ConvShape {
            n: self.size(0),
            c_in: self.size(1),
            c_out: w.size(0),
            groups: c.groups,
            input: lift(input, 1),
            kernel: lift(kernel, 1),
            stride: lift(&c.stride, 1),
            padding: lift(&c.padding, 0),
            dilation: lift(&c.dilation, 1),
            output: lift(&output, 1),
        };
        convolve(shape, self, w, bias)
    }

    #[track_caller]
    fn conv_transpose<const N: usize>(&self, op: &str, w: &Tensor, bias: Option<&Tensor>, c: ConvConfig<N>) -> Tensor {
        if self.rank() == N + 1 {
            return self.unsqueeze(0).conv_transpose(op, w, bias, c).squeeze(0);
        }
        check(op, self, w, bias, &c, true);
        let (input, kernel) = (&self.shape()[2..], &w.shape()[2..]);
        let mut output = [0; N];
        for d in 0..N {
            if c.output_padding[d] >= c.stride[d].max(c.dilation[d]) {
                fail(
                    op,
                    format_args!(
                        "output_padding {:?} must be smaller than the stride {:?} or the dilation {:?}",
                        c.output_padding, c.stride, c.dilation
                    ),
                );
            }
            let reach =
                input[d].saturating_sub(1) * c.stride[d] + c.dilation[d] * (kernel[d] - 1) + c.output_padding[d] + 1;
            if reach <= 2 * c.padding[d] || input[d] == 0 {
                fail(
                    op,
                    format_args!(
                        "the input {} with padding {} and the weight {} leave no output in spatial dimension {d}",
                        self.shape(),
                        c.padding[d],
                        w.shape()
                    ),
                );
            }
            output[d] = reach - 2 * c.padding[d];
        }
        let channels = w.size(1) * c.groups;
        // The convolution that maps the result's shape to this input's.
        let shape = ConvShape {
            n: self.size(0),
            c_in: channels,
            c_out: self.size(1),
            groups: c.groups,
            input: lift(&output, 1),
            kernel: lift(kernel, 1),
            stride: lift(&c.stride, 1),
            padding: lift(&c.padding, 0),
            dilation: lift(&c.dilation, 1),
            output: lift(input, 1),
        };
        input_grad(shape, self, w, bias)
    }
}

macro_rules! convolutions {
    ($($(#[$doc:meta])* $name:ident $inner:ident $n:literal;)*) => { impl Tensor { $(
        $(#[$doc])*
        ///
        /// # Panics
        /// If the shapes, the channels and groups or the element types do not fit, or the result would
        /// have no positions. The message names the extents.
        #[track_caller]
        pub fn $name(&self, weight: &Tensor, bias: Option<&Tensor>, config: ConvConfig<$n>) -> Tensor {
            self.$inner(stringify!($name), weight, bias, config)
        }
    )* } };
}
convolutions! {
    /// Convolution over lines:
    /// `out[n, o, l] = b[o] + sum over c, k of w[o, c, k] x[n, c, l stride + k dilation - padding]`.
    ///
    /// # Shapes
    /// `x [N, C, L] or [C, L], w [O, C / groups, K], b [O] -> [N, O, (L + 2 padding - dilation (K - 1) - 1) / stride + 1]`.
    conv1d conv 1;
    /// Convolution over images: each output position is the sum of a window times the kernel, plus the bias.
    ///
    /// # Shapes
    /// `x [N, C, H, W] or [C, H, W], w [O, C / groups, KH, KW], b [O] -> [N, O, OH, OW]` with extents as in [`Tensor::conv1d`].
    conv2d conv 2;
    /// Convolution over volumes. See [`Tensor::conv2d`].
    ///
    /// # Shapes
    /// `x [N, C, D, H, W] or [C, D, H, W], w [O, C / groups, KD, KH, KW], b [O] -> [N, O, OD, OH, OW]`.
    conv3d conv 3;
    /// Transposed convolution over lines: the adjoint of [`Tensor::conv1d`] in its input, which spreads each
    /// position over a window of the result.
    ///
    /// # Shapes
    /// `x [N, C, L] or [C, L], w [C, O / groups, K], b [O] ->`
    /// `[N, O, (L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1]`.
    conv_transpose1d conv_transpose 1;
    /// Transposed convolution over images, also called deconvolution. See [`Tensor::conv_transpose1d`].
    ///
    /// # Shapes
    /// `x [N, C, H, W] or [C, H, W], w [C, O / groups, KH, KW], b [O] -> [N, O, OH, OW]`.
    conv_transpose2d conv_transpose 2;
    /// Transposed convolution over volumes. See [`Tensor::conv_transpose1d`].
    ///
    /// # Shapes
    /// `x [N, C, D, H, W] or [C, D, H, W], w [C, O / groups, KD, KH, KW], b [O] -> [N, O, OD, OH, OW]`.
    conv_transpose3d conv_transpose 3;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::autograd::{gradcheck, gradgradcheck};

    fn wave(shape: impl crate::IntoShape) -> Tensor {
        let shape = shape.into_shape();
        let v = (0..shape.numel()).map(|i| (1.3 * i as f64 + shape.len() as f64).sin()).collect();
        Tensor::from_vec::<f64>(v, shape)
    }

    /// The definition, by gathering windows from a padded input.
    fn by_definition<const N: usize>(x: &Tensor, w: &Tensor, b: &Tensor, c: ConvConfig<N>) -> Tensor {
        let pads: Vec<_> = c.padding.iter().map(|&p| (p as isize, p as isize)).collect();
        let mut x = x.pad(&pads, crate::PadMode::Constant(0.0));
        for d in 0..N {
            let span = c.dilation[d] * (w.shape()[d + 2] - 1) + 1;
            x = x.unfold(d as isize + 2, span, c.stride[d]).slice(-1, 0, span, c.dilation[d]);
        }
        let (per_in, per_out) = (w.size(1), w.size(0) / c.groups);
        let parts: Vec<Tensor> = (0..c.groups)
            .map(|g| {
                let (x, w) = (x.narrow(1, g * per_in, per_in), w.narrow(0, g * per_out, per_out));
                let (positions, taps) = (x.shape()[2..2 + N].iter().product(), w.shape()[2..].iter().product());
                let x = x.reshape([x.size(0), 1, per_in, positions, taps]);
                (x * w.reshape([1, per_out, per_in, 1, taps])).sum_dim([2, 4], false)
            })
            .collect();
        let mut shape = x.shape().to_vec();
        shape[1] = w.size(0);
        shape.truncate(N + 2);
        Tensor::cat(&parts.iter().collect::<Vec<_>>(), 1).reshape(shape)
            + b.reshape(spatial_shape(1, b.numel(), [1; 3], N + 2))
    }

    fn agree<const N: usize>(x: Tensor, w: Tensor, c: ConvConfig<N>) {
        let b = wave([w.size(0)]);
        let got = x.conv("conv", &w, Some(&b), c);
        let want = by_definition(&x, &w, &b, c);
        assert_eq!(got.shape(), want.shape());
        assert!((&got - &want).abs().max().item_f64() < 1e-12, "{c:?}");
        gradcheck(|x| x[0].conv("conv", &x[1], Some(&x[2]), c), &[x.clone(), w.clone(), b]).unwrap();
        gradgradcheck(|x| x[0].conv("conv", &x[1], None, c), &[x.clone(), w.clone()]).unwrap();
        // <conv(x, w), g> = <x, conv_transpose(g, w)>, whatever the configuration.
        let g = wave(got.shape());
        let out: Vec<usize> = x.shape()[2..].to_vec();
        let mut t = c;
        for d in 0..N {
            let smallest =
                (g.shape()[d + 2] - 1) * c.stride[d] + c.dilation[d] * (w.shape()[d + 2] - 1) + 1 - 2 * c.padding[d];
            t.output_padding[d] = out[d] - smallest;
        }
        let back = g.conv_transpose("conv_transpose", &w, None, t);
        let (a, b) = ((x.conv("conv", &w, None, c) * &g).sum().item_f64(), (&x * &back).sum().item_f64());
        assert!((a - b).abs() < 1e-10, "{a} {b}");
        gradcheck(|x| x[0].conv_transpose("conv_transpose", &x[1], None, t), &[g.clone(), w.clone()]).unwrap();
        gradgradcheck(|x| x[0].conv_transpose("conv_transpose", &x[1], None, t), &[g, w]).unwrap();
    }

    #[test]
    fn every_configuration_follows_the_definition_and_differentiates_twice() {
        let c = ConvConfig::<1>::default();
        agree(wave([2, 2, 7]), wave([3, 2, 3]), c);
        agree(wave([1, 4, 8]), wave([4, 2, 3]), c.stride([2]).padding([2]).dilation([2]).groups(2));
        let c = ConvConfig::<2>::default();
        agree(wave([2, 2, 4, 5]).transpose(2, 3), wave([3, 2, 2, 3]), c);
        agree(wave([1, 2, 5, 4]), wave([2, 2, 3, 3]), c.stride([2, 3]).padding([1, 2]));
        agree(wave([1, 2, 5, 4]), wave([3, 2, 1, 1]), c);
        agree(wave([1, 2, 5, 4]), wave([3, 2, 1, 1]), c.stride([2, 2]));
        agree(wave([2, 3, 3, 4]), wave([6, 1, 2, 2]), c.groups(3).dilation([2, 1]).padding([1, 1]));
        let c = ConvConfig::<3>::default();
        agree(wave([1, 2, 3, 4, 3]), wave([2, 1, 2, 2, 2]), c.stride([2, 1, 1]).padding([1, 0, 1]).groups(2));
    }

    #[test]
    fn a_transposed_convolution_adds_its_bias_and_padding() {
        let (x, w, b) = (wave([1, 2, 3, 4]), wave([2, 3, 3, 2]), wave([3]));
        let c = ConvConfig::default().stride([2, 2]).padding([1, 0]).output_padding([1, 0]);
        assert_eq!(x.conv_transpose2d(&w, Some(&b), c).shape(), [1, 3, 6, 8]);
        gradcheck(|x| x[0].conv_transpose2d(&x[1], Some(&x[2]), c), &[x, w, b]).unwrap();
    }

    #[test]
    fn single_images_and_empty_batches_pass() {
        let w = wave([3, 2, 2, 2]);
        assert_eq!(wave([2, 4, 4]).conv2d(&w, None, ConvConfig::default()).shape(), [3, 3, 3]);
        let x = Tensor::full_of([0, 2, 4, 4], 0.0, DType::F64);
        assert_eq!(x.conv2d(&w, None, ConvConfig::default()).shape(), [0, 3, 3, 3]);
        let wg = w.requires_grad_(true);
        x.conv2d(&wg, None, ConvConfig::default()).sum().backward();
        assert_eq!(wg.grad().unwrap().to_vec::<f64>(), [0.0; 24]);
    }

    #[test]
    #[should_panic(
        expected = "conv2d: the weight [8, 2, 3, 3] [out, in / groups, ..] with 2 groups takes 4 input channels (its dimension 1), the input [1, 3, 5, 5] has 3"
    )]
    fn channels_must_fit() {
        Tensor::zeros([1, 3, 5, 5]).conv2d(&Tensor::zeros([8, 2, 3, 3]), None, ConvConfig::default().groups(2));
    }

    #[test]
    #[should_panic(expected = "has 4 positions in spatial dimension 1, fewer than the kernel's span 5")]
    fn the_kernel_must_fit() {
        let c = ConvConfig::default().padding([1, 1]).dilation([1, 2]);
        Tensor::zeros([1, 1, 5, 2]).conv2d(&Tensor::zeros([1, 1, 3, 3]), None, c);
    }
}
