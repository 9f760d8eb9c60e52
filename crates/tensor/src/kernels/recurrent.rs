//! Recurrent layers over whole sequences, and the way back.
//!
//! A step is a product of the state before it with the recurrent weights and a map of each unit's sums. Both are
//! done a few units at a time, so that sums are used while they are near, and so that the threads meet once a step
//! ([`team`]). The inputs' share of the sums is computed for a few steps at once, just before they are taken, and the
//! weights are made ready once for all steps.

use super::micro::{Block, Float, Rows, Tile, Tiles, Walk};
use super::par::{self, SharedMut, part};
use super::scratch::with_scratch;
use std::ops::Range;

mod gates;
pub(crate) mod gru;
pub(crate) mod lstm;
pub(crate) mod rnn;
mod team;

/// Units that are mapped at once: whole vectors of every instruction set.
const UNITS: usize = 16;
/// Units whose gradients are products at once.
const WIDE: usize = 2 * UNITS;
/// Depth of one block of a product, which stays near while all rows pass.
const DEPTH: usize = 256;
/// Rows whose inputs' share of the sums is computed at once.
const CHUNK_ROWS: usize = 96;
/// Multiplications that make a slice of their own: about two microseconds.
const SLICE_PRODUCTS: usize = 160_000;
/// Rows whose products take as long as those of one: the weights must come by.
const LEAST_ROWS: usize = 4;
/// Most slices.
const MOST_SLICES: usize = 64;

/// Into how many slices a step of so many multiplications is cut.
fn slices(panels: usize, products: usize) -> usize {
    (products / SLICE_PRODUCTS).clamp(1, panels.clamp(1, MOST_SLICES))
}

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

    /// Elements of a value of every unit and row, kept unit by unit in groups of [`UNITS`].
    pub fn kept(&self) -> usize {
        self.hidden.div_ceil(UNITS) * UNITS * self.rows
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

/// A matrix made ready: `depth` rows of `width` columns, aligned to whole vectors.
struct Panel<'a, T> {
    data: &'a [T],
    depth: usize,
    width: usize,
}

/// What a product is added to.
#[derive(Clone, Copy)]
enum Base<'a, T> {
    /// What is there.
    Sum,
    /// A term a column, of whole vectors.
    Bias(&'a [T]),
}

/// c = a * panel + base for the first `cols` columns of the panel.
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
    base: Base<T>,
) {
    let vectors = cols.div_ceil(tiles.lanes);
    let groups = vectors.div_ceil(tiles.max_vectors);
    for first in (0..panel.depth.max(1)).step_by(DEPTH) {
        for group in 0..groups {
            let columns = part(vectors, groups, group);
            let (start, nv) = (columns.start * tiles.lanes, columns.len());
            let bias = match base {
                Base::Bias(bias) if first == 0 => bias[start..start + nv * tiles.lanes].as_ptr(),
                _ => std::ptr::null(),
            };
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
                        beta: if bias.is_null() { T::ONE } else { T::ZERO },
                        bias,
                    };
                    (tiles.kernel)(Walk::Depth, rows.len(), nv)(&tile);
                }
            }
        }
    }
}

/// What a run reads: rows of inputs, the weights of inputs `[gates * hidden, inputs]` and of states `[gates * hidden,
/// hidden]`, the biases `[gates * hidden]`, and the states before the first step.
///
/// Without a bias of their own the states' shares of the sums are added to the inputs'.
pub(crate) struct Net<'a, T> {
    pub x: &'a [T],
    pub inputs: usize,
    pub weight_ih: &'a [T],
    pub weight_hh: &'a [T],
    pub bias: &'a [T],
    pub bias_hh: Option<&'a [T]>,
    pub initial: &'a [T],
}

/// A few units of one step.
pub(crate) struct Place {
    pub step: Step,
    pub units: Range<usize>,
    pub hidden: usize,
    /// Row of these units' first row of the run, where values are kept unit by unit.
    first: usize,
}

impl Place {
    fn new(run: &Run, step: &Step, panel: usize) -> Place {
        let units = panel * UNITS..run.hidden.min((panel + 1) * UNITS);
        Place { step: *step, units, hidden: run.hidden, first: panel * run.rows }
    }

    /// Where the step's row i of these units is kept.
    #[inline(always)]
    pub fn kept(&self, i: usize) -> usize {
        self.kept_row(self.step.row + i)
    }

