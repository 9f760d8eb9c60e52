//! Spectral normalisation.

use super::reparametrize::{HasWeight, Parametrizations, take_weight, visit_mut_without_weight, visit_without_weight};
use crate::module::{Buffer, Forward, Mode, Module, Param, Scope, Visitor, VisitorMut, visit_field, visit_field_mut};
use gradus_tensor::{Tensor, fail, no_grad};

/// Rounds of the power method before the first use.
const FIRST_ROUNDS: usize = 15;

/// A layer whose weight is divided by its largest singular value, which makes it Lipschitz with constant 1:
/// w = v / sigma, sigma = a^T V b.
///
/// V is the weight as a matrix, dimension `dim` against all others, and a and b are its first singular
/// vectors, kept as buffers. Each forward pass in training improves them by a round of the power method,
/// b = V^T a / |V^T a| after a = V b / |V b|; in use they stay. The gradient takes them as constants.
/// The layer can be any that is [`HasWeight`]: linear, convolutions, transposed or not, and embeddings.
///
/// Beside the layer's own parameters other than `weight`: parameter `parametrizations.weight.original` (v) and
/// buffers `parametrizations.weight.0._u` (a) and `parametrizations.weight.0._v` (b), as from PyTorch's
/// `torch.nn.utils.parametrizations.spectral_norm`.
///
/// # Shapes
/// those of the layer
///
/// # Panics
/// `new` panics if the weight has fewer than two dimensions or is zero. `forward` panics where the layer does.
///
/// Source: Miyato et al., 2018, <https://arxiv.org/abs/1802.05957>.
///
/// ```
/// use gradus_nn::{Forward, Linear, SpectralNorm};
/// use gradus_tensor::Tensor;
/// let layer = SpectralNorm::new(Linear::new(4, 3)).n_power_iterations(50);
/// layer.forward(&Tensor::ones([1, 4]));
/// let w = layer.weight().detach();
/// let (squares, _) = w.matmul(&w.t()).eigh();
/// assert!((squares.max().item() - 1.0).abs() < 1e-4);
/// ```
#[derive(Debug)]
pub struct SpectralNorm<L: HasWeight> {
    layer: L,
    parametrizations: Parametrizations<Parts>,
    n_power_iterations: usize,
    eps: f64,
    dim: usize,
    mode: Mode,
    scope: Scope,
}

/// The weight before the division, and what estimates its largest singular value.
#[derive(Debug, Module)]
struct Parts {
    original: Param,
    #[module(rename = "0")]
    vectors: Vectors,
}

/// The first left and right singular vectors, or nearly.
#[derive(Debug, Module)]
struct Vectors {
    _u: Buffer,
    _v: Buffer,
}

impl<L: HasWeight> SpectralNorm<L> {
    /// Divides the weight of `layer`, seen as a matrix with a row an output, with one round of the power
    /// method a step and eps 1e-12.
    ///
    /// # Panics
    /// If the weight has fewer than two dimensions or is zero.
    #[track_caller]
    pub fn new(mut layer: L) -> SpectralNorm<L> {
        let (eps, dim) = (1e-12, layer.output_dim());
        let original = take_weight(&mut layer);
        let vectors = begin(&original, dim, eps);
        SpectralNorm {
            layer,
            parametrizations: Parametrizations { weight: Parts { original, vectors } },
            n_power_iterations: 1,
            eps,
            dim,
            mode: Mode::default(),
            scope: Scope::default(),
        }
    }

    /// Rounds of the power method at each forward pass in training (1).
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn n_power_iterations(mut self, n: usize) -> SpectralNorm<L> {
        if n == 0 {
            fail("SpectralNorm", "needs at least one round of the power method, got 0");
        }
        self.n_power_iterations = n;
        self
    }

    /// The least number that vectors are divided by to give them length 1 (1e-12).
    pub fn eps(mut self, eps: f64) -> SpectralNorm<L> {
        self.eps = eps;
        self
    }

