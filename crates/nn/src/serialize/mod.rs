//! State dicts and the files they live in.

#[allow(dead_code)]
mod pickle;
