//! Convolutions that are products of matrices as they lie in memory: kernels of one element, where each
//! image is weight times planes, and kernels as large as the input, where each image is one row.

use super::ConvShape;
use super::stage::{Axis, Stage};
use crate::kernels::finish::{self, Along, Finish};
use crate::kernels::gemm::{Epilogue, gemm_batched};
use crate::kernels::micro::Float;
use crate::kernels::par;
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd;

/// Floating-point operations that make a task of their own.
const TASK_FLOPS: usize = 3_000_000;
/// Images from which each is a task; fewer are products of many tasks.
const IMAGES: usize = 4;
/// Positions from which the columns of a product fill registers well.
const POSITIONS: usize = 96;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One output position that sees all of the input.
    Whole,
    /// A kernel of one element.
    Point,
}

/// A convolution that is a product of matrices.
pub(super) struct Product<'a> {
    shape: &'a ConvShape,
    kind: Kind,
}

impl<'a> Product<'a> {
    /// The product that a convolution is, if it is one that gains by it.
    pub fn of(shape: &'a ConvShape) -> Option<Product<'a>> {
        let s = shape;
        if s.padding != [0; 3] || s.lens().contains(&0) {
            return None;
        }
        if s.groups == 1 && s.output == [1; 3] && s.kernel == s.input && s.dilation == [1; 3] {
            return Some(Product { shape, kind: Kind::Whole });
        }
        let wide = s.out_plane() >= POSITIONS;
        (s.kernel == [1; 3] && wide).then_some(Product { shape, kind: Kind::Point })
    }

    /// Whether each image is one row.
    pub fn is_whole(&self) -> bool {
        self.kind == Kind::Whole
    }

    pub fn forward<T: Float>(&self, x: &[T], w: &[T], finish: &Finish<'_, T>, out: &mut [T]) {
        let s = self.shape;
        if self.is_whole() {
            let (k, m) = (s.c_in * s.in_plane(), s.c_out);
            let Finish { shift: bias, residual, then, .. } = *finish;
            let epilogue = match finish.scale {
                None => Epilogue { bias, residual, then, ..Epilogue::default() },
                Some(_) => Epilogue::default(),
            };
            gemm_batched(1, s.n, m, k, T::ONE, x, (k, 1), w, (1, k), T::ZERO, out, epilogue, |_| (0, 0, 0));
            if finish.scale.is_some() {
                finish::in_place(Along { channels: m, size: 1 }, finish, out);
            }
            return;
        }
        let (m, k, plane) = (s.group_out(), s.group_in(), s.out_plane());
        let stage = (s.input != s.output).then(|| {
            let axes = [0, 1, 2].map(|i| Axis::forward(s, i).0);
            Stage { channels: s.c_in, axes }
        });
        self.images(s.c_out * plane, finish, s.c_out, plane, out, |i, out| {
            let x = &x[i * s.c_in * s.in_plane()..][..s.c_in * s.in_plane()];
            let product = |x: &[T], out: &mut [T]| {
                let at = |g: usize| (g * m * k, g * k * plane, g * m * plane);
                let epilogue = Epilogue::default();
                let (one, none) = (T::ONE, T::ZERO);
                gemm_batched(s.groups, m, plane, k, one, w, (k, 1), x, (plane, 1), none, out, epilogue, at);
            };
            let Some(stage) = &stage else { return product(x, out) };
            with_scratch(stage.image(), |seen: &mut [T]| {
                par::for_each_chunk_mut(seen, plane, |c, to| stage.fill(&x[c * s.in_plane()..][..s.in_plane()], to));
                product(seen, out);
            });
        });
    }

    pub fn backward_input<T: Float>(&self, gy: &[T], w: &[T], finish: &Finish<'_, T>, gx: &mut [T]) {
        let s = self.shape;
        if self.is_whole() {
            let (k, m, plane) = (s.c_in * s.in_plane(), s.c_out, s.in_plane());
            let epilogue = Epilogue::default();
            gemm_batched(1, s.n, k, m, T::ONE, gy, (m, 1), w, (k, 1), T::ZERO, gx, epilogue, |_| (0, 0, 0));
            return finish::in_place(Along { channels: s.c_in, size: plane }, finish, gx);
        }
        let (m, k, plane) = (s.group_in(), s.group_out(), s.out_plane());
        self.images(s.c_in * s.in_plane(), finish, s.c_in, s.in_plane(), gx, |i, gx| {
            let gy = &gy[i * s.c_out * plane..][..s.c_out * plane];
            let product = |gx: &mut [T]| {
                let at = |g: usize| (g * m * k, g * k * plane, g * m * plane);
                let epilogue = Epilogue::default();
                let (one, none) = (T::ONE, T::ZERO);
                gemm_batched(s.groups, m, plane, k, one, w, (1, m), gy, (plane, 1), none, gx, epilogue, at);
            };
            if s.input == s.output {
                return product(gx);
            }
            with_scratch(s.c_in * plane, |seen: &mut [T]| {
                product(seen);
                par::for_each_chunk_mut(gx, s.in_plane(), |c, to| spread(s, &seen[c * plane..][..plane], to));
            });
        });
    }

    /// Calls `f` for each image of the result, of `len` elements, and finishes its planes.
    fn images<T: Float>(
        &self,
        len: usize,
        finish: &Finish<'_, T>,
        channels: usize,
        plane: usize,
        out: &mut [T],
        f: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let s = self.shape;
        if s.n < IMAGES {
            for (i, out) in out.chunks_exact_mut(len).enumerate() {
                f(i, out);
            }
            return finish::in_place(Along { channels, size: plane }, finish, out);
        }
        let flops = 2 * s.c_out * s.group_in() * s.out_plane();
        let some = (TASK_FLOPS / flops.max(1)).clamp(1, s.n / IMAGES);
        par::for_each_chunk_mut(out, some * len, |task, out| {
            for (j, out) in out.chunks_exact_mut(len).enumerate() {
                let i = task * some + j;
                f(i, out);
                if !finish.is_nothing() {
                    for (c, run) in out.chunks_exact_mut(plane).enumerate() {
                        finish.plane(c, i * len + c * plane, run);
                    }
                }
            }
        });
    }

    /// The gradient of the weight where each image is one row.
    pub fn backward_weight<T: Float>(&self, x: &[T], gy: &[T], gw: &mut [T]) {
        let s = self.shape;
        let (k, m) = (s.c_in * s.in_plane(), s.c_out);
        let epilogue = Epilogue::default();
        gemm_batched(1, m, k, s.n, T::ONE, gy, (1, m), x, (k, 1), T::ZERO, gw, epilogue, |_| (0, 0, 0));
    }
}

/// Writes each position of a plane to the input position that it sees, and zeros to the others.
fn spread<T: Float>(s: &ConvShape, from: &[T], to: &mut [T]) {
    let ([_, iy, ix], [oz, oy, ox]) = (s.input, s.output);
    to.fill(T::ZERO);
    simd::run(
        #[inline(always)]
        || {
            for z in 0..oz {
                for y in 0..oy {
                    let from = &from[(z * oy + y) * ox..][..ox];
                    let to = &mut to[(z * s.stride[0] * iy + y * s.stride[1]) * ix..][..ix];
                    match s.stride[2] {
                        2 => to.iter_mut().step_by(2).zip(from).for_each(|(v, &x)| *v = x),
                        step => to.iter_mut().step_by(step).zip(from).for_each(|(v, &x)| *v = x),
                    }
                }
            }
        },
    );
}
