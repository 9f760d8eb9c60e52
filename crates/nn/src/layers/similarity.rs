//! Likeness and distance of two batches.

use crate::module::{Module, Scope};
use gradus_tensor::{Tensor, fail};

/// The cosine of the angle between vectors along a dimension: `x1 . x2 / (max(|x1|, eps) max(|x2|, eps))`.
///
/// # Shapes
/// two shapes that broadcast -> that shape without `dim`
///
/// # Panics
/// `forward` panics if the shapes do not broadcast.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineSimilarity.html>.
///
/// ```
/// use gradus_nn::CosineSimilarity;
/// use gradus_tensor::Tensor;
/// let (x, y) = (Tensor::from_slice(&[3.0f32, 4.0], [1, 2]), Tensor::from_slice(&[5.0f32, 0.0], [1, 2]));
/// assert!((CosineSimilarity::new().forward(&x, &y).item() - 0.6).abs() < 1e-6);
/// ```
#[derive(Clone, Debug, Module)]
pub struct CosineSimilarity {
    dim: isize,
    eps: f64,
    scope: Scope,
}

impl CosineSimilarity {
    /// Along dimension 1, with norms of at least 1e-8.
    pub fn new() -> CosineSimilarity {
        CosineSimilarity { dim: 1, eps: 1e-8, scope: Scope::default() }
    }

    /// Along this dimension, counted from the end if negative (1).
    pub fn dim(mut self, dim: isize) -> CosineSimilarity {
        self.dim = dim;
        self
    }

    /// Smallest norm that is divided by (1e-8).
    pub fn eps(mut self, eps: f64) -> CosineSimilarity {
        self.eps = eps;
        self
    }

    /// The cosines of `x1` and `x2`.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let shape = common("CosineSimilarity", x1, x2);
        let unit = |x: &Tensor| {
            let x = x.broadcast_to(shape);
            let norm = x.norm_dim(2.0, self.dim, true);
            let floor = norm.full_like(self.eps);
            x / norm.maximum(&floor)
        };
        (unit(x1) * unit(x2)).sum_dim(self.dim, false)
    }
}

impl Default for CosineSimilarity {
    fn default() -> CosineSimilarity {
        CosineSimilarity::new()
    }
}

/// The p-norm of the difference of vectors along the last dimension: `|x1 - x2 + eps|_p`.
///
/// # Shapes
/// two shapes `[.., D]` that broadcast -> `[..]`, or `[.., 1]` if the dimension is kept
///
/// # Panics
/// `forward` panics if the shapes do not broadcast.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.PairwiseDistance.html>.
///
/// ```
/// use gradus_nn::PairwiseDistance;
/// use gradus_tensor::Tensor;
/// let (x, y) = (Tensor::from_slice(&[3.0f32, 4.0], [1, 2]), Tensor::zeros([1, 2]));
/// assert!((PairwiseDistance::new().forward(&x, &y).item() - 5.0).abs() < 1e-5);
/// ```
#[derive(Clone, Debug, Module)]
pub struct PairwiseDistance {
    p: f64,
    eps: f64,
    keepdim: bool,
    scope: Scope,
}

impl PairwiseDistance {
    /// The Euclidean distance, with 1e-6 added to each difference.
    pub fn new() -> PairwiseDistance {
        PairwiseDistance { p: 2.0, eps: 1e-6, keepdim: false, scope: Scope::default() }
    }

    /// Degree of the norm (2).
    pub fn p(mut self, p: f64) -> PairwiseDistance {
        self.p = p;
        self
    }

    /// Added to each difference (1e-6).
    pub fn eps(mut self, eps: f64) -> PairwiseDistance {
        self.eps = eps;
        self
    }

    /// Whether the last dimension stays, as 1 (no).
    pub fn keepdim(mut self, on: bool) -> PairwiseDistance {
        self.keepdim = on;
        self
    }

    /// The distances of `x1` and `x2`.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        common("PairwiseDistance", x1, x2);
        (x1 - x2 + self.eps).norm_dim(self.p, -1, self.keepdim)
    }
}

impl Default for PairwiseDistance {
    fn default() -> PairwiseDistance {
        PairwiseDistance::new()
    }
}

/// The shape that both broadcast to.
fn common(kind: &str, x1: &Tensor, x2: &Tensor) -> gradus_tensor::Shape {
    let (a, b) = (x1.shape(), x2.shape());
    a.broadcast(&b).unwrap_or_else(|| fail(kind, format_args!("the shapes {a} and {b} do not broadcast")))
}
