//! By group of channels, in each example: x is read as `[n, groups, planes, size]`, a row holding all planes of a
//! group. Layer normalisation is one group of planes of one number.

use super::{Float, inverse, spread, sum, sums};
use crate::kernels::par::{self, GRAIN, SharedMut};
use crate::kernels::simd;

/// Extents of the operand, and what is done with it.
#[derive(Clone, Copy)]
pub(crate) struct Groups {
    /// Examples times groups.
    pub rows: usize,
    pub groups: usize,
    pub planes: usize,
    pub size: usize,
    /// Whether the mean is taken out; else it counts as zero.
    pub centred: bool,
    pub eps: f64,
}

impl Groups {
    fn row(&self) -> usize {
        self.planes * self.size
    }

    fn channels(&self) -> usize {
        self.groups * self.planes
    }

    /// The channels of a row.
    fn of_row(&self, row: usize) -> std::ops::Range<usize> {
        let first = row % self.groups * self.planes;
        first..first + self.planes
    }
}

/// One number a channel, or as many of `value`.
fn or_all<T: Float>(given: Option<&[T]>, value: T, n: usize) -> std::borrow::Cow<'_, [T]> {
    given.map_or_else(|| vec![value; n].into(), Into::into)
}

/// out = (x - mean) / sqrt(var + eps) * weight + bias; also mean and biased variance of each row.
pub(crate) fn forward<T: Float>(
    s: &Groups,
    x: &[T],
    weight: Option<&[T]>,
    bias: Option<&[T]>,
    (out, mean, var): (&mut [T], &mut [T], &mut [T]),
) {
    let k = s.row();
    if x.is_empty() {
        mean.fill(T::from_f64(f64::NAN));
        return var.fill(T::from_f64(f64::NAN));
    }
    let (weight, bias) = (or_all(weight, T::ONE, s.channels()), or_all(bias, T::ZERO, s.channels()));
    let (means, vars) = (SharedMut::new(mean), SharedMut::new(var));
    let per = GRAIN.div_ceil(k);
    par::for_each_chunk_mut(out, per * k, |job, piece| {
        let (first, rows) = (job * per, piece.len() / k);
        // SAFETY: each job has rows of its own.
        let (means, vars) = unsafe { (means.slice(first, rows), vars.slice(first, rows)) };
        simd::run(
            #[inline(always)]
            || {
                for (i, out) in piece.chunks_exact_mut(k).enumerate() {
                    let (x, channels) = (&x[(first + i) * k..][..k], s.of_row(first + i));
                    let (mean, m2) = if s.centred { spread(x) } else { (T::ZERO, sum(x, |v| v * v)) };
                    let var = m2 / T::from_f64(k as f64);
                    (means[i], vars[i]) = (mean, var);
                    let scale = T::from_f64(inverse(var, s.eps));
                    affine(s.size, x, mean, scale, &weight[channels.clone()], &bias[channels], out);
                }
            },
        );
    });
}

/// One row of the forward pass.
#[inline(always)]
fn affine<T: Float>(size: usize, x: &[T], mean: T, scale: T, weight: &[T], bias: &[T], out: &mut [T]) {
    if size == 1 {
        let n = out.len();
        let (x, weight, bias) = (&x[..n], &weight[..n], &bias[..n]);
        for i in 0..n {
            out[i] = (x[i] - mean) * scale * weight[i] + bias[i];
        }
        return;
    }
    let planes = out.chunks_exact_mut(size).zip(x.chunks_exact(size));
    for ((out, x), (&w, &b)) in planes.zip(weight.iter().zip(bias)) {
        let scale = scale * w;
        for (o, &v) in out.iter_mut().zip(x) {
            *o = (v - mean) * scale + b;
        }
    }
}

/// Which gradients are asked for; those that are not stay empty.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub x: bool,
    pub parameters: bool,
}

