//! Sigmoid and tanh as the cells use them: two at a time share a division, which is the slowest part of each.

use super::UNITS;
use crate::kernels::math::Real;
use crate::kernels::micro::Float;
use crate::kernels::simd::{Level, level};

/// Whether a multiplication and an addition are one instruction (64-bit ARM always has it).
pub(super) fn fused() -> bool {
    level() != Level::Portable
}

/// Calls a function `f::<T, FUSED>`, compiled for the instruction set in use.
macro_rules! in_vectors {
    ($f:ident::<$t:ty>($($arg:expr),* $(,)?)) => {
        if gates::fused() {
            simd::run(
                #[inline(always)]
                || $f::<$t, true>($($arg),*),
            )
        } else {
            simd::run(
                #[inline(always)]
                || $f::<$t, false>($($arg),*),
            )
        }
    };
}
pub(super) use in_vectors;

/// A number that the cells can compute with. `FUSED` says that [`f32::mul_add`] is one instruction.
pub(crate) trait Gate: Float + Real {
    /// The sigmoids of both.
    fn sigmoids<const FUSED: bool>(a: Self, b: Self) -> (Self, Self);
    /// The sigmoid of the first and the tanh of the second.
    fn sigmoid_and_tanh<const FUSED: bool>(a: Self, b: Self) -> (Self, Self);
    /// The tanh.
    fn tangent<const FUSED: bool>(a: Self) -> Self;
}

impl Gate for f64 {
    #[inline(always)]
    fn sigmoids<const FUSED: bool>(a: f64, b: f64) -> (f64, f64) {
        (a.sigmoid(), b.sigmoid())
    }
    #[inline(always)]
    fn sigmoid_and_tanh<const FUSED: bool>(a: f64, b: f64) -> (f64, f64) {
        (a.sigmoid(), b.tanh())
    }
    #[inline(always)]
    fn tangent<const FUSED: bool>(a: f64) -> f64 {
        a.tanh()
    }
}

/// Largest |x| of which e^x is taken: two such factors do not overflow. The sigmoid ends at 2e-19 there.
const WIDEST: f32 = 43.0;

#[inline(always)]
fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// (s, q) with e^x = s (1 + q), s a power of two, for |x| <= 87: x = n ln 2 + r, q a polynomial in |r| <= ln 2 / 2.
#[inline(always)]
fn power<const FUSED: bool>(x: f32) -> (f32, f32) {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
    let shifted = fma::<FUSED>(x, std::f32::consts::LOG2_E, 12_582_912.0);
    let n = shifted - 12_582_912.0;
    let r = fma::<FUSED>(n, 2.121_944_4e-4, fma::<FUSED>(n, -0.693_359_4, x));
    let mut p = 1.0 / 5040.0;
    p = fma::<FUSED>(p, r, 1.0 / 720.0);
    p = fma::<FUSED>(p, r, 1.0 / 120.0);
    p = fma::<FUSED>(p, r, 1.0 / 24.0);
    p = fma::<FUSED>(p, r, 1.0 / 6.0);
    p = fma::<FUSED>(p, r, 0.5);
    let q = fma::<FUSED>(p * r, r, r);
    (f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000)), q)
}

/// 1 + e^-x.
#[inline(always)]
fn denominator<const FUSED: bool>(x: f32) -> f32 {
    let (s, q) = power::<FUSED>(-x.clamp(-WIDEST, WIDEST));
    fma::<FUSED>(s, q, s) + 1.0
}

/// e^2x - 1, to the last places also near zero; tanh x is this over itself plus 2.
#[inline(always)]
fn growth<const FUSED: bool>(x: f32) -> f32 {
    let (s, q) = power::<FUSED>(2.0 * x.clamp(-10.0, 10.0));
    fma::<FUSED>(s, q, s - 1.0)
}

