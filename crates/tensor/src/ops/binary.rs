//! Functions of two elements, broadcast against each other.

use crate::autograd::record;
use crate::deferred;
use crate::dtype::DType;
use crate::kernels::map;
use crate::kernels::math::{Num, Real};
use crate::shape::Shape;
use crate::{Tensor, dispatch_float, dispatch_num, fail};

/// The operands converted to their common type, and the shape they broadcast to.
#[track_caller]
pub(crate) fn meet(op: &str, a: &Tensor, b: &Tensor) -> (Tensor, Tensor, Shape) {
    let Some(shape) = a.shape().broadcast(&b.shape()) else {
        let (sa, sb) = (a.shape(), b.shape());
        let n = sa.len().max(sb.len());
        let at = |s: &Shape, i: usize| if i + s.len() >= n { s[i + s.len() - n] } else { 1 };
        let bad = (0..n).rev().find(|&i| at(&sa, i) != at(&sb, i) && at(&sa, i) != 1 && at(&sb, i) != 1).unwrap_or(0);
        fail(
            op,
            format_args!(
                "shapes {sa} and {sb} do not broadcast: dimension {bad} is {} against {}",
                at(&sa, bad),
                at(&sb, bad)
            ),
        )
    };
    let dtype = a.dtype().promote(b.dtype());
    let cast = |t: &Tensor| if t.dtype() == dtype { t.clone() } else { t.to_dtype(dtype) };
    (cast(a), cast(b), shape)
}

