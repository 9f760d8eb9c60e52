//! Recurrent layers over whole sequences, and the way back.
//!
//! A step is a product of the state before it with the recurrent weights and a map of each unit's sums. Both are
//! done a few units at a time, so that sums are used while they are near, and so that the threads meet once a step.
//! The weights are made ready once for all steps. Which units go together follows from the shape.

use super::gemm::part;
use super::micro::{Block, Float, Rows, Tile, Tiles, Walk};
use super::par::{self, SharedMut};
use super::scratch::with_scratch;
use std::ops::Range;

pub(crate) mod lstm;

/// Units that are mapped at once: whole vectors of every instruction set.
const UNITS: usize = 16;
/// Units whose gradients are products at once.
const WIDE: usize = 2 * UNITS;
/// Depth of one block of a product, which stays near while all rows pass.
const DEPTH: usize = 256;
/// Floating-point operations that make a task of their own.
const TASK_FLOPS: usize = 1_000_000;

/// One step, in the order of the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Its first row.
    pub row: usize,
    /// Its number of rows.
    pub n: usize,
    /// Its first rows go on from the step before in the run; the others begin.
    pub kept: usize,
    /// First row of the step before in the run.
    pub from: usize,
}

/// A run over sequences whose rows lie step by step, `n` of them in the first step.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub steps: Vec<Step>,
    pub rows: usize,
    pub n: usize,
    pub hidden: usize,
}

impl Run {
    /// `sizes` are the numbers of rows of the steps, none larger than the one before.
    pub fn new(sizes: &[usize], hidden: usize, reverse: bool) -> Run {
        let (mut steps, mut row) = (Vec::with_capacity(sizes.len()), 0);
        for &n in sizes {
            steps.push(Step { row, n, kept: 0, from: 0 });
            row += n;
        }
        if reverse {
            steps.reverse();
        }
        for i in 1..steps.len() {
            let before = steps[i - 1];
            steps[i].kept = steps[i].n.min(before.n);
            steps[i].from = before.row;
        }
        Run { steps, rows: row, n: sizes.first().copied().unwrap_or(0), hidden }
    }

    /// Each step with the rows that end there.
    pub fn ends(&self) -> impl Iterator<Item = (&Step, Range<usize>)> {
        let kept = |i: usize| self.steps.get(i + 1).map_or(0, |s| s.kept);
        self.steps.iter().enumerate().map(move |(i, s)| (s, kept(i)..s.n))
    }

    /// The state after each row's last step, from the outputs of all steps.
    fn last<T: Copy>(&self, outputs: &[T], last: &mut [T]) {
        for (s, rows) in self.ends() {
            let (from, to, h) = (rows.start, rows.end, self.hidden);
            last[from * h..to * h].copy_from_slice(&outputs[(s.row + from) * h..(s.row + to) * h]);
        }
    }

    /// The state before each step, from the outputs of all steps and the initial states.
    pub fn before<T: Copy>(&self, outputs: &[T], initial: &[T], before: &mut [T]) {
        let h = self.hidden;
        for s in &self.steps {
            let (kept, begun) = before[s.row * h..(s.row + s.n) * h].split_at_mut(s.kept * h);
            kept.copy_from_slice(&outputs[s.from * h..(s.from + s.kept) * h]);
            begun.copy_from_slice(&initial[s.kept * h..s.n * h]);
        }
    }

    /// Where the state before row `i` of step `s` begins: among the outputs, or else the initial states.
    #[inline(always)]
    fn origin(&self, s: &Step, i: usize) -> (bool, usize) {
        if i < s.kept { (true, (s.from + i) * self.hidden) } else { (false, i * self.hidden) }
    }
}

/// Runs `f` on consecutive ranges of `0..pieces`, as many as so many operations are worth.
fn in_tasks(flops: usize, pieces: usize, f: impl Fn(Range<usize>) + Sync) {
    let tasks = (flops / TASK_FLOPS).clamp(1, pieces.max(1));
    par::for_each(tasks, |t| f(part(pieces, tasks, t)));
}

