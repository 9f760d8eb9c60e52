//! Attention by several heads.

use super::masks::{AttentionMasks, Sizes};
use super::product::{attend_with_weights, usual_scale};
use crate::init::{xavier_normal_, xavier_uniform_};
use crate::module::{Forward, Mode, Module, Param, Scope};
use crate::{Dropout, Linear};
use gradus_tensor::{AttentionRule, Tensor, fail};
use std::ptr;

const KIND: &str = "MultiheadAttention";

/// Attention by several heads side by side: with head_i = attention(Q W_i^Q, K W_i^K, V W_i^V), each over
/// embed_dim / num_heads numbers, the output is W^O (head_1, ..., head_h) + b^O.
///
/// Self-attention is query = key = value; give the same reference three times, and they are projected at once.
///
/// Parameters: `in_proj_weight` `[3 E, E]`, the projections of query, key and value one below the other (or
/// `q_proj_weight` `[E, E]`, `k_proj_weight` `[E, kdim]`, `v_proj_weight` `[E, vdim]` if an extent differs), begun by
/// Xavier's rule; `in_proj_bias` `[3 E]`, zeros; `out_proj.weight` `[E, E]`, `out_proj.bias` `[E]`, zeros; on
/// request `bias_k` and `bias_v` `[1, 1, E]`.
///
/// # Shapes
/// query `[L, N, E]`, key `[S, N, kdim]`, value `[S, N, vdim]` -> `[L, N, E]`; `[N, L, E]`, `[N, S, kdim]`,
/// `[N, S, vdim]` -> `[N, L, E]` with [`batch_first`](MultiheadAttention::batch_first); or without N
///
/// # Panics
/// `new` panics if `embed_dim` is no multiple of `num_heads`, and `forward` if the shapes do not fit.
///
/// Source: Vaswani et al., 2017, <https://arxiv.org/abs/1706.03762>; PyTorch,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html>. A query that may see no key gets
/// zero weights here; PyTorch gives NaN when asked for the weights and zeros otherwise.
///
/// ```
/// use gradus_nn::{AttentionMasks, MultiheadAttention};
/// use gradus_tensor::Tensor;
/// let attention = MultiheadAttention::new(16, 4).batch_first(true);
/// let (x, memory) = (Tensor::randn([2, 3, 16]), Tensor::randn([2, 5, 16]));
/// let y = attention.forward(&x, &memory, &memory, &AttentionMasks::default());
/// assert_eq!(y.shape(), [2, 3, 16]);
/// let (_, weights) = attention.forward_with_weights(&x, &x, &x, &AttentionMasks::causal(), false);
/// assert_eq!(weights.shape(), [2, 4, 3, 3]);
/// ```
#[derive(Debug, Module)]
pub struct MultiheadAttention {
    /// `[3 E, E]`, if keys and values are as wide as queries.
    pub in_proj_weight: Option<Param>,
    /// `[E, E]`, if they are not.
    pub q_proj_weight: Option<Param>,
    /// `[E, kdim]`, if they are not.
    pub k_proj_weight: Option<Param>,
    /// `[E, vdim]`, if they are not.
    pub v_proj_weight: Option<Param>,
    /// `[3 E]`
    pub in_proj_bias: Option<Param>,
    /// `[1, 1, E]`, if asked for by [`MultiheadAttention::add_bias_kv`].
    pub bias_k: Option<Param>,
    /// `[1, 1, E]`, if asked for by [`MultiheadAttention::add_bias_kv`].
    pub bias_v: Option<Param>,
    /// From the heads' outputs to the result.
    pub out_proj: Linear,
    embed_dim: usize,
    num_heads: usize,
    kdim: usize,
    vdim: usize,
    dropout: f64,
    add_zero_attn: bool,
    batch_first: bool,
    mode: Mode,
    scope: Scope,
}

