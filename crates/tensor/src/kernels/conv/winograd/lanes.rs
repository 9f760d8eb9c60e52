//! Vectors of f32 whose quarters of 128 bits can be transposed, for the Winograd transforms.

/// One SIMD register. All functions need the instruction set at run time.
pub(super) trait Lanes: Copy {
    /// Elements in a register: a multiple of four.
    const N: usize;
    unsafe fn splat(v: f32) -> Self;
    unsafe fn load(p: *const f32) -> Self;
    /// Loads the lanes whose bits are set; the others are zero and not read.
    unsafe fn load_some(p: *const f32, bits: u32) -> Self;
    /// Loads four neighbours from each of `N / 4` offsets.
    unsafe fn load_quads(p: *const f32, at: &[u32]) -> Self;
    unsafe fn store(self, p: *mut f32);
    unsafe fn store_first(self, p: *mut f32, n: usize);
    unsafe fn add(self, b: Self) -> Self;
    unsafe fn sub(self, b: Self) -> Self;
    unsafe fn mul(self, b: Self) -> Self;
    /// `self * b + c`.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    /// Transposes the 4x4 matrices that the quarters of four registers form: quad `i` of vector `k`
    /// goes to lane `4 i + k` of the four results. Twice is the identity.
    unsafe fn transpose(v: [Self; 4]) -> [Self; 4];
    /// The first two results of [`Lanes::transpose`].
    unsafe fn transpose_two(v: [Self; 4]) -> [Self; 2];
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

    // SAFETY of all methods below: the callers are compiled for, and run on, the instruction set,
    // and vouch for the addresses; masked lanes are neither read nor written.
    macro_rules! common {
        ($n:literal, $set1:ident, $loadu:ident, $storeu:ident, $add:ident, $sub:ident, $mul:ident, $fma:ident,
         $cast:ident, $back:ident, $lo:ident, $hi:ident, $lo2:ident, $hi2:ident) => {
            const N: usize = $n;
            #[inline(always)]
            unsafe fn splat(v: f32) -> Self {
                // SAFETY: the instruction set is present.
                unsafe { $set1(v) }
            }
            #[inline(always)]
            unsafe fn load(p: *const f32) -> Self {
                // SAFETY: the caller vouches for the address.
                unsafe { $loadu(p) }
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut f32) {
                // SAFETY: the caller vouches for the address.
                unsafe { $storeu(p, self) }
            }
            #[inline(always)]
            unsafe fn add(self, b: Self) -> Self {
                // SAFETY: the instruction set is present.
                unsafe { $add(self, b) }
            }
            #[inline(always)]
            unsafe fn sub(self, b: Self) -> Self {
                // SAFETY: the instruction set is present.
                unsafe { $sub(self, b) }
            }
            #[inline(always)]
            unsafe fn mul(self, b: Self) -> Self {
                // SAFETY: the instruction set is present.
                unsafe { $mul(self, b) }
            }
            #[inline(always)]
            unsafe fn fma(self, b: Self, c: Self) -> Self {
                // SAFETY: the instruction set is present.
                unsafe { $fma(self, b, c) }
            }
            #[inline(always)]
            unsafe fn transpose([a, b, c, d]: [Self; 4]) -> [Self; 4] {
                // SAFETY: the instruction set is present.
                unsafe {
                    let (x, y) = ($cast($lo(a, b)), $cast($hi(a, b)));
                    let (z, w) = ($cast($lo(c, d)), $cast($hi(c, d)));
                    [$back($lo2(x, z)), $back($hi2(x, z)), $back($lo2(y, w)), $back($hi2(y, w))]
                }
            }
            #[inline(always)]
            unsafe fn transpose_two([a, b, c, d]: [Self; 4]) -> [Self; 2] {
                // SAFETY: the instruction set is present.
                unsafe {
                    let (x, z) = ($cast($lo(a, b)), $cast($lo(c, d)));
                    [$back($lo2(x, z)), $back($hi2(x, z))]
                }
            }
        };
    }

    impl Lanes for __m512 {
        common!(
            16,
            _mm512_set1_ps,
            _mm512_loadu_ps,
            _mm512_storeu_ps,
            _mm512_add_ps,
            _mm512_sub_ps,
            _mm512_mul_ps,
            _mm512_fmadd_ps,
            _mm512_castps_pd,
            _mm512_castpd_ps,
            _mm512_unpacklo_ps,
            _mm512_unpackhi_ps,
            _mm512_unpacklo_pd,
            _mm512_unpackhi_pd
        );
        #[inline(always)]
        unsafe fn load_some(p: *const f32, bits: u32) -> Self {
            // SAFETY: the caller vouches for the lanes whose bits are set.
            unsafe { _mm512_maskz_loadu_ps(bits as __mmask16, p) }
        }
        #[inline(always)]
        unsafe fn load_quads(p: *const f32, at: &[u32]) -> Self {
            // SAFETY: the caller vouches for four elements at each offset.
            unsafe {
                let mut v = _mm512_castps128_ps512(_mm_loadu_ps(p.add(at[0] as usize)));
                v = _mm512_mask_broadcast_f32x4(v, 0x00f0, _mm_loadu_ps(p.add(at[1] as usize)));
                v = _mm512_mask_broadcast_f32x4(v, 0x0f00, _mm_loadu_ps(p.add(at[2] as usize)));
                _mm512_mask_broadcast_f32x4(v, 0xf000, _mm_loadu_ps(p.add(at[3] as usize)))
            }
        }
        #[inline(always)]
        unsafe fn store_first(self, p: *mut f32, n: usize) {
            // SAFETY: the caller vouches for the first `n` lanes.
            unsafe { _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as __mmask16, self) }
        }
    }

    impl Lanes for __m256 {
        common!(
            8,
            _mm256_set1_ps,
            _mm256_loadu_ps,
            _mm256_storeu_ps,
            _mm256_add_ps,
            _mm256_sub_ps,
            _mm256_mul_ps,
            _mm256_fmadd_ps,
            _mm256_castps_pd,
            _mm256_castpd_ps,
            _mm256_unpacklo_ps,
            _mm256_unpackhi_ps,
            _mm256_unpacklo_pd,
            _mm256_unpackhi_pd
        );
        #[inline(always)]
        unsafe fn load_some(p: *const f32, bits: u32) -> Self {
            // SAFETY: the caller vouches for the lanes whose bits are set.
            unsafe {
                let lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
                let mask = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(bits as i32), lane), lane);
                _mm256_maskload_ps(p, mask)
            }
        }
        #[inline(always)]
        unsafe fn load_quads(p: *const f32, at: &[u32]) -> Self {
            // SAFETY: the caller vouches for four elements at each offset.
            unsafe { _mm256_loadu2_m128(p.add(at[1] as usize), p.add(at[0] as usize)) }
        }
        #[inline(always)]
        unsafe fn store_first(self, p: *mut f32, n: usize) {
            // SAFETY: the caller vouches for the first `n` lanes; `n` is at most 8, so the mask lies
            // within its table.
            unsafe { _mm256_maskstore_ps(p, _mm256_loadu_si256(MASKS.as_ptr().add(8 - n).cast()), self) }
        }
    }
}
