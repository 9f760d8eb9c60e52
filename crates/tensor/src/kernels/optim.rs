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

/// Puts what `f` makes of a parameter's element, its gradient's and those of its state in their places.
#[inline(always)]
fn walk<T: Num, const N: usize>(
    p: &mut [T],
    g: &[T],
    state: [&mut [T]; N],
    f: impl Fn(T, T, [T; N]) -> (T, [T; N]) + Copy + Sync,
) {
    let n = p.len();
    assert!(n == g.len() && state.iter().all(|s| s.len() == n));
    let (p, state) = (SharedMut::new(p), state.map(SharedMut::new));
    for_each_range(n, |start, len| {
        // SAFETY: ranges do not overlap and stay inside the slices, which outlive the call.
        let (p, state) = unsafe { (p.slice(start, len), state.map(|s| &mut *(s.slice(start, len) as *mut [T]))) };
        simd::run(
            #[inline(always)]
            || blocks(p, &g[start..start + len], state, f),
        );
    });
}

/// Elements that are held in registers at once.
const BLOCK: usize = 16;

/// Through copies of a block each: the compiler need not ask whether the arrays overlap.
#[inline(always)]
fn blocks<T: Num, const N: usize>(
    p: &mut [T],
    g: &[T],
    state: [&mut [T]; N],
    f: impl Fn(T, T, [T; N]) -> (T, [T; N]) + Copy,
) {
    let full = p.len() / BLOCK * BLOCK;
    for at in (0..full).step_by(BLOCK) {
        let copy = |x: &[T]| -> [T; BLOCK] { x[at..at + BLOCK].try_into().expect("a block") };
        let (mut bp, bg) = (copy(p), copy(g));
        let mut bs: [[T; BLOCK]; N] = std::array::from_fn(|k| copy(state[k]));
        for i in 0..BLOCK {
            let (v, s) = f(bp[i], bg[i], std::array::from_fn(|k| bs[k][i]));
            bp[i] = v;
            for k in 0..N {
                bs[k][i] = s[k];
            }
        }
        p[at..at + BLOCK].copy_from_slice(&bp);
        for k in 0..N {
            state[k][at..at + BLOCK].copy_from_slice(&bs[k]);
        }
    }
    for i in full..p.len() {
        let (v, s) = f(p[i], g[i], std::array::from_fn(|k| state[k][i]));
        p[i] = v;
        for k in 0..N {
            state[k][i] = s[k];
        }
    }
}

/// The numbers of a step of RMSprop.
#[derive(Clone, Copy)]
pub(crate) struct RmsProp<T> {
    pub lr: T,
    pub alpha: T,
    /// 1 - alpha.
    pub rest: T,
    pub eps: T,
    pub momentum: T,
    pub weight_decay: T,
}

/// d = g + weight_decay p; v = alpha v + rest d^2; size = sqrt(v - m^2) + eps with the mean m of d, if there is one
/// (else empty), and p -= lr d / size, or by a buffer b = momentum b + d / size (else empty).
pub(crate) fn rms_prop<T: Real>(
    p: &mut [T],
    g: &[T],
    v: &mut [T],
    m: Option<&mut [T]>,
    b: Option<&mut [T]>,
    h: RmsProp<T>,
) {
    let square = move |d: T, v: T| h.alpha.mul(v).add(h.rest.mul(d.mul(d)));
    let mean = move |d: T, m: T| m.add(h.rest.mul(d.sub(m)));
    let decayed = move |g: T, p: T| g.add(h.weight_decay.mul(p));
    let size = move |v: T| v.sqrt().add(h.eps);
    let along = move |b: T, step: T| h.momentum.mul(b).add(step);
    let to = move |p: T, step: T| p.sub(h.lr.mul(step));
    match (m, b) {
        (None, None) => walk(
            p,
            g,
            [v],
            #[inline(always)]
            move |p, g, [v]| {
                let d = decayed(g, p);
                let v = square(d, v);
                (to(p, d.div(size(v))), [v])
            },
        ),
        (None, Some(b)) => walk(
            p,
            g,
            [v, b],
            #[inline(always)]
            move |p, g, [v, b]| {
                let d = decayed(g, p);
                let v = square(d, v);
                let b = along(b, d.div(size(v)));
                (to(p, b), [v, b])
            },
        ),
        (Some(m), None) => walk(
            p,
            g,
            [v, m],
            #[inline(always)]
            move |p, g, [v, m]| {
                let d = decayed(g, p);
                let (v, m) = (square(d, v), mean(d, m));
                (to(p, d.div(size(v.sub(m.mul(m))))), [v, m])
            },
        ),
        (Some(m), Some(b)) => walk(
            p,
            g,
            [v, m, b],
            #[inline(always)]
            move |p, g, [v, m, b]| {
                let d = decayed(g, p);
                let (v, m) = (square(d, v), mean(d, m));
                let b = along(b, d.div(size(v.sub(m.mul(m)))));
                (to(p, b), [v, m, b])
            },
        ),
    }
}

