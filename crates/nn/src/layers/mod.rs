//! Layers, one file each.

mod activations;
mod adaptive_avg_pool;
mod alpha_dropout;
mod avg_pool;
mod batch_norm;
mod capsules;
mod channel_dropout;
mod conv;
mod drop_path;
mod dropout;
mod embedding;
mod flatten;
mod linear;
mod max_pool;
mod maxout;
mod multilayer_perceptron;
mod perceptron;
mod prelu;
mod rrelu;
mod sequential;
mod sizes;

pub use activations::{
    Approximate, CELU, ELU, GELU, GLU, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, Heaviside, Identity, LeakyReLU,
    LogSigmoid, LogSoftmax, Mish, ReLU, ReLU6, SELU, SiLU, Sigmoid, Sign, Softmax, Softmax2d, Softmin, Softplus,
    Softshrink, Softsign, Tanh, Tanhshrink, Threshold,
};
pub use adaptive_avg_pool::{AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d};
pub use alpha_dropout::{AlphaDropout, FeatureAlphaDropout};
pub use avg_pool::{AvgPool, AvgPool1d, AvgPool2d, AvgPool3d};
pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d};
pub use capsules::{CapsuleLayer, CapsuleLength, PrimaryCapsules, Squash, dynamic_routing};
pub use channel_dropout::{ChannelDropout, Dropout1d, Dropout2d, Dropout3d};
pub use conv::{Conv, Conv1d, Conv2d, Conv3d};
pub use drop_path::{DropPath, DropPathMode};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use linear::Linear;
pub use max_pool::{MaxPool, MaxPool1d, MaxPool2d, MaxPool3d};
pub use maxout::Maxout;
pub use multilayer_perceptron::MultilayerPerceptron;
pub use perceptron::{Perceptron, StepFunction};
pub use prelu::PReLU;
pub use rrelu::RReLU;
pub use sequential::Sequential;
pub use sizes::IntoSizes;
