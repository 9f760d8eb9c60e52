//! Elementary functions. For f32 they are branch-free polynomials that vectorise; for f64 the
//! system's, or the `libm` crate's where the standard library has none.

/// The numbers an operation can compute with.
pub(crate) trait Num: Copy + PartialOrd + Send + Sync + 'static {
    const ZERO: Self;
    const ONE: Self;
    fn add(self, o: Self) -> Self;
    fn sub(self, o: Self) -> Self;
    fn mul(self, o: Self) -> Self;
    fn div(self, o: Self) -> Self;
    fn neg(self) -> Self;
    fn abs(self) -> Self;
    fn from_f64(v: f64) -> Self;
}

macro_rules! float_num { ($($t:ty),*) => {$(
    impl Num for $t {
        const ZERO: Self = 0.0;
        const ONE: Self = 1.0;
        #[inline(always)] fn add(self, o: Self) -> Self { self + o }
        #[inline(always)] fn sub(self, o: Self) -> Self { self - o }
        #[inline(always)] fn mul(self, o: Self) -> Self { self * o }
        #[inline(always)] fn div(self, o: Self) -> Self { self / o }
        #[inline(always)] fn neg(self) -> Self { -self }
        #[inline(always)] fn abs(self) -> Self { <$t>::abs(self) }
        #[inline(always)] fn from_f64(v: f64) -> Self { v as $t }
    }
)*} }
// Integers wrap, as NumPy's and PyTorch's do; division by zero gives zero rather than a crash.
macro_rules! int_num { ($($t:ty: $abs:ident),*) => {$(
    impl Num for $t {
        const ZERO: Self = 0;
        const ONE: Self = 1;
        #[inline(always)] fn add(self, o: Self) -> Self { self.wrapping_add(o) }
        #[inline(always)] fn sub(self, o: Self) -> Self { self.wrapping_sub(o) }
        #[inline(always)] fn mul(self, o: Self) -> Self { self.wrapping_mul(o) }
        #[inline(always)] fn div(self, o: Self) -> Self { self.checked_div(o).unwrap_or(0) }
        #[inline(always)] fn neg(self) -> Self { self.wrapping_neg() }
        #[inline(always)] fn abs(self) -> Self { self.$abs() }
        #[inline(always)] fn from_f64(v: f64) -> Self { v as $t }
    }
)*} }
float_num!(f32, f64);
int_num!(i64: wrapping_abs, i32: wrapping_abs, u8: into);

