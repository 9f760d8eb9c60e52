//! Pooling row by row: for each element of the window along a row, all outputs of the row that see it at once.

use super::{PoolShape, Range};
use crate::kernels::micro::Float;
use crate::kernels::par::SharedMut;
use crate::kernels::reduce::join;
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd;

/// Lanes of sums.
const LANES: usize = 32;

/// One element of the windows along the last axis: outputs `first..end` have it inside the input, where output
/// `first` finds it at `at`.
pub(super) struct Column {
    first: usize,
    end: usize,
    at: usize,
}

impl Column {
    /// Each element of the windows of `s`.
    pub fn all(s: &PoolShape) -> Vec<Column> {
        let (stride, padding, input, output) = (s.stride[2], s.padding[2], s.input[2], s.output[2]);
        let column = |k: usize| {
            let shift = k * s.dilation[2];
            let first = padding.saturating_sub(shift).div_ceil(stride).min(output);
            let end = (padding + input).saturating_sub(shift).div_ceil(stride).clamp(first, output);
            Column { first, end, at: if end > first { first * stride + shift - padding } else { 0 } }
        };
        (0..s.kernel[2]).map(column).collect()
    }
}

/// Greatest elements of regular windows and, where they are asked for, their places.
pub(super) fn max<T: Float>(s: &PoolShape, x: &[T], out: &mut [T], indices: Option<&mut [i64]>) {
    let (from, to): (usize, usize) = (s.input.iter().product(), s.output.iter().product());
    let [_, iy, ix] = s.input;
    let [_, oy, ox] = s.output;
    let columns = Column::all(s);
    // The first elements of the windows along a row; beyond all places if there are none.
    let starts: Vec<u32> = (0..ox).map(|o| s.window(2, o).next().map_or(u32::MAX, |p| p as u32)).collect();
    let shared = indices.map(SharedMut::new);
    let small = from < u32::MAX as usize;
    assert!(small, "max_pool: a plane of {from} elements");
    super::for_planes(out, to, to * s.kernel.iter().product::<usize>(), |plane, out| {
        let x = &x[plane * from..][..from];
        // SAFETY: each plane is visited once, and the indices outlive the call.
        let mut indices = shared.as_ref().map(|shared| unsafe { shared.slice(plane * to, to) });
        let mut places = vec![0u32; if indices.is_some() { ox } else { 0 }];
        simd::run(
            #[inline(always)]
            || {
                for (row, out) in out.chunks_exact_mut(ox).enumerate() {
                    let (z, y) = (row / oy, row % oy);
                    out.fill(T::NEG_INFINITY);
                    let lines = || s.window(0, z).flat_map(move |z| s.window(1, y).map(move |y| (z * iy + y) * ix));
                    let Some(indices) = &mut indices else {
                        lines().for_each(
                            #[inline(always)]
                            |line| greatest(&columns, s.stride[2], &x[line..line + ix], out),
                        );
                        continue;
                    };
                    let first = lines().next();
                    for (p, &start) in places.iter_mut().zip(&starts) {
                        *p = first.filter(|_| start != u32::MAX).map_or(0, |line| line as u32 + start);
                    }
                    for line in lines() {
                        for c in columns.iter().filter(|c| c.end > c.first) {
                            let (x, place) = (&x[line + c.at..line + ix], (line + c.at) as u32);
                            let (best, places) = (&mut out[c.first..c.end], &mut places[c.first..c.end]);
                            match s.stride[2] {
                                1 => take::<T, 1>(x, place, best, places),
                                2 => take::<T, 2>(x, place, best, places),
                                step => {
                                    for (i, &v) in x.iter().step_by(step).take(best.len()).enumerate() {
                                        if v > best[i] || v.is_nan() {
                                            (best[i], places[i]) = (v, place + (i * step) as u32);
                                        }
                                    }
                                }
                            }
                        }
                    }
                    let to = &mut indices[row * ox..][..ox];
                    to.iter_mut().zip(&places).for_each(|(i, &p)| *i = p as i64);
                }
            },
        );
    });
}

/// Elements of `x` that are greater than the best so far, with their places.
#[inline(always)]
fn take<T: Float, const STEP: usize>(x: &[T], place: u32, best: &mut [T], places: &mut [u32]) {
    let n = best.len();
    let places = &mut places[..n];
    // All but the last have a whole step behind them.
    let (whole, rest) = (x.as_chunks::<STEP>().0, &x[(n - 1) * STEP..]);
    let whole = &whole[..n - 1];
    for i in 0..n - 1 {
        let v = whole[i][0];
        let greater = (v > best[i]) | v.is_nan();
        best[i] = if greater { v } else { best[i] };
        places[i] = if greater { place + (i * STEP) as u32 } else { places[i] };
    }
    if rest[0] > best[n - 1] || rest[0].is_nan() {
        (best[n - 1], places[n - 1]) = (rest[0], place + ((n - 1) * STEP) as u32);
    }
}

