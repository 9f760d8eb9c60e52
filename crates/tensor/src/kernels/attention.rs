//! Scaled dot-product attention, one tile of query rows at a time.
//!
//! A tile's scores stay in the cache from the first product to the second, in either direction: the way back
//! makes them anew from the inputs and the logarithm of each row's sum.

use super::gemm::{Epilogue, gemm_batched};
use super::math::Real;
use super::micro::Float;
use super::par::{self, SharedMut};
use super::scratch::with_scratch;
use super::simd;
use crate::shape::Layout;
use std::ops::Range;

/// Scores that are held at once.
const TILE: usize = 16 * 1024;
/// Lanes of the sums within a row.
const LANES: usize = 16;

/// A batch of matrices `[.., rows, columns]` that is read through its strides.
#[derive(Clone, Copy)]
pub(crate) struct Matrices<'a, T> {
    pub data: &'a [T],
    pub layout: &'a Layout,
}

impl<'a, T> Matrices<'a, T> {
    /// The elements from row `row` of matrix `i` on.
    fn rows_from(&self, i: usize, row: usize) -> &'a [T] {
        &self.data[start(self.layout, i) + row * self.strides().0..]
    }

    fn strides(&self) -> (usize, usize) {
        let r = self.layout.shape.len();
        (self.layout.strides[r - 2], self.layout.strides[r - 1])
    }

    /// The strides of the transposed matrices.
    fn across(&self) -> (usize, usize) {
        let (row, column) = self.strides();
        (column, row)
    }
}

/// Where matrix `i` begins.
fn start(layout: &Layout, i: usize) -> usize {
    let (mut at, mut rest) = (layout.offset, i);
    for d in (0..layout.shape.len() - 2).rev() {
        at += rest % layout.shape[d] * layout.strides[d];
        rest /= layout.shape[d];
    }
    at
}

/// A batch of matrices that is written; the elements of a row are neighbours, and no two rows overlap.
pub(crate) struct Output<'a, T> {
    pub data: SharedMut<T>,
    pub layout: &'a Layout,
}

impl<T: Float> Output<'_, T> {
    /// Writes rows of matrix `i`, from `row` on.
    ///
    /// # Safety
    /// As for [`SharedMut::slice`]: the data lives, and each row is written by one thread.
    unsafe fn write(&self, i: usize, row: usize, from: &[T], width: usize, factor: impl Fn(usize) -> T) {
        let (first, step) = (start(self.layout, i), self.layout.strides[self.layout.shape.len() - 2]);
        for (r, from) in from.chunks_exact(width).enumerate() {
            // SAFETY: the caller's promise.
            let to = unsafe { self.data.slice(first + (row + r) * step, width) };
            let factor = factor(r);
            to.iter_mut().zip(from).for_each(|(t, &v)| *t = v * factor);
        }
    }
}

/// softmax(scale Q K^T + bias) V for each matrix of a batch. No extent is zero.
#[derive(Clone, Copy)]
pub(crate) struct Attention<'a, T> {
    pub batch: usize,
    /// Queries.
    pub l: usize,
    /// Keys.
    pub s: usize,
    /// Width of queries and keys.
    pub e: usize,
    /// Width of values.
    pub ev: usize,
    pub scale: f64,
    pub q: Matrices<'a, T>,
    pub k: Matrices<'a, T>,
    pub v: Matrices<'a, T>,
    pub bias: Option<Matrices<'a, T>>,
}

