//! Tensors, reverse-mode automatic differentiation and the kernels beneath them.

pub mod kernels;
