//! Products on register tiles: how they are cut up, and the walk over the tiles.
//!
//! A product is blocked along the reduction. Of each block, `b` is made ready as panels of a few vectors' width, and
//! `a` as blocks of a tile's rows where that helps. A large product has both made ready once for all tasks; a product
//! of a batch is a task that does so for itself.

use super::{GROUP_FLOPS, Job, Mat, Order, SERIAL_FLOPS, dot, pack, part};
use crate::kernels::micro::{Float, Tile, Tiles, Walk};
use crate::kernels::par::{self, SharedMut};
use crate::kernels::scratch::with_scratch;
use std::ops::Range;

/// Most steps in one block of the reduction.
const KC: usize = 512;
/// Most rows of `a` in one task.
const MC: usize = 512;
/// Rows up to which `b` is read where it lies rather than copied.
const DIRECT_ROWS: usize = 16;
/// Depth up to which `b` is read where it lies rather than copied.
const DIRECT_DEPTH: usize = 64;
/// Elements of `b` that are held ready at once: they fit the second-level cache.
const GROUP: usize = 32 * 1024;
/// Elements of an operand that are made ready at once for all tasks: they fit the third-level cache.
const CHUNK: usize = 1024 * 1024;
/// Elements of `b` from which few rows pass over it in blocks of few steps, which pages and prefetchers like.
const STREAM: usize = 256 * 1024;
/// Columns of a task in that case.
const STREAM_COLS: usize = 512;
/// Elements of `b` that each thread may hold in its cache from one product to the next.
const NEAR: usize = 128 * 1024;
/// Floating-point operations that make a task of their own.
const TASK_FLOPS: usize = 800_000;
/// Floating-point operations of a product from which its tasks share what is made ready.
const SHARED_FLOPS: usize = 3_200_000;
/// The same within a batch.
const SHARED_BATCH_FLOPS: usize = 64_000_000;
/// Rows and columns from which `a` is transposed for the tiles.
const TURN_ROWS: usize = 9;
const TURN_COLS: usize = 128;
/// Elements that one task makes ready.
const PACK: usize = 8 * 1024;

/// How one product is cut up: a function of its shape and of the instruction set alone.
#[derive(Clone, Copy)]
struct Plan {
    walk: Walk,
    /// Whether `a` is copied so that the rows of a tile are neighbours.
    copy_a: bool,
    /// Whether full panels of `b` are read where they lie.
    direct_b: bool,
    /// Blocks of the reduction.
    depths: usize,
    /// Most rows of a tile.
    mr: usize,
    /// Vectors in a row of `c`, dealt out evenly to `panels`.
    vectors: usize,
    panels: usize,
    /// Panels that are held ready at once.
    group: usize,
    row_parts: usize,
    panel_parts: usize,
    /// Whether tasks share what is made ready.
    shared: bool,
}

impl Plan {
    fn new<T: Float>(tiles: &Tiles<T>, batch: usize, job: &Job<T>) -> Plan {
        let (m, n, k) = (job.m, job.n, job.k);
        let flops = 2 * m * n * k;
        let vectors = n.div_ceil(tiles.lanes);
        let direct_b = job.b.col == 1 && (m <= DIRECT_ROWS || k <= DIRECT_DEPTH);
        let limit = if batch == 1 { SHARED_FLOPS } else { SHARED_BATCH_FLOPS };
        let shared = !direct_b && flops >= limit;
        // Tiles of neighbouring rows are the fastest; with enough columns they are worth a transpose of `a`.
        let turn = shared && m >= TURN_ROWS && n >= TURN_COLS;
        let rows_near = job.a.row == 1 || job.a.col != 1 || turn;
        let walk = if rows_near { Walk::Rows } else { Walk::Depth };
        let widest = if rows_near { tiles.max_vectors.min(2) } else { tiles.max_vectors };
        let panels = vectors.div_ceil(widest);
        let mr = (tiles.max_rows)(walk, vectors.div_ceil(panels));
        let copy_a = rows_near && (job.a.row != 1 || k > 8 && (panels > 2 || m > 64));
        let mut plan = Plan {
            walk,
            copy_a,
            direct_b,
            depths: k.div_ceil(KC).max(1),
            mr,
            vectors,
            panels,
            group: (GROUP / (k.clamp(1, KC) * widest * tiles.lanes)).max(1),
            row_parts: 1,
            panel_parts: 1,
            shared,
        };
        if direct_b && m <= DIRECT_ROWS && n >= STREAM_COLS && n * k >= STREAM {
            plan.depths = k.div_ceil((8 * m).clamp(16, 64));
            plan.panel_parts = n.div_ceil(STREAM_COLS).clamp(2, 32).min(panels);
        } else if !shared {
            plan.cut((flops / TASK_FLOPS).clamp(1, 32), (m, n, k));
        }
        plan
    }

