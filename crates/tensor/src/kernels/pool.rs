//! Pooling over windows of up to three dimensions, and its gradients.
//!
//! All functions work on planes: an image of `n` times `c` channels has `n * c` of them, each with
//! three extents (1-d and 2-d ones lead with ones). Planes are independent, so threads share them.

mod rows;
#[cfg(test)]
mod tests;

use super::micro::Float;
use super::par::{self, SharedMut};
use super::simd;
use rows::{Column, Windows};
use std::ops::Range;

/// Window reads that make a task of their own.
const TASK: usize = 64 * 1024;

/// The shape of a pooling operation with a fixed window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolShape {
    /// Number of planes.
    pub planes: usize,
    /// Extents of the input planes.
    pub input: [usize; 3],
    /// Extents of the window.
    pub kernel: [usize; 3],
    /// Step of the window.
    pub stride: [usize; 3],
    /// Positions before and after the input that windows may cover.
    pub padding: [usize; 3],
    /// Distance of the window's elements; averages take 1.
    pub dilation: [usize; 3],
    /// Extents of the output planes.
    pub output: [usize; 3],
}

impl PoolShape {
    /// The extent of the output along one axis, as PyTorch counts: rounded down, or up with
    /// `ceil_mode` as long as the last window begins inside the input or its left padding. 0 if the
    /// window does not fit.
    pub fn output_of(
        input: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        dilation: usize,
        ceil_mode: bool,
    ) -> usize {
        let padded = input + 2 * padding;
        let span = dilation * kernel.saturating_sub(1) + 1;
        let up = if ceil_mode { stride - 1 } else { 0 };
        if padded + up < span {
            return 0;
        }
        let out = (padded + up - span) / stride + 1;
        if ceil_mode && (out - 1) * stride >= input + padding { out - 1 } else { out }
    }

    fn check(&self, input: usize, output: usize) {
        check_planes(self.planes, self.input, self.output, input, output);
        assert!(
            self.stride.iter().chain(&self.dilation).chain(&self.kernel).all(|&v| v > 0),
            "pool: a stride, dilation or kernel of 0 in {self:?}"
        );
    }

    /// The input positions of window `o` along axis `i`.
    #[inline(always)]
    fn window(&self, i: usize, o: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let (padding, step, extent) = (self.padding[i], self.dilation[i], self.input[i]);
        let start = o * self.stride[i];
        let end = start + (self.kernel[i] - 1) * step + 1;
        // The first element at or after the padding.
        let first = start + padding.saturating_sub(start).div_ceil(step) * step;
        (first..end.min(extent + padding)).step_by(step).map(move |p| p - padding)
    }

    /// Whether windows are 2 x 2, do not overlap and never leave the input.
    fn is_halving(&self) -> bool {
        self.kernel == [1, 2, 2]
            && self.stride == [1, 2, 2]
            && self.padding == [0; 3]
            && self.dilation == [1; 3]
            && self.output[0] == self.input[0]
            && (1..3).all(|i| 2 * self.output[i] <= self.input[i])
    }
}

fn check_planes(planes: usize, input: [usize; 3], output: [usize; 3], x: usize, y: usize) {
    let size = |e: [usize; 3]| planes * e.iter().product::<usize>();
    assert!(
        x == size(input) && y == size(output),
        "pool: {planes} planes of {input:?} to {output:?}, but slices of {x} and {y} elements"
    );
}

/// Calls `f(plane, part of out)` for all planes of `out`, some at a time; `work` is the cost of one.
fn for_planes<T: Send>(out: &mut [T], plane: usize, work: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    if out.is_empty() {
        return;
    }
    let some = (TASK / work.max(1)).max(1);
    par::for_each_chunk_mut(out, some * plane, |task, out| {
        out.chunks_exact_mut(plane).enumerate().for_each(|(i, out)| f(task * some + i, out));
    });
}

/// All positions of three extents, row-major.
#[inline(always)]
fn positions(extents: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    let [a, b, c] = extents;
    (0..a).flat_map(move |z| (0..b).flat_map(move |y| (0..c).map(move |x| [z, y, x])))
}

/// The greatest element of each window, and its place in the flat input plane.
///
/// A NaN in a window is its greatest element. Of equal elements the first counts. A window that
/// covers only padding gives negative infinity and place 0.
///
/// # Panics
/// If the slices do not have the sizes of `s`.
pub fn max_pool<T: Float>(s: &PoolShape, x: &[T], out: &mut [T], indices: &mut [i64]) {
    s.check(x.len(), out.len());
    assert!(indices.len() == out.len(), "max_pool: {} indices for {} elements", indices.len(), out.len());
    if s.is_halving() {
        return halve_planes(s, x, out, indices);
    }
    rows::max(s, x, out, Some(indices));
}

