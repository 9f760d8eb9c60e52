//! Agreement with torchvision at reduced width; `scripts/goldens/vision.py` says what is compared and makes the file.

use gradus_models::{
    Architecture, FeaturePyramidNetwork, GoogLeNet, GoogLeNetConfig, InceptionV3, InceptionV3Config, ModelConfig, build,
};
use gradus_nn::losses::cross_entropy;
use gradus_nn::{Forward, Module, StateDict};
use gradus_tensor::{DType, Tensor, no_grad};
use serde_json::Value;
use std::collections::HashMap;

/// Numbers in [-1, 1): splitmix64 of key and index, rounded to f32.
fn number(key: u64, count: usize) -> Vec<f32> {
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
fn digest(t: &Tensor) -> [f64; 2] {
    let t = doubles(t);
    let norm = t.iter().map(|v| v * v).sum::<f64>().sqrt();
    [norm, t.iter().enumerate().map(|(i, v)| v * (0.3 + 1.7 * i as f64).sin()).sum()]
}

/// Up to 32 evenly spaced elements.
fn some(t: &Tensor) -> Vec<f64> {
    let flat = doubles(t);
    flat.iter().copied().step_by((flat.len() / 32).max(1)).take(32).collect()
}

fn doubles(t: &Tensor) -> Vec<f64> {
    t.detach().to_dtype(DType::F64).to_vec::<f64>()
}

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[track_caller]
fn close(what: &str, got: &[f64], want: &[f64], scale: f64, tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= tolerance * scale, "{what}: {g}, torchvision has {w} (of {scale})");
    }
}

fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |m, x| x.abs().max(m))
}

/// A case's model.
fn built(case: &Value) -> Box<dyn Forward> {
    let architecture: Architecture = serde_json::from_value(case["architecture"].clone()).unwrap();
    build(&architecture).unwrap_or_else(|e| panic!("{e}"))
}

