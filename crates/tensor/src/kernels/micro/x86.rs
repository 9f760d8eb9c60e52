//! The tile kernels of AVX-512 and of AVX2 with FMA.

use super::*;
use crate::kernels::simd::{Level, level};
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
                unsafe { Self($mload(p, _mm256_loadu_si256($masks.as_ptr().add($lanes - n).cast()))) }
            }
            #[inline(always)]
            unsafe fn store_first(self, p: *mut $t, n: usize) {
                // SAFETY: as for `load_first`.
                unsafe { $mstore(p, _mm256_loadu_si256($masks.as_ptr().add($lanes - n).cast()), self.0) }
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
        unsafe fn $name<const MR: usize, const NV: usize, const WALK: usize>(t: &Tile<<$v as Vector>::T>) {
            // SAFETY: forwarded from the caller; see `Kernel`.
            unsafe { body::<$v, MR, NV, WALK>(t) }
        }
    };
}
entry!(f32x16, copy_f32x16, F32x16, "avx512f,avx512bw,avx512dq,avx512vl,fma");
entry!(f64x8, copy_f64x8, F64x8, "avx512f,avx512bw,avx512dq,avx512vl,fma");
entry!(f32x8, copy_f32x8, F32x8, "avx2,fma");
entry!(f64x4, copy_f64x4, F64x4, "avx2,fma");

/// 32 registers: accumulators, a row of `b` and one broadcast.
fn rows512(walk: Walk, nv: usize) -> usize {
    match (nv, walk) {
        (1 | 2, Walk::Depth) => 8,
        (1 | 2, Walk::Spread) => 9,
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
        Level::Avx512 => Some(tiles512!(f64x8, copy_f64x8, F64x8, transpose_scalar::<F64x8>)),
        Level::Avx2 => Some(tiles256!(f64x4, copy_f64x4, F64x4)),
        _ => None,
    }
}

/// Loads four quarters of 16 bytes from four rows, then transposes 4x4 within quarters.
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn transpose_16x16(b: &Block<f32>) {
    let mask = ((1u32 << b.cols) - 1) as __mmask16;
    for q in 0..b.rows.div_ceil(4) {
        let mut r = [_mm512_setzero_ps(); 4];
        for (i, v) in r.iter_mut().enumerate() {
            // SAFETY: the caller vouches for 16 rows of 16 elements.
            unsafe {
                let row = |g: usize| _mm_loadu_ps(b.src.add((4 * g + i) * b.src_step + 4 * q));
                *v = _mm512_castps128_ps512(row(0));
                *v = _mm512_mask_broadcast_f32x4(*v, 0x00f0, row(1));
                *v = _mm512_mask_broadcast_f32x4(*v, 0x0f00, row(2));
                *v = _mm512_mask_broadcast_f32x4(*v, 0xf000, row(3));
            }
        }
        let (x, y) = (_mm512_unpacklo_ps(r[0], r[1]), _mm512_unpackhi_ps(r[0], r[1]));
        let (z, w) = (_mm512_unpacklo_ps(r[2], r[3]), _mm512_unpackhi_ps(r[2], r[3]));
        let pair = |x: __m512, y: __m512| (_mm512_castps_pd(x), _mm512_castps_pd(y));
        let ((xz, zx), (yw, wy)) = (pair(x, z), pair(y, w));
        let out = [
            _mm512_unpacklo_pd(xz, zx),
            _mm512_unpackhi_pd(xz, zx),
            _mm512_unpacklo_pd(yw, wy),
            _mm512_unpackhi_pd(yw, wy),
        ];
        for (p, v) in out.into_iter().enumerate().take(b.rows - 4 * q) {
            // SAFETY: the caller vouches for `rows` rows of `cols` elements of the result.
            unsafe {
                let dst = b.dst.add((4 * q + p) * b.dst_step);
                _mm512_mask_storeu_ps(dst, mask, _mm512_castpd_ps(v));
            }
        }
    }
}
