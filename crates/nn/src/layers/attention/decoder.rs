//! The decoder of the transformer.

use super::encoder::residual;
use super::feed_forward::feed_forward;
use super::masks::AttentionMasks;
use crate::module::{Forward, Module, Scope};
use crate::{Dropout, LayerNorm, Linear, MultiheadAttention};
use gradus_tensor::Tensor;

/// One layer of the decoder: self-attention to what was decoded, attention to the encoder's outputs (the memory), then
/// a position-wise network, each with a shortcut and a normalisation: x = norm1(x + attention(x, x));
/// x = norm2(x + attention(x, memory)); y = norm3(x + W_2 activation(W_1 x + b_1) + b_2). With
/// [`norm_first`](TransformerDecoderLayer::norm_first), each branch is normalised at its beginning instead.
///
/// That a position sees only those before it is up to the mask: give [`AttentionMasks::causal`] for the target.
///
/// Parameters: `self_attn.*` and `multihead_attn.*` (see [`MultiheadAttention`]), `linear1.*`, `linear2.*`, `norm1.*`,
/// `norm2.*`, `norm3.*`.
///
/// # Shapes
/// target `[T, N, d_model]`, memory `[S, N, d_model]` (or with N first with
/// [`batch_first`](TransformerDecoderLayer::batch_first), or without N) -> as the target
///
/// # Panics
/// `new` panics if `d_model` is no multiple of `nhead`, and `forward` if the shapes do not fit.
///
/// Source: Vaswani et al., 2017, <https://arxiv.org/abs/1706.03762>; PyTorch,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerDecoderLayer.html>.
///
/// ```
/// use gradus_nn::{AttentionMasks, TransformerDecoderLayer};
/// use gradus_tensor::Tensor;
/// let layer = TransformerDecoderLayer::new(16, 4).dim_feedforward(32);
/// let (tgt, memory) = (Tensor::randn([3, 2, 16]), Tensor::randn([5, 2, 16]));
/// let y = layer.forward(&tgt, &memory, &AttentionMasks::causal(), &AttentionMasks::default());
/// assert_eq!(y.shape(), [3, 2, 16]);
/// ```
#[derive(Debug, Module)]
pub struct TransformerDecoderLayer {
    /// The attention of the target to itself.
    pub self_attn: MultiheadAttention,
    /// The attention of the target to the memory.
    pub multihead_attn: MultiheadAttention,
    /// From `d_model` to `dim_feedforward` numbers.
    pub linear1: Linear,
    /// Back to `d_model`.
    pub linear2: Linear,
    /// For the self-attention.
    pub norm1: LayerNorm,
    /// For the attention to the memory.
    pub norm2: LayerNorm,
    /// For the position-wise network.
    pub norm3: LayerNorm,
    dropout: Dropout,
    #[module(skip)]
    activation: fn(&Tensor) -> Tensor,
    norm_first: bool,
    scope: Scope,
}

impl TransformerDecoderLayer {
    /// A layer of width `d_model` with `nhead` heads.
    ///
    /// # Panics
    /// If `nhead` is 0 or `d_model` is no multiple of it.
    #[track_caller]
    pub fn new(d_model: usize, nhead: usize) -> TransformerDecoderLayer {
        TransformerDecoderLayer {
            self_attn: MultiheadAttention::new(d_model, nhead).dropout(0.1),
            multihead_attn: MultiheadAttention::new(d_model, nhead).dropout(0.1),
            linear1: Linear::new(d_model, 2048),
            linear2: Linear::new(2048, d_model),
            norm1: LayerNorm::new(d_model),
            norm2: LayerNorm::new(d_model),
            norm3: LayerNorm::new(d_model),
            dropout: Dropout::new(0.1),
            activation: Tensor::relu,
            norm_first: false,
            scope: Scope::default(),
        }
    }

    /// Number of hidden units of the position-wise network (2048).
    pub fn dim_feedforward(mut self, n: usize) -> Self {
        let (d_model, bias) = (self.linear1.in_features(), self.linear1.bias.is_some());
        self.linear1 = Linear::new(d_model, n).bias(bias);
        self.linear2 = Linear::new(n, d_model).bias(bias);
        self
    }

    /// Probability of dropping a weight of either attention, a hidden unit and an element of any result (0.1).
    ///
    /// # Panics
    /// If it is not in 0..=1.
    #[track_caller]
    pub fn dropout(mut self, p: f64) -> Self {
        self.dropout = Dropout::new(p);
        self.self_attn = self.self_attn.dropout(p);
        self.multihead_attn = self.multihead_attn.dropout(p);
        self
    }

    /// What the hidden units apply (`Tensor::relu`).
    pub fn activation(mut self, activation: fn(&Tensor) -> Tensor) -> Self {
        self.activation = activation;
        self
    }

