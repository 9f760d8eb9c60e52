//! Overwriting by index, and picking by truth value or flat position.

use crate::autograd::record;
use crate::dtype::DType;
use crate::shape::{Shape, resolve_dim};
use crate::{Tensor, dispatch_any, fail};

impl Tensor {
    /// A copy with `src`'s elements at the positions [`Tensor::gather`] would read. Of several
    /// elements for one position the last in row-major order stays.
    ///
    /// # Shapes
    /// `index` (i64) and `src` have one shape, of this tensor's rank and no larger except along `dim`.
    ///
    /// # Panics
    /// If the shapes or types do not fit or an index is out of range.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let i = Tensor::from_slice(&[2i64, 0], [2, 1]);
    /// let x = Tensor::zeros([2, 3]).scatter(1, &i, &Tensor::ones([2, 1]));
    /// assert_eq!(x.to_vec::<f32>(), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn scatter(&self, dim: isize, index: &Tensor, src: &Tensor) -> Tensor {
        let d = resolve_dim("scatter", dim, self.rank());
        let to = self.scatter_places("scatter", d, index, src);
        let (base, new) = (self.contiguous_data(), src.contiguous_data());
        let out = dispatch_any!(self.dtype(), T => {
            let (base, new) = (base.read::<T>(), new.read::<T>());
            Tensor::build_as::<T>(self.dtype(), self.shape(), |out| {
                out.copy_from_slice(&base);
                to.iter().zip(new.iter()).for_each(|(&i, &v)| out[i] = v);
            })
        });
        let index = index.detach();
        record("scatter", out, &[self, src], move |ctx| {
            let zeros = || Tensor::full_of(index.shape(), 0.0, ctx.grad().dtype());
            ctx.set(0, || ctx.grad().scatter(dim, &index, &zeros()));
            ctx.set(1, || {
                // Only the element that stayed has an influence.
                let number: Vec<i64> = (0..index.numel() as i64).collect();
                let number = Tensor::from_vec(number, index.shape());
                let empty = Tensor::full_of(ctx.grad().shape(), -1.0, DType::I64);
                let stayed = empty.scatter(dim, &index, &number).gather(dim, &index).eq(&number);
                stayed.where_(&ctx.grad().gather(dim, &index), &zeros())
            });
        })
    }

    /// The elements where `mask` (Bool, broadcast) is true, as a vector in row-major order.
    ///
    /// # Panics
    /// If the mask is not Bool or the shapes do not broadcast.
    #[track_caller]
    pub fn masked_select(&self, mask: &Tensor) -> Tensor {
        let Some(shape) = self.shape().broadcast(&mask.shape()) else {
            fail(
                "masked_select",
                format_args!("the mask's shape {} does not broadcast with {}", mask.shape(), self.shape()),
            )
        };
        let mask = mask.broadcast_to(shape).contiguous_data();
        let flat: Vec<i64> = {
            let m = mask.read_bool("masked_select");
            (0..m.len()).filter(|&i| m[i] != 0).map(|i| i as i64).collect()
        };
        let n = flat.len();
        self.broadcast_to(shape).take(&Tensor::from_vec(flat, [n]))
    }

    /// The coordinates of the elements that are not zero (or true), one row each, in row-major order.
    ///
    /// # Shapes
    /// [..] of rank r -> [n, r], i64.
    ///
    /// # Panics
    /// For f16 and bf16.
    #[track_caller]
    pub fn nonzero(&self) -> Tensor {
        let mask = self.ne_scalar(0.0);
        let m = mask.read_bool("nonzero");
        let strides: Shape = self.shape().row_major();
        let (mut out, mut rows) = (Vec::new(), 0);
        for i in (0..m.len()).filter(|&i| m[i] != 0) {
            rows += 1;
            let coordinate = |d: usize| (i / strides[d] % self.shape()[d]) as i64;
            out.extend((0..self.rank()).map(coordinate));
        }
        Tensor::from_vec(out, [rows, self.rank()])
    }

    /// The elements at positions `index` (i64) of this tensor read as one row; the result has the
    /// index's shape.
    ///
    /// # Panics
    /// If an index is out of range.
    #[track_caller]
    pub fn take(&self, index: &Tensor) -> Tensor {
        let picked = self.reshape([self.numel()]).index_select(0, &index.reshape([index.numel()]));
        picked.reshape(index.shape())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{gradcheck, gradgradcheck};

    #[test]
    fn of_two_for_one_place_the_last_stays_and_has_the_gradient() {
        let i = Tensor::from_slice(&[1i64, 1, 0, 2], [2, 2]);
        let x = [
            Tensor::from_slice(&[0.3f64, -1.0, 2.0, 0.9, 1.4, -0.2], [2, 3]),
            Tensor::from_slice(&[5.0f64, 6.0, 7.0, 8.0], [2, 2]),
        ];
        assert_eq!(x[0].scatter(1, &i, &x[1]).to_vec::<f64>(), [0.3, 6.0, 2.0, 7.0, 1.4, 8.0]);
        gradcheck(|x| x[0].scatter(1, &i, &x[1]), &x).unwrap();
        gradgradcheck(|x| x[0].scatter(-1, &i, &x[1]).square(), &x).unwrap();
        let t = [x[0].t(), x[1].t()];
        gradcheck(|x| x[0].scatter(0, &i.t(), &x[1]), &t).unwrap();
    }

    #[test]
    fn truth_values_pick() {
        let x = Tensor::arange(6).reshape([2, 3]);
        let mask = x.t().gt_scalar(2.0);
        assert_eq!(x.t().masked_select(&mask).to_vec::<f32>(), [3.0, 4.0, 5.0]);
        assert_eq!(mask.nonzero().to_vec::<i64>(), [0, 1, 1, 1, 2, 1]);
        assert_eq!(
            x.masked_select(&Tensor::from_slice(&[true, false, true], [3])).to_vec::<f32>(),
            [0.0, 2.0, 3.0, 5.0]
        );
        assert_eq!(x.gt_scalar(9.0).nonzero().shape(), [0, 2]);
        assert_eq!(Tensor::zeros([0, 2]).nonzero().shape(), [0, 2]);
        assert_eq!(Tensor::scalar(1.0).nonzero().shape(), [1, 0]);
        let y = x.to_dtype(DType::F64);
        gradcheck(|x| x[0].masked_select(&mask.t()).square(), std::slice::from_ref(&y)).unwrap();
        gradgradcheck(|x| x[0].masked_select(&mask.t()).square(), &[y]).unwrap();
    }

    #[test]
    fn take_reads_one_row() {
        let x = Tensor::from_slice(&[0.3f64, -1.0, 2.0, 0.9], [2, 2]);
        let i = Tensor::from_slice(&[3i64, 0, 0], [3, 1]);
        assert_eq!(x.t().take(&i).to_vec::<f64>(), [0.9, 0.3, 0.3]);
        gradgradcheck(|x| x[0].t().take(&i).square(), &[x]).unwrap();
    }
}
