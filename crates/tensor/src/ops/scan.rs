//! Running sums and products.

use crate::autograd::record;
use crate::dtype::{DType, Element};
use crate::kernels::scan;
use crate::shape::{Shape, resolve_dim};
use crate::{Tensor, dispatch_float, fail};

/// Elements along and behind dimension `d`.
fn extents(s: &Shape, d: usize) -> (usize, usize) {
    (s[d], s[d + 1..].iter().product())
}

impl Tensor {
    /// Running sum along `dim`: y_i = x_0 + ... + x_i. Integers and truth values give i64.
    ///
    /// # Panics
    /// If there is no such dimension.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// assert_eq!(Tensor::arange(4).cumsum(0).to_vec::<f32>(), [0.0, 1.0, 3.0, 6.0]);
    /// ```
    #[track_caller]
    pub fn cumsum(&self, dim: isize) -> Tensor {
        match self.scalar_scan("cumsum", dim) {
            Some(one) => one,
            None => self.widened().running_sum(resolve_dim("cumsum", dim, self.rank()), false),
        }
    }

    /// Running product along `dim`: y_i = x_0 * ... * x_i. Integers and truth values give i64. Its
    /// gradient is right also where elements are zero.
    ///
    /// # Panics
    /// If there is no such dimension.
    #[track_caller]
    pub fn cumprod(&self, dim: isize) -> Tensor {
        if let Some(one) = self.scalar_scan("cumprod", dim) {
            return one;
        }
        let d = resolve_dim("cumprod", dim, self.rank());
        let x = self.widened();
        let out = running(&x, d, false, 1.0, 1, |a, b| a * b, i64::wrapping_mul);
        // dL/dx_k = (x_0 ... x_{k-1}) (g_k + x_{k+1} (g_{k+1} + x_{k+2} (...))): no division by x.
        let saved = x.save();
        record("cumprod", out, &[&x], move |ctx| {
            ctx.set(0, || {
                let n = saved.shape()[d];
                if n == 0 {
                    return ctx.grad().clone();
                }
                let dim = d as isize;
                let one = saved.narrow(dim, 0, 1).ones_like();
                let before = Tensor::cat(&[&one, &saved.narrow(dim, 0, n - 1)], dim).cumprod(dim);
                let next = Tensor::cat(&[&saved.narrow(dim, 1, n - 1), &one], dim);
                before * ctx.grad().recurrence(&next, d, true)
            })
        })
    }

    /// Scans of a tensor without dimensions, as if it had one.
    #[track_caller]
    fn scalar_scan(&self, op: &str, dim: isize) -> Option<Tensor> {
        if self.rank() > 0 {
            return None;
        }
        if dim != 0 && dim != -1 {
            fail(op, format_args!("dimension {dim} is out of range for a tensor without dimensions"));
        }
        Some(self.widened())
    }

    /// Running sum from either end. The two directions are each other's gradient.
    fn running_sum(&self, d: usize, reverse: bool) -> Tensor {
        let out = running(self, d, reverse, 0.0, 0, |a, b| a + b, i64::wrapping_add);
        record("cumsum", out, &[self], move |ctx| ctx.set(0, || ctx.grad().running_sum(d, !reverse)))
    }

    /// s_k = b_k + a_k s_{k-1} along `d`, for this tensor b (s_{k+1} if `reverse`); s before the first is 0.
    /// The gradient is the same recurrence from the other end.
    fn recurrence(&self, a: &Tensor, d: usize, reverse: bool) -> Tensor {
        let (n, inner) = extents(&self.shape(), d);
        let (ca, cb) = (a.contiguous_data(), self.contiguous_data());
        let out = dispatch_float!(self.dtype(), "cumprod", T => {
            let (ga, gb) = (ca.read::<T>(), cb.read::<T>());
            Tensor::build::<T>(self.shape(), |out| {
                scan::middle(n, inner, reverse, 0.0, out, |s, i| gb[i].to_f64() + ga[i].to_f64() * s, T::from_f64)
            })
        });
        let (sa, sb) = (a.save(), self.save());
        record("recurrence", out, &[self, a], move |ctx| {
            let dim = d as isize;
            // Neighbours of each position, with zero beyond the end; `n` is not 0 where a rule runs on elements.
            let shift = |t: &Tensor, forward: bool| {
                let zero = t.narrow(dim, 0, n.min(1)).zeros_like();
                let rest = n.saturating_sub(1);
                if forward {
                    Tensor::cat(&[&zero, &t.narrow(dim, 0, rest)], dim)
                } else {
                    Tensor::cat(&[&t.narrow(dim, n - rest, rest), &zero], dim)
                }
            };
            let total = ctx.grad().recurrence(&shift(&sa, reverse), d, !reverse);
            ctx.set(1, || &total * shift(&sb.recurrence(&sa, d, reverse), !reverse));
            ctx.set(0, || total.clone());
        })
    }
}

