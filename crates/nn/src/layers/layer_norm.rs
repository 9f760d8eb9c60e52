//! Layer normalisation.

use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{IntoShape, Shape, Tensor, fail};

/// Normalises each example over its last dimensions to mean 0 and variance 1, then scales and shifts every
/// element: y = (x - mean) / sqrt(var + eps) * weight + bias.
///
/// Mean and (biased) variance are those of one example, so training and use are the same and the batch may
/// have any size. Where all values are equal, y is the bias.
///
/// Parameters: `weight`, ones at first, and `bias`, zeros at first, both of the normalised shape.
///
/// # Shapes
/// `[..., normalized_shape...]` -> the same
///
/// # Panics
/// `forward` panics if the last dimensions of the input are not `normalized_shape`.
///
/// Source: Ba, Kiros and Hinton, 2016, <https://arxiv.org/abs/1607.06450>.
///
/// ```
/// use gradus_nn::{Forward, LayerNorm};
/// use gradus_tensor::Tensor;
/// let y = LayerNorm::new(16).forward(&Tensor::rand([2, 5, 16]));
/// assert!(y.mean_dim(-1, false).abs().max().item() < 1e-5);
/// assert_eq!(LayerNorm::new([5, 16]).bias(false).forward(&y).shape(), [2, 5, 16]);
/// ```
#[derive(Debug, Module)]
pub struct LayerNorm {
    /// Of the normalised shape, unless switched off by [`LayerNorm::elementwise_affine`].
    pub weight: Option<Param>,
    /// Of the normalised shape, unless switched off by [`LayerNorm::elementwise_affine`] or [`LayerNorm::bias`].
    pub bias: Option<Param>,
    #[module(skip)]
    normalized_shape: Shape,
    eps: f64,
    scope: Scope,
}

impl LayerNorm {
    /// Normalises over the last dimensions, which have these extents, with eps 1e-5.
    pub fn new(normalized_shape: impl IntoShape) -> LayerNorm {
        let normalized_shape = normalized_shape.into_shape();
        LayerNorm { weight: None, bias: None, normalized_shape, eps: 1e-5, scope: Scope::default() }
            .elementwise_affine(true)
    }

    /// What is added to the variance (1e-5).
    pub fn eps(mut self, eps: f64) -> LayerNorm {
        self.eps = eps;
        self
    }

    /// With or without `weight` and `bias`.
    pub fn elementwise_affine(mut self, on: bool) -> LayerNorm {
        self.weight = on.then(|| Param::new(Tensor::ones(self.normalized_shape)));
        self.bias(on)
    }

    /// With or without `bias`, which there is only beside a `weight`.
    pub fn bias(mut self, on: bool) -> LayerNorm {
        self.bias = (on && self.weight.is_some()).then(|| Param::new(Tensor::zeros(self.normalized_shape)));
        self
    }
}

/// Refuses an input whose last dimensions are not `expected`.
#[track_caller]
pub(super) fn check_last_dims(kind: &str, x: &Tensor, expected: &Shape) {
    let shape = x.shape();
    if expected.is_empty() || !shape.ends_with(expected) {
        let inner = expected.iter().map(|n| format!(", {n}")).collect::<String>();
        fail(kind, format_args!("needs an input [...{inner}], got {shape}"));
    }
}

impl Forward for LayerNorm {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        check_last_dims("LayerNorm", x, &self.normalized_shape);
        x.layer_norm(self.normalized_shape, self.weight.as_deref(), self.bias.as_deref(), self.eps)
    }
}
