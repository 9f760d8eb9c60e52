//! Register-tile kernels under the matrix products and convolutions.
//!
//! A tile is `MR` rows by `NV` vectors of accumulators that stay in registers while `k` runs:
//! `acc[i][j] += a(i, p) * b(p, j)` with `b` a row of `NV` vectors and `a(i, p)` a broadcast scalar.
//! The body is written once over [`Vector`] and compiled for each instruction set.

use super::simd::{Level, level};

/// A floating-point element of the kernels: `f32` or `f64`.
pub trait Real:
    Copy
    + Send
    + Sync
    + PartialOrd
    + Default
    + std::fmt::Debug
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::AddAssign
    + std::ops::MulAssign
    + std::iter::Sum
    + 'static
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Negative infinity.
    const NEG_INFINITY: Self;
    /// The nearest value of this type.
    fn from_f64(v: f64) -> Self;
    /// The value as `f64`.
    fn to_f64(self) -> f64;
    /// Whether this is a NaN.
    fn is_nan(self) -> bool;
    /// The tile kernels of the instruction set in use, if it has any.
    fn tiles() -> Option<Tiles<Self>>;
}

/// Where the scalars `a(i, p)` of a tile lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// `a + i + p * a_step`: the rows of the tile are neighbours.
    Rows = 0,
    /// `a + i * a_step + p`: `k` is contiguous, each row has its own pointer.
    Depth = 1,
    /// `a + i + table[p]`: neighbours at offsets from a table (convolutions).
    Table = 2,
}

/// Arguments of a tile kernel; see [`Walk`] for `a`.
#[derive(Clone, Copy)]
pub struct Tile<T> {
    /// Steps of the reduction.
    pub k: usize,
    /// First scalar.
    pub a: *const T,
    /// Stride of `a`, by its [`Walk`].
    pub a_step: usize,
    /// `k` offsets for [`Walk::Table`].
    pub table: *const u32,
    /// First row of `b`: each row has `NV` full vectors.
    pub b: *const T,
    /// Elements from one row of `b` to the next.
    pub b_step: usize,
    /// First element of the output tile, whose columns are contiguous.
    pub c: *mut T,
    /// Elements from one row of `c` to the next.
    pub c_step: usize,
    /// Columns of `c` that exist: more than `(NV - 1)` vectors, at most `NV`.
    pub cols: usize,
    /// Factor of the product.
    pub alpha: T,
    /// Factor of the old `c`, which is not read if this is zero.
    pub beta: T,
    /// One term a column, or null.
    pub bias: *const T,
    /// Whether negative results become zero (a NaN stays).
    pub relu: bool,
}

/// A tile kernel.
///
/// # Safety
/// Every address that [`Tile`] describes for the kernel's rows and vectors must be readable (`c`:
/// writable in its first `cols` columns), and the instruction set must be the machine's.
pub type Kernel<T> = unsafe fn(&Tile<T>);

/// The tile kernels of one element type and instruction set.
#[derive(Clone, Copy)]
pub struct Tiles<T> {
    /// Elements in a vector.
    pub lanes: usize,
    /// Most vectors in a tile.
    pub max_vectors: usize,
    /// Most rows for a number of vectors.
    pub max_rows: fn(Walk, usize) -> usize,
    /// The kernel for a number of rows and vectors within those limits.
    pub kernel: fn(Walk, usize, usize) -> Kernel<T>,
    /// Transposes a block of `lanes` x `lanes`: `dst[p * dst_step + i] = src[i * src_step + p]`.
    pub transpose: unsafe fn(src: *const T, src_step: usize, dst: *mut T, dst_step: usize),
    /// Copies a matrix of short rows; see [`Rows`].
    pub copy: unsafe fn(rows: &Rows<T>),
}

/// A matrix to be copied: `rows` rows of `cols` elements, ahead of which the cache is warmed.
#[derive(Clone, Copy)]
pub struct Rows<T> {
    /// First element of the source.
    pub src: *const T,
    /// Elements from one row of the source to the next.
    pub src_step: usize,
    /// First element of the copy.
    pub dst: *mut T,
    /// Elements from one row of the copy to the next.
    pub dst_step: usize,
    /// Number of rows.
    pub rows: usize,
    /// Elements in a row.
    pub cols: usize,
    /// Whether the copy's rows are filled with zeros to whole vectors.
    pub pad: bool,
}