impl Gate for f32 {
    #[inline(always)]
    fn sigmoids<const FUSED: bool>(a: f32, b: f32) -> (f32, f32) {
        let (a, b) = (denominator::<FUSED>(a), denominator::<FUSED>(b));
        let r = 1.0 / (a * b);
        (b * r, a * r)
    }
    #[inline(always)]
    fn sigmoid_and_tanh<const FUSED: bool>(a: f32, b: f32) -> (f32, f32) {
        let (a, t) = (denominator::<FUSED>(a), growth::<FUSED>(b));
        let r = 1.0 / (a * (t + 2.0));
        ((t + 2.0) * r, t * (a * r))
    }
    #[inline(always)]
    fn tangent<const FUSED: bool>(a: f32) -> f32 {
        let t = growth::<FUSED>(a);
        t / (t + 2.0)
    }
}

/// [`Gate::sigmoids`] of all.
#[inline(always)]
pub(super) fn sigmoids<T: Gate, const FUSED: bool>(a: &mut [T; UNITS], b: &mut [T; UNITS]) {
    for j in 0..UNITS {
        (a[j], b[j]) = T::sigmoids::<FUSED>(a[j], b[j]);
    }
}

/// [`Gate::sigmoid_and_tanh`] of all.
#[inline(always)]
pub(super) fn sigmoid_and_tanh<T: Gate, const FUSED: bool>(a: &mut [T; UNITS], b: &mut [T; UNITS]) {
    for j in 0..UNITS {
        (a[j], b[j]) = T::sigmoid_and_tanh::<FUSED>(a[j], b[j]);
    }
}

/// [`Gate::tangent`] of all.
#[inline(always)]
pub(super) fn tangents<T: Gate, const FUSED: bool>(a: &mut [T; UNITS]) {
    for v in a {
        *v = T::tangent::<FUSED>(*v);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest error in units in the last place of the result.
    fn check<const FUSED: bool>() {
        let ulp = |v: f64| f64::from(f32::from_bits((v.abs() as f32).to_bits() + 1)) - f64::from(v.abs() as f32);
        let n = 40_000;
        for i in 0..=n {
            let x = (i as f32 / n as f32 - 0.5) * 40.0;
            for x in [x, x * 1e-3, x * 1e-6] {
                let exact = f64::from(x);
                let (tanh, sigmoid) = (exact.tanh(), 1.0 / (1.0 + (-exact).exp()));
                let y = -0.7 * x;
                let (a, b) = f32::sigmoids::<FUSED>(x, y);
                let other = 1.0 / (1.0 + (-f64::from(y)).exp());
                let (c, d) = f32::sigmoid_and_tanh::<FUSED>(x, x);
                let e = f32::tangent::<FUSED>(x);
                for (got, want, most) in
                    [(a, sigmoid, 8.0), (b, other, 8.0), (c, sigmoid, 8.0), (d, tanh, 8.0), (e, tanh, 6.0)]
                {
                    let error = (f64::from(got) - want).abs() / ulp(want);
                    assert!(error <= most, "at {x}: {got} for {want}, {error} units");
                }
            }
        }
        for (x, sigmoid, tanh) in [(f32::INFINITY, 1.0, 1.0), (f32::NEG_INFINITY, 0.0, -1.0), (1e30, 1.0, 1.0)] {
            let (a, b) = f32::sigmoid_and_tanh::<FUSED>(x, x);
            assert!((a - sigmoid).abs() < 1e-18 && b == tanh, "{x}: {a} {b}");
            assert_eq!(f32::tangent::<FUSED>(x), tanh);
        }
        let nan = f32::sigmoid_and_tanh::<FUSED>(f32::NAN, 0.0);
        assert!(nan.0.is_nan() && f32::tangent::<FUSED>(f32::NAN).is_nan());
        assert!(f32::sigmoids::<FUSED>(f32::NAN, 0.0).0.is_nan());
        assert_eq!(f32::tangent::<FUSED>(0.0), 0.0);
    }

    #[test]
    fn gates_are_near_the_exact_functions() {
        check::<true>();
        check::<false>();
    }
}
