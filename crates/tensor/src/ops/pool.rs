//! Pooling: windows summed up by their largest element or their mean, and the way back.
//!
//! Everything is linear once the places of the maxima are known, so two pairs of adjoint operations
//! give every order of derivative: reading from places and adding to places, averaging and spreading.

use super::conv::lift;
use crate::autograd::{is_grad_enabled, record};
use crate::dtype::Element;
use crate::kernels::pool::{self, Divisor, PoolShape};
use crate::shape::Shape;
use crate::storage::Plain;
use crate::{Tensor, dispatch_float, fail};

/// The windows of a pooling operation over `N` spatial dimensions. An array of extents stands for
/// windows of that size side by side: `x.max_pool2d([2, 2])`.
///
/// ```
/// use gradus_tensor::{PoolConfig, Tensor};
/// let x = Tensor::zeros([1, 3, 8, 8]);
/// assert_eq!(x.max_pool2d([2, 2]).shape(), [1, 3, 4, 4]);
/// assert_eq!(x.max_pool2d(PoolConfig::new([3, 3]).stride([2, 2]).padding([1, 1])).shape(), [1, 3, 4, 4]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolConfig<const N: usize> {
    /// Extents of the window.
    pub kernel: [usize; N],
    /// Step of the window.
    pub stride: [usize; N],
    /// Positions added at both ends: negative infinity for maxima, zero for means.
    pub padding: [usize; N],
    /// Distance between the elements of the window; means take 1 only.
    pub dilation: [usize; N],
    /// Whether a last window that leaves the input counts as well.
    pub ceil_mode: bool,
    /// Whether a mean counts the padding in its window.
    pub count_include_pad: bool,
    /// What a mean divides by instead of its window's size.
    pub divisor_override: Option<usize>,
}

impl<const N: usize> PoolConfig<N> {
    /// Windows of these extents, side by side.
    pub fn new(kernel: [usize; N]) -> Self {
        PoolConfig {
            kernel,
            stride: kernel,
            padding: [0; N],
            dilation: [1; N],
            ceil_mode: false,
            count_include_pad: true,
            divisor_override: None,
        }
    }

    /// With this step.
    pub fn stride(mut self, stride: [usize; N]) -> Self {
        self.stride = stride;
        self
    }

    /// With this many positions added at both ends.
    pub fn padding(mut self, padding: [usize; N]) -> Self {
        self.padding = padding;
        self
    }

    /// With this distance between the window's elements.
    pub fn dilation(mut self, dilation: [usize; N]) -> Self {
        self.dilation = dilation;
        self
    }

    /// Counting a last window that leaves the input, or not.
    pub fn ceil_mode(mut self, on: bool) -> Self {
        self.ceil_mode = on;
        self
    }

    /// Counting the padding in a mean, or not.
    pub fn count_include_pad(mut self, on: bool) -> Self {
        self.count_include_pad = on;
        self
    }

    /// Dividing by this instead of the window's size.
    pub fn divisor_override(mut self, divisor: usize) -> Self {
        self.divisor_override = Some(divisor);
        self
    }
}

impl<const N: usize> From<[usize; N]> for PoolConfig<N> {
    fn from(kernel: [usize; N]) -> Self {
        PoolConfig::new(kernel)
    }
}

/// The number of planes of `N` dimensions in `x`, and their extents.
#[track_caller]
fn planes<const N: usize>(op: &str, x: &Tensor) -> (usize, [usize; 3]) {
    if x.rank() != N + 1 && x.rank() != N + 2 {
        fail(op, format_args!("needs [N, C, ..] or [C, ..] with {N} spatial dimensions, got shape {}", x.shape()));
    }
    let shape = x.shape();
    let (lead, spatial) = shape.split_at(x.rank() - N);
    (lead.iter().product(), lift(spatial, 1))
}