/// One SIMD register. All functions need the instruction set at run time.
trait Vector: Copy {
    type T: Real;
    const LANES: usize;
    unsafe fn splat(v: Self::T) -> Self;
    unsafe fn load(p: *const Self::T) -> Self;
    unsafe fn store(self, p: *mut Self::T);
    /// Loads the first `n` lanes; the others are zero.
    unsafe fn load_first(p: *const Self::T, n: usize) -> Self;
    unsafe fn store_first(self, p: *mut Self::T, n: usize);
    /// `self * b + c`.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    /// Zero if negative; a NaN stays.
    unsafe fn relu(self) -> Self;
    /// Asks for the cache line of an address, which need not be valid.
    unsafe fn prefetch(p: *const Self::T);
}

/// Rows of the source that [`copy_rows`] asks for ahead of the one it copies.
const AHEAD: usize = 12;

#[inline(always)]
unsafe fn copy_rows<V: Vector>(r: &Rows<V::T>) {
    let full = r.cols / V::LANES;
    let rest = r.cols % V::LANES;
    for i in 0..r.rows {
        // SAFETY: the caller vouches for all rows; prefetched addresses need not be valid.
        unsafe {
            let (src, dst) = (r.src.add(i * r.src_step), r.dst.add(i * r.dst_step));
            let ahead = src.wrapping_add(AHEAD * r.src_step);
            for j in 0..full {
                V::prefetch(ahead.wrapping_add(j * V::LANES));
                V::load(src.add(j * V::LANES)).store(dst.add(j * V::LANES));
            }
            if rest > 0 {
                V::prefetch(ahead.wrapping_add(full * V::LANES));
                let v = V::load_first(src.add(full * V::LANES), rest);
                let dst = dst.add(full * V::LANES);
                if r.pad {
                    v.store(dst)
                } else {
                    v.store_first(dst, rest)
                }
            }
        }
    }
}

/// The body of every tile kernel.
#[inline(always)]
unsafe fn body<V: Vector, const MR: usize, const NV: usize, const WALK: usize>(t: &Tile<V::T>) {
    // SAFETY: the caller vouches for every address; see `Kernel`.
    unsafe {
        for i in 0..MR {
            for j in 0..NV {
                // The output is touched only at the end: its lines arrive meanwhile.
                V::prefetch(t.c.wrapping_add(i * t.c_step + j * V::LANES));
            }
        }
        let zero = V::splat(V::T::ZERO);
        let mut acc = [[zero; NV]; MR];
        let (mut b, mut a) = (t.b, t.a);
        for p in 0..t.k {
            let mut row = [zero; NV];
            for j in 0..NV {
                row[j] = V::load(b.add(j * V::LANES));
            }
            b = b.add(t.b_step);
            let at = match WALK {
                0 => a,
                1 => t.a.add(p),
                _ => t.a.add(*t.table.add(p) as usize),
            };
            for i in 0..MR {
                let x = V::splat(if WALK == 1 {
                    *at.add(i * t.a_step)
                } else {
                    *at.add(i)
                });
                for j in 0..NV {
                    acc[i][j] = x.fma(row[j], acc[i][j]);
                }
            }
            if WALK == 0 {
                a = a.add(t.a_step);
            }
        }
        finish::<V, MR, NV>(t, &acc);
    }
}

#[inline(always)]
unsafe fn finish<V: Vector, const MR: usize, const NV: usize>(t: &Tile<V::T>, acc: &[[V; NV]; MR]) {
    // SAFETY: the caller vouches for every address; see `Kernel`.
    unsafe {
        let zero = V::splat(V::T::ZERO);
        let last = t.cols - (NV - 1) * V::LANES;
        let plain = t.beta == V::T::ZERO && t.bias.is_null() && !t.relu && t.alpha == V::T::ONE;
        let (alpha, beta) = (V::splat(t.alpha), V::splat(t.beta));
        for i in 0..MR {
            for j in 0..NV {
                let c = t.c.add(i * t.c_step + j * V::LANES);
                let full = j + 1 < NV || last == V::LANES;
                let mut v = acc[i][j];
                if !plain {
                    let mut base = zero;
                    if !t.bias.is_null() {
                        let bias = t.bias.add(j * V::LANES);
                        base = if full {
                            V::load(bias)
                        } else {
                            V::load_first(bias, last)
                        };
                    }
                    if t.beta != V::T::ZERO {
                        let old = if full {
                            V::load(c)
                        } else {
                            V::load_first(c, last)
                        };
                        base = beta.fma(old, base);
                    }
                    v = alpha.fma(v, base);
                    if t.relu {
                        v = v.relu();
                    }
                }
                if full {
                    v.store(c)
                } else {
                    v.store_first(c, last)
                }
            }
        }
    }
}

