//! What follows a linear map while its results are still in cache: an affine map of each channel, a
//! second summand, an activation. A kernel that produces results in runs calls [`Finish::plane`] or
//! [`Finish::row`] on each run once it is complete, so that the passes over memory which these
//! operations are by themselves do not happen.

use super::micro::Float;
use super::par::{self, GRAIN};
use super::simd;

/// A map of each element of a run, in place.
pub(crate) type Then<T> = dyn Fn(&mut [T]) + Send + Sync;

/// `v -> then(v * scale[c] + shift[c] + residual)`, each part optional.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a, T> {
    /// One factor a channel.
    pub scale: Option<&'a [T]>,
    /// One term a channel: a bias.
    pub shift: Option<&'a [T]>,
    /// One term an element, laid out as the result.
    pub residual: Option<&'a [T]>,
    /// A map of each element, in place.
    pub then: Option<&'a Then<T>>,
}

impl<'a, T: Float> Finish<'a, T> {
    /// Leaves results as they are.
    pub const NOTHING: Finish<'a, T> = Finish { scale: None, shift: None, residual: None, then: None };

    /// Adds a bias, if there is one.
    #[cfg(test)]
    pub fn bias(bias: Option<&'a [T]>) -> Finish<'a, T> {
        Finish { shift: bias, ..Finish::NOTHING }
    }

    /// Whether there is nothing to do but to add a bias, if that.
    pub fn is_bias(&self) -> bool {
        self.scale.is_none() && self.residual.is_none() && self.then.is_none()
    }

    /// Whether results stay as they are.
    pub fn is_nothing(&self) -> bool {
        self.is_bias() && self.shift.is_none()
    }

    /// Finishes a run of results that belong to one channel and lie at `at` in the whole result.
    #[inline]
    pub fn plane(&self, channel: usize, at: usize, run: &mut [T]) {
        let (scale, shift) = (self.scale.map(|s| s[channel]), self.shift.map(|s| s[channel]));
        simd::run(
            #[inline(always)]
            || match (scale, shift, self.residual.map(|r| &r[at..at + run.len()])) {
                (None, None, None) => {}
                (None, Some(b), None) => run.iter_mut().for_each(|v| *v += b),
                (scale, shift, residual) => {
                    let (a, b) = (scale.unwrap_or(T::ONE), shift.unwrap_or(T::ZERO));
                    match residual {
                        None => run.iter_mut().for_each(|v| *v = *v * a + b),
                        Some(r) => run.iter_mut().zip(r).for_each(|(v, &r)| *v = *v * a + b + r),
                    }
                }
            },
        );
        if let Some(then) = self.then {
            then(run);
        }
    }

    /// Finishes a run of results in neighbouring channels from `first`, at `at` in the whole result.
    #[inline]
    pub fn row(&self, first: usize, at: usize, run: &mut [T]) {
        let n = run.len();
        simd::run(
            #[inline(always)]
            || {
                if let Some(scale) = self.scale {
                    run.iter_mut().zip(&scale[first..first + n]).for_each(|(v, &a)| *v *= a);
                }
                if let Some(shift) = self.shift {
                    run.iter_mut().zip(&shift[first..first + n]).for_each(|(v, &b)| *v += b);
                }
                if let Some(residual) = self.residual {
                    run.iter_mut().zip(&residual[at..at + n]).for_each(|(v, &r)| *v += r);
                }
            },
        );
        if let Some(then) = self.then {
            then(run);
        }
    }
}

/// How elements belong to channels: runs of `size` elements of one channel each, in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Along {
    pub channels: usize,
    pub size: usize,
}

/// Length from which runs of one channel are worked on one by one.
const LONG: usize = 16;
/// Elements that stay in the first-level cache between two passes.
const NEAR: usize = 2048;