/// A matrix made ready: `depth` rows of `width` columns, aligned to whole vectors.
struct Panel<'a, T> {
    data: &'a [T],
    depth: usize,
    width: usize,
}

/// c = a * panel, or c += a * panel, for the first `cols` columns of the panel.
///
/// # Safety
/// `a` has `rows` rows of the panel's depth, `a_step` apart, `c` as many of `cols` columns, `c_step` apart, which
/// nobody else uses; `tiles` is of this machine.
unsafe fn product<T: Float>(
    tiles: &Tiles<T>,
    (a, a_step): (*const T, usize),
    rows: usize,
    panel: &Panel<T>,
    (c, c_step): (*mut T, usize),
    cols: usize,
    add: bool,
) {
    let vectors = cols.div_ceil(tiles.lanes);
    let groups = vectors.div_ceil(tiles.max_vectors);
    for first in (0..panel.depth).step_by(DEPTH) {
        for group in 0..groups {
            let columns = part(vectors, groups, group);
            let (start, nv) = (columns.start * tiles.lanes, columns.len());
            let blocks = rows.div_ceil((tiles.max_rows)(Walk::Depth, nv));
            for block in 0..blocks {
                let rows = part(rows, blocks, block);
                // SAFETY: the caller vouches for the operands; depth and columns are within the panel.
                unsafe {
                    let tile = Tile {
                        k: DEPTH.min(panel.depth - first),
                        a: a.add(rows.start * a_step + first),
                        a_step,
                        table: std::ptr::null(),
                        spread: std::ptr::null(),
                        b: panel.data.as_ptr().add(first * panel.width + start),
                        b_step: panel.width,
                        c: c.add(rows.start * c_step + start),
                        c_step,
                        cols: (cols - start).min(nv * tiles.lanes),
                        alpha: T::ONE,
                        beta: if add || first > 0 { T::ONE } else { T::ZERO },
                        bias: std::ptr::null(),
                        relu: false,
                    };
                    (tiles.kernel)(Walk::Depth, rows.len(), nv)(&tile);
                }
            }
        }
    }
}

/// The weights `[gates * h, h]` of units `first ..` as a panel of depth h: `UNITS` columns of each gate.
fn pack_gates<T: Float>(tiles: &Tiles<T>, weight: &[T], h: usize, gates: usize, first: usize, panel: &mut [T]) {
    let (width, lanes) = (gates * UNITS, tiles.lanes);
    for column in 0..width {
        let (gate, unit) = (column / UNITS, first + column % UNITS);
        let from = (gate * h + unit) * h;
        let whole = unit - unit % lanes + lanes <= h;
        let mut done = 0;
        if whole {
            done = h / lanes * lanes;
            if unit.is_multiple_of(lanes) {
                for k in (0..done).step_by(lanes) {
                    // SAFETY: `lanes` rows of the weight exist from this unit, each with `lanes` columns from k; the
                    // panel has as many columns from this one and rows from k; `tiles` is of this machine.
                    unsafe {
                        let (src, dst) = (weight.as_ptr().add(from + k), panel.as_mut_ptr().add(k * width + column));
                        (tiles.transpose)(&Block { src, src_step: h, dst, dst_step: width, rows: lanes, cols: lanes });
                    }
                }
            }
        }
        for k in done..h {
            panel[k * width + column] = if unit < h { weight[from + k] } else { T::ZERO };
        }
    }
}

