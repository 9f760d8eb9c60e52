//! Matrix products of operands with any strides: `c = alpha * a * b + beta * c`, then a bias and a ReLU.
//!
//! On x86-64 the product runs on our own register tiles (see [`micro`](super::micro)); on other
//! architectures, for whose registers there are no tiles yet, on the crate `gemm`. Work is cut into tasks by the shape
//! alone and the reduction is blocked by constants, so the result does not depend on the number of
//! threads.

use super::finish::{Finish, Then};
use super::micro::Float;
use super::par::part;
use std::ops::Range;

#[cfg(not(target_arch = "x86_64"))]
mod by_crate;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod dot;
mod pack;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod tiled;

/// Floating-point operations below which a product stays on the calling thread.
const SERIAL_FLOPS: usize = 400_000;
/// Floating-point operations of the small products of a batch that go together in a task.
const GROUP_FLOPS: usize = 200_000;

/// What is done to each element after the product, in this order.
#[derive(Clone, Copy)]
pub struct Epilogue<'a, T> {
    /// The operand `b` as [`rearrange`] leaves it, if there is but one product.
    pub b_ready: Option<&'a [T]>,
    /// One term a column, added to every row.
    pub bias: Option<&'a [T]>,
    /// One term an element, at the places of the outputs.
    pub residual: Option<&'a [T]>,
    /// A map of each element, applied to runs of the output while they are near.
    pub then: Option<&'a Then<T>>,
}

impl<T> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Epilogue { b_ready: None, bias: None, residual: None, then: None }
    }
}

/// One matrix operand: its strides in elements.
#[derive(Clone, Copy)]
struct Mat<T> {
    data: *const T,
    row: usize,
    col: usize,
}

/// A product as the tasks see it.
#[derive(Clone, Copy)]
struct Job<'a, T> {
    m: usize,
    n: usize,
    k: usize,
    alpha: T,
    beta: T,
    a: Mat<T>,
    b: Mat<T>,
    b_ready: Option<&'a [T]>,
    c: *mut T,
    bias: *const T,
    /// What follows, its residual seen from the output of this product.
    finish: Finish<'a, T>,
}

// SAFETY: the pointers are to slices that outlive the job, and tasks write disjoint tiles of `c`.
unsafe impl<T: Send + Sync> Sync for Job<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Send for Job<'_, T> {}

impl<T: Float> Job<'_, T> {
    /// Stores one product of the two operands as an element of `c`.
    ///
    /// # Safety
    /// The element exists and nobody else uses it.
    unsafe fn put(&self, row: usize, col: usize, product: T) {
        // SAFETY: the caller vouches for the element; a bias has a term for each column.
        unsafe {
            let c = self.c.add(row * self.n + col);
            let mut v = self.alpha * product;
            if self.beta != T::ZERO {
                v += self.beta * *c;
            }
            if !self.bias.is_null() {
                v += *self.bias.add(col);
            }
            *c = v;
        }
    }

    /// Does what follows the product to a block of `c`, which is complete and of the calling task alone.
    fn finish(&self, rows: Range<usize>, cols: Range<usize>) {
        if self.finish.is_bias() {
            return;
        }
        for row in rows {
            let at = row * self.n + cols.start;
            // SAFETY: the elements exist, and no other task uses them.
            let run = unsafe { std::slice::from_raw_parts_mut(self.c.add(at), cols.len()) };
            self.finish.row(cols.start, at, run);
        }
    }
}

/// How [`rearrange`] lays out an operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    depths: usize,
    panels: usize,
    /// Elements of the result.
    pub len: usize,
}

/// The order in which a product of these sizes with contiguous columns reads its operand `b`, if it rearranges it.
pub fn order<T: Float>(m: usize, n: usize, k: usize, b_strides: (usize, usize)) -> Option<Order> {
    if cfg!(not(target_arch = "x86_64")) {
        return None;
    }
    tiled::order(&T::tiles(), &prospect(m, n, k, std::ptr::null(), b_strides))
}

/// Rearranges operand `b` of a product of these sizes, of which [`order`] gave the order, into `out`.
///
/// # Panics
/// If there is no such order, or a slice is too short.
pub fn rearrange<T: Float>(m: usize, n: usize, k: usize, b: &[T], b_strides: (usize, usize), out: &mut [T]) {
    let order = order::<T>(m, n, k, b_strides).expect("a product that rearranges its operand");
    assert!(b.len() > (k - 1) * b_strides.0 + (n - 1) * b_strides.1 && out.len() >= order.len);
    tiled::rearrange(&T::tiles(), &prospect(m, n, k, b.as_ptr(), b_strides), out);
}

