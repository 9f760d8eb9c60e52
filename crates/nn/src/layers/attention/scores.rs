//! How well keys fit a query, and the attention of a recurrent decoder made of it.

use super::masks::hiding;
use crate::Linear;
use crate::init::by_fan_in;
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{Tensor, fail};

/// How well each key fits a query: the part in which the attentions of Luong and Bahdanau differ.
///
/// In a decoder, the query is its hidden state (of the top layer, where there are several) and the keys are the
/// encoder's hidden states.
pub trait Score: Module {
    /// A number for each query and key.
    ///
    /// # Shapes
    /// query `[N, q]`, keys `[N, S, k]` -> `[N, S]`; all steps at once: query `[N, L, q]` -> `[N, L, S]`
    ///
    /// # Panics
    /// If the shapes do not fit.
    fn scores(&self, query: &Tensor, keys: &Tensor) -> Tensor;
}

impl<S: Score + ?Sized> Score for Box<S> {
    fn scores(&self, query: &Tensor, keys: &Tensor) -> Tensor {
        (**self).scores(query, keys)
    }
}

/// Checks the shapes, then calls `f` with a query `[N, L, q]` and takes L away again if there was none.
fn by_step(
    kind: &str,
    query: &Tensor,
    keys: &Tensor,
    widths: [Option<usize>; 2],
    f: impl Fn(&Tensor) -> Tensor,
) -> Tensor {
    let fits = |t: &Tensor, width: Option<usize>| width.is_none_or(|n| t.size(-1) == n);
    let ranks = [2, 3].contains(&query.rank()) && keys.rank() == 3;
    let equal = widths != [None, None] || ranks && query.size(-1) == keys.size(-1);
    if !ranks || !equal || query.size(0) != keys.size(0) || !fits(query, widths[0]) || !fits(keys, widths[1]) {
        let [q, k] = widths.map(|w| w.map_or("E".to_string(), |n| n.to_string()));
        let message = format_args!(
            "needs a query [N, {q}] or [N, L, {q}] and keys [N, S, {k}], got {} and {}",
            query.shape(),
            keys.shape()
        );
        fail(kind, message);
    }
    if query.rank() == 3 { f(query) } else { f(&query.unsqueeze(1)).squeeze(1) }
}

/// The scalar product, h_t^T h_s = |h_t| |h_s| cos(angle): similarity, without parameters.
///
/// Queries and keys must lie in the same space, so it suits an encoder and decoder that share one.
///
/// # Shapes
/// query `[N, E]` or `[N, L, E]`, keys `[N, S, E]` -> `[N, S]` or `[N, L, S]`
///
/// # Panics
/// `scores` panics if the shapes do not fit.
///
/// Source: Luong, Pham and Manning, 2015, <https://arxiv.org/abs/1508.04025>.
///
/// ```
/// use gradus_nn::{DotScore, Score};
/// use gradus_tensor::Tensor;
/// let keys = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 2.0], [1, 2, 2]);
/// let scores = DotScore::new().scores(&Tensor::from_slice(&[3.0f32, 4.0], [1, 2]), &keys);
/// assert_eq!(scores.to_vec::<f32>(), [3.0, 8.0]);
/// ```
#[derive(Debug, Default, Module)]
pub struct DotScore {
    scope: Scope,
}

impl DotScore {
    /// The scalar product.
    pub fn new() -> DotScore {
        DotScore::default()
    }
}

impl Score for DotScore {
    fn scores(&self, query: &Tensor, keys: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        by_step("DotScore", query, keys, [None, None], |q| q.matmul(&keys.transpose(1, 2)))
    }
}

/// The scalar product after a matrix, h_t^T W_a h_s: queries and keys may come from different spaces, as those of two
/// languages do.
///
/// Parameter: `w_a` `[query_dim, key_dim]`, begun evenly from ±1/sqrt(key_dim).
///
/// # Shapes
/// query `[N, query_dim]` or `[N, L, query_dim]`, keys `[N, S, key_dim]` -> `[N, S]` or `[N, L, S]`
///
/// # Panics
/// `scores` panics if the shapes do not fit.
///
/// Source: Luong, Pham and Manning, 2015, <https://arxiv.org/abs/1508.04025>.
///
/// ```
/// use gradus_nn::{GeneralScore, Score};
/// use gradus_tensor::Tensor;
/// let score = GeneralScore::new(4, 6);
/// assert_eq!(score.scores(&Tensor::randn([2, 4]), &Tensor::randn([2, 5, 6])).shape(), [2, 5]);
/// ```
#[derive(Debug, Module)]
pub struct GeneralScore {
    /// `[query_dim, key_dim]`
    pub w_a: Param,
    scope: Scope,
}

