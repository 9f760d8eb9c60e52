//! Convolutions whose groups have one input channel: no sum over channels, so each plane is
//! computed directly, vectorised along its rows.

use super::ConvShape;
use super::stage::{Axis, Lane, Stage};
use crate::kernels::micro::Float;
use crate::kernels::par::{self, SharedMut};
use crate::kernels::scratch::with_scratch;
use crate::kernels::simd;

/// Elements of a row that are computed together.
const WIDE: usize = 32;
/// Multiplications that make a task of their own.
const TASK: usize = 100_000;

/// The planes of one group: `from` source planes that each of `to` result planes sums over.
struct Group {
    groups: usize,
    from: usize,
    to: usize,
    /// Elements of the weight from one result plane to the next, and from one source plane.
    weight_step: (usize, usize),
    stage: Stage,
    lanes: [Vec<Lane>; 3],
    kernel: [usize; 3],
    out: [usize; 3],
}

pub(super) fn forward<T: Float>(s: &ConvShape, x: &[T], w: &[T], bias: Option<&[T]>, out: &mut [T]) {
    let [z, y, x_axis] = [0, 1, 2].map(|i| Axis::forward(s, i));
    let group = Group {
        groups: s.groups,
        from: 1,
        to: s.group_out(),
        weight_step: (s.taps(), 0),
        stage: Stage { channels: 1, axes: [z.0, y.0, x_axis.0] },
        lanes: [vec![z.1], vec![y.1], vec![x_axis.1]],
        kernel: s.kernel,
        out: s.output,
    };
    group.run(x, w, bias, out);
}

pub(super) fn backward_input<T: Float>(s: &ConvShape, gy: &[T], w: &[T], gx: &mut [T]) {
    let [z, y, x] = [0, 1, 2].map(|i| Axis::backward(s, i));
    let group = Group {
        groups: s.groups,
        from: s.group_out(),
        to: 1,
        weight_step: (0, s.taps()),
        stage: Stage { channels: 1, axes: [z.0, y.0, x.0] },
        lanes: [z.1, y.1, x.1],
        kernel: s.kernel,
        out: s.input,
    };
    group.run(gy, w, None, gx);
}

/// One combination of lanes, and the stage offset and weight of each tap.
type Pass<'a> = ([&'a Lane; 3], Vec<(usize, usize)>);

impl Group {
    /// For each combination of lanes: the lanes, and the stage offset and weight of each tap.
    fn passes(&self) -> Vec<Pass<'_>> {
        let mut passes = Vec::new();
        let [_, ky, kx] = self.kernel;
        for z in &self.lanes[0] {
            for y in &self.lanes[1] {
                for x in &self.lanes[2] {
                    let mut taps = Vec::new();
                    for source in 0..self.from {
                        for &tz in &z.taps {
                            for &ty in &y.taps {
                                for &tx in &x.taps {
                                    let at = source * self.stage.plane() + self.stage.tap([tz, ty, tx]);
                                    let index = (tz.index * ky + ty.index) * kx + tx.index;
                                    taps.push((at, source * self.weight_step.1 + index));
                                }
                            }
                        }
                    }
                    passes.push(([z, y, x], taps));
                }
            }
        }
        passes
    }

    fn run<T: Float>(&self, source: &[T], w: &[T], bias: Option<&[T]>, out: &mut [T]) {
        let out_plane: usize = self.out.iter().product();
        if out.is_empty() {
            return;
        }
        let (plane, source_plane) = (self.stage.plane(), self.stage.source_plane());
        let passes = self.passes();
        let taps: usize = self.kernel.iter().product();
        let work = self.from * self.to * out_plane * taps;
        let some = (TASK / work.max(1)).max(1);
        par::for_each_chunk_mut(out, some * self.to * out_plane, |task, out| {
            // Rows are computed in whole pieces, which read past the end.
            with_scratch(self.from * plane + WIDE, |stage: &mut [T]| {
                stage[self.from * plane..].fill(T::ZERO);
                for (i, out) in out.chunks_exact_mut(self.to * out_plane).enumerate() {
                    let at = task * some + i;
                    for (j, stage) in stage.chunks_exact_mut(plane.max(1)).take(self.from).enumerate() {
                        self.stage.fill(&source[(at * self.from + j) * source_plane..][..source_plane], stage);
                    }
                    let group = at % self.groups;
                    for (r, out) in out.chunks_exact_mut(out_plane).enumerate() {
                        let w = &w[group * self.from * self.to * taps + r * self.weight_step.0..];
                        let term = bias.map_or(T::ZERO, |b| b[group * self.to + r]);
                        for (lanes, taps) in &passes {
                            self.plane(lanes, taps, stage, w, term, out);
                        }
                    }
                }
            });
        });
    }

    fn plane<T: Float>(
        &self,
        lanes: &[&Lane; 3],
        taps: &[(usize, usize)],
        stage: &[T],
        w: &[T],
        term: T,
        out: &mut [T],
    ) {
        let strides = self.stage.strides();
        let [_, oy, ox] = self.out;
        simd::run(
            #[inline(always)]
            || {
                for z in 0..lanes[0].count {
                    for y in 0..lanes[1].count {
                        let base = z * strides[0] + y * strides[1];
                        let row = (lanes[0].start + z * lanes[0].step) * oy + lanes[1].start + y * lanes[1].step;
                        let line = &mut out[row * ox..][..ox];
                        for x in (0..lanes[2].count).step_by(WIDE) {
                            let n = WIDE.min(lanes[2].count - x);
                            let values = piece(&stage[base + x..], taps, w, term, n);
                            let first = lanes[2].start + x * lanes[2].step;
                            if lanes[2].step == 1 && n == WIDE {
                                line[first..first + WIDE].copy_from_slice(&values);
                            } else {
                                let to = line[first..].iter_mut().step_by(lanes[2].step);
                                to.zip(&values[..n]).for_each(|(v, &x)| *v = x);
                            }
                        }
                    }
                }
            },
        );
    }
}