/// `x`'s shape with other spatial extents.
fn with_spatial<const N: usize>(x: &Tensor, output: [usize; 3]) -> Shape {
    let mut s = x.shape();
    (0..N).for_each(|d| s.set(x.rank() - N + d, output[3 - N + d]));
    s
}

#[track_caller]
fn pool_shape<const N: usize>(op: &str, x: &Tensor, c: &PoolConfig<N>) -> PoolShape {
    let (planes, input) = planes::<N>(op, x);
    if c.kernel.iter().chain(&c.stride).chain(&c.dilation).any(|&v| v == 0) {
        fail(op, format_args!("kernel, stride and dilation must be positive: {c:?}"));
    }
    let mut output = [0; N];
    for d in 0..N {
        let extent = input[3 - N + d];
        let span = c.dilation[d] * (c.kernel[d] - 1) + 1;
        if c.padding[d] > c.kernel[d] / 2 {
            fail(op, format_args!("padding {:?} is more than half of the kernel {:?}", c.padding, c.kernel));
        }
        output[d] = PoolShape::output_of(extent, c.kernel[d], c.stride[d], c.padding[d], c.dilation[d], c.ceil_mode);
        if output[d] == 0 {
            fail(
                op,
                format_args!(
                    "the input {} has {extent} positions in spatial dimension {d} and padding {}, the window spans {span}",
                    x.shape(),
                    c.padding[d]
                ),
            );
        }
        let reads = |o: usize| {
            let inside = |k: usize| {
                (o * c.stride[d] + k * c.dilation[d]).checked_sub(c.padding[d]).is_some_and(|at| at < extent)
            };
            (0..c.kernel[d]).any(inside)
        };
        if c.dilation[d] > 1 && extent > 0 && !(0..output[d]).all(reads) {
            fail(op, format_args!("a window of {c:?} lies in the padding of {} with all its elements", x.shape()));
        }
    }
    PoolShape {
        planes,
        input,
        kernel: lift(&c.kernel, 1),
        stride: lift(&c.stride, 1),
        padding: lift(&c.padding, 0),
        dilation: lift(&c.dilation, 1),
        output: lift(&output, 1),
    }
}

/// Values and places of one shape, both written by `fill`.
fn build_two<T: Plain + Element>(shape: Shape, fill: impl FnOnce(&mut [T], &mut [i64])) -> (Tensor, Tensor) {
    let mut values = None;
    let index = Tensor::build::<i64>(shape, |index| values = Some(Tensor::build::<T>(shape, |out| fill(out, index))));
    (values.expect("the index was built"), index)
}

/// Where maxima were found in planes of a tensor of shape `whole`.
#[derive(Clone)]
struct Places {
    index: Tensor,
    whole: Shape,
    planes: usize,
    /// The windows, where they were regular ones.
    pool: Option<PoolShape>,
}

impl Places {
    fn sizes(&self) -> (usize, usize) {
        (
            self.whole.numel().checked_div(self.planes).unwrap_or(0),
            self.index.numel().checked_div(self.planes).unwrap_or(0),
        )
    }

    /// The elements of `x` at the places.
    fn read(&self, x: &Tensor) -> Tensor {
        let (from, to) = self.sizes();
        let src = x.contiguous_data();
        let out = dispatch_float!(x.dtype(), "max_pool", T => {
            let (src, index) = (src.read::<T>(), self.index.read::<i64>());
            Tensor::build::<T>(self.index.shape(), |out| pool::gather_planes(self.planes, from, to, &src, &index, out))
        });
        let places = self.clone();
        record("read_places", out, &[x], move |ctx| ctx.set(0, || places.add(ctx.grad())))
    }

