//! Computation on slices. Nothing here knows of `Tensor`.
//!
//! Work is split by the shape of the problem, never by the number of threads, so results are
//! bit-identical however many cores there are.

pub(crate) mod attention;
pub(crate) mod conv;
pub(crate) mod finish;
pub(crate) mod gemm;
pub(crate) mod im;
pub(crate) mod map;
pub(crate) mod math;
pub(crate) mod micro;
pub(crate) mod norm;
pub(crate) mod optim;
pub(crate) mod par;
pub(crate) mod pool;
pub(crate) mod recurrent;
pub(crate) mod reduce;
pub(crate) mod scan;
pub(crate) mod scratch;
pub(crate) mod simd;
pub(crate) mod softmax;
pub(crate) mod strided;