/// A product of which only the sizes and one operand are known.
fn prospect<'a, T: Float>(m: usize, n: usize, k: usize, data: *const T, (row, col): (usize, usize)) -> Job<'a, T> {
    Job {
        m,
        n,
        k,
        alpha: T::ONE,
        beta: T::ZERO,
        a: Mat { data: std::ptr::null(), row: k, col: 1 },
        b: Mat { data, row, col },
        b_ready: None,
        c: std::ptr::null_mut(),
        bias: std::ptr::null(),
        finish: Finish::NOTHING,
    }
}

/// `batch` products `c = alpha * a * b + beta * c`, then `epilogue`; `offsets(i)` gives where the operands
/// of product `i` begin in `a`, `b` and `c`.
///
/// `a` is `m` x `k`, `b` is `k` x `n`, with strides (row, column) in elements; `c` is `m` x `n`, row by
/// row. `c` is not read if `beta` is zero. With `k == 0` the product is zero.
///
/// # Panics
/// If a slice is shorter than its shape and strides say, or if a bias does not have `n` elements. The
/// outputs must not overlap (checked in order: they must be `offsets` apart by at least `m * n`).
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
    epilogue: Epilogue<'_, T>,
    offsets: impl Fn(usize) -> (usize, usize, usize) + Sync,
) {
    if batch == 0 || m == 0 || n == 0 {
        return;
    }
    check(batch, (m, n, k), (a.len(), a_strides), (b.len(), b_strides), c.len(), &offsets);
    if let Some(bias) = epilogue.bias {
        assert!(bias.len() == n, "gemm: a bias of {} for {n} columns", bias.len());
    }
    if let Some(residual) = epilogue.residual {
        assert!(residual.len() == c.len(), "gemm: a residual of {} for {} elements", residual.len(), c.len());
    }
    assert!(epilogue.b_ready.is_none() || batch == 1, "gemm: an operand made ready for another product");
    let job = Job {
        m,
        n,
        k,
        alpha,
        beta,
        a: Mat { data: a.as_ptr(), row: a_strides.0, col: a_strides.1 },
        b: Mat { data: b.as_ptr(), row: b_strides.0, col: b_strides.1 },
        b_ready: epilogue.b_ready,
        c: c.as_mut_ptr(),
        bias: epilogue.bias.map_or(std::ptr::null(), |b| b.as_ptr()),
        finish: Finish { residual: epilogue.residual, then: epilogue.then, ..Finish::NOTHING },
    };
    let at = |i: usize| {
        let (x, y, z) = offsets(i);
        let mut job = job;
        // SAFETY: `check` found all three offsets within their slices.
        unsafe {
            job.a.data = job.a.data.add(x);
            job.b.data = job.b.data.add(y);
            job.c = job.c.add(z);
        }
        job.finish.residual = job.finish.residual.map(|r| &r[z..]);
        job
    };
    #[cfg(not(target_arch = "x86_64"))]
    return by_crate::run(batch, &job, at);
    #[cfg(target_arch = "x86_64")]
    {
        let tiles = T::tiles();
        if dot::fits(&tiles, &job) {
            return dot::run(&tiles, batch, &job, at);
        }
        tiled::run(&tiles, batch, &job, at);
    }
}

/// Panics unless every access of every product is in bounds and no two outputs overlap.
fn check(
    batch: usize,
    (m, n, k): (usize, usize, usize),
    a: (usize, (usize, usize)),
    b: (usize, (usize, usize)),
    c: usize,
    offsets: &impl Fn(usize) -> (usize, usize, usize),
) {
    let extent = |rows: usize, cols: usize, (row, col): (usize, usize)| {
        if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row + (cols - 1) * col + 1 }
    };
    let (ea, eb) = (extent(m, k, a.1), extent(k, n, b.1));
    let mut end = 0;
    for i in 0..batch {
        let (x, y, z) = offsets(i);
        assert!(
            x + ea <= a.0 && y + eb <= b.0 && z + m * n <= c,
            "gemm: product {i} of {m} x {k} by {k} x {n} leaves its slices ({}, {}, {} elements)",
            a.0,
            b.0,
            c
        );
        assert!(i == 0 || z >= end, "gemm: output {i} overlaps the one before");
        end = z + m * n;
    }
}

#[cfg(test)]
mod tests;
