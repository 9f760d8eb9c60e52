//! Images as columns of patches, and back. The two are each other's gradient.

use crate::autograd::record;
use crate::kernels::im::{self, PatchShape};
use crate::shape::Shape;
use crate::{PoolConfig, Tensor, dispatch_float, fail};

/// The patches of images [n, c, `input`] that `config`'s windows cut out.
#[track_caller]
fn patches(op: &str, n: usize, c: usize, input: [usize; 2], config: &PoolConfig<2>) -> PatchShape {
    let PoolConfig { kernel, stride, padding, dilation, .. } = *config;
    if config.ceil_mode {
        fail(op, "patches do not leave the padded image: ceil_mode is for pooling");
    }
    let mut output = [0; 2];
    for d in 0..2 {
        if kernel[d] == 0 || stride[d] == 0 || dilation[d] == 0 {
            fail(op, format_args!("kernel, stride and dilation must be positive: {config:?}"));
        }
        let (padded, span) = (input[d] + 2 * padding[d], dilation[d] * (kernel[d] - 1) + 1);
        if padded < span {
            fail(
                op,
                format_args!(
                    "an image of {input:?} with padding {} has {padded} positions in spatial dimension {d}, a patch spans {span}",
                    padding[d]
                ),
            );
        }
        output[d] = (padded - span) / stride[d] + 1;
    }
    PatchShape { n, c, input, kernel, stride, padding, dilation, output }
}

fn columns_shape(s: &PatchShape) -> Shape {
    Shape::new(&[s.n, s.c * s.kernel[0] * s.kernel[1], s.output[0] * s.output[1]])
}

fn to_columns(x: &Tensor, s: PatchShape) -> Tensor {
    let src = x.contiguous_data();
    let out = dispatch_float!(x.dtype(), "unfold2d", T => {
        let src = src.read::<T>();
        Tensor::build::<T>(columns_shape(&s), |out| im::im2col(&s, &src, out))
    });
    record("unfold2d", out, &[x], move |ctx| ctx.set(0, || to_image(ctx.grad(), s)))
}

fn to_image(x: &Tensor, s: PatchShape) -> Tensor {
    let src = x.contiguous_data();
    let out = dispatch_float!(x.dtype(), "fold2d", T => {
        let src = src.read::<T>();
        Tensor::build::<T>(Shape::new(&[s.n, s.c, s.input[0], s.input[1]]), |out| im::col2im(&s, &src, out))
    });
    record("fold2d", out, &[x], move |ctx| ctx.set(0, || to_columns(ctx.grad(), s)))
}

impl Tensor {
    /// Every patch of images as a column (im2col): what PyTorch calls `unfold` of an image. The
    /// windows' default step is their size, as for pooling: name it.
    ///
    /// # Shapes
    /// [N, C, H, W] or [C, H, W] -> [N, C * KH * KW, number of patches], rows ordered by channel, then
    /// place in the patch.
    ///
    /// # Panics
    /// If the shape does not fit or a patch is larger than the padded image.
    ///
    /// ```
    /// use gradus_tensor::{PoolConfig, Tensor};
    /// let x = Tensor::arange(9).reshape([1, 1, 3, 3]);
    /// let c = x.unfold2d(PoolConfig::new([2, 2]).stride([1, 1]));
    /// assert_eq!(c.select(0, 0).select(1, 0).to_vec::<f32>(), [0.0, 1.0, 3.0, 4.0]);
    /// ```
    #[track_caller]
    pub fn unfold2d(&self, windows: PoolConfig<2>) -> Tensor {
        if self.rank() == 3 {
            return self.unsqueeze(0).unfold2d(windows).squeeze(0);
        }
        if self.rank() != 4 {
            fail("unfold2d", format_args!("needs [N, C, H, W] or [C, H, W], got shape {}", self.shape()));
        }
        let extents = [self.size(2), self.size(3)];
        to_columns(self, patches("unfold2d", self.size(0), self.size(1), extents, &windows))
    }

    /// Adds the columns of [`Tensor::unfold2d`] back into images of extents `output`; elements that
    /// several patches share are sums.
    ///
    /// # Shapes
    /// [N, C * KH * KW, L] or [C * KH * KW, L] -> [N, C, `output`].
    ///
    /// # Panics
    /// If the rows are no multiple of the patch's size or the number of patches is another.
    #[track_caller]
    pub fn fold2d(&self, output: [usize; 2], windows: PoolConfig<2>) -> Tensor {
        if self.rank() == 2 {
            return self.unsqueeze(0).fold2d(output, windows).squeeze(0);
        }
        let taps = windows.kernel[0] * windows.kernel[1];
        if self.rank() != 3 || taps == 0 || !self.size(1).is_multiple_of(taps) {
            fail(
                "fold2d",
                format_args!(
                    "needs [N, C * {taps}, L] for patches of {:?}, got shape {}",
                    windows.kernel,
                    self.shape()
                ),
            );
        }
        let s = patches("fold2d", self.size(0), self.size(1) / taps, output, &windows);
        if columns_shape(&s) != self.shape() {
            fail(
                "fold2d",
                format_args!(
                    "images of {output:?} have {} patches, the shape {} has {}",
                    s.output[0] * s.output[1],
                    self.shape(),
                    self.size(2)
                ),
            );
        }
        to_image(self, s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{gradcheck, gradgradcheck};

    #[test]
    fn columns_times_filters_are_a_convolution() {
        let (x, w) = (Tensor::randn([2, 3, 5, 6]), Tensor::randn([4, 3, 2, 3]));
        let c = crate::ConvConfig::default().stride([2, 1]).padding([1, 2]).dilation([1, 2]);
        let windows = PoolConfig::new([2, 3]).stride([2, 1]).padding([1, 2]).dilation([1, 2]);
        let want = x.conv2d(&w, None, c);
        let got = w.reshape([4, 18]).matmul(&x.unfold2d(windows)).view_as(&want);
        assert!((got - want).abs().max().item() < 1e-4);
    }

    #[test]
    fn both_ways_differentiate_twice() {
        let v = (0..40).map(|i| (1.7 * i as f64).sin()).collect();
        let x = Tensor::from_vec::<f64>(v, [1, 2, 4, 5]);
        let c = PoolConfig::new([2, 2]).stride([2, 1]).padding([1, 0]).dilation([1, 2]);
        gradcheck(|x| x[0].transpose(2, 3).unfold2d(c), std::slice::from_ref(&x)).unwrap();
        gradgradcheck(|x| x[0].unfold2d(c).square(), std::slice::from_ref(&x)).unwrap();
        let columns = x.unfold2d(c);
        assert_eq!(columns.fold2d([4, 5], c).shape(), [1, 2, 4, 5]);
        gradgradcheck(|x| x[0].fold2d([4, 5], c).square(), &[columns]).unwrap();
    }

    #[test]
    #[should_panic(expected = "fold2d: images of [3, 3] have 4 patches, the shape [1, 4, 5] has 5")]
    fn the_number_of_patches_must_fit() {
        Tensor::zeros([1, 4, 5]).fold2d([3, 3], PoolConfig::new([2, 2]).stride([1, 1]));
    }
}
