//! Joining tensors.

use crate::autograd::record;
use crate::kernels::par::{self, GRAIN, SharedMut};
use crate::shape::resolve_dim;
use crate::{Tensor, dispatch_any, fail};

impl Tensor {
    /// Joins tensors along an existing dimension.
    ///
    /// # Panics
    /// If there are none, or they differ in type or in an extent other than `dim`'s.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let x = Tensor::cat(&[&Tensor::zeros([2, 1]), &Tensor::ones([2, 2])], 1);
    /// assert_eq!(x.to_vec::<f32>(), [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn cat(parts: &[&Tensor], dim: isize) -> Tensor {
        let Some(first) = parts.first() else { fail("cat", "there are no tensors to join") };
        let d = resolve_dim("cat", dim, first.rank());
        let mut shape = first.shape();
        for (i, p) in parts.iter().enumerate().skip(1) {
            let fits =
                p.rank() == first.rank() && (0..first.rank()).all(|j| j == d || p.shape()[j] == first.shape()[j]);
            if !fits || p.dtype() != first.dtype() {
                fail(
                    "cat",
                    format_args!(
                        "tensor {i} ({} {}) does not fit tensor 0 ({} {}): they may differ in dimension {d} only",
                        p.shape(),
                        p.dtype(),
                        first.shape(),
                        first.dtype()
                    ),
                );
            }
            shape.set(d, shape[d] + p.shape()[d]);
        }
        let (outer, inner): (usize, usize) = (shape[..d].iter().product(), shape[d + 1..].iter().product());
        let data: Vec<Tensor> = parts.iter().map(|p| p.contiguous_data()).collect();
        let out = dispatch_any!(first.dtype(), T => Tensor::build_as::<T>(first.dtype(), shape, |out| {
            let row = shape[d] * inner;
            let mut start = 0;
            let shared = SharedMut::new(out);
            for p in &data {
                let len = p.shape()[d] * inner;
                let guard = p.read::<T>();
                let src: &[T] = &guard;
                // Tasks are some runs, or parts of one.
                let (some, part) = (GRAIN.div_ceil(len.max(1)), len.min(GRAIN));
                let parts = len.div_ceil(part.max(1));
                par::for_each(outer.div_ceil(some) * parts, |job| {
                    let first = job / parts * some;
                    let (at, n) = (job % parts * part, part.min(len - job % parts * part));
                    for o in first..(first + some).min(outer) {
                        // SAFETY: the runs of all parts are places of their own, and `out` outlives the call.
                        let to = unsafe { shared.slice(o * row + start + at, n) };
                        to.copy_from_slice(&src[o * len + at..][..n]);
                    }
                });
                start += len;
            }
        }));
        let sizes: Vec<usize> = parts.iter().map(|p| p.shape()[d]).collect();
        record("cat", out, parts, move |ctx| {
            let mut start = 0;
            for (i, &n) in sizes.iter().enumerate() {
                ctx.set(i, || ctx.grad().narrow(d as isize, start, n));
                start += n;
            }
        })
    }

    /// Joins tensors of one shape along a new dimension.
    ///
    /// # Panics
    /// If there are none, or they differ in shape or type.
    #[track_caller]
    pub fn stack(parts: &[&Tensor], dim: isize) -> Tensor {
        if let Some(i) = parts.iter().position(|p| p.shape() != parts[0].shape()) {
            fail("stack", format_args!("tensor {i} has shape {}, tensor 0 {}", parts[i].shape(), parts[0].shape()));
        }
        let parts: Vec<Tensor> = parts.iter().map(|p| p.unsqueeze(dim)).collect();
        Tensor::cat(&parts.iter().collect::<Vec<_>>(), dim)
    }
}
