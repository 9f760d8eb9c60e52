//! Ten training steps beside PyTorch's: same initial weights, same inputs, same losses.
//! `scripts/goldens/trajectory.py` writes the file and states the formulas for weights and inputs.

use gradus_nn::losses::{cross_entropy, nll_loss};
use gradus_nn::optim::{
    ASGD, Adadelta, Adagrad, Adam, AdamW, Adamax, Lamb, Lbfgs, LineSearch, Lion, NAdam, Optimizer, ParamGroup, RAdam,
    RMSprop, Rprop, Sgd,
};
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

fn train(optimizer: &mut dyn Optimizer, mut loss_of: impl FnMut() -> Tensor, steps: usize) -> Vec<f64> {
    (0..steps).map(|_| optimizer.step_with(&mut loss_of).item_f64()).collect()
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
    train(&mut Sgd::new(model.parameters(), lr), || nll_loss(&model.forward(&x), &y), 10)
}

#[test]
fn the_notes_network_follows_pytorch() {
    assert_close(&notes_network(0.003), &floats(&golden()["notes"]), 1e-5, "notes");
}

#[test]
fn the_notes_network_follows_pytorch_at_a_high_rate() {
    assert_close(&notes_network(0.3), &floats(&golden()["notes_fast"]), 1e-5, "notes_fast");
}

/// The arguments of an optimiser as the script gave them to PyTorch.
struct Args<'a>(&'a Value);

impl Args<'_> {
    fn number(&self, name: &str, default: f64) -> f64 {
        self.0[name].as_f64().unwrap_or(default)
    }

    fn pair(&self, name: &str, default: (f64, f64)) -> (f64, f64) {
        let at = |i: usize, default: f64| self.0[name][i].as_f64().unwrap_or(default);
        (at(0, default.0), at(1, default.1))
    }

    fn on(&self, name: &str) -> bool {
        self.0[name] == true
    }

    fn biases(&self, params: Vec<Tensor>) -> ParamGroup {
        let (mut group, options) = (ParamGroup::new(params), Args(&self.0["biases"]));
        group = group.lr(options.number("lr", f64::NAN)).weight_decay(options.number("weight_decay", f64::NAN));
        match self.0["biases"]["momentum"].as_f64() {
            Some(momentum) => group.momentum(momentum),
            None => group,
        }
    }
}

fn lbfgs(params: Vec<Tensor>, args: &Args) -> Lbfgs {
    let count = |name: &str, default: f64| args.number(name, default) as usize;
    let max_iter = count("max_iter", 20.0);
    let search = if args.0["line_search_fn"] == "strong_wolfe" { LineSearch::StrongWolfe } else { LineSearch::None };
    let optimizer = Lbfgs::new(params, args.number("lr", 1.0)).max_iter(max_iter).line_search_fn(search);
    let optimizer = optimizer.history_size(count("history_size", 100.0));
    if args.0["max_eval"].is_null() { optimizer } else { optimizer.max_eval(count("max_eval", 0.0)) }
}

/// Finishes an optimiser with the options that all of them have.
macro_rules! boxed {
    ($optimizer:expr, $args:expr, $decay:expr) => {
        Box::new($optimizer.weight_decay($args.number("weight_decay", $decay)).maximize($args.on("maximize")))
    };
}

