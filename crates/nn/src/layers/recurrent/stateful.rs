//! State carried from one piece of a sequence to the next.

use super::cell::{RecurrentCell, RecurrentState};
use super::stack::Recurrent;
use crate::module::{Forward, Module, Scope};
use gradus_tensor::{Tensor, fail};
use std::sync::{Mutex, PoisonError};

/// When a [`Stateful`] layer goes back to a state of zeros by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reset {
    /// Before every batch: batches are independent of each other. The default.
    #[default]
    PerBatch,
    /// When [`Stateful::start_epoch`] is called: each batch goes on where the one before ended.
    PerEpoch,
    /// Never; only [`Stateful::reset`] does it.
    Carry,
}

/// A recurrent layer that keeps its state between calls, so that a long sequence can be fed piece by piece.
///
/// What is kept is detached: values go on, gradients end at the beginning of each call (truncated backpropagation
/// through time). Position n of every batch must continue position n of the one before.
///
/// # Shapes
/// as [`Recurrent`]'s -> the outputs of all steps
///
/// # Panics
/// `forward` panics as [`Recurrent::forward`], and if the batch has another size than the state that was kept.
///
/// ```
/// use gradus_nn::{Forward, GRU, Reset, Stateful};
/// use gradus_tensor::Tensor;
/// let layer = Stateful::new(GRU::new(3, 4), Reset::PerEpoch);
/// for _epoch in 0..2 {
///     layer.start_epoch();
///     for piece in Tensor::randn([12, 5, 3]).chunk(3, 0) {
///         assert_eq!(layer.forward(&piece).shape(), [4, 5, 4]);
///     }
/// }
/// assert!(layer.state().is_some());
/// ```
#[derive(Debug, Module)]
pub struct Stateful<C: RecurrentCell> {
    /// The layer.
    pub layer: Recurrent<C>,
    #[module(skip)]
    policy: Reset,
    #[module(skip)]
    state: Mutex<Option<C::State>>,
    scope: Scope,
}

impl<C: RecurrentCell> Stateful<C> {
    /// Keeps the state of `layer` as `policy` says, zeros at first.
    pub fn new(layer: Recurrent<C>, policy: Reset) -> Stateful<C> {
        Stateful { layer, policy, state: Mutex::new(None), scope: Scope::default() }
    }

    /// When the state goes back to zeros by itself.
    pub fn policy(&self) -> Reset {
        self.policy
    }

    /// The state that the next call begins with; `None` is zeros.
    pub fn state(&self) -> Option<C::State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the state that the next call begins with; `None` is zeros.
    pub fn set_state(&self, state: Option<C::State>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Goes back to a state of zeros.
    pub fn reset(&self) {
        self.set_state(None);
    }

    /// Says that an epoch begins: with [`Reset::PerEpoch`] the state goes back to zeros.
    pub fn start_epoch(&self) {
        if self.policy == Reset::PerEpoch {
            self.reset();
        }
    }
}

impl<C: RecurrentCell> Forward for Stateful<C> {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        if self.policy == Reset::PerBatch {
            self.reset();
        }
        let before = self.state();
        if let Some(s) = &before
            && x.rank() == C::RANK + 2
        {
            let (kept, batch) = (s.tensors()[0].size(1), x.size(1 - self.layer.time_dim()));
            if kept != batch {
                let message = "sequences, this batch has";
                fail(
                    "Stateful",
                    format_args!("the kept state is of {kept} {message} {batch}: reset it, or drop the batch"),
                );
            }
        }
        let (y, after) = self.layer.forward(x, before.as_ref());
        self.set_state(Some(after.map(Tensor::detach)));
        y
    }
}

/// A piece of a sequence during [`truncated_bptt`], whose page has an example.
#[derive(Clone, Debug)]
pub struct TimeChunk {
    /// The outputs of its steps, laid out as the input.
    pub output: Tensor,
    /// Its first step.
    pub start: usize,
    /// Its number of steps.
    pub steps: usize,
}

/// Backpropagation through time, truncated: runs `layer` over `x` in pieces of `chunk` steps, calls `each` with the
/// outputs of every piece (to compute a loss there, call `backward` and step the optimiser), and detaches the state
/// between pieces. Returns the state after the last step, detached.
///
/// Within a piece gradients are those of the whole sequence's graph; none flows from a piece into one before.
///
/// # Shapes
/// `x` and `state` as [`Recurrent`]'s, with a batch
///
/// # Panics
/// If `chunk` is 0, or as [`Recurrent::forward`].
///
/// Source: Williams and Peng, 1990, <https://doi.org/10.1162/neco.1990.2.4.490>.
///
/// ```
/// use gradus_nn::losses::mse_loss;
/// use gradus_nn::{Module, RNN, truncated_bptt};
/// use gradus_tensor::Tensor;
/// let (layer, x, target) = (RNN::new(2, 3), Tensor::randn([10, 4, 2]), Tensor::zeros([10, 4, 3]));
/// let mut starts = vec![];
/// truncated_bptt(&layer, &x, 4, None, |piece| {
///     mse_loss(&piece.output, &target.narrow(0, piece.start, piece.steps)).backward();
///     starts.push(piece.start);
/// });
/// assert_eq!(starts, [0, 4, 8]);
/// assert!(layer.parameters()[0].grad().is_some());
/// ```
#[track_caller]
pub fn truncated_bptt<C: RecurrentCell>(
    layer: &Recurrent<C>,
    x: &Tensor,
    chunk: usize,
    state: Option<&C::State>,
    mut each: impl FnMut(TimeChunk),
) -> C::State {
    if chunk == 0 || x.rank() != C::RANK + 2 {
        fail(
            "truncated_bptt",
            format_args!("needs pieces of 1 step or more and a batch, got {chunk} and {}", x.shape()),
        );
    }
    let (dim, total) = (layer.time_dim(), x.size(layer.time_dim()));
    let mut state = state.map(|s| s.map(Tensor::detach));
    let mut start = 0;
    loop {
        let steps = chunk.min(total - start);
        let (output, after) = layer.forward(&x.narrow(dim, start, steps), state.as_ref());
        each(TimeChunk { output, start, steps });
        let after = after.map(Tensor::detach);
        start += steps;
        if start == total {
            return after;
        }
        state = Some(after);
    }
}
