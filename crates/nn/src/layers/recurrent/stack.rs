//! Layers made of cells.

use super::cell::{RecurrentCell, RecurrentState, check_state, extents, joined};
use super::packed::{PackedSequence, picked};
use crate::module::{Buffer, Mode, Module, Param, Path, Scope, Visitor, VisitorMut};
use gradus_tensor::{Tensor, fail};

/// Cells run over sequences: stacked in layers, in one or both directions.
///
/// Layer l takes the outputs of layer l - 1 (of both directions, side by side) at every step. [`RNN`](super::RNN),
/// [`LSTM`](super::LSTM), [`GRU`](super::GRU) and others are this type over their cells. The parameters of a cell
/// are named with its layer and direction: `weight_ih_l0`, `weight_ih_l0_reverse`, `weight_ih_l1`, ...
///
/// In a list such as [`Sequential`](crate::Sequential) it stands within [`Outputs`](crate::Outputs) or
/// [`LastStep`](crate::LastStep); [`Stateful`](crate::Stateful) carries its state from batch to batch.
///
/// Options that change the structure begin parameters anew: they come before loading and converting.
///
/// # Shapes
/// `[T, N, in]`, or `[N, T, in]` with `batch_first`, or `[T, in]` without a batch; the state is
/// `[layers * directions, N, hidden]` (without N if the input has none), zeros where none is given.
/// -> outputs of the last layer `[T, N, directions * hidden]` (laid out as the input), and the state after the last
/// step
///
/// # Panics
/// If input or state have another shape, or the sequence has no steps; messages name the layer's path.
///
/// ```
/// use gradus_nn::GRU;
/// use gradus_tensor::Tensor;
/// let layer = GRU::new(3, 4).num_layers(2).bidirectional(true).batch_first(true);
/// let (y, h) = layer.forward(&Tensor::zeros([5, 7, 3]), None);
/// assert_eq!(y.shape(), [5, 7, 8]);
/// assert_eq!(h.shape(), [4, 5, 4]);
/// ```
#[derive(Debug)]
pub struct Recurrent<C> {
    /// Layer 0, its reverse direction, layer 1, ...
    cells: Vec<C>,
    num_layers: usize,
    directions: usize,
    batch_first: bool,
    dropout: f64,
    mode: Mode,
    scope: Scope,
}

impl<C: RecurrentCell> Recurrent<C> {
    /// A single layer of the given cell, in one direction.
    ///
    /// ```
    /// use gradus_nn::{LSTMCell, Recurrent};
    /// use gradus_tensor::Tensor;
    /// let layer = Recurrent::of(LSTMCell::new(3, 4));
    /// assert_eq!(layer.forward(&Tensor::zeros([7, 5, 3]), None).0.shape(), [7, 5, 4]);
    /// ```
    pub fn of(cell: C) -> Recurrent<C> {
        let (mode, scope) = (Mode::default(), Scope::default());
        Recurrent { cells: vec![cell], num_layers: 1, directions: 1, batch_first: false, dropout: 0.0, mode, scope }
    }

    /// Number of layers on top of each other (1).
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn num_layers(mut self, layers: usize) -> Self {
        if layers == 0 {
            fail(C::LAYER, "num_layers must be 1 or more");
        }
        self.num_layers = layers;
        self.arranged(|cell| cell)
    }

    /// Whether a second set of cells reads each sequence from its end (off).
    pub fn bidirectional(mut self, on: bool) -> Self {
        self.directions = 1 + usize::from(on);
        self.arranged(|cell| cell)
    }

    /// Whether the batch is the first dimension of input and output, and time the second (off).
    pub fn batch_first(mut self, on: bool) -> Self {
        self.batch_first = on;
        self
    }

    /// Probability of dropout on the outputs of every layer but the last, in training (0).
    ///
    /// # Panics
    /// If `p` is not in 0..=1.
    #[track_caller]
    pub fn dropout(mut self, p: f64) -> Self {
        if !(0.0..=1.0).contains(&p) {
            fail(C::LAYER, format_args!("dropout {p} is not a probability in 0..=1"));
        }
        self.dropout = p;
        self
    }

    /// New cells like the first one after `change`, one a layer and direction.
    pub(super) fn arranged(mut self, change: impl FnOnce(C) -> C) -> Self {
        let first = change(self.cells.swap_remove(0));
        let (inputs, deeper) = (first.input_size(), first.output_size() * self.directions);
        let count = self.num_layers * self.directions;
        let mut cells: Vec<C> =
            (1..count).map(|k| first.like(if k < self.directions { inputs } else { deeper })).collect();
        cells.insert(0, first);
        self.cells = cells;
        self
    }