/// Picks a kernel from all (rows, vectors) pairs listed.
macro_rules! pick {
    ($f:ident, $walk:expr, $mr:expr, $nv:expr, [$($nvs:literal: $($mrs:literal)*;)*]) => {
        match ($walk as usize, $mr, $nv) {
            $($((0, $mrs, $nvs) => $f::<$mrs, $nvs, 0>,)*)*
            $($((1, $mrs, $nvs) => $f::<$mrs, $nvs, 1>,)*)*
            $($((2, $mrs, $nvs) => $f::<$mrs, $nvs, 2>,)*)*
            (walk, mr, nv) => panic!("no tile kernel of {mr} rows and {nv} vectors for walk {walk}"),
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use std::arch::x86_64::*;

    #[derive(Clone, Copy)]
    pub struct F32x16(__m512);
    #[derive(Clone, Copy)]
    pub struct F64x8(__m512d);
    #[derive(Clone, Copy)]
    pub struct F32x8(__m256);
    #[derive(Clone, Copy)]
    pub struct F64x4(__m256d);

    // SAFETY of all methods below: the callers are compiled for, and run on, the instruction set.
    macro_rules! vector512 {
        ($name:ident, $t:ty, $lanes:literal, $mask:ty, $set1:ident, $loadu:ident, $storeu:ident, $mload:ident, $mstore:ident, $fma:ident, $max:ident, $zero:ident) => {
            impl Vector for $name {
                type T = $t;
                const LANES: usize = $lanes;
                #[inline(always)]
                unsafe fn splat(v: $t) -> Self {
                    // SAFETY: AVX-512 is present.
                    unsafe { Self($set1(v)) }
                }
                #[inline(always)]
                unsafe fn load(p: *const $t) -> Self {
                    // SAFETY: the caller vouches for the address.
                    unsafe { Self($loadu(p)) }
                }
                #[inline(always)]
                unsafe fn store(self, p: *mut $t) {
                    // SAFETY: the caller vouches for the address.
                    unsafe { $storeu(p, self.0) }
                }
                #[inline(always)]
                unsafe fn load_first(p: *const $t, n: usize) -> Self {
                    // SAFETY: the caller vouches for the first `n` lanes; masked lanes are not read.
                    unsafe { Self($mload(((1u32 << n) - 1) as $mask, p)) }
                }
                #[inline(always)]
                unsafe fn store_first(self, p: *mut $t, n: usize) {
                    // SAFETY: the caller vouches for the first `n` lanes; others are not written.
                    unsafe { $mstore(p, ((1u32 << n) - 1) as $mask, self.0) }
                }
                #[inline(always)]
                unsafe fn fma(self, b: Self, c: Self) -> Self {
                    // SAFETY: AVX-512 is present.
                    unsafe { Self($fma(self.0, b.0, c.0)) }
                }
                #[inline(always)]
                unsafe fn relu(self) -> Self {
                    // SAFETY: AVX-512 is present.
                    unsafe { Self($max($zero(), self.0)) }
                }
                #[inline(always)]
                unsafe fn prefetch(p: *const $t) {
                    // SAFETY: a prefetch of an invalid address does nothing.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
                }
            }
        };
    }
    vector512!(
        F32x16,
        f32,
        16,
        __mmask16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_maskz_loadu_ps,
        _mm512_mask_storeu_ps,
        _mm512_fmadd_ps,
        _mm512_max_ps,
        _mm512_setzero_ps
    );
    vector512!(
        F64x8,
        f64,
        8,
        __mmask8,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_maskz_loadu_pd,
        _mm512_mask_storeu_pd,
        _mm512_fmadd_pd,
        _mm512_max_pd,
        _mm512_setzero_pd
    );

    static MASK32: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    static MASK64: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];

    macro_rules! vector256 {
        ($name:ident, $t:ty, $lanes:literal, $masks:ident, $set1:ident, $loadu:ident, $storeu:ident, $mload:ident, $mstore:ident, $fma:ident, $max:ident, $zero:ident) => {
            impl Vector for $name {
                type T = $t;
                const LANES: usize = $lanes;
                #[inline(always)]
                unsafe fn splat(v: $t) -> Self {
                    // SAFETY: AVX2 is present.
                    unsafe { Self($set1(v)) }
                }
                #[inline(always)]
                unsafe fn load(p: *const $t) -> Self {
                    // SAFETY: the caller vouches for the address.
                    unsafe { Self($loadu(p)) }
                }
                #[inline(always)]
                unsafe fn store(self, p: *mut $t) {
                    // SAFETY: the caller vouches for the address.
                    unsafe { $storeu(p, self.0) }
                }
                #[inline(always)]
                unsafe fn load_first(p: *const $t, n: usize) -> Self {
                    // SAFETY: the caller vouches for the first `n` lanes; `n` is at most LANES, so
                    // the mask lies within its table.
                    unsafe {
                        Self($mload(
                            p,
                            _mm256_loadu_si256($masks.as_ptr().add($lanes - n).cast()),
                        ))
                    }
                }
                #[inline(always)]
                unsafe fn store_first(self, p: *mut $t, n: usize) {
                    // SAFETY: as for `load_first`.
                    unsafe {
                        $mstore(
                            p,
                            _mm256_loadu_si256($masks.as_ptr().add($lanes - n).cast()),
                            self.0,
                        )
                    }
                }
                #[inline(always)]
                unsafe fn fma(self, b: Self, c: Self) -> Self {
                    // SAFETY: FMA is present.
                    unsafe { Self($fma(self.0, b.0, c.0)) }
                }
                #[inline(always)]
                unsafe fn relu(self) -> Self {
                    // SAFETY: AVX2 is present.
                    unsafe { Self($max($zero(), self.0)) }
                }
                #[inline(always)]
                unsafe fn prefetch(p: *const $t) {
                    // SAFETY: a prefetch of an invalid address does nothing.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
                }
            }
        };
    }
    vector256!(
        F32x8,
        f32,
        8,
        MASK32,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_maskload_ps,
        _mm256_maskstore_ps,
        _mm256_fmadd_ps,
        _mm256_max_ps,
        _mm256_setzero_ps
    );
    vector256!(
        F64x4,
        f64,
        4,
        MASK64,
        _mm256_set1_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_maskload_pd,
        _mm256_maskstore_pd,
        _mm256_fmadd_pd,
        _mm256_max_pd,
        _mm256_setzero_pd
    );

    macro_rules! entry {
        ($name:ident, $copy:ident, $v:ty, $features:literal) => {
            #[target_feature(enable = $features)]
            unsafe fn $copy(r: &Rows<<$v as Vector>::T>) {
                // SAFETY: forwarded from the caller.
                unsafe { copy_rows::<$v>(r) }
            }

            #[target_feature(enable = $features)]
            unsafe fn $name<const MR: usize, const NV: usize, const WALK: usize>(
                t: &Tile<<$v as Vector>::T>,
            ) {
                // SAFETY: forwarded from the caller; see `Kernel`.
                unsafe { body::<$v, MR, NV, WALK>(t) }
            }
        };
    }
    entry!(
        f32x16,
        copy_f32x16,
        F32x16,
        "avx512f,avx512bw,avx512dq,avx512vl,fma"
    );
    entry!(
        f64x8,
        copy_f64x8,
        F64x8,
        "avx512f,avx512bw,avx512dq,avx512vl,fma"
    );
    entry!(f32x8, copy_f32x8, F32x8, "avx2,fma");
    entry!(f64x4, copy_f64x4, F64x4, "avx2,fma");

    /// 32 registers: accumulators, a row of `b` and one broadcast.
    fn rows512(walk: Walk, nv: usize) -> usize {
        match (nv, walk) {
            (1 | 2, Walk::Depth) => 8,
            (1 | 2, _) => 14,
            (3, Walk::Depth) => 8,
            (3, _) => 9,
            _ => 6,
        }
    }

    /// 16 registers.
    fn rows256(_: Walk, nv: usize) -> usize {
        match nv {
            1 => 8,
            2 => 6,
            _ => 4,
        }
    }

    macro_rules! tiles512 {
        ($f:ident, $copy:ident, $v:ty, $transpose:expr) => {
            Tiles {
                lanes: <$v>::LANES,
                max_vectors: 4,
                max_rows: rows512,
                kernel: |walk, mr, nv| {
                    pick!($f, walk, mr, nv, [
                        1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
                        2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
                        3: 1 2 3 4 5 6 7 8 9;
                        4: 1 2 3 4 5 6;
                    ])
                },
                transpose: $transpose,
                copy: $copy,
            }
        };
    }
    macro_rules! tiles256 {
        ($f:ident, $copy:ident, $v:ty) => {
            Tiles {
                lanes: <$v>::LANES,
                max_vectors: 3,
                max_rows: rows256,
                kernel: |walk, mr, nv| {
                    pick!($f, walk, mr, nv, [
                        1: 1 2 3 4 5 6 7 8;
                        2: 1 2 3 4 5 6;
                        3: 1 2 3 4;
                    ])
                },
                transpose: transpose_scalar::<$v>,
                copy: $copy,
            }
        };
    }

    pub fn tiles_f32() -> Option<Tiles<f32>> {
        match level() {
            Level::Avx512 => Some(tiles512!(f32x16, copy_f32x16, F32x16, transpose_16x16)),
            Level::Avx2 => Some(tiles256!(f32x8, copy_f32x8, F32x8)),
            _ => None,
        }
    }

    pub fn tiles_f64() -> Option<Tiles<f64>> {
        match level() {
            Level::Avx512 => Some(tiles512!(
                f64x8,
                copy_f64x8,
                F64x8,
                transpose_scalar::<F64x8>
            )),
            Level::Avx2 => Some(tiles256!(f64x4, copy_f64x4, F64x4)),
            _ => None,
        }
    }

    unsafe fn transpose_scalar<V: Vector>(
        src: *const V::T,
        src_step: usize,
        dst: *mut V::T,
        dst_step: usize,
    ) {
        for p in 0..V::LANES {
            for i in 0..V::LANES {
                // SAFETY: the caller vouches for both blocks.
                unsafe { *dst.add(p * dst_step + i) = *src.add(i * src_step + p) };
            }
        }
    }

    /// Loads four quarters of 16 bytes from four rows, then transposes 4x4 within quarters.
    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn transpose_16x16(src: *const f32, src_step: usize, dst: *mut f32, dst_step: usize) {
        for q in 0..4 {
            let mut r = [_mm512_setzero_ps(); 4];
            for (i, v) in r.iter_mut().enumerate() {
                // SAFETY: the caller vouches for 16 rows of 16 elements.
                unsafe {
                    let row = |g: usize| _mm_loadu_ps(src.add((4 * g + i) * src_step + 4 * q));
                    *v = _mm512_castps128_ps512(row(0));
                    *v = _mm512_mask_broadcast_f32x4(*v, 0x00f0, row(1));
                    *v = _mm512_mask_broadcast_f32x4(*v, 0x0f00, row(2));
                    *v = _mm512_mask_broadcast_f32x4(*v, 0xf000, row(3));
                }
            }
            let (a, b) = (
                _mm512_unpacklo_ps(r[0], r[1]),
                _mm512_unpackhi_ps(r[0], r[1]),
            );
            let (c, d) = (
                _mm512_unpacklo_ps(r[2], r[3]),
                _mm512_unpackhi_ps(r[2], r[3]),
            );
            let pair = |x: __m512, y: __m512| (_mm512_castps_pd(x), _mm512_castps_pd(y));
            let ((ac, ca), (bd, db)) = (pair(a, c), pair(b, d));
            let out = [
                _mm512_unpacklo_pd(ac, ca),
                _mm512_unpackhi_pd(ac, ca),
                _mm512_unpacklo_pd(bd, db),
                _mm512_unpackhi_pd(bd, db),
            ];
            for (p, v) in out.into_iter().enumerate() {
                // SAFETY: the caller vouches for 16 rows of 16 elements.
                unsafe { _mm512_storeu_ps(dst.add((4 * q + p) * dst_step), _mm512_castpd_ps(v)) };
            }
        }
    }
}

macro_rules! real {
    ($t:ident, $tiles:ident) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NEG_INFINITY: Self = $t::NEG_INFINITY;
            #[inline(always)]
            fn from_f64(v: f64) -> Self {
                v as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                self != self
            }
            fn tiles() -> Option<Tiles<Self>> {
                #[cfg(target_arch = "x86_64")]
                return x86::$tiles();
                #[cfg(not(target_arch = "x86_64"))]
                return None;
            }
        }
    };
}
real!(f32, tiles_f32);
real!(f64, tiles_f64);
