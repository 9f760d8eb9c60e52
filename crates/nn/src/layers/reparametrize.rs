//! What weight and spectral normalisation share: a layer whose weight is computed from other tensors.

use crate::module::{Buffer, Forward, Mode, Module, Param, Path, Visitor, VisitorMut};
use gradus_tensor::Tensor;

/// A layer that can run with another tensor in the place of its parameter `weight`; what
/// [`WeightNorm`](crate::WeightNorm) and [`SpectralNorm`](crate::SpectralNorm) wrap.
///
/// ```
/// use gradus_nn::{Forward, HasWeight, Linear};
/// use gradus_tensor::Tensor;
/// let layer = Linear::new(3, 2).bias(false);
/// let x = Tensor::ones([1, 3]);
/// let y = layer.forward_with(&x, &(layer.weight().tensor() * 2.0));
/// assert_eq!(y.to_vec::<f32>(), (layer.forward(&x) * 2.0).to_vec::<f32>());
/// ```
pub trait HasWeight: Forward {
    /// The parameter that stands as `weight` in the state dict.
    fn weight(&self) -> &Param;

    /// The parameter, to be replaced.
    fn weight_mut(&mut self) -> &mut Param;

    /// The output for `x` with `weight`, of the parameter's shape, in the parameter's place.
    fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Tensor;

    /// The dimension of the weight that counts outputs (0).
    fn output_dim(&self) -> usize {
        0
    }
}

/// Takes the weight out of `layer` and leaves a single number in its shape, for messages.
pub(super) fn take_weight<L: HasWeight>(layer: &mut L) -> Param {
    let blank = Tensor::zeros(()).expand(layer.weight().shape());
    std::mem::replace(layer.weight_mut(), Param::new(blank))
}

/// Visits all of `layer` but its name and its weight: what computes the weight is shown instead.
pub(super) fn visit_without_weight<L: HasWeight>(layer: &L, visitor: &mut dyn Visitor) {
    let here = visitor.path().as_str().to_string();
    layer.visit(&mut Rest { visitor, weight: layer.weight(), here });
}

/// As [`visit_without_weight`], for a change.
pub(super) fn visit_mut_without_weight<L: HasWeight>(layer: &mut L, visitor: &mut dyn VisitorMut) {
    let mut weight = visitor.path().clone();
    weight.push("weight");
    layer.visit_mut(&mut RestMut { visitor, weight: weight.as_str().to_string() });
}

struct Rest<'a> {
    visitor: &'a mut dyn Visitor,
    weight: &'a Param,
    here: String,
}

impl Visitor for Rest<'_> {
    fn path(&mut self) -> &mut Path {
        self.visitor.path()
    }
    fn layer(&mut self, kind: &'static str) {
        if self.visitor.path().as_str() != self.here {
            self.visitor.layer(kind);
        }
    }
    fn param(&mut self, param: &Param) {
        if !std::ptr::eq(param, self.weight) {
            self.visitor.param(param);
        }
    }
    fn buffer(&mut self, buffer: &Buffer) {
        self.visitor.buffer(buffer);
    }
    fn mode(&mut self, mode: &Mode) {
        self.visitor.mode(mode);
    }
}

struct RestMut<'a> {
    visitor: &'a mut dyn VisitorMut,
    weight: String,
}

impl VisitorMut for RestMut<'_> {
    fn path(&mut self) -> &mut Path {
        self.visitor.path()
    }
    fn param(&mut self, param: &mut Param) {
        if self.visitor.path().as_str() != self.weight {
            self.visitor.param(param);
        }
    }
    fn buffer(&mut self, buffer: &mut Buffer) {
        self.visitor.buffer(buffer);
    }
}

/// Names the tensors behind a weight as PyTorch does: `parametrizations.weight.NAME`.
#[derive(Debug, Module)]
pub(super) struct Parametrizations<P: Module> {
    pub weight: P,
}
