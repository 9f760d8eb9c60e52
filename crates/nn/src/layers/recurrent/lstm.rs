//! Long short-term memory.

use super::cell::{RecurrentCell, RecurrentState, begin, bias_sum, run_layer};
use super::stack::Recurrent;
use crate::init;
use crate::module::{Module, Param, Scope};
use gradus_tensor::{Tensor, fail};

/// The state of an LSTM: what it says and what it remembers.
///
/// ```
/// use gradus_nn::{LSTM, LSTMState};
/// use gradus_tensor::Tensor;
/// let (_, LSTMState { h, c }) = LSTM::new(3, 4).forward(&Tensor::zeros([7, 2, 3]), None);
/// assert_eq!(h.shape(), [1, 2, 4]);
/// assert_eq!(c.shape(), [1, 2, 4]);
/// ```
#[derive(Clone, Debug)]
pub struct LSTMState {
    /// The hidden state, which is also the output: the short-term memory.
    #[doc(alias = "STM")]
    pub h: Tensor,
    /// The cell: the long-term memory.
    #[doc(alias = "LTM")]
    pub c: Tensor,
}

impl RecurrentState for LSTMState {
    const NAMES: &'static [&'static str] = &["h", "c"];

    fn tensors(&self) -> Vec<&Tensor> {
        vec![&self.h, &self.c]
    }

    fn from_tensors(tensors: Vec<Tensor>) -> LSTMState {
        let [h, c] = <[Tensor; 2]>::try_from(tensors).expect("an LSTM's state is two tensors");
        LSTMState { h, c }
    }
}

/// The gates of one step of an LSTM, each `[N, hidden]`, and the four things done with them.
///
/// Some texts tell an LSTM as four "gates" between a short-term memory (STM, here h) and a long-term memory (LTM,
/// here c): learn, forget, remember, use. They are the methods of this type. The "ignore" factor of the learn gate
/// is the input gate `i`. "Input modulation" means the candidate `g` in most texts. All products are element by
/// element.
///
/// ```
/// use gradus_nn::{LSTMCell, LSTMState, RecurrentCell};
/// use gradus_tensor::Tensor;
/// let (cell, x) = (LSTMCell::new(3, 4), Tensor::ones([1, 3]));
/// let state = LSTMState { h: Tensor::zeros([1, 4]), c: Tensor::ones([1, 4]) };
/// let gates = cell.gates(&x, &state);
/// let c = gates.remember(&state.c);
/// let h = gates.use_gate(&c);
/// assert_eq!(h.to_vec::<f32>(), cell.forward(&x, Some(&state)).h.to_vec::<f32>());
/// ```
#[derive(Clone, Debug)]
pub struct LSTMGates {
    /// The input gate: how much of the candidate is taken in (1 all, 0 nothing).
    #[doc(alias = "ignore")]
    pub i: Tensor,
    /// The forget gate: how much of the cell is kept (1 all, 0 nothing).
    pub f: Tensor,
    /// The candidate: what the step would write into the cell.
    #[doc(alias = "input modulation")]
    pub g: Tensor,
    /// The output gate: how much of the cell is shown.
    pub o: Tensor,
}

impl LSTMGates {
    /// From pre-activations `[N, 4 hidden]` in the order i, f, g, o.
    fn from_sums(sums: &Tensor) -> LSTMGates {
        let [i, f, g, o] = <[Tensor; 4]>::try_from(sums.chunk(4, 1)).expect("four gates");
        LSTMGates { i: i.sigmoid(), f: f.sigmoid(), g: g.tanh(), o: o.sigmoid() }
    }

    /// The learn gate: i ⊙ g, what the step adds to the long-term memory.
    #[doc(alias = "learn gate")]
    pub fn learn(&self) -> Tensor {
        &self.i * &self.g
    }

    /// The forget gate: f ⊙ c, what is left of the long-term memory `c`.
    #[doc(alias = "forget gate")]
    pub fn forget(&self, c: &Tensor) -> Tensor {
        &self.f * c
    }

    /// The remember gate: f ⊙ c + i ⊙ g, the new long-term memory.
    #[doc(alias = "remember gate")]
    pub fn remember(&self, c: &Tensor) -> Tensor {
        self.forget(c) + self.learn()
    }

    /// The use gate: o ⊙ tanh(c), the new short-term memory from the new long-term memory `c`.
    #[doc(alias = "use gate")]
    pub fn use_gate(&self, c: &Tensor) -> Tensor {
        &self.o * c.tanh()
    }
}