impl MultiheadAttention {
    /// Attention of width `embed_dim` by `num_heads` heads.
    ///
    /// # Panics
    /// If `num_heads` is 0 or `embed_dim` is no multiple of it.
    #[track_caller]
    pub fn new(embed_dim: usize, num_heads: usize) -> MultiheadAttention {
        if num_heads == 0 || !embed_dim.is_multiple_of(num_heads) {
            fail(KIND, format_args!("embed_dim {embed_dim} must be a multiple of num_heads {num_heads}"));
        }
        MultiheadAttention {
            in_proj_weight: None,
            q_proj_weight: None,
            k_proj_weight: None,
            v_proj_weight: None,
            in_proj_bias: Some(Param::new(Tensor::zeros([3 * embed_dim]))),
            bias_k: None,
            bias_v: None,
            out_proj: with_zero_bias(Linear::new(embed_dim, embed_dim)),
            embed_dim,
            num_heads,
            kdim: embed_dim,
            vdim: embed_dim,
            dropout: 0.0,
            add_zero_attn: false,
            batch_first: false,
            mode: Mode::default(),
            scope: Scope::default(),
        }
        .with_projections()
    }

    /// In training, zeroes each weight with this probability (0) and scales the others by 1 / (1 - p).
    ///
    /// # Panics
    /// If it is not in 0..=1.
    #[track_caller]
    pub fn dropout(mut self, p: f64) -> Self {
        // Its own constructor refuses what is no probability.
        drop(Dropout::new(p));
        self.dropout = p;
        self
    }

    /// With or without `in_proj_bias` and `out_proj.bias`.
    pub fn bias(mut self, on: bool) -> Self {
        self.in_proj_bias = on.then(|| Param::new(Tensor::zeros([3 * self.embed_dim])));
        self.out_proj = with_zero_bias(self.out_proj.bias(on));
        self
    }

    /// With or without a learned key and value behind those of the input (without), which every query may see.
    pub fn add_bias_kv(mut self, on: bool) -> Self {
        let vector = || {
            let param = Param::new(Tensor::zeros([1, 1, self.embed_dim]));
            xavier_normal_(&param, 1.0);
            param
        };
        (self.bias_k, self.bias_v) = (on.then(vector), on.then(vector));
        self
    }

    /// With or without a key and value of zeros behind those of the input (without), so that a query may see nothing.
    pub fn add_zero_attn(mut self, on: bool) -> Self {
        self.add_zero_attn = on;
        self
    }

    /// The width of the keys (`embed_dim`).
    pub fn kdim(mut self, kdim: usize) -> Self {
        self.kdim = kdim;
        self.with_projections()
    }

    /// The width of the values (`embed_dim`).
    pub fn vdim(mut self, vdim: usize) -> Self {
        self.vdim = vdim;
        self.with_projections()
    }

    /// Whether the batch comes before the sequence (it comes after).
    pub fn batch_first(mut self, on: bool) -> Self {
        self.batch_first = on;
        self
    }

    /// New projections of query, key and value: one matrix if all are of one width.
    fn with_projections(mut self) -> Self {
        let e = self.embed_dim;
        let matrix = |rows, columns| {
            let param = Param::new(Tensor::zeros([rows, columns]));
            xavier_uniform_(&param, 1.0);
            Some(param)
        };
        let alike = (self.kdim, self.vdim) == (e, e);
        self.in_proj_weight = if alike { matrix(3 * e, e) } else { None };
        self.q_proj_weight = if alike { None } else { matrix(e, e) };
        self.k_proj_weight = if alike { None } else { matrix(e, self.kdim) };
        self.v_proj_weight = if alike { None } else { matrix(e, self.vdim) };
        self
    }

