//! Positions added to the input.

use crate::module::{Buffer, Forward, Module, Param, Scope};
use crate::{Dropout, init};
use gradus_tensor::{Tensor, fail};

/// Adds sines and cosines of the position, from wavelength 2 pi to 2 pi 10000, so that the model can tell positions
/// apart: pe(t, 2i) = sin(t / 10000^(2i/d)), pe(t, 2i+1) = cos(t / 10000^(2i/d)); then dropout.
///
/// It has no parameters, and the table is no part of state dicts.
///
/// # Shapes
/// `[L, N, d_model]` (or `[N, L, d_model]` with [`batch_first`](PositionalEncoding::batch_first)), `[L, d_model]` -> the
/// same
///
/// # Panics
/// `forward` panics if the input has another shape or is longer than `max_len`.
///
/// Source: Vaswani et al., 2017, section 3.5, <https://arxiv.org/abs/1706.03762>; names as in PyTorch's tutorial,
/// <https://docs.pytorch.org/tutorials/beginner/transformer_tutorial.html>.
///
/// ```
/// use gradus_nn::{Forward, PositionalEncoding};
/// use gradus_tensor::Tensor;
/// let positions = PositionalEncoding::new(4).dropout(0.0);
/// let y = positions.forward(&Tensor::zeros([2, 4]));
/// assert_eq!(y.select(0, 0).to_vec::<f32>(), [0.0, 1.0, 0.0, 1.0]);
/// assert!((y.at(&[1, 0]) - 1f64.sin()).abs() < 1e-6);
/// ```
#[derive(Debug, Module)]
pub struct PositionalEncoding {
    /// `[max_len, d_model]`
    pe: Buffer,
    dropout: Dropout,
    batch_first: bool,
    scope: Scope,
}

impl PositionalEncoding {
    /// Positions 0..5000 for inputs of width `d_model`.
    pub fn new(d_model: usize) -> PositionalEncoding {
        PositionalEncoding {
            pe: table(5000, d_model),
            dropout: Dropout::new(0.1),
            batch_first: false,
            scope: Scope::default(),
        }
    }

    /// Probability of dropping an element of the sum in training (0.1).
    ///
    /// # Panics
    /// If it is not in 0..=1.
    #[track_caller]
    pub fn dropout(mut self, p: f64) -> Self {
        self.dropout = Dropout::new(p);
        self
    }

    /// Length of the longest sequence (5000).
    pub fn max_len(mut self, n: usize) -> Self {
        self.pe = table(n, self.pe.size(1));
        self
    }

    /// Whether the batch comes before the sequence (it comes after).
    pub fn batch_first(mut self, on: bool) -> Self {
        self.batch_first = on;
        self
    }
}

impl Forward for PositionalEncoding {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.dropout.forward(&add_positions("PositionalEncoding", x, &self.pe, self.batch_first))
    }
}

/// The sinusoids, in f64 so that any model can round them.
fn table(max_len: usize, d_model: usize) -> Buffer {
    let rates = (0..d_model).map(|k| 10000f64.powf(-((k - k % 2) as f64) / d_model as f64)).collect::<Vec<_>>();
    let mut values = Vec::with_capacity(max_len * d_model);
    for t in 0..max_len {
        let wave =
            |(k, rate): (usize, &f64)| if k % 2 == 0 { (t as f64 * rate).sin() } else { (t as f64 * rate).cos() };
        values.extend(rates.iter().enumerate().map(wave));
    }
    Buffer::transient(Tensor::from_vec(values, [max_len, d_model]))
}

/// `x + table[0..L]`.
#[track_caller]
fn add_positions(kind: &str, x: &Tensor, table: &Tensor, batch_first: bool) -> Tensor {
    let (max_len, d) = (table.size(0), table.size(1));
    if !(x.rank() == 2 || x.rank() == 3) || x.size(-1) != d {
        let axes = if batch_first { "[N, L" } else { "[L, N" };
        fail(kind, format_args!("needs an input {axes}, {d}] or [L, {d}], got {}", x.shape()));
    }
    let length_first = x.rank() == 3 && !batch_first;
    let length = x.size(if length_first { 0 } else { -2 });
    if length > max_len {
        fail(kind, format_args!("has max_len {max_len} positions, the input {} has {length}", x.shape()));
    }
    let positions = table.narrow(0, 0, length).to_dtype(x.dtype());
    x + if length_first { positions.unsqueeze(1) } else { positions }
}

/// Adds a learned vector for each position; then dropout.
///
/// Parameter: `weight` `[max_len, d_model]`, begun from the normal distribution with standard deviation 0.02.
///
/// # Shapes
/// `[L, N, d_model]` (or `[N, L, d_model]` with [`batch_first`](LearnedPositionalEncoding::batch_first)),
/// `[L, d_model]` -> the same
///
/// # Panics
/// `forward` panics if the input has another shape or is longer than `max_len`.
///
/// Source: Gehring et al., 2017, <https://arxiv.org/abs/1705.03122>; begun as by Devlin et al., 2018,
/// <https://arxiv.org/abs/1810.04805>.
///
/// ```
/// use gradus_nn::{Forward, LearnedPositionalEncoding};
/// use gradus_tensor::Tensor;
/// let positions = LearnedPositionalEncoding::new(512, 16).dropout(0.0);
/// let y = positions.forward(&Tensor::zeros([7, 3, 16]));
/// assert_eq!(y.select(1, 2).to_vec::<f32>(), positions.weight.narrow(0, 0, 7).to_vec::<f32>());
/// ```
#[derive(Debug, Module)]
pub struct LearnedPositionalEncoding {
    /// `[max_len, d_model]`
    pub weight: Param,
    dropout: Dropout,
    batch_first: bool,
    scope: Scope,
}

impl LearnedPositionalEncoding {
    /// Vectors of width `d_model` for the positions 0..`max_len`.
    pub fn new(max_len: usize, d_model: usize) -> LearnedPositionalEncoding {
        let weight = Param::new(Tensor::zeros([max_len, d_model]));
        init::normal_(&weight, 0.0, 0.02);
        LearnedPositionalEncoding { weight, dropout: Dropout::new(0.1), batch_first: false, scope: Scope::default() }
    }

    /// Probability of dropping an element of the sum in training (0.1).
    ///
    /// # Panics
    /// If it is not in 0..=1.
    #[track_caller]
    pub fn dropout(mut self, p: f64) -> Self {
        self.dropout = Dropout::new(p);
        self
    }

    /// Whether the batch comes before the sequence (it comes after).
    pub fn batch_first(mut self, on: bool) -> Self {
        self.batch_first = on;
        self
    }
}

impl Forward for LearnedPositionalEncoding {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.dropout.forward(&add_positions("LearnedPositionalEncoding", x, &self.weight, self.batch_first))
    }
}
