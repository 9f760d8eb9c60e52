//! Layers, losses and initialisers against PyTorch: the files are made by `scripts/goldens/nn.py`.

#[path = "../../tensor/tests/support/golden.rs"]
mod golden;

use golden::{Args, Golden, difference, weight_like};
use gradus_nn::init::{self, Fan, Nonlinearity};
use gradus_nn::prelude::*;
use gradus_nn::{AvgPool2d, BatchNorm1d, BatchNorm2d, Conv2d, Dropout, Embedding, MaxPool2d, Reduction, StateDict};
use gradus_nn::{loss, loss::*};
use gradus_tensor::autograd::{GradOptions, grad};
use gradus_tensor::{DType, Tensor};
use serde_json::Value;
use std::path::Path;

const TOLERANCE: f64 = 1e-10;

/// A case with its arrays taken from the file, in the order in which they were written.
enum Case {
    Layer { spec: Value, input: Tensor, before: Vec<(String, Tensor)>, output: Tensor, gradients: Vec<Tensor>, after: Vec<Tensor> },
    Loss { spec: Value, inputs: Vec<Tensor>, weights: Vec<(String, Tensor)>, output: Tensor, gradient: Tensor },
    Init(Value),
}

fn cases() -> Vec<Case> {
    let mut file = Golden::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/nn"));
    let specs = std::mem::take(&mut file.cases);
    let out = specs.into_iter().map(|spec| if spec["init"].is_string() { Case::Init(spec) } else { read(&mut file, spec) }).collect();
    file.finish();
    out
}

fn named(file: &mut Golden, entries: &Value) -> Vec<(String, Tensor)> {
    let one = |e: &Value| (e[0].as_str().unwrap().to_string(), file.take(&Value::from(e.as_array().unwrap()[1..].to_vec())));
    entries.as_array().unwrap().iter().map(one).collect()
}

fn read(file: &mut Golden, spec: Value) -> Case {
    let mut inputs = file.take_all(&spec["in"]);
    if spec["loss"].is_string() {
        let weights = named(file, &spec["weights"]);
        let output = file.take(&spec["out"][0]);
        let gradient = file.take_gradients(&inputs[..1]).remove(0);
        return Case::Loss { spec, inputs, weights, output, gradient };
    }
    let params = named(file, &spec["params"]);
    let buffers = named(file, &spec["buffers"]);
    let output = file.take(&spec["out"][0]);
    let gradients = file.take_gradients(inputs.iter().chain(params.iter().map(|(_, t)| t)));
    let entries = spec["buffers"].as_array().unwrap().clone();
    let after = entries.iter().map(|e| file.take(&Value::from(e.as_array().unwrap()[1..].to_vec()))).collect();
    let before = params.into_iter().chain(buffers).collect();
    Case::Layer { input: inputs.remove(0), before, output, gradients, after, spec }
}

fn layer(kind: &str, a: &Args) -> Box<dyn Forward> {
    let number = |name: &str, default: f64| if a.has(name) { a.float(name) } else { default };
    let size = |name: &str, default: usize| number(name, default as f64) as usize;
    let bias = a.0["bias"] != false;
    match kind {
        "Linear" => Box::new(Linear::new(a.size("in_features"), a.size("out_features")).bias(bias)),
        "Conv2d" => Box::new(
            Conv2d::new(a.size("in_channels"), a.size("out_channels"), a.size("kernel_size"))
                .stride(size("stride", 1))
                .padding(size("padding", 0))
                .dilation(size("dilation", 1))
                .groups(size("groups", 1))
                .bias(bias),
        ),
        "MaxPool2d" => Box::new(MaxPool2d::new(a.size("kernel_size")).stride(size("stride", a.size("kernel_size"))).padding(size("padding", 0))),
        "AvgPool2d" => Box::new(AvgPool2d::new(a.size("kernel_size")).stride(size("stride", a.size("kernel_size"))).padding(size("padding", 0))),
        "BatchNorm1d" => Box::new(BatchNorm1d::new(a.size("num_features")).eps(number("eps", 1e-5)).momentum(number("momentum", 0.1))),
        "BatchNorm2d" => Box::new(BatchNorm2d::new(a.size("num_features")).affine(a.0["affine"] != false).momentum(number("momentum", 0.1))),
        "Flatten" => Box::new(Flatten::new().start_dim(size("start_dim", 1) as isize)),
        "ReLU" => Box::new(ReLU),
        "LogSoftmax" => Box::new(LogSoftmax::new(a.int("dim"))),
        "Embedding" => {
            let e = Embedding::new(a.size("num_embeddings"), a.size("embedding_dim"));
            Box::new(if a.has("padding_idx") { e.padding_idx(a.size("padding_idx")) } else { e })
        }
        other => panic!("layer {other}"),
    }
}

