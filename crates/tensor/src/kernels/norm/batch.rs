//! By channel, over all examples: x is read as `[n, channels, size]`.
//!
//! Long planes are worked on one by one, with the channel's numbers as scalars. Short ones are too many for that:
//! there a row of all channels is the unit, with a number for each of its columns.

use super::{Float, Lanes, RUN, add_pairs, inverse, spread, sums};
use crate::kernels::par::{self, GRAIN, SharedMut};
use crate::kernels::simd;
use std::ops::Range;

/// Length from which planes are worked on one by one.
const LONG: usize = 16;
/// Rows and columns of a tile of short planes.
const TILE: usize = 256;

/// Extents of the operand.
#[derive(Clone, Copy)]
pub(crate) struct Channels {
    pub n: usize,
    pub channels: usize,
    pub size: usize,
}

/// Count, and two numbers about so many values.
type Part = [f64; 3];

impl Channels {
    fn row(&self) -> usize {
        self.channels * self.size
    }

    /// Combines parts of every channel, in a fixed order. `planes` gives the part of a channel in some examples;
    /// `tile` gives the parts of some columns of a range of rows.
    fn combine(
        &self,
        planes: impl Fn(usize, Range<usize>) -> Part + Copy + Sync,
        tile: impl Fn(Range<usize>, Range<usize>, &mut [Part]) + Copy + Sync,
        merge: fn(Part, Part) -> Part,
    ) -> Vec<Part> {
        let Channels { n, channels, size } = *self;
        if n * self.row() == 0 {
            return vec![[0.0; 3]; channels];
        }
        if size >= LONG {
            let blocks = self.blocks();
            let mut parts = vec![[0.0; 3]; channels * blocks];
            par::for_each_chunk_mut(&mut parts, 1, |job, part| {
                simd::run(
                    #[inline(always)]
                    || part[0] = self.block(job / blocks, job % blocks, planes, merge),
                );
            });
            return parts.chunks(blocks).map(|p| p.iter().fold([0.0; 3], |a, &b| merge(a, b))).collect();
        }
        let (row, blocks) = (self.row(), n.div_ceil(TILE));
        let tiles = row.div_ceil(TILE);
        let mut parts = vec![[0.0; 3]; blocks * row];
        let shared = SharedMut::new(&mut parts);
        par::for_each(blocks * tiles, |job| {
            let (rows, columns) = (job / tiles * TILE, job % tiles * TILE);
            let columns = columns..(columns + TILE).min(row);
            // SAFETY: each pair of rows and columns names its own parts.
            let out = unsafe { shared.slice(job / tiles * row + columns.start, columns.len()) };
            simd::run(
                #[inline(always)]
                || tile(rows..(rows + TILE).min(n), columns, out),
            );
        });
        let of = |c: usize| (0..blocks).flat_map(move |b| (0..size).map(move |s| b * row + c * size + s));
        (0..channels).map(|c| of(c).fold([0.0; 3], |a, at| merge(a, parts[at]))).collect()
    }

    /// Blocks of examples whose long planes make a task.
    fn blocks(&self) -> usize {
        self.n.div_ceil(GRAIN.div_ceil(self.size))
    }

    /// The part of channel `c` in one block.
    #[inline(always)]
    fn block(
        &self,
        c: usize,
        block: usize,
        planes: impl Fn(usize, Range<usize>) -> Part,
        merge: fn(Part, Part) -> Part,
    ) -> Part {
        let per = GRAIN.div_ceil(self.size);
        let first = block * per;
        // As many planes as one set of lanes takes, or one.
        let (end, some) = ((first + per).min(self.n), (RUN / self.size).max(1));
        let mut part = [0.0; 3];
        for i in (first..end).step_by(some) {
            part = merge(part, planes(c, i..(i + some).min(end)));
        }
        part
    }

    /// Whether a channel's planes of two operands stay in the second-level cache from one pass to the next.
    fn is_cached<T>(&self) -> bool {
        const BYTES: usize = 1 << 20;
        self.size >= LONG && self.channels > 1 && 2 * self.n * self.size * size_of::<T>() <= BYTES
    }

    /// Where channel `c` of example `i` lies.
    #[inline(always)]
    fn plane(&self, c: usize, i: usize) -> Range<usize> {
        let at = (i * self.channels + c) * self.size;
        at..at + self.size
    }

    /// Fills `out` piece by piece: `plane` gets a channel, the position of a plane and its place, `line` the
    /// position of a row and its place.
    fn fill<T: Float>(
        &self,
        out: &mut [T],
        plane: impl Fn(usize, usize, &mut [T]) + Copy + Sync,
        line: impl Fn(usize, &mut [T]) + Copy + Sync,
    ) {
        let unit = if self.size >= LONG { self.size } else { self.row() };
        if out.is_empty() {
            return;
        }
        let per = GRAIN.div_ceil(unit);
        par::for_each_chunk_mut(out, per * unit, |job, piece| {
            simd::run(
                #[inline(always)]
                || {
                    for (i, piece) in piece.chunks_exact_mut(unit).enumerate() {
                        let at = job * per + i;
                        if self.size >= LONG {
                            plane(at % self.channels, at * unit, piece);
                        } else {
                            line(at * unit, piece);
                        }
                    }
                },
            );
        });
    }

