//! Functions of one element.
//!
//! A row of the table is all there is to such an operation: its name, its doc, the function and the
//! derivative as a tensor expression in the input `x` or the output `y`.

use crate::autograd::{Ctx, is_grad_enabled, no_gradient, record, record_with_output};
use crate::dtype::DType;
use crate::kernels::map;
use crate::kernels::math::{Num, Real};
use crate::shape::Layout;
use crate::{Tensor, dispatch_float, dispatch_num};
use std::f64::consts::{LN_2, LN_10, PI};

/// Applies `f` to f32 or f64 elements: as a further step where the operand has not been computed yet.
macro_rules! apply {
    ($self:expr, $op:expr, |$v:ident : $t:ident| $f:expr) => {{
        let activation = || $crate::deferred::Activation {
            f32: {
                type $t = f32;
                std::sync::Arc::new(move |run: &mut [f32]| map::in_place(run, #[inline(always)] |$v: $t| $f))
            },
            f64: {
                type $t = f64;
                std::sync::Arc::new(move |run: &mut [f64]| map::in_place(run, #[inline(always)] |$v: $t| $f))
            },
        };
        match $crate::deferred::then($self, activation) {
            Some(out) => out,
            None => {
                let x = $self.contiguous_data();
                dispatch_float!($self.dtype(), $op, $t => {
                    let src = x.read::<$t>();
                    Tensor::build::<$t>(x.shape(), |out| map::unary(&src, out, #[inline(always)] |$v: $t| $f))
                })
            }
        }
    }};
}

/// The gradient `g` times `f` of the elements of `x`, in one pass.
macro_rules! chain {
    ($g:expr, $x:expr, $op:expr, |$v:ident : $t:ident| $f:expr) => {{
        let (g, x) = ($g.contiguous_data(), $x.contiguous_data());
        let (shape, layout) = (g.shape(), Layout::contiguous(g.shape()));
        dispatch_float!(g.dtype(), $op, $t => {
            let (gs, xs) = (g.read::<$t>(), x.read::<$t>());
            Tensor::build::<$t>(shape, |out| {
                map::binary((&gs, &layout), (&xs, &layout), &shape, out, #[inline(always)] |g: $t, $v: $t| Num::mul(g, $f))
            })
        })
    }};
}

/// Each row: name, function, what the derivative is made of, the derivative as a tensor expression and, where that
/// takes several passes, also as a function of one element (of the input or the output `v`) for use outside graphs.
macro_rules! unary_ops {
    ($( $(#[$doc:meta])* $name:ident($v:ident) = $f:expr; $kind:ident |$a:ident| $d:expr $(, at $s:expr)?; )*) => {
        impl Tensor { $(
            $(#[$doc])*
            ///
            /// # Panics
            /// If the elements are not f32 or f64.
            #[track_caller]
            pub fn $name(&self) -> Tensor {
                let out = apply!(self, stringify!($name), |$v: T| $f);
                unary_ops!(@$kind self, stringify!($name), out, |$a| $d, $v $(, $s)?)
            }
        )* }
    };
    (@input $self:ident, $op:expr, $out:ident, |$x:ident| $d:expr, $v:ident $(, $s:expr)?) => {{
        let saved = $self.save();
        record($op, $out, &[$self], move |ctx| ctx.set(0, || {
            let $x: &Tensor = &saved;
            $(if !is_grad_enabled() {
                return chain!(ctx.grad(), $x, $op, |$v: T| $s);
            })?
            ctx.grad() * ($d)
        }))
    }};
    (@output $self:ident, $op:expr, $out:ident, |$y:ident| $d:expr, $v:ident $(, $s:expr)?) => {
        record_with_output($op, $out, &[$self], |ctx| ctx.set(0, || {
            let $y = ctx.output();
            $(if !is_grad_enabled() {
                return chain!(ctx.grad(), $y, $op, |$v: T| $s);
            })?
            ctx.grad() * ($d)
        }))
    };
    (@nothing $self:ident, $op:expr, $out:ident, |$x:ident| $d:expr, $v:ident) => {
        no_gradient($op, $out, &[$self])
    };
}

pub(super) use {apply, chain, unary_ops};

unary_ops! {
    /// e^x.
    exp(v) = Real::exp(v); output |y| y;
    /// e^x - 1, exact for small x.
    exp_m1(v) = Real::exp_m1(v); output |y| y + 1.0;
    /// Natural logarithm: NaN below zero, -inf at zero.
    log(v) = Real::ln(v); input |x| x.reciprocal();
    /// ln(1 + x), exact for small x.
    log1p(v) = Real::ln_1p(v); input |x| (x + 1.0).reciprocal();
    /// Logarithm to the base 2.
    log2(v) = Real::ln(v).mul(T::from_f64(1.0 / LN_2)); input |x| (x * LN_2).reciprocal();
    /// Logarithm to the base 10.
    log10(v) = Real::ln(v).mul(T::from_f64(1.0 / LN_10)); input |x| (x * LN_10).reciprocal();
    /// Square root.
    sqrt(v) = Real::sqrt(v); output |y| (y * 2.0).reciprocal();
    /// 1 / sqrt(x).
    rsqrt(v) = T::ONE.div(Real::sqrt(v)); output |y| y.pow(3.0) * -0.5;
    /// 1 / x.
    reciprocal(v) = T::ONE.div(v); output |y| -y.square();
    /// Sine.
    sin(v) = Real::sin(v); input |x| x.cos();
    /// Cosine.
    cos(v) = Real::cos(v); input |x| -x.sin();
    /// Tangent.
    tan(v) = Real::tan(v); output |y| y.square() + 1.0;
    /// Inverse sine.
    asin(v) = Real::asin(v); input |x| (1.0 - x.square()).rsqrt();
    /// Inverse cosine.
    acos(v) = Real::acos(v); input |x| -(1.0 - x.square()).rsqrt();
    /// Inverse tangent.
    atan(v) = Real::atan(v); input |x| (x.square() + 1.0).reciprocal();
    /// Hyperbolic sine, (e^x - e^-x) / 2.
    sinh(v) = Real::sinh(v); input |x| x.cosh();
    /// Hyperbolic cosine, (e^x + e^-x) / 2; its derivative is sinh x.
    cosh(v) = Real::cosh(v); input |x| x.sinh();
    /// Hyperbolic tangent; its derivative is 1 - tanh^2 x.
    tanh(v) = Real::tanh(v); output |y| 1.0 - y.square(), at T::ONE.sub(v.mul(v));
    /// Inverse hyperbolic sine.
    asinh(v) = Real::asinh(v); input |x| (x.square() + 1.0).rsqrt();
    /// Inverse hyperbolic cosine.
    acosh(v) = Real::acosh(v); input |x| (x.square() - 1.0).rsqrt();
    /// Inverse hyperbolic tangent.
    atanh(v) = Real::atanh(v); input |x| (1.0 - x.square()).reciprocal();
    /// Error function, 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x.
    erf(v) = Real::erf(v); input |x| (-x.square()).exp() * (2.0 / PI.sqrt());
    /// 1 - erf x, exact where erf x is near 1.
    erfc(v) = Real::erfc(v); input |x| (-x.square()).exp() * (-2.0 / PI.sqrt());
    /// 1 / (1 + e^-x); its derivative is y - y^2.
    sigmoid(v) = Real::sigmoid(v); output |y| y - y.square(), at v.sub(v.mul(v));
    /// x * Phi(x) with the normal distribution function Phi
    /// (Hendrycks and Gimpel, <https://arxiv.org/abs/1606.08415>).
    gelu(v) = v.mul(T::from_f64(0.5)).mul(T::ONE.add(Real::erf(v.mul(T::from_f64(std::f64::consts::FRAC_1_SQRT_2)))));
        input |x| ((x * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5 + x * (x.square() * -0.5).exp() * (1.0 / (2.0 * PI).sqrt()),
        at {
            let half = T::from_f64(0.5);
            let cumulated = half.add(half.mul(Real::erf(v.mul(T::from_f64(std::f64::consts::FRAC_1_SQRT_2)))));
            let density = Real::exp(v.mul(v).mul(half.neg())).mul(T::from_f64(1.0 / (2.0 * PI).sqrt()));
            cumulated.add(v.mul(density))
        };
    /// x * sigmoid(x), also called swish.
    silu(v) = v.mul(Real::sigmoid(v)); input |x| { let s = x.sigmoid(); &s * (x * (1.0 - &s) + 1.0) },
        at { let s = Real::sigmoid(v); s.mul(v.mul(T::ONE.sub(s)).add(T::ONE)) };
    /// ln(1 + e^x), without overflow.
    softplus(v) = (if v > T::ZERO { v } else { T::ZERO }).add(Real::ln_1p(Real::exp(Num::abs(v).neg()))); input |x| x.sigmoid(), at Real::sigmoid(v);
    /// ln sigmoid(x) = -softplus(-x), without overflow.
    log_sigmoid(v) = (if v < T::ZERO { v } else { T::ZERO }).sub(Real::ln_1p(Real::exp(Num::abs(v).neg()))); input |x| (-x).sigmoid(), at Real::sigmoid(v.neg());
    /// Largest integer not above x. It has no useful gradient.
    floor(v) = Real::floor(v); nothing |x| x;
    /// Smallest integer not below x. It has no useful gradient.
    ceil(v) = Real::ceil(v); nothing |x| x;
    /// Nearest integer, halves to the even one. It has no useful gradient.
    round(v) = Real::round(v); nothing |x| x;
    /// Integer part. It has no useful gradient.
    trunc(v) = Real::trunc(v); nothing |x| x;
    /// -1, 0 or 1. It has no useful gradient.
    sign(v) = if v > T::ZERO { T::ONE } else if v < T::ZERO { T::ONE.neg() } else { v }; nothing |x| x;
    /// 0 below zero, else 1 (the perceptron's step). It has no useful gradient.
    heaviside(v) = if v < T::ZERO { T::ZERO } else { T::ONE }; nothing |x| x;
}

/// Where a gradient passes, told by the result of a piecewise linear function.
#[derive(Clone, Copy)]
enum Gate {
    /// Strictly between two limits.
    Inside(f64, f64),
    /// Above zero as it is, times the slope elsewhere.
    Leaky(f64),
}

impl Tensor {
    /// Elements in row-major order, outside the graph; no copy if they are already.
    pub(crate) fn contiguous_data(&self) -> Tensor {
        if self.is_contiguous() { self.clone() } else { self.packed() }
    }

    /// -x.
    ///
    /// # Panics
    /// For bool, f16 and bf16.
    #[track_caller]
    pub fn neg(&self) -> Tensor {
        let x = self.contiguous_data();
        let out = dispatch_num!(self.dtype(), "neg", T => {
            let src = x.read::<T>();
            Tensor::build::<T>(x.shape(), |out| map::unary(&src, out, |v: T| Num::neg(v)))
        });
        record("neg", out, &[self], |ctx| ctx.set(0, || ctx.grad().neg()))
    }

    /// |x|. The derivative is the sign of x, 0 at 0.
    ///
    /// # Panics
    /// For bool, f16 and bf16.
    #[track_caller]
    pub fn abs(&self) -> Tensor {
        let x = self.contiguous_data();
        let out = dispatch_num!(self.dtype(), "abs", T => {
            let src = x.read::<T>();
            Tensor::build::<T>(x.shape(), |out| map::unary(&src, out, Num::abs))
        });
        let saved = self.save();
        record("abs", out, &[self], move |ctx| ctx.set(0, || ctx.grad() * saved.detach().sign()))
    }

    /// x^2.
    ///
    /// # Panics
    /// For bool, f16 and bf16.
    #[track_caller]
    pub fn square(&self) -> Tensor {
        let x = self.contiguous_data();
        let out = dispatch_num!(self.dtype(), "square", T => {
            let src = x.read::<T>();
            Tensor::build::<T>(x.shape(), |out| map::unary(&src, out, |v: T| Num::mul(v, v)))
        });
        let saved = self.save();
        record("square", out, &[self], move |ctx| ctx.set(0, || ctx.grad() * (&*saved * 2.0)))
    }

    /// x^e for a constant exponent.
    ///
    /// # Panics
    /// If the elements are not f32 or f64.
    #[track_caller]
    pub fn pow(&self, e: f64) -> Tensor {
        let out = if e.fract() == 0.0 && e.abs() <= 64.0 {
            let n = e as i32;
            apply!(self, "pow", |v: T| Real::powi(v, n))
        } else {
            apply!(self, "pow", |v: T| Real::powf(v, T::from_f64(e)))
        };
        let saved = self.save();
        record("pow", out, &[self], move |ctx| {
            ctx.set(0, || if e == 0.0 { ctx.grad() * 0.0 } else { ctx.grad() * (saved.pow(e - 1.0) * e) })
        })
    }

    /// max(x, 0); the derivative at 0 is taken as 0. NaN stays NaN.
    ///
    /// # Panics
    /// If the elements are not f32 or f64.
    #[track_caller]
    pub fn relu(&self) -> Tensor {
        let out = apply!(self, "relu", |v: T| if v < T::ZERO { T::ZERO } else { v });
        record_with_output("relu", out, &[self], |ctx| ctx.set(0, || ctx.grad().where_positive(ctx.output())))
    }

    /// This tensor where `y` (of the same shape) is positive, 0 elsewhere: a mask in one pass.
    #[track_caller]
    fn where_positive(&self, y: &Tensor) -> Tensor {
        let (g, y) = (self.contiguous_data(), y.detach().contiguous_data());
        let out = dispatch_float!(g.dtype(), "relu", T => {
            let (gs, ys) = (g.read::<T>(), y.read::<T>());
            let shape = g.shape();
            Tensor::build::<T>(shape, |out| {
                map::binary((&gs, &Layout::contiguous(shape)), (&ys, &Layout::contiguous(shape)), &shape, out,
                    #[inline(always)] |g: T, y: T| if y > T::ZERO { g } else { T::ZERO })
            })
        });
        record("relu_mask", out, &[self], move |ctx| ctx.set(0, || ctx.grad().where_positive(&y)))
    }

    /// x limited to `low ..= high`; the gradient passes where x lies strictly inside
    /// (as in PyTorch).
    ///
    /// # Panics
    /// If the elements are not f32 or f64.
    #[track_caller]
    pub fn clamp(&self, low: f64, high: f64) -> Tensor {
        let out = apply!(self, "clamp", |v: T| {
            let (low, high) = (T::from_f64(low), T::from_f64(high));
            let v = if v < low { low } else { v };
            if v > high { high } else { v }
        });
        // The limits are hit where x is not strictly inside, and only there: the result tells as much as x.
        record_with_output("clamp", out, &[self], move |ctx| {
            ctx.set(0, || ctx.grad().gated(ctx.output(), Gate::Inside(low, high)))
        })
    }

    /// x for x > 0, `slope * x` otherwise (Maas et al., 2013).
    ///
    /// # Panics
    /// If the elements are not f32 or f64.
    #[track_caller]
    pub fn leaky_relu(&self, slope: f64) -> Tensor {
        let out = apply!(self, "leaky_relu", |v: T| if v > T::ZERO { v } else { v.mul(T::from_f64(slope)) });
        if slope >= 0.0 {
            // Result and x are positive at the same places.
            let rule = move |ctx: &Ctx| ctx.set(0, || ctx.grad().gated(ctx.output(), Gate::Leaky(slope)));
            return record_with_output("leaky_relu", out, &[self], rule);
        }
        let saved = self.save();
        record("leaky_relu", out, &[self], move |ctx| ctx.set(0, || ctx.grad().gated(&saved, Gate::Leaky(slope))))
    }

    /// This tensor times a factor that follows from `y` (of the same shape), which is a constant here: one pass.
    #[track_caller]
    fn gated(&self, y: &Tensor, gate: Gate) -> Tensor {
        let (g, y) = (self.contiguous_data(), y.detach().contiguous_data());
        let out = dispatch_float!(g.dtype(), "gate", T => {
            let (gs, ys, shape) = (g.read::<T>(), y.read::<T>(), g.shape());
            let (gl, yl) = (Layout::contiguous(shape), Layout::contiguous(shape));
            let (a, b) = ((&gs[..], &gl), (&ys[..], &yl));
            Tensor::build::<T>(shape, |out| match gate {
                Gate::Inside(low, high) => {
                    let (low, high) = (T::from_f64(low), T::from_f64(high));
                    map::binary(a, b, &shape, out, #[inline(always)] |g: T, y: T| if (y > low) & (y < high) { g } else { T::ZERO })
                }
                Gate::Leaky(slope) => {
                    let slope = T::from_f64(slope);
                    map::binary(a, b, &shape, out, #[inline(always)] |g: T, y: T| g.mul(if y > T::ZERO { T::ONE } else { slope }))
                }
            })
        });
        record("gate", out, &[self], move |ctx| ctx.set(0, || ctx.grad().gated(&y, gate)))
    }

    /// Where the elements are NaN.
    ///
    /// # Panics
    /// If the elements are not f32 or f64.
    #[track_caller]
    pub fn isnan(&self) -> Tensor {
        let x = self.contiguous_data();
        dispatch_float!(self.dtype(), "isnan", T => {
            let src = x.read::<T>();
            Tensor::build_as::<u8>(DType::Bool, x.shape(), |out| map::unary(&src, out, |v: T| v.is_nan() as u8))
        })
    }

    /// Where the elements are infinite.
    ///
    /// # Panics
    /// If the elements are not f32 or f64.
    #[track_caller]
    pub fn isinf(&self) -> Tensor {
        let x = self.contiguous_data();
        dispatch_float!(self.dtype(), "isinf", T => {
            let src = x.read::<T>();
            Tensor::build_as::<u8>(DType::Bool, x.shape(), |out| map::unary(&src, out, |v: T| v.is_infinite() as u8))
        })
    }

    /// Where the elements are neither NaN nor infinite.
    ///
    /// # Panics
    /// If the elements are not f32 or f64.
    #[track_caller]
    pub fn isfinite(&self) -> Tensor {
        let x = self.contiguous_data();
        dispatch_float!(self.dtype(), "isfinite", T => {
            let src = x.read::<T>();
            Tensor::build_as::<u8>(DType::Bool, x.shape(), |out| map::unary(&src, out, |v: T| v.is_finite() as u8))
        })
    }
}
