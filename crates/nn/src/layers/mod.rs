//! Layers, one file each; activations, attention and recurrent layers in folders.
//!
//! By kind (of those in 1, 2 and 3 dimensions only the second is named):
//!
//! | kind | layers |
//! |---|---|
//! | lists and branches | [`Sequential`], [`Residual`], [`Concat`], [`DenseBlock`], [`Identity`] |
//! | linear | [`Linear`], [`Bilinear`], [`Maxout`], [`Perceptron`], [`MultilayerPerceptron`] |
//! | convolution | [`Conv2d`], [`ConvTranspose2d`], [`DepthwiseSeparableConv2d`], [`FixedConv2d`] with [`filters`] |
//! | pooling | [`MaxPool2d`], [`AvgPool2d`], [`LPPool2d`], [`AdaptiveAvgPool2d`], [`AdaptiveMaxPool2d`], [`MaxUnpool2d`] |
//! | padding | [`ZeroPad2d`], [`ConstantPad2d`], [`ReflectionPad2d`], [`ReplicationPad2d`], [`CircularPad2d`] |
//! | shape | [`Flatten`], [`Unflatten`], [`Fold`], [`Unfold`], [`Upsample`], [`PixelShuffle`], [`PixelUnshuffle`], [`ChannelShuffle`] |
//! | activation | [`ReLU`], [`ReLU6`], [`LeakyReLU`], [`PReLU`], [`RReLU`], [`ELU`], [`CELU`], [`SELU`], [`GELU`], [`SiLU`], [`Mish`], [`Softplus`], [`Softsign`], [`Sigmoid`], [`LogSigmoid`], [`Hardsigmoid`], [`Hardswish`], [`Tanh`], [`Hardtanh`], [`Tanhshrink`], [`Hardshrink`], [`Softshrink`], [`Threshold`], [`GLU`], [`Softmax`], [`Softmax2d`], [`Softmin`], [`LogSoftmax`], [`Heaviside`], [`Sign`] |
//! | normalisation | [`BatchNorm2d`], [`InstanceNorm2d`], [`LayerNorm`], [`GroupNorm`], [`RMSNorm`], [`LocalResponseNorm`]; around a layer: [`WeightNorm`], [`SpectralNorm`] |
//! | noise | [`Dropout`], [`Dropout2d`], [`AlphaDropout`], [`FeatureAlphaDropout`], [`DropPath`], [`GaussianNoise`] |
//! | tables | [`Embedding`], [`EmbeddingBag`] |
//! | recurrent | [`RNN`], [`LSTM`], [`GRU`], [`PeepholeLSTM`], [`ConvRNN`], [`ConvLSTM`], [`VanillaRNN`], [`TDNN`], their cells; around them: [`Outputs`], [`LastStep`], [`Stateful`] |
//! | attention | [`MultiheadAttention`], [`Attention`] with its scores, [`TransformerEncoder`], [`TransformerDecoder`], [`Transformer`], [`PositionalEncoding`], [`LearnedPositionalEncoding`], [`RotaryPositionalEmbedding`] |
//! | capsules | [`PrimaryCapsules`], [`CapsuleLayer`], [`Squash`], [`CapsuleLength`] |
//! | similarity | [`CosineSimilarity`], [`PairwiseDistance`] |
//!
//! What else stands below are their options, states, masks and parts.

mod activations;
mod adaptive_avg_pool;
mod adaptive_max_pool;
mod alpha_dropout;
mod attention;
mod avg_pool;
mod batch_norm;
mod bilinear;
mod capsules;
mod channel_dropout;
mod channels;
mod concat;
mod conv;
mod conv_transpose;
mod dense_block;
mod depthwise_separable;
mod drop_path;
mod dropout;
mod embedding;
mod embedding_bag;
pub mod filters;
mod fixed_conv;
mod flatten;
mod fold;
mod gaussian_noise;
mod group_norm;
mod instance_norm;
mod layer_norm;
mod linear;
mod local_response_norm;
mod lp_pool;
mod max_pool;
mod max_unpool;
mod maxout;
mod multilayer_perceptron;
mod pad;
mod perceptron;
mod pixel_shuffle;
mod prelu;
mod recurrent;
mod reparametrize;
mod residual;
mod rms_norm;
mod rrelu;
mod sequential;
mod similarity;
mod sizes;
mod spectral_norm;
mod unflatten;
mod upsample;
mod weight_norm;