    /// What the normalisations add to the variance (1e-5).
    pub fn layer_norm_eps(mut self, eps: f64) -> Self {
        (self.norm1, self.norm2, self.norm3) = (self.norm1.eps(eps), self.norm2.eps(eps), self.norm3.eps(eps));
        self
    }

    /// Whether the batch comes before the sequence (it comes after).
    pub fn batch_first(mut self, on: bool) -> Self {
        self.self_attn = self.self_attn.batch_first(on);
        self.multihead_attn = self.multihead_attn.batch_first(on);
        self
    }

    /// Whether the branches see normalised input (false: their sums are what is normalised).
    pub fn norm_first(mut self, on: bool) -> Self {
        self.norm_first = on;
        self
    }

    /// With or without biases, those of the normalisations included.
    pub fn bias(mut self, on: bool) -> Self {
        self.self_attn = self.self_attn.bias(on);
        self.multihead_attn = self.multihead_attn.bias(on);
        (self.linear1, self.linear2) = (self.linear1.bias(on), self.linear2.bias(on));
        (self.norm1, self.norm2, self.norm3) = (self.norm1.bias(on), self.norm2.bias(on), self.norm3.bias(on));
        self
    }

    /// The output for `tgt`, whose positions see each other through `tgt_masks` and the memory through `memory_masks`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward(
        &self,
        tgt: &Tensor,
        memory: &Tensor,
        tgt_masks: &AttentionMasks,
        memory_masks: &AttentionMasks,
    ) -> Tensor {
        let _scope = self.scope.enter();
        let to_itself = |x: &Tensor| self.dropout.forward(&self.self_attn.forward(x, x, x, tgt_masks));
        let to_memory =
            |x: &Tensor| self.dropout.forward(&self.multihead_attn.forward(x, memory, memory, memory_masks));
        let network = |x: &Tensor| {
            let layers = [&self.linear1, &self.linear2];
            self.dropout.forward(&feed_forward(x, layers, &self.dropout, self.activation))
        };
        let x = residual(tgt, &self.norm1, self.norm_first, to_itself);
        let x = residual(&x, &self.norm2, self.norm_first, to_memory);
        residual(&x, &self.norm3, self.norm_first, network)
    }
}

/// Layers of the decoder one after another, and a normalisation at the end if there is one. Every layer attends to the
/// same memory.
///
/// Parameters: `layers.0.*`, `layers.1.*`, ... (see [`TransformerDecoderLayer`]) and `norm.*`.
///
/// # Shapes
/// As of its layers: target `[T, N, d_model]`, memory `[S, N, d_model]` -> as the target
///
/// # Panics
/// `forward` panics if the shapes do not fit.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerDecoder.html>. There the layers
/// begin as copies of one, here each is made by itself, so they begin differently.
///
/// ```
/// use gradus_nn::{AttentionMasks, LayerNorm, TransformerDecoder, TransformerDecoderLayer};
/// use gradus_tensor::Tensor;
/// let layer = || TransformerDecoderLayer::new(8, 2).dim_feedforward(16);
/// let decoder = TransformerDecoder::new(layer, 2).norm(LayerNorm::new(8));
/// let (tgt, memory) = (Tensor::randn([3, 1, 8]), Tensor::randn([4, 1, 8]));
/// let y = decoder.forward(&tgt, &memory, &AttentionMasks::causal(), &AttentionMasks::default());
/// assert_eq!(y.shape(), [3, 1, 8]);
/// ```
#[derive(Debug, Module)]
pub struct TransformerDecoder {
    /// The layers, from input to output.
    pub layers: Vec<TransformerDecoderLayer>,
    /// At the end, if there is one.
    pub norm: Option<LayerNorm>,
    scope: Scope,
}

impl TransformerDecoder {
    /// `num_layers` layers, each made by `decoder_layer`, without a normalisation at the end.
    pub fn new(mut decoder_layer: impl FnMut() -> TransformerDecoderLayer, num_layers: usize) -> TransformerDecoder {
        let layers = (0..num_layers).map(|_| decoder_layer()).collect();
        TransformerDecoder { layers, norm: None, scope: Scope::default() }
    }

    /// With a normalisation at the end (none), as layers with `norm_first` need.
    pub fn norm(mut self, norm: LayerNorm) -> Self {
        self.norm = Some(norm);
        self
    }

    /// The output for `tgt`, whose positions see each other through `tgt_masks` and the memory through `memory_masks`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward(
        &self,
        tgt: &Tensor,
        memory: &Tensor,
        tgt_masks: &AttentionMasks,
        memory_masks: &AttentionMasks,
    ) -> Tensor {
        let _scope = self.scope.enter();
        let x = self.layers.iter().fold(tgt.clone(), |x, layer| layer.forward(&x, memory, tgt_masks, memory_masks));
        self.norm.as_ref().map_or(x.clone(), |norm| norm.forward(&x))
    }
}
