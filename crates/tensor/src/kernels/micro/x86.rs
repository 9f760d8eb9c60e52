//! The tile kernels of AVX-512 and of AVX2 with FMA.

use super::dot::{self, Dot, pick_dot};
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
    ($name:ident, $t:ty, $lanes:literal, $mask:ty, $set1:ident, $loadu:ident, $storeu:ident, $mload:ident, $mstore:ident, $fma:ident, $max:ident, $zero:ident $(, $sums:item)?) => {
        impl Vector for $name {
            type T = $t;
            $(#[inline(always)]
            $sums)?
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
    _mm512_setzero_ps,
    unsafe fn sums([a, b, c, d]: [Self; DOTS]) -> [f32; DOTS] {
        // SAFETY: AVX-512 is present.
        unsafe { F32x8::sums([half_sum(a), half_sum(b), half_sum(c), half_sum(d)]) }
    }
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

/// The lower half plus the upper.
#[inline(always)]
unsafe fn half_sum(v: F32x16) -> F32x8 {
    // SAFETY: the callers run on AVX-512.
    unsafe { F32x8(_mm256_add_ps(_mm512_castps512_ps256(v.0), _mm512_extractf32x8_ps::<1>(v.0))) }
}

static MASK32: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
static MASK64: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];

macro_rules! vector256 {
    ($name:ident, $t:ty, $lanes:literal, $masks:ident, $set1:ident, $loadu:ident, $storeu:ident, $mload:ident, $mstore:ident, $fma:ident, $max:ident, $zero:ident $(, $sums:item)?) => {
        impl Vector for $name {
            type T = $t;
            $(#[inline(always)]
            $sums)?
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
    _mm256_setzero_ps,
    unsafe fn sums([a, b, c, d]: [Self; DOTS]) -> [f32; DOTS] {
        // SAFETY: AVX2 is present, and the result has four elements.
        unsafe {
            let all = _mm256_hadd_ps(_mm256_hadd_ps(a.0, b.0), _mm256_hadd_ps(c.0, d.0));
            let four = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps::<1>(all));
            let mut sums = [0.0; DOTS];
            _mm_storeu_ps(sums.as_mut_ptr(), four);
            sums
        }
    }
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
    ($name:ident, $copy:ident, $dot:ident, $v:ty, $features:literal) => {
        #[target_feature(enable = $features)]
        unsafe fn $dot<const MR: usize, const NR: usize>(t: &Dot<<$v as Vector>::T>) {
            // SAFETY: forwarded from the caller; see `DotKernel`.
            unsafe { dot::body::<$v, MR, NR>(t) }
        }

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
entry!(f32x16, copy_f32x16, dot_f32x16, F32x16, "avx512f,avx512bw,avx512dq,avx512vl,fma");
entry!(f64x8, copy_f64x8, dot_f64x8, F64x8, "avx512f,avx512bw,avx512dq,avx512vl,fma");
entry!(f32x8, copy_f32x8, dot_f32x8, F32x8, "avx2,fma");
entry!(f64x4, copy_f64x4, dot_f64x4, F64x4, "avx2,fma");

/// Work compiled for AVX-512.
///
/// # Safety
/// The machine has it.
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,popcnt,lzcnt,f16c")]
pub unsafe fn run_wide<V: Vector, W: Work<V::T>>(work: W) {
    // SAFETY: forwarded from the caller.
    unsafe { work.run::<V>() }
}

/// Work compiled for AVX2 with FMA.
///
/// # Safety
/// The machine has it.
#[target_feature(enable = "avx2,fma,bmi1,bmi2,popcnt,lzcnt,f16c")]
pub unsafe fn run_narrow<V: Vector, W: Work<V::T>>(work: W) {
    // SAFETY: forwarded from the caller.
    unsafe { work.run::<V>() }
}

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
    ($f:ident, $copy:ident, $dot:ident, $v:ty, $transpose:expr) => {
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
            max_dot_rows: 6,
            dot: |mr, nr| pick_dot!($dot, mr, nr, [1 2 3 4 5 6]),
            transpose: $transpose,
            copy: $copy,
        }
    };
}
macro_rules! tiles256 {
    ($f:ident, $copy:ident, $dot:ident, $v:ty, $transpose:expr) => {
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
            max_dot_rows: 3,
            dot: |mr, nr| pick_dot!($dot, mr, nr, [1 2 3]),
            transpose: $transpose,
            copy: $copy,
        }
    };
}

pub fn tiles_f32() -> Option<Tiles<f32>> {
    match level() {
        Level::Avx512 => Some(tiles512!(f32x16, copy_f32x16, dot_f32x16, F32x16, transpose_16x16)),
        Level::Avx2 => Some(tiles256!(f32x8, copy_f32x8, dot_f32x8, F32x8, transpose_8x8)),
        _ => None,
    }
}

pub fn tiles_f64() -> Option<Tiles<f64>> {
    match level() {
        Level::Avx512 => Some(tiles512!(f64x8, copy_f64x8, dot_f64x8, F64x8, transpose_8x8_f64)),
        Level::Avx2 => Some(tiles256!(f64x4, copy_f64x4, dot_f64x4, F64x4, transpose_4x4)),
        _ => None,
    }
}

mod transpose;
use transpose::{transpose_4x4, transpose_8x8, transpose_8x8_f64, transpose_16x16};