/// What a row of the input gives to the greatest elements.
#[inline(always)]
fn greatest<T: Float>(columns: &[Column], step: usize, x: &[T], out: &mut [T]) {
    along(
        columns,
        step,
        x,
        out,
        #[inline(always)]
        |best, v| if (v > best) | v.is_nan() { v } else { best },
    );
}

/// `out[o] = f(out[o], x)` for each element of the row `x` that lies in the window of `o`.
#[inline(always)]
fn along<T: Float>(columns: &[Column], step: usize, x: &[T], out: &mut [T], f: impl Fn(T, T) -> T + Copy) {
    for c in columns.iter().filter(|c| c.end > c.first) {
        let (x, out) = (&x[c.at..], &mut out[c.first..c.end]);
        match step {
            1 => out.iter_mut().zip(x).for_each(|(o, &v)| *o = f(*o, v)),
            2 => {
                let (last, out) = out.split_last_mut().expect("no column is empty");
                let n = out.len();
                out.iter_mut().zip(x.as_chunks::<2>().0).for_each(|(o, pair)| *o = f(*o, pair[0]));
                *last = f(*last, x[2 * n]);
            }
            _ => out.iter_mut().zip(x.iter().step_by(step)).for_each(|(o, &v)| *o = f(*o, v)),
        }
    }
}

/// Windows of averages.
pub(super) struct Windows {
    pub input: [usize; 3],
    pub output: [usize; 3],
    /// The window of each output along each axis, in the input.
    pub ranges: [Vec<Range<usize>>; 3],
    /// Its length as it is counted.
    pub counts: [Vec<f64>; 3],
    /// A divisor for all windows instead of their size.
    pub fixed: Option<f64>,
    /// The elements of regular windows along the last axis, and their step.
    pub columns: Option<(Vec<Column>, usize)>,
}

impl Windows {
    /// Whether there is one window that covers all.
    fn is_whole(&self) -> bool {
        (0..3).all(|i| self.output[i] == 1 && self.ranges[i].first() == Some(&(0..self.input[i])))
    }

    /// Whether windows along the last axis are pairs that follow each other.
    fn pairs(&self) -> Option<usize> {
        match &self.columns {
            Some((c, 2)) if c.len() == 2 && (c[0].first, c[0].end) == (c[1].first, c[1].end) && c[0].first == 0 => {
                (c[1].at == c[0].at + 1 && c[0].at == 0).then_some(c[0].end)
            }
            _ => None,
        }
    }

    /// Makes `factors` those of the outputs of a row, if they are not those of `known` elements along the other axes.
    #[inline(always)]
    fn factors<T: Float>(&self, z: usize, y: usize, known: &mut f64, factors: &mut [T]) {
        let count = self.counts[0][z] * self.counts[1][y];
        if count == *known {
            return;
        }
        *known = count;
        for (f, &along) in factors.iter_mut().zip(&self.counts[2]) {
            *f = T::from_f64(1.0 / self.fixed.unwrap_or((count * along).max(1.0)));
        }
    }

    /// Calls `f(row of outputs, z, y)` for all.
    #[inline(always)]
    fn rows(&self, mut f: impl FnMut(usize, usize, usize)) {
        let [oz, oy, _] = self.output;
        for z in 0..oz {
            for y in 0..oy {
                f(z * oy + y, z, y);
            }
        }
    }

    /// Averages of all planes; `cost` is that of a window.
    pub fn mean<T: Float>(&self, cost: usize, x: &[T], out: &mut [T]) {
        let (from, to): (usize, usize) = (self.input.iter().product(), self.output.iter().product());
        let [_, iy, ix] = self.input;
        let ox = self.output[2];
        let (whole, pairs) = (self.is_whole(), self.pairs());
        super::for_planes(out, to, to * cost, |plane, out| {
            let x = &x[plane * from..][..from];
            with_scratch(ix + ox, |scratch: &mut [T]| {
                let (line, factors) = scratch.split_at_mut(ix);
                let mut known = -1.0;
                simd::run(
                    #[inline(always)]
                    || {
                        if whole {
                            self.factors(0, 0, &mut known, factors);
                            out[0] = total(x) * factors[0];
                            return;
                        }
                        self.rows(
                            #[inline(always)]
                            |row, z, y| {
                                self.factors(z, y, &mut known, factors);
                                line.fill(T::ZERO);
                                for z in self.ranges[0][z].clone() {
                                    for y in self.ranges[1][y].clone() {
                                        let x = &x[(z * iy + y) * ix..][..ix];
                                        line.iter_mut().zip(x).for_each(|(l, &v)| *l += v);
                                    }
                                }
                                let out = &mut out[row * ox..][..ox];
                                self.gather(pairs, line, out);
                                out.iter_mut().zip(&*factors).for_each(|(o, &f)| *o *= f);
                            },
                        );
                    },
                );
            });
        });
    }

