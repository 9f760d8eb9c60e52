//! Long short-term memory whose gates see the cell.

use super::cell::{Activation, RecurrentCell, begin};
use super::lstm::LSTMState;
use super::stack::Recurrent;
use crate::layers::Tanh;
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::Tensor;

/// One step of an LSTM with peepholes: the gates also see the cell, the long-term memory.
///
/// i = σ(a_i + p_i ⊙ c), f = σ(a_f + p_f ⊙ c), g = σ_c(a_g), c' = f ⊙ c + i ⊙ g, o = σ(a_o + p_o ⊙ c'),
/// h' = o ⊙ σ_h(c'), where a = W_ih x + b_ih + W_hh h + b_hh.
///
/// Parameters: `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh` as [`LSTMCell`](super::LSTMCell)'s, gates in the order
/// i, f, g, o, and `weight_ch` `[3 hidden]`: p_i, p_f, p_o. All are begun evenly from ±1/sqrt(hidden).
///
/// # Shapes
/// `[N, in]`, h and c `[N, hidden]` -> h, c; or all of them without N
///
/// # Panics
/// `forward` panics if input or state have another shape.
///
/// Source: Gers and Schmidhuber, 2000, <https://doi.org/10.1109/IJCNN.2000.861302>; Gers et al., 2002,
/// <https://www.jmlr.org/papers/v3/gers02a.html>.
///
/// ```
/// use gradus_nn::{PeepholeLSTMCell, RecurrentCell};
/// use gradus_tensor::Tensor;
/// let state = PeepholeLSTMCell::new(3, 4).forward(&Tensor::ones([2, 3]), None);
/// assert_eq!(state.c.shape(), [2, 4]);
/// ```
#[derive(Debug, Module)]
pub struct PeepholeLSTMCell {
    /// `[4 hidden, in]`
    pub weight_ih: Param,
    /// `[4 hidden, hidden]`
    pub weight_hh: Param,
    /// `[4 hidden]`
    pub bias_ih: Option<Param>,
    /// `[4 hidden]`
    pub bias_hh: Option<Param>,
    /// `[3 hidden]`: of the input, the forget and the output gate
    pub weight_ch: Param,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    output_activation: Activation,
    scope: Scope,
}

impl PeepholeLSTMCell {
    /// A cell for inputs of `input_size` numbers with a state of `hidden_size`, biases, and σ_c = σ_h = tanh.
    pub fn new(input_size: usize, hidden_size: usize) -> PeepholeLSTMCell {
        let draw = |shape: &[usize]| begin(shape, hidden_size);
        PeepholeLSTMCell {
            weight_ih: draw(&[4 * hidden_size, input_size]),
            weight_hh: draw(&[4 * hidden_size, hidden_size]),
            bias_ih: Some(draw(&[4 * hidden_size])),
            bias_hh: Some(draw(&[4 * hidden_size])),
            weight_ch: draw(&[3 * hidden_size]),
            activation: Activation::new(Self::CELL, Tanh),
            output_activation: Activation::new(Self::CELL, Tanh),
            scope: Scope::default(),
        }
    }

    /// With or without biases.
    pub fn bias(mut self, on: bool) -> PeepholeLSTMCell {
        let hidden = self.hidden_size();
        self.bias_ih = on.then(|| begin(&[4 * hidden], hidden));
        self.bias_hh = on.then(|| begin(&[4 * hidden], hidden));
        self
    }

    /// σ_c, the activation of the candidate, [`Tanh`] at first.
    ///
    /// # Panics
    /// If it has parameters.
    #[track_caller]
    pub fn activation(mut self, activation: impl Forward + 'static) -> PeepholeLSTMCell {
        self.activation = Activation::new(Self::CELL, activation);
        self
    }

    /// σ_h, the activation of the cell where it is read, [`Tanh`] at first.
    ///
    /// # Panics
    /// If it has parameters.
    #[track_caller]
    pub fn output_activation(mut self, activation: impl Forward + 'static) -> PeepholeLSTMCell {
        self.output_activation = Activation::new(Self::CELL, activation);
        self
    }

    /// Width of the state.
    pub fn hidden_size(&self) -> usize {
        self.weight_hh.size(1)
    }
}

impl RecurrentCell for PeepholeLSTMCell {
    type State = LSTMState;
    const CELL: &'static str = "PeepholeLSTMCell";
    const LAYER: &'static str = "PeepholeLSTM";

    fn input_size(&self) -> usize {
        self.weight_ih.size(1)
    }

    fn output_size(&self) -> usize {
        self.hidden_size()
    }

    fn state_shapes(&self, input: &[usize]) -> Vec<Vec<usize>> {
        vec![vec![input[0], self.hidden_size()]; 2]
    }

    fn like(&self, input_size: usize) -> PeepholeLSTMCell {
        let new = PeepholeLSTMCell::new(input_size, self.hidden_size()).bias(self.bias_ih.is_some());
        let (activation, output_activation) = (self.activation.clone(), self.output_activation.clone());
        PeepholeLSTMCell { activation, output_activation, ..new }
    }

    fn project(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight_ih, self.bias_ih.as_deref())
    }

    fn step(&self, projected: &Tensor, LSTMState { h, c }: &LSTMState) -> LSTMState {
        let n = self.hidden_size();
        let sums = (projected + h.linear(&self.weight_hh, self.bias_hh.as_deref())).chunk(4, 1);
        let peephole = |gate: usize, c: &Tensor| self.weight_ch.narrow(0, gate * n, n) * c;
        let i = (&sums[0] + peephole(0, c)).sigmoid();
        let f = (&sums[1] + peephole(1, c)).sigmoid();
        let c = f * c + i * self.activation.apply(&sums[2]);
        let o = (&sums[3] + peephole(2, &c)).sigmoid();
        LSTMState { h: o * self.output_activation.apply(&c), c }
    }

    fn output(&self, state: &LSTMState) -> Tensor {
        state.h.clone()
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// A long short-term memory layer with peepholes; its steps are those of [`PeepholeLSTMCell`].
///
/// Parameters, for each layer l and direction: those of the cell, as `weight_ch_l0`. Shapes, options and panics are
/// those of [`Recurrent`].
///
/// ```
/// use gradus_nn::PeepholeLSTM;
/// use gradus_tensor::Tensor;
/// let (y, state) = PeepholeLSTM::new(3, 4).forward(&Tensor::zeros([5, 2, 3]), None);
/// assert_eq!(y.shape(), [5, 2, 4]);
/// assert_eq!(state.c.shape(), [1, 2, 4]);
/// ```
pub type PeepholeLSTM = Recurrent<PeepholeLSTMCell>;

impl Recurrent<PeepholeLSTMCell> {
    /// One layer in one direction, with biases, for inputs of `input_size` numbers.
    pub fn new(input_size: usize, hidden_size: usize) -> Self {
        Recurrent::of(PeepholeLSTMCell::new(input_size, hidden_size))
    }

    /// With or without biases.
    pub fn bias(self, on: bool) -> Self {
        self.arranged(|cell| cell.bias(on))
    }
}
