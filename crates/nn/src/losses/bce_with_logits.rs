//! Binary cross entropy of logits.

use super::{Reduction, check_same_shape};
use gradus_tensor::autograd::record;
use gradus_tensor::{Tensor, no_grad};

/// Options of [`binary_cross_entropy_with_logits_with`].
#[derive(Clone, Debug, Default)]
pub struct BceWithLogitsOptions {
    /// A factor for every element, broadcast.
    pub weight: Option<Tensor>,
    /// A factor for the positive examples, broadcast: above 1 it trades precision for recall.
    pub pos_weight: Option<Tensor>,
    /// How the losses are made one.
    pub reduction: Reduction,
}

/// Binary cross entropy of the sigmoid of logits:
/// mean_i -y_i ln sigmoid(x_i) - (1 - y_i) ln(1 - sigmoid(x_i)), exact for logits of any size.
///
/// # Shapes
/// any and the same -> scalar
///
/// # Panics
/// If the shapes differ.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html>.
///
/// ```
/// use gradus_nn::losses::binary_cross_entropy_with_logits;
/// use gradus_tensor::Tensor;
/// let x = Tensor::from_slice(&[1e4f32, -1e4], [2]);
/// let loss = binary_cross_entropy_with_logits(&x, &Tensor::from_slice(&[1.0f32, 1.0], [2]));
/// assert_eq!(loss.item(), 5e3);
/// ```
#[track_caller]
pub fn binary_cross_entropy_with_logits(logits: &Tensor, target: &Tensor) -> Tensor {
    binary_cross_entropy_with_logits_with(logits, target, BceWithLogitsOptions::default())
}

/// [`binary_cross_entropy_with_logits`] with weights or another reduction.
///
/// # Panics
/// If the shapes differ, or if a weight does not broadcast to the input.
#[track_caller]
pub fn binary_cross_entropy_with_logits_with(x: &Tensor, target: &Tensor, options: BceWithLogitsOptions) -> Tensor {
    check_same_shape(OP, x, target);
    let losses = elements(x, target, options.pos_weight);
    options.reduction.apply(match &options.weight {
        Some(w) => losses * w,
        None => losses,
    })
}

const OP: &str = "binary_cross_entropy_with_logits";

/// p y softplus(-x) + (1 - y) softplus(x), with the gradient (1 - y) sigmoid(x) - p y sigmoid(-x).
#[track_caller]
fn elements(x: &Tensor, y: &Tensor, pos_weight: Option<Tensor>) -> Tensor {
    let pos_weight = pos_weight.map(|p| p.detach());
    let positive = |y: &Tensor, p: &Option<Tensor>| p.as_ref().map_or(y.clone(), |p| y * p);
    let out = no_grad(|| positive(y, &pos_weight) * (-x).softplus() + (1.0 - y) * x.softplus());
    let (sx, sy) = (x.save(), y.save());
    record(OP, out, &[x, y], move |ctx| {
        ctx.set(0, || match &pos_weight {
            None => ctx.grad() * (sx.sigmoid() - &*sy),
            p => ctx.grad() * ((1.0 - &*sy) * sx.sigmoid() - positive(&sy, p) * (-&*sx).sigmoid()),
        });
        ctx.set(1, || ctx.grad() * (positive(&(-&*sx).softplus(), &pos_weight) - sx.softplus()));
    })
}