/// One step of long short-term memory:
///
/// (i, f, g, o) = W_ih x + b_ih + W_hh h + b_hh, through sigmoid, sigmoid, tanh, sigmoid;
/// c' = f ⊙ c + i ⊙ g; h' = o ⊙ tanh(c'). A forget gate of 1 keeps everything.
///
/// Parameters: `weight_ih` `[4 hidden, in]`, `weight_hh` `[4 hidden, hidden]`, `bias_ih` and `bias_hh`
/// `[4 hidden]`, gates in the order i, f, g, o, all begun evenly from ±1/sqrt(hidden). With `proj_size`,
/// h' = W_hr (o ⊙ tanh(c')) with `weight_hr` `[proj, hidden]`.
///
/// # Shapes
/// `[N, in]`, h `[N, hidden]` (or proj), c `[N, hidden]` -> h, c; or all of them without N
///
/// # Panics
/// `forward` panics if input or state have another shape.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html>; Hochreiter and
/// Schmidhuber, 1997, <https://doi.org/10.1162/neco.1997.9.8.1735>; forget gate: Gers et al., 2000,
/// <https://doi.org/10.1162/089976600300015015>.
///
/// ```
/// use gradus_nn::{LSTMCell, RecurrentCell};
/// use gradus_tensor::Tensor;
/// let state = LSTMCell::new(3, 4).forward(&Tensor::ones([2, 3]), None);
/// assert_eq!(state.h.shape(), [2, 4]);
/// assert_eq!(state.c.shape(), [2, 4]);
/// ```
#[doc(alias = "STM")]
#[doc(alias = "LTM")]
#[derive(Debug, Module)]
pub struct LSTMCell {
    /// `[4 hidden, in]`
    pub weight_ih: Param,
    /// `[4 hidden, hidden]`, or `[4 hidden, proj]`
    pub weight_hh: Param,
    /// `[4 hidden]`
    pub bias_ih: Option<Param>,
    /// `[4 hidden]`
    pub bias_hh: Option<Param>,
    /// `[proj, hidden]`
    pub weight_hr: Option<Param>,
    forget_bias: Option<f64>,
    scope: Scope,
}

impl LSTMCell {
    /// A cell for inputs of `input_size` numbers with a state of `hidden_size` and biases.
    pub fn new(input_size: usize, hidden_size: usize) -> LSTMCell {
        LSTMCell::build(input_size, hidden_size, true, 0, None)
    }

    fn build(inputs: usize, hidden: usize, bias: bool, proj: usize, forget_bias: Option<f64>) -> LSTMCell {
        let draw = |shape: &[usize]| begin(shape, hidden);
        let said = if proj > 0 { proj } else { hidden };
        let cell = LSTMCell {
            weight_ih: draw(&[4 * hidden, inputs]),
            weight_hh: draw(&[4 * hidden, said]),
            bias_ih: bias.then(|| draw(&[4 * hidden])),
            bias_hh: bias.then(|| draw(&[4 * hidden])),
            weight_hr: (proj > 0).then(|| draw(&[proj, hidden])),
            forget_bias,
            scope: Scope::default(),
        };
        if let (Some(value), Some(b_ih), Some(b_hh)) = (forget_bias, &cell.bias_ih, &cell.bias_hh) {
            init::constant_(&b_ih.detach().narrow(0, hidden, hidden), value);
            init::zeros_(&b_hh.detach().narrow(0, hidden, hidden));
        }
        cell
    }

    /// With or without biases.
    pub fn bias(self, on: bool) -> LSTMCell {
        LSTMCell::build(self.input_size(), self.hidden_size(), on, self.proj_or_zero(), self.forget_bias)
    }

    /// The sum of the forget gate's two biases begins as `value`: with 1 the cell keeps most of what it holds
    /// while it begins to learn. (PyTorch draws it like the others.) Without biases it has
    /// no effect.
    ///
    /// Source: Jozefowicz et al., 2015, <https://proceedings.mlr.press/v37/jozefowicz15.html>.
    pub fn forget_bias(self, value: f64) -> LSTMCell {
        let (inputs, hidden) = (self.input_size(), self.hidden_size());
        LSTMCell::build(inputs, hidden, self.bias_ih.is_some(), self.proj_or_zero(), Some(value))
    }

    /// Projects h to `size` numbers; 0, the default, is no projection.
    ///
    /// Source: Sak et al., 2014, <https://arxiv.org/abs/1402.1128>.
    ///
    /// # Panics
    /// If `size` is not smaller than the width of the state.
    #[track_caller]
    pub fn proj_size(self, size: usize) -> LSTMCell {
        let (inputs, hidden) = (self.input_size(), self.hidden_size());
        if size >= hidden {
            fail("LSTM", format_args!("proj_size {size} must be smaller than hidden_size {hidden}"));
        }
        LSTMCell::build(inputs, hidden, self.bias_ih.is_some(), size, self.forget_bias)
    }

    fn proj_or_zero(&self) -> usize {
        self.weight_hr.as_ref().map_or(0, |w| w.size(0))
    }

    /// Width of the cell state.
    pub fn hidden_size(&self) -> usize {
        self.weight_hh.size(0) / 4
    }

