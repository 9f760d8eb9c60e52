//! Images as columns of patches and back, and resizing.

#[cfg(test)]
mod tests;

use super::micro::Float;
use super::par;
use super::scratch::with_scratch;
use super::simd;

/// Elements that make a task of their own.
const TASK: usize = 32 * 1024;

/// The shape of PyTorch's `unfold` and `fold`: images `[n, c, input...]` and columns
/// `[n, c * kernel[0] * kernel[1], output[0] * output[1]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchShape {
    /// Images in the batch.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Extents of the image.
    pub input: [usize; 2],
    /// Extents of a patch.
    pub kernel: [usize; 2],
    /// Step from one patch to the next.
    pub stride: [usize; 2],
    /// Zeros before and after the image.
    pub padding: [usize; 2],
    /// Distance of a patch's elements.
    pub dilation: [usize; 2],
    /// Patches along each axis.
    pub output: [usize; 2],
}

impl PatchShape {
    fn check(&self, image: usize, columns: usize) {
        let want = [self.n * self.c * self.image(), self.n * self.c * self.columns()];
        assert!(
            want == [image, columns],
            "unfold: {self:?} has {want:?} elements (image, columns), the slices have {:?}",
            [image, columns]
        );
    }

    /// Elements of one channel.
    fn image(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Elements of the columns of one channel.
    fn columns(&self) -> usize {
        self.kernel.iter().chain(&self.output).product()
    }

    /// Calls `f(column start, image row start, first, end, image column)` for each row of patches
    /// and each element of a patch: outputs `first..end` read the image from `image column` on.
    #[inline(always)]
    fn rows(&self, mut f: impl FnMut(usize, Option<usize>, usize, usize, usize)) {
        let [_, ix] = self.input;
        let [oy, ox] = self.output;
        let (stride, padding) = (self.stride[1], self.padding[1]);
        for ky in 0..self.kernel[0] {
            for kx in 0..self.kernel[1] {
                let shift = kx * self.dilation[1];
                // Outputs whose element lies in the image: padding <= x * stride + shift < padding + ix.
                let first = padding.saturating_sub(shift).div_ceil(stride).min(ox);
                let end = (padding + ix).saturating_sub(shift).div_ceil(stride).clamp(first, ox);
                let column = if end > first { first * stride + shift - padding } else { 0 };
                for y in 0..oy {
                    let row = (y * self.stride[0] + ky * self.dilation[0])
                        .checked_sub(self.padding[0])
                        .filter(|&r| r < self.input[0]);
                    f(((ky * self.kernel[1] + kx) * oy + y) * ox, row.map(|r| r * ix), first, end, column);
                }
            }
        }
    }
}

/// Calls `f(plane, part of out)` for all planes of `out`, some at a time.
fn for_planes<T: Send>(out: &mut [T], plane: usize, work: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    if out.is_empty() {
        return;
    }
    let some = (TASK / work.max(1)).max(1);
    par::for_each_chunk_mut(out, some * plane, |task, out| {
        out.chunks_exact_mut(plane).enumerate().for_each(|(i, out)| f(task * some + i, out));
    });
}

/// Copies every patch to a column: row `(c, ky, kx)` of the result holds that element of all patches.
///
/// # Panics
/// If the slices do not have the sizes of `s`.
pub fn im2col<T: Float>(s: &PatchShape, image: &[T], columns: &mut [T]) {
    s.check(image.len(), columns.len());
    for_planes(columns, s.columns(), s.columns(), |plane, columns| {
        let image = &image[plane * s.image()..][..s.image()];
        s.rows(|at, row, first, end, column| {
            let line = &mut columns[at..at + s.output[1]];
            let Some(row) = row else {
                return line.fill(T::ZERO);
            };
            line[..first].fill(T::ZERO);
            line[end..].fill(T::ZERO);
            let from = image[row..row + s.input[1]][column..].iter().step_by(s.stride[1]);
            line[first..end].iter_mut().zip(from).for_each(|(v, &x)| *v = x);
        });
    });
}

/// Adds every column back to its patch: the transpose, and the gradient, of [`im2col`].
///
/// # Panics
/// If the slices do not have the sizes of `s`.
pub fn col2im<T: Float>(s: &PatchShape, columns: &[T], image: &mut [T]) {
    s.check(image.len(), columns.len());
    for_planes(image, s.image(), s.columns() + s.image(), |plane, image| {
        image.fill(T::ZERO);
        let columns = &columns[plane * s.columns()..][..s.columns()];
        s.rows(|at, row, first, end, column| {
            let Some(row) = row else { return };
            let to = image[row..row + s.input[1]][column..].iter_mut().step_by(s.stride[1]);
            to.zip(&columns[at + first..at + end]).for_each(|(v, &x)| *v += x);
        });
    });
}

/// The shape of a resize: `planes` planes of three extents (leading ones for fewer).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResizeShape {
    /// Number of planes.
    pub planes: usize,
    /// Extents of the input planes.
    pub input: [usize; 3],
    /// Extents of the output planes.
    pub output: [usize; 3],
    /// Input elements that one output element advances, if not `input / output`: the reciprocal of
    /// a scale factor that the caller was given. Not used with `align_corners`.
    pub step: [Option<f64>; 3],
}

