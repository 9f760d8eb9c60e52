//! Losses against their formulas, at the edges, and to the second order.

use gradus_nn::losses::*;
use gradus_tensor::autograd::{gradcheck, gradgradcheck};
use gradus_tensor::{DType, Tensor, manual_seed};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn f64s(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape)
}

fn labels(values: &[i64]) -> Tensor {
    Tensor::from_slice(values, [values.len()])
}

fn panic_of(f: impl FnOnce() -> Tensor) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it must panic");
    payload.downcast_ref::<String>().cloned().or(payload.downcast_ref::<&str>().map(|s| s.to_string())).unwrap()
}

#[track_caller]
fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{found} is not {expected}");
}

/// Logits [4, 3] with their log-softmax, worked out plainly.
fn example() -> (Tensor, [[f64; 3]; 4]) {
    let x = [[0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [3.0, 1.0, -2.0], [-0.3, 0.7, 0.1]];
    let log_p = x.map(|row| {
        let sum: f64 = row.iter().map(|v: &f64| v.exp()).sum();
        row.map(|v| v - sum.ln())
    });
    (f64s(x.as_flattened(), &[4, 3]), log_p)
}

#[test]
fn cross_entropy_of_labels() {
    let (x, p) = example();
    let y = labels(&[2, 0, 1, 1]);
    let l = [-p[0][2], -p[1][0], -p[2][1], -p[3][1]];
    let mean = l.iter().sum::<f64>() / 4.0;
    assert_near(cross_entropy(&x, &y).item_f64(), mean);
    assert_near(nll_loss(&x.log_softmax(1), &y).item_f64(), mean);
    let w = [0.5, 2.0, 1.5];
    let weight = Some(f64s(&w, &[3]));
    let weighted = (l[0] * 1.5 + l[1] * 0.5 + l[2] * 2.0 + l[3] * 2.0) / 6.0;
    let options = CrossEntropyOptions { weight: weight.clone(), ..Default::default() };
    assert_near(cross_entropy_with(&x, &y, options.clone()).item_f64(), weighted);
    // An ignored label leaves the mean; so does its weight.
    let y = labels(&[2, -100, 1, 1]);
    assert_near(cross_entropy(&x, &y).item_f64(), (l[0] + l[2] + l[3]) / 3.0);
    let kept = (l[0] * 1.5 + (l[2] + l[3]) * 2.0) / 5.5;
    assert_near(cross_entropy_with(&x, &y, options.clone()).item_f64(), kept);
    // Smoothing spreads over the classes by their weights.
    let spread = |i: usize| -(0..3).map(|c| w[c] * p[i][c]).sum::<f64>() / 3.0;
    let smooth = 0.9 * kept + 0.1 * (spread(0) + spread(2) + spread(3)) / 5.5;
    let options = CrossEntropyOptions { label_smoothing: 0.1, ..options };
    assert_near(cross_entropy_with(&x, &y, options.clone()).item_f64(), smooth);
    let options = CrossEntropyOptions { reduction: Reduction::Sum, ..options };
    assert_near(cross_entropy_with(&x, &y, options).item_f64(), smooth * 5.5);
    let options = NllOptions { reduction: Reduction::None, weight, ignore_index: Some(2) };
    let each = nll_loss_with(&x.log_softmax(1), &labels(&[2, 0, 1, 1]), options);
    for (found, expected) in each.to_vec::<f64>().into_iter().zip([0.0, l[1] * 0.5, l[2] * 2.0, l[3] * 2.0]) {
        assert_near(found, expected);
    }
}

#[test]
fn cross_entropy_of_probabilities_and_of_pictures() {
    let (x, p) = example();
    let y = labels(&[2, 0, 1, 1]);
    let one_hot = y.one_hot(3).to_dtype(DType::F64);
    assert_near(cross_entropy(&x, &one_hot).item_f64(), cross_entropy(&x, &y).item_f64());
    let smooth = CrossEntropyOptions { label_smoothing: 0.2, ..Default::default() };
    let both = [&y, &one_hot].map(|t| cross_entropy_with(&x, t, smooth.clone()).item_f64());
    assert_near(both[0], both[1]);
    let weight = CrossEntropyOptions { weight: Some(f64s(&[1.0, 2.0, 3.0], &[3])), ..Default::default() };
    let expected = -(3.0 * p[0][2] + p[1][0] + 2.0 * p[2][1] + 2.0 * p[3][1]) / 4.0;
    assert_near(cross_entropy_with(&x, &one_hot, weight).item_f64(), expected);
    // (4, 3) -> (2, 2, 3) -> (2, 3, 2): two pictures of two pixels
    let picture = x.reshape([2, 2, 3]).transpose(1, 2);
    assert_near(cross_entropy(&picture, &y.reshape([2, 2])).item_f64(), cross_entropy(&x, &y).item_f64());
    let none = CrossEntropyOptions { reduction: Reduction::None, ..Default::default() };
    let each = cross_entropy_with(&picture, &y.reshape([2, 2]), none.clone());
    assert_eq!(each.shape(), [2, 2]);
    assert_near(each.at(&[1, 0]), -p[2][1]);
    let alone = cross_entropy_with(&x.select(0, 0), &Tensor::from_slice(&[2i64], ()), none);
    assert_near(alone.item_f64(), -p[0][2]);
}

#[test]
fn extreme_logits_stay_exact() {
    let x = Tensor::from_slice(&[1e4f32, -1e4, 0.0, -1e4, 1e4, 0.0], [2, 3]).requires_grad_(true);
    let loss = cross_entropy(&x, &labels(&[1, 1]));
    assert_eq!(loss.item(), 1e4);
    loss.backward();
    assert_eq!(x.grad().unwrap().to_vec::<f32>(), [0.5, -0.5, 0.0, 0.0, 0.0, 0.0]);
    let z = Tensor::from_slice(&[1e4f32, -1e4, -30.0, 0.0], [4]).requires_grad_(true);
    let y = Tensor::from_slice(&[0.0f32, 1.0, 0.0, 1.0], [4]);
    let none = BceWithLogitsOptions { reduction: Reduction::None, ..Default::default() };
    let each = binary_cross_entropy_with_logits_with(&z, &y, none);
    let expected = [1e4, 1e4, (-30f32).exp(), 2f32.ln()];
    assert!(each.to_vec::<f32>().iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-6 * b), "{each}");
    each.sum().backward();
    let g = z.grad().unwrap().to_vec::<f32>();
    assert!(g[0] == 1.0 && g[1] == -1.0 && g[3] == -0.5 && (g[2] / (-30f32).exp() - 1.0).abs() < 1e-5, "{g:?}");
    // Probabilities 0 and 1: the logarithm ends at -100, the gradient is finite.
    let p = Tensor::from_slice(&[0.0f32, 1.0, 1.0], [3]).requires_grad_(true);
    let loss = binary_cross_entropy(&p, &Tensor::from_slice(&[1.0f32, 0.0, 1.0], [3]));
    assert!((loss.item() - 200.0 / 3.0).abs() < 1e-4);
    loss.backward();
    assert!(p.grad().unwrap().isfinite().all());
}