/// Applies `f` to numbers of the operands' common type.
macro_rules! apply {
    ($dispatch:ident, $op:expr, $a:expr, $b:expr, |$x:ident, $y:ident : $t:ident| $f:expr) => {{
        let (a, b, shape) = meet($op, $a, $b);
        $dispatch!(a.dtype(), $op, $t => {
            let (ga, gb) = (a.read_storage::<$t>(), b.read_storage::<$t>());
            Tensor::build::<$t>(shape, |out| map::binary((&ga, a.layout()), (&gb, b.layout()), &shape, out, #[inline(always)] |$x: $t, $y: $t| $f))
        })
    }};
}

macro_rules! compare {
    ($($(#[$doc:meta])* $name:ident $scalar:ident $op:tt;)*) => { impl Tensor { $(
        $(#[$doc])*
        ///
        /// The result is Bool, of the broadcast shape, and counts as a constant in a graph.
        ///
        /// # Panics
        /// If the shapes do not broadcast.
        #[track_caller]
        pub fn $name(&self, other: &Tensor) -> Tensor {
            let (a, b, shape) = meet(stringify!($name), self, other);
            let (a, b) = if a.dtype() == DType::Bool { (a.to_dtype(DType::U8), b.to_dtype(DType::U8)) } else { (a, b) };
            dispatch_num!(a.dtype(), stringify!($name), T => {
                let (ga, gb) = (a.read_storage::<T>(), b.read_storage::<T>());
                Tensor::build_as::<u8>(DType::Bool, shape, |out| {
                    map::binary((&ga, a.layout()), (&gb, b.layout()), &shape, out, #[inline(always)] |x: T, y: T| (x $op y) as u8)
                })
            })
        }

        /// The same comparison with a number.
        #[track_caller]
        pub fn $scalar(&self, value: f64) -> Tensor {
            self.$name(&scalar_for(self, value))
        }
    )* } };
}
compare! {
    /// Where the elements are equal.
    eq eq_scalar ==;
    /// Where the elements differ.
    ne ne_scalar !=;
    /// Where this tensor's element is less.
    lt lt_scalar <;
    /// Where this tensor's element is less or equal.
    le le_scalar <=;
    /// Where this tensor's element is greater.
    gt gt_scalar >;
    /// Where this tensor's element is greater or equal.
    ge ge_scalar >=;
}

/// A number as a tensor that does not change the type `t` is computed in, unless `t` holds integers
/// and the number is not one.
fn scalar_for(t: &Tensor, value: f64) -> Tensor {
    let dtype = match t.dtype() {
        d if d.is_float() => d,
        _ if value.fract() != 0.0 => DType::F32,
        DType::Bool => DType::I64,
        d => d,
    };
    Tensor::full_of((), value, dtype)
}

impl Tensor {
    /// Sum, element by element.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn add(&self, other: &Tensor) -> Tensor {
        let step = deferred::add(self, other).or_else(|| deferred::add(other, self));
        let out = step.unwrap_or_else(|| apply!(dispatch_num, "add", self, other, |x, y: T| Num::add(x, y)));
        record("add", out, &[self, other], |ctx| {
            ctx.set(0, || ctx.grad().clone());
            ctx.set(1, || ctx.grad().clone());
        })
    }

    /// Difference, element by element.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn sub(&self, other: &Tensor) -> Tensor {
        let out = apply!(dispatch_num, "sub", self, other, |x, y: T| Num::sub(x, y));
        record("sub", out, &[self, other], |ctx| {
            ctx.set(0, || ctx.grad().clone());
            ctx.set(1, || ctx.grad().neg());
        })
    }

    /// Product, element by element (Hadamard).
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn mul(&self, other: &Tensor) -> Tensor {
        let out = apply!(dispatch_num, "mul", self, other, |x, y: T| Num::mul(x, y));
        let (a, b) = (self.save(), other.save());
        record("mul", out, &[self, other], move |ctx| {
            ctx.set(0, || ctx.grad().mul(&b));
            ctx.set(1, || ctx.grad().mul(&a));
        })
    }

    /// Quotient, element by element. Integers are converted to f32 first.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn div(&self, other: &Tensor) -> Tensor {
        if !self.dtype().promote(other.dtype()).is_float() {
            return self.to_dtype(DType::F32).div(&other.to_dtype(DType::F32));
        }
        let out = apply!(dispatch_num, "div", self, other, |x, y: T| Num::div(x, y));
        let (a, b) = (self.save(), other.save());
        record("div", out, &[self, other], move |ctx| {
            ctx.set(0, || ctx.grad().div(&b));
            ctx.set(1, || ctx.grad().mul(&a).div(&b.square()).neg());
        })
    }

    /// x^y, element by element. The gradient of the exponent needs a positive base.
    ///
    /// # Panics
    /// If the shapes do not broadcast or the elements are not f32 or f64.
    #[track_caller]
    pub fn pow_tensor(&self, exponent: &Tensor) -> Tensor {
        let out = apply!(dispatch_float, "pow", self, exponent, |x, y: T| Real::powf(x, y));
        let (a, b) = (self.save(), exponent.save());
        record("pow", out, &[self, exponent], move |ctx| {
            ctx.set(0, || ctx.grad() * (&*b * a.pow_tensor(&(&*b - 1.0))));
            ctx.set(1, || {
                // 0^y has derivative 0 in y for y > 0, where ln 0 would give NaN.
                let safe = a.masked_fill(&a.eq_scalar(0.0), 1.0);
                ctx.grad() * (a.pow_tensor(&b) * safe.log())
            });
        })
    }

    /// The larger of two elements; NaN if either is. Equal elements share the gradient.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn maximum(&self, other: &Tensor) -> Tensor {
        #[expect(clippy::eq_op, reason = "x != x tells NaN for any element type")]
        let out = apply!(dispatch_num, "maximum", self, other, |x, y: T| if x > y || x != x { x } else { y });
        extremum("maximum", out, self, other, Tensor::gt)
    }

    /// The smaller of two elements; NaN if either is. Equal elements share the gradient.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn minimum(&self, other: &Tensor) -> Tensor {
        #[expect(clippy::eq_op, reason = "x != x tells NaN for any element type")]
        let out = apply!(dispatch_num, "minimum", self, other, |x, y: T| if x < y || x != x { x } else { y });
        extremum("minimum", out, self, other, Tensor::lt)
    }

    /// Whether both are true. Operands must be Bool.
    ///
    /// # Panics
    /// If the shapes do not broadcast or an operand is not Bool.
    #[track_caller]
    pub fn logical_and(&self, other: &Tensor) -> Tensor {
        logical("logical_and", self, other, |x, y| x & y)
    }

    /// Whether one or both are true. Operands must be Bool.
    ///
    /// # Panics
    /// If the shapes do not broadcast or an operand is not Bool.
    #[track_caller]
    pub fn logical_or(&self, other: &Tensor) -> Tensor {
        logical("logical_or", self, other, |x, y| x | y)
    }

    /// Whether the element is false. The operand must be Bool.
    ///
    /// # Panics
    /// If the operand is not Bool.
    #[track_caller]
    pub fn logical_not(&self) -> Tensor {
        let x = self.contiguous_data();
        let src = x.read_bool("logical_not");
        Tensor::build_as::<u8>(DType::Bool, x.shape(), |out| map::unary(&src, out, |v| v ^ 1))
    }

    /// `a` where this condition (Bool) is true, `b` elsewhere; all three broadcast.
    ///
    /// # Panics
    /// If the condition is not Bool or the shapes do not broadcast.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let x = Tensor::from_slice(&[-1.0f32, 2.0], [2]);
    /// let y = x.gt_scalar(0.0).where_(&x, &Tensor::scalar(0.0));
    /// assert_eq!(y.to_vec::<f32>(), [0.0, 2.0]);
    /// ```
    #[track_caller]
    pub fn where_(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let (ca, cb, ab) = meet("where", a, b);
        let Some(shape) = ab.broadcast(&self.shape()) else {
            fail("where", format_args!("the condition's shape {} does not broadcast with {ab}", self.shape()))
        };
        let cond = self.broadcast_to(shape).contiguous_data();
        let full = |t: &Tensor| if t.numel() == 1 { t.clone() } else { t.broadcast_to(shape).contiguous_data() };
        let (ca, cb) = (full(&ca), full(&cb));
        let mask = cond.read_bool("where");
        let out = crate::dispatch_any!(ca.dtype(), T => {
            let (ga, gb) = (ca.read::<T>(), cb.read::<T>());
            Tensor::build_as::<T>(ca.dtype(), shape, |out| {
                map::select(&mask, &ga, &gb, out);
            })
        });
        drop(mask);
        record("where", out, &[a, b], move |ctx| {
            let zero = Tensor::full_of((), 0.0, ctx.grad().dtype());
            ctx.set(0, || cond.where_(ctx.grad(), &zero));
            ctx.set(1, || cond.where_(&zero, ctx.grad()));
        })
    }

    /// `value` where `mask` (Bool, broadcast) is true.
    ///
    /// # Panics
    /// If the mask is not Bool or does not broadcast to this shape.
    #[track_caller]
    pub fn masked_fill(&self, mask: &Tensor, value: f64) -> Tensor {
        if self.shape().broadcast(&mask.shape()) != Some(self.shape()) {
            fail(
                "masked_fill",
                format_args!("the mask's shape {} does not broadcast to {}", mask.shape(), self.shape()),
            );
        }
        mask.where_(&Tensor::full_of((), value, self.dtype()), self)
    }
}

