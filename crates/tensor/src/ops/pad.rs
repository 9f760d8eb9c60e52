//! Padding.

use crate::autograd::record;
use crate::kernels::strided;
use crate::shape::{Layout, Shape};
use crate::{Tensor, dispatch_any, fail};

/// What padding is filled with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadMode {
    /// One value.
    Constant(f64),
    /// The element at the edge: `aaa|abcd|ddd`.
    Replicate,
    /// The elements mirrored at the edge, which is not repeated: `dcb|abcd|cba`.
    Reflect,
    /// The elements from the other end: `bcd|abcd|abc`.
    Circular,
}

impl PadMode {
    /// The position of an extent of `n` that stands at `i` (relative to the first element) after padding.
    fn source(self, i: isize, n: isize) -> i64 {
        (match self {
            PadMode::Constant(_) | PadMode::Replicate => i.clamp(0, n - 1),
            PadMode::Reflect if i < 0 => -i,
            PadMode::Reflect if i >= n => 2 * (n - 1) - i,
            PadMode::Reflect => i,
            PadMode::Circular => i.rem_euclid(n),
        }) as i64
    }
}

impl Tensor {
    /// Adds positions at the ends of the last dimensions; negative numbers take positions away.
    ///
    /// `pads` holds (before, after) for the last `pads.len()` dimensions in their order, so the last
    /// entry belongs to the last dimension: `[(1, 1), (2, 2)]` adds a row above and below and two
    /// columns left and right. (PyTorch's flat list names the last dimension first.)
    ///
    /// # Panics
    /// If there are more pairs than dimensions, less than nothing would be left, or the mode cannot
    /// fill that much: reflection needs more positions than it adds, wrapping at least as many.
    ///
    /// ```
    /// use gradus_tensor::{PadMode, Tensor};
    /// let x = Tensor::arange(3).pad(&[(1, 2)], PadMode::Reflect);
    /// assert_eq!(x.to_vec::<f32>(), [1.0, 0.0, 1.0, 2.0, 1.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn pad(&self, pads: &[(isize, isize)], mode: PadMode) -> Tensor {
        if pads.len() > self.rank() {
            fail("pad", format_args!("{} pairs for the {} dimensions of {}", pads.len(), self.rank(), self.shape()));
        }
        let first = self.rank() - pads.len();
        for (i, &(before, after)) in pads.iter().enumerate() {
            self.check_pad(first + i, before, after, mode);
        }
        if let PadMode::Constant(value) = mode {
            return self.pad_constant(pads, first, value);
        }
        let mut out = self.clone();
        for (i, &(before, after)) in pads.iter().enumerate().filter(|(_, p)| **p != (0, 0)) {
            let n = self.shape()[first + i] as isize;
            let places: Vec<i64> = (-before..n + after).map(|k| mode.source(k, n)).collect();
            out = out.index_select((first + i) as isize, &Tensor::from_slice(&places, [places.len()]));
        }
        out
    }

    #[track_caller]
    fn check_pad(&self, d: usize, before: isize, after: isize, mode: PadMode) {
        let n = self.shape()[d] as isize;
        if before.min(0) + after.min(0) + n < 0 {
            fail("pad", format_args!("cannot take {before} and {after} from dimension {d} of {}", self.shape()));
        }
        let most = match mode {
            PadMode::Replicate if n == 0 => 0,
            PadMode::Constant(_) | PadMode::Replicate => isize::MAX,
            PadMode::Reflect => (n - 1).max(0),
            PadMode::Circular => n,
        };
        if before > most || after > most {
            fail(
                "pad",
                format_args!(
                    "{mode:?} cannot add {before} before and {after} after dimension {d} of {}: at most {most}",
                    self.shape()
                ),
            );
        }
    }

    fn pad_constant(&self, pads: &[(isize, isize)], first: usize, value: f64) -> Tensor {
        let (mut kept, mut shape, mut at) = (self.clone(), self.shape(), vec![0usize; self.rank()]);
        for (i, &(before, after)) in pads.iter().enumerate() {
            let (d, n) = (first + i, self.shape()[first + i]);
            let (cut, rest) = (before.min(0).unsigned_abs(), after.min(0).unsigned_abs());
            kept = kept.narrow(d as isize, cut, n - cut - rest);
            at[d] = before.max(0) as usize;
            shape.set(d, kept.shape()[d] + at[d] + after.max(0) as usize);
        }
        if kept.shape() == shape {
            return kept;
        }
        kept.placed(shape, &at, value)
    }

    /// A tensor of `shape` filled with `value`, with this one's elements from `at` on.
    pub(crate) fn placed(&self, shape: Shape, at: &[usize], value: f64) -> Tensor {
        let src = self.contiguous_data();
        let whole = Layout::contiguous(shape);
        let offset = at.iter().zip(whole.strides.iter()).map(|(i, s)| i * s).sum();
        let out = Tensor::full_of(shape, value, self.dtype());
        dispatch_any!(self.dtype(), T => {
            strided::scatter(&src.read::<T>(), &mut out.write::<T>(), offset, &self.shape(), &whole.strides);
        });
        let (inner, at) = (self.shape(), at.to_vec());
        record("pad", out, &[self], move |ctx| {
            ctx.set(0, || {
                let cut = |g: Tensor, d: usize| g.narrow(d as isize, at[d], inner[d]);
                (0..inner.len()).fold(ctx.grad().clone(), cut)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{gradcheck, gradgradcheck};

    #[test]
    fn the_modes_fill_as_drawn() {
        let x = Tensor::arange(4);
        let go = |p, m| x.pad(&[p], m).to_vec::<f32>();
        assert_eq!(go((2, 1), PadMode::Constant(9.0)), [9.0, 9.0, 0.0, 1.0, 2.0, 3.0, 9.0]);
        assert_eq!(go((2, 1), PadMode::Replicate), [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 3.0]);
        assert_eq!(go((3, 2), PadMode::Reflect), [3.0, 2.0, 1.0, 0.0, 1.0, 2.0, 3.0, 2.0, 1.0]);
        assert_eq!(go((3, 4), PadMode::Circular), [1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(go((-1, 1), PadMode::Constant(5.0)), [1.0, 2.0, 3.0, 5.0]);
        assert!(go((-3, -1), PadMode::Replicate).is_empty());
        let y = Tensor::arange(4).reshape([2, 2]).t().pad(&[(1, 0), (0, 1)], PadMode::Constant(7.0));
        assert_eq!(y.to_vec::<f32>(), [7.0, 7.0, 7.0, 0.0, 2.0, 7.0, 1.0, 3.0, 7.0]);
        assert_eq!(Tensor::zeros([0, 2]).pad(&[(1, 1), (0, 0)], PadMode::Constant(1.0)).to_vec::<f32>(), [1.0; 4]);
    }

    #[test]
    fn all_modes_differentiate_twice() {
        let x = Tensor::from_slice(&[0.3f64, -1.0, 2.0, 0.9, 1.4, -0.2], [2, 3]);
        for mode in [PadMode::Constant(0.5), PadMode::Replicate, PadMode::Reflect, PadMode::Circular] {
            for pads in [[(1, 0), (2, 1)], [(0, 1), (-1, 2)]] {
                gradcheck(|x| x[0].pad(&pads, mode), std::slice::from_ref(&x)).unwrap();
                gradgradcheck(|x| x[0].t().pad(&pads, mode).square(), &[x.t().contiguous()]).unwrap();
            }
        }
    }

    #[test]
    #[should_panic(expected = "pad: Reflect cannot add 3 before and 0 after dimension 0 of [3]: at most 2")]
    fn a_mirror_needs_something_to_show() {
        Tensor::arange(3).pad(&[(3, 0)], PadMode::Reflect);
    }
}
