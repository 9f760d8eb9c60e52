//! Binary cross entropy of probabilities.

use super::{Reduction, check_same_shape};
use gradus_tensor::autograd::record;
use gradus_tensor::{Tensor, fail, no_grad};

/// Options of [`binary_cross_entropy_with`].
#[derive(Clone, Debug, Default)]
pub struct BceOptions {
    /// A factor for every element, broadcast.
    pub weight: Option<Tensor>,
    /// How the losses are made one.
    pub reduction: Reduction,
}

/// Binary cross entropy of probabilities: `-mean_i (y_i ln x_i + (1 - y_i) ln(1 - x_i))`, with each
/// logarithm held at -100 or above.
///
/// For raw outputs use [`binary_cross_entropy_with_logits`](super::binary_cross_entropy_with_logits()),
/// which stays exact where a probability would round to 0 or 1.
///
/// # Shapes
/// any and the same -> scalar
///
/// # Panics
/// If the shapes differ, or if an element of `probs` is not in 0..=1.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html>.
///
/// ```
/// use gradus_nn::losses::binary_cross_entropy;
/// use gradus_tensor::Tensor;
/// let p = Tensor::from_slice(&[0.5f32, 1.0], [2]);
/// let loss = binary_cross_entropy(&p, &Tensor::ones([2]));
/// assert!((loss.item() - 2f32.ln() / 2.0).abs() < 1e-6);
/// ```
#[track_caller]
pub fn binary_cross_entropy(probs: &Tensor, target: &Tensor) -> Tensor {
    binary_cross_entropy_with(probs, target, BceOptions::default())
}

/// [`binary_cross_entropy`] with weights or another reduction.
///
/// # Panics
/// As [`binary_cross_entropy`], and if the weight does not broadcast to the input.
#[track_caller]
pub fn binary_cross_entropy_with(probs: &Tensor, target: &Tensor, options: BceOptions) -> Tensor {
    check_same_shape(OP, probs, target);
    let inside = |t: &Tensor| t.numel() == 0 || !(t.min().item() < 0.0 || t.max().item() > 1.0);
    if !inside(&probs.detach()) {
        let message = "needs probabilities in 0..=1; give raw outputs to binary_cross_entropy_with_logits";
        fail(OP, message);
    }
    let losses = elements(probs, target);
    options.reduction.apply(match &options.weight {
        Some(w) => losses * w,
        None => losses,
    })
}

const OP: &str = "binary_cross_entropy";

/// The losses of the elements. Its gradient is (x - y) / (x (1 - x)) with the denominator held at 1e-12 or
/// above; derived from the logarithms it would be NaN at 0 and 1.
#[track_caller]
fn elements(x: &Tensor, y: &Tensor) -> Tensor {
    let logarithms = |x: &Tensor| (x.log().clamp(-100.0, 0.0), (1.0 - x).log().clamp(-100.0, 0.0));
    let out = no_grad(|| {
        let (ln_x, ln_rest) = logarithms(x);
        -(y * ln_x + (1.0 - y) * ln_rest)
    });
    let (sx, sy) = (x.save(), y.save());
    record(OP, out, &[x, y], move |ctx| {
        ctx.set(0, || ctx.grad() * (&*sx - &*sy) / (&*sx * (1.0 - &*sx)).clamp(1e-12, f64::INFINITY));
        ctx.set(1, || {
            let (ln_x, ln_rest) = logarithms(&sx);
            ctx.grad() * (ln_rest - ln_x)
        });
    })
}
