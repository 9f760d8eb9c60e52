//! Transposes of blocks in registers.
//!
//! A block with fewer rows than lanes reads its last row in place of those that do not exist.

use super::*;

/// 16 x 16: four quarters of 16 bytes from four rows are loaded at once, then transposed 4 x 4 within quarters.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) unsafe fn transpose_16x16(b: &Block<f32>) {
    let mask = ((1u32 << b.cols) - 1) as __mmask16;
    for q in 0..b.rows.div_ceil(4) {
        let mut r = [_mm512_setzero_ps(); 4];
        for (i, v) in r.iter_mut().enumerate() {
            // SAFETY: the caller vouches for `cols` rows of 16 elements.
            unsafe {
                let row = |g: usize| _mm_loadu_ps(b.src.add((4 * g + i).min(b.cols - 1) * b.src_step + 4 * q));
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

/// 8 x 8: each register is loaded with quarters of two rows four apart, then transposed 4 x 4 within halves.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn transpose_8x8(b: &Block<f32>) {
    for h in 0..b.rows.div_ceil(4) {
        let mut r = [_mm256_setzero_ps(); 4];
        for (i, v) in r.iter_mut().enumerate() {
            // SAFETY: the caller vouches for `cols` rows of 8 elements.
            unsafe {
                let row = |i: usize| _mm_loadu_ps(b.src.add(i.min(b.cols - 1) * b.src_step + 4 * h));
                *v = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(row(i)), row(i + 4));
            }
        }
        let (x, y) = (_mm256_unpacklo_ps(r[0], r[1]), _mm256_unpackhi_ps(r[0], r[1]));
        let (z, w) = (_mm256_unpacklo_ps(r[2], r[3]), _mm256_unpackhi_ps(r[2], r[3]));
        let out = [
            _mm256_shuffle_ps::<0x44>(x, z),
            _mm256_shuffle_ps::<0xee>(x, z),
            _mm256_shuffle_ps::<0x44>(y, w),
            _mm256_shuffle_ps::<0xee>(y, w),
        ];
        for (p, v) in out.into_iter().enumerate().take(b.rows - 4 * h) {
            // SAFETY: the caller vouches for `rows` rows of `cols` elements of the result.
            unsafe { F32x8(v).store_some(b.dst.add((4 * h + p) * b.dst_step), b.cols) };
        }
    }
}

/// 4 x 4 in two steps.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn transpose_4x4(b: &Block<f64>) {
    let mut r = [_mm256_setzero_pd(); 4];
    for (i, v) in r.iter_mut().enumerate() {
        // SAFETY: the caller vouches for `cols` rows of 4 elements.
        *v = unsafe { _mm256_loadu_pd(b.src.add(i.min(b.cols - 1) * b.src_step)) };
    }
    let (x, y) = (_mm256_unpacklo_pd(r[0], r[1]), _mm256_unpackhi_pd(r[0], r[1]));
    let (z, w) = (_mm256_unpacklo_pd(r[2], r[3]), _mm256_unpackhi_pd(r[2], r[3]));
    let out = [
        _mm256_permute2f128_pd::<0x20>(x, z),
        _mm256_permute2f128_pd::<0x20>(y, w),
        _mm256_permute2f128_pd::<0x31>(x, z),
        _mm256_permute2f128_pd::<0x31>(y, w),
    ];
    for (p, v) in out.into_iter().enumerate().take(b.rows) {
        // SAFETY: the caller vouches for `rows` rows of `cols` elements of the result.
        unsafe { F64x4(v).store_some(b.dst.add(p * b.dst_step), b.cols) };
    }
}

/// 8 x 8: each register is loaded with pairs of four rows two apart, then pairs are dealt out.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
pub(super) unsafe fn transpose_8x8_f64(b: &Block<f64>) {
    for q in 0..b.rows.div_ceil(2) {
        let mut r = [_mm512_setzero_pd(); 2];
        for (i, r) in r.iter_mut().enumerate() {
            // SAFETY: the caller vouches for `cols` rows of 8 elements.
            unsafe {
                let row = |g: usize| _mm_loadu_pd(b.src.add((2 * g + i).min(b.cols - 1) * b.src_step + 2 * q));
                let v = _mm512_castpd128_pd512(row(0));
                let v = _mm512_mask_broadcast_f64x2(v, 0x0c, row(1));
                let v = _mm512_mask_broadcast_f64x2(v, 0x30, row(2));
                *r = _mm512_mask_broadcast_f64x2(v, 0xc0, row(3));
            }
        }
        let out = [_mm512_unpacklo_pd(r[0], r[1]), _mm512_unpackhi_pd(r[0], r[1])];
        for (p, v) in out.into_iter().enumerate().take(b.rows - 2 * q) {
            // SAFETY: the caller vouches for `rows` rows of `cols` elements of the result.
            unsafe { F64x8(v).store_some(b.dst.add((2 * q + p) * b.dst_step), b.cols) };
        }
    }
}
