//! Matrix products over any strides: `c = alpha * a * b + beta * c`, then a bias and a ReLU.
//!
//! On machines with AVX2 or AVX-512 the product runs on our own register tiles (see
//! [`micro`](super::micro)); elsewhere on the crate `gemm`. Work is cut into tasks by the shape
//! alone and the reduction is blocked by constants, so the result does not depend on the number of
//! threads.

use super::micro::{Block, Float, Rows, Tile, Tiles, Walk};
use super::par;
use super::scratch::with_scratch;
use super::simd::{Level, level};
use std::ops::Range;

/// Depth of one block of the reduction.
const KC: usize = 512;
/// Most rows of `a` in one task.
const MC: usize = 512;
/// Rows up to which `b` is read where it lies rather than copied.
const DIRECT_ROWS: usize = 16;
/// Depth up to which `b` is read where it lies rather than copied.
const DIRECT_DEPTH: usize = 64;
/// Elements of `b` that are held ready at once: they fit the second-level cache.
const GROUP: usize = 32 * 1024;
/// Floating-point operations that make a task of their own.
const TASK_FLOPS: usize = 800_000;
/// Floating-point operations below which a product stays on the calling thread.
const SERIAL_FLOPS: usize = 400_000;

/// What is done to each element after the product.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T> {
    /// One term a column, added to every row.
    pub bias: Option<&'a [T]>,
    /// Whether negative results become zero.
    pub relu: bool,
}

impl<T> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Epilogue { bias: None, relu: false }
    }
}

/// One matrix operand: its strides in elements.
#[derive(Clone, Copy)]
struct Mat<T> {
    data: *const T,
    row: usize,
    col: usize,
}

/// A product as the tasks see it: `c` has contiguous columns.
#[derive(Clone, Copy)]
struct Job<T> {
    m: usize,
    n: usize,
    k: usize,
    alpha: T,
    beta: T,
    a: Mat<T>,
    b: Mat<T>,
    c: *mut T,
    c_row: usize,
    bias: *const T,
    relu: bool,
}

// SAFETY: the pointers are to slices that outlive the job, and tasks write disjoint tiles of `c`.
unsafe impl<T: Send + Sync> Sync for Job<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Send for Job<T> {}

/// `batch` products `c = alpha * a * b + beta * c`, then `epilogue`; `offsets(i)` gives where the operands
/// of product `i` begin in `a`, `b` and `c`.
///
/// `a` is `m` x `k`, `b` is `k` x `n`, `c` is `m` x `n`; strides are (row, column) in elements. `c`
/// is not read if `beta` is zero. With `k == 0` the product is zero.
///
/// # Panics
/// If a slice is shorter than its shape and strides say, if elements of `c` overlap, or if a bias
/// does not have `n` elements. The outputs must not overlap either (checked in order: they must be
/// `offsets` apart by at least the extent of one output).
pub fn gemm_batched<T: Float>(
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    alpha: T,
    a: &[T],
    a_strides: (usize, usize),
    b: &[T],
    b_strides: (usize, usize),
    beta: T,
    c: &mut [T],
    c_strides: (usize, usize),
    epilogue: Epilogue<'_, T>,
    offsets: impl Fn(usize) -> (usize, usize, usize) + Sync,
) {
    if batch == 0 || m == 0 || n == 0 {
        return;
    }
    check(batch, (m, n, k), (a.len(), a_strides), (b.len(), b_strides), (c.len(), c_strides), &offsets);
    if let Some(bias) = epilogue.bias {
        assert!(bias.len() == n, "gemm: a bias of {} for {n} columns", bias.len());
    }
    // A transposed output without a bias is the product of the transposes.
    let swap = c_strides.1 != 1 && c_strides.0 == 1 && epilogue.bias.is_none();
    let (a_mat, b_mat) = (
        Mat { data: a.as_ptr(), row: a_strides.0, col: a_strides.1 },
        Mat { data: b.as_ptr(), row: b_strides.0, col: b_strides.1 },
    );
    let flip = |m: Mat<T>| Mat { data: m.data, row: m.col, col: m.row };
    let bias = epilogue.bias.map_or(std::ptr::null(), |b| b.as_ptr());
    let c_ptr = c.as_mut_ptr();
    let job = if swap {
        Job {
            m: n,
            n: m,
            k,
            alpha,
            beta,
            a: flip(b_mat),
            b: flip(a_mat),
            c: c_ptr,
            c_row: c_strides.1,
            bias,
            relu: epilogue.relu,
        }
    } else {
        Job { m, n, k, alpha, beta, a: a_mat, b: b_mat, c: c_ptr, c_row: c_strides.0, bias, relu: epilogue.relu }
    };
    let at = |i: usize| {
        let (x, y, z) = offsets(i);
        let (x, y) = if swap { (y, x) } else { (x, y) };
        let mut job = job;
        // SAFETY: `check` found all three offsets within their slices.
        unsafe {
            job.a.data = job.a.data.add(x);
            job.b.data = job.b.data.add(y);
            job.c = job.c.add(z);
        }
        job
    };
    match level() {
        Level::Avx512 | Level::Avx2 if swap || c_strides.1 == 1 => run_tiles(&T::tiles(), batch, &job, at),
        _ => run_crate(batch, c_strides, &job, at, swap),
    }
}

