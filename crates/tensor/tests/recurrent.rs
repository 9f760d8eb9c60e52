//! Recurrent layers as one operation against the plain composition of tensor operations they stand for: values,
//! gradients, and gradients of gradients, on shapes of whole and broken vectors, one task and many; and independence
//! of the number of threads.

use gradus_tensor::autograd::{GradOptions, grad};
use gradus_tensor::{DType, Tensor, manual_seed, set_threads, threads};
use std::panic::catch_unwind;

/// The cell under test: it gives the states after a step, the output first.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Lstm,
    Gru,
    GruWrites,
    Tanh,
    Relu,
}

impl Kind {
    fn gates(self) -> usize {
        match self {
            Kind::Lstm => 4,
            Kind::Gru | Kind::GruWrites => 3,
            Kind::Tanh | Kind::Relu => 1,
        }
    }

    /// Shapes of the operands for a width: inputs, weights, biases, initial states.
    fn shapes(self, rows: usize, n: usize, h: usize) -> Vec<Vec<usize>> {
        let wide = self.gates() * h;
        let inputs = h / 3 + 1;
        let mut all = vec![vec![rows, inputs], vec![wide, inputs], vec![wide, h], vec![wide]];
        match self {
            Kind::Lstm => all.extend([vec![n, h], vec![n, h]]),
            Kind::Gru | Kind::GruWrites => all.extend([vec![wide], vec![n, h]]),
            Kind::Tanh | Kind::Relu => all.push(vec![n, h]),
        }
        all
    }

    /// All results below each other, by one operation.
    fn fused(self, x: &[Tensor], sizes: &[usize], reverse: bool) -> Tensor {
        let (y, h) = match self {
            Kind::Lstm => {
                let (y, h, c) = x[0].lstm_sequence(&x[1], &x[2], &x[3], &x[4], &x[5], sizes, reverse);
                return Tensor::cat(&[&y, &h, &c], 0);
            }
            Kind::Gru | Kind::GruWrites => {
                let writes = self == Kind::GruWrites;
                x[0].gru_sequence(&x[1], &x[2], &x[3], &x[4], &x[5], sizes, reverse, writes)
            }
            Kind::Tanh | Kind::Relu => {
                x[0].rnn_sequence(&x[1], &x[2], &x[3], &x[4], self == Kind::Relu, sizes, reverse)
            }
        };
        Tensor::cat(&[&y, &h], 0)
    }

    /// One step from the inputs' share of the sums.
    fn step(self, x: &[Tensor], row: &Tensor, state: &[Tensor]) -> Vec<Tensor> {
        let before = &state[0];
        let h = before.size(1);
        let sums = before.matmul(&x[2].t());
        let of = |t: &Tensor, gate: usize| t.narrow(1, gate * h, h);
        match self {
            Kind::Lstm => {
                let a = row + sums;
                let (i, f, o) = (of(&a, 0).sigmoid(), of(&a, 1).sigmoid(), of(&a, 3).sigmoid());
                let c = f * &state[1] + i * of(&a, 2).tanh();
                vec![o * c.tanh(), c]
            }
            Kind::Gru | Kind::GruWrites => {
                let s = sums + &x[4];
                let gate = |k: usize| (of(row, k) + of(&s, k)).sigmoid();
                let (r, z) = (gate(0), gate(1));
                let n = (of(row, 2) + r * of(&s, 2)).tanh();
                let (z, rest) = if self == Kind::Gru { (1.0 - &z, z) } else { (z.clone(), 1.0 - z) };
                vec![z * n + rest * before]
            }
            Kind::Tanh => vec![(row + sums).tanh()],
            Kind::Relu => vec![(row + sums).relu()],
        }
    }

