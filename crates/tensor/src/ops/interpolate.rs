//! Resizing by interpolation. Spreading a gradient back is its adjoint, so every order of derivative is
//! one of the two.

use super::conv::lift;
use crate::autograd::record;
use crate::kernels::im::{self, ResizeShape};
use crate::shape::{IntoShape, Shape};
use crate::{Tensor, dispatch_float, fail};

/// How elements between the given ones are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The element whose cell the place lies in: output i is input floor(i L / n).
    Nearest,
    /// The element nearest to the middle of the output's cell: output i is input floor((i + 1/2) L / n).
    NearestExact,
    /// Linear between neighbours along each spatial dimension (bilinear for images).
    Linear {
        /// Whether the outermost elements of input and output lie at one place, instead of their edges.
        align_corners: bool,
    },
    /// Bicubic, for images: Keys' cubic convolution with a = -3/4 along each dimension, which may
    /// overshoot (Keys, 1981, <https://doi.org/10.1109/TASSP.1981.1163711>).
    Cubic {
        /// As for linear.
        align_corners: bool,
    },
}

#[derive(Clone, Copy)]
struct Resize {
    s: ResizeShape,
    mode: Interpolation,
    from: Shape,
    to: Shape,
}

impl Resize {
    fn forward(self, x: &Tensor) -> Tensor {
        let src = x.contiguous_data();
        let out = dispatch_float!(x.dtype(), "interpolate", T => {
            let src = src.read::<T>();
            Tensor::build::<T>(self.to, |out| match self.mode {
                Interpolation::Nearest => im::nearest(&self.s, false, &src, out),
                Interpolation::NearestExact => im::nearest(&self.s, true, &src, out),
                Interpolation::Linear { align_corners } => im::linear(&self.s, align_corners, &src, out),
                Interpolation::Cubic { align_corners } => im::cubic(&self.s, align_corners, &src, out),
            })
        });
        record("interpolate", out, &[x], move |ctx| ctx.set(0, || self.spread(ctx.grad())))
    }

    fn spread(self, g: &Tensor) -> Tensor {
        let src = g.contiguous_data();
        let out = dispatch_float!(g.dtype(), "interpolate", T => {
            let src = src.read::<T>();
            Tensor::build::<T>(self.from, |out| match self.mode {
                Interpolation::Nearest => im::nearest_backward(&self.s, false, &src, out),
                Interpolation::NearestExact => im::nearest_backward(&self.s, true, &src, out),
                Interpolation::Linear { align_corners } => im::linear_backward(&self.s, align_corners, &src, out),
                Interpolation::Cubic { align_corners } => im::cubic_backward(&self.s, align_corners, &src, out),
            })
        });
        record("interpolate_spread", out, &[g], move |ctx| ctx.set(0, || self.forward(ctx.grad())))
    }
}

impl Tensor {
    /// Resizes the spatial dimensions (all but the first two) to `size`.
    ///
    /// # Shapes
    /// [N, C, L], [N, C, H, W] or [N, C, D, H, W] -> [N, C, `size`].
    ///
    /// # Panics
    /// If the number of dimensions does not fit (cubic takes images alone) or an extent is 0.
    ///
    /// ```
    /// use gradus_tensor::{Interpolation, Tensor};
    /// let x = Tensor::arange(2).reshape([1, 1, 2]);
    /// assert_eq!(x.interpolate([4], Interpolation::Nearest).to_vec::<f32>(), [0.0, 0.0, 1.0, 1.0]);
    /// let linear = Interpolation::Linear { align_corners: false };
    /// assert_eq!(x.interpolate([4], linear).to_vec::<f32>(), [0.0, 0.25, 0.75, 1.0]);
    /// ```
    #[track_caller]
    pub fn interpolate(&self, size: impl IntoShape, mode: Interpolation) -> Tensor {
        self.resize(&size.into_shape(), [None; 3], mode)
    }

    /// Resizes each spatial dimension by a factor: L becomes floor(L * factor), and an element of the
    /// result advances 1 / factor elements of the input.
    ///
    /// As in PyTorch, a factor does not count beyond the size where that is the input's: there the elements stay
    /// (linear, and nearest for images), nor where it is twice the input's: each element is there twice (nearest for
    /// images).
    ///
    /// # Panics
    /// If the number of factors does not fit, or an extent is or becomes 0.
    #[track_caller]
    pub fn interpolate_scale(&self, factors: &[f64], mode: Interpolation) -> Tensor {
        if factors.len() + 2 != self.rank() || factors.len() > 3 || factors.iter().any(|&f| f <= 0.0 || !f.is_finite())
        {
            fail(
                "interpolate",
                format_args!("{factors:?} must be a positive factor for each spatial dimension of {}", self.shape()),
            );
        }
        let size: Vec<usize> =
            factors.iter().zip(&self.shape()[2..]).map(|(f, &n)| (n as f64 * f).floor() as usize).collect();
        let mut step = [None; 3];
        for (i, f) in factors.iter().enumerate() {
            let (from, to) = (self.shape()[i + 2], size[i]);
            let plain = match mode {
                Interpolation::Linear { .. } => to == from,
                Interpolation::Nearest => factors.len() == 2 && (to == from || to == 2 * from),
                _ => false,
            };
            step[3 - factors.len() + i] = (!plain).then_some(1.0 / f);
        }
        self.resize(&Shape::new(&size), step, mode)
    }

