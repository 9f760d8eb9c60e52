//! Ten training steps beside PyTorch's: same initial weights, same inputs, same losses.
//! `scripts/goldens/trajectory.py` writes the file and states the formulas for weights and inputs.

use gradus_nn::losses::{cross_entropy, nll_loss};
use gradus_nn::optim::{Adam, AdamW, Optimizer, Sgd};
use gradus_nn::{Forward, Linear, LogSoftmax, Module, ReLU, Sequential, Tanh, sequential};
use gradus_tensor::{DType, Tensor, no_grad};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("goldens/trajectory.json")).unwrap()
}

fn floats(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// Parameter number p is sin(0.37 i + p) / sqrt(fan_in).
fn fill(model: &Sequential) {
    let mut fan_in = 0;
    for (p, t) in model.parameters().iter().enumerate() {
        if t.rank() == 2 {
            fan_in = t.size(1);
        }
        let value = |i: usize| (0.37 * i as f64 + p as f64).sin() / (fan_in as f64).sqrt();
        let values = Tensor::from_vec((0..t.numel()).map(value).collect(), t.shape());
        no_grad(|| t.copy_(&values.to_dtype(t.dtype())));
    }
}

/// Inputs cos(0.11 i), labels 7 r mod classes.
fn batch(rows: usize, width: usize, classes: usize, dtype: DType) -> (Tensor, Tensor) {
    let x = (0..rows * width).map(|i| (0.11 * i as f64).cos()).collect::<Vec<f64>>();
    let labels = (0..rows).map(|r| (7 * r % classes) as i64).collect::<Vec<i64>>();
    (Tensor::from_vec(x, [rows, width]).to_dtype(dtype), Tensor::from_vec(labels, [rows]))
}

fn train(optimizer: &mut dyn Optimizer, loss_of: impl Fn() -> Tensor) -> Vec<f64> {
    let mut step = |_| {
        optimizer.zero_grad();
        let loss = loss_of();
        loss.backward();
        optimizer.step();
        loss.item_f64()
    };
    (0..10).map(&mut step).collect()
}

fn assert_close(got: &[f64], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance, "{what}, number {i}: {g} instead of {w}");
    }
}

fn notes_network(lr: f64) -> Vec<f64> {
    let model =
        sequential![Linear::new(784, 128), ReLU, Linear::new(128, 64), ReLU, Linear::new(64, 10), LogSoftmax::new(1)];
    fill(&model);
    let (x, y) = batch(64, 784, 10, DType::F32);
    train(&mut Sgd::new(model.parameters(), lr), || nll_loss(&model.forward(&x), &y))
}

#[test]
fn the_notes_network_follows_pytorch() {
    assert_close(&notes_network(0.003), &floats(&golden()["notes"]), 1e-5, "notes");
}

#[test]
fn the_notes_network_follows_pytorch_at_a_high_rate() {
    assert_close(&notes_network(0.3), &floats(&golden()["notes_fast"]), 1e-5, "notes_fast");
}

fn sgd(params: Vec<Tensor>, args: &Value) -> Sgd {
    let number = |name: &str| args[name].as_f64().unwrap_or(0.0);
    Sgd::new(params, number("lr"))
        .momentum(number("momentum"))
        .dampening(number("dampening"))
        .nesterov(args["nesterov"] == true)
        .weight_decay(number("weight_decay"))
}

fn optimizer(kind: &str, params: Vec<Tensor>, args: &Value) -> Box<dyn Optimizer> {
    let number = |name: &str, default: f64| args[name].as_f64().unwrap_or(default);
    let beta = |i: usize, default: f64| args["betas"][i].as_f64().unwrap_or(default);
    let (lr, eps) = (number("lr", 0.0), number("eps", 1e-8));
    match kind {
        "SGD" => Box::new(sgd(params, args)),
        "Adam" => Box::new(
            Adam::new(params, lr)
                .betas(beta(0, 0.9), beta(1, 0.999))
                .eps(eps)
                .weight_decay(number("weight_decay", 0.0)),
        ),
        "AdamW" => Box::new(
            AdamW::new(params, lr)
                .betas(beta(0, 0.9), beta(1, 0.999))
                .eps(eps)
                .weight_decay(number("weight_decay", 0.01)),
        ),
        other => panic!("optimizer {other}"),
    }
}

#[test]
fn optimisers_follow_pytorch() {
    let golden = golden();
    let rows = golden["optimisers"].as_object().unwrap();
    assert!(rows.len() >= 11);
    for (name, row) in rows {
        let mut model = sequential![Linear::new(6, 5), Tanh, Linear::new(5, 3)];
        model.to_dtype(DType::F64);
        fill(&model);
        let (x, y) = batch(4, 6, 3, DType::F64);
        let mut optimizer = optimizer(row["optimizer"].as_str().unwrap(), model.parameters(), &row["args"]);
        let losses = train(&mut *optimizer, || cross_entropy(&model.forward(&x), &y));
        assert_close(&losses, &floats(&row["losses"]), 1e-9, name);
        let last: Vec<f64> = model.parameters().iter().flat_map(|p| p.to_vec::<f64>()).collect();
        assert_close(&last, &floats(&row["final"]), 1e-9, &format!("{name}, final parameters"));
    }
}