/// Panics unless every access of every product is in bounds and no two outputs overlap.
fn check(
    batch: usize,
    (m, n, k): (usize, usize, usize),
    a: (usize, (usize, usize)),
    b: (usize, (usize, usize)),
    c: (usize, (usize, usize)),
    offsets: &impl Fn(usize) -> (usize, usize, usize),
) {
    let extent = |rows: usize, cols: usize, (row, col): (usize, usize)| {
        if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row + (cols - 1) * col + 1 }
    };
    let (ea, eb, ec) = (extent(m, k, a.1), extent(k, n, b.1), extent(m, n, c.1));
    let (row, col) = c.1;
    let apart = (n == 1 || col > 0) && (m == 1 || row > (n - 1) * col)
        || (m == 1 || row > 0) && (n == 1 || col > (m - 1) * row);
    assert!(apart, "gemm: the elements of a {m} x {n} output with strides {:?} overlap", c.1);
    let mut end = 0;
    for i in 0..batch {
        let (x, y, z) = offsets(i);
        assert!(
            x + ea <= a.0 && y + eb <= b.0 && z + ec <= c.0,
            "gemm: product {i} of {m} x {k} by {k} x {n} leaves its slices ({}, {}, {} elements)",
            a.0,
            b.0,
            c.0
        );
        assert!(i == 0 || z >= end, "gemm: output {i} overlaps the one before");
        end = z + ec;
    }
}

/// Splits `0..len` into `parts` ranges whose lengths differ by at most one.
pub(super) fn part(len: usize, parts: usize, i: usize) -> Range<usize> {
    let (base, more) = (len / parts, len % parts);
    let start = i * base + i.min(more);
    start..start + base + usize::from(i < more)
}

/// How one product is cut up: a function of its shape and of the instruction set alone.
#[derive(Clone, Copy)]
struct Plan {
    walk: Walk,
    /// Whether `a` is copied so that the rows of a tile are neighbours.
    copy_a: bool,
    /// Whether full panels of `b` are read where they lie.
    direct_b: bool,
    /// Vectors in a row of `c`, dealt out evenly to `panels`.
    vectors: usize,
    panels: usize,
    /// Panels that are held ready at once.
    group: usize,
    row_parts: usize,
    panel_parts: usize,
}

impl Plan {
    fn new<T: Float>(tiles: &Tiles<T>, job: &Job<T>) -> Plan {
        let (m, n, k) = (job.m, job.n, job.k);
        let vectors = n.div_ceil(tiles.lanes);
        let rows_near = job.a.row == 1 || job.a.col != 1;
        let walk = if rows_near { Walk::Rows } else { Walk::Depth };
        let widest = if rows_near { tiles.max_vectors.min(2) } else { tiles.max_vectors };
        let panels = vectors.div_ceil(widest);
        let copy_a = rows_near && (job.a.row != 1 || k > 8 && (panels > 2 || m > 64));
        let direct_b = job.b.col == 1 && (m <= DIRECT_ROWS || k <= DIRECT_DEPTH);
        let mr = (tiles.max_rows)(walk, vectors.min(widest));
        let tasks = (2 * m * n * k / TASK_FLOPS).clamp(1, 32);
        let mut row_parts = m.div_ceil(MC);
        if k <= DIRECT_DEPTH {
            row_parts = row_parts.max(tasks.min(m.div_ceil(2 * mr)));
        }
        let mut panel_parts = panels.min(tasks.div_ceil(row_parts));
        if row_parts * panel_parts < 4 && tasks >= 4 {
            row_parts = row_parts.max((4 / panel_parts).min(m.div_ceil(2 * mr)));
        }
        if copy_a && k > DIRECT_DEPTH {
            // Each part of the panels copies `a`, each part of the rows `b`: as many parts, with the least to copy.
            let least = row_parts * panel_parts;
            let rows_for = |p: usize| row_parts.max(least.div_ceil(p)).min(m.div_ceil(2 * mr).max(row_parts));
            let enough = (1..=panel_parts).filter(|&p| p * rows_for(p) >= least);
            if let Some(p) = enough.min_by_key(|&p| m * p + n * rows_for(p)) {
                (row_parts, panel_parts) = (rows_for(p), p);
            }
        }
        let group = (GROUP / (k.clamp(1, KC) * widest * tiles.lanes)).max(1);
        Plan { walk, copy_a, direct_b, vectors, panels, group, row_parts, panel_parts }
    }

