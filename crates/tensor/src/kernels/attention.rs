//! Scaled dot-product attention, one tile of query rows and one block of keys at a time.
//!
//! A tile's scores stay in the cache from the first product to the second, in either direction: the way back
//! makes them anew from the inputs and the logarithm of each row's sum. What is held grows with the lengths, never
//! with their product. Blocks that are hidden throughout are passed by.

mod rows;

use super::gemm::{Epilogue, gemm_batched};
use super::math::Real;
use super::micro::Float;
use super::par::{self, SharedMut, part};
use super::scratch::with_scratch;
use super::simd;
use crate::shape::Layout;
pub(crate) use rows::Dropout;
use rows::Progress;
use std::ops::Range;

/// Most query rows of a tile.
const ROWS: usize = 128;
/// Most keys of a block.
const KEYS: usize = 256;
/// Most keys of a block on the way back.
const BACK_KEYS: usize = 128;
/// Query rows up to which the products are sums of rows rather than tiles.
const FEW: usize = 3;
/// Pieces that the way back is cut into at least, if there are keys enough.
const PIECES: usize = 8;

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
    /// Whether query i sees keys 0..=i only.
    pub causal: bool,
    pub dropout: Option<Dropout>,
}

impl<T: Float + Real> Attention<'_, T> {
    /// scale Q K^T + bias for some rows and keys of matrix `i`.
    fn scores(&self, i: usize, rows: &Range<usize>, keys: &Range<usize>, out: &mut [T]) {
        let (m, n) = (rows.len(), keys.len());
        let scale = <T as Float>::from_f64(self.scale);
        let (q, k) = (self.q.rows_from(i, rows.start), self.k.rows_from(i, keys.start));
        let (q_strides, k_strides) = (self.q.strides(), self.k.strides());
        if m <= FEW && q_strides.1 == 1 && k_strides.1 == 1 {
            for (r, out) in out.chunks_exact_mut(n).enumerate() {
                rows::dots(&q[r * q_strides.0..][..self.e], k, k_strides.0, scale, out);
            }
        } else {
            multiply((m, n, self.e), scale, (q, q_strides), (k, self.k.across()), 0.0, out);
        }
        if let Some(bias) = &self.bias {
            let (step, column) = bias.strides();
            let bias = &bias.rows_from(i, rows.start)[keys.start * column..];
            simd::run(
                #[inline(always)]
                || {
                    for (r, row) in out.chunks_exact_mut(n).enumerate() {
                        let bias = &bias[r * step..];
                        match column {
                            1 => row.iter_mut().zip(bias).for_each(|(x, &b)| *x += b),
                            _ => row.iter_mut().enumerate().for_each(|(j, x)| *x += bias[j * column]),
                        }
                    }
                },
            );
        }
        if self.causal && keys.end > rows.start + 1 {
            for (row, q) in out.chunks_exact_mut(n).zip(rows.clone()) {
                row[(q + 1).saturating_sub(keys.start).min(n)..].fill(T::NEG_INFINITY);
            }
        }
    }

    /// Whether none of these rows sees one of these keys.
    fn hides(&self, i: usize, rows: &Range<usize>, keys: &Range<usize>) -> bool {
        if self.causal && keys.start >= rows.end {
            return true;
        }
        let Some(bias) = &self.bias else { return false };
        let (step, column) = bias.strides();
        let mut different = if step == 0 { rows.start..rows.start + 1 } else { rows.clone() };
        different.all(|r| {
            let bias = bias.rows_from(i, r);
            keys.clone().all(|j| bias[j * column] == T::NEG_INFINITY)
        })
    }

    /// Whether every key is hidden from a row.
    fn is_blind(&self, i: usize, row: usize) -> bool {
        let seen = if self.causal { self.s.min(row + 1) } else { self.s };
        self.bias.is_some() && self.hides(i, &(row..row + 1), &(0..seen))
    }

    /// The result, and the logarithm of the sum of each row's exponentials: infinity where a query sees no key.
    pub fn forward(&self, out: &Output<'_, T>, lse: &mut [T]) {
        let tiles = self.l.div_ceil(ROWS);
        let lse = SharedMut::new(lse);
        par::for_each(self.batch * tiles, |t| {
            // The last rows of a causal attention see most: they come first, so that the last piece is a small one.
            let (i, rows) = (t / tiles, part(self.l, tiles, tiles - 1 - t % tiles));
            // SAFETY: each tile has its own rows.
            let lse = unsafe { lse.slice(i * self.l + rows.start, rows.len()) };
            self.forward_tile(i, &rows, out, lse);
        });
    }

    fn forward_tile(&self, i: usize, rows: &Range<usize>, out: &Output<'_, T>, lse: &mut [T]) {
        let (m, ev, blocks) = (rows.len(), self.ev, self.s.div_ceil(KEYS));
        let widest = self.s.div_ceil(blocks);
        with_scratch(m * (widest + ev + 3), |buffer: &mut [T]| {
            let (scores, rest) = buffer.split_at_mut(m * widest);
            let (y, rest) = rest.split_at_mut(m * ev);
            let (largest, rest) = rest.split_at_mut(m);
            let (sum, change) = rest.split_at_mut(m);
            let mut progress = Progress { largest, sum, change };
            progress.reset();
            let mut begun = false;
            for keys in (0..blocks).map(|b| part(self.s, blocks, b)) {
                if self.hides(i, rows, &keys) {
                    continue;
                }
                let n = keys.len();
                let weights = &mut scores[..m * n];
                self.scores(i, rows, &keys, weights);
                progress.take(weights, n);
                if let Some(dropout) = &self.dropout {
                    rows::drop_weights(dropout, i * self.l + rows.start, keys.start, weights, n);
                }
                if begun {
                    progress.rescale(y, ev);
                }
                let (v, v_strides) = (self.v.rows_from(i, keys.start), self.v.strides());
                if m <= FEW && v_strides.1 == 1 {
                    if !begun {
                        y.fill(<T as Float>::ZERO);
                    }
                    for (p, y) in weights.chunks_exact(n).zip(y.chunks_exact_mut(ev)) {
                        rows::mix(p, v, v_strides.0, y);
                    }
                } else {
                    let old = if begun { 1.0 } else { 0.0 };
                    multiply((m, ev, n), <T as Float>::ONE, (weights, (n, 1)), (v, v_strides), old, y);
                }
                begun = true;
            }
            if !begun {
                y.fill(<T as Float>::ZERO);
            }
            let gain = <T as Float>::from_f64(self.dropout.map_or(1.0, |d| d.gain()));
            let Progress { largest, sum, change: factors } = progress;
            for r in 0..m {
                if sum[r] == <T as Float>::ZERO && self.is_blind(i, rows.start + r) {
                    (factors[r], lse[r]) = (<T as Float>::ZERO, <T as Float>::from_f64(f64::INFINITY));
                } else {
                    (factors[r], lse[r]) = (gain / sum[r], largest[r] + sum[r].ln());
                }
            }
            simd::run(
                #[inline(always)]
                // SAFETY: each tile has its own rows.
                || unsafe { out.write(i, rows.start, y, ev, |r| factors[r]) },
            );
        });
    }

    /// Groups of keys that are worked on side by side on the way back, each with a share of the queries' gradient of
    /// its own.
    pub fn groups(&self) -> usize {
        (PIECES / self.batch).clamp(1, self.s.div_ceil(BACK_KEYS))
    }

    /// The gradients of queries, keys and values that are wanted, from the result `y` and its gradient. `shares` holds
    /// as many elements as the queries' gradient for each of the [`groups`](Attention::groups), if they are several
    /// and it is wanted.
    pub fn backward(
        &self,
        (gy, y): (Matrices<'_, T>, Matrices<'_, T>),
        lse: &[T],
        [gq, gk, gv]: [Option<Output<'_, T>>; 3],
        shares: &mut [T],
    ) {
        let (l, e, groups) = (self.l, self.e, self.groups());
        let pieces = SharedMut::new(shares);
        par::for_each(self.batch * groups, |t| {
            let (i, group) = (t / groups, part(self.s, groups, t % groups));
            let own = if groups == 1 && gq.is_some() { l * e } else { 0 };
            with_scratch(own, |dq: &mut [T]| {
                // SAFETY: each piece has its own share.
                let shared = unsafe {
                    if groups > 1 && gq.is_some() { pieces.slice(t * l * e, l * e) } else { pieces.slice(0, 0) }
                };
                let dq = if groups > 1 { shared } else { dq };
                dq.fill(<T as Float>::ZERO);
                let lse = &lse[i * l..][..l];
                self.backward_group(i, group, (&gy, &y), lse, dq, [&gk, &gv]);
                if let (Some(gq), 1) = (&gq, groups) {
                    // SAFETY: each matrix of the batch has its own rows.
                    unsafe { gq.write(i, 0, dq, e, |_| <T as Float>::ONE) };
                }
            });
        });
        let Some(gq) = gq.filter(|_| groups > 1) else { return };
        let tiles = l.div_ceil(ROWS);
        par::for_each(self.batch * tiles, |t| {
            let (i, rows) = (t / tiles, part(l, tiles, t % tiles));
            let share = |g: usize| &shares[((i * groups + g) * l + rows.start) * e..][..rows.len() * e];
            with_scratch(rows.len() * e, |sum: &mut [T]| {
                sum.copy_from_slice(share(0));
                simd::run(
                    #[inline(always)]
                    || (1..groups).for_each(|g| sum.iter_mut().zip(share(g)).for_each(|(s, &x)| *s += x)),
                );
                // SAFETY: each tile has its own rows.
                unsafe { gq.write(i, rows.start, sum, e, |_| <T as Float>::ONE) };
            });
        });
    }

    /// The gradients of some keys and their values, and what these keys add to the gradient `dq` of all queries (left
    /// alone if it is empty).
    fn backward_group(
        &self,
        i: usize,
        group: Range<usize>,
        (gy, y): (&Matrices<'_, T>, &Matrices<'_, T>),
        lse: &[T],
        dq: &mut [T],
        [gk, gv]: [&Option<Output<'_, T>>; 2],
    ) {
        let (one, scale) = (<T as Float>::ONE, <T as Float>::from_f64(self.scale));
        let (l, e, ev, tiles) = (self.l, self.e, self.ev, self.l.div_ceil(ROWS));
        let blocks = group.len().div_ceil(BACK_KEYS);
        let (most, widest) = (l.div_ceil(tiles), group.len().div_ceil(blocks));
        let gain = <T as Float>::from_f64(self.dropout.map_or(1.0, |d| d.gain()));
        let wants_scores = !dq.is_empty() || gk.is_some();
        with_scratch(l + 2 * most * widest + widest * (e + ev), |buffer: &mut [T]| {
            let (delta, rest) = buffer.split_at_mut(l);
            let (p, rest) = rest.split_at_mut(most * widest);
            let (ds, rest) = rest.split_at_mut(most * widest);
            let (dk, dv) = rest.split_at_mut(widest * e);
            self.deltas(i, gy, y, delta);
            for b in 0..blocks {
                let keys = part(group.len(), blocks, b);
                let keys = group.start + keys.start..group.start + keys.end;
                let n = keys.len();
                let (dk, dv) = (&mut dk[..n * e], &mut dv[..n * ev]);
                dk.fill(<T as Float>::ZERO);
                dv.fill(<T as Float>::ZERO);
                for rows in (0..tiles).map(|t| part(l, tiles, t)) {
                    if self.hides(i, &rows, &keys) {
                        continue;
                    }
                    let m = rows.len();
                    let (p, ds) = (&mut p[..m * n], &mut ds[..m * n]);
                    let g = (gy.rows_from(i, rows.start), gy.strides());
                    self.scores(i, &rows, &keys, p);
                    if wants_scores {
                        let v = (self.v.rows_from(i, keys.start), self.v.across());
                        multiply((m, n, ev), one, g, v, 0.0, ds);
                    }
                    let dropout = self.dropout.as_ref().map(|d| (d, i * l + rows.start, keys.start));
                    rows::gradients((p, ds), n, (&lse[rows.clone()], &delta[rows.clone()]), dropout);
                    if gv.is_some() {
                        multiply((n, ev, m), gain, (p, (1, n)), g, 1.0, dv);
                    }
                    if gk.is_some() {
                        let q = (self.q.rows_from(i, rows.start), self.q.strides());
                        multiply((n, e, m), scale, (ds, (1, n)), q, 1.0, dk);
                    }
                    if !dq.is_empty() {
                        let k = (self.k.rows_from(i, keys.start), self.k.strides());
                        multiply((m, e, n), scale, (ds, (n, 1)), k, 1.0, &mut dq[rows.start * e..rows.end * e]);
                    }
                }
                // SAFETY: each group has its own keys.
                unsafe {
                    gk.iter().for_each(|gk| gk.write(i, keys.start, dk, e, |_| one));
                    gv.iter().for_each(|gv| gv.write(i, keys.start, dv, ev, |_| one));
                }
            }
        });
    }

    /// For each row, the sum of the weights times their gradients: the result times its own.
    fn deltas(&self, i: usize, gy: &Matrices<'_, T>, y: &Matrices<'_, T>, out: &mut [T]) {
        let ((g_row, g_column), (y_row, y_column)) = (gy.strides(), y.strides());
        let (gy, y) = (gy.rows_from(i, 0), y.rows_from(i, 0));
        simd::run(
            #[inline(always)]
            || {
                for (r, o) in out.iter_mut().enumerate() {
                    let (g, y) = (&gy[r * g_row..], &y[r * y_row..]);
                    *o = match (g_column, y_column) {
                        (1, 1) => rows::dot(&g[..self.ev], &y[..self.ev]),
                        _ => (0..self.ev).map(|j| g[j * g_column] * y[j * y_column]).sum(),
                    };
                }
            },
        );
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
    gemm_batched(1, m, n, k, alpha, a, a_strides, b, b_strides, beta, c, epilogue, |_| (0, 0, 0));
}
