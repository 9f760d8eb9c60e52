//! Matrix products.

use crate::autograd::record;
use crate::deferred;
use crate::kernels::finish::{self, Along, Finish};
use crate::kernels::gemm::{self, Epilogue, gemm_batched};
use crate::kernels::math::Num;
use crate::kernels::micro::Float;
use crate::kernels::par;
use crate::kernels::scratch::with_scratch;
use crate::ops::index::copy_run;
use crate::shape::{Layout, Shape};
use crate::storage::Plain;
use crate::{Tensor, dispatch_float, fail, is_grad_enabled};

impl Tensor {
    /// Matrix product with PyTorch's rules: vectors count as a row on the left and a column on the
    /// right, leading dimensions broadcast.
    ///
    /// # Shapes
    /// `[n] x [n] -> []; [m, k] x [k, n] -> [m, n]; [.., m, k] x [.., k, n] -> [.., m, n]`.
    ///
    /// # Panics
    /// If the inner extents differ, the leading dimensions do not broadcast, an operand is a scalar,
    /// or the elements are not of one float type.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// assert_eq!(Tensor::ones([2, 3]).matmul(&Tensor::ones([3, 4])).shape(), [2, 4]);
    /// ```
    #[track_caller]
    pub fn matmul(&self, b: &Tensor) -> Tensor {
        let (ra, rb) = (self.rank(), b.rank());
        if ra == 0 || rb == 0 {
            fail("matmul", format_args!("needs at least one dimension, got shapes {} and {}", self.shape(), b.shape()));
        }
        let inner = (self.size(-1), b.size(if rb == 1 { 0 } else { -2 }));
        if inner.0 != inner.1 {
            fail(
                "matmul",
                format_args!(
                    "shapes {} and {} do not fit: the last dimension of the first is {}, the {} of the second {}",
                    self.shape(),
                    b.shape(),
                    inner.0,
                    if rb == 1 { "only dimension" } else { "second to last" },
                    inner.1
                ),
            );
        }
        if self.dtype() != b.dtype() {
            fail(
                "matmul",
                format_args!(
                    "needs operands of one type, got {} and {}; convert with to_dtype",
                    self.dtype(),
                    b.dtype()
                ),
            );
        }
        match (ra, rb) {
            (1, 1) => self.unsqueeze(0).matmul(&b.unsqueeze(1)).reshape(()),
            (1, _) => self.unsqueeze(0).matmul(b).squeeze(-2),
            (_, 1) => self.matmul(&b.unsqueeze(1)).squeeze(-1),
            (2, 2) => product(self, b),
            (_, 2) if self.is_contiguous() => {
                // (.., m, k) -> (.. * m, k): one tall product instead of many.
                let mut shape = self.shape();
                shape.set(ra - 1, b.size(1));
                let rows: usize = self.shape()[..ra - 1].iter().product();
                product(&self.view([rows, self.size(-1)]), b).view(shape)
            }
            _ => {
                let lead = |t: &Tensor| Shape::new(&t.shape()[..t.rank() - 2]);
                let Some(batch) = lead(self).broadcast(&lead(b)) else {
                    fail(
                        "matmul",
                        format_args!("the leading dimensions of {} and {} do not broadcast", self.shape(), b.shape()),
                    )
                };
                let full = |t: &Tensor| {
                    let mut s = batch;
                    s.push(t.size(-2));
                    s.push(t.size(-1));
                    t.broadcast_to(s)
                };
                product(&full(self), &full(b))
            }
        }
    }

    /// Product of two matrices [m, k] x [k, n].
    ///
    /// # Panics
    /// If an operand is not a matrix, and as [`Tensor::matmul`].
    #[track_caller]
    pub fn mm(&self, b: &Tensor) -> Tensor {
        if self.rank() != 2 || b.rank() != 2 {
            fail("mm", format_args!("needs two matrices, got shapes {} and {}; use matmul", self.shape(), b.shape()));
        }
        self.matmul(b)
    }

    /// Products of two batches of matrices [B, m, k] x [B, k, n].
    ///
    /// # Panics
    /// If an operand does not have three dimensions or the batches differ, and as [`Tensor::matmul`].
    #[track_caller]
    pub fn bmm(&self, b: &Tensor) -> Tensor {
        if self.rank() != 3 || b.rank() != 3 || self.size(0) != b.size(0) {
            fail(
                "bmm",
                format_args!(
                    "needs two batches [B, m, k] and [B, k, n], got shapes {} and {}; use matmul",
                    self.shape(),
                    b.shape()
                ),
            );
        }
        self.matmul(b)
    }