    /// The same, one sequence after the other, one row at a time.
    fn plain(self, x: &[Tensor], sizes: &[usize], reverse: bool) -> Tensor {
        let initial: &[Tensor] = match self {
            Kind::Lstm => &x[4..6],
            Kind::Gru | Kind::GruWrites => &x[5..6],
            Kind::Tanh | Kind::Relu => &x[4..5],
        };
        let inputs = x[0].matmul(&x[1].t()) + &x[3];
        let starts: Vec<usize> = sizes.iter().scan(0, |at, n| Some(std::mem::replace(at, *at + n))).collect();
        let mut outputs = vec![None; sizes.iter().sum()];
        let mut ends = vec![vec![]; initial.len()];
        for i in 0..sizes[0] {
            let mut state: Vec<Tensor> = initial.iter().map(|t| t.narrow(0, i, 1)).collect();
            let mut rows: Vec<usize> = (0..sizes.len()).filter(|&t| sizes[t] > i).map(|t| starts[t] + i).collect();
            if reverse {
                rows.reverse();
            }
            for row in rows {
                state = self.step(x, &inputs.narrow(0, row, 1), &state);
                outputs[row] = Some(state[0].clone());
            }
            ends.iter_mut().zip(state).for_each(|(ends, t)| ends.push(t));
        }
        let all: Vec<Tensor> = outputs.into_iter().flatten().chain(ends.into_iter().flatten()).collect();
        Tensor::cat(&all.iter().collect::<Vec<_>>(), 0)
    }
}

const KINDS: [Kind; 5] = [Kind::Lstm, Kind::Gru, Kind::GruWrites, Kind::Tanh, Kind::Relu];

/// Numbers of rows of the steps, and the width.
fn trials() -> Vec<(Vec<usize>, usize)> {
    vec![
        (vec![1], 1),
        (vec![4, 4, 4], 5),
        (vec![5, 3, 3, 1], 16),
        (vec![9, 9, 2], 37),
        (vec![3, 3], 64),
        (vec![33, 20, 20], 100),
        (vec![40, 40, 40, 30, 1], 20),
    ]
}

fn operands(kind: Kind, sizes: &[usize], h: usize, dtype: DType) -> Vec<Tensor> {
    let scale = |k: usize| if k == 1 || k == 2 { 1.0 / (h as f64).sqrt() } else { 1.0 };
    let shapes = kind.shapes(sizes.iter().sum(), sizes[0], h);
    let draw = |(k, s): (usize, Vec<usize>)| (Tensor::randn(s) * scale(k)).to_dtype(dtype).detach();
    shapes.into_iter().enumerate().map(|(k, s)| draw((k, s)).requires_grad_(true)).collect()
}

/// The result, its gradients, and the gradients of a function of those.
fn orders(x: &[Tensor], f: impl Fn(&[Tensor]) -> Tensor, second: bool) -> Vec<Tensor> {
    let y = f(x);
    let weights = Tensor::arange(y.numel()).reshape(y.shape()).to_dtype(y.dtype()).sin();
    let inputs: Vec<&Tensor> = x.iter().collect();
    let options = GradOptions { create_graph: second, ..Default::default() };
    let first = grad(&[&(&y * weights).sum()], &inputs, options);
    let mut all = vec![y.detach()];
    if second {
        let s = first.iter().map(|g| g.square().sum()).reduce(|a, b| a + b).unwrap();
        // A ReLU is linear piece by piece: its slopes need not depend on all operands.
        let options = GradOptions { allow_unused: true, ..Default::default() };
        all.extend(grad(&[&s], &inputs, options));
    }
    all.extend(first.iter().map(Tensor::detach));
    all
}

fn assert_near(got: &[Tensor], want: &[Tensor], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len());
    for (k, (a, b)) in got.iter().zip(want).enumerate() {
        assert_eq!(a.shape(), b.shape(), "{what}: {k}");
        let largest = |t: Tensor| f64::from(t.abs().max().item());
        let (error, size) = (largest(a - b), largest(b.detach()).max(1.0));
        assert!(error <= tolerance * size, "{what}: result {k} differs by {error:e} of {size:e}");
    }
}

