//! What a recurrent cell is, and its run over a sequence.

use crate::init::by_fan_in;
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{Shape, Tensor, fail};
use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

/// What a cell carries from one step to the next: one tensor, or a few of the same number of rows.
///
/// ```
/// use gradus_nn::{LSTMState, RecurrentState};
/// use gradus_tensor::Tensor;
/// let state = LSTMState { h: Tensor::zeros([2, 3]), c: Tensor::ones([2, 3]) };
/// assert_eq!(state.map(|t| t.narrow(0, 0, 1)).c.shape(), [1, 3]);
/// ```
pub trait RecurrentState: Clone + Send + Sync + 'static {
    /// A name for each tensor, for messages.
    const NAMES: &'static [&'static str];

    /// The tensors, in the order of their names.
    fn tensors(&self) -> Vec<&Tensor>;

    /// The state of these tensors.
    fn from_tensors(tensors: Vec<Tensor>) -> Self;

    /// The state with `f` applied to each tensor.
    fn map(&self, f: impl FnMut(&Tensor) -> Tensor) -> Self {
        Self::from_tensors(self.tensors().into_iter().map(f).collect())
    }
}

/// The hidden state alone.
impl RecurrentState for Tensor {
    const NAMES: &'static [&'static str] = &["h"];

    fn tensors(&self) -> Vec<&Tensor> {
        vec![self]
    }

    fn from_tensors(mut tensors: Vec<Tensor>) -> Tensor {
        tensors.swap_remove(0)
    }
}

/// Several states made one, tensor by tensor.
pub(super) fn joined<S: RecurrentState>(states: &[S], join: impl Fn(&[&Tensor]) -> Tensor) -> S {
    let all: Vec<Vec<&Tensor>> = states.iter().map(S::tensors).collect();
    let column = |i: usize| join(&all.iter().map(|s| s[i]).collect::<Vec<_>>());
    S::from_tensors((0..S::NAMES.len()).map(column).collect())
}

/// One step of a recurrent network: state_t = step(project(x_t), state_{t-1}).
///
/// The part of a step that depends on the input alone is [`RecurrentCell::project`], which a layer computes for
/// all steps in one product. [`Recurrent`](super::Recurrent) makes a layer of any cell.
///
/// ```
/// use gradus_nn::{GRUCell, RecurrentCell};
/// use gradus_tensor::Tensor;
/// let cell = GRUCell::new(3, 4);
/// let first = cell.forward(&Tensor::ones([2, 3]), None); // the state begins as zeros
/// let second = cell.forward(&Tensor::ones([2, 3]), Some(&first));
/// assert_eq!(second.shape(), [2, 4]);
/// ```
pub trait RecurrentCell: Module + Sized {
    /// What is carried between steps.
    type State: RecurrentState;

    /// Name of the cell in messages.
    const CELL: &'static str;

    /// Name of the layer of such cells, in messages and where modules are listed.
    const LAYER: &'static str;

    /// Dimensions of one input without batch and time: 1 for vectors, 3 for pictures `[C, H, W]`.
    const RANK: usize = 1;

    /// Extent of an input: features, or channels.
    fn input_size(&self) -> usize;

    /// Extent of the output, as [`RecurrentCell::input_size`].
    fn output_size(&self) -> usize;

    /// The shapes of the state's tensors for inputs of this shape `[N, ...]`.
    fn state_shapes(&self, input: &[usize]) -> Vec<Vec<usize>>;

    /// A new cell of the same kind and options for inputs of another extent.
    fn like(&self, input_size: usize) -> Self;

    /// What a step needs of its input, for the inputs of any number of steps: `[rows, ...]` -> `[rows, ...]`.
    fn project(&self, x: &Tensor) -> Tensor;

    /// The next state, from a projected input and the state before.
    fn step(&self, projected: &Tensor, state: &Self::State) -> Self::State;

    /// The output of a step, from the state after it.
    fn output(&self, state: &Self::State) -> Tensor;

    /// The cell's scope.
    fn scope(&self) -> &Scope;

    /// The state before the first step for inputs `x` `[N, ...]`: zeros, as PyTorch's.
    fn zero_state(&self, x: &Tensor) -> Self::State {
        let zeros = |shape: Vec<usize>| Tensor::full_of(shape, 0.0, x.dtype());
        Self::State::from_tensors(self.state_shapes(&x.shape()).into_iter().map(zeros).collect())
    }

    /// The state after one step; without a state the step begins from zeros.
    ///
    /// # Shapes
    /// `[N, ...]`, state `[N, ...]` -> `[N, ...]`; or all of them without N
    ///
    /// # Panics
    /// If input or state have another shape; the message names the layer's path.
    fn forward(&self, x: &Tensor, state: Option<&Self::State>) -> Self::State {
        let _scope = self.scope().enter();
        if x.rank() == Self::RANK {
            let state = state.map(|s| s.map(|t| t.unsqueeze(0)));
            return self.forward(&x.unsqueeze(0), state.as_ref()).map(|t| t.squeeze(0));
        }
        let inputs = self.input_size();
        if x.rank() != Self::RANK + 1 || x.size(1) != inputs {
            let rest = extents(Self::RANK);
            fail(Self::CELL, format_args!("needs an input [N, {inputs}{rest}] or [{inputs}{rest}], got {}", x.shape()));
        }
        let projected = self.project(x);
        match state {
            Some(s) => {
                check_state(Self::CELL, s, &self.state_shapes(&x.shape()));
                self.step(&projected, s)
            }
            None => self.step(&projected, &self.zero_state(x)),
        }
    }