    /// The cells with `change` applied to each, which must keep their sizes.
    pub(super) fn changed(mut self, change: impl Fn(C) -> C) -> Self {
        self.cells = self.cells.into_iter().map(change).collect();
        self
    }

    /// The cells: layer 0, its reverse direction if there is one, layer 1, ...
    pub fn cells(&self) -> &[C] {
        &self.cells
    }

    /// Extent of the input at every step.
    pub fn input_size(&self) -> usize {
        self.cells[0].input_size()
    }

    /// Extent of the output at every step: that of the cells, times the number of directions.
    pub fn output_size(&self) -> usize {
        self.cells[0].output_size() * self.directions
    }

    /// 2 if sequences are read from both ends, else 1.
    pub fn num_directions(&self) -> usize {
        self.directions
    }

    /// The number of layers.
    pub fn layers(&self) -> usize {
        self.num_layers
    }

    /// The dimension along which inputs that have a batch are sequences.
    pub fn time_dim(&self) -> isize {
        isize::from(self.batch_first)
    }

    /// Outputs of all steps and the state after the last one; without a state the run begins from zeros.
    ///
    /// # Shapes
    /// See [`Recurrent`].
    ///
    /// # Panics
    /// If input or state have another shape, or the sequence has no steps.
    pub fn forward(&self, x: &Tensor, state: Option<&C::State>) -> (Tensor, C::State) {
        let _scope = self.scope.enter();
        if x.rank() == C::RANK + 1 {
            let batch = 1 - self.time_dim();
            let state = state.map(|s| {
                self.check_state(s, x, None);
                s.map(|t| t.unsqueeze(1))
            });
            let (y, state) = self.forward(&x.unsqueeze(batch), state.as_ref());
            return (y.squeeze(batch), state.map(|t| t.squeeze(1)));
        }
        self.check_input(x);
        let x = if self.batch_first { x.transpose(0, 1) } else { x.clone() };
        let (steps, batch) = (x.size(0), x.size(1));
        if steps == 0 {
            fail(C::LAYER, format_args!("needs a sequence of one step or more, got {} (T, N, ...)", x.shape()));
        }
        // (T, N, ...) -> (T * N, ...)
        let mut rows = vec![steps * batch];
        rows.extend_from_slice(&x.shape()[2..]);
        if let Some(s) = state {
            self.check_state(s, &x.select(0, 0), Some(batch));
        }
        let (y, state) = self.run(x.reshape(rows), &vec![batch; steps], state);
        // (T * N, ...) -> (T, N, ...)
        let mut shape = vec![steps, batch];
        shape.extend_from_slice(&y.shape()[1..]);
        let y = y.reshape(shape);
        (if self.batch_first { y.transpose(0, 1) } else { y }, state)
    }

    /// Outputs of all steps of packed sequences, and each sequence's state after its own last step, in the order
    /// in which the sequences were packed.
    ///
    /// # Panics
    /// If the sequences' elements or the state have another shape.
    pub fn forward_packed(&self, x: &PackedSequence, state: Option<&C::State>) -> (PackedSequence, C::State) {
        let _scope = self.scope.enter();
        let batch = x.batch_sizes.first().copied().unwrap_or(0);
        if x.data.rank() != C::RANK + 1 || x.data.size(1) != self.input_size() {
            let (inputs, rest) = (self.input_size(), extents(C::RANK));
            fail(C::LAYER, format_args!("needs packed elements [{inputs}{rest}], got rows {}", x.data.shape()));
        }
        let state = state.map(|s| {
            self.check_state(s, &x.data.narrow(0, 0, batch), Some(batch));
            x.sorted_indices.as_ref().map_or(s.clone(), |order| s.map(|t| picked(t, 1, order)))
        });
        let (data, last) = self.run(x.data.clone(), &x.batch_sizes, state.as_ref());
        let last = x.unsorted_indices.as_ref().map_or(last.clone(), |order| last.map(|t| picked(t, 1, order)));
        (PackedSequence { data, ..x.clone() }, last)
    }

    /// All layers over the rows of all steps.
    fn run(&self, mut data: Tensor, sizes: &[usize], state: Option<&C::State>) -> (Tensor, C::State) {
        let mut last = Vec::with_capacity(self.cells.len());
        for (layer, cells) in self.cells.chunks(self.directions).enumerate() {
            if layer > 0 && self.dropout > 0.0 && self.mode.is_training() {
                data = data.dropout(self.dropout);
            }
            let mut outputs = Vec::with_capacity(cells.len());
            for (direction, cell) in cells.iter().enumerate() {
                let initial = match state {
                    Some(s) => s.map(|t| t.select(0, last.len())),
                    None => cell.zero_state(&data.detach().narrow(0, 0, sizes[0])),
                };
                let (y, end) = cell.run_layer(&data, sizes, initial, direction == 1);
                outputs.push(y);
                last.push(end);
            }
            data = match &outputs[..] {
                [only] => only.clone(),
                both => Tensor::cat(&both.iter().collect::<Vec<_>>(), 1),
            };
        }
        (data, joined(&last, |parts| Tensor::stack(parts, 0)))
    }

