//! One step of an optimiser over the elements of one parameter, in place.
//!
//! Each walks its arrays once, from memory to memory: a step of Adam reads four numbers an element and
//! writes three, and nothing else limits it.

use super::math::{Num, Real};
use super::par::{self, SharedMut};
use super::simd;

/// Elements a chunk has at least: below, one core is done before another has begun.
const GRAIN: usize = 32 * 1024;

/// Runs `f` for consecutive ranges `start, len` that cover `0..len`, on the pool where it pays.
fn for_each_range(len: usize, f: impl Fn(usize, usize) + Sync) {
    let chunk = len.div_ceil(64).max(GRAIN).next_multiple_of(64);
    par::for_each(len.div_ceil(chunk), |i| f(i * chunk, chunk.min(len - i * chunk)));
}

/// The numbers of a step of gradient descent.
#[derive(Clone, Copy)]
pub(crate) struct Sgd<T> {
    pub lr: T,
    pub momentum: T,
    /// 1 - dampening.
    pub gain: T,
    pub weight_decay: T,
    pub nesterov: bool,
}

/// p -= lr (g + weight_decay p).
pub(crate) fn sgd<T: Num>(p: &mut [T], g: &[T], h: Sgd<T>) {
    let n = p.len();
    assert_eq!(n, g.len());
    let p = SharedMut::new(p);
    for_each_range(n, |start, len| {
        // SAFETY: ranges do not overlap and stay inside the slice, which outlives the call.
        let p = unsafe { p.slice(start, len) };
        let g = &g[start..start + len];
        simd::run(
            #[inline(always)]
            || {
                for i in 0..len {
                    let step = g[i].add(h.weight_decay.mul(p[i]));
                    p[i] = p[i].sub(h.lr.mul(step));
                }
            },
        );
    });
}

/// d = g + weight_decay p; b = momentum b + gain d; p -= lr (nesterov ? d + momentum b : b).
pub(crate) fn sgd_momentum<T: Num>(p: &mut [T], g: &[T], b: &mut [T], h: Sgd<T>) {
    let n = p.len();
    assert!(n == g.len() && n == b.len());
    let (p, b) = (SharedMut::new(p), SharedMut::new(b));
    // What the step takes of the gradient and of the buffer.
    let (of_d, of_b) = if h.nesterov { (T::ONE, h.momentum) } else { (T::ZERO, T::ONE) };
    for_each_range(n, |start, len| {
        // SAFETY: ranges do not overlap and stay inside the slices, which outlive the call.
        let (p, b) = unsafe { (p.slice(start, len), b.slice(start, len)) };
        let g = &g[start..start + len];
        simd::run(
            #[inline(always)]
            || {
                for i in 0..len {
                    let d = g[i].add(h.weight_decay.mul(p[i]));
                    b[i] = h.momentum.mul(b[i]).add(h.gain.mul(d));
                    p[i] = p[i].sub(h.lr.mul(of_d.mul(d).add(of_b.mul(b[i]))));
                }
            },
        );
    });
}

/// The numbers of a step of Adam and its kin.
#[derive(Clone, Copy)]
pub(crate) struct Adam<T> {
    pub beta2: T,
    /// 1 - beta1 and 1 - beta2.
    pub rest: [T; 2],
    /// What is added to the gradient for each unit of the parameter.
    pub decay: T,
    /// What the parameter is multiplied by before the step.
    pub shrink: T,
    /// The rates of the gradient and of its mean in the numerator.
    pub rates: [T; 2],
    /// What the root in the denominator is multiplied by, and what is added to it.
    pub scale: T,
    pub eps: T,
}

/// d = g + decay p; m += rest0 (d - m); v = beta2 v + rest1 d^2;
/// p = shrink p - (rates0 d + rates1 m) / (sqrt(v) scale + eps).
pub(crate) fn adam<T: Real>(p: &mut [T], g: &[T], m: &mut [T], v: &mut [T], h: Adam<T>) {
    adam_from::<T, false>(p, g, [m, v], &mut [], h);
}

/// As [`adam`] with the largest v so far, which `peak` holds, in the denominator.
pub(crate) fn amsgrad<T: Real>(p: &mut [T], g: &[T], m: &mut [T], v: &mut [T], peak: &mut [T], h: Adam<T>) {
    assert_eq!(p.len(), peak.len());
    adam_from::<T, true>(p, g, [m, v], peak, h);
}

