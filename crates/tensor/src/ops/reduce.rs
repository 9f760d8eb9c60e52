//! Reductions.

use crate::autograd::{record, record_with_output};
use crate::dtype::DType;
use crate::kernels::math::Num;
use crate::kernels::reduce;
use crate::shape::{IntoDims, Layout, Shape, resolve_dim, resolve_dims};
use crate::{Tensor, dispatch_num, fail};

/// A tensor's elements brought into the order [outer, reduced, inner].
struct Plan {
    data: Tensor,
    outer: usize,
    middle: usize,
    inner: usize,
    /// Shape with the reduced dimensions at extent 1.
    kept: Shape,
}

fn plan(t: &Tensor, dims: &[usize]) -> Plan {
    let shape = t.shape();
    let mut kept = shape;
    dims.iter().for_each(|&d| kept.set(d, 1));
    let adjacent = dims.windows(2).all(|w| w[1] == w[0] + 1 || (w[0] + 1..w[1]).all(|d| shape[d] == 1));
    let middle: usize = dims.iter().map(|&d| shape[d]).product();
    if adjacent && t.is_contiguous() {
        let (first, last) = (dims.first().copied().unwrap_or(0), dims.last().map_or(0, |&d| d + 1));
        let (outer, inner) = (shape[..first].iter().product(), shape[last..].iter().product());
        return Plan { data: t.clone(), outer, middle, inner, kept };
    }
    // Dimensions of the result first, in order, then the reduced ones.
    let order: Vec<isize> =
        (0..shape.len()).filter(|d| !dims.contains(d)).chain(dims.iter().copied()).map(|d| d as isize).collect();
    let data = t.detach().permute(&order).contiguous_data();
    Plan { data, outer: kept.numel(), middle, inner: 1, kept }
}

impl Plan {
    #[track_caller]
    fn fold<N: Num + crate::dtype::Element + crate::storage::Plain>(
        &self,
        init: N,
        f: impl Fn(N, N) -> N + Copy + Sync,
    ) -> Tensor {
        let src = self.data.read::<N>();
        Tensor::build::<N>(self.kept, |out| reduce::middle(&src, self.outer, self.middle, self.inner, out, init, f))
    }
}

/// The result of a reduction, not yet recorded, without the reduced dimensions unless they are kept.
fn drop_dims(t: Tensor, dims: &[usize], keepdim: bool) -> Tensor {
    if keepdim {
        return t;
    }
    let mut s = t.shape();
    dims.iter().rev().for_each(|&d| s.remove(d));
    t.with_layout(Layout::contiguous(s))
}

/// The larger of two, NaN winning.
#[inline(always)]
#[expect(clippy::eq_op, reason = "x != x tells NaN for any element type")]
fn larger<T: PartialOrd + Copy>(a: T, b: T) -> T {
    if a > b || a != a { a } else { b }
}

#[inline(always)]
#[expect(clippy::eq_op, reason = "x != x tells NaN for any element type")]
fn smaller<T: PartialOrd + Copy>(a: T, b: T) -> T {
    if a < b || a != a { a } else { b }
}

impl Tensor {
    fn all_dims(&self) -> Vec<isize> {
        (0..self.rank() as isize).collect()
    }

    /// Small integers and truth values are summed and multiplied in i64, as PyTorch does.
    pub(crate) fn widened(&self) -> Tensor {
        if self.dtype().is_float() { self.clone() } else { self.to_dtype(DType::I64) }
    }

    /// Sum of all elements.
    #[track_caller]
    pub fn sum(&self) -> Tensor {
        self.sum_dim(self.all_dims(), false)
    }

    /// Sum over `dims`, kept with extent 1 if `keepdim`. Integers and truth values give i64.
    ///
    /// # Panics
    /// If there is no such dimension.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// assert_eq!(Tensor::arange(6).reshape([2, 3]).sum_dim(1, false).to_vec::<f32>(), [3.0, 12.0]);
    /// ```
    #[track_caller]
    pub fn sum_dim(&self, dims: impl IntoDims, keepdim: bool) -> Tensor {
        let dims = resolve_dims("sum", dims, self.rank());
        let p = plan(&self.widened(), &dims);
        let out = dispatch_num!(p.data.dtype(), "sum", T => p.fold::<T>(T::ZERO, Num::add));
        let (whole, kept) = (self.shape(), p.kept);
        record("sum", drop_dims(out, &dims, keepdim), &[self], move |ctx| {
            ctx.set(0, || ctx.grad().reshape(kept).expand(whole))
        })
    }

