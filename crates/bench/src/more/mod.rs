//! Further workloads of the same kinds: what is fast for the core ones should be fast for these.

pub(crate) mod generative;
pub(crate) mod sequence;
pub(crate) mod text;
pub(crate) mod vision;
