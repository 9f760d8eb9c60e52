//! Models and their registry.
//!
//! A model is a named struct with a typed configuration. [`MODELS`] lists them all; a checkpoint stores an
//! [`Architecture`] (name and configuration) from which [`build`] makes the same model again.

mod digits_cnn;
mod mnist_cnn;
mod mnist_mlp;
mod registry;
mod summary;

pub use digits_cnn::{DigitsCnn, DigitsCnnConfig};
pub use mnist_cnn::{MnistCnn, MnistCnnConfig};
pub use mnist_mlp::MnistMlpConfig;
pub use registry::{Architecture, MODELS, ModelConfig, ModelError, ModelRow, Output, build, find};
pub use summary::{LayerRow, layers};