    /// Elements of one panel in the buffer.
    fn panel_len<T: Float>(&self, tiles: &Tiles<T>, depth: usize) -> usize {
        depth * self.vectors.div_ceil(self.panels) * tiles.lanes
    }
}

fn run_tiles<T: Float>(tiles: &Tiles<T>, batch: usize, job: &Job<T>, at: impl Fn(usize) -> Job<T> + Sync) {
    let plan = Plan::new(tiles, job);
    let tasks = plan.row_parts * plan.panel_parts;
    let task = |t: usize| {
        let job = at(t / tasks);
        let (r, p) = (t % tasks / plan.panel_parts, t % plan.panel_parts);
        let rows = part(job.m, plan.row_parts, r);
        let panels = part(plan.panels, plan.panel_parts, p);
        run_task(tiles, &plan, &job, rows, panels);
    };
    if 2 * batch * job.m * job.n * job.k < SERIAL_FLOPS {
        (0..batch * tasks).for_each(task);
    } else {
        par::for_each(batch * tasks, task);
    }
}

/// A block of the reduction for one task: its operands as the tiles read them.
struct Depth<'a, T> {
    rows: Range<usize>,
    ks: Range<usize>,
    a: Mat<T>,
    a_copy: Option<&'a [T]>,
}

fn run_task<T: Float>(tiles: &Tiles<T>, plan: &Plan, job: &Job<T>, rows: Range<usize>, panels: Range<usize>) {
    let depth = job.k.min(KC);
    let group = plan.group.min(panels.len());
    let b_len = group * plan.panel_len(tiles, depth);
    let a_len = if plan.copy_a { rows.len() * depth } else { 0 };
    with_scratch(b_len + a_len, |scratch: &mut [T]| {
        let (b_buf, a_buf) = scratch.split_at_mut(b_len);
        for d in 0..job.k.div_ceil(KC).max(1) {
            let ks = d * KC..job.k.min((d + 1) * KC);
            // SAFETY: the block exists.
            let data = unsafe { job.a.data.add(rows.start * job.a.row + ks.start * job.a.col) };
            let a = Mat { data, ..job.a };
            if plan.copy_a {
                pack_rows(tiles, plan, &a, rows.len(), ks.len(), a_buf);
            }
            let a_copy = plan.copy_a.then_some(&*a_buf);
            let block = Depth { rows: rows.clone(), ks, a, a_copy };
            for first in panels.clone().step_by(group.max(1)) {
                let some = first..panels.end.min(first + group);
                run_group(tiles, plan, job, &block, some, b_buf);
            }
        }
    });
}

/// One group of column panels: makes `b` ready, then runs over all row blocks.
fn run_group<T: Float>(
    tiles: &Tiles<T>,
    plan: &Plan,
    job: &Job<T>,
    block: &Depth<'_, T>,
    panels: Range<usize>,
    b_buf: &mut [T],
) {
    let depth = block.ks.len();
    let len = plan.panel_len(tiles, depth);
    // Column, number of columns, number of vectors and whether `b` is read in place.
    let of = |panel: usize| {
        let vectors = part(plan.vectors, plan.panels, panel);
        let first = vectors.start * tiles.lanes;
        let width = vectors.len() * tiles.lanes;
        let cols = (job.n - first).min(width);
        (first, cols, vectors.len(), plan.direct_b && cols == width)
    };
    // SAFETY: the block exists.
    let b_at = |first: usize| unsafe {
        let data = job.b.data.add(block.ks.start * job.b.row + first * job.b.col);
        Mat { data, ..job.b }
    };
    for (slot, panel) in panels.clone().enumerate() {
        let (first, cols, nv, direct) = of(panel);
        if !direct {
            pack_panel(tiles, &b_at(first), depth, cols, nv * tiles.lanes, &mut b_buf[slot * len..]);
        }
    }
    let widest = plan.vectors.div_ceil(plan.panels);
    let blocks = block.rows.len().div_ceil((tiles.max_rows)(plan.walk, widest));
    let (start, end) = (block.ks.start == 0, block.ks.end == job.k);
    for i in 0..blocks {
        let rows = part(block.rows.len(), blocks, i);
        let (a, a_step) = match (block.a_copy, plan.walk) {
            (Some(copy), _) => (copy[rows.start * depth..].as_ptr(), rows.len()),
            // SAFETY: the rows exist.
            (None, Walk::Rows) => (unsafe { block.a.data.add(rows.start) }, block.a.col),
            // SAFETY: the rows exist.
            (None, _) => (unsafe { block.a.data.add(rows.start * block.a.row) }, block.a.row),
        };
        for (slot, panel) in panels.clone().enumerate() {
            let (first, cols, nv, direct) = of(panel);
            let (b, b_step) = match direct {
                true => (b_at(first).data, job.b.row),
                false => (b_buf[slot * len..].as_ptr(), nv * tiles.lanes),
            };
            let with_bias = end && !job.bias.is_null();
            // SAFETY: the tile lies within `c` and the bias within its `n` terms.
            let (c, bias) = unsafe {
                let c = job.c.add((block.rows.start + rows.start) * job.c_row + first);
                (c, if with_bias { job.bias.add(first) } else { std::ptr::null() })
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
                c_step: job.c_row,
                cols,
                alpha: job.alpha,
                beta: if start { job.beta } else { T::ONE },
                bias,
                relu: end && job.relu,
            };
            // SAFETY: the tile lies within the operands, and `tiles` is of this machine.
            unsafe { (tiles.kernel)(plan.walk, rows.len(), nv)(&tile) };
        }
    }
}

