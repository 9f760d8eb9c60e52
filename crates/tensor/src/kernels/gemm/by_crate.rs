//! Products by the crate `gemm`.

use super::{Job, SERIAL_FLOPS};
use crate::kernels::micro::Float;
use crate::kernels::par::{self, part};

/// One product or column block a task, then what follows it.
pub fn run<'a, T: Float>(batch: usize, job: &Job<'a, T>, at: impl Fn(usize) -> Job<'a, T> + Sync) {
    let parts = job.n.div_ceil(64).min((2 * job.m * job.n * job.k / SERIAL_FLOPS).max(1));
    par::for_each(batch * parts, |t| {
        let job = at(t / parts);
        let cols = part(job.n, parts, t % parts);
        // SAFETY: the columns are within the operands, and tasks write disjoint ones.
        unsafe {
            gemm::gemm(
                job.m,
                cols.len(),
                job.k,
                job.c.add(cols.start),
                1,
                job.n as isize,
                job.beta != T::ZERO,
                job.a.data,
                job.a.col as isize,
                job.a.row as isize,
                job.b.data.add(cols.start * job.b.col),
                job.b.col as isize,
                job.b.row as isize,
                job.beta,
                job.alpha,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
            for (i, j) in (0..job.m).flat_map(|i| cols.clone().map(move |j| (i, j))) {
                let v = &mut *job.c.add(i * job.n + j);
                if !job.bias.is_null() {
                    *v += *job.bias.add(j);
                }
            }
        }
        job.finish(0..job.m, cols);
    });
}
