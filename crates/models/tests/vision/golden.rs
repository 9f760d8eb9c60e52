//! Agreement with torchvision, and with twins in torch where it lacks the net, at reduced width;
//! `scripts/goldens/vision.py` says what is compared and makes the files.

use gradus_models::{
    Architecture, CapsNet, CapsNetConfig, GoogLeNet, GoogLeNetConfig, InceptionV3, InceptionV3Config, ModelConfig,
    build, capsule_margin_loss,
};
use gradus_nn::losses::{cross_entropy, mse_loss};
use gradus_nn::{Forward, Module, StateDict};
use gradus_tensor::{DType, Tensor, no_grad};
use serde_json::Value;
use std::collections::HashMap;

/// Numbers in [-1, 1): splitmix64 of key and index, rounded to f32.
pub fn number(key: u64, count: usize) -> Vec<f32> {
    let one = |i: u64| {
        let mut z = (i + (key << 32) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        ((z >> 11) as f64 / (1u64 << 52) as f64 - 1.0) as f32
    };
    (0..count as u64).map(one).collect()
}

/// What the entry `name` of a state dict begins with.
fn value(key: u64, name: &str, shape: &[usize]) -> Tensor {
    if name.ends_with("num_batches_tracked") {
        return Tensor::full_of((), 0.0, DType::I64);
    }
    let fan_in: usize = shape.iter().skip(1).product();
    let scale = (6.0 / fan_in as f64).sqrt();
    let change = |u: f32| match f64::from(u) {
        u if shape.len() > 1 => f64::from((u * scale) as f32),
        u if name.ends_with("running_var") => 1.0 + u / 2.0,
        u if name.ends_with("bias") || name.ends_with("running_mean") => u / 8.0,
        u => 1.0 + u / 4.0,
    };
    Tensor::from_vec(number(key, shape.iter().product()).into_iter().map(change).collect::<Vec<f64>>(), shape)
}

/// Norm and weighted sum.
pub fn digest(t: &Tensor) -> [f64; 2] {
    let t = doubles(t);
    let norm = t.iter().map(|v| v * v).sum::<f64>().sqrt();
    [norm, t.iter().enumerate().map(|(i, v)| v * (0.3 + 1.7 * i as f64).sin()).sum()]
}

/// Up to 32 evenly spaced elements.
pub fn some(t: &Tensor) -> Vec<f64> {
    let flat = doubles(t);
    flat.iter().copied().step_by((flat.len() / 32).max(1)).take(32).collect()
}

fn doubles(t: &Tensor) -> Vec<f64> {
    t.detach().to_dtype(DType::F64).to_vec::<f64>()
}

pub fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[track_caller]
pub fn close(what: &str, got: &[f64], want: &[f64], scale: f64, tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= tolerance * scale, "{what}: {g}, torchvision has {w} (of {scale})");
    }
}

pub fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |m, x| x.abs().max(m))
}

/// A case's model.
fn built(case: &Value) -> Box<dyn Forward> {
    let architecture: Architecture = serde_json::from_value(case["architecture"].clone()).unwrap();
    build(&architecture).unwrap_or_else(|e| panic!("{e}"))
}

/// The state a case begins with.
pub fn state(case: &Value) -> StateDict {
    let entries = case["state"].as_array().unwrap().iter().enumerate().map(|(key, entry)| {
        let mut parts = entry.as_str().unwrap().split(' ');
        let name = parts.next().unwrap().to_string();
        let shape: Vec<usize> = parts.map(|n| n.parse().unwrap()).collect();
        let tensor = value(key as u64, &name, &shape);
        (name, tensor)
    });
    entries.collect()
}

/// Gives a model the state of its case, by name.
pub fn load(case: &Value, model: &dyn Module) {
    let state = state(case);
    model.load_state_dict(&state).unwrap_or_else(|e| panic!("{}: {e}", case["architecture"]));
    assert_eq!(model.state_dict().len(), state.len(), "{}", case["architecture"]);
}

/// How far a comparison may be off: output in use, loss and gradients, running statistics.
struct Bars {
    output: f64,
    gradient: f64,
    buffer: f64,
    /// Whether gradients are compared.
    gradients: bool,
}

/// Compares a model with its case in f64, where only the order of sums differs, and in f32; `loss` is that of a batch.
fn agree<M: Forward>(case: &Value, make: impl Fn() -> M, loss: impl Fn(&M, &Tensor) -> Tensor) {
    let exact = Bars { output: 1e-8, gradient: 1e-7, buffer: 1e-8, gradients: true };
    // Where rounding decides on which side of a kink a unit lies, gradients can only be compared in f64.
    let single = Bars { output: 1e-4, gradient: 1e-3, buffer: 1e-4, gradients: case["smooth"] == true };
    for (dtype, bars) in [(DType::F64, exact), (DType::F32, single)] {
        let mut model = make();
        model.to_dtype(dtype);
        load(case, &model);
        compare(case, &model, dtype, &bars, &|x| loss(&model, x));
    }
}

/// Labels 0, 1, ... of `n` pictures, again from 0 after `classes`.
fn labels(n: usize, classes: usize) -> Tensor {
    Tensor::from_vec((0..n).map(|i| (i % classes) as i64).collect::<Vec<_>>(), [n])
}

/// Cross-entropy of the main output and a share of that of the auxiliary ones.
fn classes(main: &Tensor, auxiliary: &[Tensor], share: f64) -> Tensor {
    let labels = labels(main.size(0), 10);
    auxiliary.iter().fold(cross_entropy(main, &labels), |l, y| l + cross_entropy(y, &labels) * share)
}

/// What the file has of an output: all numbers of a small one, of a large one its digest and some.
fn shown(t: &Tensor) -> Vec<f64> {
    if t.numel() <= 200 { doubles(t) } else { digest(t).into_iter().chain(some(t)).collect() }
}