/// All steps: `map(s, units, sums)` is to write the outputs of these units, where row i of `sums` is the product
/// of the state before with the weights `[gates * hidden, hidden]`, [`UNITS`] columns of each gate.
fn forward<T: Float>(
    run: &Run,
    gates: usize,
    weight: &[T],
    initial: &[T],
    outputs: SharedMut<T>,
    map: impl Fn(&Step, Range<usize>, &[T]) + Sync,
) {
    let (h, width, tiles) = (run.hidden, gates * UNITS, T::tiles());
    assert!(weight.len() == gates * h * h && initial.len() == run.n * h);
    let panels = h.div_ceil(UNITS);
    with_scratch(panels * h * width, |packed: &mut [T]| {
        par::for_each_chunk_mut(packed, h * width, |p, panel| pack_gates(&tiles, weight, h, gates, p * UNITS, panel));
        let packed = &*packed;
        for s in &run.steps {
            in_tasks(2 * s.n * h * h * gates, panels, |panels| {
                with_scratch(s.n * width, |sums: &mut [T]| {
                    for p in panels {
                        let panel = Panel { data: &packed[p * h * width..][..h * width], depth: h, width };
                        // SAFETY: the rows of the step before are complete and stay as they are; `sums` holds
                        // `n` rows.
                        unsafe {
                            let c = sums.as_mut_ptr();
                            let before = outputs.ptr().add(s.from * h).cast_const();
                            product(&tiles, (before, h), s.kept, &panel, (c, width), width, false);
                            let (begun, c) = (initial.as_ptr().add(s.kept * h), c.add(s.kept * width));
                            product(&tiles, (begun, h), s.n - s.kept, &panel, (c, width), width, false);
                        }
                        map(s, p * UNITS..h.min((p + 1) * UNITS), sums);
                    }
                });
            });
        }
    });
}

/// All steps backwards: `map(s, units)` is to take the gradient of the state after step s from `dh` (a row a
/// sequence), to write that of the products' results into the step's rows of `deltas` `[rows, gates * hidden]`,
/// and to leave in `dh` what flows past the product. In the end `dh` is the gradient of the initial states.
fn backward<T: Float>(
    run: &Run,
    gates: usize,
    weight: &[T],
    deltas: SharedMut<T>,
    dh: SharedMut<T>,
    map: impl Fn(&Step, Range<usize>) + Sync,
) {
    let (h, depth, tiles) = (run.hidden, gates * run.hidden, T::tiles());
    assert!(weight.len() == depth * h);
    let panels = h.div_ceil(WIDE);
    with_scratch(panels * depth * WIDE, |packed: &mut [T]| {
        par::for_each_chunk_mut(packed, depth * WIDE, |p, panel| {
            let (src, dst, cols) = (weight[p * WIDE..].as_ptr(), panel.as_mut_ptr(), WIDE.min(h - p * WIDE));
            let rows = Rows { src, src_step: h, dst, dst_step: WIDE, rows: depth, cols, pad: true };
            // SAFETY: the weight has so many rows and columns from here, and the panel is of whole vectors.
            unsafe { (tiles.copy)(&rows) };
        });
        let packed = &*packed;
        for i in (0..=run.steps.len()).rev() {
            let (after, now) = (run.steps.get(i), i.checked_sub(1).map(|i| &run.steps[i]));
            let rows = after.or(now).map_or(0, |s| s.n);
            in_tasks(2 * rows * h * depth, panels, |panels| {
                for p in panels {
                    let units = p * WIDE..h.min((p + 1) * WIDE);
                    if let Some(s) = after {
                        let panel = Panel { data: &packed[p * depth * WIDE..][..depth * WIDE], depth, width: WIDE };
                        // SAFETY: the rows of `deltas` of the step after are complete; these columns of `dh` are of
                        // this task alone.
                        unsafe {
                            let a = deltas.ptr().add(s.row * depth).cast_const();
                            let c = dh.ptr().add(units.start);
                            product(&tiles, (a, depth), s.n, &panel, (c, h), units.len(), true);
                        }
                    }
                    if let Some(s) = now {
                        for first in units.clone().step_by(UNITS) {
                            map(s, first..units.end.min(first + UNITS));
                        }
                    }
                }
            });
        }
    });
}

/// The elements of a slice of at most [`UNITS`], the rest zero.
#[inline(always)]
fn load<T: Float>(from: &[T]) -> [T; UNITS] {
    if let Some(all) = from.first_chunk() {
        return *all;
    }
    let mut some = [T::ZERO; UNITS];
    some[..from.len()].copy_from_slice(from);
    some
}

/// Writes the first elements to a slice of at most [`UNITS`].
#[inline(always)]
fn store<T: Float>(v: [T; UNITS], to: &mut [T]) {
    match to.first_chunk_mut() {
        Some(all) => *all = v,
        None => to.copy_from_slice(&v[..to.len()]),
    }
}
