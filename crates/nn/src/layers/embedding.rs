//! Lookup table.

use super::reparametrize::HasWeight;
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{DType, Tensor, fail, no_grad};
use std::collections::HashMap;

/// A table of vectors, looked up by index: an integer picks a row, which is learnt. It is the product of a one-hot
/// vector and the table, without the zeros.
///
/// Parameter: `weight` `[entries, width]`, begun from the standard normal distribution. The entry
/// `padding_idx`, if there is one, begins as zeros and gets no gradient.
///
/// # Shapes
/// indices (i64, or another integer type) `[...]` -> `[..., width]`
///
/// # Panics
/// `forward` panics if the input does not hold integers or one of them is not in 0..entries.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html>.
///
/// ```
/// use gradus_nn::{Embedding, Forward};
/// use gradus_tensor::Tensor;
/// let table = Embedding::new(10, 3).padding_idx(0);
/// let y = table.forward(&Tensor::from_slice(&[4i64, 0, 2, 4], [2, 2]));
/// assert_eq!(y.shape(), [2, 2, 3]);
/// assert_eq!(y.select(0, 0).select(0, 1).to_vec::<f32>(), [0.0; 3]);
/// ```
#[derive(Debug, Module)]
pub struct Embedding {
    /// `[entries, width]`
    pub weight: Param,
    pretrained: bool,
    padding_idx: Option<usize>,
    #[module(skip)]
    lookup: Lookup,
    scope: Scope,
}

impl Embedding {
    /// A table of `num_embeddings` vectors of `embedding_dim` numbers.
    pub fn new(num_embeddings: usize, embedding_dim: usize) -> Embedding {
        Embedding::around(Param::new(Tensor::randn([num_embeddings, embedding_dim])), false)
    }

    /// A table with the given rows, frozen: [`Module::unfreeze`] lets it be trained.
    ///
    /// # Panics
    /// If `weight` is not a matrix of floats.
    ///
    /// ```
    /// use gradus_nn::{Embedding, Module};
    /// use gradus_tensor::Tensor;
    /// let table = Embedding::from_pretrained(Tensor::eye(3));
    /// assert!(!table.weight.requires_grad());
    /// table.unfreeze();
    /// assert!(table.weight.requires_grad());
    /// ```
    #[track_caller]
    pub fn from_pretrained(weight: Tensor) -> Embedding {
        if weight.rank() != 2 {
            fail("Embedding", format_args!("needs a weight [entries, width], got {}", weight.shape()));
        }
        let table = Embedding::around(Param::new(weight), true);
        table.freeze();
        table
    }

    fn around(weight: Param, pretrained: bool) -> Embedding {
        Embedding { weight, pretrained, padding_idx: None, lookup: Lookup::default(), scope: Scope::default() }
    }

    /// The entry `index` stands for nothing: it is set to zero, unless the rows were given, and not trained.
    ///
    /// # Panics
    /// If there is no such entry.
    #[track_caller]
    pub fn padding_idx(mut self, index: usize) -> Embedding {
        check_padding("Embedding", &self.weight, index);
        if !self.pretrained {
            no_grad(|| self.weight.select(0, index).zero_());
        }
        self.padding_idx = Some(index);
        self
    }

    /// Rows that are looked up and have a larger norm are first scaled down to this one, in place (no limit).
    pub fn max_norm(mut self, max_norm: f64) -> Embedding {
        self.lookup.max_norm = Some(max_norm);
        self
    }

    /// Degree of the norm that is limited (2).
    pub fn norm_type(mut self, p: f64) -> Embedding {
        self.lookup.norm_type = p;
        self
    }

    /// Whether a row's gradient is divided by the number of times it was looked up (no).
    pub fn scale_grad_by_freq(mut self, on: bool) -> Embedding {
        self.lookup.scale_grad_by_freq = on;
        self
    }
}

impl Forward for Embedding {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with(x, &self.weight)
    }
}

impl HasWeight for Embedding {
    fn weight(&self) -> &Param {
        &self.weight
    }

    fn weight_mut(&mut self) -> &mut Param {
        &mut self.weight
    }

    fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let indices = integers("Embedding", x);
        let mut shape = x.shape().to_vec();
        shape.push(weight.size(1));
        let rows = self.lookup.rows(weight, &indices.reshape([-1])).reshape(shape);
        match self.padding_idx {
            Some(p) => indices.eq_scalar(p as f64).unsqueeze(-1).where_(&rows.detach(), &rows),
            None => rows,
        }
    }
}

/// How rows are looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup {
    pub max_norm: Option<f64>,
    pub norm_type: f64,
    pub scale_grad_by_freq: bool,
}

impl Default for Lookup {
    fn default() -> Lookup {
        Lookup { max_norm: None, norm_type: 2.0, scale_grad_by_freq: false }
    }
}

impl Lookup {
    /// The rows at `indices` (i64, a vector) of `weight`.
    pub fn rows(&self, weight: &Tensor, indices: &Tensor) -> Tensor {
        if let Some(limit) = self.max_norm {
            no_grad(|| self.shorten(weight, indices, limit));
        }
        let rows = weight.index_select(0, indices);
        if !self.scale_grad_by_freq {
            return rows;
        }
        let indices = indices.to_vec::<i64>();
        let mut count: HashMap<i64, f64> = HashMap::new();
        indices.iter().for_each(|&i| *count.entry(i).or_default() += 1.0);
        let scales: Vec<f64> = indices.iter().map(|i| 1.0 / count[i]).collect();
        let scales = Tensor::from_vec(scales, [indices.len(), 1]).to_dtype(rows.dtype());
        // The values stay, only the gradient is scaled.
        rows.detach() + (&rows - rows.detach()) * scales
    }

    /// Scales the rows at `indices` that are longer than `limit` down to it.
    fn shorten(&self, weight: &Tensor, indices: &Tensor, limit: f64) {
        let norms = weight.detach().index_select(0, indices).norm_dim(self.norm_type, 1, false);
        let norms = norms.to_dtype(DType::F64).to_vec::<f64>();
        let mut long: Vec<(i64, f64)> =
            indices.to_vec::<i64>().into_iter().zip(norms).filter(|r| r.1 > limit).collect();
        long.sort_by_key(|r| r.0);
        long.dedup_by_key(|r| r.0);
        for (i, norm) in long {
            weight.select(0, i as usize).mul_(limit / (norm + 1e-7));
        }
    }
}

/// `x` as i64, if it holds integers.
#[track_caller]
pub(super) fn integers(kind: &str, x: &Tensor) -> Tensor {
    if x.dtype().is_float() || x.dtype() == DType::Bool {
        fail(kind, format_args!("needs integer indices, got {}", x.dtype()));
    }
    x.to_dtype(DType::I64)
}

#[track_caller]
pub(super) fn check_padding(kind: &str, weight: &Tensor, index: usize) {
    if index >= weight.size(0) {
        fail(kind, format_args!("padding_idx {index} is not an entry in 0..{}", weight.size(0)));
    }
}
