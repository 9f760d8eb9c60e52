//! Scalar products of a few rows with many: both operands have their neighbours along the reduction, so the
//! vectors run along it and nothing is rearranged.

use super::{Float, Vector};

/// Scalar products at once with one row of `a`: the second operand's rows.
pub const DOTS: usize = 4;

/// Arguments of a kernel: `out[i * DOTS + j]` becomes the scalar product of row `i` of `a` and row `j` of `b`.
#[derive(Clone, Copy)]
pub struct Dot<T> {
    /// Elements of each row.
    pub k: usize,
    /// First row of `a`.
    pub a: *const T,
    /// Elements from one row of `a` to the next.
    pub a_step: usize,
    /// First row of `b`.
    pub b: *const T,
    /// Elements from one row of `b` to the next.
    pub b_step: usize,
    /// `DOTS` results for each row of `a`.
    pub out: *mut T,
}

/// A kernel of scalar products.
///
/// # Safety
/// All rows of the kernel's shape must be readable and all results writable, and the instruction set must be the
/// machine's.
pub type DotKernel<T> = unsafe fn(&Dot<T>);

/// The body of every such kernel: `MR` rows of `a`, `NR` of `b`.
#[inline(always)]
pub(super) unsafe fn body<V: Vector, const MR: usize, const NR: usize>(t: &Dot<V::T>) {
    // SAFETY: the caller vouches for every address; see `DotKernel`.
    unsafe {
        let mut acc = [[V::splat(V::T::ZERO); DOTS]; MR];
        let full = t.k / V::LANES * V::LANES;
        let mut p = 0;
        while p < full {
            let mut b = [V::splat(V::T::ZERO); NR];
            for (j, b) in b.iter_mut().enumerate() {
                *b = V::load(t.b.add(j * t.b_step + p));
            }
            for (i, acc) in acc.iter_mut().enumerate() {
                let a = V::load(t.a.add(i * t.a_step + p));
                for j in 0..NR {
                    acc[j] = a.fma(b[j], acc[j]);
                }
            }
            p += V::LANES;
        }
        let rest = t.k - full;
        if rest > 0 {
            let mut b = [V::splat(V::T::ZERO); NR];
            for (j, b) in b.iter_mut().enumerate() {
                *b = V::load_first(t.b.add(j * t.b_step + full), rest);
            }
            for (i, acc) in acc.iter_mut().enumerate() {
                let a = V::load_first(t.a.add(i * t.a_step + full), rest);
                for j in 0..NR {
                    acc[j] = a.fma(b[j], acc[j]);
                }
            }
        }
        for (i, acc) in acc.into_iter().enumerate() {
            let sums = V::sums(acc);
            for (j, v) in sums.into_iter().enumerate().take(NR) {
                *t.out.add(i * DOTS + j) = v;
            }
        }
    }
}

/// The kernel of (rows of `a`, rows of `b`), from a function with both as its parameters.
macro_rules! pick_dot {
    ($f:ident, $mr:expr, $nr:expr, [$($mrs:literal)*]) => {
        match ($mr, $nr) {
            $(($mrs, 1) => $f::<$mrs, 1>,
            ($mrs, 2) => $f::<$mrs, 2>,
            ($mrs, 3) => $f::<$mrs, 3>,
            ($mrs, 4) => $f::<$mrs, 4>,)*
            (mr, nr) => panic!("no kernel of scalar products of {mr} rows and {nr}"),
        }
    };
}
pub(super) use pick_dot;
