//! Time-delay networks.

use super::cell::Activation;
use crate::init::by_fan_in;
use crate::layers::Identity;
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{ConvConfig, PadMode, Tensor, fail};

/// A time-delay layer: y_t = σ(sum_d W_d x_{t - d dilation} + b) for delays d in 0..window.
///
/// A network without recurrence that sees a fixed window of the past and nothing before it: a convolution over time.
/// By default the first output stands where the window is full; [`TDNN::causal`] gives one output a step.
///
/// Parameters: `weight` `[out, in, window]`, the longest delay first, and `bias` `[out]`, both begun evenly from
/// ±1/sqrt(in * window).
///
/// # Shapes
/// `[N, T, in]` -> `[N, (T - dilation (window - 1) - 1) / stride + 1, out]`, rounded down; also without N
///
/// # Panics
/// `forward` panics if the input has another shape or fewer steps than the window.
///
/// Source: Waibel et al., 1989, <https://doi.org/10.1109/29.21701>.
///
/// ```
/// use gradus_nn::{Forward, Sigmoid, TDNN};
/// use gradus_tensor::Tensor;
/// let layer = TDNN::new(16, 8, 3).activation(Sigmoid);
/// assert_eq!(layer.forward(&Tensor::zeros([2, 15, 16])).shape(), [2, 13, 8]);
/// ```
#[doc(alias = "time-delay")]
#[derive(Debug, Module)]
pub struct TDNN {
    /// `[out, in, window]`
    pub weight: Param,
    /// `[out]`
    pub bias: Option<Param>,
    stride: usize,
    dilation: usize,
    causal: bool,
    #[module(skip)]
    activation: Activation,
    scope: Scope,
}

impl TDNN {
    /// From `input_size` numbers at each of `window` steps to `output_size`, with a bias and without activation.
    ///
    /// # Panics
    /// If `window` is 0.
    #[track_caller]
    pub fn new(input_size: usize, output_size: usize, window: usize) -> TDNN {
        if window == 0 {
            fail("TDNN", "the window must have 1 step or more");
        }
        let draw = |shape: &[usize]| Param::new(by_fan_in(shape, input_size * window));
        TDNN {
            weight: draw(&[output_size, input_size, window]),
            bias: Some(draw(&[output_size])),
            stride: 1,
            dilation: 1,
            causal: false,
            activation: Activation::new("TDNN", Identity),
            scope: Scope::default(),
        }
    }

    /// With or without a bias.
    pub fn bias(mut self, on: bool) -> TDNN {
        let fan_in = self.weight.size(1) * self.weight.size(2);
        self.bias = on.then(|| Param::new(by_fan_in(&[self.weight.size(0)], fan_in)));
        self
    }

    /// Steps from one output to the next (1).
    pub fn stride(mut self, stride: usize) -> TDNN {
        self.stride = stride;
        self
    }

    /// Steps from one delay to the next (1).
    pub fn dilation(mut self, dilation: usize) -> TDNN {
        self.dilation = dilation;
        self
    }

    /// Whether zeros stand before the first step, so that there is an output for every step (off).
    pub fn causal(mut self, on: bool) -> TDNN {
        self.causal = on;
        self
    }

    /// σ, [`Identity`] at first.
    ///
    /// # Panics
    /// If it has parameters.
    #[track_caller]
    pub fn activation(mut self, activation: impl Forward + 'static) -> TDNN {
        self.activation = Activation::new("TDNN", activation);
        self
    }

    /// Number of steps that an output depends on, from the oldest to the newest.
    pub fn reach(&self) -> usize {
        self.dilation * (self.weight.size(2) - 1) + 1
    }
}

impl Forward for TDNN {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        if x.rank() == 2 {
            return self.forward(&x.unsqueeze(0)).squeeze(0);
        }
        let (inputs, reach) = (self.weight.size(1), self.reach());
        if x.rank() != 3 || x.size(2) != inputs || (!self.causal && x.size(1) < reach) {
            let message =
                format_args!("needs an input [N, T, {inputs}] or [T, {inputs}] with T >= {reach}, got {}", x.shape());
            fail("TDNN", message);
        }
        let x = x.transpose(1, 2); // (N, T, in) -> (N, in, T)
        let past = if self.causal { reach as isize - 1 } else { 0 };
        let x = if past > 0 { x.pad(&[(past, 0)], PadMode::Constant(0.0)) } else { x };
        let config = ConvConfig::default().stride([self.stride]).dilation([self.dilation]);
        let y = x.conv1d(&self.weight, self.bias.as_deref(), config); // (N, out, T')
        self.activation.apply(&y.transpose(1, 2))
    }
}
