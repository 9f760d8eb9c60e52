//! Softmax along contiguous rows.

use super::math::Real;
use super::par::{self, GRAIN};
use super::reduce::row_fold;
use super::simd;

/// Which of the two.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Softmax,
    LogSoftmax,
}

/// Normalises each row of length `n`. The largest element is taken out first, so nothing overflows;
/// a row of -inf gives NaN, as the formula does.
pub(crate) fn rows<T: Real>(x: &[T], n: usize, out: &mut [T], kind: Kind) {
    if out.is_empty() {
        return;
    }
    let per_chunk = (GRAIN / 8).div_ceil(n);
    par::for_each_chunk_mut(out, per_chunk * n, |c, piece| {
        let x = &x[c * per_chunk * n..][..piece.len()];
        simd::run(
            #[inline(always)]
            || {
                for (o, x) in piece.chunks_exact_mut(n).zip(x.chunks_exact(n)) {
                    row(x, o, kind);
                }
            },
        );
    });
}

#[inline(always)]
fn row<T: Real>(x: &[T], out: &mut [T], kind: Kind) {
    let max = row_fold(x, T::from_f64(f64::NEG_INFINITY), |a: T, b| if a > b || a.is_nan() { a } else { b });
    for (o, &v) in out.iter_mut().zip(x) {
        *o = v.sub(max).exp();
    }
    let sum = row_fold(out, T::ZERO, |a: T, b| a.add(b));
    if kind == Kind::Softmax {
        let scale = T::ONE.div(sum);
        out.iter_mut().for_each(|o| *o = o.mul(scale));
    } else {
        // Two subtractions: max + ln(sum) would round the smaller one away.
        let shift = sum.ln();
        out.iter_mut().zip(x).for_each(|(o, &v)| *o = v.sub(max).sub(shift));
    }
}