    /// Zeros with the elements of `g` added at the places: the adjoint of `read`.
    fn add(&self, g: &Tensor) -> Tensor {
        let (from, to) = self.sizes();
        let src = g.contiguous_data();
        let out = dispatch_float!(g.dtype(), "max_pool", T => {
            let (src, index) = (src.read::<T>(), self.index.read::<i64>());
            Tensor::build::<T>(self.whole, |out| match &self.pool {
                Some(s) => pool::max_pool_backward(s, &src, &index, out),
                None => pool::scatter_planes(self.planes, from, to, &src, &index, out),
            })
        });
        let places = self.clone();
        record("add_places", out, &[g], move |ctx| ctx.set(0, || places.read(ctx.grad())))
    }

    /// Records maxima that were found at the places.
    fn finish(self, op: &'static str, x: &Tensor, values: Tensor) -> (Tensor, Tensor) {
        let index = self.index.clone();
        (record(op, values, &[x], move |ctx| ctx.set(0, || self.add(ctx.grad()))), index)
    }
}

/// Means over windows, and their adjoint.
#[derive(Clone, Copy)]
enum Mean {
    Regular(PoolShape, Divisor),
    Adaptive { planes: usize, input: [usize; 3], output: [usize; 3] },
}

impl Mean {
    fn pool(self, x: &Tensor, whole: Shape, pooled: Shape) -> Tensor {
        let src = x.contiguous_data();
        let out = dispatch_float!(x.dtype(), "avg_pool", T => {
            let src = src.read::<T>();
            Tensor::build::<T>(pooled, |out| match &self {
                Mean::Regular(s, d) => pool::avg_pool(s, *d, &src, out),
                Mean::Adaptive { planes, input, output } => pool::adaptive_avg_pool(*planes, *input, *output, &src, out),
            })
        });
        record("avg_pool", out, &[x], move |ctx| ctx.set(0, || self.spread(ctx.grad(), whole, pooled)))
    }

    fn spread(self, g: &Tensor, whole: Shape, pooled: Shape) -> Tensor {
        let src = g.contiguous_data();
        let out = dispatch_float!(g.dtype(), "avg_pool", T => {
            let src = src.read::<T>();
            Tensor::build::<T>(whole, |out| match &self {
                Mean::Regular(s, d) => pool::avg_pool_backward(s, *d, &src, out),
                Mean::Adaptive { planes, input, output } => pool::adaptive_avg_pool_backward(*planes, *input, *output, &src, out),
            })
        });
        record("avg_pool_spread", out, &[g], move |ctx| ctx.set(0, || self.pool(ctx.grad(), whole, pooled)))
    }
}

impl Tensor {
    #[track_caller]
    fn max_pool<const N: usize>(&self, op: &'static str, c: PoolConfig<N>) -> (Tensor, Tensor) {
        let s = pool_shape(op, self, &c);
        let src = self.contiguous_data();
        let (values, index) = dispatch_float!(self.dtype(), op, T => {
            let src = src.read::<T>();
            build_two::<T>(with_spatial::<N>(self, s.output), |out, index| pool::max_pool(&s, &src, out, index))
        });
        Places { index, whole: self.shape(), planes: s.planes, pool: Some(s) }.finish(op, self, values)
    }

    /// The values of `max_pool`; without a graph nobody needs to know their places.
    #[track_caller]
    fn largest<const N: usize>(&self, op: &'static str, c: PoolConfig<N>) -> Tensor {
        if is_grad_enabled() && self.requires_grad() {
            return self.max_pool(op, c).0;
        }
        let s = pool_shape(op, self, &c);
        let src = self.contiguous_data();
        dispatch_float!(self.dtype(), op, T => {
            let src = src.read::<T>();
            Tensor::build::<T>(with_spatial::<N>(self, s.output), |out| pool::max_pool_values(&s, &src, out))
        })
    }