fn optimizer(kind: &str, params: Vec<Tensor>, args: &Value) -> Box<dyn Optimizer> {
    let a = &Args(args);
    let (lr, eps) = (a.number("lr", f64::NAN), |default| a.number("eps", default));
    let ((b1, b2), decoupled) = (a.pair("betas", (0.9, 0.999)), a.on("decoupled_weight_decay"));
    let (momentum, alpha) = (a.number("momentum", 0.0), |default| a.number("alpha", default));
    match kind {
        "SGD" => {
            let sgd = Sgd::new(params, lr).momentum(momentum).dampening(a.number("dampening", 0.0));
            boxed!(sgd.nesterov(a.on("nesterov")), a, 0.0)
        }
        "Adam" => boxed!(Adam::new(params, lr).betas(b1, b2).eps(eps(1e-8)).amsgrad(a.on("amsgrad")), a, 0.0),
        "AdamW" => boxed!(AdamW::new(params, lr).betas(b1, b2).eps(eps(1e-8)).amsgrad(a.on("amsgrad")), a, 0.01),
        "Adagrad" => {
            let adagrad = Adagrad::new(params, lr).lr_decay(a.number("lr_decay", 0.0)).eps(eps(1e-10));
            boxed!(adagrad.initial_accumulator_value(a.number("initial_accumulator_value", 0.0)), a, 0.0)
        }
        "RMSprop" => {
            let rmsprop = RMSprop::new(params, lr).alpha(alpha(0.99)).eps(eps(1e-8)).momentum(momentum);
            boxed!(rmsprop.centered(a.on("centered")), a, 0.0)
        }
        "Adadelta" => boxed!(Adadelta::new(params, lr).rho(a.number("rho", 0.9)).eps(eps(1e-6)), a, 0.0),
        "Adamax" => boxed!(Adamax::new(params, lr).betas(b1, b2).eps(eps(1e-8)), a, 0.0),
        "NAdam" => {
            let nadam = NAdam::new(params, lr).betas(b1, b2).eps(eps(1e-8)).decoupled_weight_decay(decoupled);
            boxed!(nadam.momentum_decay(a.number("momentum_decay", 0.004)), a, 0.0)
        }
        "RAdam" => {
            let radam = RAdam::new(params, lr).betas(b1, b2).eps(eps(1e-8));
            boxed!(radam.decoupled_weight_decay(decoupled), a, 0.0)
        }
        "Rprop" => {
            let ((minus, plus), (least, most)) = (a.pair("etas", (0.5, 1.2)), a.pair("step_sizes", (1e-6, 50.0)));
            boxed!(Rprop::new(params, lr).etas(minus, plus).step_sizes(least, most), a, 0.0)
        }
        "ASGD" => {
            let asgd = ASGD::new(params, lr).lambd(a.number("lambd", 1e-4)).alpha(alpha(0.75));
            boxed!(asgd.t0(a.number("t0", 1e6)), a, 0.0)
        }
        "Lion" => boxed!(Lion::new(params, lr).betas(b1, b2), a, 0.0),
        "Lamb" => boxed!(Lamb::new(params, lr).betas(b1, b2).eps(eps(1e-6)), a, 0.01),
        "LBFGS" => Box::new(lbfgs(params, a)),
        other => panic!("optimizer {other}"),
    }
}

#[test]
fn optimisers_follow_pytorch() {
    let golden = golden();
    let rows = golden["optimisers"].as_object().unwrap();
    assert!(rows.len() >= 45);
    for (name, row) in rows {
        let mut model = sequential![Linear::new(6, 5), Tanh, Linear::new(5, 3)];
        model.to_dtype(DType::F64);
        fill(&model);
        let (x, y) = batch(4, 6, 3, DType::F64);
        let (args, params) = (&row["args"], model.parameters());
        let every_second = |first: usize| params.iter().skip(first).step_by(2).cloned().collect::<Vec<_>>();
        let kind = row["optimizer"].as_str().unwrap();
        let mut optimizer = if args["biases"].is_object() {
            let mut optimizer = optimizer(kind, every_second(0), args);
            optimizer.add_param_group(Args(args).biases(every_second(1)));
            optimizer
        } else {
            optimizer(kind, params.clone(), args)
        };
        let losses = train(&mut *optimizer, || cross_entropy(&model.forward(&x), &y), 12);
        assert_close(&losses, &floats(&row["losses"]), 1e-9, name);
        let last: Vec<f64> = params.iter().flat_map(|p| p.to_vec::<f64>()).collect();
        assert_close(&last, &floats(&row["final"]), 1e-9, &format!("{name}, final parameters"));
    }
}
