//! What is done to the scores of a tile, row by row, between the two products.

use super::super::math::Real;
use super::super::micro::Float;
use super::super::reduce::join;
use super::super::simd;

/// Lanes of the sums within a row.
const LANES: usize = 16;

/// Which weights are dropped: a function of a draw of the generator and of the weight's place alone, so that it does
/// not depend on how the work is cut, and the way back can make it anew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    /// The draw.
    pub key: u64,
    /// Probability with which a weight is dropped.
    pub p: f64,
}

impl Dropout {
    /// What the weights that stay are multiplied by.
    pub fn gain(&self) -> f64 {
        if self.p < 1.0 { 1.0 / (1.0 - self.p) } else { 0.0 }
    }

    /// Words below it are dropped; of 2^32.
    fn limit(&self) -> u64 {
        (self.p * 4_294_967_296.0) as u64
    }

    /// The keys of a row.
    fn of_row(&self, row: usize) -> [u32; 2] {
        let word = crate::random::mix(self.key ^ crate::random::mix(row as u64 + 1));
        [word as u32, (word >> 32) as u32]
    }

    /// Calls `f` for each element of a part of row `row` that begins at column `first`, with whether it stays.
    #[inline(always)]
    fn visit<T>(&self, row: usize, first: usize, part: &mut [T], f: impl Fn(&mut T, bool)) {
        let ([a, b], limit) = (self.of_row(row), self.limit());
        // At 1 every word is below the limit, which a u32 cannot say.
        let (limit, all) = (limit as u32, limit > u32::MAX as u64);
        for (j, v) in part.iter_mut().enumerate() {
            f(v, !all & (word(a, b, (first + j) as u32) >= limit));
        }
    }

    /// Multiplies a row of ones, as it were: `gain` where the weight stays, else 0.
    pub fn fill<T: Float>(&self, row: usize, part: &mut [T]) {
        let gain = T::from_f64(self.gain());
        self.visit(row, 0, part, |v, stays| *v = if stays { gain } else { T::ZERO });
    }

    /// Zeroes what is dropped.
    #[inline(always)]
    fn apply<T: Float>(&self, row: usize, first: usize, part: &mut [T]) {
        self.visit(row, first, part, |v, stays| *v = if stays { *v } else { T::ZERO });
    }
}

/// A word for column `column` of the row with keys `a` and `b`: two rounds of multiplying and shifting.
#[inline(always)]
fn word(a: u32, b: u32, column: u32) -> u32 {
    let mut x = column.wrapping_mul(0x9e37_79b9).wrapping_add(a);
    x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b) ^ b;
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

/// What the rows of a tile know of the keys before: the largest score, the sum of the exponentials without it, and
/// what the latest block of keys makes of earlier results.
pub(super) struct Progress<'a, T> {
    pub largest: &'a mut [T],
    pub sum: &'a mut [T],
    pub change: &'a mut [T],
}

impl<T: Float + Real> Progress<'_, T> {
    /// Before the first key.
    pub fn reset(&mut self) {
        self.largest.fill(T::NEG_INFINITY);
        self.sum.fill(<T as Float>::ZERO);
    }

    /// Makes exponentials of scores, `n` a row, and takes them into the sums.
    pub fn take(&mut self, scores: &mut [T], n: usize) {
        simd::run(
            #[inline(always)]
            || {
                // All rows' maxima first: no row's exponentials wait for its own.
                for ((row, old), new) in scores.chunks_exact(n).zip(&*self.largest).zip(&mut *self.change) {
                    *new = largest(row, *old);
                }
                for (r, row) in scores.chunks_exact_mut(n).enumerate() {
                    let (old, new) = (self.largest[r], self.change[r]);
                    // Where all is hidden yet there is nothing to take out.
                    let base = if new == T::NEG_INFINITY { <T as Float>::ZERO } else { new };
                    let change = if old == new { <T as Float>::ONE } else { Real::exp(old - base) };
                    let sum = exponentials(row, base);
                    self.sum[r] = self.sum[r] * change + sum;
                    (self.largest[r], self.change[r]) = (new, change);
                }
            },
        );
    }

    /// Multiplies rows of earlier results by what has changed.
    pub fn rescale(&self, y: &mut [T], width: usize) {
        simd::run(
            #[inline(always)]
            || {
                for (row, &change) in y.chunks_exact_mut(width).zip(&*self.change) {
                    if change != <T as Float>::ONE {
                        row.iter_mut().for_each(|y| *y *= change);
                    }
                }
            },
        );
    }
}

/// Zeroes the weights of some rows that are dropped; the first is row `row` of all, and begins at key `first`.
pub(super) fn drop_weights<T: Float>(dropout: &Dropout, row: usize, first: usize, weights: &mut [T], n: usize) {
    simd::run(
        #[inline(always)]
        || weights.chunks_exact_mut(n).enumerate().for_each(|(r, part)| dropout.apply(row + r, first, part)),
    );
}

