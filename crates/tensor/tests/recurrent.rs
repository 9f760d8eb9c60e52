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
}

impl Kind {
    fn gates(self) -> usize {
        match self {
            Kind::Lstm => 4,
        }
    }

    /// Shapes of the operands for a width.
    fn shapes(self, rows: usize, n: usize, h: usize) -> Vec<Vec<usize>> {
        let g = self.gates();
        match self {
            Kind::Lstm => vec![vec![rows, g * h], vec![g * h, h], vec![n, h], vec![n, h]],
        }
    }

    /// All results below each other, by one operation.
    fn fused(self, x: &[Tensor], sizes: &[usize], reverse: bool) -> Tensor {
        match self {
            Kind::Lstm => {
                let (y, h, c) = x[0].lstm_sequence(&x[1], &x[2], &x[3], sizes, reverse);
                Tensor::cat(&[&y, &h, &c], 0)
            }
        }
    }

    fn step(self, x: &[Tensor], row: &Tensor, state: &[Tensor]) -> Vec<Tensor> {
        let h = state[0].size(1);
        let sums = state[0].matmul(&x[1].t());
        let of = |t: &Tensor, gate: usize| t.narrow(1, gate * h, h);
        match self {
            Kind::Lstm => {
                let a = row + sums;
                let (i, f, o) = (of(&a, 0).sigmoid(), of(&a, 1).sigmoid(), of(&a, 3).sigmoid());
                let c = f * &state[1] + i * of(&a, 2).tanh();
                vec![o * c.tanh(), c]
            }
        }
    }

    /// The same, one sequence after the other, one row at a time.
    fn plain(self, x: &[Tensor], sizes: &[usize], reverse: bool) -> Tensor {
        let initial: &[Tensor] = match self {
            Kind::Lstm => &x[2..4],
        };
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
                state = self.step(x, &x[0].narrow(0, row, 1), &state);
                outputs[row] = Some(state[0].clone());
            }
            ends.iter_mut().zip(state).for_each(|(ends, t)| ends.push(t));
        }
        let all: Vec<Tensor> = outputs.into_iter().flatten().chain(ends.into_iter().flatten()).collect();
        Tensor::cat(&all.iter().collect::<Vec<_>>(), 0)
    }
}

const KINDS: [Kind; 1] = [Kind::Lstm];

/// Numbers of rows of the steps, and the width.
fn trials() -> Vec<(Vec<usize>, usize)> {
    vec![
        (vec![1], 1),
        (vec![4, 4, 4], 5),
        (vec![5, 3, 3, 1], 16),
        (vec![9, 9, 2], 37),
        (vec![3, 3], 64),
        (vec![33, 20, 20], 100),
    ]
}

fn operands(kind: Kind, sizes: &[usize], h: usize, dtype: DType) -> Vec<Tensor> {
    let scale = |k: usize| if k == 1 { 1.0 / (h as f64).sqrt() } else { 1.0 };
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
        all.extend(grad(&[&s], &inputs, GradOptions::default()));
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
            x[last] = &x[last] + x[1].narrow(0, 0, 2) * &x[last];
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
    let (w, s) = (Tensor::zeros([8, 2]), Tensor::zeros([3, 2]));
    let lstm = |x: [usize; 2], sizes: &[usize], s: &Tensor| {
        let _ = Tensor::zeros(x).lstm_sequence(&w, s, s, sizes, false);
    };
    let text = message(&|| lstm([5, 6], &[3, 2], &s));
    assert!(text.contains("lstm_sequence: needs sums [5, 4 hidden]") && text.contains("[5, 6] and [8, 2]"), "{text}");
    let text = message(&|| lstm([5, 8], &[2, 3], &s));
    assert!(text.contains("none is larger than the one before, got [2, 3]"), "{text}");
    let text = message(&|| lstm([5, 8], &[3, 2], &Tensor::zeros([2, 2])));
    assert!(text.contains("needs initial states [3, 2], got [2, 2]"), "{text}");
    let text = message(&|| lstm([5, 8], &[3, 2], &s.to_dtype(DType::F64)));
    assert!(text.contains("the sums are f32, weight or state f64"), "{text}");
}