    /// The dimension of the weight that makes the matrix's rows (0; 1 for transposed convolutions). The
    /// vectors are begun anew.
    ///
    /// # Panics
    /// If there is no such dimension.
    #[track_caller]
    pub fn dim(mut self, dim: usize) -> SpectralNorm<L> {
        let parts = &mut self.parametrizations.weight;
        parts.vectors = begin(&parts.original, dim, self.eps);
        self.dim = dim;
        self
    }

    /// The weight that the layer runs with, by the vectors as they are.
    pub fn weight(&self) -> Tensor {
        let Parts { original, vectors } = &self.parametrizations.weight;
        // Copies: a later step of training changes the buffers in place, perhaps before the backward pass.
        self.divided(original, &copied(&vectors._u), &copied(&vectors._v))
    }

    fn divided(&self, weight: &Tensor, u: &Tensor, v: &Tensor) -> Tensor {
        weight / u.dot(&as_matrix(weight, self.dim).matmul(v))
    }
}

/// `t` as a matrix with the indices of `dim` as rows.
fn as_matrix(t: &Tensor, dim: usize) -> Tensor {
    t.movedim(dim as isize, 0).flatten(1, -1)
}

fn copied(t: &Tensor) -> Tensor {
    no_grad(|| t + 0.0)
}

/// `t` divided by its length.
fn unit(t: Tensor, eps: f64) -> Tensor {
    let length = t.norm().item_f64();
    t / length.max(eps)
}

/// Better singular vectors, from the right one.
fn power_method(matrix: &Tensor, mut v: Tensor, rounds: usize, eps: f64) -> (Tensor, Tensor) {
    no_grad(|| {
        let matrix = matrix.detach();
        let mut u = unit(matrix.matmul(&v), eps);
        v = unit(matrix.t().matmul(&u), eps);
        for _ in 1..rounds {
            u = unit(matrix.matmul(&v), eps);
            v = unit(matrix.t().matmul(&u), eps);
        }
        (u, v)
    })
}

/// Vectors to begin with, after the first rounds from a random one.
#[track_caller]
fn begin(weight: &Tensor, dim: usize, eps: f64) -> Vectors {
    if weight.rank() < 2 || dim >= weight.rank() {
        let shape = weight.shape();
        fail(
            "SpectralNorm",
            format_args!("needs a weight of two dimensions or more, dimension {dim} among them, got {shape}"),
        );
    }
    if weight.eq_scalar(0.0).all() {
        fail("SpectralNorm", format_args!("the weight {} is zero: it has no direction", weight.shape()));
    }
    let matrix = as_matrix(&weight.detach(), dim);
    let first = Tensor::randn([matrix.size(1)]).to_dtype(weight.dtype());
    let (u, v) = power_method(&matrix, unit(first, eps), FIRST_ROUNDS, eps);
    Vectors { _u: Buffer::new(u), _v: Buffer::new(v) }
}

impl<L: HasWeight> Module for SpectralNorm<L> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.layer("SpectralNorm");
        visit_without_weight(&self.layer, visitor);
        visit_field(visitor, "parametrizations", &self.parametrizations);
        self.mode.visit(visitor);
        visit_field(visitor, "scope", &self.scope);
    }
    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
        visit_mut_without_weight(&mut self.layer, visitor);
        visit_field_mut(visitor, "parametrizations", &mut self.parametrizations);
        visit_field_mut(visitor, "scope", &mut self.scope);
    }
}

impl<L: HasWeight> Forward for SpectralNorm<L> {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        if !self.mode.is_training() {
            return self.layer.forward_with(x, &self.weight());
        }
        let Parts { original, vectors } = &self.parametrizations.weight;
        let matrix = as_matrix(original, self.dim);
        let (u, v) = power_method(&matrix, copied(&vectors._v), self.n_power_iterations, self.eps);
        no_grad(|| {
            vectors._u.copy_(&u);
            vectors._v.copy_(&v);
        });
        self.layer.forward_with(x, &self.divided(original, &u, &v))
    }
}
