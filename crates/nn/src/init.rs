//! Initial values of parameters. Every function overwrites its tensor in place, outside any graph.
//!
//! Weights must begin at random: units of a layer that begin equal get equal gradients and stay equal for
//! ever. Their spread is chosen so that the variance of activations (or gradients) stays from layer to layer;
//! [`Moments`] has the rules behind it.
//!
//! ```
//! use gradus_nn::{Linear, init};
//! let layer = Linear::new(128, 64);
//! init::kaiming_normal_(&layer.weight, init::Fan::In, init::Nonlinearity::ReLU);
//! init::zeros_(layer.bias.as_ref().unwrap());
//! ```

mod structured;
mod variance;

pub use structured::{dirac_, eye_, orthogonal_, sparse_};
pub use variance::Moments;

use gradus_tensor::{DType, Tensor, fail, no_grad};

/// Which number of connections the variance is held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fan {
    /// Inputs of an output: activations keep their variance on the way forward. The default.
    #[default]
    In,
    /// Outputs of an input: gradients keep their variance on the way back.
    Out,
}

/// The activation that follows a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Nonlinearity {
    /// None, or one that is the identity near zero.
    Linear,
    /// Logistic sigmoid.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// max(x, 0).
    ReLU,
    /// x for x > 0, else the slope times x.
    LeakyReLU(f64),
    /// Scaled exponential linear unit.
    Selu,
}