/// Outputs of one row, of which the first `n` matter.
#[inline(always)]
fn piece<T: Float>(stage: &[T], taps: &[(usize, usize)], w: &[T], term: T, n: usize) -> [T; WIDE] {
    const HALF: usize = WIDE / 2;
    let mut values = [term; WIDE];
    if n > HALF {
        for &(at, index) in taps {
            let (s, w) = (&stage[at..at + WIDE], w[index]);
            for l in 0..WIDE {
                values[l] += w * s[l];
            }
        }
    } else {
        let mut half = [term; HALF];
        for &(at, index) in taps {
            let (s, w) = (&stage[at..at + HALF], w[index]);
            for l in 0..HALF {
                half[l] += w * s[l];
            }
        }
        values[..HALF].copy_from_slice(&half);
    }
    values
}

pub(super) fn backward_weight<T: Float>(s: &ConvShape, x: &[T], gy: &[T], gw: &mut [T]) {
    let [az, ay, ax] = [0, 1, 2].map(|i| Axis::forward(s, i));
    let stage = Stage { channels: 1, axes: [az.0, ay.0, ax.0] };
    let offsets = super::gather::tap_offsets(&stage, [&az.1, &ay.1, &ax.1]);
    let (to, taps) = (s.group_out(), s.taps());
    // Few channels: the images are divided as well, and summed in their order.
    let splits = 16usize.div_ceil(s.groups).min(s.n);
    let len = to * taps;
    with_scratch(splits * s.groups * len, |sums: &mut [T]| {
        let shared = SharedMut::new(sums);
        par::for_each(splits * s.groups, |task| {
            let (split, group) = (task / s.groups, task % s.groups);
            // SAFETY: tasks have disjoint ranges of the buffer, which outlives the call.
            let sums = unsafe { shared.slice(task * len, len) };
            sums.fill(T::ZERO);
            for n in split * s.n / splits..(split + 1) * s.n / splits {
                add_image(s, &stage, &offsets, x, gy, n * s.groups + group, sums);
            }
        });
        let (first, others) = sums.split_at(s.groups * len);
        gw.copy_from_slice(first);
        for other in others.chunks_exact(s.groups * len) {
            gw.iter_mut().zip(other).for_each(|(a, &b)| *a += b);
        }
    });
}

/// Adds the products of one channel of one image. The gradient is laid out with the stage's row
/// length, zeros between its rows, so that each weight is one long dot product.
fn add_image<T: Float>(s: &ConvShape, stage: &Stage, offsets: &[usize], x: &[T], gy: &[T], at: usize, sums: &mut [T]) {
    let (plane, source_plane, out_plane) = (stage.plane(), stage.source_plane(), s.out_plane());
    let strides = stage.strides();
    let [oz, oy, ox] = s.output;
    let flat = ((oz - 1) * strides[0] + (oy - 1) * strides[1] + ox).next_multiple_of(WIDE);
    with_scratch(plane + WIDE + flat, |scratch: &mut [T]| {
        let (staged, grad) = scratch.split_at_mut(plane + WIDE);
        stage.fill(&x[at * source_plane..][..source_plane], &mut staged[..plane]);
        staged[plane..].fill(T::ZERO);
        let staged = &*staged;
        for (r, sums) in sums.chunks_exact_mut(offsets.len()).enumerate() {
            let gy = &gy[(at * s.group_out() + r) * out_plane..][..out_plane];
            grad.fill(T::ZERO);
            for z in 0..oz {
                for y in 0..oy {
                    let row = &gy[(z * oy + y) * ox..][..ox];
                    grad[z * strides[0] + y * strides[1]..][..ox].copy_from_slice(row);
                }
            }
            simd::run(
                #[inline(always)]
                || {
                    for (sum, &offset) in sums.iter_mut().zip(offsets) {
                        let mut acc = [T::ZERO; WIDE];
                        for (g, s) in grad.chunks_exact(WIDE).zip(staged[offset..].chunks_exact(WIDE)) {
                            for l in 0..WIDE {
                                acc[l] += g[l] * s[l];
                            }
                        }
                        *sum += acc.into_iter().sum();
                    }
                },
            );
        }
    });
}