    /// The output for queries, keys and values, seen through `masks`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward(&self, query: &Tensor, key: &Tensor, value: &Tensor, masks: &AttentionMasks) -> Tensor {
        let _scope = self.scope.enter();
        let sizes = self.sizes(query, key, value);
        let y = match self.packed(query, key, value, &sizes) {
            Some(packed) => {
                let (bias, causal) = masks.split(KIND, &sizes, 0, packed.dtype());
                packed.attention_packed_with(&self.rule(bias.as_ref(), causal, &packed))
            }
            None => {
                let (q, k, v) = self.operands(None, query, key, value, &sizes);
                let (bias, causal) = masks.split(KIND, &sizes, k.size(2) - sizes.s, q.dtype());
                q.attention_with(&k, &v, &self.rule(bias.as_ref(), causal, &q))
            }
        };
        self.join(&y, &sizes)
    }

    /// The output as of [`MultiheadAttention::forward`], and the weights (as applied, so after dropout in training):
    /// `[N, L, S]`, their mean over the heads, if `average_attn_weights`, else `[N, num_heads, L, S]`; without N if the
    /// input is. S counts the keys that [`add_bias_kv`](MultiheadAttention::add_bias_kv) and
    /// [`add_zero_attn`](MultiheadAttention::add_zero_attn) add.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward_with_weights(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        masks: &AttentionMasks,
        average_attn_weights: bool,
    ) -> (Tensor, Tensor) {
        let _scope = self.scope.enter();
        let sizes = self.sizes(query, key, value);
        let packed = self.packed(query, key, value, &sizes);
        let (q, k, v) = self.operands(packed, query, key, value, &sizes);
        let bias = masks.combined(KIND, &sizes, k.size(2) - sizes.s, q.dtype());
        let (y, weights) = attend_with_weights(&q, &k, &v, bias.as_ref(), None, self.dropout_now());
        let weights = if average_attn_weights { weights.mean_dim(1, false) } else { weights };
        (self.join(&y, &sizes), if query.rank() == 2 { weights.squeeze(0) } else { weights })
    }

    fn rule<'a>(&self, bias: Option<&'a Tensor>, causal: bool, query: &Tensor) -> AttentionRule<'a> {
        AttentionRule { scale: usual_scale(query), bias, causal, dropout: self.dropout_now() }
    }

    fn dropout_now(&self) -> f64 {
        if self.mode.is_training() { self.dropout } else { 0.0 }
    }

    /// `[N, heads, L, width]` -> the output.
    fn join(&self, y: &Tensor, sizes: &Sizes) -> Tensor {
        let Sizes { n, l, batched, .. } = *sizes;
        let y = match self.batch_first {
            true => y.permute(&[0, 2, 1, 3]).reshape([n, l, self.embed_dim]),
            false => y.permute(&[2, 0, 1, 3]).reshape([l, n, self.embed_dim]),
        };
        let y = if batched { y } else { y.reshape([l, self.embed_dim]) };
        self.out_proj.forward(&y)
    }

    #[track_caller]
    fn sizes(&self, query: &Tensor, key: &Tensor, value: &Tensor) -> Sizes {
        let rank = query.rank();
        let widths = [(query, self.embed_dim), (key, self.kdim), (value, self.vdim)];
        let fits = (rank == 2 || rank == 3)
            && widths.iter().all(|(t, width)| t.rank() == rank && t.size(-1) == *width)
            && key.shape()[..rank - 1] == value.shape()[..rank - 1];
        let (batch, sequence) = if self.batch_first { (0, rank as isize - 2) } else { (1, 0) };
        if !fits || rank == 3 && query.size(batch) != key.size(batch) {
            let (q, k, v) = (query.shape(), key.shape(), value.shape());
            let axes = |s| match (rank, self.batch_first) {
                (2, _) => format!("[{s}"),
                (_, true) => format!("[N, {s}"),
                (_, false) => format!("[{s}, N"),
            };
            let message = format_args!(
                "needs query {0}, {2}], key {1}, {3}] and value {1}, {4}], got {q}, {k} and {v}",
                axes("L"),
                axes("S"),
                self.embed_dim,
                self.kdim,
                self.vdim
            );
            fail(KIND, message);
        }
        let n = if rank == 3 { query.size(batch) } else { 1 };
        Sizes { batched: rank == 3, n, heads: self.num_heads, l: query.size(sequence), s: key.size(sequence) }
    }

    /// Queries, keys and values `[3, N, heads, length, width]`, if one product makes them all and nothing follows them.
    fn packed(&self, query: &Tensor, key: &Tensor, value: &Tensor, sizes: &Sizes) -> Option<Tensor> {
        let alone = self.bias_k.is_none() && !self.add_zero_attn;
        let same = ptr::eq(query, key) && ptr::eq(key, value);
        let weight = self.in_proj_weight.as_ref().filter(|_| alone && same)?;
        Some(self.split(&query.linear(weight, self.in_proj_bias.as_deref()), sizes.n, sizes.l, 3))
    }

    /// Queries, keys and values of the heads, each `[N, heads, length, width]`, with what follows keys and values.
    fn operands(
        &self,
        packed: Option<Tensor>,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        sizes: &Sizes,
    ) -> (Tensor, Tensor, Tensor) {
        let parts = packed.map_or_else(|| self.heads(query, key, value, sizes), |packed| packed.unbind(0));
        let [q, k, v]: [Tensor; 3] = parts.try_into().expect("queries, keys and values");
        let (k, v) = self.extend(k, v);
        (q, k, v)
    }

    /// Queries, keys and values of the heads, each `[N, heads, length, width]`.
    fn heads(&self, query: &Tensor, key: &Tensor, value: &Tensor, sizes: &Sizes) -> Vec<Tensor> {
        let e = self.embed_dim;
        let bias = |from: usize, parts: usize| self.in_proj_bias.as_ref().map(|b| b.narrow(0, from * e, parts * e));
        let project = |x: &Tensor, weight: &Tensor, from: usize, parts: usize, length: usize| {
            let y = x.linear(weight, bias(from, parts).as_ref());
            self.split(&y, sizes.n, length, parts).unbind(0)
        };
        let (l, s) = (sizes.l, sizes.s);
        let Some(weight) = &self.in_proj_weight else {
            let parts =
                [(query, &self.q_proj_weight, l), (key, &self.k_proj_weight, s), (value, &self.v_proj_weight, s)];
            let each = parts.into_iter().enumerate().map(|(from, (x, weight, length))| {
                let weight = weight.as_ref().expect("there is one matrix for all or one for each");
                project(x, weight, from, 1, length).remove(0)
            });
            return each.collect();
        };
        // One product for all that is projected from the same tensor.
        let part = |x, from, parts, length| project(x, &weight.narrow(0, from * e, parts * e), from, parts, length);
        match (ptr::eq(query, key), ptr::eq(key, value)) {
            (true, true) => part(query, 0, 3, l),
            (false, true) => [part(query, 0, 1, l), part(key, 1, 2, s)].concat(),
            (_, false) => [part(query, 0, 1, l), part(key, 1, 1, s), part(value, 2, 1, s)].concat(),
        }
    }

    /// `[..., parts * E]` -> `[parts, N, heads, length, width]`.
    fn split(&self, y: &Tensor, n: usize, length: usize, parts: usize) -> Tensor {
        let width = self.embed_dim / self.num_heads;
        match self.batch_first {
            true => y.reshape([n, length, parts, self.num_heads, width]).permute(&[2, 0, 3, 1, 4]),
            false => y.reshape([length, n, parts, self.num_heads, width]).permute(&[2, 1, 3, 0, 4]),
        }
    }

    /// Keys and values with the learned one and that of zeros behind them.
    fn extend(&self, mut k: Tensor, mut v: Tensor) -> (Tensor, Tensor) {
        let shape = [k.size(0), self.num_heads, 1, k.size(3)];
        let behind = |t: &Tensor, one: &Tensor| Tensor::cat(&[t, &one.broadcast_to(shape)], 2);
        if let (Some(bias_k), Some(bias_v)) = (&self.bias_k, &self.bias_v) {
            // (1, 1, E) -> (1, heads, 1, width)
            let by_head = |t: &Tensor| t.reshape([1, self.num_heads, 1, shape[3]]);
            (k, v) = (behind(&k, &by_head(bias_k)), behind(&v, &by_head(bias_v)));
        }
        if self.add_zero_attn {
            let zero = Tensor::full_of((), 0.0, k.dtype());
            (k, v) = (behind(&k, &zero), behind(&v, &zero));
        }
        (k, v)
    }
}

fn with_zero_bias(linear: Linear) -> Linear {
    if let Some(bias) = &linear.bias {
        crate::init::zeros_(bias);
    }
    linear
}
