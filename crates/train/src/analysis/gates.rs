//! What an LSTM does along a sequence: its gates and its memory, step by step.

use crate::analysis::maps::unit;
use crate::plots::{Tile, grid_svg};
use gradus_nn::{LSTMCell, LSTMState, RecurrentCell};
use gradus_tensor::{Tensor, no_grad};
use serde::Serialize;

/// A gate is taken for shut below this and for open above one minus it.
const SHUT: f64 = 0.1;

/// The gates, the memory and the output of an LSTM at every step of a sequence, each `[T, N, hidden]`.
///
/// Source: Karpathy et al., 2015, <https://arxiv.org/abs/1506.02078>.
///
/// ```
/// use gradus_nn::LSTMCell;
/// use gradus_tensor::Tensor;
/// use gradus_train::analysis::GateTrace;
/// let trace = GateTrace::of(&LSTMCell::new(3, 4), &Tensor::randn([7, 2, 3]));
/// assert_eq!(trace.c.shape(), [7, 2, 4]);
/// assert_eq!(trace.saturation().len(), 3 * 4);
/// ```
#[derive(Clone, Debug)]
pub struct GateTrace {
    /// The input gate: how much of the candidate is taken in.
    pub i: Tensor,
    /// The forget gate: how much of the memory is kept.
    pub f: Tensor,
    /// The candidate.
    pub g: Tensor,
    /// The output gate: how much of the memory is shown.
    pub o: Tensor,
    /// The memory after the step.
    pub c: Tensor,
    /// The output of the step.
    pub h: Tensor,
}

/// How often a gate of one unit is shut, and how often open.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Saturation {
    /// `input`, `forget` or `output`.
    pub gate: &'static str,
    /// The unit.
    pub unit: usize,
    /// Share of steps with the gate below 0.1.
    pub shut: f64,
    /// Share of steps with the gate above 0.9.
    pub open: f64,
}

impl GateTrace {
    /// Runs a cell, from a state of zeros, over the sequences `x`.
    ///
    /// # Shapes
    /// `x`: `[T, N, in]`.
    ///
    /// # Panics
    /// If `x` has another shape or no steps, or the cell projects its output.
    #[track_caller]
    pub fn of(cell: &LSTMCell, x: &Tensor) -> GateTrace {
        assert!(x.rank() == 3 && x.size(0) > 0, "GateTrace: sequences are [T, N, in], got {}", x.shape());
        assert!(cell.weight_hr.is_none(), "GateTrace: a cell with proj_size has an output of another size");
        let zeros = Tensor::zeros([x.size(1), cell.hidden_size()]).to_dtype(x.dtype());
        let mut state = LSTMState { h: zeros.clone(), c: zeros };
        let mut steps: [Vec<Tensor>; 6] = Default::default();
        no_grad(|| {
            for t in 0..x.size(0) {
                let now = x.select(0, t);
                let gates = cell.gates(&now, &state);
                state = cell.forward(&now, Some(&state));
                let all = [gates.i, gates.f, gates.g, gates.o, state.c.clone(), state.h.clone()];
                steps.iter_mut().zip(all).for_each(|(list, value)| list.push(value));
            }
        });
        let [i, f, g, o, c, h] = steps.map(|list| Tensor::stack(&list.iter().collect::<Vec<_>>(), 0));
        GateTrace { i, f, g, o, c, h }
    }

    /// How often each gate of each unit is shut and open, over all steps and sequences: a forget gate that is always
    /// open is a unit that remembers, an input gate that is always shut one that learns nothing.
    pub fn saturation(&self) -> Vec<Saturation> {
        let gate = |(gate, values): (&'static str, &Tensor)| {
            let hidden = values.size(2);
            // (T, N, hidden) -> (T N, hidden)
            let rows =
                values.reshape([values.numel() / hidden, hidden]).to_dtype(gradus_tensor::DType::F64).to_vec::<f64>();
            let share = |unit: usize, is: fn(f64) -> bool| {
                let column = rows.iter().skip(unit).step_by(hidden);
                column.filter(|v| is(**v)).count() as f64 * hidden as f64 / rows.len() as f64
            };
            let unit = move |unit| Saturation {
                gate,
                unit,
                shut: share(unit, |v| v < SHUT),
                open: share(unit, |v| v > 1.0 - SHUT),
            };
            (0..hidden).map(unit).collect::<Vec<_>>()
        };
        [("input", &self.i), ("forget", &self.f), ("output", &self.o)].into_iter().flat_map(gate).collect()
    }

