//! Encoder and decoder together.

use super::masks::AttentionMasks;
use crate::init::xavier_uniform_;
use crate::module::{Module, Scope};
use crate::{LayerNorm, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer};
use gradus_tensor::{Tensor, fail};

/// The make of a [`Transformer`], with PyTorch's defaults; its page has an example.
#[derive(Clone, Copy, Debug)]
pub struct TransformerOptions {
    /// Width of the inputs (512).
    pub d_model: usize,
    /// Number of heads (8).
    pub nhead: usize,
    /// Layers of the encoder (6).
    pub num_encoder_layers: usize,
    /// Layers of the decoder (6).
    pub num_decoder_layers: usize,
    /// Hidden units of the position-wise networks (2048).
    pub dim_feedforward: usize,
    /// Probability of dropping an element (0.1).
    pub dropout: f64,
    /// What the hidden units apply (`Tensor::relu`).
    pub activation: fn(&Tensor) -> Tensor,
    /// What the normalisations add to the variance (1e-5).
    pub layer_norm_eps: f64,
    /// Whether the batch comes before the sequence (false).
    pub batch_first: bool,
    /// Whether branches see normalised input (false).
    pub norm_first: bool,
    /// With or without biases (true).
    pub bias: bool,
}

impl Default for TransformerOptions {
    fn default() -> Self {
        TransformerOptions {
            d_model: 512,
            nhead: 8,
            num_encoder_layers: 6,
            num_decoder_layers: 6,
            dim_feedforward: 2048,
            dropout: 0.1,
            activation: Tensor::relu,
            layer_norm_eps: 1e-5,
            batch_first: false,
            norm_first: false,
            bias: true,
        }
    }
}

/// What the attentions of a [`Transformer`] may not look at; by default nothing is hidden. The page of
/// [`Transformer`] has an example.
#[derive(Clone, Debug, Default)]
pub struct TransformerMasks {
    /// Of the source for the source.
    pub src: AttentionMasks,
    /// Of the target for the target: [`AttentionMasks::causal`] to learn to continue it.
    pub tgt: AttentionMasks,
    /// Of the encoder's outputs for the target; usually the padding of the source.
    pub memory: AttentionMasks,
}

/// The transformer: an encoder of the source, and a decoder that attends to the encoder's outputs and to the target
/// before each position. Both end in a normalisation.
///
/// It takes vectors: embed words, and add positions ([`PositionalEncoding`](crate::PositionalEncoding)), before; project
/// to words behind.
///
/// Parameters: `encoder.*` (see [`TransformerEncoder`]) and `decoder.*` (see [`TransformerDecoder`]); the matrices begin
/// by Xavier's rule.
///
/// # Shapes
/// source `[S, N, d_model]`, target `[T, N, d_model]` (or with N first with
/// [`batch_first`](TransformerOptions::batch_first), or without N) -> as the target
///
/// # Panics
/// `new` panics if `d_model` is no multiple of `nhead`, and `forward` if the shapes do not fit.
///
/// Source: Vaswani et al., 2017, <https://arxiv.org/abs/1706.03762>; PyTorch,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.Transformer.html>.
///
/// ```
/// use gradus_nn::{AttentionMasks, Transformer, TransformerMasks, TransformerOptions};
/// use gradus_tensor::Tensor;
/// let model = Transformer::new(TransformerOptions {
///     d_model: 16,
///     nhead: 4,
///     num_encoder_layers: 2,
///     num_decoder_layers: 2,
///     dim_feedforward: 32,
///     ..Default::default()
/// });
/// let masks = TransformerMasks { tgt: AttentionMasks::causal(), ..Default::default() };
/// let y = model.forward(&Tensor::randn([7, 2, 16]), &Tensor::randn([5, 2, 16]), &masks);
/// assert_eq!(y.shape(), [5, 2, 16]);
/// ```
#[derive(Debug, Module)]
pub struct Transformer {
    /// Of the source.
    pub encoder: TransformerEncoder,
    /// Of the target.
    pub decoder: TransformerDecoder,
    d_model: usize,
    batch_first: bool,
    scope: Scope,
}

impl Transformer {
    /// A transformer of this make.
    ///
    /// # Panics
    /// If `nhead` is 0 or `d_model` is no multiple of it, or `dropout` is not in 0..=1.
    #[track_caller]
    pub fn new(options: TransformerOptions) -> Transformer {
        let o = options;
        let encoder_layer = || {
            TransformerEncoderLayer::new(o.d_model, o.nhead)
                .dim_feedforward(o.dim_feedforward)
                .dropout(o.dropout)
                .activation(o.activation)
                .layer_norm_eps(o.layer_norm_eps)
                .batch_first(o.batch_first)
                .norm_first(o.norm_first)
                .bias(o.bias)
        };
        let decoder_layer = || {
            TransformerDecoderLayer::new(o.d_model, o.nhead)
                .dim_feedforward(o.dim_feedforward)
                .dropout(o.dropout)
                .activation(o.activation)
                .layer_norm_eps(o.layer_norm_eps)
                .batch_first(o.batch_first)
                .norm_first(o.norm_first)
                .bias(o.bias)
        };
        let norm = || LayerNorm::new(o.d_model).eps(o.layer_norm_eps).bias(o.bias);
        let model = Transformer {
            encoder: TransformerEncoder::new(encoder_layer, o.num_encoder_layers).norm(norm()),
            decoder: TransformerDecoder::new(decoder_layer, o.num_decoder_layers).norm(norm()),
            d_model: o.d_model,
            batch_first: o.batch_first,
            scope: Scope::default(),
        };
        model.parameters().iter().filter(|p| p.rank() > 1).for_each(|p| xavier_uniform_(p, 1.0));
        model
    }

    /// The decoder's output for `tgt`, given `src`, seen through `masks`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward(&self, src: &Tensor, tgt: &Tensor, masks: &TransformerMasks) -> Tensor {
        let _scope = self.scope.enter();
        let (rank, d, batch) = (src.rank(), self.d_model, if self.batch_first { 0 } else { 1 });
        let fits = [2, 3].contains(&rank) && tgt.rank() == rank && src.size(-1) == d && tgt.size(-1) == d;
        if !fits || rank == 3 && src.size(batch) != tgt.size(batch) {
            let axes = if self.batch_first { ["[N, S", "[N, T"] } else { ["[S, N", "[T, N"] };
            let message =
                format_args!("needs {}, {d}] and {}, {d}], got {} and {}", axes[0], axes[1], src.shape(), tgt.shape());
            fail("Transformer", message);
        }
        let memory = self.encoder.forward_masked(src, &masks.src);
        self.decoder.forward(tgt, &memory, &masks.tgt, &masks.memory)
    }
}
