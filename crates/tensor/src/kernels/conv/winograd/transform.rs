//! The transforms of F(4x4, 3x3) and of its transposes, lanes over tiles or channels.
//!
//! The points are 0, ±√½, ±√2 and infinity. Their product is one and their powers stay near one, so
//! that no transform magnifies rounding: the result's error is about twice that of the direct sum,
//! where the customary 0, ±1, ±2 make it five to ten times.

use super::grid::{Group, NOTHING, Places};
use super::lanes::Lanes;

/// Products of a tile: 6 x 6.
pub(super) const POINTS: usize = 36;
/// The smaller point.
const A: f32 = std::f32::consts::FRAC_1_SQRT_2;
/// The larger one.
const B: f32 = std::f32::consts::SQRT_2;
/// Floats of a line of [`Lines`]: tiles of four columns, a gap of four after each run, one vector
/// to spare, and a tile of zeros.
const LINE: usize = NOTHING + 16;

/// Six transformed rows of a group of tiles.
#[repr(align(64))]
struct Lines([[f32; LINE]; 6]);

/// Tiles of some channels to be transformed; see [`Kernels::input`].
pub(super) struct Input<'a> {
    /// First channel's first image: planes of the source.
    pub src: *const f32,
    /// Elements from one channel to the next.
    pub plane: usize,
    /// Elements from one image to the next.
    pub image: usize,
    /// Channels.
    pub channels: usize,
    /// Rows and columns of a plane.
    pub extent: [usize; 2],
    /// The tiles.
    pub group: &'a Group,
    /// Result of the first point and channel: `N` tiles side by side, in the order in which
    /// [`Lanes::transpose`] leaves them.
    pub dst: *mut f32,
    /// Elements of the result from one point to the next.
    pub point_step: usize,
    /// Elements of the result from one channel to the next.
    pub channel_step: usize,
}

/// Sums of products to be transformed back; see [`Kernels::output`].
pub(super) struct Output<'a> {
    /// First point and channel, `N` tiles side by side.
    pub src: *const f32,
    /// Elements from one point to the next.
    pub point_step: usize,
    /// Elements from one channel to the next.
    pub channel_step: usize,
    /// Channels.
    pub channels: usize,
    /// First channel's plane in the first image.
    pub dst: *mut f32,
    /// Elements of a plane of the result.
    pub plane: usize,
    /// Columns of a plane of the result.
    pub width: usize,
    /// Where the tiles go.
    pub places: &'a Places,
}

/// Weights of `N` channels of the result to be transformed; see [`Kernels::weights`].
pub(super) struct Weights {
    /// Nine weights in vectors of `N`.
    pub src: *const f32,
    /// Whether the kernel is turned by 180 degrees.
    pub turned: bool,
    /// Result of the first point.
    pub dst: *mut f32,
    /// Elements from one point to the next.
    pub point_step: usize,
}

/// Sums over tiles from which gradients of kernels are made; see [`Kernels::kernel`].
pub(super) struct Restored {
    /// First point: a vector of channels.
    pub src: *const f32,
    /// Elements from one point to the next.
    pub point_step: usize,
    /// Nine vectors.
    pub dst: *mut f32,
}