    /// Gates and memory of one sequence as pictures: a row a unit, a column a step, gates from 0 (black) to 1 (white).
    ///
    /// # Panics
    /// If there is no such sequence.
    #[track_caller]
    pub fn svg(&self, title: &str, sequence: usize) -> String {
        let tile = |name: &str, values: &Tensor, scaled: bool| {
            let map = values.select(1, sequence).t().unsqueeze(0).to_dtype(gradus_tensor::DType::F32); // (1, hidden, T)
            let words = vec![name.to_string(), format!("{:.2} to {:.2}", map.min().item(), map.max().item())];
            Tile { pixels: if scaled { unit(&map) } else { map }, words }
        };
        let tiles = [
            tile("input gate", &self.i, false),
            tile("forget gate", &self.f, false),
            tile("output gate", &self.o, false),
            tile("candidate", &self.g, true),
            tile("memory", &self.c, true),
            tile("output", &self.h, true),
        ];
        let (steps, units) = (self.c.size(0), self.c.size(2));
        grid_svg(title, &format!("{units} units from top to bottom, {steps} steps from left to right"), &tiles, 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cell of two units on one input: the first takes in what it sees and keeps it, the second is always shut.
    fn cell() -> LSTMCell {
        let cell = LSTMCell::new(1, 2);
        let set = |p: &Tensor, values: &[f32]| no_grad(|| p.copy_(&Tensor::from_slice(values, p.shape())));
        set(&cell.weight_ih, &[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        set(&cell.weight_hh, &[0.0; 16]);
        set(cell.bias_ih.as_ref().unwrap(), &[9.0, -9.0, 9.0, -9.0, 0.0, 0.0, 9.0, -9.0]);
        set(cell.bias_hh.as_ref().unwrap(), &[0.0; 8]);
        cell
    }

    #[test]
    fn gates_that_are_open_and_shut_are_counted_and_the_memory_adds_up() {
        let x = Tensor::from_slice(&[0.5f32, -0.25, 1.0], [3, 1, 1]);
        let trace = GateTrace::of(&cell(), &x);
        let found = trace.saturation();
        assert_eq!(found.len(), 6);
        for s in &found {
            assert_eq!((s.open, s.shut), if s.unit == 0 { (1.0, 0.0) } else { (0.0, 1.0) }, "{s:?}");
        }
        let memory = trace.c.to_vec::<f32>();
        let sum = [0.5f32, -0.25, 1.0].map(f32::tanh).iter().sum::<f32>();
        assert!((memory[4] - sum).abs() < 1e-2 && memory[5].abs() < 1e-3, "{memory:?}");
        let last = &trace.h.to_vec::<f32>()[4..];
        assert!((last[0] - memory[4].tanh()).abs() < 1e-3 && last[1].abs() < 1e-3, "{last:?}");
        let svg = trace.svg("a cell", 0);
        assert_eq!(svg.matches("<image").count(), 6);
        assert!(svg.contains("forget gate") && svg.contains("2 units from top to bottom, 3 steps"));
    }

    #[test]
    fn a_gate_in_between_is_neither_open_nor_shut() {
        let cell = LSTMCell::new(1, 1);
        no_grad(|| [&cell.weight_ih, &cell.weight_hh].map(|p| p.copy_(&p.zeros_like())));
        no_grad(|| [&cell.bias_ih, &cell.bias_hh].map(|p| p.as_ref().map(|p| p.copy_(&p.zeros_like()))));
        let found = GateTrace::of(&cell, &Tensor::ones([4, 2, 1])).saturation();
        assert!(found.iter().all(|s| s.open == 0.0 && s.shut == 0.0), "{found:?}");
    }
}
