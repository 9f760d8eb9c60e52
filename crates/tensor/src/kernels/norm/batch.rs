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
            let per = GRAIN.div_ceil(size);
            let blocks = n.div_ceil(per);
            let mut parts = vec![[0.0; 3]; channels * blocks];
            par::for_each_chunk_mut(&mut parts, 1, |job, part| {
                let (c, first) = (job / blocks, job % blocks * per);
                simd::run(
                    #[inline(always)]
                    || {
                        // As many planes as one set of lanes takes, or one.
                        let (end, some) = ((first + per).min(n), (RUN / size).max(1));
                        for i in (first..end).step_by(some) {
                            part[0] = merge(part[0], planes(c, i..(i + some).min(end)));
                        }
                    },
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

/// For each channel, the sums of gy and of gy (x - mean).
pub(crate) fn backward_sums<T: Float>(s: &Channels, x: &[T], gy: &[T], mean: &[T]) -> Vec<[f64; 2]> {
    let row = s.row();
    let columns_mean = s.spread_out(mean.to_vec());
    let parts = s.combine(
        #[inline(always)]
        |c, examples| {
            let mean = mean[c];
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
        },
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
        |a, b| [0.0, a[1] + b[1], a[2] + b[2]],
    );
    parts.into_iter().map(|[_, g, gx]| [g, gx]).collect()
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
    let count = (s.n * s.size) as f64;
    let numbers = |c: usize| {
        let r = inverse(var[c], eps);
        let scale = r * weight.map_or(1.0, |w| w[c].to_f64());
        [sums[c][0] / count, r * r * sums[c][1] / count, scale]
    };
    let numbers: Vec<[f64; 3]> = (0..s.channels).map(numbers).collect();
    let [level, slope, scale] = [0, 1, 2].map(|k| s.spread_out(numbers.iter().map(|v| T::from_f64(v[k])).collect()));
    let mean = s.spread_out(mean.to_vec());
    s.fill(
        gx,
        #[inline(always)]
        |c, at, out| {
            let (mean, level, slope, scale) = (mean[c], level[c], slope[c], scale[c]);
            for ((o, &g), &v) in out.iter_mut().zip(&gy[at..]).zip(&x[at..]) {
                *o = (g - level - (v - mean) * slope) * scale;
            }
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