impl GeneralScore {
    /// For queries of `query_dim` and keys of `key_dim` numbers.
    pub fn new(query_dim: usize, key_dim: usize) -> GeneralScore {
        GeneralScore { w_a: Param::new(by_fan_in(&[query_dim, key_dim], key_dim)), scope: Scope::default() }
    }
}

impl Score for GeneralScore {
    fn scores(&self, query: &Tensor, keys: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let widths = [self.w_a.size(0), self.w_a.size(1)].map(Some);
        by_step("GeneralScore", query, keys, widths, |q| q.matmul(&self.w_a).matmul(&keys.transpose(1, 2)))
    }
}

/// A small network over query and key joined, v_a^T tanh(W_a [h_t; h_s]).
///
/// Parameters: `w_a.weight` `[hidden, query_dim + key_dim]`, `v_a.weight` `[1, hidden]`.
///
/// # Shapes
/// query `[N, query_dim]` or `[N, L, query_dim]`, keys `[N, S, key_dim]` -> `[N, S]` or `[N, L, S]`
///
/// # Panics
/// `scores` panics if the shapes do not fit.
///
/// Source: Luong, Pham and Manning, 2015, <https://arxiv.org/abs/1508.04025>.
///
/// ```
/// use gradus_nn::{ConcatScore, Score};
/// use gradus_tensor::Tensor;
/// let score = ConcatScore::new(4, 6, 8);
/// assert_eq!(score.scores(&Tensor::randn([2, 3, 4]), &Tensor::randn([2, 5, 6])).shape(), [2, 3, 5]);
/// ```
#[derive(Debug, Module)]
pub struct ConcatScore {
    /// From query and key to the hidden units.
    pub w_a: Linear,
    /// From the hidden units to the score.
    pub v_a: Linear,
    query_dim: usize,
    scope: Scope,
}

impl ConcatScore {
    /// For queries of `query_dim` and keys of `key_dim` numbers, with `hidden` hidden units.
    pub fn new(query_dim: usize, key_dim: usize, hidden: usize) -> ConcatScore {
        ConcatScore {
            w_a: Linear::new(query_dim + key_dim, hidden).bias(false),
            v_a: Linear::new(hidden, 1).bias(false),
            query_dim,
            scope: Scope::default(),
        }
    }
}

impl Score for ConcatScore {
    fn scores(&self, query: &Tensor, keys: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let (q_dim, k_dim) = (self.query_dim, self.w_a.in_features() - self.query_dim);
        by_step("ConcatScore", query, keys, [q_dim, k_dim].map(Some), |q| {
            // W [a; b] = W_1 a + W_2 b, so each query and each key is multiplied once, not once a pair.
            let q = q.linear(&self.w_a.weight.narrow(1, 0, q_dim), None);
            let k = keys.linear(&self.w_a.weight.narrow(1, q_dim, k_dim), None);
            score_of_sums(&q, &k, &self.v_a)
        })
    }
}

/// A small network over the sum of projections, e_ij = v_a^T tanh(W_a s_(i-1) + U_a h_j): additive attention.
///
/// It is [`ConcatScore`] with W_a cut in two; the query of Bahdanau's decoder is its state *before* the step.
///
/// Parameters: `w_a.weight` `[hidden, query_dim]`, `u_a.weight` `[hidden, key_dim]`, `v_a.weight` `[1, hidden]`.
///
/// # Shapes
/// query `[N, query_dim]` or `[N, L, query_dim]`, keys `[N, S, key_dim]` -> `[N, S]` or `[N, L, S]`
///
/// # Panics
/// `scores` panics if the shapes do not fit.
///
/// Source: Bahdanau, Cho and Bengio, 2014, <https://arxiv.org/abs/1409.0473>.
///
/// ```
/// use gradus_nn::{AdditiveScore, Score};
/// use gradus_tensor::Tensor;
/// let score = AdditiveScore::new(4, 6, 8);
/// assert_eq!(score.scores(&Tensor::randn([2, 4]), &Tensor::randn([2, 5, 6])).shape(), [2, 5]);
/// ```
#[derive(Debug, Module)]
pub struct AdditiveScore {
    /// From the query to the hidden units.
    pub w_a: Linear,
    /// From the key to the hidden units.
    pub u_a: Linear,
    /// From the hidden units to the score.
    pub v_a: Linear,
    scope: Scope,
}

