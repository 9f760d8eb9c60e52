//! Looking into a model: what its layers put out.

use crate::Sequential;
use crate::module::Forward;
use gradus_tensor::{DType, Tensor, no_grad};

/// Statistics of what one layer puts out.
#[derive(Clone, Debug, PartialEq)]
pub struct Activations {
    /// The layer's name in the list.
    pub name: String,
    /// The layer's type.
    pub kind: &'static str,
    /// Mean over all elements.
    pub mean: f64,
    /// Variance over all elements.
    pub variance: f64,
    /// Share of elements that are zero: the silent units behind a ReLU.
    pub zeros: f64,
}

/// Runs `x` through the layers of `model`, without a graph, and describes the output of each.
///
/// # Panics
/// Where a layer panics.
///
/// ```
/// use gradus_nn::{Linear, ReLU, probe::activations, sequential};
/// use gradus_tensor::Tensor;
/// let found = activations(&sequential![Linear::new(64, 64), ReLU], &Tensor::randn([32, 64]));
/// assert_eq!((found[1].name.as_str(), found[1].kind), ("1", "ReLU"));
/// assert!(found[1].zeros > 0.3 && found[1].variance < found[0].variance);
/// ```
pub fn activations(model: &Sequential, x: &Tensor) -> Vec<Activations> {
    no_grad(|| {
        let mut x = x.clone();
        let layer = |(name, layer): (&str, &dyn Forward)| {
            x = layer.forward(&x);
            let y = x.to_dtype(DType::F64);
            Activations {
                name: name.to_string(),
                kind: layer.named_modules().first().map_or("", |(_, kind)| *kind),
                mean: y.mean().item_f64(),
                variance: y.var(0).item_f64(),
                zeros: y.eq_scalar(0.0).to_dtype(DType::F64).mean().item_f64(),
            }
        };
        model.iter().map(layer).collect()
    })
}