    /// Scalar product of two vectors.
    ///
    /// # Panics
    /// If an operand is not a vector or the lengths differ.
    #[track_caller]
    pub fn dot(&self, b: &Tensor) -> Tensor {
        if self.rank() != 1 || b.rank() != 1 {
            fail("dot", format_args!("needs two vectors, got shapes {} and {}", self.shape(), b.shape()));
        }
        self.matmul(b)
    }

    /// x W^T + b in one pass: what a fully connected layer computes.
    ///
    /// # Shapes
    /// `x [.., in], W [out, in], b [out] -> [.., out]`.
    ///
    /// # Panics
    /// If the shapes do not fit or the elements are not of one float type.
    #[track_caller]
    pub fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        if weight.rank() != 2 || self.rank() == 0 || self.size(-1) != weight.size(1) {
            let want = if weight.rank() == 2 { weight.size(1) } else { 0 };
            fail(
                "linear",
                format_args!(
                    "expected an input [.., {want}] for the weight {} [out, in], got {}",
                    weight.shape(),
                    self.shape()
                ),
            );
        }
        let (rows, n_in, n_out) = (
            self.numel().checked_div(self.size(-1)).unwrap_or(self.shape()[..self.rank() - 1].iter().product()),
            weight.size(1),
            weight.size(0),
        );
        if let Some(b) = bias
            && b.shape() != [n_out]
        {
            fail(
                "linear",
                format_args!("expected a bias [{n_out}] for the weight {}, got {}", weight.shape(), b.shape()),
            );
        }
        if self.dtype() != weight.dtype() || bias.is_some_and(|b| b.dtype() != self.dtype()) {
            fail(
                "linear",
                format_args!("the input is {}, the weight {}; convert with to_dtype", self.dtype(), weight.dtype()),
            );
        }
        let x = if self.rank() == 2 { self.clone() } else { self.reshape([rows, n_in]) };
        let wt = weight.detach().t();
        deferred::check_float("linear", self);
        let out = deferred::linear(&x, &wt, bias);
        let (sx, sw, biased) = (x.save(), weight.save(), bias.is_some());
        let rule = move |ctx: &crate::autograd::Ctx| {
            ctx.set(0, || ctx.grad().matmul(&sw));
            ctx.set(1, || ctx.grad().t().matmul(&sx));
            if biased {
                ctx.set(2, || ctx.grad().sum_dim(0, false));
            }
        };
        let out = match bias {
            Some(b) => record("linear", out, &[&x, weight, b], rule),
            None => record("linear", out, &[&x, weight], rule),
        };
        if self.rank() == 2 {
            return out;
        }
        let mut shape = self.shape();
        shape.set(self.rank() - 1, n_out);
        out.view(shape)
    }
}

/// The product of operands with equal leading dimensions, recorded.
#[track_caller]
fn product(a: &Tensor, b: &Tensor) -> Tensor {
    let mut shape = a.shape();
    shape.set(a.rank() - 1, b.size(-1));
    let out = dispatch_float!(a.dtype(), "matmul", T => {
        Tensor::build::<T>(shape, |out| {
            if !multiply_looked_up::<T>(a, b, out) {
                multiply::<T>(a, b, false, &Finish::NOTHING, out);
            }
        })
    });
    let (sa, sb) = (a.save(), b.save());
    record("matmul", out, &[a, b], move |ctx| {
        ctx.set(0, || ctx.grad().matmul(&sb.transpose(-2, -1)));
        ctx.set(1, || sa.transpose(-2, -1).matmul(ctx.grad()));
    })
}

/// Elements of looked-up operands that one thread copies at a time: they stay in the first-level cache.
const ROWS: usize = 4 * 1024;

