//! Changes in place. Views and clones of the tensor see them; graphs that saved it notice.

use crate::autograd::is_grad_enabled;
use crate::kernels::{map, strided};
use crate::{Tensor, dispatch_any, dispatch_num, fail};

impl Tensor {
    /// Refuses a change that the graph could not account for.
    #[track_caller]
    fn may_change(&self, op: &str) {
        if is_grad_enabled() && self.requires_grad() {
            fail(op, "a tensor that takes a gradient can only be changed in place under no_grad");
        }
        let l = self.layout();
        if (0..self.rank()).any(|d| l.shape[d] > 1 && l.strides[d] == 0) {
            fail(op, "an expanded view repeats its elements and cannot be changed in place");
        }
    }

    /// Overwrites the elements with those of `src` (broadcast, converted).
    ///
    /// # Panics
    /// If `src` does not broadcast to this shape, or the tensor takes a gradient outside `no_grad`.
    #[track_caller]
    pub fn copy_(&self, src: &Tensor) {
        self.may_change("copy_");
        if src.shape().broadcast(&self.shape()) != Some(self.shape()) {
            fail("copy_", format_args!("shape {} does not broadcast to {}", src.shape(), self.shape()));
        }
        let src = src.detach().to_dtype(self.dtype()).broadcast_to(self.shape());
        // A copy also where source and target overlap.
        let src = if src.is_contiguous() && !src.shares_storage(self) { src } else { src.packed() };
        let l = *self.layout();
        dispatch_any!(self.dtype(), T => {
            let data = src.read::<T>();
            if self.is_contiguous() {
                self.write::<T>().copy_from_slice(&data);
            } else {
                strided::scatter(&data, &mut self.write_storage::<T>(), l.offset, &l.shape, &l.strides);
            }
        });
    }

    /// Sets every element to `value`.
    ///
    /// # Panics
    /// If the tensor takes a gradient outside `no_grad`.
    #[track_caller]
    pub fn fill_(&self, value: f64) {
        self.copy_(&Tensor::full_of((), value, self.dtype()));
    }

    /// Sets every element to zero.
    ///
    /// # Panics
    /// If the tensor takes a gradient outside `no_grad`.
    #[track_caller]
    pub fn zero_(&self) {
        self.fill_(0.0);
    }

    /// Adds `alpha * other` (broadcast).
    ///
    /// # Panics
    /// If `other` does not broadcast to this shape, or the tensor takes a gradient outside `no_grad`.
    #[track_caller]
    pub fn add_(&self, other: &Tensor, alpha: f64) {
        self.may_change("add_");
        let direct = self.is_contiguous()
            && other.is_contiguous()
            && other.shape() == self.shape()
            && other.dtype() == self.dtype()
            && !other.shares_storage(self);
        if !direct {
            return self.copy_(&(self.detach() + other.detach() * alpha));
        }
        dispatch_num!(self.dtype(), "add_", T => {
            use crate::kernels::math::Num;
            let (src, a) = (other.read::<T>(), T::from_f64(alpha));
            map::update(&mut self.write::<T>(), &src, |o: T, v: T| Num::add(o, Num::mul(a, v)));
        });
    }

    /// Multiplies every element by `factor`.
    ///
    /// # Panics
    /// If the tensor takes a gradient outside `no_grad`.
    #[track_caller]
    pub fn mul_(&self, factor: f64) {
        self.may_change("mul_");
        self.copy_(&(self.detach() * factor));
    }

    /// Limits every element to `low ..= high`.
    ///
    /// # Panics
    /// If the tensor takes a gradient outside `no_grad`.
    #[track_caller]
    pub fn clamp_(&self, low: f64, high: f64) {
        self.may_change("clamp_");
        self.copy_(&self.detach().clamp(low, high));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::no_grad;

    #[test]
    fn views_see_the_change() {
        let x = Tensor::arange(6).reshape([2, 3]);
        x.t().select(0, 1).fill_(9.0);
        assert_eq!(x.to_vec::<f32>(), [0.0, 9.0, 2.0, 3.0, 9.0, 5.0]);
        x.copy_(&x.select(0, 1));
        assert_eq!(x.to_vec::<f32>(), [3.0, 9.0, 5.0, 3.0, 9.0, 5.0]);
    }

    #[test]
    #[should_panic(expected = "changed in place after it was used")]
    fn a_graph_notices_a_change_to_what_it_saved() {
        let x = Tensor::ones([2]).requires_grad_(true);
        let y = x.square().sum();
        no_grad(|| x.mul_(2.0));
        y.backward();
    }

    #[test]
    #[should_panic(expected = "only be changed in place under no_grad")]
    fn a_leaf_is_protected() {
        Tensor::ones([2]).requires_grad_(true).zero_();
    }
}
