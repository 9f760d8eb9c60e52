//! Softmax along rows whose elements are neighbours, or along columns of them.

use super::math::Real;
use super::par::{self, GRAIN, SharedMut};
use super::reduce::join;
use super::simd;

/// Lanes of the sums within a row, and columns that are worked on at once.
const LANES: usize = 16;
/// Rows that are worked on together: none waits for the sum of the one before.
const TOGETHER: usize = 16;
/// Elements after which a sum begins anew, so that its rounding error does not grow with the row.
const RUN: usize = 1024;

/// Which of the two.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Softmax,
    LogSoftmax,
}

/// Runs `f` for the first row and the rows of each piece of `rows` rows of length `n`.
fn pieces(rows: usize, n: usize, f: impl Fn(usize, usize) + Sync) {
    let step = (GRAIN / 8).div_ceil(n.max(1)).next_multiple_of(TOGETHER);
    par::for_each(rows.div_ceil(step), |c| f(c * step, step.min(rows - c * step)));
}

/// Normalises each row of length `n`. The largest element is taken out first, so nothing overflows;
/// a row of -inf gives NaN, as the formula does.
pub(crate) fn rows<T: Real>(x: &[T], n: usize, out: &mut [T], kind: Kind) {
    if out.is_empty() {
        return;
    }
    let count = out.len() / n;
    let out = SharedMut::new(out);
    pieces(count, n, |first, rows| {
        // SAFETY: pieces do not overlap.
        let out = unsafe { out.slice(first * n, rows * n) };
        let x = &x[first * n..][..rows * n];
        simd::run(
            #[inline(always)]
            || {
                for (x, out) in x.chunks(TOGETHER * n).zip(out.chunks_mut(TOGETHER * n)) {
                    let (tops, sums) = sums(x, n, |r, at, e| {
                        if kind == Kind::Softmax {
                            out[r * n + at..][..e.len()].copy_from_slice(e);
                        }
                    });
                    for (r, (out, x)) in out.chunks_exact_mut(n).zip(x.chunks_exact(n)).enumerate() {
                        if kind == Kind::Softmax {
                            let factor = T::ONE.div(sums[r]);
                            out.iter_mut().for_each(|o| *o = o.mul(factor));
                        } else {
                            // Two subtractions: max + ln(sum) would round the smaller one away.
                            let (top, shift) = (tops[r], sums[r].ln());
                            out.iter_mut().zip(x).for_each(|(o, &v)| *o = v.sub(top).sub(shift));
                        }
                    }
                }
            },
        );
    });
}

/// Of at most [`TOGETHER`] rows, the largest elements and the sums of the exponentials without them; `keep` is shown
/// the exponentials of each row by pieces and where they begin.
#[inline(always)]
fn sums<T: Real>(x: &[T], n: usize, mut keep: impl FnMut(usize, usize, &[T])) -> ([T; TOGETHER], [T; TOGETHER]) {
    let (mut tops, mut sums) = ([T::ZERO; TOGETHER], [T::ZERO; TOGETHER]);
    for (top, row) in tops.iter_mut().zip(x.chunks_exact(n)) {
        *top = largest(row);
    }
    for (r, row) in x.chunks_exact(n).enumerate() {
        let (top, mut total) = (tops[r], T::ZERO);
        for (c, run) in row.chunks(RUN).enumerate() {
            let mut lanes = [T::ZERO; LANES];
            let (blocks, rest) = run.as_chunks::<LANES>();
            for (b, block) in blocks.iter().enumerate() {
                let e: [T; LANES] = std::array::from_fn(|i| block[i].sub(top).exp_below());
                for i in 0..LANES {
                    lanes[i] = lanes[i].add(e[i]);
                }
                keep(r, c * RUN + b * LANES, &e);
            }
            if !rest.is_empty() {
                // The rest as a whole block, whose other exponentials count nothing.
                let block = filled(rest, top);
                let e: [T; LANES] = std::array::from_fn(|i| block[i].sub(top).exp_below());
                for i in 0..rest.len() {
                    lanes[i] = lanes[i].add(e[i]);
                }
                keep(r, c * RUN + run.len() - rest.len(), &e[..rest.len()]);
            }
            total = total.add(join(lanes, T::add));
        }
        sums[r] = total;
    }
    (tops, sums)
}

/// A block that begins with `part` and goes on with `with`.
#[inline(always)]
fn filled<T: Copy>(part: &[T], with: T) -> [T; LANES] {
    let mut block = [with; LANES];
    block[..part.len()].copy_from_slice(part);
    block
}

