//! Products on register tiles: operands are copied to panels once, then tasks take rectangles of the
//! result.

use super::{Job, Mat, SERIAL_FLOPS, part};
use crate::kernels::micro::{Block, Float, Rows, Tile, Tiles, Walk};
use crate::kernels::par::{self, SharedMut};
use crate::kernels::scratch::with_scratch;
use std::ops::Range;

/// Depth of one block of the reduction.
const KC: usize = 256;
/// Rows up to which `b` is read where it lies rather than copied.
const DIRECT_ROWS: usize = 16;
/// Depth up to which `b` is read where it lies rather than copied.
const DIRECT_DEPTH: usize = 64;
/// The same where there are few rows, and limit of what counts as few.
const DIRECT_FEW: usize = 128;
/// Elements of `b` that a task works through at once: they fit the second-level cache.
const GROUP: usize = 128 * 1024;
/// Floating-point operations that make a task of their own.
const TASK_FLOPS: usize = 800_000;
/// Floating-point operations from which one product of a batch is divided among threads.
const LARGE_FLOPS: usize = 16_000_000;
/// Elements of operands that are copied at once.
const COPIED: usize = 256 * 1024;

/// How one product is cut up: a function of its shape and of the instruction set alone.
#[derive(Clone, Copy)]
struct Plan {
    walk: Walk,
    /// Whether `a` is copied so that the rows of a tile are neighbours.
    copy_a: bool,
    /// Whether full panels of `b` are read where they lie.
    direct_b: bool,
    lanes: usize,
    /// Vectors in a row of `c`, dealt out evenly to `panels`.
    vectors: usize,
    panels: usize,
    /// Row blocks of the tiles, to which the rows are dealt out evenly.
    blocks: usize,
    /// Rectangles of the result: parts of the blocks and parts of the panels.
    block_parts: usize,
    panel_parts: usize,
    /// Steps of the reduction for which operands are copied at once.
    depth: usize,
}

impl Plan {
    fn new<T: Float>(tiles: &Tiles<T>, job: &Job<T>) -> Plan {
        let (m, n, k) = (job.m, job.n, job.k);
        let vectors = n.div_ceil(tiles.lanes);
        let near = job.a.row == 1 || job.a.col != 1;
        let walk = if near { Walk::Rows } else { Walk::Depth };
        // Measured: two vectors by many rows, or three where each row needs a pointer.
        let widest = tiles.max_vectors.min(if near { 2 } else { 3 });
        let panels = vectors.div_ceil(widest);
        let blocks = m.div_ceil((tiles.max_rows)(walk, vectors.div_ceil(panels)));
        let copy_a = near && (job.a.row != 1 || k > 8 && (panels > 2 || m > 64));
        let shallow = k <= DIRECT_DEPTH || k <= DIRECT_FEW && m <= DIRECT_FEW;
        let direct_b = job.b.col == 1 && (m <= DIRECT_ROWS || shallow);
        let tasks = (2 * m * n * k / TASK_FLOPS).clamp(1, 32);
        // Rectangles about as high as wide; for a shallow product long rows, which it mostly writes.
        let even = ((tasks * m) as f64 / n as f64).sqrt().round() as usize;
        let block_parts = if k <= DIRECT_DEPTH { tasks } else { even }.clamp(1, tasks).min(blocks);
        let panel_parts = tasks.div_ceil(block_parts).min(panels);
        let block_parts = tasks.div_ceil(panel_parts).min(blocks);
        let width = if direct_b { 0 } else { vectors * tiles.lanes } + if copy_a { m } else { 0 };
        let depth = (COPIED / width.max(1) / KC * KC).max(KC).min(k.max(1));
        Plan { walk, copy_a, direct_b, lanes: tiles.lanes, vectors, panels, blocks, block_parts, panel_parts, depth }
    }

    /// Columns of the widest panel.
    fn width(&self) -> usize {
        self.vectors.div_ceil(self.panels) * self.lanes
    }