/// out (row-major) = a b for each matrix of a batch, if `a` is a lookup nobody has done: the rows of some products are
/// copied to where these find them in the cache, and never to memory.
fn multiply_looked_up<T: Float + Num + Plain>(a: &Tensor, b: &Tensor, out: &mut [T]) -> bool {
    let (m, k, n) = (a.size(-2), a.size(-1), b.size(-1));
    // A backward pass would need the rows once more.
    if is_grad_enabled() || a.rank() != 3 || m * k == 0 || n == 0 || m * k > ROWS {
        return false;
    }
    let done = deferred::with_rows::<T, _>(a, k, |table, at| {
        let (b, strides) = (b.read_storage::<T>(), b.layout());
        let lb = strides.strides;
        let together = ROWS / (m * k);
        par::for_each_chunk_mut(out, together * m * n, |piece, out| {
            let (first, count) = (piece * together, out.len() / (m * n));
            with_scratch(count * m * k, |rows: &mut [T]| {
                copy_run(table, k, |i| at[first * m + i], rows);
                let (one, zero) = (<T as Num>::ONE, <T as Num>::ZERO);
                let start = |i| (i * m * k, strides.offset + (first + i) * lb[0], i * m * n);
                let ends = Epilogue::default();
                gemm_batched(count, m, n, k, one, rows, (k, 1), &b, (lb[1], lb[2]), zero, out, ends, start);
            });
        });
    });
    done.is_some()
}

/// out (row-major) = finish(a b) for each matrix of the batch, the columns being the channels; there is no scale. No
/// operand is copied, whatever its strides. With `again`, what is rearranged of `b` is kept for the next time.
pub(crate) fn multiply<T: Float + Num + Plain>(
    a: &Tensor,
    b: &Tensor,
    again: bool,
    finish: &Finish<'_, T>,
    out: &mut [T],
) {
    let r = a.rank();
    let (m, k, n) = (a.size(-2), a.size(-1), b.size(-1));
    if k == 0 {
        // A sum of nothing; a view without elements may begin past the end of its storage.
        out.fill(<T as Num>::ZERO);
        return finish::in_place(Along { channels: n, size: 1 }, finish, out);
    }
    let (la, lb) = (a.layout(), b.layout());
    let (sa, sb) = ((la.strides[r - 2], la.strides[r - 1]), (lb.strides[r - 2], lb.strides[r - 1]));
    let (ga, gb) = (a.read_storage::<T>(), b.read_storage::<T>());
    let Finish { shift: bias, residual, then, .. } = *finish;
    let order = if again && r == 2 { gemm::order::<T>(m, n, k, sb) } else { None };
    let kept = order.and_then(|order| {
        b.0.storage.kept.get::<T>(b.dtype(), lb, order, |out| gemm::rearrange(m, n, k, &gb[lb.offset..], sb, out))
    });
    let kept = kept.as_ref().map(|k| k.read::<T>());
    let epilogue = Epilogue { b_ready: kept.as_deref(), bias, residual, then };
    let start = |l: &Layout, i: usize| {
        let (mut at, mut rest) = (l.offset, i);
        for d in (0..r - 2).rev() {
            at += rest % l.shape[d] * l.strides[d];
            rest /= l.shape[d];
        }
        at
    };
    let batch = a.shape()[..r - 2].iter().product();
    let (one, zero) = (<T as Num>::ONE, <T as Num>::ZERO);
    gemm_batched(batch, m, n, k, one, &ga, sa, &gb, sb, zero, out, epilogue, |i| {
        (start(la, i), start(lb, i), i * m * n)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(
        expected = "matmul: shapes [2, 3] and [4, 5] do not fit: the last dimension of the first is 3, the second to last of the second 4"
    )]
    fn a_mismatch_names_the_extents() {
        Tensor::zeros([2, 3]).matmul(&Tensor::zeros([4, 5]));
    }

    #[test]
    fn strides_and_empty_extents_are_honoured() {
        let a = Tensor::arange(6).reshape([3, 2]);
        let b = Tensor::arange(6).reshape([3, 2]);
        assert_eq!(a.t().matmul(&b).to_vec::<f32>(), [20.0, 26.0, 26.0, 35.0]);
        assert_eq!(Tensor::zeros([2, 0]).matmul(&Tensor::zeros([0, 3])).to_vec::<f32>(), [0.0; 6]);
        assert_eq!(Tensor::ones([2, 1, 3, 4]).matmul(&Tensor::ones([5, 4, 6])).shape(), [2, 5, 3, 6]);
    }

    #[test]
    fn linear_agrees_with_its_parts() {
        let (x, w, b) = (Tensor::randn([2, 5, 4]), Tensor::randn([3, 4]), Tensor::randn([3]));
        let (got, want) = (x.linear(&w, Some(&b)), x.matmul(&w.t()) + &b);
        assert!((got - want).abs().max().item() < 1e-5);
    }
}
