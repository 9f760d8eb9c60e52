//! Views: the same elements under another shape. Only `reshape`, `flatten` and `contiguous` may copy.

use crate::autograd::record;
use crate::kernels::strided::Nest;
use crate::shape::{IntoShape, Layout, Shape, resolve_dim};
use crate::{Tensor, dispatch_any, fail};

impl Tensor {
    /// This tensor's shape with at most one inferred entry filled in.
    #[track_caller]
    fn infer(&self, op: &str, entries: &[isize]) -> Shape {
        let known: isize = entries.iter().filter(|&&d| d != -1).product();
        let unknown = entries.iter().filter(|&&d| d == -1).count();
        let n = self.numel() as isize;
        let bad = unknown > 1
            || entries.iter().any(|&d| d < -1)
            || (unknown == 1 && (known == 0 || n % known != 0))
            || (unknown == 0 && known != n);
        if bad {
            fail(op, format_args!("the {n} elements of shape {} cannot take the shape {entries:?}", self.shape()));
        }
        Shape::new(&entries.iter().map(|&d| if d == -1 { n / known } else { d } as usize).collect::<Vec<_>>())
    }

    /// Strides that give this layout another shape without moving elements, if there are any.
    fn view_strides(&self, shape: &Shape) -> Option<Shape> {
        if self.is_contiguous() {
            return Some(shape.row_major());
        }
        let old = self.layout();
        // Dimensions of this layout merged into evenly spaced runs, each to be cut up by new dimensions.
        let nest = Nest::new(&old.shape, [&old.strides], [old.offset]);
        let mut strides = shape.row_major();
        let mut d = shape.len();
        for (extent, [step]) in nest.loops().rev() {
            let mut taken = 1;
            while taken < extent && d > 0 {
                d -= 1;
                strides.set(d, taken * step);
                taken *= shape[d];
            }
            if taken != extent {
                return None;
            }
        }
        Some(strides)
    }

    fn as_view(
        &self,
        op: &'static str,
        layout: Layout,
        back: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static,
    ) -> Tensor {
        record(op, self.with_layout(layout), &[self], move |ctx| ctx.set(0, || back(ctx.grad())))
    }

    /// The same elements under another shape, sharing storage. One entry may be -1.
    ///
    /// # Panics
    /// If the number of elements differs, or the elements do not lie so that no copy is needed
    /// (then use [`Tensor::reshape`]).
    #[track_caller]
    pub fn view(&self, shape: impl IntoShape) -> Tensor {
        let shape = self.infer("view", &shape.into_entries());
        let Some(strides) = self.view_strides(&shape) else {
            fail(
                "view",
                format_args!(
                    "the elements of shape {} with strides {:?} cannot be seen as {shape} without a copy; use reshape",
                    self.shape(),
                    self.strides()
                ),
            )
        };
        let old = self.shape();
        self.as_view("view", Layout { shape, strides, offset: self.layout().offset }, move |g| g.reshape(old))
    }

    /// The same elements in row-major order under another shape: a view where possible, else a copy.
    /// One entry may be -1.
    ///
    /// # Panics
    /// If the number of elements differs.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// assert_eq!(Tensor::arange(12).reshape([2, -1]).shape(), [2, 6]);
    /// ```
    #[track_caller]
    pub fn reshape(&self, shape: impl IntoShape) -> Tensor {
        let shape = self.infer("reshape", &shape.into_entries());
        if self.view_strides(&shape).is_some() { self.view(shape) } else { self.contiguous().view(shape) }
    }

    /// Merges the dimensions `start ..= end` into one.
    ///
    /// # Panics
    /// If there are no such dimensions.
    #[track_caller]
    pub fn flatten(&self, start: isize, end: isize) -> Tensor {
        if self.rank() == 0 {
            return self.reshape([1]);
        }
        let (s, e) = (resolve_dim("flatten", start, self.rank()), resolve_dim("flatten", end, self.rank()));
        if s > e {
            fail("flatten", format_args!("start {start} lies behind end {end}"));
        }
        let dims = self.shape();
        let mut out = dims[..s].to_vec();
        out.push(dims[s..=e].iter().product());
        out.extend_from_slice(&dims[e + 1..]);
        self.reshape(out)
    }

    /// Row-major elements: the tensor itself if they already are, else a copy.
    pub fn contiguous(&self) -> Tensor {
        if self.is_contiguous() {
            return self.clone();
        }
        record("contiguous", self.packed(), &[self], |ctx| ctx.set(0, || ctx.grad().clone()))
    }

