//! Long short-term memory: i, f, o = σ(..), g = tanh(..), c' = f c + i g, h' = o tanh(c').

use super::{Run, Step, UNITS, load, store};
use crate::kernels::math::Real;
use crate::kernels::micro::Float;
use crate::kernels::par::SharedMut;
use crate::kernels::simd;
use std::ops::Range;

const GATES: usize = 4;

/// What the way back needs: the gates `[rows, 4 hidden]` (i, f, g, o) and the cells after each step
/// `[rows, hidden]`.
pub(crate) struct Kept<T> {
    pub gates: SharedMut<T>,
    pub cells: SharedMut<T>,
}

/// `out` is made the outputs of all steps, the last h and the last c, from the inputs' share of the sums
/// `[rows, 4 hidden]`, the weights `[4 hidden, hidden]` and the initial states.
pub(crate) fn forward<T: Float + Real>(
    run: &Run,
    projected: &[T],
    weight: &[T],
    (h0, c0): (&[T], &[T]),
    out: &mut [T],
    kept: Option<&Kept<T>>,
) {
    let (outputs, last) = out.split_at_mut(run.rows * run.hidden);
    let (last_h, cell) = last.split_at_mut(run.n * run.hidden);
    cell.copy_from_slice(c0);
    let (shared, cell) = (SharedMut::new(outputs), SharedMut::new(cell));
    super::forward(run, GATES, weight, h0, shared, |s, units, sums| {
        simd::run(
            #[inline(always)]
            || step(run, s, units, (projected, sums), shared, cell, kept),
        );
    });
    run.last(outputs, last_h);
}

#[inline(always)]
fn sum<T: Float>(x: &[T], y: &[T]) -> [T; UNITS] {
    let (mut x, y) = (load(x), load(y));
    for j in 0..UNITS {
        x[j] += y[j];
    }
    x
}

#[inline(always)]
fn step<T: Float + Real>(
    run: &Run,
    s: &Step,
    units: Range<usize>,
    (projected, sums): (&[T], &[T]),
    outputs: SharedMut<T>,
    cell: SharedMut<T>,
    kept: Option<&Kept<T>>,
) {
    let (h, w) = (run.hidden, units.len());
    for i in 0..s.n {
        let row = s.row + i;
        let first = row * GATES * h + units.start;
        let mut a = [[<T as Float>::ZERO; UNITS]; GATES];
        for gate in [0, 1, 3] {
            let x = sum(&projected[first + gate * h..][..w], &sums[(i * GATES + gate) * UNITS..][..UNITS]);
            for j in 0..UNITS {
                a[gate][j] = x[j].sigmoid();
            }
        }
        let x = sum(&projected[first + 2 * h..][..w], &sums[(i * GATES + 2) * UNITS..][..UNITS]);
        for j in 0..UNITS {
            a[2][j] = x[j].tanh();
        }
        // SAFETY: each task has its own units.
        let c_at = unsafe { cell.slice(i * h + units.start, w) };
        let (mut c, mut y) = (load(c_at), [<T as Float>::ZERO; UNITS]);
        for j in 0..UNITS {
            c[j] = a[1][j] * c[j] + a[0][j] * a[2][j];
            y[j] = a[3][j] * c[j].tanh();
        }
        store(c, c_at);
        // SAFETY: each task has its own units.
        store(y, unsafe { outputs.slice(row * h + units.start, w) });
        if let Some(kept) = kept {
            for (gate, a) in a.iter().enumerate() {
                // SAFETY: each task has its own units.
                store(*a, unsafe { kept.gates.slice(first + gate * h, w) });
            }
            // SAFETY: each task has its own units.
            store(c, unsafe { kept.cells.slice(row * h + units.start, w) });
        }
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
pub(crate) fn backward<T: Float + Real>(run: &Run, known: &Known<T>, sums: &mut [T], dh: &mut [T], dc: &mut [T]) {
    let last = &known.grad[run.rows * run.hidden..];
    let (last_h, last_c) = last.split_at(run.n * run.hidden);
    dh.copy_from_slice(last_h);
    dc.copy_from_slice(last_c);
    let [sums, dh, dc] = [sums, dh, dc].map(SharedMut::new);
    super::backward(run, GATES, known.weight, sums, dh, |s, units| {
        simd::run(
            #[inline(always)]
            || step_back(run, s, units, known, sums, dh, dc),
        );
    });
}

#[inline(always)]
fn step_back<T: Float + Real>(
    run: &Run,
    s: &Step,
    units: Range<usize>,
    known: &Known<T>,
    sums: SharedMut<T>,
    dh: SharedMut<T>,
    dc: SharedMut<T>,
) {
    let (h, w, one) = (run.hidden, units.len(), <T as Float>::ONE);
    for i in 0..s.n {
        let row = s.row + i;
        let (one_row, state) = (row * h + units.start, i * h + units.start);
        let first = row * GATES * h + units.start;
        let (a, b) = (load(&known.gates[first..][..w]), load(&known.gates[first + h..][..w]));
        let (g, o) = (load(&known.gates[first + 2 * h..][..w]), load(&known.gates[first + 3 * h..][..w]));
        let (on, from) = run.origin(s, i);
        let before = load(&(if on { known.cells } else { known.c0 })[from + units.start..][..w]);
        let (gy, c) = (load(&known.grad[one_row..][..w]), load(&known.cells[one_row..][..w]));
        // SAFETY: each task has its own units.
        let (dh_at, dc_at) = unsafe { (dh.slice(state, w), dc.slice(state, w)) };
        let (dh, mut dc) = (load(dh_at), load(dc_at));
        let mut d = [[<T as Float>::ZERO; UNITS]; GATES];
        for j in 0..UNITS {
            let (dy, t) = (dh[j] + gy[j], c[j].tanh());
            let dv = dc[j] + dy * o[j] * (one - t * t);
            d[0][j] = dv * g[j] * a[j] * (one - a[j]);
            d[1][j] = dv * before[j] * b[j] * (one - b[j]);
            d[2][j] = dv * a[j] * (one - g[j] * g[j]);
            d[3][j] = dy * t * o[j] * (one - o[j]);
            dc[j] = dv * b[j];
        }
        store(dc, dc_at);
        dh_at.fill(<T as Float>::ZERO);
        for (gate, d) in d.iter().enumerate() {
            // SAFETY: each task has its own units.
            store(*d, unsafe { sums.slice(first + gate * h, w) });
        }
    }
}
