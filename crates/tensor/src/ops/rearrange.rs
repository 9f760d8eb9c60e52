//! Reordering, repeating and taking apart.

use crate::autograd::record;
use crate::shape::{IntoDims, IntoShape, Shape, resolve_dim, resolve_dims};
use crate::{Tensor, fail};

impl Tensor {
    /// The elements in reverse order along `dims`.
    ///
    /// # Panics
    /// If there is no such dimension or one is named twice.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// assert_eq!(Tensor::arange(4).reshape([2, 2]).flip(1).to_vec::<f32>(), [1.0, 0.0, 3.0, 2.0]);
    /// ```
    #[track_caller]
    pub fn flip(&self, dims: impl IntoDims) -> Tensor {
        let dims = resolve_dims("flip", dims, self.rank());
        let mut out = self.detach();
        for &d in &dims {
            let backwards: Vec<i64> = (0..self.shape()[d] as i64).rev().collect();
            out = out.index_select(d as isize, &Tensor::from_slice(&backwards, [backwards.len()]));
        }
        let dims: Vec<isize> = dims.iter().map(|&d| d as isize).collect();
        record("flip", out, &[self], move |ctx| ctx.set(0, || ctx.grad().flip(&dims[..])))
    }

    /// The elements moved by `shift` positions along `dim`; those that leave at one end enter at the other.
    ///
    /// # Panics
    /// If there is no such dimension.
    #[track_caller]
    pub fn roll(&self, shift: isize, dim: isize) -> Tensor {
        let n = self.size(dim);
        if n == 0 {
            return self.clone();
        }
        let first = (-shift).rem_euclid(n as isize) as usize;
        Tensor::cat(&[&self.narrow(dim, first, n - first), &self.narrow(dim, 0, first)], dim)
    }

    /// The whole tensor `times` over along each dimension; additional leading entries add dimensions.
    ///
    /// # Panics
    /// If there are fewer entries than dimensions.
    #[track_caller]
    pub fn repeat(&self, times: impl IntoShape) -> Tensor {
        let times = times.into_shape();
        let Some(lead) = times.len().checked_sub(self.rank()) else {
            fail("repeat", format_args!("{times} has fewer entries than {} dimensions", self.shape()))
        };
        let mut shape = Shape::new(&vec![1; lead]);
        self.shape().iter().for_each(|&n| shape.push(n));
        let mut out = self.reshape(shape);
        for d in (0..times.len()).filter(|&d| times[d] != 1) {
            // [outer, n ..] -> [outer, 1, n ..] -> [outer, times, n ..] -> [outer, times * n, ..]
            let (outer, inner): (usize, usize) = (shape[..d].iter().product(), shape[d..].iter().product());
            shape.set(d, shape[d] * times[d]);
            out = out.reshape([outer, 1, inner]).expand([outer, times[d], inner]).reshape(shape);
        }
        out
    }

    /// Each position of `dim` `times` over, next to each other.
    ///
    /// # Panics
    /// If there is no such dimension.
    #[track_caller]
    pub fn repeat_interleave(&self, times: usize, dim: isize) -> Tensor {
        let d = resolve_dim("repeat_interleave", dim, self.rank());
        let mut shape = self.shape();
        let (outer, inner): (usize, usize) = (shape[..=d].iter().product(), shape[d + 1..].iter().product());
        shape.set(d, shape[d] * times);
        self.reshape([outer, 1, inner]).expand([outer, times, inner]).reshape(shape)
    }

    /// Moves dimension `from` to position `to`; the others keep their order.
    ///
    /// # Panics
    /// If there are no such dimensions.
    #[track_caller]
    pub fn movedim(&self, from: isize, to: isize) -> Tensor {
        let (f, t) = (resolve_dim("movedim", from, self.rank()), resolve_dim("movedim", to, self.rank()));
        let mut order: Vec<isize> = (0..self.rank() as isize).collect();
        let moved = order.remove(f);
        order.insert(t, moved);
        self.permute(&order)
    }

    /// Drops every dimension of extent 1.
    pub fn squeeze_all(&self) -> Tensor {
        let kept: Vec<usize> = self.shape().iter().copied().filter(|&n| n != 1).collect();
        self.view(kept)
    }

    /// This tensor in the shape of another, without a copy.
    ///
    /// # Panics
    /// As [`Tensor::view`].
    #[track_caller]
    pub fn view_as(&self, other: &Tensor) -> Tensor {
        self.view(other.shape())
    }

