//! Layers, one file each; the recurrent ones in a folder.

mod activations;
mod adaptive_avg_pool;
mod avg_pool;
mod batch_norm;
mod conv;
mod dropout;
mod embedding;
mod flatten;
mod linear;
mod max_pool;
mod recurrent;
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
pub use linear::Linear;
pub use max_pool::{MaxPool, MaxPool1d, MaxPool2d, MaxPool3d};
pub use recurrent::{
    ConvLSTM, ConvLSTMCell, ConvRNN, ConvRNNCell, ElmanNetwork, GRU, GRUCell, LSTM, LSTMCell, LSTMGates, LSTMState,
    LastStep, Outputs, PackedSequence, PeepholeLSTM, PeepholeLSTMCell, RNN, RNNCell, Recurrent, RecurrentCell,
    RecurrentState, Reset, Stateful, TDNN, TimeChunk, UpdateGate, VanillaRNN, pack_padded_sequence, pack_sequence,
    pad_packed_sequence, pad_sequence, truncated_bptt, unpack_sequence, unpad_sequence,
};
pub use sequential::Sequential;
pub use sizes::IntoSizes;
