//! Operands rearranged as the tiles read them.

use super::{Mat, part};
use crate::kernels::micro::{Block, Float, Rows, Tiles};

/// Copies `mr` rows of `a`, `k` deep, so that the rows of a step are side by side.
pub(super) fn rows<T: Float>(tiles: &Tiles<T>, a: &Mat<T>, mr: usize, k: usize, out: &mut [T]) {
    let out = &mut out[..mr * k];
    if a.row == 1 {
        let dst = out.as_mut_ptr();
        let rows = Rows { src: a.data, src_step: a.col, dst, dst_step: mr, rows: k, cols: mr, pad: false };
        // SAFETY: `mr` neighbours at each of the `k` steps exist, and `out` holds as many.
        unsafe { (tiles.copy)(&rows) };
        return;
    }
    let lanes = tiles.lanes;
    if a.col == 1 && k >= lanes {
        for i in (0..mr).step_by(lanes) {
            for p in (0..k).step_by(lanes) {
                // The last block along `k` overlaps the one before.
                let p = p.min(k - lanes);
                // SAFETY: the source has these rows of `lanes` elements from `p`, the result as many columns; `tiles`
                // is of this machine.
                unsafe {
                    let (src, dst) = (a.data.add(i * a.row + p), out.as_mut_ptr().add(p * mr + i));
                    let cols = lanes.min(mr - i);
                    (tiles.transpose)(&Block { src, src_step: a.row, dst, dst_step: mr, rows: lanes, cols });
                }
            }
        }
        return;
    }
    for (p, line) in out.chunks_exact_mut(mr).enumerate() {
        for (i, v) in line.iter_mut().enumerate() {
            // SAFETY: `i` and `p` are within the operand.
            *v = unsafe { *a.data.add(i * a.row + p * a.col) };
        }
    }
}

/// Row blocks `0..blocks` of `rows` rows, one after the other, each as [`rows`] leaves it.
pub(super) fn row_blocks<T: Float>(
    tiles: &Tiles<T>,
    a: &Mat<T>,
    (len, blocks): (usize, usize),
    k: usize,
    out: &mut [T],
) {
    for block in 0..blocks {
        let some = part(len, blocks, block);
        // SAFETY: the rows exist.
        let data = unsafe { a.data.add(some.start * a.row) };
        rows(tiles, &Mat { data, ..*a }, some.len(), k, &mut out[some.start * k..]);
    }
}

/// Copies `cols` columns of `b` (`k` rows) to rows of `width` elements. What fills the rest is finite where `b` is,
/// and no result.
pub(super) fn panel<T: Float>(tiles: &Tiles<T>, b: &Mat<T>, k: usize, cols: usize, width: usize, out: &mut [T]) {
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
    if b.row != 1 || k < lanes {
        for (p, line) in out.chunks_exact_mut(width).enumerate() {
            for (j, v) in line.iter_mut().enumerate() {
                // SAFETY: column `j` exists below `cols`.
                *v = if j < cols { unsafe { *b.data.add(p * b.row + j * b.col) } } else { T::ZERO };
            }
        }
        return;
    }
    if !cols.is_multiple_of(lanes) {
        out.chunks_exact_mut(width).for_each(|line| line[cols..].fill(T::ZERO));
    }
    for j in (0..cols).step_by(lanes) {
        for p in (0..k).step_by(lanes) {
            // The last block along `k` overlaps the one before.
            let p = p.min(k - lanes);
            // SAFETY: the source has these columns of `lanes` elements from `p`, the result as many rows; `tiles` is
            // of this machine.
            unsafe {
                let src = b.data.add(j * b.col + p);
                let dst = out.as_mut_ptr().add(p * width + j);
                let cols = lanes.min(cols - j);
                (tiles.transpose)(&Block { src, src_step: b.col, dst, dst_step: width, rows: lanes, cols });
            }
        }
    }
}
