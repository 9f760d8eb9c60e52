//! Normalisation: means and variances, the affine map made of them, and the way back.
//!
//! A fixed number of lanes within a run, runs within a piece, pieces of a size that follows from the shape, and
//! f64 from there on: sums have one order whatever the number of threads.

use super::micro::Float;

const LANES: usize = 32;
const RUN: usize = 1 << 10;

pub(crate) mod batch;
pub(crate) mod group;

/// Adds up the lanes in pairs.
#[inline(always)]
fn folded<T: Float>(mut lanes: [T; LANES]) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The sum of `f` over `x`.
#[inline(always)]
fn sum<T: Float>(x: &[T], f: impl Fn(T) -> T + Copy) -> T {
    let mut total = T::ZERO;
    for run in x.chunks(RUN) {
        let mut lanes = [T::ZERO; LANES];
        let mut pieces = run.chunks_exact(LANES);
        for p in &mut pieces {
            for i in 0..LANES {
                lanes[i] += f(p[i]);
            }
        }
        for (lane, &v) in lanes.iter_mut().zip(pieces.remainder()) {
            *lane += f(v);
        }
        total += folded(lanes);
    }
    total
}

/// The sums of both results of `f` over pairs from `x` and `y`, which are equally long.
#[inline(always)]
fn sums<T: Float>(x: &[T], y: &[T], f: impl Fn(T, T) -> (T, T) + Copy) -> (T, T) {
    let mut total = (T::ZERO, T::ZERO);
    for (x, y) in x.chunks(RUN).zip(y.chunks(RUN)) {
        let (mut first, mut second) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        let (mut xs, mut ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
        for (x, y) in (&mut xs).zip(&mut ys) {
            for i in 0..LANES {
                let (a, b) = f(x[i], y[i]);
                first[i] += a;
                second[i] += b;
            }
        }
        for (i, (&x, &y)) in xs.remainder().iter().zip(ys.remainder()).enumerate() {
            let (a, b) = f(x, y);
            first[i] += a;
            second[i] += b;
        }
        total.0 += folded(first);
        total.1 += folded(second);
    }
    total
}

/// Mean and sum of squared deviations.
#[inline(always)]
fn spread<T: Float>(x: &[T]) -> (T, T) {
    let mean = sum(x, |v| v) / T::from_f64(x.len() as f64);
    (mean, sum(x, |v| (v - mean) * (v - mean)))
}

/// 1 / sqrt(var + eps), rounded once.
#[inline(always)]
fn inverse<T: Float>(var: T, eps: f64) -> f64 {
    1.0 / (var.to_f64() + eps).sqrt()
}