    #[track_caller]
    fn resize(&self, size: &Shape, step: [Option<f64>; 3], mode: Interpolation) -> Tensor {
        let from = self.shape();
        if !(3..=5).contains(&from.len()) || size.len() + 2 != from.len() {
            fail(
                "interpolate",
                format_args!(
                    "needs [N, C, ..] with one to three spatial dimensions and a size for each, got {from} and {size}"
                ),
            );
        }
        if matches!(mode, Interpolation::Cubic { .. }) && from.len() != 4 {
            fail("interpolate", format_args!("cubic interpolation is for images [N, C, H, W], got {from}"));
        }
        if from[2..].contains(&0) || size.contains(&0) {
            fail("interpolate", format_args!("cannot resize {from} to {size}: extents must be positive"));
        }
        let mut to = Shape::new(&from[..2]);
        size.iter().for_each(|&n| to.push(n));
        let s = ResizeShape { planes: from[0] * from[1], input: lift(&from[2..], 1), output: lift(size, 1), step };
        Resize { s, mode, from, to }.forward(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{gradcheck, gradgradcheck};

    const BILINEAR: Interpolation = Interpolation::Linear { align_corners: false };
    const ALIGNED: Interpolation = Interpolation::Linear { align_corners: true };

    #[test]
    fn known_values() {
        let x = Tensor::arange(4).reshape([1, 1, 2, 2]);
        assert_eq!(x.interpolate([3, 3], ALIGNED).to_vec::<f32>(), [0.0, 0.5, 1.0, 1.0, 1.5, 2.0, 2.0, 2.5, 3.0]);
        assert_eq!(x.interpolate([1, 4], Interpolation::Nearest).to_vec::<f32>(), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(x.interpolate([1, 1], BILINEAR).item(), 1.5);
        let y = Tensor::arange(5).reshape([1, 1, 5]);
        assert_eq!(y.interpolate_scale(&[0.5], Interpolation::Nearest).to_vec::<f32>(), [0.0, 2.0]);
        assert_eq!(y.interpolate([2], Interpolation::Nearest).to_vec::<f32>(), [0.0, 2.0]);
        assert_eq!(y.interpolate_scale(&[1.5], BILINEAR).shape(), [1, 1, 7]);
        assert_eq!(Tensor::zeros([0, 1, 2]).interpolate([3], BILINEAR).shape(), [0, 1, 3]);
    }

    #[test]
    fn all_modes_differentiate_twice() {
        let v = (0..24).map(|i| (1.7 * i as f64).sin()).collect();
        let x = Tensor::from_vec::<f64>(v, [1, 2, 3, 4]);
        let cubic = |align_corners| Interpolation::Cubic { align_corners };
        for mode in [Interpolation::Nearest, Interpolation::NearestExact, BILINEAR, ALIGNED, cubic(false), cubic(true)]
        {
            for size in [[5, 7], [2, 3]] {
                gradcheck(|x| x[0].transpose(2, 3).interpolate(size, mode), std::slice::from_ref(&x)).unwrap();
                gradgradcheck(|x| x[0].interpolate(size, mode).square(), std::slice::from_ref(&x)).unwrap();
            }
            gradcheck(|x| x[0].interpolate_scale(&[1.6, 0.7], mode), std::slice::from_ref(&x)).unwrap();
            if !matches!(mode, Interpolation::Cubic { .. }) {
                gradcheck(|x| x[0].unsqueeze(0).interpolate([1, 4, 3], mode), std::slice::from_ref(&x)).unwrap();
            }
        }
    }

    /// Cubic weights sum to one and pass through the elements themselves.
    #[test]
    fn cubic_keeps_constants_and_the_elements() {
        let cubic = Interpolation::Cubic { align_corners: true };
        let flat = Tensor::full([1, 1, 3, 4], 2.5).interpolate([7, 9], cubic);
        assert!((flat - 2.5).abs().max().item() < 1e-6);
        let v = (0..12).map(|i| (1.7 * i as f64).sin()).collect();
        let x = Tensor::from_vec::<f64>(v, [1, 1, 3, 4]);
        let y = x.interpolate([5, 10], cubic).slice(2, 0, 5, 2).slice(3, 0, 10, 3);
        assert!((y - x).abs().max().item_f64() < 1e-12);
    }

    #[test]
    fn exactly_the_nearest() {
        let x = Tensor::arange(5).reshape([1, 1, 5]);
        assert_eq!(x.interpolate([3], Interpolation::Nearest).to_vec::<f32>(), [0.0, 1.0, 3.0]);
        assert_eq!(x.interpolate([3], Interpolation::NearestExact).to_vec::<f32>(), [0.0, 2.0, 4.0]);
    }

    #[test]
    #[should_panic(expected = "interpolate: cubic interpolation is for images [N, C, H, W], got [1, 1, 4]")]
    fn cubic_is_for_images() {
        Tensor::zeros([1, 1, 4]).interpolate([3], Interpolation::Cubic { align_corners: false });
    }

    #[test]
    #[should_panic(expected = "interpolate: needs [N, C, ..]")]
    fn a_size_for_each_dimension_is_needed() {
        Tensor::zeros([1, 1, 2, 2]).interpolate([3], BILINEAR);
    }
}
