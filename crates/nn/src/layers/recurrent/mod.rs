//! Recurrent layers: cells, what stacks them, packed sequences, carried state, read-outs.
//!
//! A cell computes one step, a [`Recurrent`] layer whole sequences with it. Gate order, names and shapes of
//! parameters are PyTorch's, and a new cell needs only [`RecurrentCell`] to be stacked, run in both directions and
//! fed with packed sequences.

mod cell;
mod conv;
mod diagram;
mod gru;
mod lstm;
mod packed;
mod peephole;
mod read_out;
mod rnn;
mod stack;
mod stateful;
mod tdnn;
mod vanilla;

pub use cell::{RecurrentCell, RecurrentState};
pub use conv::{ConvLSTM, ConvLSTMCell, ConvRNN, ConvRNNCell};
pub use gru::{GRU, GRUCell, UpdateGate};
pub use lstm::{LSTM, LSTMCell, LSTMGates, LSTMState};
pub use packed::{
    PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence, pad_sequence, unpack_sequence,
    unpad_sequence,
};
pub use peephole::{PeepholeLSTM, PeepholeLSTMCell};
pub use read_out::{LastStep, Outputs};
pub use rnn::{RNN, RNNCell};
pub use stack::Recurrent;
pub use stateful::{Reset, Stateful, TimeChunk, truncated_bptt};
pub use tdnn::TDNN;
pub use vanilla::{ElmanNetwork, VanillaRNN};
