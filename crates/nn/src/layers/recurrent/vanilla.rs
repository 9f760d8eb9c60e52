//! The recurrent network of the textbooks: hidden state and read-out.

use super::cell::Activation;
use super::rnn::RNN;
use crate::layers::{Identity, Linear};
use crate::module::{Forward, Module, Scope};
use gradus_tensor::Tensor;

/// A recurrent network with its read-out:
/// h_t = σ_h(W_xh x_t + W_hh h_{t-1} + b_h), y_t = σ_y(W_hy h_t + b_y).
///
/// Three matrices and two biases. PyTorch's [`RNN`] has no read-out and splits b_h into two biases of which only the
/// sum has an effect; [`VanillaRNN::two_biases`] does so here. It is Elman's network: the states s_{t-1} = h_{t-1}
/// are further inputs of the hidden nodes, connected by W_s = W_hh.
///
/// Parameters: those of `hidden` ([`RNN`]: W_xh is `weight_ih_l0`, W_hh `weight_hh_l0`, b_h `bias_ih_l0`) and of
/// `readout` ([`Linear`]: W_hy is `weight`, b_y `bias`).
///
/// # Shapes
/// `[T, N, in]` (or as [`Recurrent`](super::Recurrent) says), state `[1, N, hidden]` -> y `[T, N, out]`, h
/// `[1, N, hidden]`
///
/// # Panics
/// `forward` panics if input or state have another shape, or there are no steps.
///
/// Source: Elman, 1990, <https://doi.org/10.1207/s15516709cog1402_1>.
///
/// ```
/// use gradus_nn::{Module, Sigmoid, VanillaRNN};
/// use gradus_tensor::Tensor;
/// let net = VanillaRNN::new(3, 5, 2).output_activation(Sigmoid);
/// let (y, h) = net.forward(&Tensor::zeros([7, 4, 3]), None);
/// assert_eq!(y.shape(), [7, 4, 2]);
/// assert_eq!(h.shape(), [1, 4, 5]);
/// assert_eq!(net.parameters().len(), 5);
/// ```
#[doc(alias = "Elman")]
#[derive(Debug, Module)]
pub struct VanillaRNN {
    /// From input and state to the state.
    pub hidden: RNN,
    /// From the state to the output.
    pub readout: Linear,
    #[module(skip)]
    output_activation: Activation,
    scope: Scope,
}

/// Elman's simple recurrent network, which is the [`VanillaRNN`].
pub type ElmanNetwork = VanillaRNN;

impl VanillaRNN {
    /// From `input_size` numbers through a state of `hidden_size` to `output_size` a step, with σ_h = tanh, σ_y the
    /// identity, and biases b_h and b_y.
    pub fn new(input_size: usize, hidden_size: usize, output_size: usize) -> VanillaRNN {
        VanillaRNN {
            hidden: RNN::new(input_size, hidden_size).single_bias(),
            readout: Linear::new(hidden_size, output_size),
            output_activation: Activation::new("VanillaRNN", Identity),
            scope: Scope::default(),
        }
    }

    /// With PyTorch's two biases in place of b_h, or with b_h. Begins the hidden part anew.
    pub fn two_biases(mut self, on: bool) -> VanillaRNN {
        self.hidden = if on { self.hidden.bias(true) } else { self.hidden.single_bias() };
        self
    }

    /// σ_h, [`Tanh`](crate::Tanh) at first. Begins the hidden part anew.
    ///
    /// # Panics
    /// If it has parameters.
    #[track_caller]
    pub fn activation(mut self, activation: impl Forward + 'static) -> VanillaRNN {
        self.hidden = self.hidden.nonlinearity(activation);
        self
    }

    /// σ_y, [`Identity`] at first.
    ///
    /// # Panics
    /// If it has parameters.
    #[track_caller]
    pub fn output_activation(mut self, activation: impl Forward + 'static) -> VanillaRNN {
        self.output_activation = Activation::new("VanillaRNN", activation);
        self
    }

    /// Whether the batch is the first dimension of input and output, and time the second (off).
    pub fn batch_first(mut self, on: bool) -> VanillaRNN {
        self.hidden = self.hidden.batch_first(on);
        self
    }

    /// The outputs of all steps, and the state after the last.
    ///
    /// # Panics
    /// If input or state have another shape, or there are no steps.
    pub fn forward(&self, x: &Tensor, state: Option<&Tensor>) -> (Tensor, Tensor) {
        let _scope = self.scope.enter();
        let (h, last) = self.hidden.forward(x, state);
        (self.output_activation.apply(&self.readout.forward(&h)), last)
    }
}
