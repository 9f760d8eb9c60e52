//! What a model's layers are, and what they put out.

use gradus_nn::Forward;
use gradus_tensor::autograd::trace;
use gradus_tensor::{Shape, Tensor, no_grad};

/// One call of a layer, or an operation between layers.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerRow {
    /// The layer's path, empty for an operation between layers.
    pub path: String,
    /// The layer's type, or the operation.
    pub kind: &'static str,
    /// The shape of its result.
    pub output: Shape,
    /// Numbers in it that are learnt; a layer that is called again has none left.
    pub parameters: usize,
}

/// The layers of `model` in the order in which they run on one input of shape `input` (without the batch).
///
/// Layers that do nothing in evaluation, such as dropout, are left out.
///
/// # Panics
/// If the model does not take such an input.
pub fn layers(model: &dyn Forward, input: &[usize]) -> Vec<LayerRow> {
    let kinds = model.named_modules();
    let mut parameters = model.named_parameters();
    model.eval();
    let batch: Vec<usize> = std::iter::once(1).chain(input.iter().copied()).collect();
    let (_, operations) = trace(|| no_grad(|| model.forward(&Tensor::zeros(batch))));
    let mut rows: Vec<LayerRow> = Vec::new();
    for done in operations {
        match rows.last_mut() {
            // The operations of a layer are one row: its last result is what it puts out.
            Some(row) if !done.layer.is_empty() && row.path == done.layer => row.output = done.shape,
            _ => {
                let kind =
                    kinds.iter().find(|(path, _)| !path.is_empty() && *path == done.layer).map_or(done.op, |k| k.1);
                let prefix = format!("{}.", done.layer);
                let own: Vec<_> = parameters.extract_if(.., |(name, _)| name.starts_with(&prefix)).collect();
                let parameters = own.iter().map(|(_, p)| p.numel()).sum();
                rows.push(LayerRow { path: done.layer, kind, output: done.shape, parameters });
            }
        }
    }
    rows
}