/// Where one output element comes from: places and the weight of each.
#[derive(Clone, Copy, Debug)]
struct Blend<T, const K: usize> {
    from: [usize; K],
    weight: [T; K],
}

/// The blends of every output along each axis.
type Blends<T, const K: usize> = [Vec<Blend<T, K>>; 3];

impl ResizeShape {
    fn check(&self, x: usize, y: usize) {
        let size = |e: [usize; 3]| self.planes * e.iter().product::<usize>();
        assert!(
            x == size(self.input) && y == size(self.output),
            "resize: {self:?} does not fit slices of {x} and {y} elements"
        );
        assert!(y == 0 || self.input.iter().all(|&e| e > 0), "resize: an empty image cannot be resized: {self:?}");
    }

    /// Input elements that one output element advances along an axis, in the precision of `T`.
    fn ratio<T: Float>(&self, i: usize) -> T {
        let exact = T::from_f64(self.input[i] as f64) / T::from_f64(self.output[i] as f64);
        self.step[i].map_or(exact, T::from_f64)
    }

    /// The nearest places along an axis: `floor(o * ratio)`, or exactly those nearest to the middle of the
    /// output's cell: `floor((o + 0.5) * ratio)`.
    fn nearest<T: Float>(&self, i: usize, exact: bool) -> Vec<usize> {
        let ratio = self.ratio::<T>(i);
        let shift = if exact { 0.5 } else { 0.0 };
        let at = |o: usize| (T::from_f64(o as f64 + shift) * ratio).to_f64().floor() as usize;
        (0..self.output[i]).map(|o| at(o).min(self.input[i] - 1)).collect()
    }

    /// Where output `o` lies among the inputs along an axis; before the first one this is negative.
    fn place<T: Float>(&self, i: usize, o: usize, align_corners: bool) -> T {
        let (o, half) = (T::from_f64(o as f64), T::from_f64(0.5));
        if !align_corners {
            return (o + half) * self.ratio::<T>(i) - half;
        }
        match self.output[i] {
            0 | 1 => T::ZERO,
            n => o * (T::from_f64((self.input[i] - 1) as f64) / T::from_f64((n - 1) as f64)),
        }
    }

    /// The two places and weights of each output along an axis.
    fn linear<T: Float>(&self, i: usize, align_corners: bool) -> Vec<Blend<T, 2>> {
        let input = self.input[i];
        let blend = |o| {
            let at = self.place::<T>(i, o, align_corners);
            let at = if at < T::ZERO { T::ZERO } else { at };
            let first = (at.to_f64().floor() as usize).min(input - 1);
            let part = at - T::from_f64(first as f64);
            let second = (first + 1).min(input - 1);
            let part = if second == first { T::ZERO } else { part };
            Blend { from: [first, second], weight: [T::ONE - part, part] }
        };
        (0..self.output[i]).map(blend).collect()
    }

    /// The four places and weights of each output along an axis: Keys' cubic convolution with a = -3/4.
    /// Places beyond the edge are the edge.
    fn cubic<T: Float>(&self, i: usize, align_corners: bool) -> Vec<Blend<T, 4>> {
        let last = self.input[i] as isize - 1;
        let blend = |o| {
            let at = self.place::<T>(i, o, align_corners).to_f64();
            let first = at.floor();
            let from = std::array::from_fn(|k| (first as isize - 1 + k as isize).clamp(0, last) as usize);
            Blend { from, weight: cubic_weights(at - first).map(T::from_f64) }
        };
        (0..self.output[i]).map(blend).collect()
    }
}

