//! Attention and the transformer.
//!
//! A query asks, keys answer how well they fit, and the result is the mean of the values weighted by the softmax of
//! these scores, as in a retrieval system that returns a blend of its entries. Projecting the input to separate
//! queries and keys saves no computation over comparing the inputs themselves; it is what lets relevance be learned,
//! and be asymmetric ("it" looks for "cat", "cat" need not look for "it").

mod decoder;
mod encoder;
mod feed_forward;
mod masks;
mod multihead;
mod notes;
mod positions;
mod product;
mod rotary;
mod scores;
mod transformer;

pub use decoder::{TransformerDecoder, TransformerDecoderLayer};
pub use encoder::{TransformerEncoder, TransformerEncoderLayer};
pub use feed_forward::PositionwiseFeedForward;
pub use masks::{AttentionMasks, generate_square_subsequent_mask};
pub use multihead::MultiheadAttention;
pub use notes::NotesAttention;
pub use positions::{LearnedPositionalEncoding, PositionalEncoding};
pub use product::{AttentionOptions, scaled_dot_product_attention, scaled_dot_product_attention_with};
pub use rotary::{RotaryPositionalEmbedding, alibi_bias};
pub use scores::{AdditiveScore, Attention, ConcatScore, DotScore, GeneralScore, Score};
pub use transformer::{Transformer, TransformerMasks, TransformerOptions};