fn adam_from<T: Real, const PEAK: bool>(p: &mut [T], g: &[T], [m, v]: [&mut [T]; 2], peak: &mut [T], h: Adam<T>) {
    let n = p.len();
    assert!(n == g.len() && n == m.len() && n == v.len());
    let (p, m, v, peak) = (SharedMut::new(p), SharedMut::new(m), SharedMut::new(v), SharedMut::new(peak));
    for_each_range(n, |start, len| {
        // SAFETY: ranges do not overlap and stay inside the slices, which outlive the call.
        let (p, m, v) = unsafe { (p.slice(start, len), m.slice(start, len), v.slice(start, len)) };
        // SAFETY: as above where there is a peak; otherwise no element is taken.
        let peak = unsafe { if PEAK { peak.slice(start, len) } else { peak.slice(0, 0) } };
        let g = &g[start..start + len];
        simd::run(
            #[inline(always)]
            || {
                for i in 0..len {
                    let d = g[i].add(h.decay.mul(p[i]));
                    m[i] = m[i].add(h.rest[0].mul(d.sub(m[i])));
                    v[i] = h.beta2.mul(v[i]).add(h.rest[1].mul(d.mul(d)));
                    let mut square = v[i];
                    if PEAK {
                        // The comparison is false for a NaN, which then stays.
                        square = if peak[i] > square { peak[i] } else { square };
                        peak[i] = square;
                    }
                    let size = square.sqrt().mul(h.scale).add(h.eps);
                    let along = h.rates[0].mul(d).add(h.rates[1].mul(m[i]));
                    p[i] = h.shrink.mul(p[i]).sub(along.div(size));
                }
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A parallel step is the step of every element by itself.
    #[test]
    fn chunks_cover_every_element_once() {
        let n = 3 * GRAIN + 17;
        let at = |i: usize| (i % 97) as f64 / 97.0 - 0.4;
        let g: Vec<f64> = (0..n).map(|i| at(i * 7)).collect();
        let start: Vec<f64> = (0..n).map(at).collect();
        let h =
            Adam { beta2: 0.9, rest: [0.2, 0.1], decay: 0.01, shrink: 0.99, rates: [0.03, 0.1], scale: 1.5, eps: 1e-8 };
        let (mut p, mut m, mut v) = (start.clone(), vec![0.1; n], vec![0.2; n]);
        adam(&mut p, &g, &mut m, &mut v, h);
        let (mut pp, mut mp, mut vp, mut peak) = (start.clone(), vec![0.1; n], vec![0.2; n], vec![0.19; n]);
        amsgrad(&mut pp, &g, &mut mp, &mut vp, &mut peak, h);
        for i in (0..n).step_by(1013).chain([n - 1]) {
            let (mut p1, mut m1, mut v1) = ([start[i]], [0.1], [0.2]);
            adam(&mut p1, &[g[i]], &mut m1, &mut v1, h);
            assert_eq!((p[i], m[i], v[i]), (p1[0], m1[0], v1[0]));
            let d = g[i] + 0.01 * start[i];
            let (mean, square) = (0.1 + 0.2 * (d - 0.1), 0.9 * 0.2 + 0.1 * d * d);
            let along = 0.03 * d + 0.1 * mean;
            assert!((p1[0] - (0.99 * start[i] - along / (square.sqrt() * 1.5 + 1e-8))).abs() < 1e-12);
            let largest = square.max(0.19);
            assert!((peak[i] - largest).abs() < 1e-12);
            assert!((pp[i] - (0.99 * start[i] - along / (largest.sqrt() * 1.5 + 1e-8))).abs() < 1e-12);
        }
        let h = Sgd { lr: 0.1, momentum: 0.9, gain: 1.0, weight_decay: 0.5, nesterov: true };
        let (mut p, mut b) = (start.clone(), vec![1.0; n]);
        sgd_momentum(&mut p, &g, &mut b, h);
        let mut q = start.clone();
        sgd(&mut q, &g, h);
        for i in (0..n).step_by(1013).chain([n - 1]) {
            let d = g[i] + 0.5 * start[i];
            assert!((q[i] - (start[i] - 0.1 * d)).abs() < 1e-12);
            assert!((b[i] - (0.9 + d)).abs() < 1e-12 && (p[i] - (start[i] - 0.1 * (d + 0.9 * b[i]))).abs() < 1e-12);
        }
    }
}
