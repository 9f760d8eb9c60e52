//! Layers, one file each.

mod activations;
mod adaptive_avg_pool;
mod avg_pool;
mod batch_norm;
mod conv;
mod dropout;
mod embedding;
mod flatten;
mod gaussian_noise;
mod linear;
mod max_pool;
mod sequential;
mod sizes;

pub use activations::{Identity, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh};
pub use adaptive_avg_pool::{AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d};
pub use avg_pool::{AvgPool, AvgPool1d, AvgPool2d, AvgPool3d};
pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d};
pub use conv::{Conv, Conv1d, Conv2d, Conv3d};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use gaussian_noise::GaussianNoise;
pub use linear::Linear;
pub use max_pool::{MaxPool, MaxPool1d, MaxPool2d, MaxPool3d};
pub use sequential::Sequential;
pub use sizes::IntoSizes;