    /// One number a channel as one number a column of a row; as it is where planes are long.
    fn spread_out<T: Float>(&self, numbers: Vec<T>) -> Vec<T> {
        if self.size >= LONG || self.size == 1 {
            return numbers;
        }
        numbers.iter().flat_map(|&v| std::iter::repeat_n(v, self.size)).collect()
    }
}

/// Count, mean and sum of squared deviations of two sets together.
fn together([n, mean, m2]: Part, [k, other, other_m2]: Part) -> Part {
    if n == 0.0 || k == 0.0 {
        return if n == 0.0 { [k, other, other_m2] } else { [n, mean, m2] };
    }
    let (all, gap) = (n + k, other - mean);
    [all, mean + gap * (k / all), m2 + other_m2 + gap * gap * (n * k / all)]
}

/// Mean and biased variance of each channel; NaN where there are no values.
pub(crate) fn moments<T: Float>(s: &Channels, x: &[T], mean: &mut [T], var: &mut [T]) {
    let row = s.row();
    let parts = s.combine(
        #[inline(always)]
        |c, examples| {
            let count = (examples.len() * s.size) as f64;
            if examples.len() == 1 {
                let (mean, m2) = spread(&x[s.plane(c, examples.start)]);
                return [count, mean.to_f64(), m2.to_f64()];
            }
            let (mut all, mut squares) = (Lanes::EMPTY, Lanes::EMPTY);
            for i in examples.clone() {
                all.add(&x[s.plane(c, i)], |v| v);
            }
            let mean = all.total() / T::from_f64(count);
            for i in examples {
                squares.add(&x[s.plane(c, i)], |v| (v - mean) * (v - mean));
            }
            [count, mean.to_f64(), squares.total().to_f64()]
        },
        #[inline(always)]
        |rows, columns, parts| {
            let w = columns.len();
            let (mut mean, mut m2) = ([T::ZERO; TILE], [T::ZERO; TILE]);
            for r in rows.clone() {
                let x = &x[r * row + columns.start..][..w];
                mean[..w].iter_mut().zip(x).for_each(|(m, &v)| *m += v);
            }
            let share = T::ONE / T::from_f64(rows.len() as f64);
            mean[..w].iter_mut().for_each(|m| *m *= share);
            for r in rows.clone() {
                let x = &x[r * row + columns.start..][..w];
                for i in 0..w {
                    m2[i] += (x[i] - mean[i]) * (x[i] - mean[i]);
                }
            }
            for i in 0..w {
                parts[i] = [rows.len() as f64, mean[i].to_f64(), m2[i].to_f64()];
            }
        },
        together,
    );
    for (c, [n, m, m2]) in parts.into_iter().enumerate() {
        let (m, v) = if n > 0.0 { (m, m2 / n) } else { (f64::NAN, f64::NAN) };
        (mean[c], var[c]) = (T::from_f64(m), T::from_f64(v));
    }
}

/// The sums of gy and of gy (x - mean) over a channel's planes in some examples.
#[inline(always)]
fn sums_of_planes<T: Float>(s: &Channels, c: usize, examples: Range<usize>, x: &[T], gy: &[T], mean: T) -> Part {
    let of = |g, x| (g, g * (x - mean));
    if examples.len() == 1 {
        let at = s.plane(c, examples.start);
        let (g, gx) = sums(&gy[at.clone()], &x[at], of);
        return [0.0, g.to_f64(), gx.to_f64()];
    }
    let (mut g, mut gx) = (Lanes::EMPTY, Lanes::EMPTY);
    for i in examples {
        let at = s.plane(c, i);
        add_pairs((&mut g, &mut gx), &gy[at.clone()], &x[at], of);
    }
    [0.0, g.total().to_f64(), gx.total().to_f64()]
}

/// Parts of [`backward_sums`] together.
fn add(a: Part, b: Part) -> Part {
    [0.0, a[1] + b[1], a[2] + b[2]]
}