/// [`max_pool`] without the places: for results that nobody differentiates.
///
/// # Panics
/// If the slices do not have the sizes of `s`.
pub fn max_pool_values<T: Float>(s: &PoolShape, x: &[T], out: &mut [T]) {
    s.check(x.len(), out.len());
    if !s.is_halving() {
        return rows::max(s, x, out, None);
    }
    let (from, to): (usize, usize) = (s.input.iter().product(), s.output.iter().product());
    let ([_, iy, ix], [_, oy, ox]) = (s.input, s.output);
    for_planes(out, to, 4 * to, |plane, out| {
        let x = &x[plane * from..][..from];
        simd::run(
            #[inline(always)]
            || {
                for (row, out) in out.chunks_exact_mut(ox).enumerate() {
                    let first = (row / oy * iy + row % oy * 2) * ix;
                    let (a, b) = (&x[first..][..2 * ox], &x[first + ix..][..2 * ox]);
                    let pairs = a.as_chunks::<2>().0.iter().zip(b.as_chunks::<2>().0);
                    for (o, (a, b)) in out.iter_mut().zip(pairs) {
                        let greater = |best: T, v: T| if (v > best) | v.is_nan() { v } else { best };
                        *o = greater(greater(greater(a[0], a[1]), b[0]), b[1]);
                    }
                }
            },
        );
    });
}

/// Maxima over the windows that are products of `window(axis, output)`.
fn pool_max<T: Float, I: Iterator<Item = usize> + Clone>(
    planes: usize,
    input: [usize; 3],
    output: [usize; 3],
    cost: usize,
    x: &[T],
    out: &mut [T],
    indices: &mut [i64],
    window: impl Fn(usize, usize) -> I + Sync,
) {
    let (from, to): (usize, usize) = (input.iter().product(), output.iter().product());
    debug_assert_eq!(planes * to, out.len());
    let shared = SharedMut::new(indices);
    for_planes(out, to, to * cost, |plane, out| {
        let x = &x[plane * from..][..from];
        // SAFETY: each plane is visited once, and `indices` outlives the call.
        let indices = unsafe { shared.slice(plane * to, to) };
        for ((o, v), index) in positions(output).zip(out).zip(indices) {
            let mut best = T::NEG_INFINITY;
            let mut place = None;
            for z in window(0, o[0]) {
                for y in window(1, o[1]) {
                    let row = (z * input[1] + y) * input[2];
                    for at in window(2, o[2]) {
                        let value = x[row + at];
                        if value > best || value.is_nan() || place.is_none() {
                            (best, place) = (value, Some(row + at));
                        }
                    }
                }
            }
            *v = best;
            *index = place.unwrap_or(0) as i64;
        }
    });
}

/// [`max_pool`] for 2 x 2 windows that do not overlap.
fn halve_planes<T: Float>(s: &PoolShape, x: &[T], out: &mut [T], indices: &mut [i64]) {
    let (from, to): (usize, usize) = (s.input.iter().product(), s.output.iter().product());
    let ([_, iy, ix], [_, oy, ox]) = (s.input, s.output);
    let shared = SharedMut::new(indices);
    for_planes(out, to, 4 * to, |plane, out| {
        let x = &x[plane * from..][..from];
        // SAFETY: each plane is visited once, and `indices` outlives the call.
        let indices = unsafe { shared.slice(plane * to, to) };
        simd::run(
            #[inline(always)]
            || {
                for (row, (out, indices)) in out.chunks_exact_mut(ox).zip(indices.chunks_exact_mut(ox)).enumerate() {
                    let first = (row / oy * iy + row % oy * 2) * ix;
                    let (a, b) = (&x[first..][..2 * ox], &x[first + ix..][..2 * ox]);
                    halve_row(a, b, first, ix, out, indices);
                }
            },
        );
    });
}

#[inline(always)]
fn halve_row<T: Float>(a: &[T], b: &[T], first: usize, ix: usize, out: &mut [T], indices: &mut [i64]) {
    let n = out.len();
    let (a, b, indices) = (&a[..2 * n], &b[..2 * n], &mut indices[..n]);
    for i in 0..n {
        let (mut best, mut place) = (a[2 * i], 0usize);
        let others = [(a[2 * i + 1], 1), (b[2 * i], ix), (b[2 * i + 1], ix + 1)];
        for (value, at) in others {
            let take = (value > best) | value.is_nan();
            best = if take { value } else { best };
            place = if take { at } else { place };
        }
        out[i] = best;
        indices[i] = (first + 2 * i + place) as i64;
    }
}

