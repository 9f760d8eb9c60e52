//! Penalties on the size of parameters, to be added to a loss.

use gradus_tensor::Tensor;

/// L1 penalty: `factor` times the sum of |w| over all parameters. It draws parameters to exactly zero.
///
/// The factor is the hyper-parameter lambda.
///
/// # Shapes
/// any -> scalar
///
/// Source: Tibshirani, 1996, <https://doi.org/10.1111/j.2517-6161.1996.tb02080.x>.
///
/// ```
/// use gradus_nn::losses::l1_penalty;
/// use gradus_nn::{Linear, Module};
/// use gradus_tensor::Tensor;
/// assert_eq!(l1_penalty(&[Tensor::full([2], 0.5)], 1.0).item(), 1.0);
/// let model = Linear::new(4, 2);
/// l1_penalty(&[model.weight.tensor().clone()], 1e-3).backward(); // or all of model.parameters()
/// ```
#[track_caller]
pub fn l1_penalty(parameters: &[Tensor], factor: f64) -> Tensor {
    total(parameters, Tensor::abs, factor)
}

/// L2 penalty: `factor` times the sum of w^2 over all parameters, without 1/2.
///
/// Its gradient is `2 factor w`. With plain gradient descent that is the same as
/// [`Sgd::weight_decay`](crate::optim::Sgd::weight_decay) of `2 factor`; with an adaptive method it is not, and
/// [`AdamW`](crate::optim::AdamW) has the decay that stands apart from the loss.
///
/// # Shapes
/// any -> scalar
///
/// Source: Loshchilov and Hutter, 2019, <https://arxiv.org/abs/1711.05101>, on the difference.
///
/// ```
/// use gradus_nn::losses::l2_penalty;
/// use gradus_tensor::Tensor;
/// assert_eq!(l2_penalty(&[Tensor::full([2], 0.5)], 1.0).item(), 0.5);
/// ```
#[track_caller]
pub fn l2_penalty(parameters: &[Tensor], factor: f64) -> Tensor {
    total(parameters, Tensor::square, factor)
}

/// 0 for no parameters.
#[track_caller]
fn total(parameters: &[Tensor], of: fn(&Tensor) -> Tensor, factor: f64) -> Tensor {
    let sums = parameters.iter().map(|p| of(p).sum());
    sums.reduce(|a, b| a + b).map_or_else(|| Tensor::scalar(0.0), |sum| sum * factor)
}