/// The larger of two; a NaN wins.
#[inline(always)]
fn larger<T: Real>(a: T, b: T) -> T {
    if a > b || a.is_nan() { a } else { b }
}

#[inline(always)]
fn largest<T: Real>(row: &[T]) -> T {
    let mut lanes = [T::from_f64(f64::NEG_INFINITY); LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for i in 0..LANES {
            lanes[i] = larger(lanes[i], block[i]);
        }
    }
    for (lane, &v) in lanes.iter_mut().zip(rest) {
        *lane = larger(*lane, v);
    }
    join(lanes, larger)
}

/// The gradient of each row from that of its result `y`: y (g - sum(g y)), or g - e^y sum(g) for the logarithm.
pub(crate) fn rows_gradient<T: Real>(y: &[T], g: &[T], n: usize, out: &mut [T], kind: Kind) {
    if out.is_empty() {
        return;
    }
    let count = out.len() / n;
    let out = SharedMut::new(out);
    pieces(count, n, |first, rows| {
        // SAFETY: pieces do not overlap.
        let out = unsafe { out.slice(first * n, rows * n) };
        let (y, g) = (&y[first * n..][..rows * n], &g[first * n..][..rows * n]);
        simd::run(
            #[inline(always)]
            || {
                for ((out, y), g) in out.chunks_exact_mut(n).zip(y.chunks_exact(n)).zip(g.chunks_exact(n)) {
                    let total = match kind {
                        Kind::Softmax => total(y, g, T::mul),
                        Kind::LogSoftmax => total(y, g, |_, g| g),
                    };
                    for ((o, &y), &g) in out.iter_mut().zip(y).zip(g) {
                        *o = gradient(y, g, total, kind);
                    }
                }
            },
        );
    });
}

#[inline(always)]
fn gradient<T: Real>(y: T, g: T, total: T, kind: Kind) -> T {
    match kind {
        Kind::Softmax => y.mul(g.sub(total)),
        Kind::LogSoftmax => g.sub(y.exp().mul(total)),
    }
}

/// The sum of f(y, g), in lanes and runs.
#[inline(always)]
fn total<T: Real>(y: &[T], g: &[T], f: impl Fn(T, T) -> T + Copy) -> T {
    let mut all = T::ZERO;
    for (y, g) in y.chunks(RUN).zip(g.chunks(RUN)) {
        let mut lanes = [T::ZERO; LANES];
        let ((ys, y_rest), (gs, g_rest)) = (y.as_chunks::<LANES>(), g.as_chunks::<LANES>());
        for (y, g) in ys.iter().zip(gs) {
            for i in 0..LANES {
                lanes[i] = lanes[i].add(f(y[i], g[i]));
            }
        }
        for (lane, (&y, &g)) in lanes.iter_mut().zip(y_rest.iter().zip(g_rest)) {
            *lane = lane.add(f(y, g));
        }
        all = all.add(join(lanes, T::add));
    }
    all
}

/// For each row the loss -ln softmax(x)[label].
pub(crate) fn cross_entropies<T: Real>(x: &[T], n: usize, labels: &[i64], out: &mut [T]) {
    let count = labels.len();
    let out = SharedMut::new(out);
    pieces(count, n, |first, rows| {
        // SAFETY: pieces do not overlap.
        let out = unsafe { out.slice(first, rows) };
        let (x, labels) = (&x[first * n..][..rows * n], &labels[first..][..rows]);
        simd::run(
            #[inline(always)]
            || {
                let parts = x.chunks(TOGETHER * n).zip(labels.chunks(TOGETHER)).zip(out.chunks_mut(TOGETHER));
                for ((x, labels), out) in parts {
                    let (tops, sums) = sums(x, n, |_, _, _| ());
                    for (r, o) in out.iter_mut().enumerate() {
                        *o = tops[r].sub(x[r * n + labels[r] as usize]).add(sums[r].ln());
                    }
                }
            },
        );
    });
}