    /// Sets the parts of a product whose tasks each make ready what they need.
    fn cut(&mut self, tasks: usize, (m, n, k): (usize, usize, usize)) {
        let most = m.div_ceil(2 * self.mr);
        let mut row_parts = m.div_ceil(MC);
        if k <= DIRECT_DEPTH {
            row_parts = row_parts.max(tasks.min(most));
        }
        let mut panel_parts = self.panels.min(tasks.div_ceil(row_parts));
        if row_parts * panel_parts < 4 && tasks >= 4 {
            row_parts = row_parts.max((4 / panel_parts).min(most));
        }
        if self.copy_a && k > DIRECT_DEPTH {
            // Each part of the panels copies `a`, each part of the rows `b`: as many parts, with the least to copy.
            let least = row_parts * panel_parts;
            let rows_for = |p: usize| row_parts.max(least.div_ceil(p)).min(most.max(row_parts));
            let enough = (1..=panel_parts).filter(|&p| p * rows_for(p) >= least);
            if let Some(p) = enough.min_by_key(|&p| m * p + n * rows_for(p)) {
                (row_parts, panel_parts) = (rows_for(p), p);
            }
        }
        (self.row_parts, self.panel_parts) = (row_parts, panel_parts);
    }

    /// Most elements of one panel in the buffer.
    fn panel_len<T: Float>(&self, tiles: &Tiles<T>, depth: usize) -> usize {
        depth * self.vectors.div_ceil(self.panels) * tiles.lanes
    }

    /// Where a panel lies in `c`, and whether it is read in place.
    fn panel<T: Float>(&self, tiles: &Tiles<T>, job: &Job<T>, panel: usize) -> Panel {
        let vectors = part(self.vectors, self.panels, panel);
        let (first, width) = (vectors.start * tiles.lanes, vectors.len() * tiles.lanes);
        let cols = (job.n - first).min(width);
        Panel { first, cols, vectors: vectors.len(), direct: self.direct_b && cols == width }
    }

    /// The steps of block `d` of the reduction, and the most of any.
    fn steps(&self, k: usize, d: usize) -> (Range<usize>, usize) {
        (part(k, self.depths, d), k.div_ceil(self.depths))
    }
}

/// One panel of columns.
struct Panel {
    first: usize,
    cols: usize,
    vectors: usize,
    direct: bool,
}

/// `batch` products, `at(i)` being the `i`th.
pub(super) fn run<'a, T: Float>(
    tiles: &Tiles<T>,
    batch: usize,
    job: &Job<'a, T>,
    at: impl Fn(usize) -> Job<'a, T> + Sync,
) {
    let plan = Plan::new(tiles, batch, job);
    if plan.shared {
        return (0..batch).for_each(|i| run_shared(tiles, &plan, &at(i)));
    }
    let tasks = plan.row_parts * plan.panel_parts;
    let flops = 2 * job.m * job.n * job.k;
    let group = if tasks > 1 { 1 } else { (GROUP_FLOPS / flops.max(1)).clamp(1, batch) };
    let task = |t: usize| {
        if tasks > 1 {
            let (r, p) = (t % tasks / plan.panel_parts, t % plan.panel_parts);
            let (rows, panels) = (part(job.m, plan.row_parts, r), part(plan.panels, plan.panel_parts, p));
            return run_task(tiles, &plan, &at(t / tasks), rows, panels);
        }
        for i in t * group..batch.min((t + 1) * group) {
            run_task(tiles, &plan, &at(i), 0..job.m, 0..plan.panels);
        }
    };
    let chunks = if tasks > 1 { batch * tasks } else { batch.div_ceil(group) };
    if batch * flops < SERIAL_FLOPS {
        (0..chunks).for_each(task);
    } else {
        par::for_each(chunks, task);
    }
}

