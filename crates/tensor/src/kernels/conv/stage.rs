//! The stage: a padded copy of some images, split by residues of the stride.

use super::ConvShape;
use crate::kernels::micro::{Float, Rows, Tiles};
use crate::kernels::simd;
use std::ops::Range;

/// One axis of the stage: element `(phase, i)` is source element `i * step + phases[phase] - low`,
/// zero outside the source.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub src: usize,
    pub low: usize,
    pub step: usize,
    pub phases: Vec<usize>,
    pub len: usize,
}

/// A weight's place along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    /// Index in the kernel.
    pub index: usize,
    /// Index in [`Axis::phases`].
    pub phase: usize,
    /// Stage element that the first output multiplies by this weight.
    pub offset: usize,
}

/// Outputs along one axis that see the same taps: `start`, `start + step`, ...
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub start: usize,
    pub step: usize,
    pub count: usize,
    pub taps: Vec<Tap>,
}

/// Geometry of the stage of one image.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub channels: usize,
    pub axes: [Axis; 3],
}

impl Axis {
    /// The axis that a forward convolution reads, and its only lane.
    pub fn forward(s: &ConvShape, i: usize) -> (Axis, Lane) {
        let (kernel, stride, dilation) = (s.kernel[i], s.stride[i], s.dilation[i]);
        let mut phases: Vec<usize> = (0..kernel).map(|t| t * dilation % stride).collect();
        phases.sort_unstable();
        phases.dedup();
        let taps: Vec<Tap> = (0..kernel)
            .map(|t| {
                let phase = phases.partition_point(|&p| p < t * dilation % stride);
                Tap { index: t, phase, offset: t * dilation / stride }
            })
            .collect();
        let reach = taps.iter().map(|t| t.offset).max().unwrap_or(0);
        let axis = Axis { src: s.input[i], low: s.padding[i], step: stride, phases, len: s.output[i] + reach };
        (axis, Lane { start: 0, step: 1, count: s.output[i], taps })
    }

    /// The axis of the output's gradient that the input's gradient reads: one lane for each residue
    /// of the input's position modulo the stride.
    pub fn backward(s: &ConvShape, i: usize) -> (Axis, Vec<Lane>) {
        let (stride, padding, dilation) = (s.stride[i] as isize, s.padding[i] as isize, s.dilation[i] as isize);
        let residues = s.stride[i].min(s.input[i]);
        // Output position of tap t for input position r: (r + padding - t dilation) / stride.
        let reads = |r: usize| {
            (0..s.kernel[i]).filter_map(move |t| {
                let at = r as isize + padding - t as isize * dilation;
                (at % stride == 0).then_some((t, at / stride))
            })
        };
        let low = (0..residues).flat_map(reads).map(|(_, at)| -at).max().unwrap_or(0).max(0);
        let mut len = 0;
        let lanes: Vec<Lane> = (0..residues)
            .map(|r| {
                let taps: Vec<Tap> =
                    reads(r).map(|(t, at)| Tap { index: t, phase: 0, offset: (at + low) as usize }).collect();
                let count = (s.input[i] - r).div_ceil(s.stride[i]);
                len = len.max(count + taps.iter().map(|t| t.offset).max().unwrap_or(0));
                Lane { start: r, step: s.stride[i], count, taps }
            })
            .collect();
        (Axis { src: s.output[i], low: low as usize, step: 1, phases: vec![0], len }, lanes)
    }

    fn elements(&self) -> usize {
        self.phases.len() * self.len
    }

    /// The elements of a phase that lie in the source.
    fn inside(&self, phase: usize) -> Range<usize> {
        let first = self.low.saturating_sub(phase).div_ceil(self.step).min(self.len);
        let end = (self.src + self.low).saturating_sub(phase).div_ceil(self.step).clamp(first, self.len);
        first..end
    }
}

impl Stage {
    /// Elements from one channel to the next.
    pub fn plane(&self) -> usize {
        self.axes.iter().map(Axis::elements).product()
    }

    /// Elements of one image.
    pub fn image(&self) -> usize {
        self.channels * self.plane()
    }

    /// Elements of one channel of the source.
    pub fn source_plane(&self) -> usize {
        self.axes.iter().map(|a| a.src).product()
    }