fn extremum(op: &'static str, out: Tensor, a: &Tensor, b: &Tensor, wins: fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
    let (sa, sb) = (a.save(), b.save());
    record(op, out, &[a, b], move |ctx| {
        let dtype = ctx.grad().dtype();
        let half = sa.eq(&sb).to_dtype(dtype) * 0.5;
        ctx.set(0, || ctx.grad() * (wins(&sa, &sb).to_dtype(dtype) + &half));
        ctx.set(1, || ctx.grad() * (wins(&sb, &sa).to_dtype(dtype) + &half));
    })
}

#[track_caller]
fn logical(op: &'static str, a: &Tensor, b: &Tensor, f: fn(u8, u8) -> u8) -> Tensor {
    if a.dtype() != DType::Bool || b.dtype() != DType::Bool {
        fail(op, format_args!("needs bool operands, got {} and {}", a.dtype(), b.dtype()));
    }
    let (a, b, shape) = meet(op, a, b);
    let (ga, gb) = (a.read_storage::<u8>(), b.read_storage::<u8>());
    Tensor::build_as::<u8>(DType::Bool, shape, |out| map::binary((&ga, a.layout()), (&gb, b.layout()), &shape, out, f))
}

macro_rules! operator {
    ($trait:ident $method:ident) => {
        impl std::ops::$trait<&Tensor> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, o: &Tensor) -> Tensor {
                Tensor::$method(self, o)
            }
        }
        impl std::ops::$trait<Tensor> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, o: Tensor) -> Tensor {
                Tensor::$method(self, &o)
            }
        }
        impl std::ops::$trait<&Tensor> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, o: &Tensor) -> Tensor {
                Tensor::$method(&self, o)
            }
        }
        impl std::ops::$trait<Tensor> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, o: Tensor) -> Tensor {
                Tensor::$method(&self, &o)
            }
        }
        // Numbers are f64 alone: with f32 as well, the type of a literal in `x * 2.0` would be ambiguous.
        impl std::ops::$trait<f64> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, o: f64) -> Tensor {
                Tensor::$method(self, &scalar_for(self, o))
            }
        }
        impl std::ops::$trait<f64> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, o: f64) -> Tensor {
                Tensor::$method(&self, &scalar_for(&self, o))
            }
        }
        impl std::ops::$trait<&Tensor> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, o: &Tensor) -> Tensor {
                Tensor::$method(&scalar_for(o, self), o)
            }
        }
        impl std::ops::$trait<Tensor> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, o: Tensor) -> Tensor {
                Tensor::$method(&scalar_for(&o, self), &o)
            }
        }
    };
}
operator!(Add add);
operator!(Sub sub);
operator!(Mul mul);
operator!(Div div);

impl std::ops::Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(self)
    }
}
impl std::ops::Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_divide_to_floats_and_wrap_otherwise() {
        let a = Tensor::from_slice(&[7i64, -7], [2]);
        let half = &a / 2.0;
        assert_eq!((half.dtype(), half.to_vec::<f32>()), (DType::F32, vec![3.5, -3.5]));
        assert_eq!((&a * 2.0).to_vec::<i64>(), [14, -14]);
        assert_eq!((&a + 0.5).dtype(), DType::F32);
    }

    #[test]
    #[should_panic(expected = "add: shapes [2, 3] and [4, 3] do not broadcast: dimension 0 is 2 against 4")]
    fn a_mismatch_names_the_dimension() {
        let _ = Tensor::zeros([2, 3]) + Tensor::zeros([4, 3]);
    }
}
