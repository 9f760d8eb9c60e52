//! Normalisation: means and variances, the affine map made of them, and the way back.
//!
//! A fixed number of lanes within a run, runs within a piece, pieces of a size that follows from the shape, and
//! f64 from there on: sums have one order whatever the number of threads.

use super::micro::Float;
use super::reduce::join;

const LANES: usize = 32;
/// Elements that are added to one set of lanes.
const RUN: usize = 1 << 12;

pub(crate) mod batch;
pub(crate) mod group;

/// Sums being added up, element i of a piece going to lane i modulo the number of lanes.
#[derive(Clone, Copy)]
struct Lanes<T>([T; LANES]);

impl<T: Float> Lanes<T> {
    const EMPTY: Lanes<T> = Lanes([T::ZERO; LANES]);

    /// Adds `f` of each element.
    #[inline(always)]
    fn add(&mut self, x: &[T], f: impl Fn(T) -> T + Copy) {
        let (pieces, rest) = x.as_chunks::<LANES>();
        for p in pieces {
            for i in 0..LANES {
                self.0[i] += f(p[i]);
            }
        }
        let (halves, rest) = rest.as_chunks::<{ LANES / 2 }>();
        for p in halves {
            for i in 0..LANES / 2 {
                self.0[i] += f(p[i]);
            }
        }
        for (lane, &v) in self.0.iter_mut().zip(rest) {
            *lane += f(v);
        }
    }

    /// All lanes together, in pairs, pairs of pairs ...
    #[inline(always)]
    fn total(self) -> T {
        join(self.0, |a, b| a + b)
    }
}

/// Adds both results of `f` over pairs from `x` and `y`, which are equally long.
#[inline(always)]
fn add_pairs<T: Float>(
    (first, second): (&mut Lanes<T>, &mut Lanes<T>),
    x: &[T],
    y: &[T],
    f: impl Fn(T, T) -> (T, T) + Copy,
) {
    let ((xs, x), (ys, y)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in xs.iter().zip(ys) {
        for i in 0..LANES {
            let (a, b) = f(x[i], y[i]);
            first.0[i] += a;
            second.0[i] += b;
        }
    }
    let ((xs, x), (ys, y)) = (x.as_chunks::<{ LANES / 2 }>(), y.as_chunks::<{ LANES / 2 }>());
    for (x, y) in xs.iter().zip(ys) {
        for i in 0..LANES / 2 {
            let (a, b) = f(x[i], y[i]);
            first.0[i] += a;
            second.0[i] += b;
        }
    }
    for (i, (&x, &y)) in x.iter().zip(y).enumerate() {
        let (a, b) = f(x, y);
        first.0[i] += a;
        second.0[i] += b;
    }
}

/// The sum of `f` over `x`.
#[inline(always)]
fn sum<T: Float>(x: &[T], f: impl Fn(T) -> T + Copy) -> T {
    let mut total = T::ZERO;
    for run in x.chunks(RUN) {
        let mut lanes = Lanes::EMPTY;
        lanes.add(run, f);
        total += lanes.total();
    }
    total
}

/// The sums of both results of `f` over pairs from `x` and `y`, which are equally long.
#[inline(always)]
fn sums<T: Float>(x: &[T], y: &[T], f: impl Fn(T, T) -> (T, T) + Copy) -> (T, T) {
    let mut total = (T::ZERO, T::ZERO);
    for (x, y) in x.chunks(RUN).zip(y.chunks(RUN)) {
        let (mut first, mut second) = (Lanes::EMPTY, Lanes::EMPTY);
        add_pairs((&mut first, &mut second), x, y, f);
        total.0 += first.total();
        total.1 += second.total();
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