    /// Sums this tensor to a shape that broadcasts to its own: the adjoint of broadcasting.
    ///
    /// # Panics
    /// If `shape` does not broadcast to this tensor's shape.
    #[track_caller]
    pub fn sum_to(&self, shape: &Shape) -> Tensor {
        if self.shape() == *shape {
            return self.clone();
        }
        if shape.broadcast(&self.shape()) != Some(self.shape()) {
            fail("sum_to", format_args!("{shape} does not broadcast to {}", self.shape()));
        }
        let lead = self.rank() - shape.len();
        let dims: Vec<isize> = (0..self.rank())
            .filter(|&d| d < lead || (shape[d - lead] == 1 && self.shape()[d] != 1))
            .map(|d| d as isize)
            .collect();
        self.sum_dim(dims, true).view(*shape)
    }

    /// Mean of all elements.
    ///
    /// # Panics
    /// If the elements are not floats.
    #[track_caller]
    pub fn mean(&self) -> Tensor {
        self.mean_dim(self.all_dims(), false)
    }

    /// Mean over `dims`; NaN over no elements.
    ///
    /// # Panics
    /// If there is no such dimension or the elements are not floats.
    #[track_caller]
    pub fn mean_dim(&self, dims: impl IntoDims, keepdim: bool) -> Tensor {
        if !self.dtype().is_float() {
            fail("mean", format_args!("needs float elements, got {}; convert with to_dtype", self.dtype()));
        }
        let dims = resolve_dims("mean", dims, self.rank());
        let n: usize = dims.iter().map(|&d| self.shape()[d]).product();
        self.sum_dim(dims.iter().map(|&d| d as isize).collect::<Vec<_>>(), keepdim) / n as f64
    }

    /// Variance of all elements: the sum of squared deviations over n - `correction`
    /// (1: unbiased, PyTorch's default; 0: of the population).
    #[track_caller]
    pub fn var(&self, correction: usize) -> Tensor {
        self.var_dim(self.all_dims(), correction, false)
    }

    /// Variance over `dims`. See [`Tensor::var`].
    ///
    /// # Panics
    /// If there is no such dimension or the elements are not floats.
    #[track_caller]
    pub fn var_dim(&self, dims: impl IntoDims, correction: usize, keepdim: bool) -> Tensor {
        let dims = resolve_dims("var", dims, self.rank());
        let n: usize = dims.iter().map(|&d| self.shape()[d]).product();
        let dims: Vec<isize> = dims.iter().map(|&d| d as isize).collect();
        let deviation = self - self.mean_dim(&dims[..], true);
        deviation.square().sum_dim(&dims[..], keepdim) / (n as f64 - correction as f64).max(0.0)
    }

    /// Standard deviation of all elements: the root of [`Tensor::var`].
    #[track_caller]
    pub fn std(&self, correction: usize) -> Tensor {
        self.var(correction).sqrt()
    }

    /// Standard deviation over `dims`. See [`Tensor::var`].
    #[track_caller]
    pub fn std_dim(&self, dims: impl IntoDims, correction: usize, keepdim: bool) -> Tensor {
        self.var_dim(dims, correction, keepdim).sqrt()
    }

    /// Product of all elements.
    #[track_caller]
    pub fn prod(&self) -> Tensor {
        self.contiguous().view([self.numel()]).prod_dim(0, false)
    }

    /// Product over `dim`; its gradient is right also where elements are zero.
    ///
    /// # Panics
    /// If there is no such dimension.
    #[track_caller]
    pub fn prod_dim(&self, dim: isize, keepdim: bool) -> Tensor {
        let d = resolve_dim("prod", dim, self.rank());
        let p = plan(&self.widened(), &[d]);
        let out = dispatch_num!(p.data.dtype(), "prod", T => p.fold::<T>(T::ONE, Num::mul));
        let (x, kept) = (self.save(), p.kept);
        record("prod", drop_dims(out, &[d], keepdim), &[self], move |ctx| {
            ctx.set(0, || ctx.grad().reshape(kept) * x.product_of_others(d))
        })
    }

    /// For each element along `d`, the product of all others: prefix times suffix products, so that a
    /// zero needs no division.
    fn product_of_others(&self, d: usize) -> Tensor {
        let n = self.shape()[d];
        let dim = d as isize;
        let mut before: Vec<Tensor> = Vec::with_capacity(n);
        let mut after: Vec<Tensor> = Vec::with_capacity(n);
        for i in 0..n {
            let one = || self.narrow(dim, 0, 1).ones_like();
            before.push(if i == 0 { one() } else { &before[i - 1] * self.narrow(dim, i - 1, 1) });
            after.push(if i == 0 { one() } else { &after[i - 1] * self.narrow(dim, n - i, 1) });
        }
        let parts: Vec<Tensor> = (0..n).map(|i| &before[i] * &after[n - 1 - i]).collect();
        if parts.is_empty() { self.clone() } else { Tensor::cat(&parts.iter().collect::<Vec<_>>(), dim) }
    }

