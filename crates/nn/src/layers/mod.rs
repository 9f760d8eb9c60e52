//! Layers, one file each.

mod activations;
mod adaptive_avg_pool;
mod attention;
mod avg_pool;
mod batch_norm;
mod conv;
mod dropout;
mod embedding;
mod flatten;
mod group_norm;
mod instance_norm;
mod layer_norm;
mod linear;
mod local_response_norm;
mod max_pool;
mod reparametrize;
mod rms_norm;
mod sequential;
mod sizes;
mod spectral_norm;
mod standardise;
mod weight_norm;

pub use activations::{Identity, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh};
pub use adaptive_avg_pool::{AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d};
pub use attention::{
    AdditiveScore, Attention, AttentionMasks, AttentionOptions, ConcatScore, DotScore, GeneralScore,
    LearnedPositionalEncoding, MultiheadAttention, NotesAttention, PositionalEncoding, PositionwiseFeedForward,
    RotaryPositionalEmbedding, Score, Transformer, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder,
    TransformerEncoderLayer, TransformerMasks, TransformerOptions, alibi_bias, generate_square_subsequent_mask,
    scaled_dot_product_attention, scaled_dot_product_attention_with,
};
pub use avg_pool::{AvgPool, AvgPool1d, AvgPool2d, AvgPool3d};
pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d};
pub use conv::{Conv, Conv1d, Conv2d, Conv3d};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use group_norm::GroupNorm;
pub use instance_norm::{InstanceNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use local_response_norm::LocalResponseNorm;
pub use max_pool::{MaxPool, MaxPool1d, MaxPool2d, MaxPool3d};
pub use reparametrize::HasWeight;
pub use rms_norm::RMSNorm;
pub use sequential::Sequential;
pub use sizes::IntoSizes;
pub use spectral_norm::SpectralNorm;
pub use weight_norm::WeightNorm;
