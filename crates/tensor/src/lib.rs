//! Tensors, reverse-mode automatic differentiation and the kernels beneath them.
//!
//! ```
//! use gradus_tensor::{Tensor, manual_seed};
//! manual_seed(0);
//! let w = Tensor::randn([3, 2]).requires_grad_(true);
//! let loss = Tensor::ones([4, 3]).matmul(&w).square().mean();
//! loss.backward();
//! assert_eq!(w.grad().unwrap().shape(), [3, 2]);
//! ```

pub mod autograd;
mod deferred;
mod display;
mod dtype;
pub mod io;
mod kept;
mod kernels;
pub mod memory;
mod ops;
pub mod optim_kernels;
pub mod profiler;
mod random;
pub mod scope;
mod shape;
mod storage;
mod tensor;

pub use autograd::{is_grad_enabled, no_grad, set_grad_enabled};
pub use dtype::{DType, Element};
pub use half::{bf16, f16};
pub use kernels::par::{set_threads, threads};
pub use kernels::simd::instruction_set;
pub use ops::attention::AttentionRule;
pub use ops::conv::ConvConfig;
pub use ops::interpolate::Interpolation;
pub use ops::layout::ImageLayout;
pub use ops::pad::PadMode;
pub use ops::pool::PoolConfig;
pub use random::{RngState, manual_seed, rng_state, set_rng_state};
pub use scope::fail;
pub use shape::{IntoDims, IntoShape, MAX_RANK, Shape};
pub use tensor::{Device, Tensor};