impl<T: Float + Real> Attention<'_, T> {
    /// Query rows of a tile.
    fn tile(&self) -> usize {
        (TILE / self.s).clamp(16, 128).min(self.l)
    }

    /// scale Q K^T + bias for some rows of matrix `i`.
    fn scores(&self, i: usize, rows: &Range<usize>, out: &mut [T]) {
        let scale = <T as Float>::from_f64(self.scale);
        let (q, k) = (self.q.rows_from(i, rows.start), self.k.rows_from(i, 0));
        multiply((rows.len(), self.s, self.e), scale, (q, self.q.strides()), (k, self.k.across()), 0.0, out);
        let Some(bias) = &self.bias else { return };
        let (step, column) = bias.strides();
        let bias = bias.rows_from(i, rows.start);
        simd::run(
            #[inline(always)]
            || {
                for (r, row) in out.chunks_exact_mut(self.s).enumerate() {
                    let bias = &bias[r * step..];
                    match column {
                        1 => row.iter_mut().zip(bias).for_each(|(x, &b)| *x += b),
                        _ => row.iter_mut().enumerate().for_each(|(j, x)| *x += bias[j * column]),
                    }
                }
            },
        );
    }

    /// Whether the bias alone hides every key from a row.
    fn is_blind(&self, i: usize, row: usize) -> bool {
        let Some(bias) = &self.bias else { return false };
        let (column, bias) = (bias.strides().1, bias.rows_from(i, row));
        (0..self.s).all(|j| bias[j * column] == T::NEG_INFINITY)
    }

    /// The result, and the logarithm of the sum of each row's exponentials: infinity where a query sees no key.
    pub fn forward(&self, out: &Output<'_, T>, lse: &mut [T]) {
        let tile = self.tile();
        let tiles = self.l.div_ceil(tile);
        let lse = SharedMut::new(lse);
        par::for_each(self.batch * tiles, |t| {
            let (i, first) = (t / tiles, t % tiles * tile);
            let rows = first..self.l.min(first + tile);
            let m = rows.len();
            // SAFETY: each tile has its own rows.
            let lse = unsafe { lse.slice(i * self.l + first, m) };
            with_scratch(m * (self.s + self.ev + 1), |buffer: &mut [T]| {
                let (scores, rest) = buffer.split_at_mut(m * self.s);
                let (y, factors) = rest.split_at_mut(m * self.ev);
                self.scores(i, &rows, scores);
                for (r, row) in scores.chunks_exact_mut(self.s).enumerate() {
                    (factors[r], lse[r]) = simd::run(
                        #[inline(always)]
                        || exponentials(row),
                    );
                    if factors[r].to_f64().is_nan() && self.is_blind(i, first + r) {
                        row.fill(<T as Float>::ZERO);
                        (factors[r], lse[r]) = (<T as Float>::ZERO, <T as Float>::from_f64(f64::INFINITY));
                    }
                }
                let v = (self.v.rows_from(i, 0), self.v.strides());
                multiply((m, self.ev, self.s), <T as Float>::ONE, (scores, (self.s, 1)), v, 0.0, y);
                simd::run(
                    #[inline(always)]
                    // SAFETY: each tile has its own rows.
                    || unsafe { out.write(i, first, y, self.ev, |r| factors[r]) },
                );
            });
        });
    }

    /// The gradients of queries, keys and values that are wanted, from the result's.
    pub fn backward(&self, gy: Matrices<'_, T>, lse: &[T], [gq, gk, gv]: [Option<Output<'_, T>>; 3]) {
        let (one, scale) = (<T as Float>::ONE, <T as Float>::from_f64(self.scale));
        let (l, s, e, ev, tile) = (self.l, self.s, self.e, self.ev, self.tile());
        par::for_each(self.batch, |i| {
            with_scratch(2 * tile * s + tile * e + s * e + s * ev, |buffer: &mut [T]| {
                let (p, rest) = buffer.split_at_mut(tile * s);
                let (ds, rest) = rest.split_at_mut(tile * s);
                let (dq, rest) = rest.split_at_mut(tile * e);
                let (dk, dv) = rest.split_at_mut(s * e);
                for first in (0..l).step_by(tile) {
                    let rows = first..l.min(first + tile);
                    let m = rows.len();
                    let (p, ds, dq) = (&mut p[..m * s], &mut ds[..m * s], &mut dq[..m * e]);
                    let lse = &lse[i * l + first..][..m];
                    let old = if first == 0 { 0.0 } else { 1.0 };
                    let g = (gy.rows_from(i, first), gy.strides());
                    self.scores(i, &rows, p);
                    let wants_scores = gq.is_some() || gk.is_some();
                    if wants_scores {
                        let v = (self.v.rows_from(i, 0), self.v.across());
                        multiply((m, s, ev), one, g, v, 0.0, ds);
                    }
                    simd::run(
                        #[inline(always)]
                        || {
                            let pairs = p.chunks_exact_mut(s).zip(ds.chunks_exact_mut(s));
                            for ((p, ds), &lse) in pairs.zip(lse) {
                                weights(p, lse);
                                if wants_scores {
                                    through_softmax(p, ds);
                                }
                            }
                        },
                    );
                    if gv.is_some() {
                        multiply((s, ev, m), one, (p, (1, s)), g, old, dv);
                    }
                    if gk.is_some() {
                        let q = (self.q.rows_from(i, first), self.q.strides());
                        multiply((s, e, m), scale, (ds, (1, s)), q, old, dk);
                    }
                    if let Some(gq) = &gq {
                        let k = (self.k.rows_from(i, 0), self.k.strides());
                        multiply((m, e, s), scale, (ds, (s, 1)), k, 0.0, dq);
                        // SAFETY: each tile has its own rows.
                        unsafe { gq.write(i, first, dq, e, |_| one) };
                    }
                }
                // SAFETY: each matrix of the batch has its own rows.
                unsafe {
                    gk.iter().for_each(|gk| gk.write(i, 0, dk, e, |_| one));
                    gv.iter().for_each(|gv| gv.write(i, 0, dv, ev, |_| one));
                }
            });
        });
    }
}