#[test]
fn binary_losses_and_their_weights() {
    let p = [0.2, 0.9, 0.4];
    let y = [1.0, 0.0, 0.25];
    let (tp, ty) = (f64s(&p, &[3]), f64s(&y, &[3]));
    let each: Vec<f64> = p.iter().zip(y).map(|(p, y)| -(y * p.ln() + (1.0 - y) * (1.0 - p).ln())).collect();
    assert_near(binary_cross_entropy(&tp, &ty).item_f64(), each.iter().sum::<f64>() / 3.0);
    let logits = (&tp / (1.0 - &tp)).log();
    assert_near(binary_cross_entropy_with_logits(&logits, &ty).item_f64(), each.iter().sum::<f64>() / 3.0);
    let weight = Some(f64s(&[1.0, 0.0, 4.0], &[3]));
    let options = BceOptions { weight: weight.clone(), reduction: Reduction::Sum };
    assert_near(binary_cross_entropy_with(&tp, &ty, options).item_f64(), each[0] + 4.0 * each[2]);
    let pos_weight = Some(f64s(&[3.0], &[1]));
    let options = BceWithLogitsOptions { weight, pos_weight, reduction: Reduction::Sum };
    let of = |i: usize| -(3.0 * y[i] * p[i].ln() + (1.0 - y[i]) * (1.0 - p[i]).ln());
    let found = binary_cross_entropy_with_logits_with(&logits, &ty, options);
    assert_near(found.item_f64(), of(0) + 4.0 * of(2));
}