fn compare(case: &Value, model: &dyn Forward, dtype: DType, bars: &Bars, loss: &dyn Fn(&Tensor) -> Tensor) {
    let name = format!("{} {dtype}", case["architecture"]);
    let shape: Vec<usize> = numbers(&case["input"]).iter().map(|n| *n as usize).collect();
    let key = case["key"].as_u64().unwrap();
    let x = Tensor::from_vec(number(key, shape.iter().product()), &shape[..]).to_dtype(dtype);
    model.eval();
    let want = numbers(&case["output"]);
    let got = shown(&no_grad(|| model.forward(&x)));
    close(&format!("{name}: output in use"), &got, &want, largest(&want), bars.output);

    model.train();
    model.zero_grad();
    let loss = loss(&x);
    let want = case["loss"].as_f64().unwrap();
    close(&format!("{name}: loss"), &[loss.item_f64()], &[want], want, bars.gradient);
    loss.backward();
    let now: HashMap<String, Tensor> = model.named_parameters().into_iter().chain(model.named_buffers()).collect();
    if bars.gradients {
        compare_gradients(case, &name, &now, bars.gradient);
    }
    for (buffer, want) in case["buffers"].as_object().unwrap() {
        let want = numbers(want);
        close(&format!("{name}: {buffer} after a step"), &digest(&now[buffer]), &want, want[0].max(1e-3), bars.buffer);
    }
}

fn compare_gradients(case: &Value, name: &str, now: &HashMap<String, Tensor>, bar: f64) {
    for end in ["first", "last"] {
        let parameter = case[end][0].as_str().unwrap();
        let (got, want) = (some(&now[parameter].grad().unwrap()), numbers(&case[end][1]));
        close(&format!("{name}: gradient of {parameter}"), &got, &want, largest(&want), bar);
    }
    let gradients = case["gradients"].as_object().unwrap();
    // A bias before batch norm has a gradient of 0, known only up to rounding.
    let total = gradients.values().map(|d| numbers(d)[0].powi(2)).sum::<f64>().sqrt();
    for (parameter, want) in gradients {
        let want = numbers(want);
        let got = digest(&now[parameter].grad().unwrap());
        close(&format!("{name}: gradient of {parameter}"), &got, &want, want[0] + 1e-3 * total, bar);
    }
}

fn cases(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

const VISION: &str = include_str!("../goldens/vision.json");
const DENSE: &str = include_str!("../goldens/dense.json");

#[test]
fn models_agree_with_torchvision() {
    let cases = cases(VISION);
    assert!(cases.len() > 10);
    for case in cases.iter().filter(|c| c["aux_weight"] == 0.0) {
        agree(case, || built(case), |model, x| classes(&model.forward(x), &[], 0.0));
    }
}

/// The configuration of a case whose model has more than one output.
fn typed<C: ModelConfig>(case: &Value) -> C {
    let mut config = case["architecture"].clone();
    config.as_object_mut().unwrap().remove("name");
    serde_json::from_value(config).unwrap()
}

fn named<'a>(cases: &'a [Value], name: &str) -> &'a Value {
    let fits = |c: &&Value| c["architecture"]["name"] == name;
    cases.iter().find(fits).unwrap_or_else(|| panic!("no case {name}"))
}

#[test]
fn auxiliary_outputs_agree_with_torchvision() {
    let cases: Vec<Value> = cases(VISION).into_iter().filter(|c| c["aux_weight"] != 0.0).collect();
    let [googlenet, inception] = ["googlenet", "inception_v3"].map(|name| named(&cases, name));
    agree(
        googlenet,
        || typed::<GoogLeNetConfig>(googlenet).init(),
        |model: &GoogLeNet, x| {
            let (main, auxiliary) = model.forward_with_aux(x);
            classes(&main, &auxiliary, 0.3)
        },
    );
    agree(
        inception,
        || typed::<InceptionV3Config>(inception).init(),
        |model: &InceptionV3, x| {
            let (main, auxiliary) = model.forward_with_aux(x);
            classes(&main, &auxiliary, 0.4)
        },
    );
}

#[test]
fn nets_for_pixels_agree_with_twins_in_torch() {
    let cases = cases(DENSE);
    let pixels = |scores: &Tensor| {
        let (n, k, h, w) = (scores.size(0), scores.size(1), scores.size(2), scores.size(3));
        let wanted: Vec<i64> = (0..n * h * w).map(|i| (i * 7 % 11 % k) as i64).collect();
        cross_entropy(scores, &Tensor::from_vec(wanted, [n, h, w]))
    };
    for name in ["fcn32s", "fcn16s", "fcn8s", "segnet", "unet"] {
        named(&cases, name);
    }
    let others = ["encoder_decoder", "capsnet"];
    for case in cases.iter().filter(|c| !others.iter().any(|name| c["architecture"]["name"] == *name)) {
        agree(case, || built(case), |model, x| pixels(&model.forward(x)));
    }
    for case in cases.iter().filter(|c| c["architecture"]["name"] == "encoder_decoder") {
        agree(case, || built(case), |model, x| mse_loss(&model.forward(x), x));
    }
}

#[test]
fn capsules_and_their_reconstruction_agree_with_a_twin_in_torch() {
    let cases = cases(DENSE);
    let case = named(&cases, "capsnet");
    agree(
        case,
        || typed::<CapsNetConfig>(case).init(),
        |model: &CapsNet, x| {
            let labels = labels(x.size(0), 5);
            let (lengths, rebuilt) = model.forward_with_reconstruction(x, Some(&labels));
            capsule_margin_loss(&lengths, &labels) + (rebuilt - x).square().sum() * (0.0005 / x.size(0) as f64)
        },
    );
}
