//! Gated recurrent unit: r, z = σ(..), n = tanh(x_n + r s_n), h' = n + z (h - n), or h' = h + z (n - h) where the
//! update gate writes; s_n is the state's share of the candidate's sum.

use super::gates::{self, Gate, in_vectors, sigmoids, tangents};
use super::{Net, Place, Run, UNITS, load, store};
use crate::kernels::micro::Float;
use crate::kernels::par::SharedMut;
use crate::kernels::simd;

pub(crate) const GATES: usize = 3;

/// What the way back needs, [`Run::kept`] elements a value: r, z and n, and s_n.
pub(crate) struct Kept<T> {
    pub gates: SharedMut<T>,
    pub shares: SharedMut<T>,
}

/// `out` is made the outputs of all steps and the last h.
pub(crate) fn forward<T: Gate>(run: &Run, net: &Net<T>, writes: bool, out: &mut [T], kept: Option<&Kept<T>>) {
    let (outputs, last) = out.split_at_mut(run.rows * run.hidden);
    let shared = SharedMut::new(outputs);
    super::forward(run, GATES, net, shared, kept.map(|k| k.gates), |p, sums, states| {
        let shares = kept.map(|k| &k.shares);
        in_vectors!(step::<T>(run, p, net.initial, writes, (sums, states), shared, shares));
    });
    run.last(outputs, last);
}

#[inline(always)]
fn step<T: Gate, const FUSED: bool>(
    run: &Run,
    p: &Place,
    initial: &[T],
    writes: bool,
    (sums, states): (&mut [T], &[T]),
    outputs: SharedMut<T>,
    shares: Option<&SharedMut<T>>,
) {
    const WIDTH: usize = GATES * UNITS;
    let (h, w) = (run.hidden, p.units.len());
    for (i, (sums, states)) in sums.chunks_exact_mut(WIDTH).zip(states.chunks_exact(WIDTH)).enumerate() {
        let at = |gate: usize| gate * UNITS..(gate + 1) * UNITS;
        let [mut r, mut z, mut n] = std::array::from_fn(|gate| load(&sums[at(gate)]));
        let [sr, sz, share] = std::array::from_fn(|gate| load(&states[at(gate)]));
        for j in 0..UNITS {
            r[j] += sr[j];
            z[j] += sz[j];
        }
        sigmoids::<T, FUSED>(&mut r, &mut z);
        for j in 0..UNITS {
            n[j] += r[j] * share[j];
        }
        tangents::<T, FUSED>(&mut n);
        let (on, from) = run.origin(&p.step, i);
        let from = from + p.units.start;
        // SAFETY: the step before is complete.
        let before = load(if on { unsafe { outputs.slice(from, w) } } else { &initial[from..][..w] });
        let mut y = before;
        for j in 0..UNITS {
            let (rest, all) = if writes { (before[j], n[j]) } else { (n[j], before[j]) };
            y[j] = rest + z[j] * (all - rest);
        }
        // SAFETY: each task has its own units.
        store(y, unsafe { outputs.slice((p.step.row + i) * h + p.units.start, w) });
        if let Some(shares) = shares {
            for (gate, v) in [r, z, n].into_iter().enumerate() {
                store(v, &mut sums[at(gate)]);
            }
            // SAFETY: each task has its own units.
            store(share, unsafe { shares.slice(p.kept(i), UNITS) });
        }
    }
}

/// What is known on the way back: the gradients of all that [`forward`] gives, that, and what it kept.
pub(crate) struct Known<'a, T> {
    pub grad: &'a [T],
    pub output: &'a [T],
    pub weight: &'a [T],
    pub h0: &'a [T],
    pub gates: &'a [T],
    pub shares: &'a [T],
    pub writes: bool,
}

/// The gradients of the inputs' and of the states' shares of the sums, each `[rows, 3 hidden]`, and of the initial
/// state.
pub(crate) fn backward<T: Gate>(run: &Run, known: &Known<T>, inputs: &mut [T], states: &mut [T], dh: &mut [T]) {
    dh.copy_from_slice(&known.grad[run.rows * run.hidden..]);
    let [inputs, states, dh] = [inputs, states, dh].map(SharedMut::new);
    super::backward(run, GATES, known.weight, states, dh, |p| {
        simd::run(
            #[inline(always)]
            || step_back(run, p, known, inputs, states, dh),
        );
    });
}

#[inline(always)]
fn step_back<T: Gate>(
    run: &Run,
    p: &Place,
    known: &Known<T>,
    inputs: SharedMut<T>,
    states: SharedMut<T>,
    dh: SharedMut<T>,
) {
    let (h, w, one) = (run.hidden, p.units.len(), <T as Float>::ONE);
    for i in 0..p.step.n {
        let row = p.step.row + i;
        let gates = &known.gates[p.kept(i) * GATES..][..GATES * UNITS];
        let [r, z, n] = std::array::from_fn(|gate| load(&gates[gate * UNITS..(gate + 1) * UNITS]));
        let share = load(&known.shares[p.kept(i)..][..UNITS]);
        let (on, from) = run.origin(&p.step, i);
        let before = load(&(if on { known.output } else { known.h0 })[from + p.units.start..][..w]);
        let gy = load(&known.grad[row * h + p.units.start..][..w]);
        // SAFETY: each task has its own units.
        let dh_at = unsafe { dh.slice(i * h + p.units.start, w) };
        let mut dh = load(dh_at);
        let mut d = [[<T as Float>::ZERO; UNITS]; GATES];
        let mut last = d[0];
        for j in 0..UNITS {
            let dy = dh[j] + gy[j];
            let (kept, taken) = if known.writes { (one - z[j], z[j]) } else { (z[j], one - z[j]) };
            let apart = if known.writes { n[j] - before[j] } else { before[j] - n[j] };
            let dn = dy * taken * (one - n[j] * n[j]);
            d[0][j] = dn * share[j] * r[j] * (one - r[j]);
            d[1][j] = dy * apart * z[j] * (one - z[j]);
            d[2][j] = dn;
            last[j] = dn * r[j];
            dh[j] = dy * kept;
        }
        store(dh, dh_at);
        let first = row * GATES * h + p.units.start;
        for gate in 0..GATES {
            // SAFETY: each task has its own units.
            unsafe {
                store(d[gate], inputs.slice(first + gate * h, w));
                store(if gate == 2 { last } else { d[gate] }, states.slice(first + gate * h, w));
            }
        }
    }
}
