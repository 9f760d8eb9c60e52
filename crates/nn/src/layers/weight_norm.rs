//! Weight normalisation.

use super::reparametrize::{HasWeight, Parametrizations, take_weight, visit_mut_without_weight, visit_without_weight};
use crate::module::{Forward, Module, Param, Scope, Visitor, VisitorMut, visit_field, visit_field_mut};
use gradus_tensor::{Tensor, fail, no_grad};

/// A layer whose weight is split into length and direction, each trained for itself: w = g v / |v|.
///
/// The norm is Euclidean, of the part of `v` that belongs to one output (one index of dimension `dim`). The
/// layer begins with the weight it had: g = |w|, v = w. It can be any layer that is [`HasWeight`]: linear,
/// convolutions, transposed or not, and embeddings.
///
/// Parameters, beside those of the layer other than `weight`: `parametrizations.weight.original0` (g, the weight's
/// shape with 1 in every place but `dim`) and `parametrizations.weight.original1` (v, the weight's shape), as from
/// PyTorch's `torch.nn.utils.parametrizations.weight_norm`.
///
/// # Shapes
/// those of the layer
///
/// # Panics
/// `new` panics if all weights of an output are zero: they have no direction. `forward` panics where the
/// layer does.
///
/// Source: Salimans and Kingma, 2016, <https://arxiv.org/abs/1602.07868>.
///
/// ```
/// use gradus_nn::{Forward, Linear, Module, WeightNorm};
/// use gradus_tensor::Tensor;
/// let plain = Linear::new(3, 2);
/// let y = plain.forward(&Tensor::ones([1, 3]));
/// let layer = WeightNorm::new(plain);
/// assert!((layer.forward(&Tensor::ones([1, 3])) - y).abs().max().item() < 1e-6);
/// let names = layer.state_dict().names().map(str::to_string).collect::<Vec<_>>();
/// assert_eq!(names, ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]);
/// ```
#[derive(Debug)]
pub struct WeightNorm<L: HasWeight> {
    layer: L,
    parametrizations: Parametrizations<Parts>,
    dim: Option<usize>,
    scope: Scope,
}

/// Length and direction.
#[derive(Debug, Module)]
struct Parts {
    original0: Param,
    original1: Param,
}

impl<L: HasWeight> WeightNorm<L> {
    /// Splits the weight of `layer` for each index of dimension 0.
    ///
    /// # Panics
    /// If all weights of one index are zero.
    #[track_caller]
    pub fn new(mut layer: L) -> WeightNorm<L> {
        let v = take_weight(&mut layer);
        let g = Param::new(length(&v, Some(0)));
        let parametrizations = Parametrizations { weight: Parts { original0: g, original1: v } };
        WeightNorm { layer, parametrizations, dim: Some(0), scope: Scope::default() }
    }

    /// The dimension of the weight whose indices have a length each (0); `None` for one length of the whole.
    /// The lengths are begun anew.
    ///
    /// # Panics
    /// If there is no such dimension, or all weights of one index are zero.
    #[track_caller]
    pub fn dim(mut self, dim: impl Into<Option<usize>>) -> WeightNorm<L> {
        self.dim = dim.into();
        let parts = &mut self.parametrizations.weight;
        parts.original0 = Param::new(length(&parts.original1, self.dim));
        self
    }

    /// The weight that the layer runs with.
    pub fn weight(&self) -> Tensor {
        let Parts { original0: g, original1: v } = &self.parametrizations.weight;
        v.tensor() * (g.tensor() / norm_except(v, self.dim))
    }
}

/// The Euclidean norm for each index of `dim`.
fn norm_except(v: &Tensor, dim: Option<usize>) -> Tensor {
    let others: Vec<isize> = (0..v.rank()).filter(|&d| Some(d) != dim).map(|d| d as isize).collect();
    v.square().sum_dim(others, dim.is_some()).sqrt()
}

/// The lengths to begin with.
#[track_caller]
fn length(weight: &Tensor, dim: Option<usize>) -> Tensor {
    if let Some(d) = dim
        && d >= weight.rank()
    {
        fail("WeightNorm", format_args!("the weight {} has no dimension {d}", weight.shape()));
    }
    let g = no_grad(|| norm_except(weight, dim));
    if g.numel() > 0 && g.min().item_f64() == 0.0 {
        fail("WeightNorm", format_args!("the weight {} is zero for an output: it has no direction", weight.shape()));
    }
    g
}

impl<L: HasWeight> Module for WeightNorm<L> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.layer("WeightNorm");
        visit_without_weight(&self.layer, visitor);
        visit_field(visitor, "parametrizations", &self.parametrizations);
        visit_field(visitor, "scope", &self.scope);
    }
    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
        visit_mut_without_weight(&mut self.layer, visitor);
        visit_field_mut(visitor, "parametrizations", &mut self.parametrizations);
        visit_field_mut(visitor, "scope", &mut self.scope);
    }
}

impl<L: HasWeight> Forward for WeightNorm<L> {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.layer.forward_with(x, &self.weight())
    }
}
