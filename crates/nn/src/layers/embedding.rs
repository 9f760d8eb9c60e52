//! Lookup table.

use super::reparametrize::HasWeight;
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{DType, Tensor, fail, no_grad};

/// A table of vectors, looked up by index.
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
    padding_idx: Option<usize>,
    scope: Scope,
}

impl Embedding {
    /// A table of `num_embeddings` vectors of `embedding_dim` numbers.
    pub fn new(num_embeddings: usize, embedding_dim: usize) -> Embedding {
        let weight = Param::new(Tensor::randn([num_embeddings, embedding_dim]));
        Embedding { weight, padding_idx: None, scope: Scope::default() }
    }

    /// A table with the given rows.
    ///
    /// # Panics
    /// If `weight` is not a matrix of floats.
    #[track_caller]
    pub fn from_pretrained(weight: Tensor) -> Embedding {
        if weight.rank() != 2 {
            fail("Embedding", format_args!("needs a weight [entries, width], got {}", weight.shape()));
        }
        Embedding { weight: Param::new(weight), padding_idx: None, scope: Scope::default() }
    }

    /// The entry `index` stands for nothing: it is set to zero and not trained.
    ///
    /// # Panics
    /// If there is no such entry.
    #[track_caller]
    pub fn padding_idx(mut self, index: usize) -> Embedding {
        if index >= self.weight.size(0) {
            fail("Embedding", format_args!("padding_idx {index} is not an entry in 0..{}", self.weight.size(0)));
        }
        no_grad(|| self.weight.select(0, index).zero_());
        self.padding_idx = Some(index);
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
        if x.dtype().is_float() || x.dtype() == DType::Bool {
            fail("Embedding", format_args!("needs integer indices, got {}", x.dtype()));
        }
        let indices = x.to_dtype(DType::I64);
        let mut shape = x.shape().to_vec();
        shape.push(weight.size(1));
        let rows = weight.index_select(0, &indices.reshape([-1])).reshape(shape);
        match self.padding_idx {
            Some(p) => indices.eq_scalar(p as f64).unsqueeze(-1).where_(&rows.detach(), &rows),
            None => rows,
        }
    }
}
