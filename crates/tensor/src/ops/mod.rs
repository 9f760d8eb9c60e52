//! Operations on tensors, a family a file. Each holds its doc, its forward pass, its backward rule and
//! its checks; `tests/ops.rs` runs a row for every one of them.

mod activation;
pub(crate) mod attention;
pub(crate) mod binary;
mod cast;
pub(crate) mod conv;
mod diagonal;
mod eigen;
mod einsum;
mod fold;
pub(crate) mod index;
mod inplace;
pub(crate) mod interpolate;
mod join;
pub(crate) mod layout;
pub(crate) mod matmul;
mod norm;
pub(crate) mod pad;
mod place;
pub(crate) mod pool;
mod rearrange;
mod recurrent;
mod reduce;
mod scan;
mod softmax;
mod sort;
pub(crate) mod unary;
mod view;
