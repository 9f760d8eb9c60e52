//! Long short-term memory: i, f, o = σ(..), g = tanh(..), c' = f c + i g, h' = o tanh(c').

use super::gates::{self, Gate, in_vectors, sigmoid_and_tanh, sigmoids, tangents};
use super::{Net, Place, Run, UNITS, load, store};
use crate::kernels::micro::Float;
use crate::kernels::par::SharedMut;
use crate::kernels::simd;

pub(crate) const GATES: usize = 4;

/// What the way back needs, [`Run::kept`] elements a value: the gates (i, f, g, o) and the cell after each step.
pub(crate) struct Kept<T> {
    pub gates: SharedMut<T>,
    pub cells: SharedMut<T>,
}

/// `out` is made the outputs of all steps, the last h and the last c.
pub(crate) fn forward<T: Gate>(run: &Run, net: &Net<T>, c0: &[T], out: &mut [T], kept: Option<&Kept<T>>) {
    let (outputs, last) = out.split_at_mut(run.rows * run.hidden);
    let (last_h, cell) = last.split_at_mut(run.n * run.hidden);
    cell.copy_from_slice(c0);
    let (shared, cell) = (SharedMut::new(outputs), SharedMut::new(cell));
    super::forward(run, GATES, net, shared, kept.map(|k| k.gates), |p, sums, _| {
        let cells = kept.map(|k| &k.cells);
        in_vectors!(step::<T>(p, sums, shared, cell, cells));
    });
    run.last(outputs, last_h);
}

#[inline(always)]
fn step<T: Gate, const FUSED: bool>(
    p: &Place,
    sums: &mut [T],
    outputs: SharedMut<T>,
    cell: SharedMut<T>,
    cells: Option<&SharedMut<T>>,
) {
    let (h, w) = (p.hidden, p.units.len());
    for (i, sums) in sums.chunks_exact_mut(GATES * UNITS).enumerate() {
        let at = |gate: usize| gate * UNITS..(gate + 1) * UNITS;
        let [mut a, mut f, mut g, mut o] = std::array::from_fn(|gate| load(&sums[at(gate)]));
        sigmoids::<T, FUSED>(&mut a, &mut f);
        sigmoid_and_tanh::<T, FUSED>(&mut o, &mut g);
        // SAFETY: each task has its own units.
        let c_at = unsafe { cell.slice(i * h + p.units.start, w) };
        let mut c = load(c_at);
        for j in 0..UNITS {
            c[j] = f[j] * c[j] + a[j] * g[j];
        }
        store(c, c_at);
        if let Some(cells) = cells {
            for (gate, v) in [a, f, g, o].into_iter().enumerate() {
                store(v, &mut sums[at(gate)]);
            }
            // SAFETY: each task has its own units.
            store(c, unsafe { cells.slice(p.kept(i), UNITS) });
        }
        tangents::<T, FUSED>(&mut c);
        for j in 0..UNITS {
            c[j] = o[j] * c[j];
        }
        // SAFETY: each task has its own units.
        store(c, unsafe { outputs.slice((p.step.row + i) * h + p.units.start, w) });
    }
}

/// What is known on the way back: the gradients of all that [`forward`] gives, and what it kept.
pub(crate) struct Known<'a, T> {
    pub grad: &'a [T],
    pub weight: &'a [T],
    pub c0: &'a [T],
    pub gates: &'a [T],
    pub cells: &'a [T],
}

/// The gradients of the sums `[rows, 4 hidden]` and of the initial states.
pub(crate) fn backward<T: Gate>(run: &Run, known: &Known<T>, sums: &mut [T], dh: &mut [T], dc: &mut [T]) {
    let last = &known.grad[run.rows * run.hidden..];
    let (last_h, last_c) = last.split_at(run.n * run.hidden);
    dh.copy_from_slice(last_h);
    dc.copy_from_slice(last_c);
    let [sums, dh, dc] = [sums, dh, dc].map(SharedMut::new);
    super::backward(run, GATES, known.weight, sums, dh, |p| {
        in_vectors!(step_back::<T>(run, p, known, sums, dh, dc));
    });
}

#[inline(always)]
fn step_back<T: Gate, const FUSED: bool>(
    run: &Run,
    p: &Place,
    known: &Known<T>,
    sums: SharedMut<T>,
    dh: SharedMut<T>,
    dc: SharedMut<T>,
) {
    let (h, w, one) = (run.hidden, p.units.len(), <T as Float>::ONE);
    for i in 0..p.step.n {
        let row = p.step.row + i;
        let (one_row, state) = (row * h + p.units.start, i * h + p.units.start);
        let gates = &known.gates[p.kept(i) * GATES..][..GATES * UNITS];
        let [a, b, g, o] = std::array::from_fn(|gate| load(&gates[gate * UNITS..(gate + 1) * UNITS]));
        let (on, from) = run.origin(&p.step, i);
        let before = match on {
            true => load(&known.cells[p.kept_row(p.step.from + i)..][..UNITS]),
            false => load(&known.c0[from + p.units.start..][..w]),
        };
        let gy = load(&known.grad[one_row..][..w]);
        let mut t = load(&known.cells[p.kept(i)..][..UNITS]);
        tangents::<T, FUSED>(&mut t);
        // SAFETY: each task has its own units.
        let (dh_at, dc_at) = unsafe { (dh.slice(state, w), dc.slice(state, w)) };
        let (dh, mut dc) = (load(dh_at), load(dc_at));
        let mut d = [[<T as Float>::ZERO; UNITS]; GATES];
        for j in 0..UNITS {
            let dy = dh[j] + gy[j];
            let dv = dc[j] + dy * o[j] * (one - t[j] * t[j]);
            d[0][j] = dv * g[j] * a[j] * (one - a[j]);
            d[1][j] = dv * before[j] * b[j] * (one - b[j]);
            d[2][j] = dv * a[j] * (one - g[j] * g[j]);
            d[3][j] = dy * t[j] * o[j] * (one - o[j]);
            dc[j] = dv * b[j];
        }
        store(dc, dc_at);
        dh_at.fill(<T as Float>::ZERO);
        let first = row * GATES * h + p.units.start;
        for (gate, d) in d.iter().enumerate() {
            // SAFETY: each task has its own units.
            store(*d, unsafe { sums.slice(first + gate * h, w) });
        }
    }
}
