//! The plain recurrent cell and layer.

use super::cell::{Activation, RecurrentCell, begin, bias_sum, run_layer};
use super::stack::Recurrent;
use crate::layers::{ReLU, Tanh};
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::Tensor;

/// One step of a plain recurrent network: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).
///
/// Parameters: `weight_ih` `[hidden, in]`, `weight_hh` `[hidden, hidden]`, `bias_ih` and `bias_hh` `[hidden]`, all
/// begun evenly from ±1/sqrt(hidden).
///
/// # Shapes
/// `[N, in]`, h `[N, hidden]` -> `[N, hidden]`; or all of them without N
///
/// # Panics
/// `forward` panics if input or state have another shape.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html>; Elman, 1990,
/// <https://doi.org/10.1207/s15516709cog1402_1>.
///
/// ```
/// use gradus_nn::{ReLU, RNNCell, RecurrentCell};
/// use gradus_tensor::Tensor;
/// let cell = RNNCell::new(3, 4).nonlinearity(ReLU);
/// assert_eq!(cell.forward(&Tensor::ones([2, 3]), None).shape(), [2, 4]);
/// ```
#[derive(Debug, Module)]
pub struct RNNCell {
    /// `[hidden, in]`
    pub weight_ih: Param,
    /// `[hidden, hidden]`
    pub weight_hh: Param,
    /// `[hidden]`
    pub bias_ih: Option<Param>,
    /// `[hidden]`
    pub bias_hh: Option<Param>,
    #[module(skip)]
    nonlinearity: Activation,
    scope: Scope,
}

impl RNNCell {
    /// A cell for inputs of `input_size` numbers with a state of `hidden_size`, tanh and two biases.
    pub fn new(input_size: usize, hidden_size: usize) -> RNNCell {
        let draw = |shape: &[usize]| begin(shape, hidden_size);
        RNNCell {
            weight_ih: draw(&[hidden_size, input_size]),
            weight_hh: draw(&[hidden_size, hidden_size]),
            bias_ih: Some(draw(&[hidden_size])),
            bias_hh: Some(draw(&[hidden_size])),
            nonlinearity: Activation::new(Self::CELL, Tanh),
            scope: Scope::default(),
        }
    }

    /// With or without the two biases.
    pub fn bias(mut self, on: bool) -> RNNCell {
        let hidden = self.hidden_size();
        self.bias_ih = on.then(|| begin(&[hidden], hidden));
        self.bias_hh = on.then(|| begin(&[hidden], hidden));
        self
    }

    /// With one bias, `bias_ih`, instead of PyTorch's two, of which only the sum has an effect.
    pub fn single_bias(mut self) -> RNNCell {
        self = self.bias(true);
        self.bias_hh = None;
        self
    }

    /// The activation, [`Tanh`] at first: any layer without parameters that acts on each element.
    ///
    /// # Panics
    /// If it has parameters.
    #[track_caller]
    pub fn nonlinearity(mut self, activation: impl Forward + 'static) -> RNNCell {
        self.nonlinearity = Activation::new(Self::CELL, activation);
        self
    }

    /// Width of the state.
    pub fn hidden_size(&self) -> usize {
        self.weight_hh.size(1)
    }
}

impl RecurrentCell for RNNCell {
    type State = Tensor;
    const CELL: &'static str = "RNNCell";
    const LAYER: &'static str = "RNN";

    fn input_size(&self) -> usize {
        self.weight_ih.size(1)
    }

    fn output_size(&self) -> usize {
        self.hidden_size()
    }

    fn state_shapes(&self, input: &[usize]) -> Vec<Vec<usize>> {
        vec![vec![input[0], self.hidden_size()]]
    }

    fn like(&self, input_size: usize) -> RNNCell {
        let new = RNNCell::new(input_size, self.hidden_size());
        RNNCell {
            bias_ih: new.bias_ih.filter(|_| self.bias_ih.is_some()),
            bias_hh: new.bias_hh.filter(|_| self.bias_hh.is_some()),
            nonlinearity: self.nonlinearity.clone(),
            ..new
        }
    }

    fn project(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight_ih, self.bias_ih.as_deref())
    }

    fn step(&self, projected: &Tensor, h: &Tensor) -> Tensor {
        self.nonlinearity.apply(&(projected + h.linear(&self.weight_hh, self.bias_hh.as_deref())))
    }

    fn output(&self, h: &Tensor) -> Tensor {
        h.clone()
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }

    /// One operation for all steps with the usual activations, step by step with others.
    fn run_layer(&self, x: &Tensor, sizes: &[usize], h: Tensor, reverse: bool) -> (Tensor, Tensor) {
        let (w, u) = (&self.weight_ih, &self.weight_hh);
        let relu = self.nonlinearity.is::<ReLU>();
        if !relu && !self.nonlinearity.is::<Tanh>() {
            return run_layer(self, x, sizes, h, reverse);
        }
        let bias = bias_sum(self.bias_ih.as_ref(), self.bias_hh.as_ref(), u);
        x.rnn_sequence(w, u, &bias, &h, relu, sizes, reverse)
    }
}

/// A plain recurrent layer: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh).
///
/// Parameters, for each layer l and direction: those of [`RNNCell`], as `weight_ih_l0`, ..., `bias_hh_l0_reverse`.
/// Options are `bias`, `single_bias` and `nonlinearity`, and [`Recurrent`]'s `num_layers`, `bidirectional`,
/// `batch_first` and `dropout`; shapes and panics are [`Recurrent`]'s. The width of the state is `hidden_size`; the
/// number of steps follows from the input alone.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html>.
///
/// ```
/// use gradus_nn::RNN;
/// use gradus_tensor::Tensor;
/// let layer = RNN::new(10, 20).num_layers(2);
/// let (r_out, hidden) = layer.forward(&Tensor::randn([5, 3, 10]), None);
/// assert_eq!(r_out.shape(), [5, 3, 20]);
/// assert_eq!(hidden.shape(), [2, 3, 20]);
/// ```
pub type RNN = Recurrent<RNNCell>;

impl Recurrent<RNNCell> {
    /// One layer in one direction, with tanh and two biases, for inputs of `input_size` numbers.
    pub fn new(input_size: usize, hidden_size: usize) -> Self {
        Recurrent::of(RNNCell::new(input_size, hidden_size))
    }

    /// With or without biases.
    pub fn bias(self, on: bool) -> Self {
        self.arranged(|cell| cell.bias(on))
    }

    /// With one bias a cell, `bias_ih`, instead of PyTorch's two, of which only the sum has an effect.
    pub fn single_bias(self) -> Self {
        self.arranged(RNNCell::single_bias)
    }

    /// The activation, [`Tanh`] at first: any layer without parameters that acts on each element.
    ///
    /// # Panics
    /// If it has parameters.
    #[track_caller]
    pub fn nonlinearity(self, activation: impl Forward + 'static) -> Self {
        self.arranged(|cell| cell.nonlinearity(activation))
    }

    /// Width of the state.
    pub fn hidden_size(&self) -> usize {
        self.cells()[0].hidden_size()
    }
}