#[test]
fn mean_squared_error_and_reductions() {
    let (x, y) = (f64s(&[1.0, 2.0, 4.0], &[3]), f64s(&[0.0, 2.0, 1.0], &[3]));
    assert_near(mse_loss(&x, &y).item_f64(), 10.0 / 3.0);
    assert_near(mse_loss_with(&x, &y, Reduction::Sum).item_f64(), 10.0);
    assert_eq!(mse_loss_with(&x, &y, Reduction::None).to_vec::<f64>(), [1.0, 0.0, 9.0]);
}

#[test]
fn mistakes_are_named() {
    let x = Tensor::zeros([2, 3]);
    for (message, part) in [
        (panic_of(|| mse_loss(&x, &Tensor::zeros([2]))), "mse_loss: input [2, 3] and target [2] must have the same"),
        (panic_of(|| cross_entropy(&x, &labels(&[0, 3]))), "label 3 at position 1 is not a class index in 0..3"),
        (panic_of(|| cross_entropy(&x, &labels(&[0]))), "labels [N, ...], got [2, 3] and [1]"),
        (panic_of(|| cross_entropy(&x, &labels(&[0, 1]).to_dtype(DType::I32))), "needs i64 labels, got i32"),
        (panic_of(|| cross_entropy(&x, &Tensor::zeros([2]))), "input [2, 3] and target [2]"),
        (
            panic_of(|| nll_loss(&Tensor::ones([2, 3]).softmax(1), &labels(&[0, 1]))),
            "log-probabilities are never positive",
        ),
        (panic_of(|| binary_cross_entropy(&(&x + 1.5), &x)), "needs probabilities in 0..=1"),
        (
            panic_of(|| {
                let options = NllOptions { weight: Some(Tensor::ones([2])), ..Default::default() };
                nll_loss_with(&x, &labels(&[0, 1]), options)
            }),
            "needs a weight [3] for 3 classes, got [2]",
        ),
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn gradients_of_both_orders() {
    manual_seed(2);
    let x = Tensor::randn([4, 3]).to_dtype(DType::F64);
    let y = labels(&[2, 0, -100, 1]);
    let soft = Tensor::rand([4, 3]).to_dtype(DType::F64);
    let weight = f64s(&[0.5, 1.0, 2.0], &[3]);
    let p = Tensor::uniform(0.1, 0.9, [4, 3]).to_dtype(DType::F64);
    let ce = |smoothing: f64| {
        let options =
            CrossEntropyOptions { weight: Some(weight.clone()), label_smoothing: smoothing, ..Default::default() };
        let y = y.clone();
        move |x: &[Tensor]| cross_entropy_with(&x[0], &y, options.clone())
    };
    let both = |f: &dyn Fn(&[Tensor]) -> Tensor, inputs: &[&Tensor]| {
        let inputs: Vec<Tensor> = inputs.iter().map(|&t| t.clone()).collect();
        gradcheck(f, &inputs).unwrap();
        gradgradcheck(f, &inputs).unwrap();
    };
    both(&ce(0.0), &[&x]);
    both(&ce(0.3), &[&x]);
    both(&|t| cross_entropy(&t[0], &t[1]), &[&x, &soft]);
    both(&|t| cross_entropy(&t[0], &labels(&[2, 0, 1, 1])), &[&x]);
    both(&|t| nll_loss(&t[0].log_softmax(1), &y), &[&x]);
    both(&|t| mse_loss(&t[0], &t[1]), &[&x, &soft]);
    both(&|t| binary_cross_entropy(&t[0], &t[1]), &[&p, &soft]);
    both(&|t| binary_cross_entropy_with_logits(&t[0], &t[1]), &[&x, &soft]);
    let options = BceWithLogitsOptions { pos_weight: Some(weight.clone()), ..Default::default() };
    both(&|t| binary_cross_entropy_with_logits_with(&t[0], &t[1], options.clone()), &[&x, &soft]);
}
