//! Picking and placing elements by position.

use crate::autograd::record;
use crate::deferred;
use crate::dtype::DType;
use crate::kernels::par;
use crate::shape::{Shape, resolve_dim};
use crate::{Tensor, dispatch_any, dispatch_float, dispatch_num, fail};

/// The positions an i64 tensor names, each checked to lie in 0..extent.
#[track_caller]
pub(crate) fn positions(op: &str, index: &Tensor, extent: usize, dim: usize) -> Vec<usize> {
    if index.dtype() != DType::I64 {
        fail(op, format_args!("needs i64 indices, got {}; convert with to_dtype", index.dtype()));
    }
    let data = index.contiguous_data();
    let data = data.read::<i64>();
    if let Some(bad) = data.iter().find(|&&i| i < 0 || i >= extent as i64) {
        fail(op, format_args!("index {bad} is out of range for dimension {dim} of extent {extent}"));
    }
    data.iter().map(|&i| i as usize).collect()
}

/// For each element of a row-major tensor of shape `index`, its place in a row-major tensor of shape
/// `of` when the coordinate along `d` is replaced by `at(element)`.
fn places(index: &Shape, of: &Shape, d: usize, at: &[usize]) -> Vec<usize> {
    let strides = of.row_major();
    let mut coord = vec![0usize; index.len()];
    (0..index.numel())
        .map(|e| {
            let place = (0..coord.len()).map(|i| strides[i] * if i == d { at[e] } else { coord[i] }).sum();
            for i in (0..coord.len()).rev() {
                coord[i] += 1;
                if coord[i] < index[i] {
                    break;
                }
                coord[i] = 0;
            }
            place
        })
        .collect()
}

#[track_caller]
fn check_index_shape(op: &str, index: &Tensor, of: &Shape, d: usize) {
    let fits = index.rank() == of.len() && (0..of.len()).all(|i| i == d || index.shape()[i] <= of[i]);
    if !fits {
        fail(
            op,
            format_args!(
                "the index's shape {} must have as many dimensions as {of} and be no larger, except along dimension {d}",
                index.shape()
            ),
        );
    }
}

/// Elements that one thread copies at a time.
const ROW_PIECE: usize = 16 * 1024;
/// How many rows before it is copied a row is fetched: rows of a large table lie anywhere in it.
const AHEAD: usize = 4;

/// Row i of `out` is row `place(i)` of `src`, each of `width` elements; all threads.
pub(crate) fn copy_rows<T: Copy + Send + Sync>(
    src: &[T],
    width: usize,
    place: impl Fn(usize) -> usize + Sync,
    out: &mut [T],
) {
    let together = ROW_PIECE.checked_div(width).unwrap_or(0).max(1);
    par::for_each_chunk_mut(out, together * width, |piece, out| {
        copy_run(src, width, |i| place(piece * together + i), out);
    });
}

/// As [`copy_rows`], on this thread.
pub(crate) fn copy_run<T: Copy>(src: &[T], width: usize, place: impl Fn(usize) -> usize, out: &mut [T]) {
    let rows = out.len() / width;
    for (i, row) in out.chunks_exact_mut(width).enumerate() {
        if i + AHEAD < rows {
            prefetch(&src[place(i + AHEAD) * width..][..width]);
        }
        row.copy_from_slice(&src[place(i) * width..][..width]);
    }
}

/// Asks for a row that will be read soon, or its first two kilobytes: what is behind them is foreseen by the processor.
#[inline(always)]
fn prefetch<T>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks(64 / size_of::<T>()).take(32) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