/// d = g + weight_decay p; s += d^2; p -= lr d / (sqrt(s) + eps).
pub(crate) fn adagrad<T: Real>(p: &mut [T], g: &[T], s: &mut [T], [lr, eps, weight_decay]: [T; 3]) {
    walk(
        p,
        g,
        [s],
        #[inline(always)]
        move |p, g, [s]| {
            let d = g.add(weight_decay.mul(p));
            let s = s.add(d.mul(d));
            (p.sub(lr.mul(d.div(s.sqrt().add(eps)))), [s])
        },
    );
}

/// d = g + weight_decay p; v = rho v + (1 - rho) d^2; step = sqrt(u + eps) / sqrt(v + eps) d;
/// u = rho u + (1 - rho) step^2; p -= lr step.
pub(crate) fn adadelta<T: Real>(
    p: &mut [T],
    g: &[T],
    [v, u]: [&mut [T]; 2],
    [lr, rho, rest, eps, weight_decay]: [T; 5],
) {
    walk(
        p,
        g,
        [v, u],
        #[inline(always)]
        move |p, g, [v, u]| {
            let d = g.add(weight_decay.mul(p));
            let v = rho.mul(v).add(rest.mul(d.mul(d)));
            let step = u.add(eps).sqrt().div(v.add(eps).sqrt()).mul(d);
            let u = rho.mul(u).add(rest.mul(step.mul(step)));
            (p.sub(lr.mul(step)), [v, u])
        },
    );
}

/// d = g + weight_decay p; m += rest (d - m); u = max(beta2 u, |d| + eps); p -= lr m / u.
pub(crate) fn adamax<T: Real>(
    p: &mut [T],
    g: &[T],
    [m, u]: [&mut [T]; 2],
    [lr, rest, beta2, eps, weight_decay]: [T; 5],
) {
    walk(
        p,
        g,
        [m, u],
        #[inline(always)]
        move |p, g, [m, u]| {
            let d = g.add(weight_decay.mul(p));
            let m = m.add(rest.mul(d.sub(m)));
            let (old, new) = (beta2.mul(u), d.abs().add(eps));
            // A NaN on either side stays.
            let u = if old > new || old.is_nan() { old } else { new };
            (p.sub(lr.mul(m.div(u))), [m, u])
        },
    );
}

/// p = shrink p - lr sign(beta1 m + rest1 g); m = beta2 m + rest2 g.
pub(crate) fn lion<T: Real>(p: &mut [T], g: &[T], m: &mut [T], [lr, shrink]: [T; 2], betas: [T; 2], rests: [T; 2]) {
    walk(
        p,
        g,
        [m],
        #[inline(always)]
        move |p, g, [m]| {
            let mix = |i: usize| betas[i].mul(m).add(rests[i].mul(g));
            (shrink.mul(p).sub(lr.mul(sign(mix(0)))), [mix(1)])
        },
    );
}

/// -1, 0 or 1, or NaN.
#[inline(always)]
fn sign<T: Real>(v: T) -> T {
    if v > T::ZERO {
        T::ONE
    } else if v < T::ZERO {
        T::ONE.neg()
    } else {
        v
    }
}

/// The size s grows or shrinks by where the signs of g and of the gradient before agree or differ, within limits;
/// p -= s sign g unless they differ, and then the gradient counts as 0 in the next step too.
pub(crate) fn rprop<T: Real>(
    p: &mut [T],
    g: &[T],
    [before, size]: [&mut [T]; 2],
    etas: [T; 2],
    limits: [T; 2],
    weight_decay: T,
) {
    walk(
        p,
        g,
        [before, size],
        #[inline(always)]
        move |p, g, [before, size]| {
            let g = g.add(weight_decay.mul(p));
            let agree = g.mul(before);
            let turned = agree < T::ZERO;
            let factor = if agree > T::ZERO { etas[1] } else { T::ONE };
            let size = size.mul(if turned { etas[0] } else { factor });
            let size = if size < limits[0] { limits[0] } else { size };
            let size = if size > limits[1] { limits[1] } else { size };
            let g = if turned { T::ZERO } else { g };
            (p.sub(sign(g).mul(size)), [g, size])
        },
    );
}