    /// Elements of all copied panels for each step: only the last one if full panels are not copied.
    fn b_step(&self) -> usize {
        if self.direct_b { self.width() } else { self.panels * self.width() }
    }

    /// First column, existing columns and vectors of a panel, and whether it is read in place.
    fn panel(&self, n: usize, i: usize) -> (usize, usize, usize, bool) {
        let vectors = part(self.vectors, self.panels, i);
        let (first, width) = (vectors.start * self.lanes, vectors.len() * self.lanes);
        let cols = (n - first).min(width);
        (first, cols, vectors.len(), self.direct_b && cols == width)
    }

    /// Where a panel's steps `ks` lie among the copies that begin with step `from`.
    fn b_at(&self, i: usize, from: usize, ks: &Range<usize>) -> usize {
        let slot = if self.direct_b { 0 } else { i };
        (ks.start - from) * self.b_step() + slot * ks.len() * self.width()
    }
}

/// Blocks of the reduction within `range`.
fn depths(range: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = range.end;
    let start = range.start;
    // A product of no steps still writes its result.
    (0..range.len().div_ceil(KC).max(1)).map(move |i| start + i * KC..end.min(start + (i + 1) * KC))
}

pub(super) fn run_tiles<T: Float>(tiles: &Tiles<T>, batch: usize, job: &Job<T>, at: impl Fn(usize) -> Job<T> + Sync) {
    let plan = Plan::new(tiles, job);
    let flops = 2 * job.m * job.n * job.k;
    let len = plan.depth * (plan.b_step() + if plan.copy_a { job.m } else { 0 });
    if batch == 1 || flops >= LARGE_FLOPS {
        with_scratch(len, |scratch: &mut [T]| {
            for i in 0..batch {
                one_product(tiles, &plan, &at(i), scratch, flops >= SERIAL_FLOPS);
            }
        });
        return;
    }
    // Small products: each is one task, or several are.
    let some = (TASK_FLOPS / flops.max(1)).clamp(1, batch);
    par::for_each(batch.div_ceil(some), |task| {
        with_scratch(len, |scratch: &mut [T]| {
            for i in task * some..batch.min((task + 1) * some) {
                one_product(tiles, &plan, &at(i), scratch, false);
            }
        });
    });
}

fn one_product<T: Float>(tiles: &Tiles<T>, plan: &Plan, job: &Job<T>, scratch: &mut [T], threaded: bool) {
    let each = |count: usize, f: &(dyn Fn(usize) + Sync)| {
        if threaded { par::for_each(count, f) } else { (0..count).for_each(f) }
    };
    let (b_copy, a_copy) = scratch.split_at_mut(plan.depth * plan.b_step());
    for s in 0..job.k.div_ceil(plan.depth).max(1) {
        let steps = s * plan.depth..job.k.min((s + 1) * plan.depth);
        copy_operands(tiles, plan, job, &steps, (a_copy, b_copy), &each);
        let (a_copy, b_copy) = (&*a_copy, &*b_copy);
        if threaded {
            par::for_each(plan.block_parts * plan.panel_parts, |task| {
                let blocks = part(plan.blocks, plan.block_parts, task / plan.panel_parts);
                let panels = part(plan.panels, plan.panel_parts, task % plan.panel_parts);
                rectangle(tiles, plan, job, &steps, (a_copy, b_copy), blocks, panels);
            });
        } else {
            rectangle(tiles, plan, job, &steps, (a_copy, b_copy), 0..plan.blocks, 0..plan.panels);
        }
    }
}

/// Runs a task for each number below a count, on the pool or not.
type Each<'a> = dyn Fn(usize, &(dyn Fn(usize) + Sync)) + 'a;