/// A block of the reduction for some rows: its operands as the tiles read them.
struct Depth<'a, T> {
    /// Rows that are cut into `blocks`.
    rows: Range<usize>,
    blocks: usize,
    ks: Range<usize>,
    a_copy: Option<&'a [T]>,
    /// Panels made ready, `first` the first of them, each `step` elements.
    b_copy: &'a [T],
    first: usize,
    step: usize,
}

/// A part of a product by itself.
fn run_task<T: Float>(tiles: &Tiles<T>, plan: &Plan, job: &Job<T>, rows: Range<usize>, panels: Range<usize>) {
    let depth = plan.steps(job.k, 0).1;
    let (group, step) = (plan.group.min(panels.len()).max(1), plan.panel_len(tiles, depth));
    let b_len = group * step;
    let a_len = if plan.copy_a { rows.len() * depth } else { 0 };
    let blocks = rows.len().div_ceil(plan.mr);
    with_scratch(b_len + a_len, |scratch: &mut [T]| {
        let (b_buf, a_buf) = scratch.split_at_mut(b_len);
        for d in 0..plan.depths {
            let ks = plan.steps(job.k, d).0;
            if plan.copy_a {
                pack::row_blocks(tiles, &job.a_from(rows.start, ks.start), (rows.len(), blocks), ks.len(), a_buf);
            }
            for first in panels.clone().step_by(group) {
                let some = first..panels.end.min(first + group);
                for (slot, panel) in some.clone().enumerate() {
                    ready(tiles, plan, job, &ks, panel, &mut b_buf[slot * step..]);
                }
                let a_copy = plan.copy_a.then_some(&*a_buf);
                let rows = rows.clone();
                let block = Depth { rows, blocks, ks: ks.clone(), a_copy, b_copy: b_buf, first, step };
                multiply(tiles, plan, job, &block, 0..blocks, some);
            }
        }
    });
}

impl<T: Float> Job<'_, T> {
    fn a_from(&self, row: usize, k: usize) -> Mat<T> {
        // SAFETY: the element exists, or there is none at all and the pointer is not read.
        Mat { data: unsafe { self.a.data.add(row * self.a.row + k * self.a.col) }, ..self.a }
    }

    fn b_from(&self, k: usize, col: usize) -> Mat<T> {
        // SAFETY: as above.
        Mat { data: unsafe { self.b.data.add(k * self.b.row + col * self.b.col) }, ..self.b }
    }
}

/// Makes a panel of `b` ready, unless it is read where it lies.
fn ready<T: Float>(tiles: &Tiles<T>, plan: &Plan, job: &Job<T>, ks: &Range<usize>, panel: usize, out: &mut [T]) {
    let p = plan.panel(tiles, job, panel);
    if !p.direct {
        pack::panel(tiles, &job.b_from(ks.start, p.first), ks.len(), p.cols, p.vectors * tiles.lanes, out);
    }
}

/// See [`super::order`]: only where the strides of `a` do not matter.
pub(super) fn order<T: Float>(tiles: &Tiles<T>, job: &Job<T>) -> Option<Order> {
    let plan = Plan::new(tiles, 1, job);
    let sure = plan.shared && job.m >= TURN_ROWS && job.n >= TURN_COLS && !dot::fits(tiles, job);
    let len = plan.depths * plan.panels * plan.panel_len(tiles, plan.steps(job.k, 0).1);
    sure.then_some(Order { depths: plan.depths, panels: plan.panels, len })
}