    /// The output of the last layer after the last step it read, in every direction, side by side `[N, ...]`.
    pub(super) fn last_output(&self, state: &C::State) -> Tensor {
        let top = self.cells.len() - self.directions;
        let of = |k: usize| self.cells[k].output(&state.map(|t| t.select(0, k)));
        let outputs: Vec<Tensor> = (top..self.cells.len()).map(of).collect();
        Tensor::cat(&outputs.iter().collect::<Vec<_>>(), -(C::RANK as isize))
    }

    #[track_caller]
    fn check_input(&self, x: &Tensor) {
        let inputs = self.input_size();
        if x.rank() != C::RANK + 2 || x.size(2) != inputs {
            let (order, rest) = (if self.batch_first { "N, T" } else { "T, N" }, extents(C::RANK));
            let message =
                format_args!("needs an input [{order}, {inputs}{rest}] or [T, {inputs}{rest}], got {}", x.shape());
            fail(C::LAYER, message);
        }
    }

    /// Fails unless `state` fits elements like those of `x` (`[N, ...]`).
    #[track_caller]
    fn check_state(&self, state: &C::State, x: &Tensor, batch: Option<usize>) {
        let mut shapes = self.cells[0].state_shapes(&x.shape());
        for shape in &mut shapes {
            if batch.is_none() {
                shape.remove(0);
            }
            shape.insert(0, self.cells.len());
        }
        check_state(C::LAYER, state, &shapes);
    }
}

/// Cells are shown without a level of their own, their parameters' names with layer and direction.
impl<C: RecurrentCell> Module for Recurrent<C> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.layer(C::LAYER);
        for (k, cell) in self.cells.iter().enumerate() {
            cell.visit(&mut Suffixed { inner: visitor, suffix: suffix(k, self.directions) });
        }
        visitor.path().push("mode");
        self.mode.visit(visitor);
        self.scope.visit(visitor);
        visitor.path().pop();
    }

    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
        for (k, cell) in self.cells.iter_mut().enumerate() {
            cell.visit_mut(&mut SuffixedMut { inner: visitor, suffix: suffix(k, self.directions) });
        }
        visitor.path().push("scope");
        self.scope.visit_mut(visitor);
        visitor.path().pop();
    }
}

fn suffix(k: usize, directions: usize) -> String {
    format!("_l{}{}", k / directions, if k % directions == 1 { "_reverse" } else { "" })
}

/// Runs `f` with `suffix` added to the last name of the path.
fn under<V: ?Sized>(visitor: &mut V, path: impl Fn(&mut V) -> &mut Path, suffix: &str, f: impl FnOnce(&mut V)) {
    let whole = path(visitor).as_str().to_string();
    let parent = path(visitor).parent().len();
    let name = whole[parent..].trim_start_matches('.');
    path(visitor).pop();
    path(visitor).push(&format!("{name}{suffix}"));
    f(visitor);
    path(visitor).pop();
    path(visitor).push(name);
}

struct Suffixed<'a> {
    inner: &'a mut dyn Visitor,
    suffix: String,
}

impl Visitor for Suffixed<'_> {
    fn path(&mut self) -> &mut Path {
        self.inner.path()
    }
    fn param(&mut self, param: &Param) {
        under(&mut *self.inner, |v| v.path(), &self.suffix, |v| v.param(param));
    }
    fn buffer(&mut self, buffer: &Buffer) {
        under(&mut *self.inner, |v| v.path(), &self.suffix, |v| v.buffer(buffer));
    }
    fn mode(&mut self, mode: &Mode) {
        self.inner.mode(mode);
    }
}

struct SuffixedMut<'a> {
    inner: &'a mut dyn VisitorMut,
    suffix: String,
}

impl VisitorMut for SuffixedMut<'_> {
    fn path(&mut self) -> &mut Path {
        self.inner.path()
    }
    fn param(&mut self, param: &mut Param) {
        under(&mut *self.inner, |v| v.path(), &self.suffix, |v| v.param(param));
    }
    fn buffer(&mut self, buffer: &mut Buffer) {
        under(&mut *self.inner, |v| v.path(), &self.suffix, |v| v.buffer(buffer));
    }
}
