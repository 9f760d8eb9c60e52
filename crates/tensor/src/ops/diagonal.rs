//! Diagonals and triangles of matrices.

use crate::autograd::record;
use crate::shape::{Layout, Shape, resolve_dim};
use crate::{DType, Tensor, dispatch_any, fail};

/// The layout of diagonal `k` of dimensions `a` and `b`: they are dropped, the diagonal comes last.
fn diagonal_of(whole: &Layout, k: isize, a: usize, b: usize) -> Layout {
    let (rows, cols) = (whole.shape[a] as isize, whole.shape[b] as isize);
    let n = if k >= 0 { rows.min(cols - k) } else { cols.min(rows + k) }.max(0) as usize;
    let mut l = *whole;
    let (first, stride) = (if k >= 0 { b } else { a }, whole.strides[a] + whole.strides[b]);
    for d in [a.max(b), a.min(b)] {
        l.shape.remove(d);
        l.strides.remove(d);
    }
    l.shape.push(n);
    l.strides.push(stride);
    l.offset = if l.shape.numel() == 0 { 0 } else { l.offset + k.unsigned_abs() * whole.strides[first] };
    l
}

impl Tensor {
    /// A view of diagonal `k` of dimensions `a` and `b` (0: the main one, above it positive), as the
    /// last dimension of the result.
    ///
    /// # Panics
    /// If there are no such dimensions or they are the same.
    #[track_caller]
    pub fn diagonal(&self, k: isize, a: isize, b: isize) -> Tensor {
        let (i, j) = (resolve_dim("diagonal", a, self.rank()), resolve_dim("diagonal", b, self.rank()));
        if i == j {
            fail("diagonal", format_args!("dimensions {a} and {b} of {} are the same", self.shape()));
        }
        let whole = self.shape();
        record("diagonal", self.with_layout(diagonal_of(self.layout(), k, i, j)), &[self], move |ctx| {
            ctx.set(0, || ctx.grad().on_diagonal(whole, k, i, j))
        })
    }

    /// Zeros of shape `whole` with this tensor on a diagonal: the adjoint of [`Tensor::diagonal`].
    fn on_diagonal(&self, whole: Shape, k: isize, a: usize, b: usize) -> Tensor {
        let l = diagonal_of(&Layout::contiguous(whole), k, a, b);
        let src = self.contiguous_data();
        let out = dispatch_any!(self.dtype(), T => {
            let src = src.read::<T>();
            Tensor::build_as::<T>(self.dtype(), whole, |out| {
                out.fill(0);
                crate::kernels::strided::scatter(&src, out, l.offset, &l.shape, &l.strides);
            })
        });
        record("on_diagonal", out, &[self], move |ctx| ctx.set(0, || ctx.grad().diagonal(k, a as isize, b as isize)))
    }

    /// The matrix with this vector on diagonal `k`, or diagonal `k` of this matrix.
    ///
    /// # Panics
    /// If this is neither a vector nor a matrix.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// assert_eq!(Tensor::ones([2]).diag(1).shape(), [3, 3]);
    /// assert_eq!(Tensor::eye(3).diag(0).to_vec::<f32>(), [1.0; 3]);
    /// ```
    #[track_caller]
    pub fn diag(&self, k: isize) -> Tensor {
        match self.rank() {
            1 => {
                let n = self.shape()[0] + k.unsigned_abs();
                self.on_diagonal(Shape::new(&[n, n]), k, 0, 1)
            }
            2 => self.diagonal(k, 0, 1),
            _ => fail("diag", format_args!("needs a vector or a matrix, got shape {}; use diagonal", self.shape())),
        }
    }

    /// Sum of a matrix's main diagonal.
    ///
    /// # Panics
    /// If this is not a matrix.
    #[track_caller]
    pub fn trace(&self) -> Tensor {
        if self.rank() != 2 {
            fail("trace", format_args!("needs a matrix, got shape {}", self.shape()));
        }
        self.diagonal(0, 0, 1).sum()
    }

    /// The last two dimensions' lower triangle up to diagonal `k`; zeros above.
    ///
    /// # Panics
    /// If there are fewer than two dimensions.
    #[track_caller]
    pub fn tril(&self, k: isize) -> Tensor {
        self.triangle("tril", |row, col| col - row <= k)
    }

    /// The last two dimensions' upper triangle from diagonal `k` on; zeros below.
    ///
    /// # Panics
    /// If there are fewer than two dimensions.
    #[track_caller]
    pub fn triu(&self, k: isize) -> Tensor {
        self.triangle("triu", |row, col| col - row >= k)
    }

    #[track_caller]
    fn triangle(&self, op: &str, keep: impl Fn(isize, isize) -> bool) -> Tensor {
        if self.rank() < 2 {
            fail(op, format_args!("needs at least two dimensions, got shape {}", self.shape()));
        }
        let (rows, cols) = (self.size(-2), self.size(-1));
        let mask = Tensor::build_as::<u8>(DType::Bool, Shape::new(&[rows, cols]), |out| {
            for (i, o) in out.iter_mut().enumerate() {
                *o = keep((i / cols) as isize, (i % cols) as isize) as u8;
            }
        });
        mask.where_(self, &Tensor::full_of((), 0.0, self.dtype()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{gradcheck, gradgradcheck};

    #[test]
    fn diagonals_and_triangles() {
        let x = Tensor::arange(6).reshape([2, 3]);
        assert_eq!(x.diag(1).to_vec::<f32>(), [1.0, 5.0]);
        assert_eq!(x.diag(-1).to_vec::<f32>(), [3.0]);
        assert_eq!(x.t().diag(0).to_vec::<f32>(), [0.0, 4.0]);
        assert_eq!(x.diag(3).shape(), [0]);
        assert_eq!(Tensor::arange(2).diag(-1).to_vec::<f32>(), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(x.tril(0).to_vec::<f32>(), [0.0, 0.0, 0.0, 3.0, 4.0, 0.0]);
        assert_eq!(x.t().triu(1).to_vec::<f32>(), [0.0, 3.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(Tensor::full([2, 2], f64::NAN).triu(1).at(&[0, 0]), 0.0);
        assert_eq!(Tensor::zeros([2, 0, 3]).tril(0).shape(), [2, 0, 3]);
        let batch = Tensor::arange(8).reshape([2, 2, 2]);
        assert_eq!(batch.diagonal(0, 1, 2).to_vec::<f32>(), [0.0, 3.0, 4.0, 7.0]);
        assert_eq!(batch.diagonal(0, 2, 0).to_vec::<f32>(), [0.0, 5.0, 2.0, 7.0]);
        assert!(batch.diagonal(0, 1, 2).shares_storage(&batch));
        assert_eq!(Tensor::eye(3).trace().item(), 3.0);
    }

    #[test]
    fn all_differentiate_twice() {
        let x = Tensor::from_slice(&[0.3f64, -1.0, 2.0, 0.9, 1.4, -0.2], [2, 3]);
        for f in [
            (|x: &[Tensor]| x[0].diag(1).square()) as fn(&[Tensor]) -> Tensor,
            |x| x[0].select(0, 1).diag(-1).exp(),
            |x| x[0].t().tril(0).square(),
            |x| x[0].triu(1).square(),
            |x| x[0].unsqueeze(0).expand([2, 2, 3]).diagonal(0, 0, 1).square(),
            |x| x[0].narrow(1, 0, 2).square().trace(),
        ] {
            gradcheck(f, std::slice::from_ref(&x)).unwrap();
            gradgradcheck(f, std::slice::from_ref(&x)).unwrap();
        }
    }
}