#[test]
fn one_operation_is_its_composition() {
    manual_seed(1);
    for kind in KINDS {
        for (sizes, h) in trials() {
            for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
                let x = operands(kind, &sizes, h, dtype);
                for reverse in [false, true] {
                    let what = format!("{kind:?} {sizes:?} {h} {dtype} reverse {reverse}");
                    let plain = |second| orders(&x, |x| kind.plain(x, &sizes, reverse), second);
                    let fused = |second| orders(&x, |x| kind.fused(x, &sizes, reverse), second);
                    assert_near(&fused(false), &plain(false), tolerance, &what);
                    if h < 60 {
                        assert_near(&fused(true), &plain(true), 10.0 * tolerance, &format!("{what}, second order"));
                    }
                }
            }
        }
    }
}

#[test]
fn nothing_is_recorded_without_need_and_the_values_stay() {
    manual_seed(2);
    for kind in KINDS {
        let x = operands(kind, &[6, 4, 4], 33, DType::F32);
        let recorded = kind.fused(&x, &[6, 4, 4], false);
        let plain: Vec<Tensor> = x.iter().map(Tensor::detach).collect();
        let silent = kind.fused(&plain, &[6, 4, 4], false);
        assert!(recorded.requires_grad() && !silent.requires_grad());
        assert_eq!(recorded.detach().to_vec::<f32>(), silent.to_vec::<f32>());
    }
}

#[test]
fn an_operand_that_depends_on_another_is_counted_once() {
    manual_seed(3);
    for kind in KINDS {
        let x = operands(kind, &[2, 2], 3, DType::F64);
        let tie = |x: &[Tensor]| {
            let mut x = x.to_vec();
            let last = x.len() - 1;
            x[last] = &x[last] + x[2].narrow(0, 0, 2) * &x[last];
            x
        };
        let plain = orders(&x, |x| kind.plain(&tie(x), &[2, 2], false), true);
        let fused = orders(&x, |x| kind.fused(&tie(x), &[2, 2], false), true);
        assert_near(&fused, &plain, 1e-11, &format!("{kind:?}"));
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    manual_seed(4);
    let before = threads();
    for kind in KINDS {
        let sizes = [40, 40, 31];
        let x = operands(kind, &sizes, 150, DType::F32);
        let run = |n| {
            set_threads(n);
            let all = orders(&x, |x| kind.fused(x, &sizes, true), false);
            all.iter().map(|t| t.to_vec::<f32>().into_iter().map(f32::to_bits).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(3));
    }
    set_threads(before);
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let message = |f: &dyn Fn()| {
        let payload = catch_unwind(std::panic::AssertUnwindSafe(f)).expect_err("it must not fit");
        payload.downcast_ref::<String>().cloned().unwrap_or_default()
    };
    let (w, u, b, s) = (Tensor::zeros([8, 3]), Tensor::zeros([8, 2]), Tensor::zeros([8]), Tensor::zeros([3, 2]));
    let lstm = |x: [usize; 2], b: &Tensor, sizes: &[usize], s: &Tensor| {
        let _ = Tensor::zeros(x).lstm_sequence(&w, &u, b, s, s, sizes, false);
    };
    let text = message(&|| lstm([5, 6], &b, &[3, 2], &s));
    assert!(
        text.contains("lstm_sequence: needs inputs [5, in]") && text.contains("[5, 6], [8, 3] and [8, 2]"),
        "{text}"
    );
    let text = message(&|| lstm([5, 3], &b, &[2, 3], &s));
    assert!(text.contains("none is larger than the one before, got [2, 3]"), "{text}");
    let text = message(&|| lstm([5, 3], &s, &[3, 2], &s));
    assert!(text.contains("needs a bias [8], got [3, 2]"), "{text}");
    let text = message(&|| lstm([5, 3], &b, &[3, 2], &Tensor::zeros([2, 2])));
    assert!(text.contains("needs initial states [3, 2], got [2, 2]"), "{text}");
    let text = message(&|| lstm([5, 3], &b, &[3, 2], &s.to_dtype(DType::F64)));
    assert!(text.contains("the inputs are f32, a weight, bias or state f64"), "{text}");
}