    /// Largest of all elements; NaN if there is one. Equal ones share the gradient.
    ///
    /// # Panics
    /// If there are no elements.
    #[track_caller]
    pub fn max(&self) -> Tensor {
        self.amax(self.all_dims(), false)
    }

    /// Smallest of all elements; NaN if there is one. Equal ones share the gradient.
    ///
    /// # Panics
    /// If there are no elements.
    #[track_caller]
    pub fn min(&self) -> Tensor {
        self.amin(self.all_dims(), false)
    }

    /// Largest element over `dims`. Equal ones share the gradient evenly.
    ///
    /// # Panics
    /// If there is no such dimension or nothing to choose from.
    #[track_caller]
    pub fn amax(&self, dims: impl IntoDims, keepdim: bool) -> Tensor {
        self.extreme("amax", dims, keepdim, |p| {
            dispatch_num!(p.data.dtype(), "amax", T => {
                let first = T::from_f64(f64::NEG_INFINITY);
                p.fold::<T>(first, larger)
            })
        })
    }

    /// Smallest element over `dims`. Equal ones share the gradient evenly.
    ///
    /// # Panics
    /// If there is no such dimension or nothing to choose from.
    #[track_caller]
    pub fn amin(&self, dims: impl IntoDims, keepdim: bool) -> Tensor {
        self.extreme("amin", dims, keepdim, |p| {
            dispatch_num!(p.data.dtype(), "amin", T => {
                let first = T::from_f64(f64::INFINITY);
                p.fold::<T>(first, smaller)
            })
        })
    }

    #[track_caller]
    fn extreme(&self, op: &'static str, dims: impl IntoDims, keepdim: bool, f: impl Fn(&Plan) -> Tensor) -> Tensor {
        let dims = resolve_dims(op, dims, self.rank());
        let p = plan(self, &dims);
        if p.middle == 0 {
            fail(op, format_args!("nothing to choose from over dimensions {dims:?} of {}", self.shape()));
        }
        let out = f(&p);
        let (x, kept) = (self.save(), p.kept);
        let out = drop_dims(out, &dims, keepdim);
        record_with_output(op, out, &[self], move |ctx| {
            ctx.set(0, || {
                let best = ctx.output().detach().reshape(kept);
                let chosen = x.eq(&best).to_dtype(ctx.grad().dtype());
                let dims: Vec<isize> = dims.iter().map(|&d| d as isize).collect();
                ctx.grad().reshape(kept) * (&chosen / chosen.sum_dim(dims, true))
            })
        })
    }

    /// Largest element along `dim` and its position (i64), the first among equals.
    ///
    /// # Panics
    /// If there is no such dimension or it is empty.
    #[track_caller]
    pub fn max_dim(&self, dim: isize, keepdim: bool) -> (Tensor, Tensor) {
        let index = self.argmax(dim, true);
        self.pick(dim, index, keepdim)
    }

    /// Smallest element along `dim` and its position (i64), the first among equals.
    ///
    /// # Panics
    /// If there is no such dimension or it is empty.
    #[track_caller]
    pub fn min_dim(&self, dim: isize, keepdim: bool) -> (Tensor, Tensor) {
        let index = self.argmin(dim, true);
        self.pick(dim, index, keepdim)
    }

    #[track_caller]
    fn pick(&self, dim: isize, index: Tensor, keepdim: bool) -> (Tensor, Tensor) {
        let values = self.gather(dim, &index);
        if keepdim { (values, index) } else { (values.squeeze(dim), index.squeeze(dim)) }
    }

    /// Position of the largest element along `dim` (i64), the first among equals.
    ///
    /// # Panics
    /// If there is no such dimension or it is empty.
    #[track_caller]
    pub fn argmax(&self, dim: isize, keepdim: bool) -> Tensor {
        self.arg("argmax", dim, keepdim, true)
    }

    /// Position of the smallest element along `dim` (i64), the first among equals.
    ///
    /// # Panics
    /// If there is no such dimension or it is empty.
    #[track_caller]
    pub fn argmin(&self, dim: isize, keepdim: bool) -> Tensor {
        self.arg("argmin", dim, keepdim, false)
    }

