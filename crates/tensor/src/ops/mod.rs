//! Operations on tensors, a family a file. Each holds its doc, its forward pass, its backward rule and
//! its checks; `tests/ops.rs` runs a row for every one of them.

pub(crate) mod binary;
mod cast;
pub(crate) mod index;
mod inplace;
mod join;
mod matmul;
mod reduce;
mod softmax;
pub(crate) mod unary;
mod view;