/// p = shrink p - lr (g + weight_decay p); a += share (p - a).
pub(crate) fn asgd<T: Real>(p: &mut [T], g: &[T], a: &mut [T], [lr, shrink, share, weight_decay]: [T; 4]) {
    walk(
        p,
        g,
        [a],
        #[inline(always)]
        move |p, g, [a]| {
            let d = g.add(weight_decay.mul(p));
            let p = shrink.mul(p).sub(lr.mul(d));
            (p, [a.add(share.mul(p.sub(a)))])
        },
    );
}

/// Moves the moments of LAMB on, leaves its direction r = mean / (sqrt(square) scale + eps) of_mean + decay p in
/// `ratio`, and gives the sums of squares of p and of r.
pub(crate) fn lamb<T: Real + Into<f64>>(
    p: &[T],
    g: &[T],
    [m, v]: [&mut [T]; 2],
    ratio: &mut [T],
    h: Adam<T>,
) -> [f64; 2] {
    walk(
        ratio,
        g,
        [m, v],
        #[inline(always)]
        move |_, g, [m, v]| {
            let m = m.add(h.rest[0].mul(g.sub(m)));
            let v = v.add(h.rest[1].mul(g.mul(g).sub(v)));
            (h.rates[1].mul(m).div(v.sqrt().mul(h.scale).add(h.eps)), [m, v])
        },
    );
    walk(
        ratio,
        p,
        [],
        #[inline(always)]
        move |r, p, []| (r.add(h.decay.mul(p)), []),
    );
    [magnitude(p, Order::Two), magnitude(ratio, Order::Two)]
}

/// What of the magnitudes of elements is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Order {
    /// Their sum.
    One,
    /// The sum of their squares.
    Two,
    /// The largest.
    Infinite,
}

/// Folds the magnitudes of all elements in f64: in lanes, and the runs of a fixed length from left to right.
pub(crate) fn magnitude<T: Num + Into<f64>>(x: &[T], order: Order) -> f64 {
    // A NaN stays.
    let larger = |a: f64, b: f64| if a > b || a.is_nan() { a } else { b };
    let run = |x: &[T]| match order {
        Order::One => lanes(x, f64::abs, |a, b| a + b),
        Order::Two => lanes(x, |v| v * v, |a, b| a + b),
        Order::Infinite => lanes(x, f64::abs, larger),
    };
    if x.len() <= GRAIN {
        return run(x);
    }
    let mut parts = vec![0.0; x.len().div_ceil(GRAIN)];
    par::for_each_chunk_mut(&mut parts, 1, |c, part| part[0] = run(&x[c * GRAIN..x.len().min((c + 1) * GRAIN)]));
    parts.into_iter().fold(0.0, |a, b| if order == Order::Infinite { larger(a, b) } else { a + b })
}

/// Folds one run.
fn lanes<T: Num + Into<f64>>(x: &[T], one: impl Fn(f64) -> f64 + Copy, both: impl Fn(f64, f64) -> f64 + Copy) -> f64 {
    simd::run(
        #[inline(always)]
        || {
            let mut lanes = [0.0; BLOCK];
            let (blocks, rest) = x.as_chunks::<BLOCK>();
            for block in blocks {
                for i in 0..BLOCK {
                    lanes[i] = both(lanes[i], one(block[i].into()));
                }
            }
            for (lane, &v) in lanes.iter_mut().zip(rest) {
                *lane = both(*lane, one(v.into()));
            }
            lanes.into_iter().fold(0.0, both)
        },
    )
}

/// x = f(x), everywhere.
pub(crate) fn change<T: Num>(x: &mut [T], f: impl Fn(T) -> T + Copy + Sync) {
    par::for_each_chunk_mut(x, GRAIN, |_, x| {
        simd::run(
            #[inline(always)]
            || x.iter_mut().for_each(|x| *x = f(*x)),
        );
    });
}

/// p -= rate r.
pub(crate) fn descend<T: Real>(p: &mut [T], r: &[T], rate: T) {
    walk(
        p,
        r,
        [],
        #[inline(always)]
        move |p, r, []| (p.sub(rate.mul(r)), []),
    );
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