/// Finishes results that lie in `out`.
pub(crate) fn in_place<T: Float>(along: Along, finish: &Finish<'_, T>, out: &mut [T]) {
    if !finish.is_nothing() {
        pieces(along, finish, out, |_, _, _| ());
    }
}

/// `out = finish(x - mean)`, with one mean a channel.
pub(crate) fn copy<T: Float>(along: Along, x: &[T], mean: Option<&[T]>, finish: &Finish<'_, T>, out: &mut [T]) {
    if along.size >= LONG {
        return pieces(along, finish, out, |channel, at, run| {
            let (x, mean) = (&x[at..at + run.len()], mean.map(|m| m[channel]));
            simd::run(
                #[inline(always)]
                || match mean {
                    Some(m) => run.iter_mut().zip(x).for_each(|(v, &x)| *v = x - m),
                    None => run.copy_from_slice(x),
                },
            );
        });
    }
    let mean = mean.map(|m| spread(along, m));
    pieces(along, finish, out, |first, at, run| {
        let n = run.len();
        let (x, mean) = (&x[at..at + n], mean.as_ref().map(|m| &m[first..first + n]));
        simd::run(
            #[inline(always)]
            || match mean {
                Some(m) => run.iter_mut().zip(x).zip(m).for_each(|((v, &x), &m)| *v = x - m),
                None => run.copy_from_slice(x),
            },
        );
    });
}

/// One number a channel as one number a column of a row of all channels.
fn spread<T: Float>(along: Along, numbers: &[T]) -> Vec<T> {
    numbers.iter().flat_map(|&v| std::iter::repeat_n(v, along.size)).collect()
}

/// Calls `make(channel, at, run)` and then the finish on every piece of `out` that fits the first-level cache;
/// where runs of one channel are short, a piece is one of a row of all channels, and `channel` its first column.
fn pieces<T: Float>(along: Along, finish: &Finish<'_, T>, out: &mut [T], make: impl Fn(usize, usize, &mut [T]) + Sync) {
    if out.is_empty() {
        return;
    }
    let Along { channels, size } = along;
    let long = size >= LONG;
    let unit = if long { size } else { channels * size };
    let columns = |numbers: Option<&[T]>| if long || size == 1 { None } else { numbers.map(|n| spread(along, n)) };
    let (scale, shift) = (columns(finish.scale), columns(finish.shift));
    let finish =
        Finish { scale: scale.as_deref().or(finish.scale), shift: shift.as_deref().or(finish.shift), ..*finish };
    let per = GRAIN.div_ceil(unit);
    par::for_each_chunk_mut(out, per * unit, |job, chunk| {
        for (i, whole) in chunk.chunks_exact_mut(unit).enumerate() {
            for (j, run) in whole.chunks_mut(NEAR).enumerate() {
                let (row, column) = (job * per + i, j * NEAR);
                let at = row * unit + column;
                if long {
                    make(row % channels, at, run);
                    finish.plane(row % channels, at, run);
                } else {
                    make(column, at, run);
                    finish.row(column, at, run);
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_apply_in_their_order_to_planes() {
        let (scale, shift, residual) = ([2.0f32, 3.0], [0.5, -9.0], [1.0f32, 2.0, 3.0, 4.0]);
        let then: &Then<f32> = &|run| run.iter_mut().for_each(|v| *v = v.max(0.0));
        let all = Finish { scale: Some(&scale), shift: Some(&shift), residual: Some(&residual), then: Some(then) };
        let mut planes = [1.0f32, -4.0, 1.0, 2.0];
        for i in 0..2 {
            all.plane(i, 2 * i, &mut planes[2 * i..2 * i + 2]);
        }
        assert_eq!(planes, [3.5, 0.0, 0.0, 1.0]);
        let mut left = [1.0f32, 2.0];
        Finish::NOTHING.plane(0, 0, &mut left);
        Finish::bias(Some(&shift)).plane(1, 0, &mut left);
        assert_eq!(left, [-8.0, -7.0]);
    }
}
