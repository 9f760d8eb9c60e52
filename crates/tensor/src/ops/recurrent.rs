//! Recurrent layers over whole sequences as one operation each.
//!
//! The backward passes are kernels as well. Where derivatives of derivatives are recorded, the run is made once more
//! of tensor operations, step by step, and their gradients are taken instead ([`again`]).

use crate::autograd::{Ctx, GradOptions, Saved, grad, is_grad_enabled, record_with_output};
use crate::kernels::par::SharedMut;
use crate::kernels::recurrent::{Net, Run, gru, lstm, rnn};
use crate::shape::Shape;
use crate::{Tensor, dispatch_float, fail};

impl Tensor {
    /// A long short-term memory over whole sequences, from the sums a_t = W_ih x_t + b + W_hh h_{t-1}:
    /// i, f, o = σ(a_i, a_f, a_o), g = tanh(a_g), c_t = f ⊙ c_{t-1} + i ⊙ g, h_t = o ⊙ tanh(c_t). Gives all h, and the
    /// last h and c of each sequence.
    ///
    /// `self` has the inputs of step 0, then those of step 1, ...; `sizes` are their numbers, of which none is larger
    /// than the one before, so that row i of every step belongs to sequence i. With `reverse` the sequences are read
    /// from their ends.
    ///
    /// # Shapes
    /// `self [rows, in], weight_ih [4 hidden, in], weight_hh [4 hidden, hidden], bias [4 hidden], h0 [N, hidden],
    /// c0 [N, hidden] -> h [rows, hidden], [N, hidden], [N, hidden]`
    ///
    /// # Panics
    /// If the shapes or sizes do not fit or the elements are not of one type, f32 or f64.
    ///
    /// Source: Hochreiter and Schmidhuber, 1997, <https://doi.org/10.1162/neco.1997.9.8.1735>.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let (x, w, u, b) = (Tensor::zeros([5, 3]), Tensor::ones([8, 3]), Tensor::zeros([8, 2]), Tensor::zeros([8]));
    /// let (h0, c0) = (Tensor::zeros([3, 2]), Tensor::ones([3, 2]));
    /// let (h, _, c) = x.lstm_sequence(&w, &u, &b, &h0, &c0, &[3, 2], false);
    /// assert_eq!(h.shape(), [5, 2]);
    /// assert_eq!(c.to_vec::<f32>(), [0.25, 0.25, 0.25, 0.25, 0.5, 0.5]); // the forget gate stands at 1/2
    /// ```
    #[track_caller]
    pub fn lstm_sequence(
        &self,
        weight_ih: &Tensor,
        weight_hh: &Tensor,
        bias: &Tensor,
        h0: &Tensor,
        c0: &Tensor,
        sizes: &[usize],
        reverse: bool,
    ) -> (Tensor, Tensor, Tensor) {
        const OP: &str = "lstm_sequence";
        let operands = [self, weight_ih, weight_hh, bias, h0, c0];
        let run = check_run(OP, lstm::GATES, &operands, 1, sizes, reverse);
        let recorded = is_grad_enabled() && operands.iter().any(|t| t.requires_grad());
        let data = operands.map(Tensor::contiguous_data);
        let shape = Shape::new(&[run.rows + 2 * run.n, run.hidden]);
        let mut kept = None;
        let out = dispatch_float!(self.dtype(), OP, T => Tensor::build::<T>(shape, |out| {
            let read: [_; 6] = std::array::from_fn(|i| data[i].read::<T>());
            let net = Net {
                x: &read[0],
                inputs: self.size(1),
                weight_ih: &read[1],
                weight_hh: &read[2],
                bias: &read[3],
                bias_hh: None,
                initial: &read[4],
            };
            if !recorded {
                return lstm::forward(&run, &net, &read[5], out, None);
            }
            let mut cells = None;
            let gates = Tensor::build::<T>(Shape::new(&[lstm::GATES * run.kept()]), |gates| {
                cells = Some(Tensor::build::<T>(Shape::new(&[run.kept()]), |cells| {
                    let kept = lstm::Kept { gates: SharedMut::new(gates), cells: SharedMut::new(cells) };
                    lstm::forward(&run, &net, &read[5], out, Some(&kept));
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

    /// A gated recurrent unit over whole sequences, from a_t = W_ih x_t + b_ih and s_t = W_hh h_{t-1} + b_hh:
    /// r, z = σ(a_r + s_r, a_z + s_z), n = tanh(a_n + r ⊙ s_n), h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}, or with `writes`
    /// h_t = (1 - z) ⊙ h_{t-1} + z ⊙ n. Gives all h, and the last of each sequence.
    ///
    /// Rows, `sizes` and `reverse` are those of [`Tensor::lstm_sequence`].
    ///
    /// # Shapes
    /// `self [rows, in], weight_ih [3 hidden, in], weight_hh [3 hidden, hidden], bias_ih [3 hidden], bias_hh [3 hidden],
    /// h0 [N, hidden] -> h [rows, hidden], [N, hidden]`
    ///
    /// # Panics
    /// If the shapes or sizes do not fit or the elements are not of one type, f32 or f64.
    ///
    /// Source: Cho et al., 2014, <https://arxiv.org/abs/1406.1078>, in PyTorch's form,
    /// <https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html>.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let (x, w, u, b) = (Tensor::zeros([5, 3]), Tensor::ones([6, 3]), Tensor::zeros([6, 2]), Tensor::zeros([6]));
    /// let (_, h) = x.gru_sequence(&w, &u, &b, &b, &Tensor::ones([3, 2]), &[3, 2], false, false);
    /// assert_eq!(h.to_vec::<f32>(), [0.25, 0.25, 0.25, 0.25, 0.5, 0.5]); // the update gate stands at 1/2
    /// ```
    #[track_caller]
    pub fn gru_sequence(
        &self,
        weight_ih: &Tensor,
        weight_hh: &Tensor,
        bias_ih: &Tensor,
        bias_hh: &Tensor,
        h0: &Tensor,
        sizes: &[usize],
        reverse: bool,
        writes: bool,
    ) -> (Tensor, Tensor) {
        const OP: &str = "gru_sequence";
        let operands = [self, weight_ih, weight_hh, bias_ih, bias_hh, h0];
        let run = check_run(OP, gru::GATES, &operands, 2, sizes, reverse);
        let recorded = is_grad_enabled() && operands.iter().any(|t| t.requires_grad());
        let data = operands.map(Tensor::contiguous_data);
        let shape = Shape::new(&[run.rows + run.n, run.hidden]);
        let mut kept = None;
        let out = dispatch_float!(self.dtype(), OP, T => Tensor::build::<T>(shape, |out| {
            let read: [_; 6] = std::array::from_fn(|i| data[i].read::<T>());
            let net = Net {
                x: &read[0],
                inputs: self.size(1),
                weight_ih: &read[1],
                weight_hh: &read[2],
                bias: &read[3],
                bias_hh: Some(&read[4]),
                initial: &read[5],
            };
            if !recorded {
                return gru::forward(&run, &net, writes, out, None);
            }
            let mut shares = None;
            let gates = Tensor::build::<T>(Shape::new(&[gru::GATES * run.kept()]), |gates| {
                shares = Some(Tensor::build::<T>(Shape::new(&[run.kept()]), |shares| {
                    let kept = gru::Kept { gates: SharedMut::new(gates), shares: SharedMut::new(shares) };
                    gru::forward(&run, &net, writes, out, Some(&kept));
                }));
            });
            kept = shares.map(|shares| [gates, shares]);
        }));
        let (rows, n) = (run.rows, run.n);
        let all = match kept {
            None => out,
            Some(kept) => {
                let saved = operands.map(Tensor::save);
                record_with_output(OP, out, &operands, move |ctx| match is_grad_enabled() {
                    true => again(ctx, &saved, |t| gru_by_steps(&run, writes, t)),
                    false => gru_gradients(ctx, &run, writes, &saved, &kept),
                })
            }
        };
        (all.narrow(0, 0, rows), all.narrow(0, rows, n))
    }

    /// A plain recurrent network over whole sequences: h_t = tanh(W_ih x_t + b + W_hh h_{t-1}), or with `relu` the
    /// positive part of that sum. Gives all h, and the last of each sequence.
    ///
    /// Rows, `sizes` and `reverse` are those of [`Tensor::lstm_sequence`].
    ///
    /// # Shapes
    /// `self [rows, in], weight_ih [hidden, in], weight_hh [hidden, hidden], bias [hidden], h0 [N, hidden]
    /// -> h [rows, hidden], [N, hidden]`
    ///
    /// # Panics
    /// If the shapes or sizes do not fit or the elements are not of one type, f32 or f64.
    ///
    /// Source: Elman, 1990, <https://doi.org/10.1207/s15516709cog1402_1>.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let (x, w, u, b) = (Tensor::ones([2, 1]), Tensor::ones([1, 1]), Tensor::full([1, 1], 2.0), Tensor::zeros([1]));
    /// let (h, _) = x.rnn_sequence(&w, &u, &b, &Tensor::zeros([1, 1]), true, &[1, 1], false);
    /// assert_eq!(h.to_vec::<f32>(), [1.0, 3.0]);
    /// ```
    #[track_caller]
    pub fn rnn_sequence(
        &self,
        weight_ih: &Tensor,
        weight_hh: &Tensor,
        bias: &Tensor,
        h0: &Tensor,
        relu: bool,
        sizes: &[usize],
        reverse: bool,
    ) -> (Tensor, Tensor) {
        const OP: &str = "rnn_sequence";
        let operands = [self, weight_ih, weight_hh, bias, h0];
        let run = check_run(OP, 1, &operands, 1, sizes, reverse);
        let data = operands.map(Tensor::contiguous_data);
        let shape = Shape::new(&[run.rows + run.n, run.hidden]);
        let out = dispatch_float!(self.dtype(), OP, T => Tensor::build::<T>(shape, |out| {
            let read: [_; 5] = std::array::from_fn(|i| data[i].read::<T>());
            let net = Net {
                x: &read[0],
                inputs: self.size(1),
                weight_ih: &read[1],
                weight_hh: &read[2],
                bias: &read[3],
                bias_hh: None,
                initial: &read[4],
            };
            rnn::forward(&run, &net, relu, out);
        }));
        let (rows, n, saved) = (run.rows, run.n, operands.map(Tensor::save));
        let all = record_with_output(OP, out, &operands, move |ctx| match is_grad_enabled() {
            true => again(ctx, &saved, |t| rnn_by_steps(&run, relu, t)),
            false => rnn_gradients(ctx, &run, relu, &saved),
        });
        (all.narrow(0, 0, rows), all.narrow(0, rows, n))
    }
}

/// Checks the operands of a run with so many gates: inputs, their weight and that of states, biases, initial states.
#[track_caller]
fn check_run(op: &str, gates: usize, operands: &[&Tensor], biases: usize, sizes: &[usize], reverse: bool) -> Run {
    let (x, weight_ih, weight_hh) = (operands[0], operands[1], operands[2]);
    let (biases, states) = operands[3..].split_at(biases);
    let hidden = if weight_hh.rank() == 2 { weight_hh.size(1) } else { 0 };
    let inputs = if x.rank() == 2 { x.size(1) } else { 0 };
    let run = Run::new(sizes, hidden, reverse);
    let wide = gates * hidden;
    if weight_hh.shape() != [wide, hidden] || weight_ih.shape() != [wide, inputs] || x.shape() != [run.rows, inputs] {
        let (rows, own, ih, hh) = (run.rows, x.shape(), weight_ih.shape(), weight_hh.shape());
        fail(
            op,
            format_args!(
                "needs inputs [{rows}, in] and weights [{gates} hidden, in] and [{gates} hidden, hidden], got {own}, {ih} and {hh}"
            ),
        );
    }
    if sizes.is_empty() || sizes.is_sorted_by(|a, b| a >= b).eq(&false) {
        fail(op, format_args!("needs steps of which none is larger than the one before, got {sizes:?}"));
    }
    for b in biases {
        if b.shape() != [wide] {
            fail(op, format_args!("needs a bias [{wide}], got {}", b.shape()));
        }
    }
    for t in states {
        if t.shape() != [run.n, hidden] {
            fail(op, format_args!("needs initial states [{}, {hidden}], got {}", run.n, t.shape()));
        }
    }
    if let Some(t) = operands.iter().find(|t| t.dtype() != x.dtype()) {
        let (own, other) = (x.dtype(), t.dtype());
        fail(op, format_args!("the inputs are {own}, a weight, bias or state {other}; convert with to_dtype"));
    }
    run
}

/// Hands over the gradients of inputs, weights and biases, from those of the inputs' and of the states' shares of the
/// sums. The initial h is operand `h0`.
fn set_gradients(ctx: &Ctx, run: &Run, saved: &[Saved], h0: usize, inputs: &Tensor, states: &Tensor) {
    ctx.set(0, || inputs.matmul(&saved[1]));
    ctx.set(1, || inputs.t().matmul(&saved[0]));
    ctx.set(2, || {
        let (output, h0) = (ctx.output().detach(), saved[h0].contiguous_data());
        let before = dispatch_float!(output.dtype(), "recurrent", T => {
            Tensor::build::<T>(Shape::new(&[run.rows, run.hidden]), |before| {
                run.before(&output.read::<T>(), &h0.read::<T>(), before);
            })
        });
        states.t().matmul(&before)
    });
    ctx.set(3, || inputs.sum_dim([0], false));
    if h0 == 5 {
        ctx.set(4, || states.sum_dim([0], false));
    }
}

/// The gradients by kernels.
fn lstm_gradients(ctx: &Ctx, run: &Run, saved: &[Saved; 6], kept: &[Tensor; 2]) {
    let [weight, c0] = [&saved[2], &saved[5]].map(|t| t.contiguous_data());
    let grad = ctx.grad().contiguous_data();
    let (mut dh, mut dc) = (None, None);
    let shape = Shape::new(&[run.rows, lstm::GATES * run.hidden]);
    let sums = dispatch_float!(grad.dtype(), "lstm_sequence", T => Tensor::build::<T>(shape, |sums| {
        let (grad, weight, c0) = (grad.read::<T>(), weight.read::<T>(), c0.read::<T>());
        let (gates, cells) = (kept[0].read::<T>(), kept[1].read::<T>());
        let known = lstm::Known { grad: &grad, weight: &weight, c0: &c0, gates: &gates, cells: &cells };
        dh = Some(Tensor::build::<T>(state_shape(run), |dh| {
            dc = Some(Tensor::build::<T>(state_shape(run), |dc| lstm::backward(run, &known, sums, dh, dc)));
        }));
    }));
    set_gradients(ctx, run, saved, 4, &sums, &sums);
    for (i, g) in [(4, dh), (5, dc)] {
        if let Some(g) = g {
            ctx.set(i, || g);
        }
    }
}

/// Shape of the initial states.
fn state_shape(run: &Run) -> Shape {
    Shape::new(&[run.n, run.hidden])
}

/// The gradients by kernels.
fn gru_gradients(ctx: &Ctx, run: &Run, writes: bool, saved: &[Saved; 6], kept: &[Tensor; 2]) {
    let [weight, h0] = [&saved[2], &saved[5]].map(|t| t.contiguous_data());
    let (grad, output) = (ctx.grad().contiguous_data(), ctx.output());
    let (mut states, mut dh) = (None, None);
    let shape = Shape::new(&[run.rows, gru::GATES * run.hidden]);
    let inputs = dispatch_float!(grad.dtype(), "gru_sequence", T => Tensor::build::<T>(shape, |inputs| {
        let (grad, output, weight, h0) = (grad.read::<T>(), output.read::<T>(), weight.read::<T>(), h0.read::<T>());
        let (gates, shares) = (kept[0].read::<T>(), kept[1].read::<T>());
        let known = gru::Known {
            grad: &grad,
            output: &output,
            weight: &weight,
            h0: &h0,
            gates: &gates,
            shares: &shares,
            writes,
        };
        states = Some(Tensor::build::<T>(shape, |states| {
            dh = Some(Tensor::build::<T>(state_shape(run), |dh| gru::backward(run, &known, inputs, states, dh)));
        }));
    }));
    if let (Some(states), Some(dh)) = (states, dh) {
        set_gradients(ctx, run, saved, 5, &inputs, &states);
        ctx.set(5, || dh);
    }
}

/// The gradients by kernels.
fn rnn_gradients(ctx: &Ctx, run: &Run, relu: bool, saved: &[Saved; 5]) {
    let weight = saved[2].contiguous_data();
    let (grad, output) = (ctx.grad().contiguous_data(), ctx.output());
    let mut dh = None;
    let shape = Shape::new(&[run.rows, run.hidden]);
    let sums = dispatch_float!(grad.dtype(), "rnn_sequence", T => Tensor::build::<T>(shape, |sums| {
        let (grad, output, weight) = (grad.read::<T>(), output.read::<T>(), weight.read::<T>());
        dh = Some(Tensor::build::<T>(state_shape(run), |dh| {
            rnn::backward(run, &weight, relu, (&grad, &output), sums, dh);
        }));
    }));
    set_gradients(ctx, run, saved, 4, &sums, &sums);
    if let Some(dh) = dh {
        ctx.set(4, || dh);
    }
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

fn lstm_by_steps(run: &Run, [x, weight_ih, weight_hh, bias, h0, c0]: &[Tensor; 6]) -> Tensor {
    by_steps(run, &x.linear(weight_ih, Some(bias)), &[h0, c0], |x, state| {
        let a = (x + state[0].linear(weight_hh, None)).chunk(4, 1);
        let c = a[1].sigmoid() * &state[1] + a[0].sigmoid() * a[2].tanh();
        vec![a[3].sigmoid() * c.tanh(), c]
    })
}

fn gru_by_steps(run: &Run, writes: bool, [x, weight_ih, weight_hh, bias, bias_hh, h0]: &[Tensor; 6]) -> Tensor {
    by_steps(run, &x.linear(weight_ih, Some(bias)), &[h0], |x, state| {
        let (a, s, h) = (x.chunk(3, 1), state[0].linear(weight_hh, Some(bias_hh)).chunk(3, 1), &state[0]);
        let (r, z) = ((&a[0] + &s[0]).sigmoid(), (&a[1] + &s[1]).sigmoid());
        let n = (&a[2] + r * &s[2]).tanh();
        vec![if writes { h + z * (n - h) } else { &n + z * (h - &n) }]
    })
}

fn rnn_by_steps(run: &Run, relu: bool, [x, weight_ih, weight_hh, bias, h0]: &[Tensor; 5]) -> Tensor {
    by_steps(run, &x.linear(weight_ih, Some(bias)), &[h0], |x, state| {
        let a = x + state[0].linear(weight_hh, None);
        vec![if relu { a.relu() } else { a.tanh() }]
    })
}