/// Copies `a` (rows x k) so that each row block of the tiles is one run of `out`, with the rows of
/// a step side by side.
fn pack_rows<T: Float>(tiles: &Tiles<T>, plan: &Plan, a: &Mat<T>, rows: usize, k: usize, out: &mut [T]) {
    let widest = plan.vectors.div_ceil(plan.panels);
    let blocks = rows.div_ceil((tiles.max_rows)(plan.walk, widest));
    for block in 0..blocks {
        let part = part(rows, blocks, block);
        let mr = part.len();
        let out = &mut out[part.start * k..part.end * k];
        // SAFETY: the rows exist.
        let src = unsafe { a.data.add(part.start * a.row) };
        if a.row == 1 {
            let rows =
                Rows { src, src_step: a.col, dst: out.as_mut_ptr(), dst_step: mr, rows: k, cols: mr, pad: false };
            // SAFETY: `mr` neighbours at each of the `k` steps exist, and `out` holds as many.
            unsafe { (tiles.copy)(&rows) };
            continue;
        }
        for (p, line) in out.chunks_exact_mut(mr).enumerate() {
            for (i, v) in line.iter_mut().enumerate() {
                // SAFETY: `i` and `p` are within the operand.
                *v = unsafe { *src.add(i * a.row + p * a.col) };
            }
        }
    }
}

/// Copies `cols` columns of `b` (k rows) to rows of `width` elements, the rest zero.
fn pack_panel<T: Float>(tiles: &Tiles<T>, b: &Mat<T>, k: usize, cols: usize, width: usize, out: &mut [T]) {
    let out = &mut out[..k * width];
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
            // SAFETY: both blocks of `lanes` x `lanes` are in bounds; `tiles` is of this machine.
            unsafe {
                let src = b.data.add(j * b.col + p);
                let dst = out.as_mut_ptr().add(p * width + j);
                let block = Block { src, src_step: b.col, dst, dst_step: width, rows: lanes, cols: lanes };
                (tiles.transpose)(&block);
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

/// The crate `gemm`, one product or column block a task, then the epilogue.
fn run_crate<T: Float>(
    batch: usize,
    c_strides: (usize, usize),
    job: &Job<T>,
    at: impl Fn(usize) -> Job<T> + Sync,
    swap: bool,
) {
    let c_strides = if swap { (c_strides.1, c_strides.0) } else { c_strides };
    let parts = job.n.div_ceil(64).min((2 * job.m * job.n * job.k / SERIAL_FLOPS).max(1));
    par::for_each(batch * parts, |t| {
        let job = at(t / parts);
        let cols = part(job.n, parts, t % parts);
        // SAFETY: the columns are within the operands, and tasks write disjoint ones.
        unsafe {
            let c = job.c.add(cols.start * c_strides.1);
            let b = job.b.data.add(cols.start * job.b.col);
            gemm::gemm(
                job.m,
                cols.len(),
                job.k,
                c,
                c_strides.1 as isize,
                c_strides.0 as isize,
                job.beta != T::ZERO,
                job.a.data,
                job.a.col as isize,
                job.a.row as isize,
                b,
                job.b.col as isize,
                job.b.row as isize,
                job.beta,
                job.alpha,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
            if job.bias.is_null() && !job.relu {
                return;
            }
            for i in 0..job.m {
                for j in cols.clone() {
                    let v = &mut *job.c.add(i * c_strides.0 + j * c_strides.1);
                    if !job.bias.is_null() {
                        *v += *job.bias.add(j);
                    }
                    if job.relu && *v < T::ZERO {
                        *v = T::ZERO;
                    }
                }
            }
        }
    });
}

#[cfg(test)]
mod tests;