/// The gradient of the sum of [`cross_entropies`] times `factor`: (softmax(x) - one at the label) factor.
pub(crate) fn cross_entropies_gradient<T: Real>(x: &[T], n: usize, labels: &[i64], factor: T, out: &mut [T]) {
    let count = labels.len();
    let out = SharedMut::new(out);
    pieces(count, n, |first, rows| {
        // SAFETY: pieces do not overlap.
        let out = unsafe { out.slice(first * n, rows * n) };
        let (x, labels) = (&x[first * n..][..rows * n], &labels[first..][..rows]);
        simd::run(
            #[inline(always)]
            || {
                let parts = x.chunks(TOGETHER * n).zip(labels.chunks(TOGETHER)).zip(out.chunks_mut(TOGETHER * n));
                for ((x, labels), out) in parts {
                    let (_, sums) = sums(x, n, |r, at, e| out[r * n + at..][..e.len()].copy_from_slice(e));
                    for (r, out) in out.chunks_exact_mut(n).enumerate() {
                        let scale = factor.div(sums[r]);
                        out.iter_mut().for_each(|o| *o = o.mul(scale));
                        let at = &mut out[labels[r] as usize];
                        *at = at.sub(factor);
                    }
                }
            },
        );
    });
}

/// Columns that are worked on at once.
const WIDTH: usize = 64;

/// Runs `f` for the first element and the width of each strip of columns of [outer, n, inner].
fn strips(len: usize, n: usize, inner: usize, f: impl Fn(usize, usize) + Sync) {
    let across = inner.div_ceil(WIDTH);
    let all = len / (n * inner) * across;
    let step = (GRAIN / 8).div_ceil(n * WIDTH.min(inner));
    par::for_each(all.div_ceil(step), |c| {
        for t in c * step..all.min((c + 1) * step) {
            let first = t % across * WIDTH;
            f(t / across * n * inner + first, WIDTH.min(inner - first));
        }
    });
}

/// As [`rows`] along the middle of [outer, n, inner].
pub(crate) fn columns<T: Real>(x: &[T], n: usize, inner: usize, out: &mut [T], kind: Kind) {
    if out.is_empty() {
        return;
    }
    let shared = SharedMut::new(out);
    strips(x.len(), n, inner, |base, width| {
        // SAFETY: strips do not overlap.
        let out = |m: usize| unsafe { shared.slice(base + m * inner, width) };
        let x = |m: usize| &x[base + m * inner..][..width];
        simd::run(
            #[inline(always)]
            || {
                let (mut tops, mut sums) = ([T::from_f64(f64::NEG_INFINITY); WIDTH], [T::ZERO; WIDTH]);
                for m in 0..n {
                    tops.iter_mut().zip(x(m)).for_each(|(t, &v)| *t = larger(*t, v));
                }
                for m in 0..n {
                    let columns = sums.iter_mut().zip(&tops).zip(x(m).iter().zip(out(m)));
                    for ((sum, &top), (&v, o)) in columns {
                        *o = v.sub(top).exp_below();
                        *sum = sum.add(*o);
                    }
                }
                let logarithm = kind == Kind::LogSoftmax;
                sums.iter_mut().for_each(|s| *s = if logarithm { s.ln() } else { T::ONE.div(*s) });
                for m in 0..n {
                    let columns = sums.iter().zip(&tops).zip(x(m).iter().zip(out(m)));
                    for ((&sum, &top), (&v, o)) in columns {
                        *o = if logarithm { v.sub(top).sub(sum) } else { o.mul(sum) };
                    }
                }
            },
        );
    });
}

/// As [`rows_gradient`] along the middle of [outer, n, inner].
pub(crate) fn columns_gradient<T: Real>(y: &[T], g: &[T], n: usize, inner: usize, out: &mut [T], kind: Kind) {
    if out.is_empty() {
        return;
    }
    let shared = SharedMut::new(out);
    strips(y.len(), n, inner, |base, width| {
        // SAFETY: strips do not overlap.
        let out = |m: usize| unsafe { shared.slice(base + m * inner, width) };
        let (y, g) = (|m: usize| &y[base + m * inner..][..width], |m: usize| &g[base + m * inner..][..width]);
        simd::run(
            #[inline(always)]
            || {
                let mut totals = [T::ZERO; WIDTH];
                for m in 0..n {
                    for (total, (&y, &g)) in totals.iter_mut().zip(y(m).iter().zip(g(m))) {
                        *total = total.add(if kind == Kind::Softmax { y.mul(g) } else { g });
                    }
                }
                for m in 0..n {
                    for ((o, &total), (&y, &g)) in out(m).iter_mut().zip(&totals).zip(y(m).iter().zip(g(m))) {
                        *o = gradient(y, g, total, kind);
                    }
                }
            },
        );
    });
}
