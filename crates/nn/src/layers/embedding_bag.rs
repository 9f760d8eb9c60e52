//! Lookup table for bags of indices.

use super::embedding::{Lookup, check_padding, integers};
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{Tensor, fail, no_grad};

/// What an [`EmbeddingBag`] makes of the rows of a bag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BagMode {
    /// Their sum.
    Sum,
    /// Their mean. The default.
    #[default]
    Mean,
    /// The largest of each column.
    Max,
}

/// Looks up bags of indices in a table and sums up each bag: an [`Embedding`](super::Embedding), then the mean over
/// the bag (or the sum, or the maximum). An empty bag gives zeros.
///
/// Parameter: `weight` `[entries, width]`, begun from the standard normal distribution. The entry `padding_idx`, if
/// there is one, begins as zeros, gets no gradient and does not count.
///
/// # Shapes
/// indices (integers) `[bags, L]` -> `[bags, width]`; or all indices in a row `[L]` and where each bag begins `[bags]`
///
/// # Panics
/// `forward` panics if the input does not hold integers or one of them is not in 0..entries.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.EmbeddingBag.html>.
///
/// ```
/// use gradus_nn::{BagMode, EmbeddingBag, Forward};
/// use gradus_tensor::Tensor;
/// let table = EmbeddingBag::new(10, 3).mode(BagMode::Sum);
/// assert_eq!(table.forward(&Tensor::from_slice(&[4i64, 0, 2, 4], [2, 2])).shape(), [2, 3]);
/// // Bags of 3, 0 and 1 indices.
/// let (all, offsets) = (Tensor::from_slice(&[4i64, 0, 2, 4], [4]), Tensor::from_slice(&[0i64, 3, 3], [3]));
/// let y = table.forward_with(&all, Some(&offsets), None);
/// assert_eq!((y.shape().to_vec(), y.select(0, 1).to_vec::<f32>()), (vec![3, 3], vec![0.0; 3]));
/// ```
#[derive(Debug, Module)]
pub struct EmbeddingBag {
    /// `[entries, width]`
    pub weight: Param,
    padding_idx: Option<usize>,
    include_last_offset: bool,
    #[module(skip)]
    mode: BagMode,
    #[module(skip)]
    lookup: Lookup,
    scope: Scope,
}

impl EmbeddingBag {
    /// A table of `num_embeddings` vectors of `embedding_dim` numbers, giving means.
    pub fn new(num_embeddings: usize, embedding_dim: usize) -> EmbeddingBag {
        EmbeddingBag {
            weight: Param::new(Tensor::randn([num_embeddings, embedding_dim])),
            padding_idx: None,
            include_last_offset: false,
            mode: BagMode::default(),
            lookup: Lookup::default(),
            scope: Scope::default(),
        }
    }

    /// What is made of the rows of a bag (their mean).
    pub fn mode(mut self, mode: BagMode) -> EmbeddingBag {
        self.mode = mode;
        self
    }

    /// The entry `index` stands for nothing: it is set to zero, not trained, and left out of every bag.
    ///
    /// # Panics
    /// If there is no such entry.
    #[track_caller]
    pub fn padding_idx(mut self, index: usize) -> EmbeddingBag {
        check_padding("EmbeddingBag", &self.weight, index);
        no_grad(|| self.weight.select(0, index).zero_());
        self.padding_idx = Some(index);
        self
    }

    /// Rows that are looked up and have a larger norm are first scaled down to this one, in place (no limit).
    pub fn max_norm(mut self, max_norm: f64) -> EmbeddingBag {
        self.lookup.max_norm = Some(max_norm);
        self
    }

    /// Degree of the norm that is limited (2).
    pub fn norm_type(mut self, p: f64) -> EmbeddingBag {
        self.lookup.norm_type = p;
        self
    }

    /// Whether a row's gradient is divided by the number of times it was looked up (no).
    pub fn scale_grad_by_freq(mut self, on: bool) -> EmbeddingBag {
        self.lookup.scale_grad_by_freq = on;
        self
    }

    /// Whether the offsets end with the number of indices, as in a sparse matrix by rows (no).
    pub fn include_last_offset(mut self, on: bool) -> EmbeddingBag {
        self.include_last_offset = on;
        self
    }