/// Floating-point numbers with the elementary functions.
pub(crate) trait Real: Num {
    fn is_nan(self) -> bool;
    fn sqrt(self) -> Self;
    fn exp(self) -> Self;
    /// [`exp`](Real::exp) for arguments below 80: 0 where the result is below the smallest normal number.
    #[inline(always)]
    fn exp_below(self) -> Self {
        self.exp()
    }
    fn exp_m1(self) -> Self;
    fn ln(self) -> Self;
    fn ln_1p(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn tan(self) -> Self;
    fn asin(self) -> Self;
    fn acos(self) -> Self;
    fn atan(self) -> Self;
    fn sinh(self) -> Self;
    fn cosh(self) -> Self;
    fn tanh(self) -> Self;
    fn asinh(self) -> Self;
    fn acosh(self) -> Self;
    fn atanh(self) -> Self;
    fn erf(self) -> Self;
    fn erfc(self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    /// To the nearest integer, halves to the even one.
    fn round(self) -> Self;
    fn trunc(self) -> Self;
    fn powf(self, e: Self) -> Self;
    fn powi(self, e: i32) -> Self;
    /// 1 / (1 + e^-x) without overflow.
    fn sigmoid(self) -> Self;
}

macro_rules! system { ($t:ty: $($f:ident),*) => { $( #[inline(always)] fn $f(self) -> Self { <$t>::$f(self) } )* } }

impl Real for f64 {
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }
    system!(f64: sqrt, exp, exp_m1, ln, ln_1p, sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, asinh, acosh, atanh, floor, ceil, trunc);
    #[inline(always)]
    fn erf(self) -> Self {
        libm::erf(self)
    }
    #[inline(always)]
    fn erfc(self) -> Self {
        libm::erfc(self)
    }
    #[inline(always)]
    fn round(self) -> Self {
        self.round_ties_even()
    }
    #[inline(always)]
    fn powf(self, e: Self) -> Self {
        f64::powf(self, e)
    }
    #[inline(always)]
    fn powi(self, e: i32) -> Self {
        f64::powi(self, e)
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        if self >= 0.0 {
            1.0 / (1.0 + (-self).exp())
        } else {
            let e = self.exp();
            e / (1.0 + e)
        }
    }
}

impl Real for f32 {
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }
    system!(f32: sqrt, tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh, floor, ceil, trunc);
    #[inline(always)]
    fn exp(self) -> Self {
        exp(self)
    }
    #[inline(always)]
    fn exp_below(self) -> Self {
        exp_below(self)
    }
    #[inline(always)]
    fn exp_m1(self) -> Self {
        exp_m1(self)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        ln_1p(self)
    }
    #[inline(always)]
    fn sin(self) -> Self {
        sine(self, 0)
    }
    #[inline(always)]
    fn cos(self) -> Self {
        sine(self, 1)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        ln(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        tanh(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        erf(self)
    }
    #[inline(always)]
    fn erfc(self) -> Self {
        libm::erfcf(self)
    }
    #[inline(always)]
    fn round(self) -> Self {
        self.round_ties_even()
    }
    #[inline(always)]
    fn powf(self, e: Self) -> Self {
        f32::powf(self, e)
    }
    #[inline(always)]
    fn powi(self, e: i32) -> Self {
        f32::powi(self, e)
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        // exp saturates to infinity, whose reciprocal is the right limit.
        1.0 / (1.0 + exp(-self))
    }
}

/// e^x for f32: x = n ln 2 + r with |r| <= ln 2 / 2, a degree-7 polynomial in r, and 2^n in two
/// factors so that subnormal results are right. Error at most 2 units in the last place.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // A NaN stays one in all that follows.
    let (p, n) = exp_parts(x.clamp(-104.0, 89.0));
    let half = n >> 1;
    let pow2 = |e: i32| f32::from_bits((e.wrapping_add(127) as u32) << 23);
    p * pow2(half) * pow2(n.wrapping_sub(half))
}

/// [`exp`] without its ends: x below 80 or so, and 0 where the result would be subnormal.
#[inline(always)]
fn exp_below(x: f32) -> f32 {
    // At -127 ln 2 the exponent's bits are all 0, and so is the factor.
    let c = if x < -88.029_69 { -88.029_69 } else { x };
    let (p, n) = exp_parts(c);
    p * f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// e^r and n for c = n ln 2 + r.
#[inline(always)]
fn exp_parts(c: f32) -> (f32, i32) {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits: `as i32` would not vectorise.
    let shifted = c * std::f32::consts::LOG2_E + 12_582_912.0;
    let n = shifted - 12_582_912.0;
    let r = c - n * LN2_HIGH - n * LN2_LOW;
    // The small terms first, so that only the last addition rounds at full size.
    ((exp_tail(r) * r * r + r) + 1.0, (shifted.to_bits() as i32).wrapping_sub(0x4b40_0000))
}

/// (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2.
#[inline(always)]
fn exp_tail(r: f32) -> f32 {
    let mut p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p * r + 0.5
}

/// e^x - 1 for f32, with [`exp`]'s parts: 2^n (e^r - 1) + (2^n - 1). Error at most 3 units in the last place.
#[inline(always)]
fn exp_m1(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let c = x.clamp(-30.0, 88.0);
    let shifted = c * std::f32::consts::LOG2_E + 12_582_912.0;
    let n = shifted - 12_582_912.0;
    let r = c - n * LN2_HIGH - n * LN2_LOW;
    let small = exp_tail(r) * r * r + r;
    let n = (shifted.to_bits() as i32).wrapping_sub(0x4b40_0000);
    let pow2 = f32::from_bits((n.wrapping_add(127) as u32) << 23);
    let y = pow2 * small + (pow2 - 1.0);
    // Beyond, the 1 is nothing beside the exponential.
    if x > 80.0 { exp(x) } else { y }
}

/// ln(1 + x) for f32: the logarithm of the rounded sum, and what the rounding has lost. Error at most 3 units in the
/// last place.
#[inline(always)]
fn ln_1p(x: f32) -> f32 {
    let sum = 1.0 + x;
    let lost = (x - (sum - 1.0)) / sum;
    let y = ln(sum) + lost;
    // At -1 and at infinity the correction is NaN.
    if sum == 0.0 || sum == f32::INFINITY { ln(sum) } else { y }
}

/// erf x for f32: x times a polynomial in x^2 near zero, 1 - e^q(|x|) elsewhere. Error at most 3 units in the last
/// place. The coefficients are a least-squares fit on Chebyshev nodes with Lawson's weights.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let mut p = 8.345_216e-5;
    p = p * z - 8.137_435_6e-4;
    p = p * z + 5.200_634_2e-3;
    p = p * z - 2.685_927e-2;
    p = p * z + 1.128_369_4e-1;
    p = p * z - 3.761_263_5e-1;
    p = p * z + 1.283_791_7e-1;
    let near = p * x + x;
    // ln erfc: from 4 on, erf rounds to 1.
    let t = if a > 4.0 { 4.0 } else { a };
    let mut q = -2.109_531_9e-5;
    q = q * t + 4.344_655_6e-4;
    q = q * t - 4.171_076e-3;
    q = q * t + 2.511_946_1e-2;
    q = q * t - 1.082_801_4e-1;
    q = q * t - 6.333_468_6e-1;
    q = q * t - 1.295_149_5e-1;
    q = q * t + 1.746_882_8e-4;
    let far = (1.0 - exp_below(q - t)).copysign(x);
    if a < 0.93 || x.is_nan() { near } else { far }
}

/// sin(x + quarter pi / 2) for f32: x = n pi / 2 + r with |r| <= pi / 4, and a polynomial in r. The reduction is in f64,
/// so the error is at most 1.5e-7 up to 1e9, where neighbouring arguments are 64 apart.
#[inline(always)]
fn sine(x: f32, quarter: i32) -> f32 {
    // pi / 2 in two parts, the first so short that its products with n are exact.
    const HIGH: f64 = 1.570_796_325_802_803;
    const LOW: f64 = std::f64::consts::FRAC_PI_2 - HIGH;
    let wide = x as f64;
    // Adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits.
    let shifted = wide * std::f64::consts::FRAC_2_PI + 6_755_399_441_055_744.0;
    let n = shifted - 6_755_399_441_055_744.0;
    // Beyond 2^50 there is nothing to reduce; the result stays a sine all the same.
    let r = (((wide - n * HIGH) - n * LOW) as f32).clamp(-0.8, 0.8);
    let z = r * r;
    let mut s = 2.755_731_9e-6;
    s = s * z - 1.984_127e-4;
    s = s * z + 8.333_334e-3;
    s = s * z - 1.666_666_7e-1;
    let sin = s * z * r + r;
    let mut c = -2.755_732e-7;
    c = c * z + 2.480_158_7e-5;
    c = c * z - 1.388_888_9e-3;
    c = c * z + 4.166_666_8e-2;
    let cos = c * z * z - 0.5 * z + 1.0;
    let turn = (shifted.to_bits() as i32).wrapping_add(quarter);
    let y = if turn & 1 == 0 { sin } else { cos };
    if turn & 2 == 0 { y } else { -y }
}

/// ln x for f32: x = 2^e m with m in [sqrt(1/2), sqrt 2), and a polynomial in m - 1.
/// Error at most 2 units in the last place.
#[inline(always)]
fn ln(x: f32) -> f32 {
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = if subnormal { x * 8_388_608.0 } else { x };
    let bits = scaled.to_bits();
    // Centre the mantissa around 1 by adding the distance from sqrt(1/2) before splitting.
    let t = bits.wrapping_sub(0x3f35_04f3);
    let e = (t as i32 >> 23) as f32 - if subnormal { 23.0 } else { 0.0 };
    let m = f32::from_bits((t & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    // ln(1 + m) = 2 atanh(s), s = m / (2 + m); the series in s^2 converges fast for |s| < 0.172.
    let s = m / (2.0 + m);
    let z = s * s;
    let mut p = 2.0 / 9.0;
    p = p * z + 2.0 / 7.0;
    p = p * z + 2.0 / 5.0;
    p = p * z + 2.0 / 3.0;
    let half_square = 0.5 * m * m;
    // m - m^2/2 + s (m^2/2 + z p) keeps the leading terms exact.
    let small = s * (half_square + z * p);
    let y = e * 0.693_359_4 + (m - (half_square - (small + e * -2.121_944_4e-4)));
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x < 0.0 || x.is_nan() { f32::NAN } else { y }
}

/// tanh for f32: an odd polynomial near zero, 1 - 2 / (e^2x + 1) elsewhere. Error at most 3 units
/// in the last place.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let mut p = -5.704_988e-3;
    p = p * z + 2.063_909e-2;
    p = p * z - 5.373_971e-2;
    p = p * z + 1.333_144e-1;
    p = p * z - 3.333_328e-1;
    let near = p * z * x + x;
    let far = (1.0 - 2.0 / (exp(2.0 * a) + 1.0)).copysign(x);
    if a < 0.625 { near } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest error of `f` against the f64 function, in units in the last place of the result.
    fn worst(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, from: f32, to: f32) -> f64 {
        let n = 200_000;
        (0..=n)
            .map(|i| {
                let x = from + (to - from) * (i as f32 / n as f32);
                let want = exact(x as f64);
                let ulp =
                    (f32::from_bits((want.abs() as f32).to_bits() + 1) as f64 - (want.abs() as f32) as f64).max(1e-45);
                (f(x) as f64 - want).abs() / ulp
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_within_their_stated_error() {
        assert!(worst(exp, f64::exp, -87.0, 88.0) <= 2.0, "{}", worst(exp, f64::exp, -87.0, 88.0));
        assert!(worst(exp, f64::exp, -103.0, -87.0) <= 2.0);
        for (a, b) in [(1e-40, 1e-37), (1e-6, 0.5), (0.5, 2.0), (2.0, 1e6), (1e6, 3e38)] {
            let w = worst(ln, f64::ln, a, b);
            assert!(w <= 2.0, "ln on {a}..{b}: {w}");
        }
        let w = worst(tanh, f64::tanh, -12.0, 12.0);
        assert!(w <= 3.0, "tanh: {w}");
        let w = worst(exp_below, f64::exp, -87.0, 80.0);
        assert!(w <= 2.0, "exp_below: {w}");
        for (a, b) in [(-20.0, -1.0), (-1.0, -1e-6), (1e-6, 1.0), (1.0, 88.0)] {
            let w = worst(exp_m1, f64::exp_m1, a, b);
            assert!(w <= 3.0, "exp_m1 on {a}..{b}: {w}");
        }
        for (a, b) in [(-0.999, -0.1), (-0.1, -1e-7), (1e-7, 1e-3), (1e-3, 1.0), (1.0, 1e6)] {
            let w = worst(ln_1p, f64::ln_1p, a, b);
            assert!(w <= 3.0, "ln_1p on {a}..{b}: {w}");
        }
        for (a, b) in [(-5.0, 5.0), (1e-8, 1e-3), (0.9, 0.96)] {
            let w = worst(erf, libm::erf, a, b);
            assert!(w <= 3.0, "erf on {a}..{b}: {w}");
        }
        for i in -200_000..200_000 {
            let x = (i as f32 / 200_000.0).powi(3) * 1e4;
            let (s, c) = (Real::sin(x) as f64 - (x as f64).sin(), Real::cos(x) as f64 - (x as f64).cos());
            assert!(s.abs() < 1.5e-7 && c.abs() < 1.5e-7, "{x}: {s} {c}");
        }
        assert!((Real::sin(1.234_567_9e8f32) as f64 - (1.234_567_9e8f32 as f64).sin()).abs() < 1.5e-7);
        let w = worst(Real::sigmoid, |x| 1.0 / (1.0 + (-x).exp()), -80.0, 80.0);
        assert!(w <= 4.0, "sigmoid: {w}");
    }

    #[test]
    fn limits_are_right() {
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan() && ln(f32::NAN).is_nan() && ln(-1.0).is_nan() && tanh(f32::NAN).is_nan());
        assert_eq!((exp_below(f32::NEG_INFINITY), exp_below(-89.0), exp_below(0.0)), (0.0, 0.0, 1.0));
        assert!(exp_below(f32::NAN).is_nan() && exp_m1(f32::NAN).is_nan() && ln_1p(f32::NAN).is_nan());
        assert!(erf(f32::NAN).is_nan() && sine(f32::NAN, 0).is_nan() && sine(f32::INFINITY, 1).is_nan());
        assert_eq!((exp_m1(f32::NEG_INFINITY), exp_m1(0.0), exp_m1(f32::INFINITY)), (-1.0, 0.0, f32::INFINITY));
        assert_eq!((ln_1p(-1.0), ln_1p(0.0), ln_1p(f32::INFINITY)), (f32::NEG_INFINITY, 0.0, f32::INFINITY));
        assert!(ln_1p(-1.5).is_nan());
        assert_eq!((erf(0.0), erf(f32::INFINITY), erf(f32::NEG_INFINITY)), (0.0, 1.0, -1.0));
        assert_eq!((sine(0.0, 0), sine(0.0, 1)), (0.0, 1.0));
        assert_eq!((ln(0.0), ln(1.0), ln(f32::INFINITY)), (f32::NEG_INFINITY, 0.0, f32::INFINITY));
        assert_eq!((tanh(-50.0), tanh(0.0), tanh(f32::INFINITY)), (-1.0, 0.0, 1.0));
        assert_eq!((Real::sigmoid(-200.0f32), Real::sigmoid(200.0f32)), (0.0, 1.0));
    }
}