/// Adds each element of `gy` to the place in its input plane that `indices` names; all other
/// places of `gx` are zero. `from` and `to` are the elements of an input and an output plane.
///
/// # Panics
/// If the sizes do not fit, or an index is outside its plane.
pub fn scatter_planes<T: Float>(planes: usize, from: usize, to: usize, gy: &[T], indices: &[i64], gx: &mut [T]) {
    assert!(
        gx.len() == planes * from && gy.len() == planes * to && indices.len() == gy.len(),
        "scatter_planes: {planes} planes of {from} and {to}, slices of {}, {} and {}",
        gx.len(),
        gy.len(),
        indices.len()
    );
    for_planes(gx, from, from + 4 * to, |plane, gx| {
        gx.fill(T::ZERO);
        let range = plane * to..(plane + 1) * to;
        for (&g, &at) in gy[range.clone()].iter().zip(&indices[range]) {
            gx[at as usize] += g;
        }
    });
}

/// Reads from each plane of `x` the places that `indices` names: the gradient of unpooling.
///
/// # Panics
/// If the sizes do not fit, or an index is outside its plane.
pub fn gather_planes<T: Float>(planes: usize, from: usize, to: usize, x: &[T], indices: &[i64], out: &mut [T]) {
    assert!(
        x.len() == planes * from && out.len() == planes * to && indices.len() == out.len(),
        "gather_planes: {planes} planes of {from} and {to}, slices of {}, {} and {}",
        x.len(),
        out.len(),
        indices.len()
    );
    for_planes(out, to, 4 * to, |plane, out| {
        let x = &x[plane * from..][..from];
        for (v, &at) in out.iter_mut().zip(&indices[plane * to..]) {
            *v = x[at as usize];
        }
    });
}

/// The gradient of [`max_pool`]: each element of `gy` goes to the place of its window's maximum.
///
/// # Panics
/// If the slices do not have the sizes of `s`, or an index is outside its plane.
pub fn max_pool_backward<T: Float>(s: &PoolShape, gy: &[T], indices: &[i64], gx: &mut [T]) {
    s.check(gx.len(), gy.len());
    assert!(indices.len() == gy.len(), "max_pool: {} indices for {} elements", indices.len(), gy.len());
    let (from, to): (usize, usize) = (s.input.iter().product(), s.output.iter().product());
    let exact = s.input[1] == 2 * s.output[1] && s.input[2] == 2 * s.output[2];
    if !(s.is_halving() && exact) {
        return scatter_planes(s.planes, from, to, gy, indices, gx);
    }
    // Each output owns four inputs: no clearing, no random writes.
    let ([_, iy, ix], [_, oy, ox]) = (s.input, s.output);
    for_planes(gx, from, 4 * to, |plane, gx| {
        let range = plane * to..(plane + 1) * to;
        let (gy, indices) = (&gy[range.clone()], &indices[range]);
        simd::run(
            #[inline(always)]
            || {
                for (row, (gy, indices)) in gy.chunks_exact(ox).zip(indices.chunks_exact(ox)).enumerate() {
                    let first = (row / oy * iy + row % oy * 2) * ix;
                    let (a, b) = gx[first..first + 2 * ix].split_at_mut(ix);
                    spread_row(gy, indices, first, ix, a, b);
                }
            },
        );
    });
}

#[inline(always)]
fn spread_row<T: Float>(gy: &[T], indices: &[i64], first: usize, ix: usize, a: &mut [T], b: &mut [T]) {
    let n = gy.len();
    let (indices, a, b) = (&indices[..n], &mut a[..2 * n], &mut b[..2 * n]);
    for i in 0..n {
        let at = indices[i] - (first + 2 * i) as i64;
        let pick = |place: usize| if at == place as i64 { gy[i] } else { T::ZERO };
        (a[2 * i], a[2 * i + 1]) = (pick(0), pick(1));
        (b[2 * i], b[2 * i + 1]) = (pick(ix), pick(ix + 1));
    }
}

/// How an average divides the sum of its window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Divisor {
    /// Whether padding counts as elements.
    pub count_include_pad: bool,
    /// A divisor for all windows instead of their size.
    pub fixed: Option<f64>,
}