impl AdditiveScore {
    /// For queries of `query_dim` and keys of `key_dim` numbers, with `hidden` hidden units.
    pub fn new(query_dim: usize, key_dim: usize, hidden: usize) -> AdditiveScore {
        AdditiveScore {
            w_a: Linear::new(query_dim, hidden).bias(false),
            u_a: Linear::new(key_dim, hidden).bias(false),
            v_a: Linear::new(hidden, 1).bias(false),
            scope: Scope::default(),
        }
    }
}

impl Score for AdditiveScore {
    fn scores(&self, query: &Tensor, keys: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let widths = [self.w_a.in_features(), self.u_a.in_features()].map(Some);
        by_step("AdditiveScore", query, keys, widths, |q| {
            score_of_sums(&self.w_a.forward(q), &self.u_a.forward(keys), &self.v_a)
        })
    }
}

/// v^T tanh(q_i + k_j) for all i and j.
fn score_of_sums(q: &Tensor, k: &Tensor, v: &Linear) -> Tensor {
    let hidden = (q.unsqueeze(2) + k.unsqueeze(1)).tanh(); // (N, L, S, hidden)
    v.forward(&hidden).squeeze(-1)
}

/// The attention of a recurrent decoder: the hidden states of the encoder are scored against the decoder's, the softmax
/// of the scores gives weights a_ij, and the context is the sum of the hidden states times their weights,
/// c_i = sum_j a_ij h_j. There is a new context at every step.
///
/// Parameters: `score.*`, those of the [`Score`].
///
/// # Shapes
/// query `[N, q]`, keys `[N, S, k]` -> context `[N, k]`, weights `[N, S]`; all steps at once: query `[N, L, q]` ->
/// `[N, L, k]`, `[N, L, S]`
///
/// # Panics
/// `forward` panics if the shapes do not fit.
///
/// Source: Bahdanau, Cho and Bengio, 2014, <https://arxiv.org/abs/1409.0473>; Luong, Pham and Manning, 2015,
/// <https://arxiv.org/abs/1508.04025>.
///
/// ```
/// use gradus_nn::{AdditiveScore, Attention};
/// use gradus_tensor::Tensor;
/// let attention = Attention::new(AdditiveScore::new(4, 6, 8));
/// let (state, encoded) = (Tensor::randn([1, 4]), Tensor::randn([1, 3, 6]));
/// let padding = Tensor::from_slice(&[false, false, true], [1, 3]);
/// let (context, weights) = attention.forward(&state, &encoded, Some(&padding));
/// assert_eq!((context.shape().to_vec(), weights.at(&[0, 2])), (vec![1, 6], 0.0));
/// assert!((weights.sum().item() - 1.0).abs() < 1e-6);
/// ```
#[derive(Debug, Module)]
pub struct Attention<S> {
    /// How well a key fits a query.
    pub score: S,
    scope: Scope,
}

impl<S: Score> Attention<S> {
    /// Attention by `score`.
    pub fn new(score: S) -> Attention<S> {
        Attention { score, scope: Scope::default() }
    }

    /// Context and weights for a step of the decoder (or all of them). In a Bool `key_padding_mask` `[N, S]` true
    /// hides a key, a float one is added to the scores; where all keys of an example are hidden, its weights and its
    /// context are zeros.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward(&self, query: &Tensor, keys: &Tensor, key_padding_mask: Option<&Tensor>) -> (Tensor, Tensor) {
        const KIND: &str = "Attention";
        let _scope = self.scope.enter();
        let scores = self.score.scores(query, keys);
        let bias = key_padding_mask.map(|mask| {
            let (n, s) = (keys.size(0), keys.size(1));
            if mask.shape() != [n, s] {
                fail(KIND, format_args!("needs a key_padding_mask [{n}, {s}], got {}", mask.shape()));
            }
            let bias = hiding(KIND, mask, scores.dtype());
            if query.rank() == 3 { bias.unsqueeze(1) } else { bias }
        });
        let weights = scores.masked_softmax(bias.as_ref());
        let context = match query.rank() {
            3 => weights.matmul(keys),
            _ => weights.unsqueeze(1).matmul(keys).squeeze(1),
        };
        (context, weights)
    }
}
