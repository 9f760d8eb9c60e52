//! Activations of neural networks that are not already functions of everyday use (those are in `unary.rs`).
//!
//! The derivative of each is written so that no part of it overflows: at +-1e4 neither it nor its own derivative is
//! NaN.

use super::unary::{apply, chain, unary_ops};
use crate::autograd::{is_grad_enabled, record};
use crate::kernels::map;
use crate::kernels::math::{Num, Real};
use crate::shape::Layout;
use crate::{Tensor, dispatch_float};
use std::f64::consts::PI;

/// The factor of x^3 in the tanh form of GELU.
const CUBIC: f64 = 0.044715;

/// sqrt(2 / pi), the slope of the argument of tanh in GELU.
fn slope() -> f64 {
    (2.0 / PI).sqrt()
}

unary_ops! {
    /// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), close to [`gelu`](Tensor::gelu)
    /// (Hendrycks and Gimpel, <https://arxiv.org/abs/1606.08415>).
    gelu_tanh(v) = {
        let cube = v.mul(v).mul(v).mul(T::from_f64(CUBIC));
        let t = Real::tanh(v.add(cube).mul(T::from_f64(slope())));
        v.mul(T::from_f64(0.5)).mul(T::ONE.add(t))
    };
        input |x| {
            let square = x.square();
            let t = ((x * (&square * CUBIC + 1.0)) * slope()).tanh();
            (&t + 1.0) * 0.5 + x * (1.0 - t.square()) * (square * (3.0 * CUBIC) + 1.0) * (0.5 * slope())
        },
        at {
            let (square, half) = (v.mul(v), T::from_f64(0.5));
            let t = Real::tanh(v.mul(T::ONE.add(square.mul(T::from_f64(CUBIC)))).mul(T::from_f64(slope())));
            let inner = T::ONE.add(square.mul(T::from_f64(3.0 * CUBIC))).mul(T::from_f64(0.5 * slope()));
            half.mul(T::ONE.add(t)).add(v.mul(T::ONE.sub(t.mul(t))).mul(inner))
        };
    /// x tanh(softplus(x)) (Misra, 2019, <https://arxiv.org/abs/1908.08681>).
    mish(v) = {
        let positive = if v > T::ZERO { v } else { T::ZERO };
        v.mul(Real::tanh(positive.add(Real::ln_1p(Real::exp(Num::abs(v).neg())))))
    };
        input |x| { let t = x.softplus().tanh(); &t + x * (1.0 - t.square()) * x.sigmoid() },
        at {
            let positive = if v > T::ZERO { v } else { T::ZERO };
            let t = Real::tanh(positive.add(Real::ln_1p(Real::exp(Num::abs(v).neg()))));
            t.add(v.mul(T::ONE.sub(t.mul(t))).mul(Real::sigmoid(v)))
        };
    /// x / (1 + |x|), between -1 and 1.
    softsign(v) = v.div(T::ONE.add(Num::abs(v))); input |x| (x.abs() + 1.0).reciprocal().square();
    /// x / 6 + 1/2, limited to 0 ..= 1; the derivative at the corners is taken as 0
    /// (Courbariaux et al., 2015, <https://arxiv.org/abs/1511.00363>).
    hardsigmoid(v) = limited(v); input |x| within(x, 3.0) * (1.0 / 6.0),
        at if Num::abs(v) < T::from_f64(3.0) { T::from_f64(1.0 / 6.0) } else { T::ZERO };
    /// x times [`hardsigmoid`](Tensor::hardsigmoid) of x; the derivative is 0 at -3 and 1 at 3
    /// (Howard et al., 2019, <https://arxiv.org/abs/1905.02244>).
    hardswish(v) = v.mul(limited(v));
        input |x| within(x, 3.0) * (x * (1.0 / 3.0) + 0.5) + x.ge_scalar(3.0).to_dtype(x.dtype()),
        at if Num::abs(v) < T::from_f64(3.0) {
            v.mul(T::from_f64(1.0 / 3.0)).add(T::from_f64(0.5))
        } else if v > T::ZERO {
            T::ONE
        } else {
            T::ZERO
        };
}

/// x / 6 + 1/2 limited to 0 ..= 1.
#[inline(always)]
fn limited<T: Real>(v: T) -> T {
    let y = v.add(T::from_f64(3.0));
    let y = if y < T::ZERO { T::ZERO } else { y };
    let six = T::from_f64(6.0);
    if y > six { T::ONE } else { y.div(six) }
}

/// 1 where |x| < `bound`, else 0.
fn within(x: &Tensor, bound: f64) -> Tensor {
    x.detach().abs().lt_scalar(bound).to_dtype(x.dtype())
}

impl Tensor {
    /// x for x > 0, alpha (e^x - 1) otherwise (Clevert et al., 2015, <https://arxiv.org/abs/1511.07289>). The
    /// derivative at 0 is taken from below: alpha.
    ///
    /// # Panics
    /// If the elements are not f32 or f64.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let y = Tensor::from_slice(&[-1e4f32, 0.0, 2.0], [3]).elu(0.5);
    /// assert_eq!(y.to_vec::<f32>(), [-0.5, 0.0, 2.0]);
    /// ```
    #[track_caller]
    pub fn elu(&self, alpha: f64) -> Tensor {
        let out = apply!(self, "elu", |v: T| { if v > T::ZERO { v } else { Real::exp_m1(v).mul(T::from_f64(alpha)) } });
        let saved = self.save();
        record("elu", out, &[self], move |ctx| {
            ctx.set(0, || {
                let positive = saved.gt_scalar(0.0);
                // Above zero the exponential is not wanted and might overflow: its argument is a constant there.
                let below = saved.masked_fill(&positive, 0.0).exp() * alpha;
                ctx.grad() * below.masked_fill(&positive, 1.0)
            })
        })
    }

    /// x brought nearer to 0 by `lambd`: x - lambd above lambd, x + lambd below -lambd, 0 between, where the
    /// derivative is 0 too.
    ///
    /// # Panics
    /// If the elements are not f32 or f64.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let y = Tensor::from_slice(&[-2.0f32, 0.5, 3.0], [3]).softshrink(0.5);
    /// assert_eq!(y.to_vec::<f32>(), [-1.5, 0.0, 2.5]);
    /// ```
    #[track_caller]
    pub fn softshrink(&self, lambd: f64) -> Tensor {
        let out = apply!(self, "softshrink", |v: T| {
            let lambd = T::from_f64(lambd);
            if v > lambd {
                v.sub(lambd)
            } else if v < lambd.neg() {
                v.add(lambd)
            } else {
                // 0, or NaN for NaN.
                v.mul(T::ZERO)
            }
        });
        let saved = self.save();
        record("softshrink", out, &[self], move |ctx| {
            ctx.set(0, || ctx.grad() * saved.detach().abs().gt_scalar(lambd).to_dtype(saved.dtype()))
        })
    }
}