impl Tensor {
    /// `out[i][j].. = self[i][index[i][j]..]..` along `dim` (here 1).
    ///
    /// # Shapes
    /// `index` (i64) has this tensor's rank and is no larger except along `dim`; the result has its shape.
    ///
    /// # Panics
    /// If the shapes do not fit or an index is out of range.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let x = Tensor::arange(6).reshape([2, 3]);
    /// let i = Tensor::from_slice(&[2i64, 0], [2, 1]);
    /// assert_eq!(x.gather(1, &i).to_vec::<f32>(), [2.0, 3.0]);
    /// ```
    #[track_caller]
    pub fn gather(&self, dim: isize, index: &Tensor) -> Tensor {
        let d = resolve_dim("gather", dim, self.rank());
        let whole = self.shape();
        check_index_shape("gather", index, &whole, d);
        let at = positions("gather", index, whole[d], d);
        let from = places(&index.shape(), &whole, d, &at);
        let src = self.contiguous_data();
        let out = dispatch_any!(self.dtype(), T => {
            let src = src.read::<T>();
            Tensor::build_as::<T>(self.dtype(), index.shape(), |out| out.iter_mut().zip(&from).for_each(|(o, &i)| *o = src[i]))
        });
        let index = index.detach();
        record("gather", out, &[self], move |ctx| {
            ctx.set(0, || Tensor::full_of(whole, 0.0, ctx.grad().dtype()).scatter_add(dim, &index, ctx.grad()))
        })
    }

    /// A copy with `src`'s elements added at the positions [`Tensor::gather`] would read. Positions
    /// named several times receive every addend, in row-major order of the index.
    ///
    /// # Panics
    /// If the shapes do not fit or an index is out of range.
    #[track_caller]
    pub fn scatter_add(&self, dim: isize, index: &Tensor, src: &Tensor) -> Tensor {
        let d = resolve_dim("scatter_add", dim, self.rank());
        check_index_shape("scatter_add", index, &self.shape(), d);
        let to = self.scatter_places("scatter_add", d, index, src);
        let (base, add) = (self.contiguous_data(), src.contiguous_data());
        let out = dispatch_num!(self.dtype(), "scatter_add", T => {
            use crate::kernels::math::Num;
            let (base, add) = (base.read::<T>(), add.read::<T>());
            Tensor::build::<T>(self.shape(), |out| {
                out.copy_from_slice(&base);
                to.iter().zip(add.iter()).for_each(|(&i, &v)| out[i] = Num::add(out[i], v));
            })
        });
        let index = index.detach();
        record("scatter_add", out, &[self, src], move |ctx| {
            ctx.set(0, || ctx.grad().clone());
            ctx.set(1, || ctx.grad().gather(dim, &index));
        })
    }

    /// Where the elements of `src` go, checked.
    #[track_caller]
    pub(crate) fn scatter_places(&self, op: &str, d: usize, index: &Tensor, src: &Tensor) -> Vec<usize> {
        check_index_shape(op, index, &self.shape(), d);
        if src.shape() != index.shape() || src.dtype() != self.dtype() {
            fail(
                op,
                format_args!(
                    "the source ({} {}) must have the index's shape {} and type {}",
                    src.shape(),
                    src.dtype(),
                    index.shape(),
                    self.dtype()
                ),
            );
        }
        let at = positions(op, index, self.shape()[d], d);
        places(&index.shape(), &self.shape(), d, &at)
    }

    /// The positions `index` (i64 vector) of dimension `dim`, in that order: rows of an embedding table,
    /// a shuffled batch.
    ///
    /// # Panics
    /// If the index is not a vector or names a position that does not exist.
    #[track_caller]
    pub fn index_select(&self, dim: isize, index: &Tensor) -> Tensor {
        let d = resolve_dim("index_select", dim, self.rank());
        if index.rank() != 1 {
            fail("index_select", format_args!("needs a vector of indices, got shape {}", index.shape()));
        }
        let whole = self.shape();
        let at = positions("index_select", index, whole[d], d);
        let inner: usize = whole[d + 1..].iter().product();
        let mut shape = whole;
        shape.set(d, at.len());
        let src = self.contiguous_data();
        let out = if d == 0 && matches!(self.dtype(), DType::F32 | DType::F64) {
            deferred::rows(&src, at, inner, shape)
        } else {
            dispatch_any!(self.dtype(), T => {
                let src = src.read::<T>();
                let place = |i| i / at.len() * whole[d] + at[i % at.len()];
                Tensor::build_as::<T>(self.dtype(), shape, |out| copy_rows(&src, inner, place, out))
            })
        };
        let index = index.detach();
        record("index_select", out, &[self], move |ctx| {
            if d == 0 {
                return ctx.set_rows(0, &index, || ctx.grad().clone());
            }
            ctx.set(0, || Tensor::full_of(whole, 0.0, ctx.grad().dtype()).index_add(dim, &index, ctx.grad()))
        })
    }