/// The weights of the elements at -1, 0, 1 and 2 for a place `t` in 0..1:
/// `(a+2)|d|^3 - (a+3)|d|^2 + 1` up to a distance d of 1, `a|d|^3 - 5a|d|^2 + 8a|d| - 4a` up to 2.
fn cubic_weights(t: f64) -> [f64; 4] {
    const A: f64 = -0.75;
    let near = |d: f64| ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0;
    let far = |d: f64| ((A * d - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A;
    [far(1.0 + t), near(t), near(1.0 - t), far(2.0 - t)]
}

/// Resizes by the nearest element: output `o` is input `floor(o * input / output)` along each axis, or
/// `floor((o + 0.5) * input / output)` if it shall be exactly the nearest.
///
/// # Panics
/// If the slices do not have the sizes of `s`, or the input is empty and the output is not.
pub fn nearest<T: Float>(s: &ResizeShape, exact: bool, x: &[T], out: &mut [T]) {
    s.check(x.len(), out.len());
    if out.is_empty() {
        return;
    }
    let [zs, ys, xs] = [0, 1, 2].map(|i| s.nearest::<T>(i, exact));
    let (from, to): (usize, usize) = (s.input.iter().product(), s.output.iter().product());
    let doubles = is_doubled(&xs, s.input[2]);
    for_planes(out, to, to, |plane, out| {
        let x = &x[plane * from..][..from];
        simd::run(
            #[inline(always)]
            || {
                let mut known = None;
                for (i, (z, y)) in zs.iter().flat_map(|z| ys.iter().map(move |y| (z, y))).enumerate() {
                    let (done, rest) = out.split_at_mut(i * xs.len());
                    let (line, place) = (&mut rest[..xs.len()], z * s.input[1] + y);
                    // Rows that repeat are copied.
                    if known == Some(place) {
                        line.copy_from_slice(&done[done.len() - xs.len()..]);
                        continue;
                    }
                    known = Some(place);
                    let row = &x[place * s.input[2]..][..s.input[2]];
                    if doubles {
                        line.as_chunks_mut::<2>().0.iter_mut().zip(row).for_each(|(pair, &v)| *pair = [v, v]);
                    } else {
                        line.iter_mut().zip(&xs).for_each(|(v, &at)| *v = row[at]);
                    }
                }
            },
        );
    });
}

/// Whether each of `n` elements is named twice, in order.
fn is_doubled(places: &[usize], n: usize) -> bool {
    places.len() == 2 * n && places.iter().enumerate().all(|(i, &p)| p == i / 2)
}

/// The gradient of [`nearest`].
///
/// # Panics
/// As [`nearest`].
pub fn nearest_backward<T: Float>(s: &ResizeShape, exact: bool, gy: &[T], gx: &mut [T]) {
    s.check(gx.len(), gy.len());
    if gy.is_empty() {
        return gx.fill(T::ZERO);
    }
    let [zs, ys, xs] = [0, 1, 2].map(|i| s.nearest::<T>(i, exact));
    let (from, to): (usize, usize) = (s.input.iter().product(), s.output.iter().product());
    let doubles = is_doubled(&xs, s.input[2]);
    for_planes(gx, from, from + to, |plane, gx| {
        let mut lines = gy[plane * to..][..to].chunks_exact(xs.len());
        simd::run(
            #[inline(always)]
            || {
                gx.fill(T::ZERO);
                for (z, y) in zs.iter().flat_map(|z| ys.iter().map(move |y| (z, y))) {
                    let Some(line) = lines.next() else { return };
                    let row = &mut gx[(z * s.input[1] + y) * s.input[2]..][..s.input[2]];
                    if doubles {
                        row.iter_mut().zip(line.as_chunks::<2>().0).for_each(|(v, pair)| *v += pair[0] + pair[1]);
                    } else {
                        line.iter().zip(&xs).for_each(|(&g, &at)| row[at] += g);
                    }
                }
            },
        );
    });
}

/// Resizes by linear interpolation along each axis (bilinear for two, trilinear for three).
///
/// With `align_corners` the outermost elements of both are at the same place, otherwise their outer
/// edges are.
///
/// # Panics
/// If the slices do not have the sizes of `s`, or the input is empty and the output is not.
pub fn linear<T: Float>(s: &ResizeShape, align_corners: bool, x: &[T], out: &mut [T]) {
    blend(s, |i| s.linear::<T>(i, align_corners), x, out);
}

/// The gradient of [`linear`].
///
/// # Panics
/// As [`linear`].
pub fn linear_backward<T: Float>(s: &ResizeShape, align_corners: bool, gy: &[T], gx: &mut [T]) {
    blend_backward(s, |i| s.linear::<T>(i, align_corners), gy, gx);
}

/// Resizes by cubic convolution along each axis (bicubic for two), with `align_corners` as in [`linear`].
///
/// # Panics
/// As [`linear`].
pub fn cubic<T: Float>(s: &ResizeShape, align_corners: bool, x: &[T], out: &mut [T]) {
    blend(s, |i| s.cubic::<T>(i, align_corners), x, out);
}

/// The gradient of [`cubic`].
///
/// # Panics
/// As [`linear`].
pub fn cubic_backward<T: Float>(s: &ResizeShape, align_corners: bool, gy: &[T], gx: &mut [T]) {
    blend_backward(s, |i| s.cubic::<T>(i, align_corners), gy, gx);
}

/// Each output is the sum of the inputs that the `axis`' blends name, each times its weights: first along the rows
/// of the input, then rows among each other.
fn blend<T: Float, const K: usize>(s: &ResizeShape, axis: impl Fn(usize) -> Vec<Blend<T, K>>, x: &[T], out: &mut [T]) {
    s.check(x.len(), out.len());
    if out.is_empty() {
        return;
    }
    let [zs, ys, xs]: Blends<T, K> = [0, 1, 2].map(axis);
    let (from, to): (usize, usize) = (s.input.iter().product(), s.output.iter().product());
    let (ix, ox) = (s.input[2], xs.len());
    let used = used_rows(s, &zs, &ys);
    for_planes(out, to, K * (from / ix * ox + to), |plane, out| {
        let x = &x[plane * from..][..from];
        with_scratch(from / ix * ox, |wide: &mut [T]| {
            simd::run(
                #[inline(always)]
                || {
                    for &r in &used {
                        let (row, wide) = (&x[r * ix..][..ix], &mut wide[r * ox..][..ox]);
                        for (v, b) in wide.iter_mut().zip(&xs) {
                            let mut sum = b.weight[0] * row[b.from[0]];
                            (1..K).for_each(|k| sum += b.weight[k] * row[b.from[k]]);
                            *v = sum;
                        }
                    }
                    let rows = zs.iter().flat_map(|z| ys.iter().map(move |y| (z, y)));
                    for ((z, y), line) in rows.zip(out.chunks_exact_mut(ox)) {
                        line.fill(T::ZERO);
                        each_row(
                            s,
                            z,
                            y,
                            #[inline(always)]
                            |row, weight| {
                                let row = &wide[row / ix * ox..][..ox];
                                line.iter_mut().zip(row).for_each(|(v, &r)| *v += weight * r);
                            },
                        );
                    }
                },
            );
        });
    });
}

/// The rows of the input that some output blends, in order.
fn used_rows<T: Float, const K: usize>(s: &ResizeShape, zs: &[Blend<T, K>], ys: &[Blend<T, K>]) -> Vec<usize> {
    let mut used = vec![false; s.input[0] * s.input[1]];
    for (z, y) in zs.iter().flat_map(|z| ys.iter().map(move |y| (z, y))) {
        each_row(s, z, y, |row, _| used[row / s.input[2]] = true);
    }
    (0..used.len()).filter(|&r| used[r]).collect()
}

/// The gradient of [`blend`].
fn blend_backward<T: Float, const K: usize>(
    s: &ResizeShape,
    axis: impl Fn(usize) -> Vec<Blend<T, K>>,
    gy: &[T],
    gx: &mut [T],
) {
    s.check(gx.len(), gy.len());
    if gy.is_empty() {
        return gx.fill(T::ZERO);
    }
    let [zs, ys, xs]: Blends<T, K> = [0, 1, 2].map(axis);
    let (from, to): (usize, usize) = (s.input.iter().product(), s.output.iter().product());
    let (ix, ox) = (s.input[2], xs.len());
    let used = used_rows(s, &zs, &ys);
    for_planes(gx, from, from + K * (from / ix * ox + to), |plane, gx| {
        let gy = &gy[plane * to..][..to];
        with_scratch(from / ix * ox, |wide: &mut [T]| {
            simd::run(
                #[inline(always)]
                || {
                    wide.fill(T::ZERO);
                    let rows = zs.iter().flat_map(|z| ys.iter().map(move |y| (z, y)));
                    for ((z, y), line) in rows.zip(gy.chunks_exact(ox)) {
                        each_row(
                            s,
                            z,
                            y,
                            #[inline(always)]
                            |row, weight| {
                                let row = &mut wide[row / ix * ox..][..ox];
                                row.iter_mut().zip(line).for_each(|(r, &g)| *r += weight * g);
                            },
                        );
                    }
                    gx.fill(T::ZERO);
                    for &r in &used {
                        let (wide, row) = (&wide[r * ox..][..ox], &mut gx[r * ix..][..ix]);
                        for (&g, b) in wide.iter().zip(&xs) {
                            (0..K).for_each(|k| row[b.from[k]] += b.weight[k] * g);
                        }
                    }
                },
            );
        });
    });
}

/// Calls `f(start of row, weight)` for the input rows that a row of outputs blends. Rows of weight
/// zero are left out, so that an infinity in them does no harm.
#[inline(always)]
fn each_row<T: Float, const K: usize>(s: &ResizeShape, z: &Blend<T, K>, y: &Blend<T, K>, mut f: impl FnMut(usize, T)) {
    for a in 0..K {
        for b in 0..K {
            let weight = z.weight[a] * y.weight[b];
            if weight != T::ZERO {
                f((z.from[a] * s.input[1] + y.from[b]) * s.input[2], weight);
            }
        }
    }
}