    /// Whether the source itself can be read as the stage.
    pub fn is_source(&self) -> bool {
        self.axes.iter().all(|a| a.step == 1 && a.low == 0 && a.len == a.src && a.phases.len() == 1)
    }

    /// Elements from one (z, y, x) to the next within a phase.
    pub fn strides(&self) -> [usize; 3] {
        let [_, y, x] = &self.axes;
        [y.len * x.len, x.len, 1]
    }

    /// Offset of a tap within a channel.
    pub fn tap(&self, taps: [Tap; 3]) -> usize {
        let [z, y, x] = &self.axes;
        let phase = (taps[0].phase * y.phases.len() + taps[1].phase) * x.phases.len() + taps[2].phase;
        let strides = self.strides();
        let within: usize = (0..3).map(|i| taps[i].offset * strides[i]).sum();
        phase * z.len * y.len * x.len + within
    }

    /// Copies one channel of the source to `out`, which has [`Stage::plane`] elements.
    pub fn fill<T: Float>(&self, source: &[T], out: &mut [T]) {
        let tiles = T::tiles();
        let [az, ay, ax] = &self.axes;
        let within = [az, ay, ax].iter().all(|a| a.phases.iter().all(|&p| a.inside(p) == (0..a.len)));
        if !within {
            out.fill(T::ZERO);
        }
        let plane = az.len * ay.len * ax.len;
        let mut start = 0;
        for &pz in &az.phases {
            for &py in &ay.phases {
                for &px in &ax.phases {
                    let [zs, ys, xs] = [az.inside(pz), ay.inside(py), ax.inside(px)];
                    if !ys.is_empty() && !xs.is_empty() {
                        for z in zs {
                            let row = (z * az.step + pz - az.low) * ay.src + ys.start * ay.step + py - ay.low;
                            let from = row * ax.src + xs.start * ax.step + px - ax.low;
                            let to = start + (z * ay.len + ys.start) * ax.len + xs.start;
                            let (src, dst) = (&source[from..], &mut out[to..]);
                            let block = [ys.len(), xs.len()];
                            copy_block(&tiles, block, src, [ay.step * ax.src, ax.step], dst, ax.len);
                        }
                    }
                    start += plane;
                }
            }
        }
    }
}

/// Copies `rows` x `cols` elements that lie at distances `from` in the source to rows at a distance `to`.
fn copy_block<T: Float>(
    tiles: &Tiles<T>,
    [rows, cols]: [usize; 2],
    src: &[T],
    from: [usize; 2],
    dst: &mut [T],
    to: usize,
) {
    assert!((rows - 1) * from[0] + (cols - 1) * from[1] < src.len() && (rows - 1) * to + cols <= dst.len());
    if from[1] == 1 {
        let (src, dst) = (src.as_ptr(), dst.as_mut_ptr());
        let all = Rows { src, src_step: from[0], dst, dst_step: to, rows, cols, pad: false };
        // SAFETY: all elements exist by the test above.
        return unsafe { (tiles.copy)(&all) };
    }
    simd::run(
        #[inline(always)]
        || {
            for i in 0..rows {
                let (src, dst) = (&src[i * from[0]..], &mut dst[i * to..][..cols]);
                match from[1] {
                    2 => every::<T, 2, 32>(src, dst),
                    4 => every::<T, 4, 64>(src, dst),
                    step => dst.iter_mut().zip(src.iter().step_by(step)).for_each(|(v, &x)| *v = x),
                }
            }
        },
    );
}

/// Copies every element whose index is a multiple of `STEP`; `WIDE` is 16 times that.
#[inline(always)]
fn every<T: Float, const STEP: usize, const WIDE: usize>(src: &[T], dst: &mut [T]) {
    let (wide, rest) = dst.as_chunks_mut::<16>();
    let (from, _) = src.as_chunks::<WIDE>();
    let whole = wide.len().min(from.len());
    for (to, from) in wide.iter_mut().zip(from) {
        for l in 0..16 {
            to[l] = from[l * STEP];
        }
    }
    // The last whole block may end with the source.
    let left = wide[whole..].as_flattened_mut().iter_mut().chain(rest);
    left.zip(src[whole * WIDE..].iter().step_by(STEP)).for_each(|(v, &x)| *v = x);
}