    /// Adds `alpha` times row i of `src` to row `index[i]` (i64 vector, positions along the first dimension), in
    /// place, in this order. Nothing is recorded.
    ///
    /// # Panics
    /// If the shapes or types do not fit, an index is out of range, or the elements are no floats.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let t = Tensor::zeros([3, 2]);
    /// t.index_add_(&Tensor::from_slice(&[2i64, 0, 2], [3]), &Tensor::ones([3, 2]), 0.5);
    /// assert_eq!(t.to_vec::<f32>(), [0.5, 0.5, 0.0, 0.0, 1.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn index_add_(&self, index: &Tensor, src: &Tensor, alpha: f64) {
        let whole = self.shape();
        let mut want = whole;
        if whole.is_empty() || index.rank() != 1 {
            fail("index_add_", format_args!("needs rows and a vector of indices, got {whole} and {}", index.shape()));
        }
        want.set(0, index.numel());
        if src.shape() != want || src.dtype() != self.dtype() {
            let (dtype, found) = (self.dtype(), (src.dtype(), src.shape()));
            fail("index_add_", format_args!("the source must be {dtype} {want}, got {} {}", found.0, found.1));
        }
        if !self.is_contiguous() {
            let packed = self.packed();
            packed.index_add_(index, src, alpha);
            return self.detach().copy_(&packed);
        }
        let at = positions("index_add_", index, whole[0], 0);
        let width: usize = whole[1..].iter().product();
        let src = if src.shares_storage(self) { src.packed() } else { src.contiguous_data() };
        dispatch_float!(self.dtype(), "index_add_", T => {
            use crate::kernels::math::Num;
            let (add, alpha) = (src.read::<T>(), T::from_f64(alpha));
            let mut out = self.write::<T>();
            for (j, &i) in at.iter().enumerate() {
                let (target, row) = (&mut out[i * width..][..width], &add[j * width..][..width]);
                target.iter_mut().zip(row).for_each(|(t, &v)| *t += alpha * v);
            }
        });
    }

    /// A copy with position i of `src` along `dim` added at position `index[i]`.
    ///
    /// # Panics
    /// If the shapes do not fit or an index is out of range.
    #[track_caller]
    pub fn index_add(&self, dim: isize, index: &Tensor, src: &Tensor) -> Tensor {
        let d = resolve_dim("index_add", dim, self.rank());
        let whole = self.shape();
        let mut want = whole;
        want.set(d, index.numel());
        if index.rank() != 1 || src.shape() != want || src.dtype() != self.dtype() {
            fail(
                "index_add",
                format_args!(
                    "the source must have shape {want} and type {}, got {} {}",
                    self.dtype(),
                    src.shape(),
                    src.dtype()
                ),
            );
        }
        let at = positions("index_add", index, whole[d], d);
        let (outer, inner): (usize, usize) = (whole[..d].iter().product(), whole[d + 1..].iter().product());
        let (base, add) = (self.contiguous_data(), src.contiguous_data());
        let out = dispatch_num!(self.dtype(), "index_add", T => {
            use crate::kernels::math::Num;
            let (base, add) = (base.read::<T>(), add.read::<T>());
            Tensor::build::<T>(whole, |out| {
                out.copy_from_slice(&base);
                for o in 0..outer {
                    for (j, &i) in at.iter().enumerate() {
                        let row = &add[(o * at.len() + j) * inner..][..inner];
                        let target = &mut out[(o * whole[d] + i) * inner..][..inner];
                        target.iter_mut().zip(row).for_each(|(t, &v)| *t = Num::add(*t, v));
                    }
                }
            })
        });
        let index = index.detach();
        record("index_add", out, &[self, src], move |ctx| {
            ctx.set(0, || ctx.grad().clone());
            ctx.set(1, || ctx.grad().index_select(dim, &index));
        })
    }
}