/// From scores `p` and the gradient `ds` of the weights, the weights and the gradient of the scores:
/// p = e^(p - lse), ds = p (ds - delta), and with dropout ds counts only where the weight stays, and so does p
/// afterwards.
pub(super) fn gradients<T: Float + Real>(
    (p, ds): (&mut [T], &mut [T]),
    n: usize,
    (lse, delta): (&[T], &[T]),
    dropout: Option<(&Dropout, usize, usize)>,
) {
    simd::run(
        #[inline(always)]
        || {
            let pairs = p.chunks_exact_mut(n).zip(ds.chunks_exact_mut(n));
            for (r, (p, ds)) in pairs.enumerate() {
                let (lse, delta) = (lse[r], delta[r]);
                if let Some((dropout, row, first)) = dropout {
                    let gain = <T as Float>::from_f64(dropout.gain());
                    dropout
                        .visit(row + r, first, ds, |d, stays| *d = if stays { *d * gain } else { <T as Float>::ZERO });
                }
                for (p, d) in p.iter_mut().zip(ds) {
                    *p = Real::exp_below(*p - lse);
                    *d = *p * (*d - delta);
                }
                if let Some((dropout, row, first)) = dropout {
                    dropout.apply(row + r, first, p);
                }
            }
        },
    );
}

/// The largest of a row and of `first`. A NaN loses the comparison; it comes back with the exponentials.
#[inline(always)]
fn largest<T: Float>(row: &[T], first: T) -> T {
    let larger = |a: T, b: T| if b > a { b } else { a };
    let mut lanes = [first; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for c in chunks {
        for i in 0..LANES {
            lanes[i] = larger(lanes[i], c[i]);
        }
    }
    rest.iter().enumerate().for_each(|(i, &v)| lanes[i] = larger(lanes[i], v));
    join(lanes, larger)
}

/// Makes e^(x - base) of each x of a row, none of which is above `base`, and gives their sum.
#[inline(always)]
fn exponentials<T: Float + Real>(row: &mut [T], base: T) -> T {
    let mut lanes = [<T as Float>::ZERO; LANES];
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    for c in chunks {
        for i in 0..LANES {
            c[i] = Real::exp_below(c[i] - base);
        }
        for i in 0..LANES {
            lanes[i] += c[i];
        }
    }
    for (x, lane) in rest.iter_mut().zip(&mut lanes) {
        *x = Real::exp_below(*x - base);
        *lane += *x;
    }
    join(lanes, |a, b| a + b)
}

/// out[j] = scale sum_i q[i] k[j][i] for rows `step` apart: a product that is all reading.
pub(super) fn dots<T: Float>(q: &[T], k: &[T], step: usize, scale: T, out: &mut [T]) {
    simd::run(
        #[inline(always)]
        || {
            for (j, o) in out.iter_mut().enumerate() {
                *o = scale * dot(q, &k[j * step..][..q.len()]);
            }
        },
    );
}

#[inline(always)]
pub(super) fn dot<T: Float>(a: &[T], b: &[T]) -> T {
    let mut lanes = [T::ZERO; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            lanes[i] += a[i] * b[i];
        }
    }
    for ((&a, &b), lane) in a_rest.iter().zip(b_rest).zip(&mut lanes) {
        *lane += a * b;
    }
    join(lanes, |a, b| a + b)
}

/// y += sum_j p[j] v[j] for rows `step` apart, four at a time.
pub(super) fn mix<T: Float>(p: &[T], v: &[T], step: usize, y: &mut [T]) {
    let n = y.len();
    simd::run(
        #[inline(always)]
        || {
            let row = |j: usize| &v[j * step..][..n];
            let full = p.len() / 4 * 4;
            for j in (0..full).step_by(4) {
                let (a, b, c, d) = (row(j), row(j + 1), row(j + 2), row(j + 3));
                for i in 0..n {
                    y[i] += (p[j] * a[i] + p[j + 1] * b[i]) + (p[j + 2] * c[i] + p[j + 3] * d[i]);
                }
            }
            for j in full..p.len() {
                y.iter_mut().zip(row(j)).for_each(|(y, &v)| *y += p[j] * v);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_weights_are_dropped_as_was_asked_and_no_two_rows_alike() {
        let n = 4096;
        for p in [0.0, 0.1, 0.5, 1.0] {
            let dropout = Dropout { key: 7, p };
            let mut rows = vec![vec![0.0f32; n]; 64];
            rows.iter_mut().enumerate().for_each(|(r, row)| dropout.fill(r, row));
            let dropped = rows.iter().flatten().filter(|&&v| v == 0.0).count() as f64 / (64 * n) as f64;
            assert!((dropped - p).abs() < 0.005, "{dropped} of {p}");
            // Neighbours in either direction know nothing of each other.
            let both = (1..64).map(|r| (0..n).filter(|&j| rows[r][j] == 0.0 && rows[r - 1][j] == 0.0).count());
            let both = both.sum::<usize>() as f64 / (63 * n) as f64;
            let next = rows.iter().map(|r| r.windows(2).filter(|w| w[0] == 0.0 && w[1] == 0.0).count());
            let next = next.sum::<usize>() as f64 / (64 * n) as f64;
            assert!((both - p * p).abs() < 0.01 && (next - p * p).abs() < 0.01, "{both} {next} {p}");
        }
    }
}
