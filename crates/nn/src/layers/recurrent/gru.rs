//! Gated recurrent units.

use super::cell::{RecurrentCell, begin, bias_sum, run_layer};
use super::stack::Recurrent;
use crate::module::{Module, Param, Scope};
use gradus_tensor::{Tensor, no_grad};

/// What an update gate of 1 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UpdateGate {
    /// The state is kept: h' = (1 - z) ⊙ n + z ⊙ h, as in PyTorch. The default.
    #[default]
    Keeps,
    /// The state is overwritten: h' = (1 - z) ⊙ h + z ⊙ n, as in Chung et al.
    Writes,
}

/// One step of a gated recurrent unit:
///
/// r = σ(W_ir x + b_ir + W_hr h + b_hr), z = σ(W_iz x + b_iz + W_hz h + b_hz),
/// n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn)), h' = (1 - z) ⊙ n + z ⊙ h.
///
/// That is PyTorch's (and cuDNN's) form. [`GRUCell::reset_after`]`(false)` resets the state before the product,
/// n = tanh(W_in x + b_in + W_hn (r ⊙ h) + b_hn), and [`GRUCell::update_gate`] chooses what z = 1 means; both
/// together are the form of the papers.
///
/// Parameters: `weight_ih` `[3 hidden, in]`, `weight_hh` `[3 hidden, hidden]`, `bias_ih` and `bias_hh`
/// `[3 hidden]`, gates in the order r, z, n, all begun evenly from ±1/sqrt(hidden).
///
/// # Shapes
/// `[N, in]`, h `[N, hidden]` -> `[N, hidden]`; or all of them without N
///
/// # Panics
/// `forward` panics if input or state have another shape.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.GRUCell.html>; Cho et al., 2014,
/// <https://arxiv.org/abs/1406.1078>; Chung et al., 2014, <https://arxiv.org/abs/1412.3555>.
///
/// ```
/// use gradus_nn::{GRUCell, RecurrentCell, UpdateGate};
/// use gradus_tensor::Tensor;
/// let cell = GRUCell::new(3, 4).reset_after(false).update_gate(UpdateGate::Writes);
/// assert_eq!(cell.forward(&Tensor::ones([2, 3]), None).shape(), [2, 4]);
/// ```
#[derive(Debug, Module)]
pub struct GRUCell {
    /// `[3 hidden, in]`
    pub weight_ih: Param,
    /// `[3 hidden, hidden]`
    pub weight_hh: Param,
    /// `[3 hidden]`
    pub bias_ih: Option<Param>,
    /// `[3 hidden]`
    pub bias_hh: Option<Param>,
    reset_after: bool,
    #[module(skip)]
    update_gate: UpdateGate,
    scope: Scope,
}

impl GRUCell {
    /// A cell for inputs of `input_size` numbers with a state of `hidden_size` and biases, in PyTorch's form.
    pub fn new(input_size: usize, hidden_size: usize) -> GRUCell {
        let draw = |shape: &[usize]| begin(shape, hidden_size);
        GRUCell {
            weight_ih: draw(&[3 * hidden_size, input_size]),
            weight_hh: draw(&[3 * hidden_size, hidden_size]),
            bias_ih: Some(draw(&[3 * hidden_size])),
            bias_hh: Some(draw(&[3 * hidden_size])),
            reset_after: true,
            update_gate: UpdateGate::Keeps,
            scope: Scope::default(),
        }
    }

    /// With or without biases.
    pub fn bias(mut self, on: bool) -> GRUCell {
        let hidden = self.hidden_size();
        self.bias_ih = on.then(|| begin(&[3 * hidden], hidden));
        self.bias_hh = on.then(|| begin(&[3 * hidden], hidden));
        self
    }

    /// Whether the reset gate acts after the product with `weight_hh` (on) or on the state before it.
    pub fn reset_after(mut self, on: bool) -> GRUCell {
        self.reset_after = on;
        self
    }

    /// What an update gate of 1 means (it keeps the state). The parameters stay as they are; see
    /// [`GRUCell::swap_update_gate`].
    pub fn update_gate(mut self, meaning: UpdateGate) -> GRUCell {
        self.update_gate = meaning;
        self
    }

    /// The same function under the other meaning of the update gate: the gate's weights and biases change their
    /// sign, for σ(-a) = 1 - σ(a). This takes in parameters that were trained under the other meaning.
    pub fn swap_update_gate(mut self) -> GRUCell {
        let hidden = self.hidden_size();
        let all = [Some(&self.weight_ih), Some(&self.weight_hh), self.bias_ih.as_ref(), self.bias_hh.as_ref()];
        no_grad(|| all.into_iter().flatten().for_each(|p| p.narrow(0, hidden, hidden).mul_(-1.0)));
        self.update_gate = match self.update_gate {
            UpdateGate::Keeps => UpdateGate::Writes,
            UpdateGate::Writes => UpdateGate::Keeps,
        };
        self
    }

    /// Width of the state.
    pub fn hidden_size(&self) -> usize {
        self.weight_hh.size(1)
    }

