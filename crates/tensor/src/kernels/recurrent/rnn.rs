//! The plain recurrent network: h' = tanh(..) or max(.., 0).

use super::gates::{self, Gate, in_vectors, tangents};
use super::{Net, Place, Run, UNITS, load, store};
use crate::kernels::micro::Float;
use crate::kernels::par::SharedMut;
use crate::kernels::simd;

/// `out` is made the outputs of all steps and the last h.
pub(crate) fn forward<T: Gate>(run: &Run, net: &Net<T>, relu: bool, out: &mut [T]) {
    let (outputs, last) = out.split_at_mut(run.rows * run.hidden);
    let shared = SharedMut::new(outputs);
    super::forward(run, 1, net, shared, None, |p, sums, _| {
        in_vectors!(step::<T>(p, relu, sums, shared));
    });
    run.last(outputs, last);
}

#[inline(always)]
fn step<T: Gate, const FUSED: bool>(p: &Place, relu: bool, sums: &[T], outputs: SharedMut<T>) {
    for (i, sums) in sums.chunks_exact(UNITS).enumerate() {
        let mut a = load(sums);
        if relu {
            for v in &mut a {
                // A NaN stays.
                *v = if *v < <T as Float>::ZERO { <T as Float>::ZERO } else { *v };
            }
        } else {
            tangents::<T, FUSED>(&mut a);
        }
        // SAFETY: each task has its own units.
        store(a, unsafe { outputs.slice((p.step.row + i) * p.hidden + p.units.start, p.units.len()) });
    }
}

/// The gradients of the sums `[rows, hidden]` and of the initial state, from those of all that [`forward`] gives
/// and from that.
pub(crate) fn backward<T: Gate>(
    run: &Run,
    weight: &[T],
    relu: bool,
    (grad, output): (&[T], &[T]),
    sums: &mut [T],
    dh: &mut [T],
) {
    dh.copy_from_slice(&grad[run.rows * run.hidden..]);
    let [sums, dh] = [sums, dh].map(SharedMut::new);
    super::backward(run, 1, weight, sums, dh, |p| {
        simd::run(
            #[inline(always)]
            || step_back(p, relu, (grad, output), sums, dh),
        );
    });
}

#[inline(always)]
fn step_back<T: Gate>(p: &Place, relu: bool, (grad, output): (&[T], &[T]), sums: SharedMut<T>, dh: SharedMut<T>) {
    let (h, w) = (p.hidden, p.units.len());
    let (zero, one) = (<T as Float>::ZERO, <T as Float>::ONE);
    for i in 0..p.step.n {
        let row = (p.step.row + i) * h + p.units.start;
        let (y, gy) = (load(&output[row..][..w]), load(&grad[row..][..w]));
        // SAFETY: each task has its own units.
        let dh_at = unsafe { dh.slice(i * h + p.units.start, w) };
        let mut d = load(dh_at);
        for j in 0..UNITS {
            let dy = d[j] + gy[j];
            let through = if y[j] > zero { dy } else { zero };
            d[j] = if relu { through } else { dy * (one - y[j] * y[j]) };
        }
        dh_at.fill(zero);
        // SAFETY: each task has its own units.
        store(d, unsafe { sums.slice(row, w) });
    }
}
