//! The encoder of the transformer.

use super::feed_forward::feed_forward;
use super::masks::AttentionMasks;
use crate::module::{Forward, Module, Scope};
use crate::{Dropout, LayerNorm, Linear, MultiheadAttention};
use gradus_tensor::Tensor;

/// One layer of the encoder: self-attention, then a position-wise network, each with a shortcut and a normalisation:
/// x = norm1(x + attention(x)); y = norm2(x + W_2 activation(W_1 x + b_1) + b_2). With
/// [`norm_first`](TransformerEncoderLayer::norm_first): x = x + attention(norm1(x)), and so on.
///
/// Parameters: `self_attn.*` (see [`MultiheadAttention`]), `linear1.*`, `linear2.*`, `norm1.*`, `norm2.*`.
///
/// # Shapes
/// `[L, N, d_model]` (or `[N, L, d_model]` with [`batch_first`](TransformerEncoderLayer::batch_first), or without N)
/// -> the same
///
/// # Panics
/// `new` panics if `d_model` is no multiple of `nhead`, and `forward` if the shapes do not fit.
///
/// Source: Vaswani et al., 2017, <https://arxiv.org/abs/1706.03762>; PyTorch,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoderLayer.html>.
///
/// ```
/// use gradus_nn::{AttentionMasks, Forward, TransformerEncoderLayer};
/// use gradus_tensor::Tensor;
/// let layer = TransformerEncoderLayer::new(16, 4).dim_feedforward(32).activation(Tensor::gelu);
/// let x = Tensor::randn([5, 2, 16]);
/// assert_eq!(layer.forward(&x).shape(), [5, 2, 16]);
/// assert_eq!(layer.forward_masked(&x, &AttentionMasks::causal()).shape(), [5, 2, 16]);
/// ```
#[derive(Debug, Module)]
pub struct TransformerEncoderLayer {
    /// The attention of the sequence to itself.
    pub self_attn: MultiheadAttention,
    /// From `d_model` to `dim_feedforward` numbers.
    pub linear1: Linear,
    /// Back to `d_model`.
    pub linear2: Linear,
    /// For the attention.
    pub norm1: LayerNorm,
    /// For the position-wise network.
    pub norm2: LayerNorm,
    dropout: Dropout,
    #[module(skip)]
    activation: fn(&Tensor) -> Tensor,
    norm_first: bool,
    scope: Scope,
}

impl TransformerEncoderLayer {
    /// A layer of width `d_model` with `nhead` heads.
    ///
    /// # Panics
    /// If `nhead` is 0 or `d_model` is no multiple of it.
    #[track_caller]
    pub fn new(d_model: usize, nhead: usize) -> TransformerEncoderLayer {
        TransformerEncoderLayer {
            self_attn: MultiheadAttention::new(d_model, nhead).dropout(0.1),
            linear1: Linear::new(d_model, 2048),
            linear2: Linear::new(2048, d_model),
            norm1: LayerNorm::new(d_model),
            norm2: LayerNorm::new(d_model),
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

    /// Probability of dropping a weight of the attention, a hidden unit and an element of either result (0.1).
    ///
    /// # Panics
    /// If it is not in 0..=1.
    #[track_caller]
    pub fn dropout(mut self, p: f64) -> Self {
        self.dropout = Dropout::new(p);
        self.self_attn = self.self_attn.dropout(p);
        self
    }

    /// What the hidden units apply (`Tensor::relu`).
    pub fn activation(mut self, activation: fn(&Tensor) -> Tensor) -> Self {
        self.activation = activation;
        self
    }

    /// What the normalisations add to the variance (1e-5).
    pub fn layer_norm_eps(mut self, eps: f64) -> Self {
        (self.norm1, self.norm2) = (self.norm1.eps(eps), self.norm2.eps(eps));
        self
    }

    /// Whether the batch comes before the sequence (it comes after).
    pub fn batch_first(mut self, on: bool) -> Self {
        self.self_attn = self.self_attn.batch_first(on);
        self
    }

    /// Whether attention and network see normalised input (false: their sums are what is normalised).
    pub fn norm_first(mut self, on: bool) -> Self {
        self.norm_first = on;
        self
    }

    /// With or without biases, those of the normalisations included.
    pub fn bias(mut self, on: bool) -> Self {
        self.self_attn = self.self_attn.bias(on);
        (self.linear1, self.linear2) = (self.linear1.bias(on), self.linear2.bias(on));
        (self.norm1, self.norm2) = (self.norm1.bias(on), self.norm2.bias(on));
        self
    }

    /// The output for `src`, whose positions see each other through `masks`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward_masked(&self, src: &Tensor, masks: &AttentionMasks) -> Tensor {
        let _scope = self.scope.enter();
        let attention = |x: &Tensor| self.dropout.forward(&self.self_attn.forward(x, x, x, masks));
        let network = |x: &Tensor| {
            let layers = [&self.linear1, &self.linear2];
            self.dropout.forward(&feed_forward(x, layers, &self.dropout, self.activation))
        };
        let x = residual(src, &self.norm1, self.norm_first, attention);
        residual(&x, &self.norm2, self.norm_first, network)
    }
}

impl Forward for TransformerEncoderLayer {
    /// As [`TransformerEncoderLayer::forward_masked`] with nothing hidden.
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_masked(x, &AttentionMasks::default())
    }
}