/// For each channel, the sums of gy and of gy (x - mean).
pub(crate) fn backward_sums<T: Float>(s: &Channels, x: &[T], gy: &[T], mean: &[T]) -> Vec<[f64; 2]> {
    let row = s.row();
    let columns_mean = s.spread_out(mean.to_vec());
    let parts = s.combine(
        #[inline(always)]
        |c, examples| sums_of_planes(s, c, examples, x, gy, mean[c]),
        #[inline(always)]
        |rows, columns, parts| {
            let w = columns.len();
            let mean = &columns_mean[columns.clone()];
            let (mut first, mut second) = ([T::ZERO; TILE], [T::ZERO; TILE]);
            for r in rows {
                let at = r * row + columns.start;
                let (x, gy) = (&x[at..at + w], &gy[at..at + w]);
                for i in 0..w {
                    first[i] += gy[i];
                    second[i] += gy[i] * (x[i] - mean[i]);
                }
            }
            for i in 0..w {
                parts[i] = [0.0, first[i].to_f64(), second[i].to_f64()];
            }
        },
        add,
    );
    parts.into_iter().map(|[_, g, gx]| [g, gx]).collect()
}

/// Both [`backward_sums`], which it gives, and [`backward`], channel by channel where a channel stays in cache: then
/// its operands come from memory once.
pub(crate) fn backward_both<T: Float>(
    s: &Channels,
    (x, gy): (&[T], &[T]),
    (mean, var): (&[T], &[T]),
    weight: Option<&[T]>,
    eps: f64,
    gx: &mut [T],
) -> Vec<[f64; 2]> {
    if !s.is_cached::<T>() || gx.is_empty() {
        let sums = backward_sums(s, x, gy, mean);
        backward(s, (x, gy), (mean, var), weight, eps, &sums, gx);
        return sums;
    }
    let mut all = vec![[0.0; 2]; s.channels];
    let gx = SharedMut::new(gx);
    let per = GRAIN.div_ceil(s.n * s.size);
    par::for_each_chunk_mut(&mut all, per, |job, all| {
        simd::run(
            #[inline(always)]
            || {
                for (i, sums) in all.iter_mut().enumerate() {
                    let c = job * per + i;
                    let mut part = [0.0; 3];
                    for block in 0..s.blocks() {
                        let of_block = s.block(
                            c,
                            block,
                            #[inline(always)]
                            |c, examples| sums_of_planes(s, c, examples, x, gy, mean[c]),
                            add,
                        );
                        part = add(part, of_block);
                    }
                    *sums = [part[1], part[2]];
                    let [level, slope, scale] =
                        numbers_of(s, *sums, var[c], weight.map(|w| w[c]), eps).map(T::from_f64);
                    for example in 0..s.n {
                        let at = s.plane(c, example);
                        // SAFETY: each plane belongs to one channel, and `gx` outlives the call.
                        let gx = unsafe { gx.slice(at.start, s.size) };
                        way_back((&x[at.clone()], &gy[at]), mean[c], (level, slope, scale), gx);
                    }
                }
            },
        );
    });
    all
}

/// What the gradient of x needs of a channel: mean(gy), the factor of x - mean, and that of the whole.
fn numbers_of<T: Float>(s: &Channels, sums: [f64; 2], var: T, weight: Option<T>, eps: f64) -> [f64; 3] {
    let (count, r) = ((s.n * s.size) as f64, inverse(var, eps));
    [sums[0] / count, r * r * sums[1] / count, r * weight.map_or(1.0, |w| w.to_f64())]
}

/// One plane of the gradient of x.
#[inline(always)]
fn way_back<T: Float>((x, gy): (&[T], &[T]), mean: T, (level, slope, scale): (T, T, T), out: &mut [T]) {
    let n = out.len();
    let (x, gy) = (&x[..n], &gy[..n]);
    for i in 0..n {
        out[i] = (gy[i] - level - (x[i] - mean) * slope) * scale;
    }
}

/// The gradient of x: with r = 1 / sqrt(var + eps) and means over the channel's values,
/// (gy - mean(gy) - (x - mean) r^2 mean(gy (x - mean))) r weight.
pub(crate) fn backward<T: Float>(
    s: &Channels,
    (x, gy): (&[T], &[T]),
    (mean, var): (&[T], &[T]),
    weight: Option<&[T]>,
    eps: f64,
    sums: &[[f64; 2]],
    gx: &mut [T],
) {
    let numbers = |c: usize| numbers_of(s, sums[c], var[c], weight.map(|w| w[c]), eps);
    let numbers: Vec<[f64; 3]> = (0..s.channels).map(numbers).collect();
    let [level, slope, scale] = [0, 1, 2].map(|k| s.spread_out(numbers.iter().map(|v| T::from_f64(v[k])).collect()));
    let mean = s.spread_out(mean.to_vec());
    s.fill(
        gx,
        #[inline(always)]
        |c, at, out| {
            way_back((&x[at..], &gy[at..]), mean[c], (level[c], slope[c], scale[c]), out);
        },
        #[inline(always)]
        |at, out| {
            let n = out.len();
            let (x, gy, mean) = (&x[at..at + n], &gy[at..at + n], &mean[..n]);
            let (level, slope, scale) = (&level[..n], &slope[..n], &scale[..n]);
            for i in 0..n {
                out[i] = (gy[i] - level[i] - (x[i] - mean[i]) * slope[i]) * scale[i];
            }
        },
    );
}