/// The gradients of x, weight and bias. With r = 1 / sqrt(var + eps), z = (x - mean) r, h = gy weight and means over
/// the row: r (h - mean(h) - z mean(h z)); the sums of gy z and of gy. A mean that counts as zero has no part.
pub(crate) fn backward<T: Float>(
    s: &Groups,
    (x, gy): (&[T], &[T]),
    (mean, var): (&[T], &[T]),
    weight: Option<&[T]>,
    wanted: Wanted,
    (gx, gw, gb): (&mut [T], &mut [T], &mut [T]),
) {
    let (k, channels) = (s.row(), s.channels());
    if x.is_empty() {
        gw.fill(T::ZERO);
        return gb.fill(T::ZERO);
    }
    let weight = or_all(weight, T::ONE, channels);
    // Pieces of at least a grain; few, so that their sums are little work, but not so long that adding up loses digits.
    let least = GRAIN.div_ceil(k);
    let per = s.rows.div_ceil(64).clamp(least, least.max(256));
    let jobs = s.rows.div_ceil(per);
    let width = if wanted.parameters { 2 * channels } else { 0 };
    let mut parts = vec![T::ZERO; jobs * width];
    let (gx, shared) = (SharedMut::new(gx), SharedMut::new(&mut parts));
    par::for_each(jobs, |job| {
        // SAFETY: each job has sums of its own.
        let parts = unsafe { shared.slice(job * width, width) };
        let rows = job * per..((job + 1) * per).min(s.rows);
        simd::run(
            #[inline(always)]
            || {
                for row in rows {
                    let (x, gy) = (&x[row * k..][..k], &gy[row * k..][..k]);
                    let numbers = (mean[row], inverse(var[row], s.eps));
                    // SAFETY: each job has rows of its own.
                    let gx = wanted.x.then(|| unsafe { gx.slice(row * k, k) });
                    let of_row = s.of_row(row);
                    let sums = wanted.parameters.then(|| {
                        let (gw, gb) = parts.split_at_mut(channels);
                        (&mut gw[of_row.clone()], &mut gb[of_row.clone()])
                    });
                    if s.size == 1 {
                        narrow_row(s, x, gy, numbers, &weight[of_row.clone()], gx, sums);
                    } else {
                        wide_row(s, x, gy, numbers, &weight[of_row.clone()], gx, sums);
                    }
                }
            },
        );
    });
    if wanted.parameters {
        let mut totals = vec![0.0; width];
        for part in parts.chunks_exact(width) {
            totals.iter_mut().zip(part).for_each(|(t, p)| *t += p.to_f64());
        }
        gw.iter_mut().zip(&totals).for_each(|(g, &t)| *g = T::from_f64(t));
        gb.iter_mut().zip(&totals[channels..]).for_each(|(g, &t)| *g = T::from_f64(t));
    }
}

/// What the sums of h and h (x - mean) over a row leave for the gradient of x: mean(h), the factor of x - mean, and
/// that of the whole, (h - mean(h) - (x - mean) r^2 mean(h (x - mean))) r.
#[inline(always)]
fn factors<T: Float>(s: &Groups, r: f64, of_h: T, of_hx: T) -> (T, T, T) {
    let k = s.row() as f64;
    let mean = if s.centred { of_h.to_f64() / k } else { 0.0 };
    (T::from_f64(mean), T::from_f64(r * r * of_hx.to_f64() / k), T::from_f64(r))
}

/// A row of planes of one number: the weight goes along.
#[inline(always)]
fn narrow_row<T: Float>(
    s: &Groups,
    x: &[T],
    gy: &[T],
    (mean, r): (T, f64),
    weight: &[T],
    gx: Option<&mut [T]>,
    sums_of_parameters: Option<(&mut [T], &mut [T])>,
) {
    let n = x.len();
    let (gy, weight) = (&gy[..n], &weight[..n]);
    if let Some((gw, gb)) = sums_of_parameters {
        let (gw, gb, scale) = (&mut gw[..n], &mut gb[..n], T::from_f64(r));
        for i in 0..n {
            gw[i] += gy[i] * (x[i] - mean) * scale;
            gb[i] += gy[i];
        }
    }
    if let Some(gx) = gx {
        let gx = &mut gx[..n];
        // h for a while
        for i in 0..n {
            gx[i] = gy[i] * weight[i];
        }
        let (of_h, of_hx) = sums(gx, x, |h, x| (h, h * (x - mean)));
        let (level, slope, scale) = factors(s, r, of_h, of_hx);
        for i in 0..n {
            gx[i] = (gx[i] - level - (x[i] - mean) * slope) * scale;
        }
    }
}

/// A row of planes of several numbers: the weight is a number for each.
#[inline(always)]
fn wide_row<T: Float>(
    s: &Groups,
    x: &[T],
    gy: &[T],
    (mean, r): (T, f64),
    weight: &[T],
    gx: Option<&mut [T]>,
    mut sums_of_parameters: Option<(&mut [T], &mut [T])>,
) {
    let (mut of_h, mut of_hx) = (T::ZERO, T::ZERO);
    for (p, (x, gy)) in x.chunks_exact(s.size).zip(gy.chunks_exact(s.size)).enumerate() {
        let (g, gx) = sums(gy, x, |g, x| (g, g * (x - mean)));
        of_h += g * weight[p];
        of_hx += gx * weight[p];
        if let Some((gw, gb)) = &mut sums_of_parameters {
            gw[p] += gx * T::from_f64(r);
            gb[p] += g;
        }
    }
    let Some(gx) = gx else { return };
    let (level, slope, scale) = factors(s, r, of_h, of_hx);
    let planes = gx.chunks_exact_mut(s.size).zip(x.chunks_exact(s.size).zip(gy.chunks_exact(s.size)));
    for ((gx, (x, gy)), &w) in planes.zip(weight) {
        for ((o, &v), &g) in gx.iter_mut().zip(x).zip(gy) {
            *o = (g * w - level - (v - mean) * slope) * scale;
        }
    }
}