/// c = alpha a b + beta c, each operand with its strides; `c` is row-major.
fn multiply<T: Float>(
    (m, n, k): (usize, usize, usize),
    alpha: T,
    (a, a_strides): (&[T], (usize, usize)),
    (b, b_strides): (&[T], (usize, usize)),
    beta: f64,
    c: &mut [T],
) {
    let (beta, epilogue) = (T::from_f64(beta), Epilogue::default());
    gemm_batched(1, m, n, k, alpha, a, a_strides, b, b_strides, beta, c, (n, 1), epilogue, |_| (0, 0, 0));
}

/// Folds a row in [`LANES`] lanes, then those in pairs.
#[inline(always)]
fn fold<T: Copy>(row: &[T], init: T, f: impl Fn(T, T) -> T) -> T {
    let mut lanes = [init; LANES];
    let mut chunks = row.chunks_exact(LANES);
    for c in &mut chunks {
        for i in 0..LANES {
            lanes[i] = f(lanes[i], c[i]);
        }
    }
    chunks.remainder().iter().enumerate().for_each(|(i, &v)| lanes[i] = f(lanes[i], v));
    join(lanes, f)
}

#[inline(always)]
fn join<T: Copy>(mut lanes: [T; LANES], f: impl Fn(T, T) -> T) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = f(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// The exponentials of a row without its largest element; the reciprocal of their sum, and the logarithm of what
/// the sum of the exponentials would be with it.
#[inline(always)]
fn exponentials<T: Float + Real>(row: &mut [T]) -> (T, T) {
    // A NaN loses the comparison; it comes back with the exponentials.
    let max = fold(row, T::NEG_INFINITY, |a, b| if b > a { b } else { a });
    let mut lanes = [<T as Float>::ZERO; LANES];
    let mut chunks = row.chunks_exact_mut(LANES);
    for c in &mut chunks {
        for i in 0..LANES {
            c[i] = (c[i] - max).exp();
            lanes[i] += c[i];
        }
    }
    for (x, lane) in chunks.into_remainder().iter_mut().zip(&mut lanes) {
        *x = (*x - max).exp();
        *lane += *x;
    }
    let sum = join(lanes, |a, b| a + b);
    (<T as Float>::ONE / sum, max + sum.ln())
}

/// The weights of a row from its scores.
#[inline(always)]
fn weights<T: Float + Real>(row: &mut [T], lse: T) {
    row.iter_mut().for_each(|x| *x = (*x - lse).exp());
}

/// The gradient of a row's scores from that of its weights `p`: p (dp - sum(p dp)).
#[inline(always)]
fn through_softmax<T: Float>(p: &[T], dp: &mut [T]) {
    let mut lanes = [T::ZERO; LANES];
    let (mut ps, mut ds) = (p.chunks_exact(LANES), dp.chunks_exact(LANES));
    for (p, d) in (&mut ps).zip(&mut ds) {
        for i in 0..LANES {
            lanes[i] += p[i] * d[i];
        }
    }
    for ((&p, &d), lane) in ps.remainder().iter().zip(ds.remainder()).zip(&mut lanes) {
        *lane += p * d;
    }
    let total = join(lanes, |a, b| a + b);
    dp.iter_mut().zip(p).for_each(|(d, &p)| *d = p * (*d - total));
}
