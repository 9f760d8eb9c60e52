//! Positions that act in the scores.

use crate::module::{Buffer, Forward, Module, Scope};
use gradus_tensor::{Tensor, fail};

/// Turns each pair (x_2i, x_2i+1) of a query or key at position t by the angle t / base^(2i/dim), so that the score
/// of a query and a key depends on their distance alone.
///
/// Apply it to queries and keys, not to values. It has no parameters, and the tables are no part of state dicts.
///
/// # Shapes
/// `[..., L, dim]` -> the same
///
/// # Panics
/// `new` panics if `dim` is odd; `forward` if the last dimension is not `dim` or the input is longer than
/// `max_seq_len`.
///
/// Source: Su et al., 2021, <https://arxiv.org/abs/2104.09864>.
///
/// ```
/// use gradus_nn::{Forward, RotaryPositionalEmbedding};
/// use gradus_tensor::Tensor;
/// let rotary = RotaryPositionalEmbedding::new(2);
/// let y = rotary.forward(&Tensor::from_slice(&[1.0f32, 0.0, 1.0, 0.0], [2, 2]));
/// assert_eq!(y.select(0, 0).to_vec::<f32>(), [1.0, 0.0]);
/// assert!((y.at(&[1, 0]) - 1f64.cos()).abs() < 1e-6 && (y.at(&[1, 1]) - 1f64.sin()).abs() < 1e-6);
/// ```
#[derive(Debug, Module)]
pub struct RotaryPositionalEmbedding {
    /// `[max_seq_len, dim / 2]`
    cos: Buffer,
    /// `[max_seq_len, dim / 2]`
    sin: Buffer,
    base: f64,
    scope: Scope,
}

const KIND: &str = "RotaryPositionalEmbedding";

impl RotaryPositionalEmbedding {
    /// For queries and keys of width `dim`, at positions 0..4096, with base 10000.
    ///
    /// # Panics
    /// If `dim` is odd.
    #[track_caller]
    pub fn new(dim: usize) -> RotaryPositionalEmbedding {
        if !dim.is_multiple_of(2) {
            fail(KIND, format_args!("turns pairs, so dim must be even, got {dim}"));
        }
        RotaryPositionalEmbedding::with(4096, dim / 2, 10000.0)
    }

    /// Length of the longest sequence (4096).
    pub fn max_seq_len(self, n: usize) -> Self {
        RotaryPositionalEmbedding::with(n, self.cos.size(1), self.base)
    }

    /// The wavelengths go from 2 pi to nearly 2 pi times this (10000).
    pub fn base(self, base: f64) -> Self {
        RotaryPositionalEmbedding::with(self.cos.size(0), self.cos.size(1), base)
    }

    fn with(max_seq_len: usize, pairs: usize, base: f64) -> Self {
        let table = |f: fn(f64) -> f64| {
            let angle = |i: usize| (i / pairs) as f64 * base.powf(-((i % pairs) as f64) / pairs as f64);
            let values: Vec<f64> = (0..max_seq_len * pairs).map(|i| f(angle(i))).collect();
            Buffer::transient(Tensor::from_vec(values, [max_seq_len, pairs]))
        };
        RotaryPositionalEmbedding { cos: table(f64::cos), sin: table(f64::sin), base, scope: Scope::default() }
    }

    /// As [`Forward::forward`] for a piece of a sequence that begins at position `start`, as in decoding step by step.
    ///
    /// # Panics
    /// As `forward`.
    #[track_caller]
    pub fn forward_from(&self, x: &Tensor, start: usize) -> Tensor {
        let _scope = self.scope.enter();
        let (max_seq_len, pairs) = (self.cos.size(0), self.cos.size(1));
        if x.rank() < 2 || x.size(-1) != 2 * pairs {
            fail(KIND, format_args!("needs an input [..., L, {}], got {}", 2 * pairs, x.shape()));
        }
        let length = x.size(-2);
        if start + length > max_seq_len {
            let positions = start..start + length;
            fail(KIND, format_args!("has max_seq_len {max_seq_len}, the input {} has {positions:?}", x.shape()));
        }
        let [cos, sin] = [&self.cos, &self.sin].map(|t| t.narrow(0, start, length).to_dtype(x.dtype()));
        let mut shape = x.shape().to_vec();
        shape.splice(x.rank() - 1.., [pairs, 2]);
        let split = x.reshape(shape); // (..., L, pairs, 2)
        let (even, odd) = (split.select(-1, 0), split.select(-1, 1));
        let turned = [&even * &cos - &odd * &sin, odd * cos + even * sin];
        Tensor::stack(&[&turned[0], &turned[1]], -1).reshape(x.shape())
    }
}

impl Forward for RotaryPositionalEmbedding {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_from(x, 0)
    }
}

/// What attention with linear biases adds to the scores instead of having positions in the input:
/// -m_h |i - j| for query i and key j, with a slope a head, m_h = 2^(-8 h / H) for h in 1..=H.
///
/// Where H is no power of two, the slopes are those of the next lower power, and then every other one of twice as many.
///
/// # Shapes
/// -> `[num_heads, l, s]` (f32), an `attn_mask` for `[..., num_heads, L, E]`
///
/// Source: Press, Smith and Lewis, 2021, <https://arxiv.org/abs/2108.12409>.
///
/// ```
/// let bias = gradus_nn::layers::alibi_bias(8, 3, 3);
/// assert_eq!(bias.select(0, 0).select(0, 2).to_vec::<f32>(), [-1.0, -0.5, 0.0]);
/// ```
pub fn alibi_bias(num_heads: usize, l: usize, s: usize) -> Tensor {
    let power = if num_heads.is_power_of_two() { num_heads } else { num_heads.next_power_of_two() / 2 };
    let slope = |h: usize| match h < power {
        true => (-8.0 * (h + 1) as f64 / power as f64).exp2(),
        false => (-8.0 * (2 * (h - power) + 1) as f64 / (2 * power) as f64).exp2(),
    };
    let element = |i: usize| {
        let (h, query, key) = (i / (l * s), i / s % l, i % s);
        (-slope(h) * query.abs_diff(key) as f64) as f32
    };
    Tensor::from_vec((0..num_heads * l * s).map(element).collect(), [num_heads, l, s])
}