/// Makes the copies of both operands that the plan asks for, for some steps.
fn copy_operands<T: Float>(
    tiles: &Tiles<T>,
    plan: &Plan,
    job: &Job<T>,
    steps: &Range<usize>,
    (a_copy, b_copy): (&mut [T], &mut [T]),
    each: &Each,
) {
    let ranges: Vec<Range<usize>> = depths(steps).collect();
    let first_panel = if plan.direct_b { plan.panels - 1 } else { 0 };
    let needs_b = !plan.panel(job.n, plan.panels - 1).3;
    // A row of `b` is read across all panels, a transposed one along the panel.
    let (b_tasks, b_rows) = match (needs_b, job.b.col == 1) {
        (false, _) => (0, 1),
        (true, true) => (ranges.len() * KC.div_ceil(16), 16),
        (true, false) => (ranges.len() * (plan.panels - first_panel), KC),
    };
    let a_tasks = if plan.copy_a { ranges.len() * plan.block_parts } else { 0 };
    let (a_out, b_out) = (SharedMut::new(a_copy), SharedMut::new(b_copy));
    let work = |task: usize| {
        if task >= b_tasks {
            let task = task - b_tasks;
            let ks = &ranges[task / plan.block_parts];
            for block in part(plan.blocks, plan.block_parts, task % plan.block_parts) {
                let rows = part(job.m, plan.blocks, block);
                let at = (ks.start - steps.start) * job.m + rows.start * ks.len();
                // SAFETY: every (range, block) has its own place in the copy.
                let out = unsafe { a_out.slice(at, rows.len() * ks.len()) };
                pack_rows(tiles, &job.a, rows, ks, out);
            }
            return;
        }
        let per_range = b_tasks / ranges.len();
        let (ks, turn) = (&ranges[task / per_range], task % per_range);
        let (some, panels) = if job.b.col == 1 {
            (turn * b_rows..ks.len().min((turn + 1) * b_rows), first_panel..plan.panels)
        } else {
            (0..ks.len(), first_panel + turn..first_panel + turn + 1)
        };
        if some.start >= some.end {
            return;
        }
        for panel in panels {
            let (first, cols, nv, _) = plan.panel(job.n, panel);
            let width = nv * plan.lanes;
            let at = plan.b_at(panel, steps.start, ks) + some.start * width;
            // SAFETY: every (range, panel, step) has its own place in the copy.
            let out = unsafe { b_out.slice(at, some.len() * width) };
            // SAFETY: the steps and columns exist.
            let data = unsafe { job.b.data.add((ks.start + some.start) * job.b.row + first * job.b.col) };
            pack_panel(tiles, &Mat { data, ..job.b }, some.len(), cols, width, out);
        }
    };
    if a_tasks + b_tasks > 0 {
        each(a_tasks + b_tasks, &work);
    }
}

/// Some row blocks times some panels, over some steps of the reduction.
fn rectangle<T: Float>(
    tiles: &Tiles<T>,
    plan: &Plan,
    job: &Job<T>,
    steps: &Range<usize>,
    (a_copy, b_copy): (&[T], &[T]),
    blocks: Range<usize>,
    panels: Range<usize>,
) {
    for ks in depths(steps) {
        let depth = ks.len();
        let (start, end) = (ks.start == 0, ks.end == job.k);
        let group = (GROUP / (depth.max(1) * plan.width())).max(1);
        for first in panels.clone().step_by(group) {
            let some = first..panels.end.min(first + group);
            for block in blocks.clone() {
                let rows = part(job.m, plan.blocks, block);
                let (a, a_step) = if plan.copy_a {
                    (a_copy[(ks.start - steps.start) * job.m + rows.start * depth..].as_ptr(), rows.len())
                } else {
                    // SAFETY: the rows and steps exist.
                    let a = unsafe { job.a.data.add(rows.start * job.a.row + ks.start * job.a.col) };
                    (a, if plan.walk == Walk::Rows { job.a.col } else { job.a.row })
                };
                for panel in some.clone() {
                    let (first, cols, nv, direct) = plan.panel(job.n, panel);
                    let (b, b_step) = if direct {
                        // SAFETY: the steps and columns exist.
                        (unsafe { job.b.data.add(ks.start * job.b.row + first) }, job.b.row)
                    } else {
                        (b_copy[plan.b_at(panel, steps.start, &ks)..].as_ptr(), nv * plan.lanes)
                    };
                    let with_bias = end && !job.bias.is_null();
                    let tile = Tile {
                        k: depth,
                        a,
                        a_step,
                        table: std::ptr::null(),
                        spread: std::ptr::null(),
                        b,
                        b_step,
                        // SAFETY: the tile lies within `c`.
                        c: unsafe { job.c.add(rows.start * job.c_row + first) },
                        c_step: job.c_row,
                        cols,
                        alpha: job.alpha,
                        beta: if start { job.beta } else { T::ONE },
                        // SAFETY: the bias has a term for each column.
                        bias: if with_bias { unsafe { job.bias.add(first) } } else { std::ptr::null() },
                        relu: end && job.relu,
                    };
                    // SAFETY: the tile lies within the operands, and `tiles` is of this machine.
                    unsafe { (tiles.kernel)(plan.walk, rows.len(), nv)(&tile) };
                }
            }
        }
    }
}

