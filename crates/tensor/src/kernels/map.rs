//! Element by element: one operand, or two broadcast against each other.

use super::par::{self, GRAIN};
use super::simd;
use super::strided::{Nest, fill_rows};
use crate::shape::{Layout, Shape};

/// out[i] = f(x[i]).
pub(crate) fn unary<A: Copy + Sync, R: Copy + Send>(x: &[A], out: &mut [R], f: impl Fn(A) -> R + Copy + Sync) {
    par::for_each_chunk_mut(out, GRAIN, |c, piece| {
        let x = &x[c * GRAIN..c * GRAIN + piece.len()];
        simd::run(
            #[inline(always)]
            || {
                for (o, &v) in piece.iter_mut().zip(x) {
                    *o = f(v);
                }
            },
        )
    });
}

/// x[i] = f(x[i]), on the calling thread.
pub(crate) fn in_place<T: Copy>(x: &mut [T], f: impl Fn(T) -> T + Copy) {
    simd::run(
        #[inline(always)]
        || x.iter_mut().for_each(|v| *v = f(*v)),
    );
}

/// out[i] = f(out[i], x[i]), both contiguous.
pub(crate) fn update<A: Copy + Sync, R: Copy + Send>(out: &mut [R], x: &[A], f: impl Fn(R, A) -> R + Copy + Sync) {
    par::for_each_chunk_mut(out, GRAIN, |c, piece| {
        let x = &x[c * GRAIN..c * GRAIN + piece.len()];
        simd::run(
            #[inline(always)]
            || {
                for (o, &v) in piece.iter_mut().zip(x) {
                    *o = f(*o, v);
                }
            },
        )
    });
}

/// out[i] = a[i] where the mask is not 0, else b[i]; an operand of one element stands for as many as are asked for.
pub(crate) fn select<T: Copy + Send + Sync>(mask: &[u8], a: &[T], b: &[T], out: &mut [T]) {
    let one = |x: &[T]| x.len() == 1;
    par::for_each_chunk_mut(out, GRAIN, |c, piece| {
        let all = c * GRAIN..c * GRAIN + piece.len();
        let mask = &mask[all.clone()];
        let (part_a, part_b) = (if one(a) { a } else { &a[all.clone()] }, if one(b) { b } else { &b[all] });
        simd::run(
            #[inline(always)]
            || {
                let to = piece.iter_mut().zip(mask);
                match (one(a), one(b)) {
                    (true, true) => to.for_each(|(o, &m)| *o = if m != 0 { a[0] } else { b[0] }),
                    (true, false) => to.zip(part_b).for_each(|((o, &m), &b)| *o = if m != 0 { a[0] } else { b }),
                    (false, true) => to.zip(part_a).for_each(|((o, &m), &a)| *o = if m != 0 { a } else { b[0] }),
                    (false, false) => {
                        let both = to.zip(part_a.iter().zip(part_b));
                        both.for_each(|((o, &m), (&a, &b))| *o = if m != 0 { a } else { b });
                    }
                }
            },
        )
    });
}

/// out[i] = f(a[i], b[i]) over the broadcast shape; `out` is row-major.
pub(crate) fn binary<A: Copy + Sync, B: Copy + Sync, R: Copy + Send>(
    (a, la): (&[A], &Layout),
    (b, lb): (&[B], &Layout),
    shape: &Shape,
    out: &mut [R],
    f: impl Fn(A, B) -> R + Copy + Sync,
) {
    let (sa, sb) = (la.broadcast_strides(shape), lb.broadcast_strides(shape));
    let nest = Nest::new(shape, [&sa, &sb], [la.offset, lb.offset]);
    let step = nest.row_strides();
    fill_rows(&nest, out, |[ia, ib], piece| {
        let n = piece.len();
        simd::run(
            #[inline(always)]
            || match step {
                [1, 1] => {
                    let (a, b) = (&a[ia..ia + n], &b[ib..ib + n]);
                    for i in 0..n {
                        piece[i] = f(a[i], b[i]);
                    }
                }
                [1, 0] => {
                    let (a, b) = (&a[ia..ia + n], b[ib]);
                    for i in 0..n {
                        piece[i] = f(a[i], b);
                    }
                }
                [0, 1] => {
                    let (a, b) = (a[ia], &b[ib..ib + n]);
                    for i in 0..n {
                        piece[i] = f(a, b[i]);
                    }
                }
                [s, t] => {
                    for i in 0..n {
                        piece[i] = f(a[ia + i * s], b[ib + i * t]);
                    }
                }
            },
        )
    });
}