    #[track_caller]
    fn adaptive_max_pool<const N: usize>(&self, op: &'static str, output: [usize; N]) -> (Tensor, Tensor) {
        let (planes, input, output) = adaptive(op, self, output);
        let src = self.contiguous_data();
        let (values, index) = dispatch_float!(self.dtype(), op, T => {
            let src = src.read::<T>();
            build_two::<T>(with_spatial::<N>(self, output), |out, index| {
                pool::adaptive_max_pool(planes, input, output, &src, out, index)
            })
        });
        Places { index, whole: self.shape(), planes, pool: None }.finish(op, self, values)
    }

    #[track_caller]
    fn avg_pool<const N: usize>(&self, op: &'static str, c: PoolConfig<N>) -> Tensor {
        let s = pool_shape(op, self, &c);
        if c.dilation != [1; N] || c.divisor_override == Some(0) {
            fail(op, format_args!("a mean takes no dilation and no divisor of 0: {c:?}"));
        }
        let divisor = Divisor { count_include_pad: c.count_include_pad, fixed: c.divisor_override.map(|d| d as f64) };
        Mean::Regular(s, divisor).pool(self, self.shape(), with_spatial::<N>(self, s.output))
    }

    #[track_caller]
    fn adaptive_avg_pool<const N: usize>(&self, op: &'static str, output: [usize; N]) -> Tensor {
        let (planes, input, output) = adaptive(op, self, output);
        Mean::Adaptive { planes, input, output }.pool(self, self.shape(), with_spatial::<N>(self, output))
    }

    #[track_caller]
    fn max_unpool<const N: usize>(&self, op: &'static str, index: &Tensor, output: [usize; N]) -> Tensor {
        let (planes, _) = planes::<N>(op, self);
        if index.shape() != self.shape() {
            fail(op, format_args!("the indices' shape {} is not the input's {}", index.shape(), self.shape()));
        }
        let to = self.shape()[self.rank() - N..].iter().product::<usize>();
        let zeros = Tensor::full_of([planes, output.iter().product()], 0.0, self.dtype());
        let placed = zeros.scatter(1, &index.reshape([planes, to]), &self.reshape([planes, to]));
        placed.reshape(with_spatial::<N>(self, lift(&output, 1)))
    }
}

#[track_caller]
fn adaptive<const N: usize>(op: &str, x: &Tensor, output: [usize; N]) -> (usize, [usize; 3], [usize; 3]) {
    let (planes, input) = planes::<N>(op, x);
    if output.contains(&0) || input.contains(&0) {
        fail(op, format_args!("cannot pool {} to {output:?}: extents must be positive", x.shape()));
    }
    (planes, input, lift(&output, 1))
}

