//! Steps of optimisers on single tensors, in place and in one pass: what the optimisers of `gradus-nn`
//! are made of.

use crate::kernels::math::Num;
use crate::kernels::optim;
use crate::{Tensor, dispatch_float, fail};

/// The numbers of a step of [`sgd_step`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdStep {
    /// Learning rate.
    pub lr: f64,
    /// Share of the momentum buffer that stays.
    pub momentum: f64,
    /// Share of the gradient that the momentum buffer leaves out.
    pub dampening: f64,
    /// Factor of the parameter that is added to its gradient.
    pub weight_decay: f64,
    /// Whether to look ahead along the momentum.
    pub nesterov: bool,
}

/// The numbers of a step of [`adam_step`]. Adam and its kin differ in nothing else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Decay of the first and of the second moment.
    pub betas: (f64, f64),
    /// What is added to the gradient for each unit of the parameter.
    pub decay: f64,
    /// What the parameter is multiplied by before the step.
    pub shrink: f64,
    /// The rate of the gradient itself in the step.
    pub of_grad: f64,
    /// The rate of the first moment in the step.
    pub of_mean: f64,
    /// What the root of the second moment is multiplied by.
    pub scale: f64,
    /// What is added to that root.
    pub eps: f64,
}

/// A step of stochastic gradient descent: d = g + weight_decay p; with a buffer
/// b = momentum b + (1 - dampening) d, and p -= lr b, or lr (d + momentum b) with Nesterov's momentum;
/// without one p -= lr d.
///
/// # Panics
/// If shapes or types differ, or the elements are not f32 or f64.
#[track_caller]
pub fn sgd_step(param: &Tensor, grad: &Tensor, momentum_buffer: Option<&Tensor>, step: &SgdStep) {
    check("sgd_step", param, grad, momentum_buffer.as_slice());
    if !param.is_contiguous() {
        let packed = param.packed();
        sgd_step(&packed, grad, momentum_buffer, step);
        return param.detach().copy_(&packed);
    }
    let grad = readable(grad, param);
    dispatch_float!(param.dtype(), "sgd_step", T => {
        let h = optim::Sgd {
            lr: T::from_f64(step.lr),
            momentum: T::from_f64(step.momentum),
            gain: T::from_f64(1.0 - step.dampening),
            weight_decay: T::from_f64(step.weight_decay),
            nesterov: step.nesterov,
        };
        let g = grad.read::<T>();
        match momentum_buffer {
            Some(b) => optim::sgd_momentum(&mut param.write::<T>(), &g, &mut b.write::<T>(), h),
            None => optim::sgd(&mut param.write::<T>(), &g, h),
        }
    });
}

/// A step of Adam (Kingma and Ba, 2014, <https://arxiv.org/abs/1412.6980>) and its kin: d = g + decay p;
/// m += (1 - beta1) (d - m); v = beta2 v + (1 - beta2) d^2;
/// p = shrink p - (of_grad d + of_mean m) / (scale sqrt(v) + eps).
///
/// With a `peak`, the largest v so far is kept in it and stands for v in the denominator (AMSGrad, Reddi et al.,
/// 2018, <https://arxiv.org/abs/1904.09237>).
///
/// # Panics
/// If shapes or types differ, or the elements are not f32 or f64.
#[track_caller]
pub fn adam_step(param: &Tensor, grad: &Tensor, moments: [&Tensor; 2], peak: Option<&Tensor>, step: &AdamStep) {
    let [mean, square] = moments;
    check("adam_step", param, grad, [&moments[..], peak.as_slice()].concat().as_slice());
    if !param.is_contiguous() {
        let packed = param.packed();
        adam_step(&packed, grad, moments, peak, step);
        return param.detach().copy_(&packed);
    }
    let grad = readable(grad, param);
    dispatch_float!(param.dtype(), "adam_step", T => {
        let h = optim::Adam {
            beta2: T::from_f64(step.betas.1),
            rest: [T::from_f64(1.0 - step.betas.0), T::from_f64(1.0 - step.betas.1)],
            decay: T::from_f64(step.decay),
            shrink: T::from_f64(step.shrink),
            rates: [T::from_f64(step.of_grad), T::from_f64(step.of_mean)],
            scale: T::from_f64(step.scale),
            eps: T::from_f64(step.eps),
        };
        let (p, g) = (&mut param.write::<T>(), grad.read::<T>());
        let (m, v) = (&mut mean.write::<T>(), &mut square.write::<T>());
        match peak {
            Some(peak) => optim::amsgrad(p, &g, m, v, &mut peak.write::<T>(), h),
            None => optim::adam(p, &g, m, v, h),
        }
    });
}

/// Refuses what does not fit the parameter, and state that could not be written beside it.
#[track_caller]
fn check(op: &str, param: &Tensor, grad: &Tensor, state: &[&Tensor]) {
    for t in state.iter().copied().chain([grad]) {
        if t.shape() != param.shape() || t.dtype() != param.dtype() {
            let (a, b) = ((param.dtype(), param.shape()), (t.dtype(), t.shape()));
            fail(op, format_args!("the parameter is {} {}, its gradient or state {} {}", a.0, a.1, b.0, b.1));
        }
    }
    for (i, s) in state.iter().enumerate() {
        let mut others = state[..i].iter().copied().chain([param]);
        if !s.is_contiguous() || others.any(|o| o.shares_storage(s)) {
            fail(op, "the state must be contiguous tensors of their own");
        }
    }
}

/// The gradient, contiguous and apart from the parameter.
fn readable(grad: &Tensor, param: &Tensor) -> Tensor {
    if grad.is_contiguous() && !grad.shares_storage(param) { grad.clone() } else { grad.packed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: SgdStep = SgdStep { lr: 0.5, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false };

    #[test]
    fn views_and_aliases_are_stepped() {
        let p = Tensor::arange(6).reshape([2, 3]);
        sgd_step(&p.t(), &Tensor::ones([1]).expand([3, 2]), None, &PLAIN);
        assert_eq!(p.to_vec::<f32>(), [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5]);
        sgd_step(&p, &p, None, &PLAIN);
        assert_eq!(p.to_vec::<f32>(), [-0.25, 0.25, 0.75, 1.25, 1.75, 2.25]);
    }

    #[test]
    #[should_panic(expected = "sgd_step: the parameter is f32 [2], its gradient or state f32 [3]")]
    fn a_gradient_of_another_shape_is_refused() {
        sgd_step(&Tensor::zeros([2]), &Tensor::zeros([3]), None, &PLAIN);
    }
}