/// Gives a model the state of its case, by name.
fn load(case: &Value, model: &dyn Forward) {
    let entries = case["state"].as_array().unwrap().iter().enumerate().map(|(key, entry)| {
        let mut parts = entry.as_str().unwrap().split(' ');
        let name = parts.next().unwrap().to_string();
        let shape: Vec<usize> = parts.map(|n| n.parse().unwrap()).collect();
        let tensor = value(key as u64, &name, &shape);
        (name, tensor)
    });
    let state: StateDict = entries.collect();
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

/// Compares a model with its case in f64, where only the order of sums differs, and in f32; `outputs` gives the main
/// output and the auxiliary ones.
fn agree<M: Forward>(case: &Value, make: impl Fn() -> M, outputs: impl Fn(&M, &Tensor) -> (Tensor, Vec<Tensor>)) {
    let exact = Bars { output: 1e-8, gradient: 1e-7, buffer: 1e-8, gradients: true };
    // Where rounding decides on which side of a kink a unit lies, gradients can only be compared in f64.
    let single = Bars { output: 1e-4, gradient: 1e-3, buffer: 1e-4, gradients: case["smooth"] == true };
    for (dtype, bars) in [(DType::F64, exact), (DType::F32, single)] {
        let mut model = make();
        model.to_dtype(dtype);
        load(case, &model);
        compare(case, &model, dtype, &bars, &|x| outputs(&model, x));
    }
}

fn compare(
    case: &Value,
    model: &dyn Forward,
    dtype: DType,
    bars: &Bars,
    outputs: &dyn Fn(&Tensor) -> (Tensor, Vec<Tensor>),
) {
    let name = format!("{} {dtype}", case["architecture"]);
    let shape: Vec<usize> = numbers(&case["input"]).iter().map(|n| *n as usize).collect();
    let key = case["key"].as_u64().unwrap();
    let x = Tensor::from_vec(number(key, shape.iter().product()), &shape[..]).to_dtype(dtype);
    model.eval();
    let want = numbers(&case["output"]);
    let got = doubles(&no_grad(|| model.forward(&x)));
    close(&format!("{name}: output in use"), &got, &want, largest(&want), bars.output);

    model.train();
    model.zero_grad();
    let labels: Vec<i64> = (0..shape[0] as i64).map(|i| i % 10).collect();
    let labels = Tensor::from_slice(&labels, [shape[0]]);
    let (main, auxiliary) = outputs(&x);
    let share = case["aux_weight"].as_f64().unwrap();
    let loss = auxiliary.iter().fold(cross_entropy(&main, &labels), |l, y| l + cross_entropy(y, &labels) * share);
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

fn cases() -> Vec<Value> {
    serde_json::from_str(include_str!("../goldens/vision.json")).unwrap()
}

#[test]
fn models_agree_with_torchvision() {
    let cases = cases();
    assert!(cases.len() > 10);
    for case in cases.iter().filter(|c| c["aux_weight"] == 0.0) {
        agree(case, || built(case), |model, x| (model.forward(x), Vec::new()));
    }
}

/// The configuration of a case whose model has auxiliary outputs.
fn typed<C: ModelConfig>(case: &Value) -> C {
    let mut config = case["architecture"].clone();
    config.as_object_mut().unwrap().remove("name");
    serde_json::from_value(config).unwrap()
}

#[test]
fn auxiliary_outputs_agree_with_torchvision() {
    let cases = cases();
    let with_aux: Vec<&Value> = cases.iter().filter(|c| c["aux_weight"] != 0.0).collect();
    let names: Vec<&str> = with_aux.iter().map(|c| c["architecture"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["googlenet", "inception_v3"]);
    agree(with_aux[0], || typed::<GoogLeNetConfig>(with_aux[0]).init(), GoogLeNet::forward_with_aux);
    agree(with_aux[1], || typed::<InceptionV3Config>(with_aux[1]).init(), InceptionV3::forward_with_aux);
}

#[test]
fn feature_pyramids_agree_with_torchvision() {
    let case: Value = serde_json::from_str(include_str!("../goldens/fpn.json")).unwrap();
    let shape = |v: &Value| numbers(v).iter().map(|n| *n as usize).collect::<Vec<usize>>();
    let shapes: Vec<Vec<usize>> = case["inputs"].as_array().unwrap().iter().map(shape).collect();
    let channels: Vec<usize> = shapes.iter().map(|s| s[1]).collect();
    let out = case["out_channels"].as_u64().unwrap() as usize;
    let mut pyramid = FeaturePyramidNetwork::new(&channels, out).last_level_max_pool(true);
    pyramid.to_dtype(DType::F64);
    let entries = case["state"].as_array().unwrap().iter().enumerate().map(|(key, entry)| {
        let mut parts = entry.as_str().unwrap().split(' ');
        let name = parts.next().unwrap().to_string();
        let tensor = value(key as u64, &name, &parts.map(|n| n.parse().unwrap()).collect::<Vec<usize>>());
        (name, tensor)
    });
    pyramid.load_state_dict(&entries.collect()).unwrap();
    let input = |(i, shape): (usize, &Vec<usize>)| {
        let values = number((1 << 20) + i as u64, shape.iter().product());
        Tensor::from_vec(values, &shape[..]).to_dtype(DType::F64)
    };
    let inputs: Vec<Tensor> = shapes.iter().enumerate().map(input).collect();
    let maps = pyramid.forward(&inputs);
    let wanted = case["outputs"].as_array().unwrap();
    assert_eq!(maps.len(), wanted.len());
    for (map, want) in maps.iter().zip(wanted) {
        assert_eq!(map.shape()[..], shape(&want["shape"]));
        let want = numbers(&want["some"]);
        close("map", &some(map), &want, largest(&want), 1e-8);
    }
    maps.iter().map(|map| map.square().mean()).reduce(|a, b| a + b).unwrap().backward();
    for (name, parameter) in pyramid.named_parameters() {
        let want = numbers(&case["gradients"][&name]);
        close(&name, &digest(&parameter.grad().unwrap()), &want, want[0], 1e-7);
    }
}