    /// Reset gate, update gate and candidate.
    fn gates(&self, projected: &Tensor, h: &Tensor) -> (Tensor, Tensor, Tensor) {
        let n = self.hidden_size();
        let inputs = projected.chunk(3, 1);
        if self.reset_after {
            let states = h.linear(&self.weight_hh, self.bias_hh.as_deref()).chunk(3, 1);
            let (r, z) = ((&inputs[0] + &states[0]).sigmoid(), (&inputs[1] + &states[1]).sigmoid());
            let candidate = (&inputs[2] + &r * &states[2]).tanh();
            return (r, z, candidate);
        }
        let part = |start: usize, len: usize| {
            let bias = self.bias_hh.as_ref().map(|b| b.narrow(0, start, len));
            (self.weight_hh.narrow(0, start, len), bias)
        };
        let ((w_gates, b_gates), (w_candidate, b_candidate)) = (part(0, 2 * n), part(2 * n, n));
        let states = h.linear(&w_gates, b_gates.as_ref()).chunk(2, 1);
        let (r, z) = ((&inputs[0] + &states[0]).sigmoid(), (&inputs[1] + &states[1]).sigmoid());
        let candidate = (&inputs[2] + (&r * h).linear(&w_candidate, b_candidate.as_ref())).tanh();
        (r, z, candidate)
    }
}

impl RecurrentCell for GRUCell {
    type State = Tensor;
    const CELL: &'static str = "GRUCell";
    const LAYER: &'static str = "GRU";

    fn input_size(&self) -> usize {
        self.weight_ih.size(1)
    }

    fn output_size(&self) -> usize {
        self.hidden_size()
    }

    fn state_shapes(&self, input: &[usize]) -> Vec<Vec<usize>> {
        vec![vec![input[0], self.hidden_size()]]
    }

    fn like(&self, input_size: usize) -> GRUCell {
        let new = GRUCell::new(input_size, self.hidden_size()).reset_after(self.reset_after);
        let new = new.update_gate(self.update_gate);
        if self.bias_ih.is_some() { new } else { new.bias(false) }
    }

    fn project(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight_ih, self.bias_ih.as_deref())
    }

    fn step(&self, projected: &Tensor, h: &Tensor) -> Tensor {
        let (_, z, n) = self.gates(projected, h);
        match self.update_gate {
            UpdateGate::Keeps => &n + z * (h - &n),
            UpdateGate::Writes => h + z * (n - h),
        }
    }

    fn output(&self, h: &Tensor) -> Tensor {
        h.clone()
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }

    /// One operation for all steps, but where the reset gate acts before the product step by step.
    fn run_layer(&self, x: &Tensor, sizes: &[usize], h: Tensor, reverse: bool) -> (Tensor, Tensor) {
        if !self.reset_after {
            return run_layer(self, x, sizes, h, reverse);
        }
        let (w, u, writes) = (&self.weight_ih, &self.weight_hh, self.update_gate == UpdateGate::Writes);
        let [bias_ih, bias_hh] = [&self.bias_ih, &self.bias_hh].map(|b| bias_sum(b.as_ref(), None, u));
        x.gru_sequence(w, u, &bias_ih, &bias_hh, &h, sizes, reverse, writes)
    }
}

/// A gated recurrent layer; its steps are those of [`GRUCell`]. It has one working memory, where an LSTM has two.
///
/// Parameters, for each layer l and direction: those of [`GRUCell`], as `weight_ih_l0`, ..., `bias_hh_l0_reverse`.
/// Options are `bias`, `reset_after` and `update_gate`, and [`Recurrent`]'s `num_layers`, `bidirectional`,
/// `batch_first` and `dropout`; shapes and panics are [`Recurrent`]'s.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html>.
///
/// ```
/// use gradus_nn::GRU;
/// use gradus_tensor::Tensor;
/// let (y, h) = GRU::new(10, 20).forward(&Tensor::randn([5, 3, 10]), None);
/// assert_eq!(y.shape(), [5, 3, 20]);
/// assert_eq!(h.shape(), [1, 3, 20]);
/// ```
pub type GRU = Recurrent<GRUCell>;

impl Recurrent<GRUCell> {
    /// One layer in one direction, with biases, for inputs of `input_size` numbers, in PyTorch's form.
    pub fn new(input_size: usize, hidden_size: usize) -> Self {
        Recurrent::of(GRUCell::new(input_size, hidden_size))
    }

    /// With or without biases.
    pub fn bias(self, on: bool) -> Self {
        self.arranged(|cell| cell.bias(on))
    }

    /// Whether the reset gate acts after the product with `weight_hh` (on) or on the state before it.
    pub fn reset_after(self, on: bool) -> Self {
        self.changed(|cell| cell.reset_after(on))
    }

    /// What an update gate of 1 means (it keeps the state). The parameters stay as they are.
    pub fn update_gate(self, meaning: UpdateGate) -> Self {
        self.changed(|cell| cell.update_gate(meaning))
    }

    /// The same function under the other meaning of the update gate; see [`GRUCell::swap_update_gate`].
    pub fn swap_update_gate(self) -> Self {
        self.changed(GRUCell::swap_update_gate)
    }

    /// Width of the state.
    pub fn hidden_size(&self) -> usize {
        self.cells()[0].hidden_size()
    }
}
