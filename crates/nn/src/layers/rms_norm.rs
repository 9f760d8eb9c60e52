//! Normalisation by the root mean square.

use super::layer_norm::check_last_dims;
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{DType, IntoShape, Shape, Tensor};

/// Divides each example by its root mean square over the last dimensions, then scales every element:
/// y = x / sqrt(mean(x^2) + eps) * weight.
///
/// As [`LayerNorm`](crate::LayerNorm) without taking the mean out and without a bias. Zeros stay zeros.
///
/// Parameter: `weight` of the normalised shape, ones at first.
///
/// # Shapes
/// `[..., normalized_shape...]` -> the same
///
/// # Panics
/// `forward` panics if the last dimensions of the input are not `normalized_shape`.
///
/// Source: Zhang and Sennrich, 2019, <https://arxiv.org/abs/1910.07467>.
///
/// ```
/// use gradus_nn::{Forward, RMSNorm};
/// use gradus_tensor::Tensor;
/// let y = RMSNorm::new(2).eps(0.0).forward(&Tensor::from_slice(&[3.0f32, 4.0], [1, 2]));
/// assert!((y.square().mean().item() - 1.0).abs() < 1e-6);
/// ```
#[derive(Debug, Module)]
pub struct RMSNorm {
    /// Of the normalised shape, unless switched off by [`RMSNorm::elementwise_affine`].
    pub weight: Option<Param>,
    #[module(skip)]
    normalized_shape: Shape,
    eps: Option<f64>,
    scope: Scope,
}

impl RMSNorm {
    /// Normalises over the last dimensions, which have these extents.
    pub fn new(normalized_shape: impl IntoShape) -> RMSNorm {
        let normalized_shape = normalized_shape.into_shape();
        RMSNorm { weight: None, normalized_shape, eps: None, scope: Scope::default() }.elementwise_affine(true)
    }

    /// What is added to the mean square; `None`, as at first, for the distance from 1 to the next number of
    /// the input's type.
    pub fn eps(mut self, eps: impl Into<Option<f64>>) -> RMSNorm {
        self.eps = eps.into();
        self
    }

    /// With or without `weight`.
    pub fn elementwise_affine(mut self, on: bool) -> RMSNorm {
        self.weight = on.then(|| Param::new(Tensor::ones(self.normalized_shape)));
        self
    }
}

impl Forward for RMSNorm {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        check_last_dims("RMSNorm", x, &self.normalized_shape);
        let smallest = if x.dtype() == DType::F64 { f64::EPSILON } else { f32::EPSILON as f64 };
        x.rms_norm(self.normalized_shape, self.weight.as_deref(), self.eps.unwrap_or(smallest))
    }
}
