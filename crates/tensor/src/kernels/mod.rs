//! Kernels: functions over slices and strides that know nothing of `Tensor`.

pub mod conv;
pub mod gemm;
pub mod im;
pub mod micro;
pub mod par;
pub mod pool;
pub(crate) mod scratch;
pub mod simd;
