//! Recurrent layers over whole sequences as one operation each.
//!
//! The backward passes are kernels as well. Where derivatives of derivatives are recorded, the run is made once more
//! of tensor operations, step by step, and their gradients are taken instead ([`again`]).

use crate::autograd::{Ctx, GradOptions, Saved, grad, is_grad_enabled, record_with_output};
use crate::kernels::par::SharedMut;
use crate::kernels::recurrent::{Run, lstm};
use crate::shape::Shape;
use crate::{Tensor, dispatch_float, fail};

impl Tensor {
    /// A long short-term memory over whole sequences, from the inputs' share of the sums
    /// a_t = W_ih x_t + b_ih + b_hh + W_hh h_{t-1}: i, f, o = σ(a_i, a_f, a_o), g = tanh(a_g),
    /// c_t = f ⊙ c_{t-1} + i ⊙ g, h_t = o ⊙ tanh(c_t). Gives all h, and the last h and c of each sequence.
    ///
    /// `self` has the rows of step 0, then those of step 1, ...; `sizes` are their numbers, of which none is larger
    /// than the one before, so that row i of every step belongs to sequence i. With `reverse` the sequences are read
    /// from their ends.
    ///
    /// # Shapes
    /// `self [rows, 4 hidden], weight_hh [4 hidden, hidden], h0 [N, hidden], c0 [N, hidden]`
    /// `-> h [rows, hidden], [N, hidden], [N, hidden]`
    ///
    /// # Panics
    /// If the shapes or sizes do not fit or the elements are not of one type, f32 or f64.
    ///
    /// Source: Hochreiter and Schmidhuber, 1997, <https://doi.org/10.1162/neco.1997.9.8.1735>.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let (sums, w, zeros) = (Tensor::zeros([5, 8]), Tensor::zeros([8, 2]), Tensor::zeros([3, 2]));
    /// let (h, _, c) = sums.lstm_sequence(&w, &zeros, &Tensor::ones([3, 2]), &[3, 2], false);
    /// assert_eq!(h.shape(), [5, 2]);
    /// assert_eq!(c.to_vec::<f32>(), [0.25, 0.25, 0.25, 0.25, 0.5, 0.5]); // the forget gate stands at 1/2
    /// ```
    #[track_caller]
    pub fn lstm_sequence(
        &self,
        weight_hh: &Tensor,
        h0: &Tensor,
        c0: &Tensor,
        sizes: &[usize],
        reverse: bool,
    ) -> (Tensor, Tensor, Tensor) {
        const OP: &str = "lstm_sequence";
        let run = self.check_run(OP, 4, weight_hh, &[h0, c0], sizes, reverse);
        let operands = [self, weight_hh, h0, c0];
        let recorded = is_grad_enabled() && operands.iter().any(|t| t.requires_grad());
        let data = operands.map(Tensor::contiguous_data);
        let shape = Shape::new(&[run.rows + 2 * run.n, run.hidden]);
        let mut kept = None;
        let out = dispatch_float!(self.dtype(), OP, T => Tensor::build::<T>(shape, |out| {
            let (x, w, h0, c0) = (data[0].read::<T>(), data[1].read::<T>(), data[2].read::<T>(), data[3].read::<T>());
            if !recorded {
                return lstm::forward(&run, &x, &w, (&h0, &c0), out, None);
            }
            let mut cells = None;
            let gates = Tensor::build::<T>(self.shape(), |gates| {
                cells = Some(Tensor::build::<T>(Shape::new(&[run.rows, run.hidden]), |cells| {
                    let kept = lstm::Kept { gates: SharedMut::new(gates), cells: SharedMut::new(cells) };
                    lstm::forward(&run, &x, &w, (&h0, &c0), out, Some(&kept));
                }));
            });
            kept = cells.map(|cells| [gates, cells]);
        }));
        let (rows, n) = (run.rows, run.n);
        let all = match kept {
            None => out,
            Some(kept) => {
                let saved = operands.map(Tensor::save);
                record_with_output(OP, out, &operands, move |ctx| match is_grad_enabled() {
                    true => again(ctx, &saved, |t| lstm_by_steps(&run, t)),
                    false => lstm_gradients(ctx, &run, &saved, &kept),
                })
            }
        };
        (all.narrow(0, 0, rows), all.narrow(0, rows, n), all.narrow(0, rows + n, n))
    }

    /// Checks the operands of a run with so many gates.
    #[track_caller]
    fn check_run(
        &self,
        op: &str,
        gates: usize,
        weight: &Tensor,
        states: &[&Tensor],
        sizes: &[usize],
        reverse: bool,
    ) -> Run {
        let hidden = if weight.rank() == 2 { weight.size(1) } else { 0 };
        let run = Run::new(sizes, hidden, reverse);
        if weight.shape() != [gates * hidden, hidden] || self.shape() != [run.rows, gates * hidden] {
            let (rows, own, other) = (run.rows, self.shape(), weight.shape());
            fail(
                op,
                format_args!(
                    "needs sums [{rows}, {gates} hidden] and a weight [{gates} hidden, hidden], got {own} and {other}"
                ),
            );
        }
        if sizes.is_empty() || sizes.is_sorted_by(|a, b| a >= b).eq(&false) {
            fail(op, format_args!("needs steps of which none is larger than the one before, got {sizes:?}"));
        }
        for t in states {
            if t.shape() != [run.n, hidden] {
                fail(op, format_args!("needs initial states [{}, {hidden}], got {}", run.n, t.shape()));
            }
        }
        for t in states.iter().chain([&weight]) {
            if t.dtype() != self.dtype() {
                let (own, other) = (self.dtype(), t.dtype());
                fail(op, format_args!("the sums are {own}, weight or state {other}; convert with to_dtype"));
            }
        }
        run
    }
}