    /// The sums of a row's windows.
    #[inline(always)]
    fn gather<T: Float>(&self, pairs: Option<usize>, line: &[T], out: &mut [T]) {
        match (&self.columns, pairs) {
            (_, Some(n)) => {
                out[n..].fill(T::ZERO);
                out[..n].iter_mut().zip(line.as_chunks::<2>().0).for_each(|(o, pair)| *o = pair[0] + pair[1]);
            }
            (Some((columns, step)), None) => {
                out.fill(T::ZERO);
                along(
                    columns,
                    *step,
                    line,
                    out,
                    #[inline(always)]
                    |sum, v| sum + v,
                );
            }
            (None, None) => out.iter_mut().zip(&self.ranges[2]).for_each(|(o, r)| *o = total(&line[r.clone()])),
        }
    }

    /// The gradient of [`Windows::mean`].
    pub fn spread<T: Float>(&self, cost: usize, gy: &[T], gx: &mut [T]) {
        let (from, to): (usize, usize) = (self.input.iter().product(), self.output.iter().product());
        let [_, iy, ix] = self.input;
        let ox = self.output[2];
        let (whole, pairs) = (self.is_whole(), self.pairs());
        super::for_planes(gx, from, from + to * cost, |plane, gx| {
            let gy = &gy[plane * to..][..to];
            with_scratch(ix + 2 * ox, |scratch: &mut [T]| {
                let (line, rest) = scratch.split_at_mut(ix);
                let (factors, share) = rest.split_at_mut(ox);
                let mut known = -1.0;
                simd::run(
                    #[inline(always)]
                    || {
                        if whole {
                            self.factors(0, 0, &mut known, factors);
                            return gx.fill(gy[0] * factors[0]);
                        }
                        gx.fill(T::ZERO);
                        self.rows(
                            #[inline(always)]
                            |row, z, y| {
                                self.factors(z, y, &mut known, factors);
                                let g = &gy[row * ox..][..ox];
                                (0..ox).for_each(|i| share[i] = g[i] * factors[i]);
                                self.scatter(pairs, share, line);
                                for z in self.ranges[0][z].clone() {
                                    for y in self.ranges[1][y].clone() {
                                        let gx = &mut gx[(z * iy + y) * ix..][..ix];
                                        gx.iter_mut().zip(&*line).for_each(|(g, &v)| *g += v);
                                    }
                                }
                            },
                        );
                    },
                );
            });
        });
    }

    /// The adjoint of [`Windows::gather`].
    #[inline(always)]
    fn scatter<T: Float>(&self, pairs: Option<usize>, share: &[T], line: &mut [T]) {
        match (&self.columns, pairs) {
            (_, Some(n)) => {
                line[2 * n..].fill(T::ZERO);
                line.as_chunks_mut::<2>().0.iter_mut().zip(&share[..n]).for_each(|(pair, &v)| *pair = [v, v]);
            }
            (Some((columns, step)), None) => {
                line.fill(T::ZERO);
                for c in columns {
                    let (share, line) = (&share[c.first..c.end], &mut line[c.at..]);
                    match step {
                        1 => line.iter_mut().zip(share).for_each(|(l, &v)| *l += v),
                        &step => line.iter_mut().step_by(step).zip(share).for_each(|(l, &v)| *l += v),
                    }
                }
            }
            (None, None) => {
                line.fill(T::ZERO);
                for (r, &v) in self.ranges[2].iter().zip(share) {
                    line[r.clone()].iter_mut().for_each(|l| *l += v);
                }
            }
        }
    }
}

/// The sum of all elements, in lanes.
#[inline(always)]
fn total<T: Float>(x: &[T]) -> T {
    let (pieces, rest) = x.as_chunks::<LANES>();
    let mut sum: T = rest.iter().copied().sum();
    if !pieces.is_empty() {
        let mut lanes = [T::ZERO; LANES];
        for p in pieces {
            for i in 0..LANES {
                lanes[i] += p[i];
            }
        }
        sum += join(lanes, |a, b| a + b);
    }
    sum
}
