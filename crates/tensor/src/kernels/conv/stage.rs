//! The stage: a padded copy of some images, split by residues of the stride.

use super::ConvShape;
use crate::kernels::micro::Float;

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
        let [az, ay, ax] = &self.axes;
        let at = |a: &Axis, phase: usize, i: usize| (i * a.step + phase).checked_sub(a.low).filter(|&p| p < a.src);
        let mut lines = out.chunks_exact_mut(ax.len.max(1));
        for &pz in &az.phases {
            for &py in &ay.phases {
                for &px in &ax.phases {
                    // The first and the past-the-last element of a row that lie in the source.
                    let first = ax.low.saturating_sub(px).div_ceil(ax.step).min(ax.len);
                    let end = (ax.src + ax.low).saturating_sub(px).div_ceil(ax.step).clamp(first, ax.len);
                    for z in 0..az.len {
                        for y in 0..ay.len {
                            let Some(line) = lines.next() else { return };
                            let (Some(sz), Some(sy)) = (at(az, pz, z), at(ay, py, y)) else {
                                line.fill(T::ZERO);
                                continue;
                            };
                            let row = &source[(sz * ay.src + sy) * ax.src..][..ax.src];
                            line[..first].fill(T::ZERO);
                            line[end..].fill(T::ZERO);
                            if end > first {
                                fill_row(&row[first * ax.step + px - ax.low..], ax.step, &mut line[first..end]);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[inline]
fn fill_row<T: Float>(row: &[T], step: usize, line: &mut [T]) {
    if step == 1 {
        // Rows are short: a loop beats a call.
        for (v, &x) in line.iter_mut().zip(row) {
            *v = x;
        }
    } else {
        for (v, &x) in line.iter_mut().zip(row.iter().step_by(step)) {
            *v = x;
        }
    }
}