#[test]
fn layers_agree_with_pytorch() {
    let mut count = 0;
    for case in cases() {
        let Case::Layer { spec, input, before, output, gradients, after } = case else { continue };
        count += 1;
        let what = format!("{} {} train={}", spec["layer"], spec["args"], spec["train"]);
        let mut model = layer(spec["layer"].as_str().unwrap(), &Args(&spec["args"]));
        model.to_dtype(DType::F64);
        let names: Vec<String> = model.state_dict().iter().map(|(name, _)| name.to_string()).collect();
        let expected: Vec<String> = before.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, expected, "{what}: names in the state dict");
        model.load_state_dict(&before.into_iter().collect::<StateDict>()).unwrap_or_else(|e| panic!("{what}: {e}"));
        if spec["train"] == true { model.train() } else { model.eval() }

        let x = if input.dtype().is_float() { input.requires_grad_(true) } else { input };
        let out = model.forward(&x);
        let check = |part: &str, got: &Tensor, want: &Tensor| {
            if let Some(d) = difference(got, want, TOLERANCE) {
                panic!("{what}, {part}: {d}");
            }
        };
        check("output", &out, &output);
        let parameters = model.parameters();
        let wanted: Vec<&Tensor> = [&x].into_iter().chain(&parameters).filter(|t| t.requires_grad()).collect();
        let got = grad(&[&(&out * weight_like(&out, 0)).sum()], &wanted, GradOptions::default());
        assert_eq!(got.len(), gradients.len(), "{what}");
        for (i, (g, w)) in got.iter().zip(&gradients).enumerate() {
            check(&format!("gradient {i}"), g, w);
        }
        for ((name, got), want) in model.named_buffers().iter().zip(&after) {
            check(name, got, want);
        }
    }
    assert!(count >= 24, "only {count} layers");
}

fn reduction(spec: &Value) -> Reduction {
    match spec["args"]["reduction"].as_str() {
        Some("sum") => Reduction::Sum,
        Some("none") => Reduction::None,
        _ => Reduction::Mean,
    }
}

#[test]
fn losses_agree_with_pytorch() {
    let mut count = 0;
    for case in cases() {
        let Case::Loss { spec, inputs, weights, output, gradient } = case else { continue };
        count += 1;
        let what = format!("{} {} weights {:?}", spec["loss"], spec["args"], spec["weights"]);
        let x = inputs[0].clone().requires_grad_(true);
        let out = evaluate(&spec, &x, &inputs[1], &weights);
        let total = if out.rank() == 0 { out.clone() } else { (&out * weight_like(&out, 0)).sum() };
        let got = grad(&[&total], &[&x], GradOptions::default()).remove(0);
        for (part, got, want) in [("value", &out, &output), ("gradient", &got, &gradient)] {
            if let Some(d) = difference(got, want, TOLERANCE) {
                panic!("{what}, {part}: {d}");
            }
        }
    }
    assert!(count >= 40, "only {count} losses");
}
