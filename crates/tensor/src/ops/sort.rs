//! Sorting, the best few, and the median.

use crate::shape::resolve_dim;
use crate::{DType, Tensor, dispatch_num, fail};
use std::cmp::Ordering;

/// The order of numbers in which NaN is the largest.
#[expect(clippy::eq_op, reason = "x != x tells NaN for any element type")]
fn order<T: PartialOrd>(a: &T, b: &T) -> Ordering {
    a.partial_cmp(b).unwrap_or_else(|| (a != a).cmp(&(b != b)))
}

/// Runs `$body` for each run of `$self` along `$d`: `$row` are its elements, `$out` takes `$k` positions.
/// The result is the i64 tensor of those positions, with extent `$k` along `$d`.
macro_rules! each_run {
    ($op:expr, $self:expr, $d:expr, $k:expr, |$row:ident, $out:ident| $body:expr) => {{
        let (d, k) = ($d, $k);
        let x = $self.detach().transpose(d as isize, -1);
        // Truth values sort as the numbers 0 and 1.
        let x = if x.dtype() == DType::Bool { x.to_dtype(DType::U8) } else { x }.contiguous_data();
        let n = x.shape()[x.rank() - 1];
        let mut shape = x.shape();
        shape.set(x.rank() - 1, k);
        let places = dispatch_num!(x.dtype(), $op, T => {
            let src = x.read::<T>();
            Tensor::build::<i64>(shape, |out| {
                if n > 0 && k > 0 {
                    for ($row, $out) in src.chunks_exact(n).zip(out.chunks_exact_mut(k)) {
                        $body
                    }
                }
            })
        });
        places.transpose(d as isize, -1).packed()
    }};
}

impl Tensor {
    /// The elements along `dim` in ascending (or descending) order, and their positions (i64).
    ///
    /// Equal elements keep their order; NaN counts as larger than every number.
    ///
    /// # Panics
    /// If there is no such dimension, or for f16 and bf16.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let (values, places) = Tensor::from_slice(&[3.0f32, 1.0, 2.0], [3]).sort(0, true);
    /// assert_eq!(values.to_vec::<f32>(), [3.0, 2.0, 1.0]);
    /// assert_eq!(places.to_vec::<i64>(), [0, 2, 1]);
    /// ```
    #[track_caller]
    pub fn sort(&self, dim: isize, descending: bool) -> (Tensor, Tensor) {
        let places = self.argsort(dim, descending);
        if self.rank() == 0 { (self.clone(), places) } else { (self.gather(dim, &places), places) }
    }

    /// The positions (i64) that sort the elements along `dim`. See [`Tensor::sort`].
    ///
    /// # Panics
    /// If there is no such dimension, or for f16 and bf16.
    #[track_caller]
    pub fn argsort(&self, dim: isize, descending: bool) -> Tensor {
        let d = resolve_dim("sort", dim, self.rank().max(1));
        if self.rank() == 0 {
            return Tensor::full_of((), 0.0, DType::I64);
        }
        each_run!("sort", self, d, self.shape()[d], |row, out| {
            out.iter_mut().zip(0..).for_each(|(o, i)| *o = i);
            if descending {
                out.sort_by(|&i, &j| order(&row[j as usize], &row[i as usize]));
            } else {
                out.sort_by(|&i, &j| order(&row[i as usize], &row[j as usize]));
            }
        })
    }

    /// The `k` largest (or smallest) elements along `dim`, the best first, and their positions (i64).
    /// Of equal ones the first are taken.
    ///
    /// # Panics
    /// If there is no such dimension or it has fewer than `k` positions, or for f16 and bf16.
    #[track_caller]
    pub fn topk(&self, k: usize, dim: isize, largest: bool) -> (Tensor, Tensor) {
        if self.rank() == 0 {
            fail("topk", "needs at least one dimension");
        }
        let d = resolve_dim("topk", dim, self.rank());
        let n = self.shape()[d];
        if k > n {
            fail("topk", format_args!("{k} elements asked for, dimension {d} of {} has {n}", self.shape()));
        }
        let mut scratch: Vec<i64> = Vec::with_capacity(n);
        let places = each_run!("topk", self, d, k, |row, out| {
            scratch.clear();
            scratch.extend(0..n as i64);
            let better = |i: &i64, j: &i64| {
                let (a, b) = (&row[*i as usize], &row[*j as usize]);
                (if largest { order(b, a) } else { order(a, b) }).then(i.cmp(j))
            };
            if k < n {
                scratch.select_nth_unstable_by(k, better);
            }
            scratch[..k].sort_unstable_by(better);
            out.copy_from_slice(&scratch[..k]);
        });
        (self.gather(dim, &places), places)
    }

