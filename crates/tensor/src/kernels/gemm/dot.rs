//! Products with few rows or columns, both of whose operands have neighbours along the reduction: each element is a
//! scalar product of two runs of memory, and no operand is rearranged.

use super::{GROUP_FLOPS, Job, part};
use crate::kernels::micro::Float;
use crate::kernels::micro::Tiles;
use crate::kernels::micro::dot::{DOTS, Dot};
use crate::kernels::par;

/// Most rows, or columns, for which scalar products are cheaper than tiles.
const FEW: usize = 8;
/// Most results of one kernel: no instruction set has kernels of more rows.
const RESULTS: usize = 8 * DOTS;

/// Whether [`run`] computes the product.
pub(super) fn fits<T: Float>(tiles: &Tiles<T>, job: &Job<T>) -> bool {
    let along_a = job.a.col == 1 || job.k == 1;
    let along_b = job.b.row == 1 || job.k == 1;
    along_a && along_b && job.m.min(job.n) <= FEW && job.k >= tiles.lanes
}

/// `batch` products, `at(i)` being the `i`th.
pub(super) fn run<'a, T: Float>(
    tiles: &Tiles<T>,
    batch: usize,
    job: &Job<'a, T>,
    at: impl Fn(usize) -> Job<'a, T> + Sync,
) {
    let many = job.m.max(job.n);
    let flops = 2 * job.m * job.n * job.k;
    // Parts of one product, or products in one task.
    let parts = (flops / GROUP_FLOPS).clamp(1, 32).min(many.div_ceil(2 * DOTS));
    let group = (GROUP_FLOPS / flops.max(1)).clamp(1, batch);
    let task = |t: usize| {
        if parts > 1 {
            return some(tiles, &at(t / parts), part(many, parts, t % parts));
        }
        for i in t * group..batch.min((t + 1) * group) {
            some(tiles, &at(i), 0..many);
        }
    };
    let tasks = if parts > 1 { batch * parts } else { batch.div_ceil(group) };
    par::for_each(tasks, task);
}

/// The results of all of the few with some of the many.
fn some<T: Float>(tiles: &Tiles<T>, job: &Job<T>, of: std::ops::Range<usize>) {
    // The few are `a` of the kernel, the many `b`; steps are between rows of the kernel's operands.
    let tall = job.m > job.n;
    let (few, a, a_step, b, b_step) = match tall {
        true => (job.n, job.b.data, job.b.col, job.a.data, job.a.row),
        false => (job.m, job.a.data, job.a.row, job.b.data, job.b.col),
    };
    let blocks = few.div_ceil(tiles.max_dot_rows);
    let mut out = [T::ZERO; RESULTS];
    for first in of.clone().step_by(DOTS) {
        let cols = DOTS.min(of.end - first);
        for block in 0..blocks {
            let rows = part(few, blocks, block);
            // SAFETY: the rows are within the operands by `check`, `out` holds `DOTS` results for each row of any
            // kernel, and `tiles` is of this machine.
            unsafe {
                let (a, b) = (a.add(rows.start * a_step), b.add(first * b_step));
                let dot = Dot { k: job.k, a, a_step, b, b_step, out: out.as_mut_ptr() };
                (tiles.dot)(rows.len(), cols)(&dot);
            }
            for (i, sums) in rows.zip(out.chunks_exact(DOTS)) {
                for (j, &sum) in sums[..cols].iter().enumerate() {
                    let (row, col) = if tall { (first + j, i) } else { (i, first + j) };
                    // SAFETY: the element exists and is of this task alone; a bias has a term for each column.
                    unsafe { job.put(row, col, sum) };
                }
            }
        }
    }
    match tall {
        true => job.finish(of, 0..job.n),
        false => job.finish(0..job.m, of),
    }
}