/// The transforms of one instruction set.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    /// Tiles of a group.
    pub lanes: usize,
    /// Makes the 36 points of a group of tiles.
    pub input: unsafe fn(&Input<'_>),
    /// Makes the 16 results of a group of tiles.
    pub output: unsafe fn(&Output<'_>),
    /// Makes the 36 points of kernels.
    pub weights: unsafe fn(&Weights),
    /// Makes the 36 points of a group of 4x4 tiles of the result's gradient.
    pub gradient: unsafe fn(&Input<'_>),
    /// Makes the nine gradients of kernels.
    pub kernel: unsafe fn(&Restored),
}

/// One dimension of the input's transform.
#[inline(always)]
unsafe fn input_line<V: Lanes>(d: [V; 6]) -> [V; 6] {
    // SAFETY: forwarded from the caller.
    unsafe {
        let (two, half, both) = (V::splat(-2.0), V::splat(-0.5), V::splat(-2.5));
        let (even_a, odd_a) = (d[2].fma(two, d[4]), d[1].fma(two, d[3]));
        let (even_b, odd_b) = (d[2].fma(half, d[4]), d[1].fma(half, d[3]));
        [
            d[2].fma(both, d[0].add(d[4])),
            odd_a.fma(V::splat(A), even_a),
            odd_a.fma(V::splat(-A), even_a),
            odd_b.fma(V::splat(B), even_b),
            odd_b.fma(V::splat(-B), even_b),
            d[3].fma(both, d[1].add(d[5])),
        ]
    }
}

/// One dimension of the result's transform.
#[inline(always)]
unsafe fn output_line<V: Lanes>(m: [V; 6]) -> [V; 4] {
    // SAFETY: forwarded from the caller.
    unsafe {
        let (p, s) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (q, r) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(p.add(q)),
            r.fma(V::splat(B), s.mul(V::splat(A))),
            q.fma(V::splat(2.0), p.mul(V::splat(0.5))),
            r.fma(V::splat(2.0 * B), s.fma(V::splat(0.5 * A), m[5])),
        ]
    }
}

/// One dimension of the kernel's transform.
#[inline(always)]
unsafe fn weight_line<V: Lanes>(g: [V; 3]) -> [V; 6] {
    const CA: f32 = -2.0 / 3.0;
    const CB: f32 = 1.0 / 6.0;
    // SAFETY: forwarded from the caller.
    unsafe {
        let even_a = g[2].fma(V::splat(0.5 * CA), g[0].mul(V::splat(CA)));
        let even_b = g[2].fma(V::splat(2.0 * CB), g[0].mul(V::splat(CB)));
        [
            g[0],
            g[1].fma(V::splat(CA * A), even_a),
            g[1].fma(V::splat(-CA * A), even_a),
            g[1].fma(V::splat(CB * B), even_b),
            g[1].fma(V::splat(-CB * B), even_b),
            g[2],
        ]
    }
}

/// One dimension of the transform of the result's gradient, of which tiles have four.
#[inline(always)]
unsafe fn gradient_line<V: Lanes>(g: [V; 4]) -> [V; 6] {
    const CA: f32 = -2.0 / 3.0;
    const CB: f32 = 1.0 / 6.0;
    // SAFETY: forwarded from the caller.
    unsafe {
        let even_a = g[2].fma(V::splat(0.5 * CA), g[0].mul(V::splat(CA)));
        let even_b = g[2].fma(V::splat(2.0 * CB), g[0].mul(V::splat(CB)));
        let (odd_a, odd_b) = (g[3].fma(V::splat(0.5), g[1]), g[3].fma(V::splat(2.0), g[1]));
        [
            g[0],
            odd_a.fma(V::splat(CA * A), even_a),
            odd_a.fma(V::splat(-CA * A), even_a),
            odd_b.fma(V::splat(CB * B), even_b),
            odd_b.fma(V::splat(-CB * B), even_b),
            g[3],
        ]
    }
}

/// One dimension of the back transform of the kernel's gradient.
#[inline(always)]
unsafe fn kernel_line<V: Lanes>(m: [V; 6]) -> [V; 3] {
    // SAFETY: forwarded from the caller.
    unsafe {
        let (p, s) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (q, r) = (m[3].add(m[4]), m[3].sub(m[4]));
        [m[0].add(p.add(q)), r.fma(V::splat(B), s.mul(V::splat(A))), q.fma(V::splat(2.0), p.fma(V::splat(0.5), m[5]))]
    }
}

/// One dimension of a tile of the input (six elements) or of the result's gradient (four).
#[inline(always)]
unsafe fn tile_line<V: Lanes, const SIDE: usize>(d: [V; 6]) -> [V; 6] {
    // SAFETY: forwarded from the caller.
    unsafe { if SIDE == 6 { input_line(d) } else { gradient_line([d[0], d[1], d[2], d[3]]) } }
}

/// Transforms the columns of the runs of a group: the rows of each run become six others.
#[inline(always)]
unsafe fn columns<V: Lanes, const SIDE: usize>(src: *const f32, job: &Input<'_>, lines: &mut Lines) {
    let [height, width] = job.extent;
    for run in job.group.runs() {
        let plane = src.wrapping_add(run.image * job.image);
        let inside = run.y >= 0 && run.y + SIDE as isize <= height as isize;
        let mut j = 0;
        while j < run.width {
            let x = run.x + j as isize;
            let first = (-x).clamp(0, V::N as isize) as u32;
            let end = (width as isize - x).clamp(0, V::N as isize) as u32;
            let bits = ((1u64 << end) - (1u64 << first.min(end))) as u32;
            // SAFETY: only lanes inside the plane are read, and the line has a vector to spare.
            unsafe {
                let mut rows = [V::splat(0.0); 6];
                for i in 0..SIDE {
                    let y = run.y + i as isize;
                    if inside || (y >= 0 && y < height as isize) {
                        rows[i] = V::load_some(plane.wrapping_offset(y * width as isize + x), bits);
                    }
                }
                let t = tile_line::<V, SIDE>(rows);
                for (line, v) in lines.0.iter_mut().zip(t) {
                    v.store(line.as_mut_ptr().add(run.at + j));
                }
            }
            j += V::N;
        }
    }
}

/// Four columns of each tile of a group, a quarter of the tiles a vector. (No closure: one that is not
/// inlined would lack the instruction set.)
#[inline(always)]
unsafe fn quarters<V: Lanes>(line: *const f32, group: &Group) -> [V; 4] {
    let quads = V::N / 4;
    // SAFETY: the tiles lie within the line.
    unsafe {
        let mut v = [V::splat(0.0); 4];
        for k in 0..4 {
            let at = &group.at[k * quads..(k + 1) * quads];
            v[k] = if group.near[k] { V::load(line.add(at[0] as usize)) } else { V::load_quads(line, at) };
        }
        v
    }
}

#[inline(always)]
unsafe fn input<V: Lanes, const SIDE: usize>(job: &Input<'_>) {
    let mut lines = Lines([[0.0; LINE]; 6]);
    for c in 0..job.channels {
        // SAFETY: the caller vouches for every plane and result of the job; the offsets of the
        // group's tiles are within a line.
        unsafe {
            columns::<V, SIDE>(job.src.add(c * job.plane), job, &mut lines);
            let dst = job.dst.add(c * job.channel_step);
            for (i, line) in lines.0.iter().enumerate() {
                let line = line.as_ptr();
                let [a, b, c, d] = V::transpose(quarters(line, job.group));
                let [e, f] = match SIDE {
                    6 => V::transpose_two(quarters(line.add(4), job.group)),
                    _ => [a, b],
                };
                for (j, v) in tile_line::<V, SIDE>([a, b, c, d, e, f]).into_iter().enumerate() {
                    v.store(dst.add((i * 6 + j) * job.point_step));
                }
            }
        }
    }
}

/// One column of the 6 x 6 points of a vector.
#[inline(always)]
unsafe fn column<V: Lanes>(src: *const f32, step: usize) -> [V; 6] {
    // SAFETY: the caller vouches for all points.
    unsafe {
        let mut v = [V::splat(0.0); 6];
        for i in 0..6 {
            v[i] = V::load(src.add(6 * i * step));
        }
        v
    }
}

#[inline(always)]
unsafe fn output<V: Lanes>(job: &Output<'_>) {
    let quads = V::N / 4;
    for c in 0..job.channels {
        // SAFETY: the caller vouches for the sums and for the places in the result.
        unsafe {
            let src = job.src.add(c * job.channel_step);
            let mut t = [[V::splat(0.0); 6]; 4];
            for j in 0..6 {
                let v = output_line(column(src.add(j * job.point_step), job.point_step));
                for i in 0..4 {
                    t[i][j] = v[i];
                }
            }
            let dst = job.dst.add(c * job.plane);
            for (i, row) in t.into_iter().enumerate() {
                for (k, v) in V::transpose(output_line(row)).into_iter().enumerate() {
                    let p = job.places;
                    let to = dst.wrapping_add(i * job.width);
                    if p.whole[k] {
                        let first = &p.tiles[k * quads];
                        if i < first.rows {
                            match p.cols[k] {
                                n if n == V::N => v.store(to.add(first.at)),
                                n => v.store_first(to.add(first.at), n),
                            }
                        }
                        continue;
                    }
                    let mut spare = [0.0f32; 16];
                    v.store(spare.as_mut_ptr());
                    for (q, tile) in p.tiles[k * quads..(k + 1) * quads].iter().enumerate() {
                        if i >= tile.rows {
                            continue;
                        }
                        let (from, to) = (spare.as_ptr().add(4 * q), to.add(tile.at));
                        match tile.cols {
                            4 => to.cast::<[f32; 4]>().write_unaligned(from.cast::<[f32; 4]>().read()),
                            n => (0..n).for_each(|x| *to.add(x) = *from.add(x)),
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn weights<V: Lanes>(job: &Weights) {
    // SAFETY: the caller vouches for nine vectors and for 36 of the result.
    unsafe {
        let mut g = [V::splat(0.0); 9];
        for tap in 0..9 {
            g[tap] = V::load(job.src.add(V::N * if job.turned { 8 - tap } else { tap }));
        }
        let mut t = [[V::splat(0.0); 3]; 6];
        for j in 0..3 {
            let v = weight_line([g[j], g[3 + j], g[6 + j]]);
            for i in 0..6 {
                t[i][j] = v[i];
            }
        }
        for (i, row) in t.into_iter().enumerate() {
            for (j, v) in weight_line(row).into_iter().enumerate() {
                v.store(job.dst.add((i * 6 + j) * job.point_step));
            }
        }
    }
}

#[inline(always)]
unsafe fn kernel<V: Lanes>(job: &Restored) {
    // SAFETY: the caller vouches for 36 vectors and for nine of the result.
    unsafe {
        let mut t = [[V::splat(0.0); 6]; 3];
        for j in 0..6 {
            let v = kernel_line(column(job.src.add(j * job.point_step), job.point_step));
            for i in 0..3 {
                t[i][j] = v[i];
            }
        }
        for (i, row) in t.into_iter().enumerate() {
            for (j, v) in kernel_line(row).into_iter().enumerate() {
                v.store(job.dst.add(V::N * (i * 3 + j)));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use crate::kernels::simd::{Level, level};
    use std::arch::x86_64::{__m256, __m512};

    macro_rules! entries {
        ($kernels:ident, $input:ident, $output:ident, $weights:ident, $gradient:ident, $kernel:ident, $v:ty, $features:literal) => {
            #[target_feature(enable = $features)]
            unsafe fn $input(job: &Input<'_>) {
                // SAFETY: forwarded from the caller.
                unsafe { input::<$v, 6>(job) }
            }
            #[target_feature(enable = $features)]
            unsafe fn $output(job: &Output<'_>) {
                // SAFETY: forwarded from the caller.
                unsafe { output::<$v>(job) }
            }
            #[target_feature(enable = $features)]
            unsafe fn $weights(job: &Weights) {
                // SAFETY: forwarded from the caller.
                unsafe { weights::<$v>(job) }
            }
            #[target_feature(enable = $features)]
            unsafe fn $gradient(job: &Input<'_>) {
                // SAFETY: forwarded from the caller.
                unsafe { input::<$v, 4>(job) }
            }
            #[target_feature(enable = $features)]
            unsafe fn $kernel(job: &Restored) {
                // SAFETY: forwarded from the caller.
                unsafe { kernel::<$v>(job) }
            }
            const $kernels: Kernels = Kernels {
                lanes: <$v>::N,
                input: $input,
                output: $output,
                weights: $weights,
                gradient: $gradient,
                kernel: $kernel,
            };
        };
    }
    entries!(
        AVX512,
        input_512,
        output_512,
        weights_512,
        gradient_512,
        kernel_512,
        __m512,
        "avx512f,avx512bw,avx512dq,avx512vl,fma"
    );
    entries!(AVX2, input_256, output_256, weights_256, gradient_256, kernel_256, __m256, "avx2,fma");

    pub fn kernels() -> Option<Kernels> {
        match level() {
            Level::Avx512 => Some(AVX512),
            Level::Avx2 => Some(AVX2),
            _ => None,
        }
    }
}

/// The transforms of the instruction set in use, if it has any.
pub(super) fn kernels() -> Option<Kernels> {
    #[cfg(target_arch = "x86_64")]
    return x86::kernels();
    #[cfg(not(target_arch = "x86_64"))]
    None
}