macro_rules! pools {
    ($n:literal $form:literal: $max:ident $max_with:ident $unpool:ident $avg:ident $adaptive_max:ident $adaptive_max_with:ident $adaptive_avg:ident) => {
        impl Tensor {
            /// The largest element of each window of
            #[doc = concat!($form, ".")]
            /// Its gradient goes to the first place where it was found; NaN counts as largest.
            ///
            /// # Panics
            /// If the shape does not fit, a window is larger than the padded input or has no element inside,
            /// or the padding is more than half of the window.
            #[track_caller]
            pub fn $max(&self, config: impl Into<PoolConfig<$n>>) -> Tensor {
                self.largest(stringify!($max), config.into())
            }

            #[doc = concat!("As [`Tensor::", stringify!($max), "`], with the places (i64) of the elements in their flat input planes.")]
            ///
            /// # Panics
            #[doc = concat!("As [`Tensor::", stringify!($max), "`].")]
            #[track_caller]
            pub fn $max_with(&self, config: impl Into<PoolConfig<$n>>) -> (Tensor, Tensor) {
                self.max_pool(stringify!($max), config.into())
            }

            /// Zeros of spatial extents `output` with each element at the place (i64, in its flat
            /// output plane) that pooling found it. Of several elements for one place the last stays.
            ///
            /// # Panics
            /// If the shapes differ or an index lies outside.
            #[track_caller]
            pub fn $unpool(&self, indices: &Tensor, output: [usize; $n]) -> Tensor {
                self.max_unpool(stringify!($unpool), indices, output)
            }

            /// The mean of each window of
            #[doc = concat!($form, ".")]
            ///
            /// # Panics
            #[doc = concat!("As [`Tensor::", stringify!($max), "`].")]
            #[track_caller]
            pub fn $avg(&self, config: impl Into<PoolConfig<$n>>) -> Tensor {
                self.avg_pool(stringify!($avg), config.into())
            }

            /// The largest elements of windows that divide
            #[doc = concat!($form, " into `output` parts:")]
            /// window i of n reaches from floor(i L / n) to ceil((i + 1) L / n).
            ///
            /// # Panics
            /// If the shape does not fit or an extent is 0.
            #[track_caller]
            pub fn $adaptive_max(&self, output: [usize; $n]) -> Tensor {
                self.adaptive_max_pool(stringify!($adaptive_max), output).0
            }

            #[doc = concat!("As [`Tensor::", stringify!($adaptive_max), "`], with the places (i64) of the elements in their flat input planes.")]
            ///
            /// # Panics
            /// If the shape does not fit or an extent is 0.
            #[track_caller]
            pub fn $adaptive_max_with(&self, output: [usize; $n]) -> (Tensor, Tensor) {
                self.adaptive_max_pool(stringify!($adaptive_max), output)
            }

            #[doc = concat!("The means of the windows of [`Tensor::", stringify!($adaptive_max), "`].")]
            ///
            /// # Panics
            /// If the shape does not fit or an extent is 0.
            #[track_caller]
            pub fn $adaptive_avg(&self, output: [usize; $n]) -> Tensor {
                self.adaptive_avg_pool(stringify!($adaptive_avg), output)
            }
        }
    };
}
pools!(1 "[N, C, L] or [C, L]": max_pool1d max_pool1d_with_indices max_unpool1d avg_pool1d adaptive_max_pool1d adaptive_max_pool1d_with_indices adaptive_avg_pool1d);
pools!(2 "[N, C, H, W] or [C, H, W]": max_pool2d max_pool2d_with_indices max_unpool2d avg_pool2d adaptive_max_pool2d adaptive_max_pool2d_with_indices adaptive_avg_pool2d);
pools!(3 "[N, C, D, H, W] or [C, D, H, W]": max_pool3d max_pool3d_with_indices max_unpool3d avg_pool3d adaptive_max_pool3d adaptive_max_pool3d_with_indices adaptive_avg_pool3d);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::autograd::{gradcheck, gradgradcheck};

    /// Values without order or ties.
    fn scattered(shape: impl crate::IntoShape) -> Tensor {
        let shape = shape.into_shape();
        let v = (0..shape.numel()).map(|i| (7.7 * i as f64 + 0.3).sin()).collect();
        Tensor::from_vec::<f64>(v, shape)
    }

    fn check(f: impl Fn(&[Tensor]) -> Tensor + Copy, x: &Tensor) {
        gradcheck(f, std::slice::from_ref(x)).unwrap();
        gradgradcheck(|x| f(x).square(), std::slice::from_ref(x)).unwrap();
    }

    #[test]
    fn maxima_and_their_places() {
        let x = Tensor::arange(12).reshape([1, 3, 4]);
        let (y, i) = x.max_pool2d_with_indices([2, 2]);
        assert_eq!((y.shape(), y.to_vec::<f32>()), (Shape::new(&[1, 1, 2]), vec![5.0, 7.0]));
        assert_eq!(i.to_vec::<i64>(), [5, 7]);
        let (y, i) = x.max_pool2d_with_indices(PoolConfig::new([2, 2]).ceil_mode(true));
        assert_eq!((y.to_vec::<f32>(), i.to_vec::<i64>()), (vec![5.0, 7.0, 9.0, 11.0], vec![5, 7, 9, 11]));
        let y = x.max_unpool2d(&Tensor::full_of([1, 3, 4], 0.0, DType::I64), [2, 2]);
        assert_eq!(y.to_vec::<f32>(), [11.0, 0.0, 0.0, 0.0]);
        assert_eq!(Tensor::zeros([0, 2, 4, 4]).max_pool2d([2, 2]).shape(), [0, 2, 2, 2]);
    }

    #[test]
    fn a_maximum_found_by_several_windows_gathers_their_gradients() {
        let x = Tensor::from_slice(&[0.0f64, 9.0, 1.0], [1, 3]).requires_grad_(true);
        x.max_pool1d(PoolConfig::new([2]).stride([1])).sum().backward();
        assert_eq!(x.grad().unwrap().to_vec::<f64>(), [0.0, 2.0, 0.0]);
    }

    #[test]
    fn maxima_differentiate_twice() {
        let x = scattered([2, 2, 4, 6]);
        check(|x| x[0].max_pool2d([2, 2]), &x);
        check(|x| x[0].transpose(2, 3).max_pool2d([2, 2]), &x);
        let c = PoolConfig::new([3, 2]).stride([1, 2]).padding([1, 1]).dilation([1, 2]).ceil_mode(true);
        check(|x| x[0].max_pool2d(c), &x);
        check(|x| x[0].adaptive_max_pool2d([3, 4]), &x);
        let c = PoolConfig::new([3]).stride([2]).padding([1]);
        check(|x| x[0].max_pool1d(c), &scattered([2, 7]));
        check(|x| x[0].max_pool3d([2, 1, 2]), &scattered([1, 2, 2, 3, 4]));
        let i = x.max_pool2d_with_indices([2, 2]).1;
        check(|x| x[0].max_unpool2d(&i, [4, 6]), &scattered([2, 2, 2, 3]));
    }

    #[test]
    fn means_divide_as_asked() {
        let x = Tensor::ones([1, 3, 3]);
        let c = PoolConfig::new([2, 2]).padding([1, 1]);
        assert_eq!(x.avg_pool2d(c).to_vec::<f32>(), [0.25, 0.5, 0.5, 1.0]);
        assert_eq!(x.avg_pool2d(c.count_include_pad(false)).to_vec::<f32>(), [1.0; 4]);
        assert_eq!(x.avg_pool2d(c.divisor_override(2)).to_vec::<f32>(), [0.5, 1.0, 1.0, 2.0]);
        assert_eq!(x.adaptive_avg_pool2d([1, 1]).item(), 1.0);
    }

    #[test]
    fn means_differentiate_twice() {
        let x = scattered([1, 2, 5, 4]);
        let c = PoolConfig::new([3, 2]).stride([2, 1]).padding([1, 1]);
        check(|x| x[0].avg_pool2d(c), &x);
        check(|x| x[0].transpose(2, 3).avg_pool2d(c.ceil_mode(true).count_include_pad(false)), &x);
        check(|x| x[0].avg_pool2d(c.divisor_override(5)), &x);
        check(|x| x[0].adaptive_avg_pool2d([2, 3]), &x);
        check(|x| x[0].avg_pool1d([3]), &scattered([2, 7]));
        check(|x| x[0].avg_pool3d([1, 2, 2]), &x);
    }

    /// There would be no maximum: PyTorch reads beyond its memory here.
    #[test]
    #[should_panic(expected = "lies in the padding of [1, 1, 1] with all its elements")]
    fn a_window_must_have_an_element_inside() {
        Tensor::zeros([1, 1, 1]).max_pool1d(PoolConfig::new([2]).padding([1]).dilation([2]));
    }

    #[test]
    #[should_panic(
        expected = "max_pool2d: the input [1, 2, 4] has 2 positions in spatial dimension 0 and padding 0, the window spans 3"
    )]
    fn the_window_must_fit() {
        Tensor::zeros([1, 2, 4]).max_pool2d([3, 3]);
    }
}