    /// Gives this tensor another shape, and another number of elements if need be.
    ///
    /// A smaller one keeps the first elements (in row-major order) where they are, still shared with
    /// views and clones if they lie without gaps; a larger one has new storage, with zeros behind the
    /// old elements. Clones keep their own shape. ([`Tensor::view`] never changes the number of
    /// elements, and [`Tensor::reshape`] leaves the tensor as it is.)
    ///
    /// # Panics
    /// If the tensor takes a gradient.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let mut x = Tensor::arange(3);
    /// x.resize_([2, 2]);
    /// assert_eq!(x.to_vec::<f32>(), [0.0, 1.0, 2.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn resize_(&mut self, shape: impl IntoShape) {
        let shape = shape.into_shape();
        if self.requires_grad() {
            fail("resize_", "the tensor takes a gradient; detach it first");
        }
        let src = self.contiguous_data();
        if shape.numel() <= src.numel() {
            *self = src.with_layout(Layout { offset: src.layout().offset, ..Layout::contiguous(shape) });
            return;
        }
        *self = dispatch_any!(self.dtype(), T => {
            let src = src.read::<T>();
            Tensor::build_as::<T>(self.dtype(), shape, |out| {
                let (kept, new) = out.split_at_mut(src.len());
                kept.copy_from_slice(&src);
                new.fill(0);
            })
        });
    }

    /// Exchanges two dimensions.
    ///
    /// # Panics
    /// If there are no such dimensions.
    #[track_caller]
    pub fn transpose(&self, a: isize, b: isize) -> Tensor {
        let (i, j) = (resolve_dim("transpose", a, self.rank()), resolve_dim("transpose", b, self.rank()));
        let mut l = *self.layout();
        let (si, sj, ti, tj) = (l.shape[i], l.shape[j], l.strides[i], l.strides[j]);
        l.shape.set(i, sj);
        l.shape.set(j, si);
        l.strides.set(i, tj);
        l.strides.set(j, ti);
        self.as_view("transpose", l, move |g| g.transpose(i as isize, j as isize))
    }

    /// The transpose of a matrix.
    ///
    /// # Panics
    /// If there are more than two dimensions.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        match self.rank() {
            0 | 1 => self.clone(),
            2 => self.transpose(0, 1),
            n => fail("t", format_args!("needs a matrix, got {n} dimensions; use transpose")),
        }
    }

    /// Reorders all dimensions: dimension i of the result is dimension `dims[i]` of this.
    ///
    /// # Panics
    /// If `dims` is not a permutation.
    #[track_caller]
    pub fn permute(&self, dims: &[isize]) -> Tensor {
        let order: Vec<usize> = dims.iter().map(|&d| resolve_dim("permute", d, self.rank())).collect();
        let mut inverse = vec![usize::MAX; self.rank()];
        order.iter().enumerate().for_each(|(i, &d)| inverse[d] = i);
        if order.len() != self.rank() || inverse.contains(&usize::MAX) {
            fail("permute", format_args!("{dims:?} does not name each of the {} dimensions once", self.rank()));
        }
        let mut l = *self.layout();
        for (i, &d) in order.iter().enumerate() {
            l.shape.set(i, self.layout().shape[d]);
            l.strides.set(i, self.layout().strides[d]);
        }
        let inverse: Vec<isize> = inverse.iter().map(|&d| d as isize).collect();
        self.as_view("permute", l, move |g| g.permute(&inverse))
    }

    /// Drops dimension `dim`, which must have extent 1.
    ///
    /// # Panics
    /// If its extent is not 1.
    #[track_caller]
    pub fn squeeze(&self, dim: isize) -> Tensor {
        let d = resolve_dim("squeeze", dim, self.rank());
        if self.shape()[d] != 1 {
            fail("squeeze", format_args!("dimension {d} of {} is not 1", self.shape()));
        }
        let mut l = *self.layout();
        l.shape.remove(d);
        l.strides.remove(d);
        self.as_view("squeeze", l, move |g| g.unsqueeze(d as isize))
    }

    /// Inserts a dimension of extent 1 before position `dim` (-1: at the end).
    ///
    /// # Panics
    /// If `dim` is out of range.
    #[track_caller]
    pub fn unsqueeze(&self, dim: isize) -> Tensor {
        let d = resolve_dim("unsqueeze", dim, self.rank() + 1);
        let mut l = *self.layout();
        let stride = if d < self.rank() { l.shape[d] * l.strides[d] } else { 1 };
        l.shape.insert(d, 1);
        l.strides.insert(d, stride);
        self.as_view("unsqueeze", l, move |g| g.squeeze(d as isize))
    }

    /// Repeats dimensions of extent 1 without copying; -1 keeps an extent. New dimensions go in front.
    ///
    /// # Panics
    /// If an extent other than 1 would have to change.
    #[track_caller]
    pub fn expand(&self, shape: impl IntoShape) -> Tensor {
        let entries = shape.into_entries();
        let lead = entries.len().wrapping_sub(self.rank());
        let ok = entries.len() >= self.rank()
            && entries.iter().enumerate().all(|(i, &e)| {
                let own = i.checked_sub(lead).map(|d| self.shape()[d]);
                e >= 0 && own.is_none_or(|o| o == 1 || o as isize == e) || e == -1 && own.is_some()
            });
        if !ok {
            fail(
                "expand",
                format_args!(
                    "shape {} cannot be expanded to {entries:?}: only dimensions of extent 1 can change",
                    self.shape()
                ),
            );
        }
        let full: Vec<usize> = entries
            .iter()
            .enumerate()
            .map(|(i, &e)| if e == -1 { self.shape()[i - lead] } else { e as usize })
            .collect();
        let shape = Shape::new(&full);
        let strides = self.layout().broadcast_strides(&shape);
        // Ctx::set sums the gradient back to this tensor's shape.
        self.as_view("expand", Layout { shape, strides, offset: self.layout().offset }, |g| g.clone())
    }

    /// As [`Tensor::expand`], for a complete shape.
    ///
    /// # Panics
    /// If an extent other than 1 would have to change.
    #[track_caller]
    pub fn broadcast_to(&self, shape: impl IntoShape) -> Tensor {
        let shape = shape.into_shape();
        if shape == self.shape() { self.clone() } else { self.expand(shape) }
    }

    /// `len` positions of dimension `dim` from `start`.
    ///
    /// # Panics
    /// If they do not all exist.
    #[track_caller]
    pub fn narrow(&self, dim: isize, start: usize, len: usize) -> Tensor {
        let d = resolve_dim("narrow", dim, self.rank());
        if start + len > self.shape()[d] {
            fail(
                "narrow",
                format_args!("positions {start}..{} do not exist in dimension {d} of {}", start + len, self.shape()),
            );
        }
        self.slice(dim, start, start + len, 1)
    }

    /// Positions `start`, `start + step`, ... below `end` of dimension `dim`.
    ///
    /// # Panics
    /// If `start <= end <= extent` does not hold or `step` is 0.
    #[track_caller]
    pub fn slice(&self, dim: isize, start: usize, end: usize, step: usize) -> Tensor {
        let d = resolve_dim("slice", dim, self.rank());
        let extent = self.shape()[d];
        if start > end || end > extent || step == 0 {
            fail(
                "slice",
                format_args!("{start}..{end} in steps of {step} is not a range of dimension {d} of {}", self.shape()),
            );
        }
        let mut l = *self.layout();
        l.shape.set(d, (end - start).div_ceil(step));
        l.offset += start * l.strides[d];
        l.strides.set(d, l.strides[d] * step);
        if l.shape.numel() == 0 {
            l.offset = 0;
        }
        let whole = self.shape();
        self.as_view("slice", l, move |g| g.slice_backward(whole, d, start, step))
    }

    /// Zeros of shape `whole` with this tensor at `start`, `start + step`, ... of dimension `d`.
    fn slice_backward(&self, whole: Shape, d: usize, start: usize, step: usize) -> Tensor {
        let src = self.contiguous_data();
        let mut view = Layout::contiguous(whole);
        view.offset = start * view.strides[d];
        view.shape.set(d, self.shape()[d]);
        view.strides.set(d, view.strides[d] * step);
        let out = dispatch_any!(self.dtype(), T => {
            let src = src.read::<T>();
            Tensor::build_as::<T>(self.dtype(), whole, |out| {
                out.fill(0);
                crate::kernels::strided::scatter(&src, out, view.offset, &view.shape, &view.strides);
            })
        });
        let n = self.shape()[d];
        record("slice_backward", out, &[self], move |ctx| {
            ctx.set(0, || {
                ctx.grad().slice(d as isize, start, if n == 0 { start } else { start + (n - 1) * step + 1 }, step)
            })
        })
    }

    /// Position `index` of dimension `dim`, which is dropped.
    ///
    /// # Panics
    /// If there is no such position.
    #[track_caller]
    pub fn select(&self, dim: isize, index: usize) -> Tensor {
        self.narrow(dim, index, 1).squeeze(dim)
    }

    /// Pieces of `size` positions along `dim`; the last may be smaller.
    ///
    /// # Panics
    /// If `size` is 0 or there is no such dimension.
    #[track_caller]
    pub fn split(&self, size: usize, dim: isize) -> Vec<Tensor> {
        let n = self.size(dim);
        if size == 0 {
            fail("split", "the size of a piece is 0");
        }
        (0..n).step_by(size).map(|s| self.narrow(dim, s, size.min(n - s))).collect()
    }

    /// At most `n` pieces of equal size along `dim`; the last may be smaller.
    ///
    /// # Panics
    /// If `n` is 0 or there is no such dimension.
    #[track_caller]
    pub fn chunk(&self, n: usize, dim: isize) -> Vec<Tensor> {
        if n == 0 {
            fail("chunk", "the number of pieces is 0");
        }
        self.split(self.size(dim).div_ceil(n).max(1), dim)
    }

    /// Windows of `size` positions along `dim`, `step` apart: `dim` becomes the number of windows and a
    /// last dimension of `size` is added.
    ///
    /// # Panics
    /// If `size` exceeds the extent or `step` is 0.
    #[track_caller]
    pub fn unfold(&self, dim: isize, size: usize, step: usize) -> Tensor {
        let d = resolve_dim("unfold", dim, self.rank());
        let extent = self.shape()[d];
        if size > extent || step == 0 {
            fail(
                "unfold",
                format_args!("no windows of {size} in steps of {step} in dimension {d} of {}", self.shape()),
            );
        }
        let mut l = *self.layout();
        let stride = l.strides[d];
        let windows = (extent - size) / step + 1;
        l.shape.set(d, windows);
        l.strides.set(d, stride * step);
        l.shape.push(size);
        l.strides.push(stride);
        self.as_view("unfold", l, move |g| {
            // Window k's element j lies at k * step + j: add the slices of each j back in place.
            let last = g.rank() as isize - 1;
            let whole = {
                let mut s = g.shape();
                s.remove(last as usize);
                s.set(d, extent);
                s
            };
            (0..size)
                .map(|j| g.select(last, j).slice_backward(whole, d, j, step))
                .reduce(|a, b| a + b)
                .unwrap_or_else(|| Tensor::full_of(whole, 0.0, g.dtype()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::gradgradcheck;

    #[test]
    fn views_share_and_reshape_copies_only_when_it_must() {
        let x = Tensor::arange(24).reshape([2, 3, 4]);
        assert!(x.transpose(0, 2).shares_storage(&x) && x.view([4, 6]).shares_storage(&x));
        let t = x.transpose(1, 2);
        assert!(t.reshape([2, 2, 2, 3]).shares_storage(&x), "splitting a dimension needs no copy");
        assert!(!t.reshape([24]).shares_storage(&x));
        assert_eq!(t.reshape([24]).to_vec::<f32>()[..4], [0.0, 4.0, 8.0, 1.0]);
        assert_eq!(x.narrow(2, 1, 2).reshape([6, 2]).to_vec::<f32>()[..4], [1.0, 2.0, 5.0, 6.0]);
    }

    #[test]
    fn resizing_shares_only_what_was_there() {
        let x = Tensor::arange(6).reshape([2, 3]);
        let mut y = x.clone();
        y.resize_([2, 2]);
        assert!(y.shares_storage(&x));
        assert_eq!((x.shape(), y.to_vec::<f32>()), (Shape::new(&[2, 3]), vec![0.0, 1.0, 2.0, 3.0]));
        y.resize_([5]);
        assert_eq!(y.to_vec::<f32>(), [0.0, 1.0, 2.0, 3.0, 0.0]);
        let mut t = x.t();
        t.resize_([3]);
        assert_eq!(t.to_vec::<f32>(), [0.0, 3.0, 1.0]);
        assert!(!t.shares_storage(&x));
        t.resize_([0, 4]);
        assert_eq!(t.shape(), [0, 4]);
    }

    #[test]
    #[should_panic(expected = "cannot be seen as [6] without a copy")]
    fn view_refuses_to_copy() {
        Tensor::zeros([2, 3]).t().view([6]);
    }

    #[test]
    fn windows_overlap_and_differentiate() {
        let x = Tensor::arange(5);
        assert_eq!(x.unfold(0, 3, 2).to_vec::<f32>(), [0.0, 1.0, 2.0, 2.0, 3.0, 4.0]);
        let x = Tensor::arange(6).to_dtype(crate::DType::F64).reshape([2, 3]);
        gradgradcheck(|x| x[0].unfold(1, 2, 1).square().sum() + x[0].slice(1, 0, 3, 2).exp().sum(), &[x * 0.1])
            .unwrap();
    }
}
