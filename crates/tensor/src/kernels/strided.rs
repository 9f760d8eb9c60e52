//! Walking strided operands row by row, and copying them.

use super::micro::{Block, Float};
use super::par::{self, GRAIN, SharedMut};
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
    // Some rows of tiles are a task, or some whole planes if these are small.
    let (bands, planes) = (rows.div_ceil(TILE), outer.rows());
    let some = GRAIN.div_ceil(TILE * cols).min(bands);
    let tasks = bands.div_ceil(some);
    let together = if tasks == 1 { GRAIN.div_ceil(rows * cols) } else { 1 };
    let shared = SharedMut::new(out);
    let tiles = f32::tiles();
    par::for_each(planes.div_ceil(together) * tasks, |job| {
        let first = job / tasks * together;
        let mut m = first;
        outer.each_row(first..(first + together).min(planes), |[base]| {
            let r0 = job % tasks * some * TILE;
            let r1 = (r0 + some * TILE).min(rows);
            // SAFETY: each job has rows or planes of its own, and `out` outlives the call.
            let part = unsafe { shared.slice((m * rows + r0) * cols, (r1 - r0) * cols) };
            m += 1;
            let src = &src[base..];
            assert!(r1 - 1 + (cols - 1) * step < src.len(), "copy: a view beyond its storage");
            for r in (r0..r1).step_by(TILE) {
                for c in (0..cols).step_by(TILE) {
                    let (high, wide) = (TILE.min(r1 - r), TILE.min(cols - c));
                    let (from, to) = (r + c * step, (r - r0) * cols + c);
                    if size_of::<T>() == size_of::<f32>() && high == TILE && wide == TILE {
                        let (src, dst) = (src[from..].as_ptr().cast(), part[to..].as_mut_ptr().cast());
                        // SAFETY: the tile lies in both slices, and elements of four bytes are moved unchanged.
                        unsafe {
                            (tiles.transpose)(&Block {
                                src,
                                src_step: step,
                                dst,
                                dst_step: cols,
                                rows: high,
                                cols: wide,
                            })
                        };
                        continue;
                    }
                    for i in 0..high {
                        let line = &mut part[to + i * cols..][..wide];
                        line.iter_mut().zip(src[from + i..].iter().step_by(step)).for_each(|(o, &v)| *o = v);
                    }
                }
            }
        });
    });
}

/// Writes `src` (row-major) into a strided view of `dst`.
pub(crate) fn scatter<T: Copy + Send + Sync>(src: &[T], dst: &mut [T], offset: usize, shape: &Shape, strides: &Shape) {
    let nest = Nest::new(shape, [strides], [offset]);
    let (len, rows, [step]) = (nest.row_len(), nest.rows(), nest.row_strides());
    if src.is_empty() {
        return;
    }
    // Rows in order, each beyond the one before it, may be written by several threads.
    let ordered = (1..nest.dims).all(|d| nest.strides[d - 1][0] >= nest.extents[d] * nest.strides[d][0]) && step > 0;
    let some = if ordered { GRAIN.div_ceil(len) } else { rows };
    let last: usize = nest.loops().map(|(n, [step])| (n - 1) * step).sum();
    assert!(offset + last < dst.len(), "scatter: a view beyond its storage");
    let shared = SharedMut::new(dst);
    par::for_each(rows.div_ceil(some), |job| {
        let first = job * some;
        let mut lines = src[first * len..].chunks_exact(len);
        nest.each_row(first..(first + some).min(rows), |[at]| {
            let Some(line) = lines.next() else { return };
            // SAFETY: rows do not overlap where there is more than one job, and `dst` outlives the call.
            let to = unsafe { shared.slice(at, (len - 1) * step + 1) };
            match step {
                1 => to.copy_from_slice(line),
                0 => to[0] = line[len - 1],
                _ => to.iter_mut().step_by(step).zip(line).for_each(|(o, &v)| *o = v),
            }
        });
    });
}
