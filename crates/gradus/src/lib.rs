//! Deep learning in Rust, from tensor to endpoint.
