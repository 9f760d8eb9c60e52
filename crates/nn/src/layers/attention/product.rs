//! Scaled dot-product attention.

use super::masks::{hiding, without_repeats};
use gradus_tensor::{AttentionRule, DType, Tensor, fail};

const OP: &str = "scaled_dot_product_attention";

/// Options of [`scaled_dot_product_attention_with`], where they are explained and shown. A mask of booleans says here
/// what may be seen (true), as in PyTorch; in [`AttentionMasks`](crate::AttentionMasks) it says what may not.
#[derive(Clone, Debug, Default)]
pub struct AttentionOptions {
    /// Which query may see which key, broadcast to `[..., L, S]`: Bool with true for *may*, or a float mask that is
    /// added to the scores.
    pub attn_mask: Option<Tensor>,
    /// Probability with which each weight is zeroed; the others are scaled by 1 / (1 - p). Always applied, so give
    /// 0 outside training.
    pub dropout_p: f64,
    /// Query i may see keys 0..=i only.
    pub is_causal: bool,
    /// What the scores are multiplied by, 1 / sqrt(E) if not given.
    pub scale: Option<f64>,
    /// Queries may have a multiple of the heads (dimension -3) of keys and values, which are then shared by groups of
    /// consecutive query heads (Ainslie et al., 2023, <https://arxiv.org/abs/2305.13245>).
    pub enable_gqa: bool,
}

/// Scaled dot-product attention: softmax(Q K^T / sqrt(E)) V.
///
/// The division keeps the variance of the scores from growing with the width E.
///
/// # Shapes
/// query `[..., L, E]`, key `[..., S, E]`, value `[..., S, Ev]` -> `[..., L, Ev]`; leading dimensions broadcast
///
/// # Panics
/// If the shapes do not fit.
///
/// Source: Vaswani et al., 2017, <https://arxiv.org/abs/1706.03762>; PyTorch,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html>.
///
/// ```
/// use gradus_nn::layers::scaled_dot_product_attention;
/// use gradus_tensor::Tensor;
/// let (q, k, v) = (Tensor::randn([2, 5, 8]), Tensor::zeros([2, 4, 8]), Tensor::randn([2, 4, 3]));
/// let y = scaled_dot_product_attention(&q, &k, &v);
/// assert_eq!(y.shape(), [2, 5, 3]);
/// // Keys that are all alike get equal weights.
/// assert!((y.select(1, 0) - v.mean_dim(1, false)).abs().max().item() < 1e-6);
/// ```
#[track_caller]
pub fn scaled_dot_product_attention(query: &Tensor, key: &Tensor, value: &Tensor) -> Tensor {
    scaled_dot_product_attention_with(query, key, value, AttentionOptions::default())
}

/// [`scaled_dot_product_attention`] with a mask, dropout, another scale or grouped heads.
///
/// A query that may see no key gets zeros, as in PyTorch, and passes no gradient on.
///
/// # Panics
/// As [`scaled_dot_product_attention`]; if there are both `attn_mask` and `is_causal`; if the mask does not broadcast
/// to `[..., L, S]` or is neither Bool nor float; if `dropout_p` is not in 0..=1.
///
/// ```
/// use gradus_nn::layers::{AttentionOptions, scaled_dot_product_attention_with};
/// use gradus_tensor::Tensor;
/// let x = Tensor::randn([3, 4]);
/// let causal = AttentionOptions { is_causal: true, ..Default::default() };
/// let y = scaled_dot_product_attention_with(&x, &x, &x, causal);
/// // The first step sees itself only.
/// assert_eq!(y.select(0, 0).to_vec::<f32>(), x.select(0, 0).to_vec::<f32>());
/// ```
#[track_caller]
pub fn scaled_dot_product_attention_with(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    options: AttentionOptions,
) -> Tensor {
    let (key, value) = share_heads(query, key, value, options.enable_gqa);
    check(query, &key, &value, &options);
    let bias = options.attn_mask.as_ref().map(|mask| match mask.dtype() {
        DType::Bool => hiding(OP, &without_repeats(mask).logical_not(), query.dtype()),
        _ => hiding(OP, mask, query.dtype()),
    });
    let rule = AttentionRule {
        scale: options.scale.unwrap_or_else(|| usual_scale(query)),
        bias: bias.as_ref(),
        causal: options.is_causal,
        dropout: options.dropout_p,
    };
    query.attention_with(&key, &value, &rule)
}

#[track_caller]
fn check(query: &Tensor, key: &Tensor, value: &Tensor, options: &AttentionOptions) {
    let (q, k, v) = (query.shape(), key.shape(), value.shape());
    let fits = q.len() >= 2 && k.len() >= 2 && v.len() >= 2 && query.size(-1) == key.size(-1);
    if !fits || key.size(-2) != value.size(-2) {
        fail(OP, format_args!("needs query [..., L, E], key [..., S, E] and value [..., S, Ev], got {q}, {k} and {v}"));
    }
    if options.is_causal && options.attn_mask.is_some() {
        fail(OP, "takes attn_mask or is_causal, not both");
    }
    if !(0.0..=1.0).contains(&options.dropout_p) {
        fail(OP, format_args!("dropout_p {} is not a probability in 0..=1", options.dropout_p));
    }
    if let Some(mask) = &options.attn_mask {
        let (l, s) = (query.size(-2), key.size(-2));
        let fits = |d: isize, n| mask.rank() < d.unsigned_abs() || [1, n].contains(&mask.size(d));
        if !fits(-1, s) || !fits(-2, l) {
            fail(OP, format_args!("needs an attn_mask that broadcasts to [..., {l}, {s}], got {}", mask.shape()));
        }
    }
}

/// Key and value with as many heads as the query, each repeated for its group.
#[track_caller]
fn share_heads(query: &Tensor, key: &Tensor, value: &Tensor, enable_gqa: bool) -> (Tensor, Tensor) {
    if !enable_gqa {
        return (key.clone(), value.clone());
    }
    let shared = |t: &Tensor| {
        if query.rank() < 3 || t.rank() < 3 || t.size(-3) == 0 || !query.size(-3).is_multiple_of(t.size(-3)) {
            let (q, t) = (query.shape(), t.shape());
            fail(OP, format_args!("enable_gqa needs the heads (dimension -3) of {q} to be a multiple of those of {t}"));
        }
        t.repeat_interleave(query.size(-3) / t.size(-3), -3)
    };
    (shared(key), shared(value))
}

/// The attention, in plain operations, and its (dropped out) weights. `bias` is added to the scores.
#[track_caller]
pub(super) fn attend_with_weights(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    bias: Option<&Tensor>,
    scale: Option<f64>,
    dropout_p: f64,
) -> (Tensor, Tensor) {
    let scale = scale.unwrap_or_else(|| usual_scale(query));
    let scores = (query * scale).matmul(&key.transpose(-2, -1)); // (..., L, S)
    let weights = scores.masked_softmax(bias);
    let weights = if dropout_p > 0.0 { weights.dropout(dropout_p) } else { weights };
    (weights.matmul(value), weights)
}

/// 1 / sqrt(E).
pub(super) fn usual_scale(query: &Tensor) -> f64 {
    1.0 / (query.size(-1).max(1) as f64).sqrt()
}