/// See [`super::rearrange`]: all panels of the first block of the reduction, then those of the next.
pub(super) fn rearrange<T: Float>(tiles: &Tiles<T>, job: &Job<T>, out: &mut [T]) {
    let plan = Plan::new(tiles, 1, job);
    let step = plan.panel_len(tiles, plan.steps(job.k, 0).1);
    par::for_each_chunk_mut(&mut out[..plan.depths * plan.panels * step], step, |i, out| {
        let ks = plan.steps(job.k, i / plan.panels).0;
        ready(tiles, &plan, job, &ks, i % plan.panels, out);
    });
}

/// A large product, piece by piece: the operands are made ready by all threads, then read by all.
fn run_shared<T: Float>(tiles: &Tiles<T>, plan: &Plan, job: &Job<T>) {
    let depth = plan.steps(job.k, 0).1;
    let step = plan.panel_len(tiles, depth);
    let row_chunks = if plan.copy_a { (job.m * depth).div_ceil(CHUNK) } else { 1 };
    let panel_chunks = (plan.panels * step).div_ceil(CHUNK).min(plan.panels);
    let b_len = if job.b_ready.is_some() { 0 } else { plan.panels.div_ceil(panel_chunks) * step };
    let a_len = if plan.copy_a { job.m.div_ceil(row_chunks) * depth } else { 0 };
    with_scratch(b_len + a_len, |scratch: &mut [T]| {
        let (b_buf, a_buf) = scratch.split_at_mut(b_len);
        for d in 0..plan.depths {
            let ks = plan.steps(job.k, d).0;
            for p in 0..panel_chunks {
                let panels = part(plan.panels, panel_chunks, p);
                for r in 0..row_chunks {
                    let rows = part(job.m, row_chunks, r);
                    let new_a = plan.copy_a && (p == 0 || row_chunks > 1);
                    let some = Piece { ks: ks.clone(), rows, panels: panels.clone() };
                    let new_b = r == 0 && job.b_ready.is_none();
                    some.ready(tiles, plan, job, (new_a, a_buf), (new_b, b_buf, step));
                    let b = job.b_ready.map_or(&*b_buf, |b| &b[(d * plan.panels + panels.start) * step..]);
                    some.multiply(tiles, plan, job, plan.copy_a.then_some(&*a_buf), b, step);
                }
            }
        }
    });
}

/// What is made ready at once.
struct Piece {
    ks: Range<usize>,
    rows: Range<usize>,
    panels: Range<usize>,
}

impl Piece {
    /// Makes both operands ready, each if it is new.
    fn ready<T: Float>(
        &self,
        tiles: &Tiles<T>,
        plan: &Plan,
        job: &Job<T>,
        (new_a, a_buf): (bool, &mut [T]),
        (new_b, b_buf, step): (bool, &mut [T], usize),
    ) {
        let (depth, blocks) = (self.ks.len(), self.rows.len().div_ceil(plan.mr));
        let panels = if new_b { self.panels.len() } else { 0 };
        let per = (PACK / (depth * plan.mr).max(1)).max(1);
        let row_tasks = if new_a { blocks.div_ceil(per) } else { 0 };
        let (a_out, b_out) = (SharedMut::new(a_buf), SharedMut::new(b_buf));
        // The two kinds alternate, so that each thread has its share of both.
        let tasks = panels + row_tasks;
        par::for_each(tasks, |t| {
            let panel = t * panels / tasks;
            if (t + 1) * panels / tasks > panel {
                // SAFETY: each panel has a place of its own, and the buffer outlives the tasks.
                let out = unsafe { b_out.slice(panel * step, step) };
                return ready(tiles, plan, job, &self.ks, self.panels.start + panel, out);
            }
            let first = (t - panel) * per;
            for block in first..blocks.min(first + per) {
                let rows = part(self.rows.len(), blocks, block);
                // SAFETY: each block has a place of its own, and the buffer outlives the tasks.
                let out = unsafe { a_out.slice(rows.start * depth, rows.len() * depth) };
                pack::rows(tiles, &job.a_from(self.rows.start + rows.start, self.ks.start), rows.len(), depth, out);
            }
        });
    }