    /// Where a row of these units is kept.
    #[inline(always)]
    pub fn kept_row(&self, row: usize) -> usize {
        (self.first + row) * UNITS
    }
}

/// Columns of weights `[gates * h, depth]` of the units from `first` on as rows of a panel: [`UNITS`] of each gate.
fn pack<T: Float>(tiles: &Tiles<T>, weight: &[T], depth: usize, gates: usize, first: usize, panel: &mut [T]) {
    let (width, lanes) = (gates * UNITS, tiles.lanes);
    let h = weight.len() / (gates * depth).max(1);
    for gate in 0..gates {
        for block in (0..UNITS).step_by(lanes) {
            let (unit, column) = (first + block, gate * UNITS + block);
            let done = if unit + lanes <= h { depth / lanes * lanes } else { 0 };
            let from = (gate * h + unit) * depth;
            for k in (0..done).step_by(lanes) {
                // SAFETY: `lanes` rows of the weight exist from this unit, each with `lanes` columns from k; the panel
                // has as many columns from this one and rows from k; `tiles` is of this machine.
                unsafe {
                    let (src, dst) = (weight.as_ptr().add(from + k), panel.as_mut_ptr().add(k * width + column));
                    (tiles.transpose)(&Block { src, src_step: depth, dst, dst_step: width, rows: lanes, cols: lanes });
                }
            }
            for k in done..depth {
                for j in 0..lanes {
                    panel[k * width + column + j] = if unit + j < h { weight[from + j * depth + k] } else { T::ZERO };
                }
            }
        }
    }
}

/// Rows of consecutive steps whose inputs' shares of the sums are computed at once.
#[derive(Clone, Copy)]
struct Chunk {
    row: usize,
    rows: usize,
    /// Whether its first step is this one.
    begins: bool,
}

/// The chunk of each step.
fn chunks(run: &Run) -> Vec<Chunk> {
    let mut all: Vec<Chunk> = Vec::with_capacity(run.steps.len());
    let mut first = 0;
    while first < run.steps.len() {
        let (mut end, mut rows) = (first + 1, run.steps[first].n);
        while end < run.steps.len() && rows + run.steps[end].n <= CHUNK_ROWS {
            rows += run.steps[end].n;
            end += 1;
        }
        let row = run.steps[first].row.min(run.steps[end - 1].row);
        all.extend((first..end).map(|i| Chunk { row, rows, begins: i == first }));
        first = end;
    }
    all
}

