//! What is done to parameters and gradients beside the optimiser's step: clipping, averaging, flattening, restarts.

mod average;
mod clip_grad;
mod convert;
mod restarts;

pub use average::AveragedModel;
pub use clip_grad::{NonFiniteNorm, clip_grad_norm_, clip_grad_norm_with, clip_grad_value_, get_total_norm};
pub use convert::{parameters_to_vector, vector_to_parameters};
pub use restarts::{Restart, random_restarts};