/// The gradients by kernels.
fn lstm_gradients(ctx: &Ctx, run: &Run, saved: &[Saved; 4], kept: &[Tensor; 2]) {
    let [weight, h0, c0] = [&saved[1], &saved[2], &saved[3]].map(|t| t.contiguous_data());
    let (grad, output) = (ctx.grad().contiguous_data(), ctx.output());
    dispatch_float!(grad.dtype(), "lstm_sequence", T => {
        let (mut dh, mut dc) = (None, None);
        let sums = Tensor::build::<T>(kept[0].shape(), |sums| {
            let (grad, weight, c0) = (grad.read::<T>(), weight.read::<T>(), c0.read::<T>());
            let (gates, cells) = (kept[0].read::<T>(), kept[1].read::<T>());
            let known = lstm::Known { grad: &grad, weight: &weight, c0: &c0, gates: &gates, cells: &cells };
            dh = Some(Tensor::build::<T>(h0.shape(), |dh| {
                dc = Some(Tensor::build::<T>(h0.shape(), |dc| lstm::backward(run, &known, sums, dh, dc)));
            }));
        });
        ctx.set(1, || {
            let before = Tensor::build::<T>(Shape::new(&[run.rows, run.hidden]), |before| {
                run.before(&output.read::<T>(), &h0.read::<T>(), before);
            });
            sums.t().matmul(&before)
        });
        ctx.set(0, || sums);
        for (i, g) in [(2, dh), (3, dc)] {
            if let Some(g) = g {
                ctx.set(i, || g);
            }
        }
    });
}

/// The gradients of the same result made by `compose`, which can be differentiated.
fn again<const N: usize>(ctx: &Ctx, saved: &[Saved; N], compose: impl Fn(&[Tensor; N]) -> Tensor) {
    // Views, so that a gradient ends at the operand and does not go on to another that it was computed from.
    let operands: [Tensor; N] = std::array::from_fn(|i| saved[i].slice(0, 0, saved[i].size(0), 1));
    let wanted: Vec<usize> = (0..N).filter(|&i| ctx.needs(i)).collect();
    let inputs: Vec<&Tensor> = wanted.iter().map(|&i| &operands[i]).collect();
    let seeds = [ctx.grad().clone()];
    let options =
        GradOptions { create_graph: true, allow_unused: true, grad_outputs: Some(&seeds), ..Default::default() };
    for (i, g) in wanted.iter().zip(grad(&[&compose(&operands)], &inputs, options)) {
        ctx.set(*i, || g);
    }
}

/// A run of any cell, step by step: `step` gives the states after a step from its rows of `x` and the states before.
/// The result is the first state after all steps, then all states after each row's last step.
fn by_steps(run: &Run, x: &Tensor, initial: &[&Tensor], step: impl Fn(&Tensor, &[Tensor]) -> Vec<Tensor>) -> Tensor {
    let sizes: Vec<usize> = {
        let mut steps: Vec<_> = run.steps.iter().map(|s| (s.row, s.n)).collect();
        steps.sort_by_key(|&(row, _)| row);
        steps.into_iter().map(|(_, n)| n).collect()
    };
    let mut rows = Vec::with_capacity(sizes.len());
    pieces(x, &sizes, 0, &mut rows);
    let mut outputs = Vec::with_capacity(sizes.len());
    let mut ends: Vec<Vec<(usize, Tensor)>> = vec![vec![]; initial.len()];
    let mut states: Vec<Tensor> = vec![];
    for (s, end) in run.ends() {
        let before: Vec<Tensor> = (0..initial.len())
            .map(|k| {
                let begun = initial[k].narrow(0, s.kept, s.n - s.kept);
                if s.kept == 0 { begun } else { Tensor::cat(&[&states[k].narrow(0, 0, s.kept), &begun], 0) }
            })
            .collect();
        let at = rows.partition_point(|(row, _)| *row < s.row);
        // Steps without rows lie at the same place as the next.
        let x = rows[at..].iter().find(|(_, t)| t.size(0) == s.n).map(|(_, t)| t);
        states = step(x.expect("every step has its rows"), &before);
        outputs.push((s.row, states[0].clone()));
        for (ends, state) in ends.iter_mut().zip(&states) {
            ends.push((end.start, state.narrow(0, end.start, end.len())));
        }
    }
    let mut all = vec![];
    for mut parts in [outputs].into_iter().chain(ends) {
        parts.sort_by_key(|(row, _)| *row);
        all.extend(parts.into_iter().map(|(_, t)| t));
    }
    Tensor::cat(&all.iter().collect::<Vec<_>>(), 0)
}

/// Cuts `x`, whose first row is row `first`, into steps with their first rows. By halves: the gradient of a slice has
/// the size of what it was cut from.
fn pieces(x: &Tensor, sizes: &[usize], first: usize, out: &mut Vec<(usize, Tensor)>) {
    if sizes.len() <= 1 {
        return out.push((first, x.clone()));
    }
    let (left, right) = sizes.split_at(sizes.len() / 2);
    let rows = left.iter().sum();
    pieces(&x.narrow(0, 0, rows), left, first, out);
    pieces(&x.narrow(0, rows, x.size(0) - rows), right, first + rows, out);
}

fn lstm_by_steps(run: &Run, [x, weight, h0, c0]: &[Tensor; 4]) -> Tensor {
    by_steps(run, x, &[h0, c0], |x, state| {
        let a = (x + state[0].linear(weight, None)).chunk(4, 1);
        let c = a[1].sigmoid() * &state[1] + a[0].sigmoid() * a[2].tanh();
        vec![a[3].sigmoid() * c.tanh(), c]
    })
}
