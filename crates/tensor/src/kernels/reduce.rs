//! Folding runs of elements.
//!
//! The order of every fold depends on the shape alone: sixteen lanes within a run, runs of a fixed
//! length combined from left to right. So a sum is the same for any number of threads and any
//! instruction set, and its rounding error grows with the logarithm of the lane's length, not the run's.

use super::par::{self, GRAIN};
use super::simd;

const LANES: usize = 16;
const RUN: usize = 1 << 10;
/// Columns that are added up at once.
const BLOCK: usize = 64;

/// Folds lanes, a power of two of them, into one: pairs, pairs of pairs, and so on.
#[inline(always)]
pub(crate) fn join<T: Copy, const N: usize>(mut lanes: [T; N], f: impl Fn(T, T) -> T) -> T {
    let mut width = N / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = f(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// Folds one contiguous run.
#[inline(always)]
fn fold_run<T: Copy>(x: &[T], init: T, f: impl Fn(T, T) -> T + Copy) -> T {
    let mut lanes = [init; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for c in &mut chunks {
        for i in 0..LANES {
            lanes[i] = f(lanes[i], c[i]);
        }
    }
    chunks.remainder().iter().fold(join(lanes, f), |a, &b| f(a, b))
}

#[inline(always)]
fn fold<T: Copy>(x: &[T], init: T, f: impl Fn(T, T) -> T + Copy) -> T {
    x.chunks(RUN).map(|r| fold_run(r, init, f)).fold(init, f)
}

/// Reduces `x`, read as [outer, middle, inner], over its middle.
pub(crate) fn middle<T: Copy + Send + Sync>(
    x: &[T],
    outer: usize,
    middle: usize,
    inner: usize,
    out: &mut [T],
    init: T,
    f: impl Fn(T, T) -> T + Copy + Sync,
) {
    if out.is_empty() || middle == 0 {
        return out.fill(init);
    }
    if inner == 1 && outer == 1 {
        out[0] = all(x, init, f);
    } else if inner == 1 {
        let per_chunk = GRAIN.div_ceil(middle);
        par::for_each_chunk_mut(out, per_chunk, |c, piece| {
            let rows = x[c * per_chunk * middle..].chunks_exact(middle);
            simd::run(
                #[inline(always)]
                || piece.iter_mut().zip(rows).for_each(|(o, row)| *o = fold(row, init, f)),
            );
        });
    } else {
        columns(x, middle, inner, out, init, f);
    }
}

/// The whole of `x`.
fn all<T: Copy + Send + Sync>(x: &[T], init: T, f: impl Fn(T, T) -> T + Copy + Sync) -> T {
    if x.len() <= GRAIN {
        return simd::run(
            #[inline(always)]
            || fold(x, init, f),
        );
    }
    let mut parts = vec![init; x.len().div_ceil(GRAIN)];
    par::for_each_chunk_mut(&mut parts, 1, |c, part| {
        let x = &x[c * GRAIN..((c + 1) * GRAIN).min(x.len())];
        part[0] = simd::run(
            #[inline(always)]
            || fold(x, init, f),
        );
    });
    // Pairs, pairs of pairs ...: a long chain of additions would lose what the lanes have kept.
    while parts.len() > 1 {
        parts = parts.chunks(2).map(|p| if p.len() == 2 { f(p[0], p[1]) } else { p[0] }).collect();
    }
    parts[0]
}

/// Adds up rows into a row of results; threads split the columns.
fn columns<T: Copy + Send + Sync>(
    x: &[T],
    middle: usize,
    inner: usize,
    out: &mut [T],
    init: T,
    f: impl Fn(T, T) -> T + Copy + Sync,
) {
    let width = inner.min((GRAIN.div_ceil(middle)).max(64));
    let per_row = inner.div_ceil(width);
    let outer = out.len() / inner;
    let out_ptr = par::SharedMut::new(out);
    par::for_each(outer * per_row, |c| {
        let (o, start) = (c / per_row, (c % per_row) * width);
        let n = width.min(inner - start);
        // SAFETY: each (o, start) names its own part of `out`, inside its bounds.
        let piece = unsafe { out_ptr.slice(o * inner + start, n) };
        simd::run(
            #[inline(always)]
            || {
                let x = &x[o * middle * inner + start..];
                let mut blocks = piece.chunks_exact_mut(BLOCK);
                let mut at = 0;
                for block in &mut blocks {
                    // Of constant length, so that it stays in registers.
                    let mut sums = [init; BLOCK];
                    for m in 0..middle {
                        let row = &x[m * inner + at..][..BLOCK];
                        for i in 0..BLOCK {
                            sums[i] = f(sums[i], row[i]);
                        }
                    }
                    block.copy_from_slice(&sums);
                    at += BLOCK;
                }
                let rest = blocks.into_remainder();
                rest.fill(init);
                for m in 0..middle {
                    let row = &x[m * inner + at..][..rest.len()];
                    rest.iter_mut().zip(row).for_each(|(o, &v)| *o = f(*o, v));
                }
            },
        );
    });
}

/// Position of the best element of each middle run, the first among equals; NaN counts as best.
pub(crate) fn arg<T: Copy + Send + Sync + PartialEq>(
    x: &[T],
    middle: usize,
    inner: usize,
    out: &mut [i64],
    better: impl Fn(T, T) -> bool + Copy + Sync,
) {
    let per_chunk = GRAIN.div_ceil(middle.max(1));
    par::for_each_chunk_mut(out, per_chunk, |c, piece| {
        for (i, o) in piece.iter_mut().enumerate() {
            let at = c * per_chunk + i;
            let run = |m: usize| x[(at / inner * middle + m) * inner + at % inner];
            let mut best = 0;
            for m in 1..middle {
                let (a, b) = (run(m), run(best));
                #[expect(clippy::eq_op, reason = "x != x tells NaN for any element type")]
                if b == b && (better(a, b) || a != a) {
                    best = m;
                }
            }
            *o = best as i64;
        }
    });
}