    /// All tiles, in tasks of row blocks and groups of panels.
    fn multiply<T: Float>(
        &self,
        tiles: &Tiles<T>,
        plan: &Plan,
        job: &Job<T>,
        a_copy: Option<&[T]>,
        b_copy: &[T],
        step: usize,
    ) {
        let blocks = self.rows.len().div_ceil(plan.mr);
        let (ks, rows) = (self.ks.clone(), self.rows.clone());
        let flops = 2 * ks.len() * rows.len() * self.panels.len() * (job.n.div_ceil(plan.panels));
        let tasks = (flops / TASK_FLOPS).clamp(1, 64);
        let panel_parts = self.panels.len().div_ceil(plan.group).min(tasks);
        let row_parts = tasks.div_ceil(panel_parts).min(blocks);
        let block = Depth { rows, blocks, ks, a_copy, b_copy, first: self.panels.start, step };
        // A thread has a run of neighbouring tasks: it reads a share of the rows and all panels, or the other way
        // round where there are more of these than its cache holds.
        let by_panels = job.n > self.rows.len() && job.n * job.k > NEAR;
        par::for_each(row_parts * panel_parts, |t| {
            let (r, p) = if by_panels { (t % row_parts, t / row_parts) } else { (t / panel_parts, t % panel_parts) };
            let some = part(self.panels.len(), panel_parts, p);
            let panels = self.panels.start + some.start..self.panels.start + some.end;
            let blocks = part(blocks, row_parts, r);
            for first in panels.clone().step_by(plan.group) {
                multiply(tiles, plan, job, &block, blocks.clone(), first..panels.end.min(first + plan.group));
            }
        });
    }
}

/// The tiles of some row blocks and panels, for one block of the reduction.
fn multiply<T: Float>(
    tiles: &Tiles<T>,
    plan: &Plan,
    job: &Job<T>,
    block: &Depth<'_, T>,
    blocks: Range<usize>,
    panels: Range<usize>,
) {
    let depth = block.ks.len();
    let (start, end) = (block.ks.start == 0, block.ks.end == job.k);
    for i in blocks {
        let rows = part(block.rows.len(), block.blocks, i);
        let row = block.rows.start + rows.start;
        let (a, a_step) = match (block.a_copy, plan.walk) {
            (Some(copy), _) => (copy[rows.start * depth..].as_ptr(), rows.len()),
            (None, Walk::Rows) => (job.a_from(row, block.ks.start).data, job.a.col),
            (None, _) => (job.a_from(row, block.ks.start).data, job.a.row),
        };
        let (mut first, mut last) = (usize::MAX, 0);
        for panel in panels.clone() {
            let p = plan.panel(tiles, job, panel);
            let (b, b_step) = match p.direct {
                true => (job.b_from(block.ks.start, p.first).data, job.b.row),
                false => (block.b_copy[(panel - block.first) * block.step..].as_ptr(), p.vectors * tiles.lanes),
            };
            let with_bias = end && !job.bias.is_null();
            // SAFETY: the tile lies within `c` and the bias within its `n` terms.
            let (c, bias) = unsafe {
                let c = job.c.add(row * job.n + p.first);
                (c, if with_bias { job.bias.add(p.first) } else { std::ptr::null() })
            };
            let tile = Tile {
                k: depth,
                a,
                a_step,
                table: std::ptr::null(),
                spread: std::ptr::null(),
                b,
                b_step,
                c,
                c_step: job.n,
                cols: p.cols,
                alpha: job.alpha,
                beta: if start { job.beta } else { T::ONE },
                bias,
            };
            // SAFETY: the tile lies within the operands, and `tiles` is of this machine.
            unsafe { (tiles.kernel)(plan.walk, rows.len(), p.vectors)(&tile) };
            (first, last) = (first.min(p.first), p.first + p.cols);
        }
        if end {
            job.finish(row..row + rows.len(), first..last);
        }
    }
}
