//! The claims of the example programs.

use std::sync::{Mutex, MutexGuard};

#[path = "examples/centring.rs"]
mod centring;
#[path = "examples/depth.rs"]
mod depth;
#[path = "examples/dilation.rs"]
mod dilation;
#[path = "examples/edges.rs"]
mod edges;
#[path = "examples/every_layer.rs"]
mod every_layer;
#[path = "examples/loss_curves.rs"]
mod loss_curves;
#[path = "examples/optimizer_paths.rs"]
mod optimizer_paths;
#[path = "examples/perceptron.rs"]
mod perceptron;
#[path = "examples/rnn_spectrum.rs"]
mod rnn_spectrum;
#[path = "examples/universal_approximation.rs"]
mod universal_approximation;
#[path = "examples/variance_by_init.rs"]
mod variance_by_init;
#[path = "examples/xor.rs"]
mod xor;
#[path = "examples/zero_init.rs"]
mod zero_init;

/// Held while an example runs: all threads draw from the one generator that it seeds.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|e| e.into_inner())
}