    #[track_caller]
    fn arg(&self, op: &'static str, dim: isize, keepdim: bool, largest: bool) -> Tensor {
        let d = resolve_dim(op, dim, self.rank());
        let p = plan(self, &[d]);
        if p.middle == 0 {
            fail(op, format_args!("dimension {d} of {} is empty", self.shape()));
        }
        let out = dispatch_num!(self.dtype(), op, T => {
            let src = p.data.read::<T>();
            Tensor::build::<i64>(p.kept, |out| {
                if largest { reduce::arg(&src, p.middle, p.inner, out, |a, b| a > b) } else { reduce::arg(&src, p.middle, p.inner, out, |a, b| a < b) }
            })
        });
        drop_dims(out, &[d], keepdim)
    }

    /// ln of the sum of e^x over `dim`, without overflow: the largest element is taken out first.
    ///
    /// # Panics
    /// If there is no such dimension or the elements are not f32 or f64.
    #[track_caller]
    pub fn logsumexp(&self, dim: isize, keepdim: bool) -> Tensor {
        let d = resolve_dim("logsumexp", dim, self.rank()) as isize;
        if self.size(d) == 0 {
            let empty = self.sum_dim(d, keepdim);
            return empty + f64::NEG_INFINITY;
        }
        // An infinite maximum must not be subtracted from itself.
        let max = self.detach().amax(d, true);
        let max = max.masked_fill(&max.isfinite().logical_not(), 0.0);
        let out = (self - &max).exp().sum_dim(d, true).log() + &max;
        if keepdim { out } else { out.squeeze(d) }
    }

    /// Euclidean norm of all elements, sqrt(sum x^2). Its gradient at zero is taken as zero.
    #[track_caller]
    pub fn norm(&self) -> Tensor {
        self.norm_dim(2.0, self.all_dims(), false)
    }

    /// p-norm over `dims`, (sum |x|^p)^(1/p); infinity gives the largest magnitude, 0 counts non-zeros.
    ///
    /// # Panics
    /// If there is no such dimension or the elements are not f32 or f64.
    #[track_caller]
    pub fn norm_dim(&self, p: f64, dims: impl IntoDims, keepdim: bool) -> Tensor {
        let dims = dims.into_dims();
        if p == f64::INFINITY {
            return self.abs().amax(dims, keepdim);
        } else if p == f64::NEG_INFINITY {
            return self.abs().amin(dims, keepdim);
        } else if p == 0.0 {
            return self.ne_scalar(0.0).to_dtype(self.dtype()).sum_dim(dims, keepdim);
        } else if p == 1.0 {
            return self.abs().sum_dim(dims, keepdim);
        }
        let total =
            if p == 2.0 { self.square().sum_dim(dims, keepdim) } else { self.abs().pow(p).sum_dim(dims, keepdim) };
        // The root has no derivative at 0: give it a constant 0 there.
        let zero = total.eq_scalar(0.0);
        let safe = total.masked_fill(&zero, 1.0);
        let root = if p == 2.0 { safe.sqrt() } else { safe.pow(1.0 / p) };
        root.masked_fill(&zero, 0.0)
    }

    /// Whether every element is true (or not zero).
    pub fn all(&self) -> bool {
        self.ne_scalar(0.0).contiguous_data().read::<u8>().iter().all(|&v| v != 0)
    }

    /// Whether some element is true (or not zero).
    pub fn any(&self) -> bool {
        self.ne_scalar(0.0).contiguous_data().read::<u8>().iter().any(|&v| v != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_reductions_follow_the_convention() {
        let x = Tensor::zeros([0, 3]);
        assert_eq!(x.sum_dim(0, false).to_vec::<f32>(), [0.0; 3]);
        assert_eq!(x.prod_dim(0, false).to_vec::<f32>(), [1.0; 3]);
        assert!(x.mean_dim(0, false).isnan().all());
        assert_eq!(x.logsumexp(0, false).to_vec::<f32>(), [f32::NEG_INFINITY; 3]);
        assert_eq!(x.sum_dim(1, false).shape(), [0]);
    }

    #[test]
    #[should_panic(expected = "amax: nothing to choose from")]
    fn the_maximum_of_nothing_is_refused() {
        Tensor::zeros([0]).max();
    }

    #[test]
    fn a_long_sum_stays_accurate() {
        let n = 10_000_000;
        let s = Tensor::full([n], 0.1).sum().item_f64();
        assert!((s / (0.1f32 as f64 * n as f64) - 1.0).abs() < 1e-6, "{s}");
    }
}