    /// The element in the middle of those along `dim`, the lower one of two, and its position (i64).
    /// A NaN is the median of whatever it is in.
    ///
    /// # Panics
    /// If there is no such dimension or it is empty, or for f16 and bf16.
    #[track_caller]
    pub fn median_dim(&self, dim: isize, keepdim: bool) -> (Tensor, Tensor) {
        let d = resolve_dim("median", dim, self.rank());
        let n = self.shape()[d];
        if n == 0 {
            fail("median", format_args!("dimension {d} of {} is empty", self.shape()));
        }
        let mut scratch: Vec<i64> = Vec::with_capacity(n);
        let places = each_run!("median", self, d, 1, |row, out| {
            scratch.clear();
            scratch.extend(0..n as i64);
            #[expect(clippy::eq_op, reason = "x != x tells NaN for any element type")]
            let nan = row.iter().position(|v| v != v);
            out[0] = match nan {
                Some(i) => i as i64,
                None => {
                    let by = |i: &i64, j: &i64| order(&row[*i as usize], &row[*j as usize]).then(i.cmp(j));
                    *scratch.select_nth_unstable_by((n - 1) / 2, by).1
                }
            };
        });
        let values = self.gather(dim, &places);
        if keepdim { (values, places) } else { (values.squeeze(dim), places.squeeze(dim)) }
    }

    /// The element in the middle of all, the lower one of two. See [`Tensor::median_dim`].
    ///
    /// # Panics
    /// If there are no elements, or for f16 and bf16.
    #[track_caller]
    pub fn median(&self) -> Tensor {
        self.reshape([self.numel()]).median_dim(0, false).0
    }
}

#[cfg(test)]
mod tests {
    use crate::autograd::{gradcheck, gradgradcheck};
    use crate::{DType, Tensor};

    #[test]
    fn equal_elements_keep_their_order_and_nan_is_largest() {
        let x = Tensor::from_slice(&[2.0f32, f32::NAN, 1.0, 2.0, f32::INFINITY, 1.0], [6]);
        assert_eq!(x.argsort(0, false).to_vec::<i64>(), [2, 5, 0, 3, 4, 1]);
        assert_eq!(x.argsort(0, true).to_vec::<i64>(), [1, 4, 0, 3, 2, 5]);
        assert_eq!(x.topk(3, 0, true).1.to_vec::<i64>(), [1, 4, 0]);
        assert_eq!(x.topk(3, 0, false).1.to_vec::<i64>(), [2, 5, 0]);
        assert!(x.median().item().is_nan());
    }

    #[test]
    fn every_dimension_layout_and_type_sorts() {
        let x = Tensor::from_slice(&[3i64, 1, 2, 0, 5, 4], [2, 3]);
        assert_eq!(x.sort(0, false).0.to_vec::<i64>(), [0, 1, 2, 3, 5, 4]);
        assert_eq!(x.t().sort(0, true).0.to_vec::<i64>(), [3, 5, 2, 4, 1, 0]);
        assert_eq!(x.median_dim(1, true).0.to_vec::<i64>(), [2, 4]);
        let b = Tensor::from_slice(&[true, false, true], [3]);
        assert_eq!(b.sort(0, false).0.to_vec::<bool>(), [false, true, true]);
        assert_eq!(Tensor::zeros([0, 2]).sort(0, false).1.shape(), [0, 2]);
        assert_eq!(Tensor::zeros([2, 3]).topk(0, 1, true).0.shape(), [2, 0]);
        assert_eq!(Tensor::scalar(2.0).sort(0, false).1.dtype(), DType::I64);
    }

    #[test]
    fn gradients_go_back_to_where_the_elements_were() {
        let x = Tensor::from_slice(&[0.3f64, -1.0, 2.0, 0.9, 1.4, -0.2], [2, 3]);
        for f in [
            (|x: &[Tensor]| x[0].t().sort(0, true).0.square()) as fn(&[Tensor]) -> Tensor,
            |x| x[0].topk(2, 1, false).0.square(),
            |x| x[0].median_dim(1, false).0.exp(),
        ] {
            gradcheck(f, std::slice::from_ref(&x)).unwrap();
            gradgradcheck(f, std::slice::from_ref(&x)).unwrap();
        }
    }

    #[test]
    #[should_panic(expected = "topk: 4 elements asked for, dimension 1 of [2, 3] has 3")]
    fn more_than_there_are_is_refused() {
        Tensor::zeros([2, 3]).topk(4, 1, true);
    }
}
