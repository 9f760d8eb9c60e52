//! placeholder until merge: matrix product through the crate `gemm`.
pub(crate) fn gemm<T: 'static + crate::kernels::math::Num>(m: usize, n: usize, k: usize, a: &[T], (ra, ca): (usize, usize), b: &[T], (rb, cb): (usize, usize), accumulate: bool, c: &mut [T], (rc, cc): (usize, usize)) {
    unsafe { ::gemm::gemm(m, n, k, c.as_mut_ptr(), cc as isize, rc as isize, accumulate, a.as_ptr(), ca as isize, ra as isize, b.as_ptr(), cb as isize, rb as isize, T::ONE, T::ONE, false, false, false, ::gemm::Parallelism::None) }
}
