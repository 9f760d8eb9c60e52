//! What attention may not look at.

use gradus_tensor::{DType, PadMode, Shape, Tensor, fail};

/// What the queries of [`MultiheadAttention`](crate::MultiheadAttention) and the layers made of it may not look at.
/// The parts add up; by default nothing is hidden.
///
/// In a Bool mask true means *hidden*, as in PyTorch's modules. (In
/// [`scaled_dot_product_attention_with`](crate::layers::scaled_dot_product_attention_with) it means the opposite, as in
/// PyTorch's function.) A float mask is added to the scores, so -inf hides, and gradients flow into it.
///
/// ```
/// use gradus_nn::{AttentionMasks, MultiheadAttention};
/// use gradus_tensor::Tensor;
/// let attention = MultiheadAttention::new(8, 2).batch_first(true);
/// let x = Tensor::randn([2, 3, 8]);
/// // The second sequence has two steps and one of padding.
/// let padding = Tensor::from_slice(&[false, false, false, false, false, true], [2, 3]);
/// let masks = AttentionMasks { is_causal: true, key_padding_mask: Some(padding), ..Default::default() };
/// assert_eq!(attention.forward(&x, &x, &x, &masks).shape(), [2, 3, 8]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct AttentionMasks {
    /// Which query may not see which key: `[L, S]`, or `[N * num_heads, L, S]` for a mask an example and head.
    pub attn_mask: Option<Tensor>,
    /// Which keys are padding: `[N, S]`, or `[S]` where the input has no batch.
    pub key_padding_mask: Option<Tensor>,
    /// Query i may not see keys beyond i: the mask of [`generate_square_subsequent_mask`], without building it.
    pub is_causal: bool,
}

impl AttentionMasks {
    /// Nothing but the causal mask.
    pub fn causal() -> AttentionMasks {
        AttentionMasks { is_causal: true, ..AttentionMasks::default() }
    }

    /// Nothing but a mask of padding keys.
    pub fn padding(key_padding_mask: Tensor) -> AttentionMasks {
        AttentionMasks { key_padding_mask: Some(key_padding_mask), ..AttentionMasks::default() }
    }

    /// All parts as one tensor to be added to the scores, broadcast to `[N, heads, L, S + extra]`; `extra` keys at the
    /// end are seen by all.
    #[track_caller]
    pub(super) fn combined(&self, kind: &str, sizes: &Sizes, extra: usize, dtype: DType) -> Option<Tensor> {
        self.sum(kind, sizes, extra, dtype, true)
    }

    /// As [`AttentionMasks::combined`], but without the causal mask where the attention itself can keep to it: then
    /// the second part is true.
    #[track_caller]
    pub(super) fn split(&self, kind: &str, sizes: &Sizes, extra: usize, dtype: DType) -> (Option<Tensor>, bool) {
        let causal = self.is_causal && extra == 0;
        (self.sum(kind, sizes, extra, dtype, !causal), causal)
    }

    #[track_caller]
    fn sum(&self, kind: &str, sizes: &Sizes, extra: usize, dtype: DType, with_causal: bool) -> Option<Tensor> {
        let mut parts = Vec::new();
        if let Some(mask) = &self.attn_mask {
            parts.push(sizes.attn_mask(kind, mask, dtype));
        }
        if let Some(mask) = &self.key_padding_mask {
            parts.push(sizes.key_padding_mask(kind, mask, dtype));
        }
        if with_causal && self.is_causal {
            parts.push(causal(sizes.l, sizes.s, dtype));
        }
        let sum = parts.into_iter().reduce(|a, b| a + b)?;
        Some(if extra == 0 { sum } else { sum.pad(&[(0, extra as isize)], PadMode::Constant(0.0)) })
    }
}

/// The extents of an attention: batch, heads, queries and keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub batched: bool,
    pub n: usize,
    pub heads: usize,
    pub l: usize,
    pub s: usize,
}

impl Sizes {
    #[track_caller]
    fn attn_mask(&self, kind: &str, mask: &Tensor, dtype: DType) -> Tensor {
        let Sizes { n, heads, l, s, .. } = *self;
        let each = [n * heads, l, s];
        if mask.shape() == each {
            return hiding(kind, mask, dtype).reshape([n, heads, l, s]);
        }
        if mask.shape() != [l, s] {
            fail(kind, format_args!("needs an attn_mask [{l}, {s}] or {}, got {}", Shape::new(&each), mask.shape()));
        }
        hiding(kind, mask, dtype)
    }

    #[track_caller]
    fn key_padding_mask(&self, kind: &str, mask: &Tensor, dtype: DType) -> Tensor {
        let Sizes { batched, n, s, .. } = *self;
        let expected = if batched { Shape::new(&[n, s]) } else { Shape::new(&[s]) };
        if mask.shape() != expected {
            fail(kind, format_args!("needs a key_padding_mask {expected}, got {}", mask.shape()));
        }
        hiding(kind, mask, dtype).reshape([n, 1, 1, s])
    }
}

/// The mask as numbers to add: a Bool mask's trues become -inf.
#[track_caller]
pub(super) fn hiding(kind: &str, mask: &Tensor, dtype: DType) -> Tensor {
    if mask.dtype() == DType::Bool {
        let [hidden, seen] = [f64::NEG_INFINITY, 0.0].map(|v| Tensor::full_of((), v, dtype));
        return without_repeats(mask).where_(&hidden, &seen).expand(mask.shape());
    }
    if !mask.dtype().is_float() {
        fail(kind, format_args!("needs a mask of bool or float, got {}", mask.dtype()));
    }
    mask.to_dtype(dtype)
}

/// The mask with extent 1 where it repeats itself.
pub(super) fn without_repeats(mask: &Tensor) -> Tensor {
    let strides = mask.strides();
    let repeated = (0..mask.rank()).filter(|&d| strides[d] == 0 && mask.shape()[d] > 1);
    repeated.fold(mask.clone(), |mask, d| mask.narrow(d as isize, 0, 1))
}

/// -inf above the diagonal, 0 elsewhere, `[l, s]`.
pub(super) fn causal(l: usize, s: usize, dtype: DType) -> Tensor {
    Tensor::full_of([l, s], f64::NEG_INFINITY, dtype).triu(1)
}

/// The causal mask `[sz, sz]`: -inf above the diagonal, 0 elsewhere, so that no position sees a later one.
///
/// # Shapes
/// -> `[sz, sz]` (f32)
///
/// Source: PyTorch,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.Transformer.html>.
///
/// ```
/// let mask = gradus_nn::generate_square_subsequent_mask(2);
/// assert_eq!(mask.to_vec::<f32>(), [0.0, f32::NEG_INFINITY, 0.0, 0.0]);
/// ```
pub fn generate_square_subsequent_mask(sz: usize) -> Tensor {
    causal(sz, sz, DType::F32)
}