/// The windows of an average.
fn windows(s: &PoolShape, divisor: Divisor) -> Windows {
    let range = |i: usize, o: usize| {
        let start = o * s.stride[i];
        let end = (start + s.kernel[i]).min(s.input[i] + s.padding[i]).saturating_sub(s.padding[i]);
        start.saturating_sub(s.padding[i]).min(end)..end
    };
    let count = |i: usize, o: usize| {
        let (start, padding) = (o * s.stride[i], s.padding[i]);
        let end = (start + s.kernel[i]).min(s.input[i] + 2 * padding);
        let inside = end.min(s.input[i] + padding).saturating_sub(start.max(padding));
        (if divisor.count_include_pad { end - start } else { inside }) as f64
    };
    Windows {
        input: s.input,
        output: s.output,
        ranges: std::array::from_fn(|i| (0..s.output[i]).map(|o| range(i, o)).collect()),
        counts: std::array::from_fn(|i| (0..s.output[i]).map(|o| count(i, o)).collect()),
        fixed: divisor.fixed,
        columns: Some((Column::all(s), s.stride[2])),
    }
}

/// The average of each window; `s.dilation` must be 1.
///
/// # Panics
/// If the slices do not have the sizes of `s`.
pub fn avg_pool<T: Float>(s: &PoolShape, divisor: Divisor, x: &[T], out: &mut [T]) {
    s.check(x.len(), out.len());
    windows(s, divisor).mean(s.kernel.iter().product(), x, out);
}

/// The gradient of [`avg_pool`].
///
/// # Panics
/// If the slices do not have the sizes of `s`.
pub fn avg_pool_backward<T: Float>(s: &PoolShape, divisor: Divisor, gy: &[T], gx: &mut [T]) {
    s.check(gx.len(), gy.len());
    windows(s, divisor).spread(s.kernel.iter().product(), gy, gx);
}

/// Window `o` of `output` along an axis of `input` elements: from `o * input / output` rounded down
/// to `(o + 1) * input / output` rounded up.
fn adaptive(input: usize, output: usize, o: usize) -> Range<usize> {
    o * input / output..((o + 1) * input).div_ceil(output)
}

fn adaptive_windows(input: [usize; 3], output: [usize; 3]) -> Windows {
    let ranges: [Vec<Range<usize>>; 3] =
        std::array::from_fn(|i| (0..output[i]).map(|o| adaptive(input[i], output[i], o)).collect());
    let counts = std::array::from_fn(|i| ranges[i].iter().map(|r| r.len() as f64).collect());
    Windows { input, output, ranges, counts, fixed: None, columns: None }
}

fn adaptive_cost(input: [usize; 3], output: [usize; 3]) -> usize {
    (0..3).map(|i| input[i] / output[i].max(1) + 1).product()
}

/// Averages over windows that divide the input as evenly as `output` allows.
///
/// # Panics
/// If the slices do not have these sizes.
pub fn adaptive_avg_pool<T: Float>(planes: usize, input: [usize; 3], output: [usize; 3], x: &[T], out: &mut [T]) {
    check_planes(planes, input, output, x.len(), out.len());
    adaptive_windows(input, output).mean(adaptive_cost(input, output), x, out);
}

/// The gradient of [`adaptive_avg_pool`].
///
/// # Panics
/// If the slices do not have these sizes.
pub fn adaptive_avg_pool_backward<T: Float>(
    planes: usize,
    input: [usize; 3],
    output: [usize; 3],
    gy: &[T],
    gx: &mut [T],
) {
    check_planes(planes, input, output, gx.len(), gy.len());
    adaptive_windows(input, output).spread(adaptive_cost(input, output), gy, gx);
}

/// Maxima over the windows of [`adaptive_avg_pool`], and their places in the flat input plane. Its
/// gradient is [`scatter_planes`].
///
/// # Panics
/// If the slices do not have these sizes.
pub fn adaptive_max_pool<T: Float>(
    planes: usize,
    input: [usize; 3],
    output: [usize; 3],
    x: &[T],
    out: &mut [T],
    indices: &mut [i64],
) {
    check_planes(planes, input, output, x.len(), out.len());
    assert!(indices.len() == out.len(), "max_pool: {} indices for {} elements", indices.len(), out.len());
    let cost = adaptive_cost(input, output);
    pool_max(planes, input, output, cost, x, out, indices, |i, o| adaptive(input[i], output[i], o));
}