/// A running fold of f32 (in f64), f64 or i64.
#[track_caller]
fn running(
    x: &Tensor,
    d: usize,
    reverse: bool,
    first: f64,
    first_int: i64,
    f: impl Fn(f64, f64) -> f64 + Sync,
    g: impl Fn(i64, i64) -> i64 + Sync,
) -> Tensor {
    let (n, inner) = extents(&x.shape(), d);
    let x = x.contiguous_data();
    if x.dtype() == DType::I64 {
        let src = x.read::<i64>();
        return Tensor::build::<i64>(x.shape(), |out| {
            scan::middle(n, inner, reverse, first_int, out, |a, i| g(a, src[i]), |a| a)
        });
    }
    dispatch_float!(x.dtype(), "cumsum", T => {
        let src = x.read::<T>();
        Tensor::build::<T>(x.shape(), |out| {
            scan::middle(n, inner, reverse, first, out, |a, i| f(a, src[i].to_f64()), T::from_f64)
        })
    })
}

#[cfg(test)]
mod tests {
    use crate::autograd::{gradcheck, gradgradcheck};
    use crate::{DType, Tensor};

    #[test]
    fn products_with_zeros_have_the_right_gradient() {
        let x = Tensor::from_slice(&[1.5f64, 0.0, -2.0, 0.7, 0.0, 1.1, 0.4, -0.3], [2, 4]);
        for dim in [0, 1] {
            gradcheck(|x| x[0].cumprod(dim), std::slice::from_ref(&x)).unwrap();
            gradgradcheck(|x| x[0].cumprod(dim), std::slice::from_ref(&x)).unwrap();
            gradgradcheck(|x| x[0].t().cumprod(dim).square(), std::slice::from_ref(&x)).unwrap();
        }
    }

    #[test]
    fn sums_run_along_any_dimension_of_any_layout() {
        let x = Tensor::arange(6).reshape([2, 3]);
        assert_eq!(x.cumsum(0).to_vec::<f32>(), [0.0, 1.0, 2.0, 3.0, 5.0, 7.0]);
        assert_eq!(x.t().cumsum(-1).to_vec::<f32>(), [0.0, 3.0, 1.0, 5.0, 2.0, 7.0]);
        let y = x.to_dtype(DType::F64);
        gradcheck(|x| x[0].t().cumsum(0), std::slice::from_ref(&y)).unwrap();
        gradgradcheck(|x| x[0].cumsum(1).square(), &[y * 0.1]).unwrap();
    }

    #[test]
    fn integers_are_widened_and_nothing_gives_nothing() {
        let x = Tensor::from_slice(&[200u8, 100], [2]);
        assert_eq!(x.cumsum(0).to_vec::<i64>(), [200, 300]);
        assert_eq!(x.cumprod(0).to_vec::<i64>(), [200, 20000]);
        assert_eq!(Tensor::zeros([0, 3]).cumsum(0).shape(), [0, 3]);
        assert_eq!(Tensor::zeros([2, 0]).cumprod(0).shape(), [2, 0]);
        let e = Tensor::zeros([0]).requires_grad_(true);
        e.cumprod(0).sum().backward();
        assert_eq!(e.grad().unwrap().shape(), [0]);
        assert_eq!(Tensor::scalar(3.0).cumprod(0).item(), 3.0);
    }

    #[test]
    fn a_long_sum_keeps_its_accuracy() {
        let last = Tensor::full([1 << 20], 0.1).cumsum(0).select(0, (1 << 20) - 1).item_f64();
        assert!((last / (0.1f32 as f64 * (1 << 20) as f64) - 1.0).abs() < 1e-6, "{last}");
    }
}