    /// The gates of one step from input `x` `[N, in]` and the state before it.
    pub fn gates(&self, x: &Tensor, state: &LSTMState) -> LSTMGates {
        let _scope = self.scope.enter();
        self.gates_of(&self.project(x), &state.h)
    }

    fn gates_of(&self, projected: &Tensor, h: &Tensor) -> LSTMGates {
        LSTMGates::from_sums(&(projected + h.linear(&self.weight_hh, self.bias_hh.as_deref())))
    }
}

impl RecurrentCell for LSTMCell {
    type State = LSTMState;
    const CELL: &'static str = "LSTMCell";
    const LAYER: &'static str = "LSTM";

    fn input_size(&self) -> usize {
        self.weight_ih.size(1)
    }

    fn output_size(&self) -> usize {
        self.weight_hh.size(1)
    }

    fn state_shapes(&self, input: &[usize]) -> Vec<Vec<usize>> {
        vec![vec![input[0], self.output_size()], vec![input[0], self.hidden_size()]]
    }

    fn like(&self, input_size: usize) -> LSTMCell {
        let (hidden, bias) = (self.hidden_size(), self.bias_ih.is_some());
        LSTMCell::build(input_size, hidden, bias, self.proj_or_zero(), self.forget_bias)
    }

    fn project(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight_ih, self.bias_ih.as_deref())
    }

    fn step(&self, projected: &Tensor, state: &LSTMState) -> LSTMState {
        let gates = self.gates_of(projected, &state.h);
        let c = gates.remember(&state.c);
        let h = gates.use_gate(&c);
        let h = self.weight_hr.as_ref().map_or(h.clone(), |w| h.linear(w, None));
        LSTMState { h, c }
    }

    fn output(&self, state: &LSTMState) -> Tensor {
        state.h.clone()
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }

    /// One operation for all steps, but with a projection step by step.
    fn run_layer(&self, x: &Tensor, sizes: &[usize], state: LSTMState, reverse: bool) -> (Tensor, LSTMState) {
        if self.weight_hr.is_some() {
            return run_layer(self, x, sizes, state, reverse);
        }
        let (w, u) = (&self.weight_ih, &self.weight_hh);
        let bias = bias_sum(self.bias_ih.as_ref(), self.bias_hh.as_ref(), u);
        let (y, h, c) = x.lstm_sequence(w, u, &bias, &state.h, &state.c, sizes, reverse);
        (y, LSTMState { h, c })
    }
}

/// A long short-term memory layer; its steps are those of [`LSTMCell`].
///
/// Parameters, for each layer l and direction: those of [`LSTMCell`], as `weight_ih_l0`, ..., `bias_hh_l0_reverse`.
/// Options are `bias`, `proj_size` and `forget_bias`, and [`Recurrent`]'s `num_layers`, `bidirectional`,
/// `batch_first` and `dropout`; shapes and panics are [`Recurrent`]'s, with h of `proj_size` in place of
/// `hidden_size` where that is given. `hidden_size` is the width of the state, not a number of steps or of cells in
/// time: the same cell serves every step, and their number follows from the input.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html>.
///
/// ```
/// use gradus_nn::LSTM;
/// use gradus_tensor::Tensor;
/// let layer = LSTM::new(10, 20).num_layers(2).dropout(0.2).forget_bias(1.0);
/// let (y, state) = layer.forward(&Tensor::randn([5, 3, 10]), None);
/// let (_, state) = layer.forward(&Tensor::randn([5, 3, 10]), Some(&state)); // goes on
/// assert_eq!(y.shape(), [5, 3, 20]);
/// assert_eq!(state.c.shape(), [2, 3, 20]);
/// ```
#[doc(alias = "STM")]
#[doc(alias = "LTM")]
pub type LSTM = Recurrent<LSTMCell>;

impl Recurrent<LSTMCell> {
    /// One layer in one direction, with biases, for inputs of `input_size` numbers.
    pub fn new(input_size: usize, hidden_size: usize) -> Self {
        Recurrent::of(LSTMCell::new(input_size, hidden_size))
    }

    /// With or without biases.
    pub fn bias(self, on: bool) -> Self {
        self.arranged(|cell| cell.bias(on))
    }

    /// The sum of the forget gate's two biases begins as `value`; see [`LSTMCell::forget_bias`].
    pub fn forget_bias(self, value: f64) -> Self {
        self.arranged(|cell| cell.forget_bias(value))
    }

    /// Projects h to `size` numbers; 0, the default, is no projection.
    ///
    /// # Panics
    /// If `size` is not smaller than the width of the state.
    #[track_caller]
    pub fn proj_size(self, size: usize) -> Self {
        self.arranged(|cell| cell.proj_size(size))
    }

    /// Width of the cell state.
    pub fn hidden_size(&self) -> usize {
        self.cells()[0].hidden_size()
    }
}