pub use activations::{
    Approximate, CELU, ELU, GELU, GLU, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, Heaviside, Identity, LeakyReLU,
    LogSigmoid, LogSoftmax, Mish, ReLU, ReLU6, SELU, SiLU, Sigmoid, Sign, Softmax, Softmax2d, Softmin, Softplus,
    Softshrink, Softsign, Tanh, Tanhshrink, Threshold,
};
pub use adaptive_avg_pool::{AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d};
pub use adaptive_max_pool::{AdaptiveMaxPool, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d};
pub use alpha_dropout::{AlphaDropout, FeatureAlphaDropout};
pub use attention::{
    AdditiveScore, Attention, AttentionMasks, AttentionOptions, ConcatScore, DotScore, GeneralScore,
    LearnedPositionalEncoding, MultiheadAttention, NotesAttention, PositionalEncoding, PositionwiseFeedForward,
    RotaryPositionalEmbedding, Score, Transformer, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder,
    TransformerEncoderLayer, TransformerMasks, TransformerOptions, alibi_bias, generate_square_subsequent_mask,
    scaled_dot_product_attention, scaled_dot_product_attention_with,
};
pub use avg_pool::{AvgPool, AvgPool1d, AvgPool2d, AvgPool3d};
pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d};
pub use bilinear::Bilinear;
pub use capsules::{CapsuleLayer, CapsuleLength, PrimaryCapsules, Squash, dynamic_routing};
pub use channel_dropout::{ChannelDropout, Dropout1d, Dropout2d, Dropout3d};
pub use concat::Concat;
pub use conv::{Conv, Conv1d, Conv2d, Conv3d, Padding, PaddingMode};
pub use conv_transpose::{ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d};
pub use dense_block::{DenseBlock, DenseLayerKind};
pub use depthwise_separable::{
    DepthwiseSeparableConv, DepthwiseSeparableConv1d, DepthwiseSeparableConv2d, DepthwiseSeparableConv3d,
};
pub use drop_path::{DropPath, DropPathMode};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use embedding_bag::{BagMode, EmbeddingBag};
pub use fixed_conv::FixedConv2d;
pub use flatten::Flatten;
pub use fold::{Fold, Unfold};
pub use gaussian_noise::GaussianNoise;
pub use gradus_tensor::Interpolation;
pub use group_norm::GroupNorm;
pub use instance_norm::{InstanceNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use local_response_norm::LocalResponseNorm;
pub use lp_pool::{LPPool, LPPool1d, LPPool2d, LPPool3d};
pub use max_pool::{MaxPool, MaxPool1d, MaxPool2d, MaxPool3d};
pub use max_unpool::{MaxUnpool, MaxUnpool1d, MaxUnpool2d, MaxUnpool3d};
pub use maxout::Maxout;
pub use multilayer_perceptron::MultilayerPerceptron;
pub use pad::{
    CircularPad, CircularPad1d, CircularPad2d, CircularPad3d, ConstantPad, ConstantPad1d, ConstantPad2d, ConstantPad3d,
    IntoPads, ReflectionPad, ReflectionPad1d, ReflectionPad2d, ReflectionPad3d, ReplicationPad, ReplicationPad1d,
    ReplicationPad2d, ReplicationPad3d, ZeroPad, ZeroPad1d, ZeroPad2d, ZeroPad3d,
};
pub use perceptron::{Perceptron, StepFunction};
pub use pixel_shuffle::{ChannelShuffle, PixelShuffle, PixelUnshuffle};
pub use prelu::PReLU;
pub use recurrent::{
    ConvLSTM, ConvLSTMCell, ConvRNN, ConvRNNCell, ElmanNetwork, GRU, GRUCell, LSTM, LSTMCell, LSTMGates, LSTMState,
    LastStep, Outputs, PackedSequence, PeepholeLSTM, PeepholeLSTMCell, RNN, RNNCell, Recurrent, RecurrentCell,
    RecurrentState, Reset, Stateful, TDNN, TimeChunk, UpdateGate, VanillaRNN, pack_padded_sequence, pack_sequence,
    pad_packed_sequence, pad_sequence, truncated_bptt, unpack_sequence, unpad_sequence,
};
pub use reparametrize::HasWeight;
pub use residual::Residual;
pub use rms_norm::RMSNorm;
pub use rrelu::RReLU;
pub use sequential::Sequential;
pub use similarity::{CosineSimilarity, PairwiseDistance};
pub use sizes::IntoSizes;
pub use spectral_norm::SpectralNorm;
pub use unflatten::Unflatten;
pub use upsample::{IntoEach, Upsample};
pub use weight_norm::WeightNorm;