/// A branch with its shortcut, normalised before or after.
pub(super) fn residual(x: &Tensor, norm: &LayerNorm, norm_first: bool, branch: impl Fn(&Tensor) -> Tensor) -> Tensor {
    match norm_first {
        true => x + branch(&norm.forward(x)),
        false => norm.forward(&(x + branch(x))),
    }
}

/// Layers of the encoder one after another, and a normalisation at the end if there is one.
///
/// Parameters: `layers.0.*`, `layers.1.*`, ... (see [`TransformerEncoderLayer`]) and `norm.*`.
///
/// # Shapes
/// As of its layers: `[L, N, d_model]` or `[N, L, d_model]` -> the same
///
/// # Panics
/// `forward` panics if the shapes do not fit.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoder.html>. There the layers
/// begin as copies of one, here each is made by itself, so they begin differently.
///
/// An encoder learns to say at every position which word came first:
///
/// ```
/// use gradus_nn::losses::cross_entropy;
/// use gradus_nn::optim::{Adam, Optimizer};
/// use gradus_nn::*;
/// use gradus_tensor::{Tensor, manual_seed};
/// manual_seed(0);
/// let layer = || TransformerEncoderLayer::new(16, 2).dim_feedforward(32).dropout(0.0).batch_first(true);
/// let model = sequential![
///     Embedding::new(4, 16),
///     PositionalEncoding::new(16).dropout(0.0).batch_first(true),
///     TransformerEncoder::new(layer, 1),
///     Linear::new(16, 4),
/// ];
/// let mut optimiser = Adam::new(model.parameters(), 0.01);
/// let mut last = f32::INFINITY;
/// for _ in 0..80 {
///     let words = Tensor::randint(0, 4, [32, 5]);
///     let first = words.narrow(1, 0, 1).expand([32, 5]).reshape([-1]);
///     let loss = cross_entropy(&model.forward(&words).reshape([-1, 4]), &first);
///     loss.backward();
///     optimiser.step();
///     optimiser.zero_grad();
///     last = loss.item();
/// }
/// assert!(last < 0.1, "loss {last}");
/// ```
#[derive(Debug, Module)]
pub struct TransformerEncoder {
    /// The layers, from input to output.
    pub layers: Vec<TransformerEncoderLayer>,
    /// At the end, if there is one.
    pub norm: Option<LayerNorm>,
    scope: Scope,
}

impl TransformerEncoder {
    /// `num_layers` layers, each made by `encoder_layer`, without a normalisation at the end.
    pub fn new(mut encoder_layer: impl FnMut() -> TransformerEncoderLayer, num_layers: usize) -> TransformerEncoder {
        let layers = (0..num_layers).map(|_| encoder_layer()).collect();
        TransformerEncoder { layers, norm: None, scope: Scope::default() }
    }

    /// With a normalisation at the end (none), as layers with `norm_first` need.
    pub fn norm(mut self, norm: LayerNorm) -> Self {
        self.norm = Some(norm);
        self
    }

    /// The output for `src`, whose positions see each other through `masks` in every layer.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward_masked(&self, src: &Tensor, masks: &AttentionMasks) -> Tensor {
        let _scope = self.scope.enter();
        let x = self.layers.iter().fold(src.clone(), |x, layer| layer.forward_masked(&x, masks));
        self.norm.as_ref().map_or(x.clone(), |norm| norm.forward(&x))
    }
}

impl Forward for TransformerEncoder {
    /// As [`TransformerEncoder::forward_masked`] with nothing hidden.
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_masked(x, &AttentionMasks::default())
    }
}
