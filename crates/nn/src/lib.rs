//! Layers, losses, optimisers, initialisers and state dicts.
pub mod serialize;