    /// As `forward`, with the places where the bags begin if `input` is a vector, and a weight for each index of
    /// sums.
    ///
    /// # Panics
    /// If the shapes do not fit, the offsets do not ascend from 0, or there are weights and the mode is another.
    pub fn forward_with(
        &self,
        input: &Tensor,
        offsets: Option<&Tensor>,
        per_sample_weights: Option<&Tensor>,
    ) -> Tensor {
        let _scope = self.scope.enter();
        let all = integers("EmbeddingBag", input).reshape([-1]);
        let starts = self.starts(input, offsets);
        let rows = self.lookup.rows(&self.weight, &all);
        let weights = per_sample_weights.map(|w| self.check_weights(w, input));
        let all = all.to_vec::<i64>();
        let kept: Vec<usize> = (0..all.len()).filter(|&i| self.padding_idx != Some(all[i] as usize)).collect();
        if input.rank() == 2 && kept.len() == all.len() && input.size(1) > 0 {
            // Bags of one size: [bags, L, width].
            let bags = weights.map_or(rows.clone(), |w| &rows * w.unsqueeze(1));
            let bags = bags.reshape([input.size(0), input.size(1), rows.size(1)]);
            return match self.mode {
                BagMode::Sum => bags.sum_dim(1, false),
                BagMode::Mean => bags.mean_dim(1, false),
                BagMode::Max => bags.max_dim(1, false).0,
            };
        }
        let bag = |i: usize| starts.partition_point(|&s| s <= i) - 1;
        let bags: Vec<usize> = kept.iter().map(|&i| bag(i)).collect();
        let place = Tensor::from_vec(kept.iter().map(|&i| i as i64).collect::<Vec<_>>(), [kept.len()]);
        let mut rows = rows.index_select(0, &place);
        if let Some(w) = weights {
            rows = rows * w.index_select(0, &place).unsqueeze(1);
        }
        self.reduce(&rows, &bags, starts.len())
    }

    /// The weights as a vector.
    fn check_weights(&self, weights: &Tensor, input: &Tensor) -> Tensor {
        if self.mode != BagMode::Sum || weights.shape() != input.shape() {
            let (shape, mode) = (weights.shape(), self.mode);
            fail(
                "EmbeddingBag",
                format_args!("weights {shape} for indices {} in mode {mode:?}: sums alone take them", input.shape()),
            );
        }
        weights.reshape([-1])
    }

    /// Where the bags begin.
    fn starts(&self, input: &Tensor, offsets: Option<&Tensor>) -> Vec<usize> {
        let (shape, n) = (input.shape(), input.numel());
        let mut starts: Vec<usize> = match (shape.len(), offsets) {
            (2, None) => return (0..shape[0]).map(|b| b * shape[1]).collect(),
            (1, Some(o)) if o.rank() == 1 => {
                integers("EmbeddingBag", o).to_vec::<i64>().into_iter().map(|o| o as usize).collect()
            }
            _ => fail(
                "EmbeddingBag",
                format_args!("needs indices [bags, L], or [L] with offsets [bags], got an input {shape}"),
            ),
        };
        if self.include_last_offset {
            starts.pop();
        }
        let ascend = starts.windows(2).all(|w| w[0] <= w[1]);
        if starts.first().is_some_and(|&s| s != 0) || !ascend || starts.last().is_some_and(|&s| s > n) {
            fail("EmbeddingBag", format_args!("offsets ascend from 0 to at most {n}, these are {starts:?}"));
        }
        starts
    }

    /// What is made of `rows` by the numbers of their bags, which ascend.
    fn reduce(&self, rows: &Tensor, bags: &[usize], n: usize) -> Tensor {
        let mut sizes = vec![0usize; n];
        bags.iter().for_each(|&b| sizes[b] += 1);
        let width = rows.size(1);
        if self.mode == BagMode::Max {
            let longest = sizes.iter().copied().max().unwrap_or(0);
            if longest == 0 {
                return Tensor::full_of([n, width], 0.0, rows.dtype());
            }
            // Every bag as long as the longest, filled up with a row of negative infinity.
            let (mut places, mut next) = (Vec::new(), 0);
            for &size in &sizes {
                places.extend((0..longest).map(|i| if i < size { next + i } else { rows.size(0) } as i64));
                next += size;
            }
            let filler = Tensor::full_of([1, width], f64::NEG_INFINITY, rows.dtype());
            let filled = Tensor::cat(&[rows, &filler], 0).index_select(0, &Tensor::from_vec(places, [n * longest]));
            let largest = filled.reshape([n, longest, width]).max_dim(1, false).0;
            let empty: Vec<bool> = sizes.iter().map(|&s| s == 0).collect();
            return largest.masked_fill(&Tensor::from_slice(&empty, [n, 1]), 0.0);
        }
        let index = Tensor::from_vec(bags.iter().map(|&b| b as i64).collect::<Vec<_>>(), [bags.len()]);
        let sums = Tensor::full_of([n, width], 0.0, rows.dtype()).index_add(0, &index, rows);
        if self.mode == BagMode::Sum {
            return sums;
        }
        let sizes: Vec<f64> = sizes.iter().map(|&s| s.max(1) as f64).collect();
        sums / Tensor::from_vec(sizes, [n, 1]).to_dtype(rows.dtype())
    }
}

impl Forward for EmbeddingBag {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with(x, None, None)
    }
}