/// All steps: `map(place, sums, states)` is to write the outputs of these units. A row of `sums` has the inputs' share
/// and the states', [`UNITS`] columns of each gate; where the states have a bias of their own their share is in
/// `states`. What `map` leaves in `sums` is kept in `kept`, [`Run::kept`] elements a gate.
fn forward<T: Float>(
    run: &Run,
    gates: usize,
    net: &Net<T>,
    outputs: SharedMut<T>,
    kept: Option<SharedMut<T>>,
    map: impl Fn(&Place, &mut [T], &[T]) + Sync,
) {
    let (h, inputs, width, tiles) = (run.hidden, net.inputs, gates * UNITS, T::tiles());
    assert!(net.x.len() == run.rows * inputs && net.initial.len() == run.n * h && net.bias.len() == gates * h);
    assert!(net.weight_ih.len() == gates * h * inputs && net.weight_hh.len() == gates * h * h);
    assert!(net.bias_hh.is_none_or(|b| b.len() == gates * h));
    let (panels, chunks) = (h.div_ceil(UNITS), chunks(run));
    // A panel is its bias, its bias of the states, the weights of inputs, and those of states.
    let panel_len = (2 + inputs + h) * width;
    let most = if kept.is_some() { run.rows } else { chunks.iter().map(|c| c.rows).max().unwrap_or(0) };
    let sums_len = if kept.is_some() { 0 } else { panels * most * width };
    with_scratch(panels * panel_len + sums_len, |scratch: &mut [T]| {
        let (packed, sums) = scratch.split_at_mut(panels * panel_len);
        par::for_each_chunk_mut(packed, panel_len, |p, panel| {
            let (biases, weights) = panel.split_at_mut(2 * width);
            let (ih, hh) = weights.split_at_mut(inputs * width);
            let (bias, bias_hh) = biases.split_at_mut(width);
            pack(&tiles, net.bias, 1, gates, p * UNITS, bias);
            pack(&tiles, net.bias_hh.unwrap_or(net.bias), 1, gates, p * UNITS, bias_hh);
            pack(&tiles, net.weight_ih, inputs, gates, p * UNITS, ih);
            pack(&tiles, net.weight_hh, h, gates, p * UNITS, hh);
        });
        let (packed, sums) = (&*packed, kept.unwrap_or(SharedMut::new(sums)));
        let slices = slices(panels, run.n.max(LEAST_ROWS) * gates * h * h);
        team::each_step(run.steps.len(), slices, |index, slice| {
            let (s, chunk) = (&run.steps[index], &chunks[index]);
            let base = if kept.is_some() { 0 } else { chunk.row };
            let apart = if net.bias_hh.is_some() { s.n * width } else { 0 };
            with_scratch(apart, |states: &mut [T]| {
                for p in part(panels, slices, slice) {
                    let (biases, weights) = packed[p * panel_len..][..panel_len].split_at(2 * width);
                    let (ih, hh) = weights.split_at(inputs * width);
                    let (bias, bias_hh) = biases.split_at(width);
                    // SAFETY: the sums of these units are of this task alone.
                    let sums = |row: usize, n: usize| unsafe { sums.slice((p * most + row - base) * width, n * width) };
                    if chunk.begins {
                        let panel = Panel { data: ih, depth: inputs, width };
                        let c = sums(chunk.row, chunk.rows).as_mut_ptr();
                        // SAFETY: the chunk's rows are among those of x and of the sums.
                        unsafe {
                            let a = net.x.as_ptr().add(chunk.row * inputs);
                            product(&tiles, (a, inputs), chunk.rows, &panel, (c, width), width, Base::Bias(bias));
                        }
                    }
                    let sums = sums(s.row, s.n);
                    let (panel, joint) = (Panel { data: hh, depth: h, width }, apart == 0);
                    let (c, on) =
                        if joint { (sums.as_mut_ptr(), Base::Sum) } else { (states.as_mut_ptr(), Base::Bias(bias_hh)) };
                    // SAFETY: the rows of the step before are complete and stay as they are; there are `n` rows of
                    // sums.
                    unsafe {
                        let before = outputs.ptr().add(s.from * h).cast_const();
                        product(&tiles, (before, h), s.kept, &panel, (c, width), width, on);
                        let (begun, c) = (net.initial.as_ptr().add(s.kept * h), c.add(s.kept * width));
                        product(&tiles, (begun, h), s.n - s.kept, &panel, (c, width), width, on);
                    }
                    map(&Place::new(run, s, p), sums, states);
                }
            });
        });
    });
}

/// All steps backwards: `map(place)` is to take the gradient of the state after the step from `dh` (a row a
/// sequence), to write that of the states' share of the sums into the step's rows of `deltas` `[rows, gates *
/// hidden]`, and to leave in `dh` what flows past the product. In the end `dh` is the gradient of the initial states.
fn backward<T: Float>(
    run: &Run,
    gates: usize,
    weight: &[T],
    deltas: SharedMut<T>,
    dh: SharedMut<T>,
    map: impl Fn(&Place) + Sync,
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
        let slices = slices(panels, run.n.max(LEAST_ROWS) * h * depth);
        let steps = &run.steps;
        team::each_step(steps.len() + 1, slices, |done, slice| {
            let i = steps.len() - done;
            let (after, now) = (steps.get(i), i.checked_sub(1).map(|i| &steps[i]));
            for p in part(panels, slices, slice) {
                let units = p * WIDE..h.min((p + 1) * WIDE);
                if let Some(s) = after {
                    let panel = Panel { data: &packed[p * depth * WIDE..][..depth * WIDE], depth, width: WIDE };
                    // SAFETY: the rows of `deltas` of the step after are complete; these columns of `dh` are of
                    // this task alone.
                    unsafe {
                        let a = deltas.ptr().add(s.row * depth).cast_const();
                        let c = dh.ptr().add(units.start);
                        product(&tiles, (a, depth), s.n, &panel, (c, h), units.len(), Base::Sum);
                    }
                }
                if let Some(s) = now {
                    for panel in units.start / UNITS..units.end.div_ceil(UNITS) {
                        map(&Place::new(run, s, panel));
                    }
                }
            }
        });
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