    /// All steps of a sequence, in one direction.
    ///
    /// The rows of `x` are those of step 0, then those of step 1, ...; `sizes` are their numbers, of which none is
    /// larger than the one before, so row i of every step belongs to sequence i. `state` is the state before the
    /// run. Returns the outputs of all steps, laid out as `x`, and each sequence's state after its last step.
    fn run_layer(&self, x: &Tensor, sizes: &[usize], state: Self::State, reverse: bool) -> (Tensor, Self::State) {
        run_layer(self, x, sizes, state, reverse)
    }
}

/// [`RecurrentCell::run_layer`] for any cell, step by step.
pub(super) fn run_layer<C: RecurrentCell>(
    cell: &C,
    x: &Tensor,
    sizes: &[usize],
    initial: C::State,
    reverse: bool,
) -> (Tensor, C::State) {
    let mut projected = Vec::with_capacity(sizes.len());
    pieces(&cell.project(x), sizes, &mut projected);
    let rows = |s: &C::State, from: usize, to: usize| s.map(|t| t.narrow(0, from, to - from));
    let join = |states: &[C::State]| joined(states, |parts| Tensor::cat(parts, 0));
    let mut outputs = Vec::with_capacity(sizes.len());
    let all = sizes[0];
    let last = if reverse {
        // Short sequences join on the way to the beginning.
        let mut n = *sizes.last().unwrap_or(&0);
        let mut state = if n == all { initial.clone() } else { rows(&initial, 0, n) };
        for (p, &size) in projected.iter().zip(sizes).rev() {
            if size > n {
                state = join(&[state, rows(&initial, n, size)]);
                n = size;
            }
            state = cell.step(p, &state);
            outputs.push(cell.output(&state));
        }
        outputs.reverse();
        state
    } else {
        // Short sequences leave on the way to the end, the last rows first.
        let (mut n, mut state, mut left) = (all, initial, Vec::new());
        for (p, &size) in projected.iter().zip(sizes) {
            if size < n {
                left.push(rows(&state, size, n));
                state = rows(&state, 0, size);
                n = size;
            }
            state = cell.step(p, &state);
            outputs.push(cell.output(&state));
        }
        left.push(state);
        left.reverse();
        if left.len() == 1 { left.swap_remove(0) } else { join(&left) }
    };
    (Tensor::cat(&outputs.iter().collect::<Vec<_>>(), 0), last)
}

/// Cuts the rows of `x` into pieces of these sizes. By halves: the gradient of a slice has the size of what it
/// was cut from, so that cutting T steps from the whole would cost T times its size.
fn pieces(x: &Tensor, sizes: &[usize], out: &mut Vec<Tensor>) {
    if sizes.len() <= 1 {
        return out.push(x.clone());
    }
    let (first, second) = sizes.split_at(sizes.len() / 2);
    let rows = first.iter().sum();
    pieces(&x.narrow(0, 0, rows), first, out);
    pieces(&x.narrow(0, rows, x.size(0) - rows), second, out);
}

/// Fails unless the tensors of `state` have these shapes.
#[track_caller]
pub(super) fn check_state<S: RecurrentState>(kind: &str, state: &S, expected: &[Vec<usize>]) {
    for ((name, t), want) in S::NAMES.iter().zip(state.tensors()).zip(expected) {
        if t.shape()[..] != want[..] {
            fail(kind, format_args!("needs an initial state {name} {}, got {}", Shape::new(want), t.shape()));
        }
    }
}

/// How the dimensions of an input after the first are written.
pub(super) fn extents(rank: usize) -> &'static str {
    ["", "", ", L", ", H, W", ", D, H, W"][rank.min(4)]
}

/// A parameter drawn evenly from ±1/sqrt(hidden), as PyTorch begins all those of recurrent layers.
pub(super) fn begin(shape: &[usize], hidden: usize) -> Param {
    Param::new(by_fan_in(shape, hidden))
}

/// The sum of two biases of a cell with these recurrent weights; those that it does not have are zeros.
pub(super) fn bias_sum(first: Option<&Param>, second: Option<&Param>, weight: &Tensor) -> Tensor {
    match (first, second) {
        (Some(a), Some(b)) => &**a + &**b,
        (Some(a), None) | (None, Some(a)) => (**a).clone(),
        (None, None) => Tensor::full_of([weight.size(0)], 0.0, weight.dtype()),
    }
}

/// An activation without parameters, shared by all cells of a layer.
#[derive(Clone)]
pub(super) struct Activation(Arc<dyn Forward>, TypeId);

impl Activation {
    #[track_caller]
    pub fn new<F: Forward + 'static>(kind: &str, activation: F) -> Activation {
        if activation.num_parameters() > 0 {
            fail(kind, "an activation with parameters cannot be shared by all steps and layers");
        }
        Activation(Arc::new(activation), TypeId::of::<F>())
    }

    pub fn apply(&self, x: &Tensor) -> Tensor {
        self.0.forward(x)
    }

    /// Whether it is of this type.
    pub fn is<F: 'static>(&self) -> bool {
        self.1 == TypeId::of::<F>()
    }
}

impl fmt::Debug for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.named_modules().first().map_or("activation", |(_, kind)| kind))
    }
}