/// The factor by which weights must be larger to make up for a non-linearity.
///
/// 1 for linear and sigmoid, 5/3 for tanh, sqrt(2) for ReLU, sqrt(2 / (1 + slope^2)) for leaky ReLU, 3/4 for SELU.
/// Source: He et al., 2015, <https://arxiv.org/abs/1502.01852>, and PyTorch's table.
///
/// ```
/// use gradus_nn::init::{Nonlinearity, calculate_gain};
/// assert_eq!(calculate_gain(Nonlinearity::ReLU), 2f64.sqrt());
/// ```
pub fn calculate_gain(nonlinearity: Nonlinearity) -> f64 {
    match nonlinearity {
        Nonlinearity::Linear | Nonlinearity::Sigmoid => 1.0,
        Nonlinearity::Tanh => 5.0 / 3.0,
        Nonlinearity::ReLU => 2f64.sqrt(),
        Nonlinearity::LeakyReLU(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
        Nonlinearity::Selu => 0.75,
    }
}

/// The numbers of inputs of an output and of outputs of an input, for a weight `[out, in, kernel...]`.
///
/// # Panics
/// If the shape has fewer than two dimensions.
///
/// ```
/// assert_eq!(gradus_nn::init::fans(&[16, 3, 5, 5]), (75, 400));
/// ```
#[track_caller]
pub fn fans(shape: &[usize]) -> (usize, usize) {
    let [outputs, inputs, kernel @ ..] = shape else {
        fail("fans", format_args!("a weight has the shape [out, in, kernel...], this one is {shape:?}"))
    };
    let field: usize = kernel.iter().product();
    (inputs * field, outputs * field)
}

#[track_caller]
fn fan(t: &Tensor, fan: Fan) -> f64 {
    let (inputs, outputs) = fans(&t.shape());
    match fan {
        Fan::In => inputs as f64,
        Fan::Out => outputs as f64,
    }
}

/// Overwrites `t`; one without elements, which has no variance to hold, is left as it is.
#[track_caller]
fn set(t: &Tensor, new: impl FnOnce() -> Tensor) {
    if t.numel() > 0 {
        no_grad(|| t.copy_(&new()));
    }
}

/// Every element is `value`.
///
/// ```
/// use gradus_nn::init;
/// use gradus_tensor::Tensor;
/// let t = Tensor::zeros([2]);
/// init::constant_(&t, 0.5);
/// assert_eq!(t.to_vec::<f32>(), [0.5, 0.5]);
/// ```
#[track_caller]
pub fn constant_(t: &Tensor, value: f64) {
    set(t, || Tensor::full_of((), value, DType::F64));
}

/// Every element is 0.
///
/// ```
/// use gradus_nn::init;
/// use gradus_tensor::Tensor;
/// let t = Tensor::ones([2]);
/// init::zeros_(&t);
/// assert_eq!(t.to_vec::<f32>(), [0.0, 0.0]);
/// ```
#[track_caller]
pub fn zeros_(t: &Tensor) {
    constant_(t, 0.0);
}

/// Every element is 1.
///
/// ```
/// use gradus_nn::init;
/// use gradus_tensor::Tensor;
/// let t = Tensor::zeros([2]);
/// init::ones_(&t);
/// assert_eq!(t.to_vec::<f32>(), [1.0, 1.0]);
/// ```
#[track_caller]
pub fn ones_(t: &Tensor) {
    constant_(t, 1.0);
}

/// Drawn evenly from [low, high).
///
/// # Panics
/// If `low > high`.
///
/// ```
/// use gradus_nn::init;
/// use gradus_tensor::Tensor;
/// let t = Tensor::zeros([100]);
/// init::uniform_(&t, -1.0, 3.0);
/// assert!(t.min().item() >= -1.0 && t.max().item() < 3.0);
/// ```
#[track_caller]
pub fn uniform_(t: &Tensor, low: f64, high: f64) {
    set(t, || Tensor::uniform(low, high, t.shape()));
}

/// Drawn from the normal distribution.
///
/// ```
/// use gradus_nn::init;
/// use gradus_tensor::Tensor;
/// let t = Tensor::zeros([10_000]);
/// init::normal_(&t, 5.0, 2.0);
/// assert!((t.mean().item() - 5.0).abs() < 0.2 && (t.std(1).item() - 2.0).abs() < 0.1);
/// ```
#[track_caller]
pub fn normal_(t: &Tensor, mean: f64, std: f64) {
    set(t, || Tensor::normal(mean, std, t.shape()));
}

/// Drawn from the normal distribution within [a, b]: numbers outside are drawn again.
///
/// PyTorch's defaults are mean 0, std 1, a = -2 and b = 2.
///
/// # Panics
/// If `a >= b` or `std` is not positive.
///
/// ```
/// use gradus_nn::init;
/// use gradus_tensor::Tensor;
/// let w = Tensor::zeros([100]);
/// init::trunc_normal_(&w, 0.0, 0.02, -0.04, 0.04);
/// assert!(w.abs().max().item() <= 0.04);
/// ```
#[track_caller]
pub fn trunc_normal_(t: &Tensor, mean: f64, std: f64, a: f64, b: f64) {
    if a >= b || std.is_nan() || std <= 0.0 {
        fail("trunc_normal_", format_args!("needs a < b and a positive std, got [{a}, {b}] and {std}"));
    }
    // The share of normal numbers within the bounds.
    let below =
        |x: f64| 0.5 * (1.0 + Tensor::full_of((), (x - mean) / (std * 2f64.sqrt()), DType::F64).erf().item_f64());
    let likely = below(b) - below(a) > 0.3;
    // Else numbers are drawn evenly and accepted in proportion to the density.
    let peak = mean.clamp(a, b);
    let log_density = |z: &Tensor| ((z - mean).square() - (peak - mean).powi(2)) * (-0.5 / (std * std));
    set(t, || {
        let draw = || {
            let shape = t.shape();
            let z = if likely { Tensor::normal(mean, std, shape) } else { Tensor::uniform(a, b, shape) };
            let z = z.to_dtype(DType::F64);
            let within = z.ge_scalar(a).logical_and(&z.le_scalar(b));
            if likely {
                return (z, within);
            }
            let chance = Tensor::rand(shape).to_dtype(DType::F64).log();
            let accepted = chance.le(&log_density(&z)).logical_and(&within);
            (z, accepted)
        };
        let (mut values, mut done) = draw();
        while !done.all() {
            let (more, accepted) = draw();
            values = done.where_(&values, &more);
            done = done.logical_or(&accepted);
        }
        values
    });
}

/// Drawn evenly from ±gain sqrt(6 / (fan_in + fan_out)).
///
/// Source: Glorot and Bengio, 2010, <https://proceedings.mlr.press/v9/glorot10a.html>.
///
/// # Panics
/// If `t` has fewer than two dimensions.
///
/// ```
/// use gradus_nn::init;
/// use gradus_tensor::Tensor;
/// let weight = Tensor::zeros([20, 30]);
/// init::xavier_uniform_(&weight, 1.0);
/// assert!(weight.abs().max().item() <= (6.0f32 / 50.0).sqrt());
/// ```
#[track_caller]
pub fn xavier_uniform_(t: &Tensor, gain: f64) {
    let bound = gain * (6.0 / (fan(t, Fan::In) + fan(t, Fan::Out))).sqrt();
    set(t, || Tensor::uniform(-bound, bound, t.shape()));
}

/// Drawn from the normal distribution with standard deviation gain sqrt(2 / (fan_in + fan_out)).
///
/// Source: Glorot and Bengio, 2010, <https://proceedings.mlr.press/v9/glorot10a.html>.
///
/// # Panics
/// If `t` has fewer than two dimensions.
///
/// ```
/// use gradus_nn::init;
/// use gradus_tensor::Tensor;
/// let weight = Tensor::zeros([200, 300]);
/// init::xavier_normal_(&weight, 1.0);
/// assert!((weight.std(1).item() / (2.0f32 / 500.0).sqrt() - 1.0).abs() < 0.05);
/// ```
#[track_caller]
pub fn xavier_normal_(t: &Tensor, gain: f64) {
    let std = gain * (2.0 / (fan(t, Fan::In) + fan(t, Fan::Out))).sqrt();
    set(t, || Tensor::normal(0.0, std, t.shape()));
}

/// Drawn evenly from ±gain sqrt(3 / fan), with the gain of the non-linearity.
///
/// Source: He et al., 2015, <https://arxiv.org/abs/1502.01852>.
///
/// # Panics
/// If `t` has fewer than two dimensions.
///
/// ```
/// use gradus_nn::init;
/// use gradus_tensor::Tensor;
/// let weight = Tensor::zeros([20, 30]);
/// init::kaiming_uniform_(&weight, init::Fan::In, init::Nonlinearity::ReLU);
/// assert!(weight.abs().max().item() <= (6.0f32 / 30.0).sqrt());
/// ```
#[track_caller]
pub fn kaiming_uniform_(t: &Tensor, mode: Fan, nonlinearity: Nonlinearity) {
    let bound = calculate_gain(nonlinearity) * (3.0 / fan(t, mode)).sqrt();
    set(t, || Tensor::uniform(-bound, bound, t.shape()));
}

/// Drawn from the normal distribution with standard deviation gain / sqrt(fan), with the gain of the
/// non-linearity.
///
/// Source: He et al., 2015, <https://arxiv.org/abs/1502.01852>.
///
/// # Panics
/// If `t` has fewer than two dimensions.
///
/// ```
/// use gradus_nn::init;
/// use gradus_tensor::Tensor;
/// let weight = Tensor::zeros([200, 300]);
/// init::kaiming_normal_(&weight, init::Fan::In, init::Nonlinearity::ReLU);
/// assert!((weight.std(1).item() / (2.0f32 / 300.0).sqrt() - 1.0).abs() < 0.05);
/// ```
#[track_caller]
pub fn kaiming_normal_(t: &Tensor, mode: Fan, nonlinearity: Nonlinearity) {
    let std = calculate_gain(nonlinearity) / fan(t, mode).sqrt();
    set(t, || Tensor::normal(0.0, std, t.shape()));
}

/// Drawn evenly from ±1/sqrt(fan_in), a range inversely related to the number of inputs: what PyTorch's linear and
/// convolutional layers begin with, weights and biases alike. A bias has the `fan_in` of the weight beside it.
///
/// ```
/// use gradus_nn::{Linear, init};
/// let layer = Linear::new(100, 10);
/// init::uniform_fan_in_(&layer.weight, 100);
/// assert!(layer.weight.abs().max().item() <= 0.1);
/// ```
#[track_caller]
pub fn uniform_fan_in_(t: &Tensor, fan_in: usize) {
    set(t, || by_fan_in(&t.shape(), fan_in));
}

/// Evenly from ±1/sqrt(fan_in): what PyTorch's linear and convolutional layers begin with, weights
/// (kaiming_uniform_ with a = sqrt(5)) and biases alike.
pub(crate) fn by_fan_in(shape: &[usize], fan_in: usize) -> Tensor {
    let bound = if fan_in == 0 { 0.0 } else { (1.0 / fan_in as f64).sqrt() };
    Tensor::uniform(-bound, bound, shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(f: impl Fn(&Tensor)) -> (f64, f64, f64) {
        let t = Tensor::full([200, 50, 2, 3], f64::NAN).requires_grad_(true);
        f(&t);
        let t = t.detach();
        (t.mean().item_f64(), t.std(0).item_f64(), t.abs().max().item_f64())
    }

    #[test]
    fn spreads_are_those_of_the_papers() {
        // fan_in 300, fan_out 1200.
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.02;
        let (mean, std, max) = moments(|t| xavier_uniform_(t, 2.0));
        let bound = 2.0 * (6.0f64 / 1500.0).sqrt();
        assert!(mean.abs() < 0.01 && near(std, bound / 3f64.sqrt()) && near(max, bound) && max <= bound + 1e-6);
        let (_, std, max) = moments(|t| xavier_normal_(t, 1.0));
        assert!(near(std, (2.0f64 / 1500.0).sqrt()) && max > 3.0 * std);
        let (_, std, max) = moments(|t| kaiming_uniform_(t, Fan::In, Nonlinearity::LeakyReLU(5f64.sqrt())));
        assert!(near(max, 1.0 / 300f64.sqrt()) && near(std, max / 3f64.sqrt()));
        let (_, std, _) = moments(|t| kaiming_normal_(t, Fan::Out, Nonlinearity::ReLU));
        assert!(near(std, (2.0f64 / 1200.0).sqrt()));
        let (mean, std, _) = moments(|t| normal_(t, 3.0, 0.5));
        assert!(near(mean, 3.0) && near(std, 0.5));
        assert_eq!(moments(|t| constant_(t, 0.25)), (0.25, 0.0, 0.25));
    }

    #[test]
    #[should_panic(expected = "a weight has the shape [out, in, kernel...], this one is [4]")]
    fn a_vector_has_no_fans() {
        xavier_normal_(&Tensor::zeros([4]), 1.0);
    }

    #[test]
    fn empty_weights_stay() {
        kaiming_uniform_(&Tensor::zeros([0, 3]), Fan::Out, Nonlinearity::Linear);
        kaiming_normal_(&Tensor::zeros([3, 0]), Fan::In, Nonlinearity::Linear);
    }
}
