//! Steps of optimisers on single tensors, in place and in one pass: what the optimisers of `gradus-nn`
//! are made of.

use crate::kernels::math::{Num, Real};
use crate::kernels::optim::{self, Order};
use crate::{DType, Tensor, dispatch_float, fail};

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

impl AdamStep {
    /// As the kernels take them.
    fn numbers<T: Real>(&self) -> optim::Adam<T> {
        optim::Adam {
            beta2: T::from_f64(self.betas.1),
            rest: [T::from_f64(1.0 - self.betas.0), T::from_f64(1.0 - self.betas.1)],
            decay: T::from_f64(self.decay),
            shrink: T::from_f64(self.shrink),
            rates: [T::from_f64(self.of_grad), T::from_f64(self.of_mean)],
            scale: T::from_f64(self.scale),
            eps: T::from_f64(self.eps),
        }
    }
}

/// A step of stochastic gradient descent: d = g + weight_decay p; with a buffer
/// b = momentum b + (1 - dampening) d, and p -= lr b, or lr (d + momentum b) with Nesterov's momentum;
/// without one p -= lr d.
///
/// # Panics
/// If shapes or types differ, or the elements are not f32 or f64.
#[track_caller]
pub fn sgd_step(param: &Tensor, grad: &Tensor, momentum_buffer: Option<&Tensor>, step: &SgdStep) {
    contiguously("sgd_step", param, grad, momentum_buffer.as_slice(), |p, g| {
        dispatch_float!(p.dtype(), "sgd_step", T => {
            let h = optim::Sgd {
                lr: T::from_f64(step.lr),
                momentum: T::from_f64(step.momentum),
                gain: T::from_f64(1.0 - step.dampening),
                weight_decay: T::from_f64(step.weight_decay),
                nesterov: step.nesterov,
            };
            let (p, g) = (&mut p.write::<T>(), g.read::<T>());
            match momentum_buffer {
                Some(b) => optim::sgd_momentum(p, &g, &mut b.write::<T>(), h),
                None => optim::sgd(p, &g, h),
            }
        })
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
    let state = [&moments[..], peak.as_slice()].concat();
    contiguously("adam_step", param, grad, &state, |p, g| {
        dispatch_float!(p.dtype(), "adam_step", T => {
            let (p, g) = (&mut p.write::<T>(), g.read::<T>());
            let (m, v) = (&mut mean.write::<T>(), &mut square.write::<T>());
            match peak {
                Some(peak) => optim::amsgrad(p, &g, m, v, &mut peak.write::<T>(), step.numbers()),
                None => optim::adam(p, &g, m, v, step.numbers()),
            }
        })
    });
}

/// The numbers of a step of [`rms_prop_step`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsPropStep {
    /// Learning rate.
    pub lr: f64,
    /// Share of the running means that stays.
    pub alpha: f64,
    /// What is added to the root.
    pub eps: f64,
    /// Share of the momentum buffer that stays.
    pub momentum: f64,
    /// Factor of the parameter that is added to its gradient.
    pub weight_decay: f64,
}

/// A step of RMSprop: d = g + weight_decay p; v = alpha v + (1 - alpha) d^2; size = sqrt(v) + eps, or
/// sqrt(v - m^2) + eps with a mean m += (1 - alpha) (d - m); p -= lr d / size, or lr b with a buffer
/// b = momentum b + d / size.
///
/// # Panics
/// If shapes or types differ, or the elements are not f32 or f64.
#[track_caller]
pub fn rms_prop_step(
    param: &Tensor,
    grad: &Tensor,
    square: &Tensor,
    mean: Option<&Tensor>,
    buffer: Option<&Tensor>,
    step: &RmsPropStep,
) {
    let state: Vec<&Tensor> = [Some(square), mean, buffer].into_iter().flatten().collect();
    contiguously("rms_prop_step", param, grad, &state, |p, g| {
        dispatch_float!(p.dtype(), "rms_prop_step", T => {
            let h = optim::RmsProp {
                lr: T::from_f64(step.lr),
                alpha: T::from_f64(step.alpha),
                rest: T::from_f64(1.0 - step.alpha),
                eps: T::from_f64(step.eps),
                momentum: T::from_f64(step.momentum),
                weight_decay: T::from_f64(step.weight_decay),
            };
            let (mut m, mut b) = (mean.map(|t| t.write::<T>()), buffer.map(|t| t.write::<T>()));
            let (m, b) = (m.as_mut().map(|m| &mut m[..]), b.as_mut().map(|b| &mut b[..]));
            optim::rms_prop(&mut p.write::<T>(), &g.read::<T>(), &mut square.write::<T>(), m, b, h)
        })
    });
}

/// A step of Adagrad: d = g + weight_decay p; sum += d^2; p -= lr d / (sqrt(sum) + eps).
///
/// # Panics
/// If shapes or types differ, or the elements are not f32 or f64.
#[track_caller]
pub fn adagrad_step(param: &Tensor, grad: &Tensor, sum: &Tensor, lr: f64, eps: f64, weight_decay: f64) {
    contiguously("adagrad_step", param, grad, &[sum], |p, g| {
        dispatch_float!(p.dtype(), "adagrad_step", T => {
            let h = [lr, eps, weight_decay].map(T::from_f64);
            optim::adagrad(&mut p.write::<T>(), &g.read::<T>(), &mut sum.write::<T>(), h)
        })
    });
}

/// A step of Adadelta: d = g + weight_decay p; v = rho v + (1 - rho) d^2; step = sqrt(u + eps) / sqrt(v + eps) d;
/// u = rho u + (1 - rho) step^2; p -= lr step, with `means` v and u.
///
/// # Panics
/// If shapes or types differ, or the elements are not f32 or f64.
#[track_caller]
pub fn adadelta_step(
    param: &Tensor,
    grad: &Tensor,
    means: [&Tensor; 2],
    lr: f64,
    rho: f64,
    eps: f64,
    weight_decay: f64,
) {
    contiguously("adadelta_step", param, grad, &means, |p, g| {
        dispatch_float!(p.dtype(), "adadelta_step", T => {
            let h = [lr, rho, 1.0 - rho, eps, weight_decay].map(T::from_f64);
            let (v, u) = (&mut means[0].write::<T>()[..], &mut means[1].write::<T>()[..]);
            optim::adadelta(&mut p.write::<T>(), &g.read::<T>(), [v, u], h)
        })
    });
}

/// A step of Adamax: d = g + weight_decay p; m += (1 - beta1) (d - m); u = max(beta2 u, |d| + eps); p -= lr m / u,
/// with `state` m and u.
///
/// # Panics
/// If shapes or types differ, or the elements are not f32 or f64.
#[track_caller]
pub fn adamax_step(
    param: &Tensor,
    grad: &Tensor,
    state: [&Tensor; 2],
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
) {
    contiguously("adamax_step", param, grad, &state, |p, g| {
        dispatch_float!(p.dtype(), "adamax_step", T => {
            let h = [lr, 1.0 - betas.0, betas.1, eps, weight_decay].map(T::from_f64);
            let (m, u) = (&mut state[0].write::<T>()[..], &mut state[1].write::<T>()[..]);
            optim::adamax(&mut p.write::<T>(), &g.read::<T>(), [m, u], h)
        })
    });
}

/// A step of Lion: p = shrink p - lr sign(beta1 m + (1 - beta1) g); m = beta2 m + (1 - beta2) g.
///
/// # Panics
/// If shapes or types differ, or the elements are not f32 or f64.
#[track_caller]
pub fn lion_step(param: &Tensor, grad: &Tensor, mean: &Tensor, lr: f64, shrink: f64, betas: (f64, f64)) {
    contiguously("lion_step", param, grad, &[mean], |p, g| {
        dispatch_float!(p.dtype(), "lion_step", T => {
            let betas = [betas.0, betas.1];
            let rests = betas.map(|b| T::from_f64(1.0 - b));
            let (h, betas) = ([lr, shrink].map(T::from_f64), betas.map(T::from_f64));
            optim::lion(&mut p.write::<T>(), &g.read::<T>(), &mut mean.write::<T>(), h, betas, rests)
        })
    });
}

/// A step of Rprop: with d = g + weight_decay p, the size s is multiplied by the first of `etas` where d and the
/// gradient `before` differ in sign, by the second where they agree, and kept within `limits`; p -= s sign d, unless
/// they differ, and then d counts as 0 in the next step too. `state` is the gradient before and s.
///
/// # Panics
/// If shapes or types differ, or the elements are not f32 or f64.
#[track_caller]
pub fn rprop_step(
    param: &Tensor,
    grad: &Tensor,
    state: [&Tensor; 2],
    etas: (f64, f64),
    limits: (f64, f64),
    weight_decay: f64,
) {
    contiguously("rprop_step", param, grad, &state, |p, g| {
        dispatch_float!(p.dtype(), "rprop_step", T => {
            let pair = |(a, b): (f64, f64)| [T::from_f64(a), T::from_f64(b)];
            let (before, size) = (&mut state[0].write::<T>()[..], &mut state[1].write::<T>()[..]);
            let decay = T::from_f64(weight_decay);
            optim::rprop(&mut p.write::<T>(), &g.read::<T>(), [before, size], pair(etas), pair(limits), decay)
        })
    });
}

/// A step of averaged gradient descent: p = shrink p - lr (g + weight_decay p); average += share (p - average).
///
/// # Panics
/// If shapes or types differ, or the elements are not f32 or f64.
#[track_caller]
pub fn asgd_step(param: &Tensor, grad: &Tensor, average: &Tensor, lr: f64, shrink: f64, share: f64, weight_decay: f64) {
    contiguously("asgd_step", param, grad, &[average], |p, g| {
        dispatch_float!(p.dtype(), "asgd_step", T => {
            let h = [lr, shrink, share, weight_decay].map(T::from_f64);
            optim::asgd(&mut p.write::<T>(), &g.read::<T>(), &mut average.write::<T>(), h)
        })
    });
}

/// A step of LAMB: the moments move on as in [`adam_step`], r = of_mean m / (scale sqrt(v) + eps) + decay p, and
/// p -= lr |p| / |r| r with the Euclidean norms, or lr r where one of them is 0. (`shrink` and `of_grad` are not used.)
///
/// # Panics
/// If shapes or types differ, or the elements are not f32 or f64.
#[track_caller]
pub fn lamb_step(param: &Tensor, grad: &Tensor, moments: [&Tensor; 2], lr: f64, step: &AdamStep) {
    contiguously("lamb_step", param, grad, &moments, |p, g| {
        dispatch_float!(p.dtype(), "lamb_step", T => {
            let (m, v) = (&mut moments[0].write::<T>()[..], &mut moments[1].write::<T>()[..]);
            let mut squares = [0.0; 2];
            let ratio = Tensor::build::<T>(p.shape(), |ratio| {
                squares = optim::lamb(&p.read::<T>(), &g.read::<T>(), [m, v], ratio, step.numbers());
            });
            let [of_p, of_ratio] = squares.map(f64::sqrt);
            let trust = if of_p > 0.0 && of_ratio > 0.0 { of_p / of_ratio } else { 1.0 };
            optim::descend(&mut p.write::<T>(), &ratio.read::<T>(), T::from_f64(lr * trust))
        })
    });
}

/// The norm of order 1, 2 or infinity of all elements of all tensors (f32 or f64), in f64; `None` for another order
/// or type.
pub fn total_norm(tensors: &[Tensor], order: f64) -> Option<f64> {
    let order = match order {
        1.0 => Order::One,
        2.0 => Order::Two,
        f64::INFINITY => Order::Infinite,
        _ => return None,
    };
    let mut total = 0.0f64;
    for t in tensors {
        let t = t.contiguous_data();
        let one = match t.dtype() {
            DType::F32 => optim::magnitude(&t.read::<f32>(), order),
            DType::F64 => optim::magnitude(&t.read::<f64>(), order),
            _ => return None,
        };
        total = match order {
            // A NaN stays.
            Order::Infinite if total > one || total.is_nan() => total,
            Order::Infinite => one,
            _ => total + one,
        };
    }
    Some(if order == Order::Two { total.sqrt() } else { total })
}

/// Multiplies the gradient of each parameter by `factor`; in place where nobody else sees it.
///
/// # Panics
/// If a gradient is not f32 or f64.
#[track_caller]
pub fn scale_gradients(params: &[Tensor], factor: f64) {
    change_gradients(params, |t| {
        dispatch_float!(t.dtype(), "scale_gradients", T => {
            let factor = T::from_f64(factor);
            optim::change(&mut t.write::<T>(), |v: T| v.mul(factor))
        })
    });
}

/// Limits the gradient of each parameter to `-limit ..= limit`; in place where nobody else sees it. A NaN stays one.
///
/// # Panics
/// If a gradient is not f32 or f64.
#[track_caller]
pub fn clamp_gradients(params: &[Tensor], limit: f64) {
    change_gradients(params, |t| {
        dispatch_float!(t.dtype(), "clamp_gradients", T => {
            let (low, high) = (T::from_f64(-limit), T::from_f64(limit));
            optim::change(&mut t.write::<T>(), |v: T| {
                let v = if v < low { low } else { v };
                if v > high { high } else { v }
            })
        })
    });
}

fn change_gradients(params: &[Tensor], f: impl Fn(&Tensor)) {
    for p in params {
        p.change_grad(|g| {
            let own = if g.owns_storage_alone() { g } else { g.packed() };
            f(&own);
            own
        });
    }
}

/// Runs a step on a parameter and its gradient as they are, or on a copy of the parameter that lies without gaps.
#[track_caller]
fn contiguously(op: &str, param: &Tensor, grad: &Tensor, state: &[&Tensor], f: impl FnOnce(&Tensor, &Tensor)) {
    check(op, param, grad, state);
    if param.is_contiguous() {
        return f(param, &readable(grad, param));
    }
    let packed = param.packed();
    f(&packed, &readable(grad, param));
    param.detach().copy_(&packed);
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