    /// The positions of `dim`, each without that dimension.
    ///
    /// # Panics
    /// If there is no such dimension.
    #[track_caller]
    pub fn unbind(&self, dim: isize) -> Vec<Tensor> {
        (0..self.size(dim)).map(|i| self.select(dim, i)).collect()
    }

    /// Consecutive pieces of the given sizes along `dim`.
    ///
    /// # Panics
    /// If the sizes do not add up to the extent.
    #[track_caller]
    pub fn split_sizes(&self, sizes: &[usize], dim: isize) -> Vec<Tensor> {
        let d = resolve_dim("split_sizes", dim, self.rank());
        let n = self.shape()[d];
        if sizes.iter().sum::<usize>() != n {
            fail(
                "split_sizes",
                format_args!(
                    "the sizes {sizes:?} add up to {}, dimension {d} of {} is {n}",
                    sizes.iter().sum::<usize>(),
                    self.shape()
                ),
            );
        }
        let mut start = 0;
        sizes
            .iter()
            .map(|&len| {
                start += len;
                self.narrow(dim, start - len, len)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{gradcheck, gradgradcheck};

    #[test]
    fn elements_move_where_they_should() {
        let x = Tensor::arange(6).reshape([2, 3]);
        assert_eq!(x.t().flip([0, 1]).to_vec::<f32>(), [5.0, 2.0, 4.0, 1.0, 3.0, 0.0]);
        assert_eq!(x.roll(1, 1).to_vec::<f32>(), [2.0, 0.0, 1.0, 5.0, 3.0, 4.0]);
        assert_eq!(x.roll(-4, -1).to_vec::<f32>(), [1.0, 2.0, 0.0, 4.0, 5.0, 3.0]);
        assert_eq!(x.select(0, 0).repeat([2, 2]).to_vec::<f32>(), [0.0, 1.0, 2.0, 0.0, 1.0, 2.0].repeat(2));
        assert_eq!(x.t().repeat([1, 2]).to_vec::<f32>()[..4], [0.0, 3.0, 0.0, 3.0]);
        assert_eq!(x.repeat([0, 2]).shape(), [0, 6]);
        assert_eq!(x.repeat_interleave(2, 1).to_vec::<f32>()[..4], [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(Tensor::zeros([2, 3, 4, 5]).movedim(1, -1).shape(), [2, 4, 5, 3]);
        assert_eq!(Tensor::zeros([1, 3, 1]).squeeze_all().shape(), [3]);
        assert_eq!(Tensor::zeros([0, 3]).roll(1, 0).shape(), [0, 3]);
        assert_eq!(Tensor::zeros([0, 3]).flip([0, 1]).shape(), [0, 3]);
    }

    #[test]
    fn pieces_are_views() {
        let x = Tensor::arange(6).reshape([2, 3]);
        let parts = x.split_sizes(&[1, 2], 1);
        assert!(parts[1].shares_storage(&x));
        assert_eq!(parts[1].to_vec::<f32>(), [1.0, 2.0, 4.0, 5.0]);
        assert_eq!(x.unbind(1)[2].to_vec::<f32>(), [2.0, 5.0]);
        assert!(x.view_as(&Tensor::zeros([3, 2])).shares_storage(&x));
    }

    #[test]
    #[should_panic(expected = "split_sizes: the sizes [1, 1] add up to 2, dimension 1 of [2, 3] is 3")]
    fn sizes_must_add_up() {
        Tensor::zeros([2, 3]).split_sizes(&[1, 1], 1);
    }

    #[test]
    fn all_differentiate_twice() {
        let x = Tensor::from_slice(&[0.3f64, -1.0, 2.0, 0.9, 1.4, -0.2], [2, 3]);
        for f in [
            (|x: &[Tensor]| x[0].t().flip(0).square()) as fn(&[Tensor]) -> Tensor,
            |x| x[0].roll(2, 1).square(),
            |x| x[0].repeat([2, 1, 3]).square(),
            |x| x[0].repeat_interleave(3, 0).square(),
            |x| x[0].unsqueeze(0).movedim(2, 0).squeeze_all().exp(),
            |x| x[0].unbind(0).iter().fold(Tensor::scalar(1.0), |a, b| a * b),
            |x| x[0].split_sizes(&[1, 2], 1)[1].square(),
        ] {
            gradcheck(f, std::slice::from_ref(&x)).unwrap();
            gradgradcheck(f, std::slice::from_ref(&x)).unwrap();
        }
    }
}
