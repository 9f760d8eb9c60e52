//! The claims of the example programs.

use std::sync::{Mutex, MutexGuard};

#[path = "examples/every_layer.rs"]
mod every_layer;
#[path = "examples/rnn_spectrum.rs"]
mod rnn_spectrum;
#[path = "examples/variance_by_init.rs"]
mod variance_by_init;
#[path = "examples/zero_init.rs"]
mod zero_init;

/// Held while an example runs: all threads draw from the one generator that it seeds.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|e| e.into_inner())
}
