//! Layers, losses, optimisers, initialisers, state dicts and probes.

// `#[derive(Module)]` names this crate by its own name, here as everywhere else.
extern crate self as gradus_nn;

pub mod distance;
pub mod init;
pub mod layers;
pub mod losses;
pub mod module;
pub mod optim;
pub mod probe;
pub mod serialize;
pub mod utils;

pub use layers::*;
pub use module::{Buffer, Forward, LoadError, Mode, Module, Param, Scope};
pub use serialize::StateDict;
