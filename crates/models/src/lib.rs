//! Models and their registry.
