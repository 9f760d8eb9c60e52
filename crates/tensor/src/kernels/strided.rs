//! Walking strided operands row by row, and copying them.

use super::par::{self, GRAIN};
use super::simd;
use crate::shape::{MAX_RANK, Shape};
use std::ops::Range;

/// Nested loops over N operands of one broadcast shape, with dimensions merged where all operands allow.
pub(crate) struct Nest<const N: usize> {
    extents: [usize; MAX_RANK],
    strides: [[usize; N]; MAX_RANK],
    dims: usize,
    offsets: [usize; N],
}

impl<const N: usize> Nest<N> {
    pub fn new(shape: &Shape, strides: [&Shape; N], offsets: [usize; N]) -> Nest<N> {
        let mut nest = Nest { extents: [1; MAX_RANK], strides: [[0; N]; MAX_RANK], dims: 0, offsets };
        for d in 0..shape.len() {
            if shape[d] == 1 {
                continue;
            }
            let step: [usize; N] = std::array::from_fn(|i| strides[i][d]);
            let merges = nest.dims > 0 && (0..N).all(|i| nest.strides[nest.dims - 1][i] == step[i] * shape[d]);
            if !merges {
                nest.dims += 1;
            }
            let last = nest.dims - 1;
            nest.extents[last] *= shape[d];
            nest.strides[last] = step;
        }
        nest.dims = nest.dims.max(1);
        nest
    }

    /// Extent and strides of each loop, outermost first.
    pub fn loops(&self) -> impl DoubleEndedIterator<Item = (usize, [usize; N])> {
        (0..self.dims).map(|d| (self.extents[d], self.strides[d]))
    }

    /// Length of the innermost loop.
    pub fn row_len(&self) -> usize {
        self.extents[self.dims - 1]
    }

    /// Strides of the innermost loop.
    pub fn row_strides(&self) -> [usize; N] {
        self.strides[self.dims - 1]
    }

    pub fn rows(&self) -> usize {
        self.extents[..self.dims - 1].iter().product()
    }

    /// Calls `f` with the operands' positions at the start of each row in `rows`.
    pub fn each_row(&self, rows: Range<usize>, mut f: impl FnMut([usize; N])) {
        let outer = self.dims - 1;
        let mut index = [0usize; MAX_RANK];
        let mut rest = rows.start;
        for d in (0..outer).rev() {
            index[d] = rest % self.extents[d];
            rest /= self.extents[d];
        }
        for _ in rows {
            let mut at = self.offsets;
            for d in 0..outer {
                for i in 0..N {
                    at[i] += index[d] * self.strides[d][i];
                }
            }
            f(at);
            for d in (0..outer).rev() {
                index[d] += 1;
                if index[d] < self.extents[d] {
                    break;
                }
                index[d] = 0;
            }
        }
    }
}

/// Splits the output of a nest among the threads: `f(positions, piece)` fills `piece`, a part of one row.
pub(crate) fn fill_rows<R: Send, const N: usize>(
    nest: &Nest<N>,
    out: &mut [R],
    f: impl Fn([usize; N], &mut [R]) + Sync,
) {
    let (len, rows) = (nest.row_len(), nest.rows());
    if out.is_empty() {
        return;
    }
    if rows == 1 {
        par::for_each_chunk_mut(out, GRAIN, |c, piece| {
            nest.each_row(0..1, |at| {
                let step = nest.row_strides();
                f(std::array::from_fn(|i| at[i] + c * GRAIN * step[i]), piece);
            });
        });
    } else {
        let per_chunk = GRAIN.div_ceil(len);
        par::for_each_chunk_mut(out, per_chunk * len, |c, piece| {
            let first = c * per_chunk;
            let mut pieces = piece.chunks_exact_mut(len);
            nest.each_row(first..first + pieces.len(), |at| {
                if let Some(piece) = pieces.next() {
                    f(at, piece);
                }
            });
        });
    }
}

/// Copies a strided view into row-major order.
pub(crate) fn copy<T: Copy + Send + Sync>(src: &[T], offset: usize, shape: &Shape, strides: &Shape, out: &mut [T]) {
    let nest = Nest::new(shape, [strides], [offset]);
    let [step] = nest.row_strides();
    if nest.dims >= 2 && step > 1 && nest.strides[nest.dims - 2][0] == 1 {
        return copy_transposed(&nest, src, out);
    }
    fill_rows(&nest, out, |[at], piece| match step {
        0 => piece.fill(src[at]),
        1 => piece.copy_from_slice(&src[at..at + piece.len()]),
        _ => piece.iter_mut().zip(src[at..].iter().step_by(step)).for_each(|(o, &v)| *o = v),
    });
}

/// The last two dimensions exchanged: square tiles keep both sides in cache.
fn copy_transposed<T: Copy + Send + Sync>(nest: &Nest<1>, src: &[T], out: &mut [T]) {
    const TILE: usize = 16;
    let d = nest.dims;
    let (rows, cols, step) = (nest.extents[d - 2], nest.extents[d - 1], nest.strides[d - 1][0]);
    let outer = Nest {
        dims: d - 1,
        extents: {
            let mut e = nest.extents;
            e[d - 2] = 1;
            e
        },
        strides: nest.strides,
        offsets: nest.offsets,
    };
    par::for_each_chunk_mut(out, rows * cols, |m, plane| {
        outer.each_row(m..m + 1, |[base]| {
            simd::run(
                #[inline(always)]
                || {
                    for r0 in (0..rows).step_by(TILE) {
                        for c0 in (0..cols).step_by(TILE) {
                            for r in r0..(r0 + TILE).min(rows) {
                                for c in c0..(c0 + TILE).min(cols) {
                                    plane[r * cols + c] = src[base + r + c * step];
                                }
                            }
                        }
                    }
                },
            )
        });
    });
}

/// Writes `src` (row-major) into a strided view of `dst`.
pub(crate) fn scatter<T: Copy>(src: &[T], dst: &mut [T], offset: usize, shape: &Shape, strides: &Shape) {
    let nest = Nest::new(shape, [strides], [offset]);
    let (len, [step]) = (nest.row_len(), nest.row_strides());
    if src.is_empty() {
        return;
    }
    let mut rows = src.chunks_exact(len);
    nest.each_row(0..nest.rows(), |[at]| {
        let row = rows.next().expect("one chunk a row");
        if step == 1 {
            dst[at..at + len].copy_from_slice(row);
        } else {
            row.iter().enumerate().for_each(|(i, &v)| dst[at + i * step] = v);
        }
    });
}