/// Copies some rows and steps of `a` so that the rows of a step are neighbours.
fn pack_rows<T: Float>(tiles: &Tiles<T>, a: &Mat<T>, rows: Range<usize>, ks: &Range<usize>, out: &mut [T]) {
    let mr = rows.len();
    // SAFETY: the rows and steps exist.
    let src = unsafe { a.data.add(rows.start * a.row + ks.start * a.col) };
    if a.row == 1 {
        let dst = out.as_mut_ptr();
        let rows = Rows { src, src_step: a.col, dst, dst_step: mr, rows: ks.len(), cols: mr, pad: false };
        // SAFETY: `mr` neighbours at each of the steps exist, and `out` holds as many.
        unsafe { (tiles.copy)(&rows) };
        return;
    }
    for (p, line) in out.chunks_exact_mut(mr).enumerate() {
        for (i, v) in line.iter_mut().enumerate() {
            // SAFETY: `i` and `p` are within the operand.
            *v = unsafe { *src.add(i * a.row + p * a.col) };
        }
    }
}

/// Copies `cols` columns of `b` (k rows) to rows of `width` elements, the rest zero.
fn pack_panel<T: Float>(tiles: &Tiles<T>, b: &Mat<T>, k: usize, cols: usize, width: usize, out: &mut [T]) {
    if b.col == 1 {
        let dst = out.as_mut_ptr();
        let rows = Rows { src: b.data, src_step: b.row, dst, dst_step: width, rows: k, cols, pad: true };
        // SAFETY: each of the `k` rows has `cols` contiguous elements, `out` has `width` for each,
        // and `width` is `cols` rounded up to whole vectors.
        unsafe { (tiles.copy)(&rows) };
        return;
    }
    let lanes = tiles.lanes;
    let (k_full, c_full) = if b.row == 1 { (k / lanes * lanes, cols / lanes * lanes) } else { (0, 0) };
    for j in (0..c_full).step_by(lanes) {
        for p in (0..k_full).step_by(lanes) {
            let dst = out[p * width + j..].as_mut_ptr();
            // SAFETY: both blocks of `lanes` x `lanes` are in bounds; `tiles` is of this machine.
            unsafe {
                let src = b.data.add(j * b.col + p);
                (tiles.transpose)(&Block { src, src_step: b.col, dst, dst_step: width, rows: lanes, cols: lanes });
            }
        }
    }
    for (p, line) in out.chunks_exact_mut(width).enumerate() {
        let done = if p < k_full { c_full } else { 0 };
        for (j, v) in line.iter_mut().enumerate().skip(done) {
            // SAFETY: column `j` exists below `cols`.
            *v = if j < cols { unsafe { *b.data.add(p * b.row + j * b.col) } } else { T::ZERO };
        }
    }
}
