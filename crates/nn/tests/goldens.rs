//! Layers, losses and initialisers against PyTorch: the files are made by `scripts/goldens/nn.py`.

mod support;

use gradus_nn::init::{self, Fan, Nonlinearity};
use gradus_nn::losses::*;
use gradus_nn::{
    AvgPool2d, BatchNorm1d, BatchNorm2d, Conv2d, Dropout, Embedding, Flatten, Forward, Linear, LogSoftmax, MaxPool2d,
    Module, ReLU,
};
use gradus_tensor::{DType, Tensor, manual_seed};
use serde_json::Value;
use support::{Args, cases};

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
        "MaxPool2d" => Box::new(
            MaxPool2d::new(a.size("kernel_size"))
                .stride(size("stride", a.size("kernel_size")))
                .padding(size("padding", 0)),
        ),
        "AvgPool2d" => Box::new(
            AvgPool2d::new(a.size("kernel_size"))
                .stride(size("stride", a.size("kernel_size")))
                .padding(size("padding", 0)),
        ),
        "BatchNorm1d" => Box::new(
            BatchNorm1d::new(a.size("num_features")).eps(number("eps", 1e-5)).momentum(number("momentum", 0.1)),
        ),
        "BatchNorm2d" => Box::new(
            BatchNorm2d::new(a.size("num_features")).affine(a.0["affine"] != false).momentum(number("momentum", 0.1)),
        ),
        "Flatten" => Box::new(Flatten::new().dims(size("start_dim", 1) as isize, -1)),
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
    let cases = cases("layers");
    assert!(cases.len() >= 24, "only {} layers", cases.len());
    for case in &cases {
        case.check(|| layer(case.kind(), &case.args()), |m, x| vec![m.forward(&x[0])]);
    }
}

#[test]
fn losses_agree_with_pytorch() {
    let cases = cases("losses");
    assert!(cases.len() >= 40, "only {} losses", cases.len());
    for case in &cases {
        case.check_function(|x| vec![evaluate(case.kind(), &case.args(), x)]);
    }
}

/// Weights stand behind input and target, in the order of `weights` among the arguments.
fn evaluate(kind: &str, args: &Args, x: &[Tensor]) -> Tensor {
    let names: Vec<&str> = args.0["weights"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    let weight = |name: &str| names.iter().position(|n| *n == name).map(|i| x[2 + i].clone());
    let reduction = match args.text("reduction") {
        "sum" => Reduction::Sum,
        "none" => Reduction::None,
        _ => Reduction::Mean,
    };
    let ignore_index = Some(args.0["ignore_index"].as_i64().unwrap_or(-100));
    let (x, target) = (&x[0], &x[1]);
    match kind {
        "mse_loss" => mse_loss_with(x, target, reduction),
        "nll_loss" => nll_loss_with(x, target, NllOptions { weight: weight("weight"), ignore_index, reduction }),
        "cross_entropy" => {
            let label_smoothing = args.0["label_smoothing"].as_f64().unwrap_or(0.0);
            let options = CrossEntropyOptions { weight: weight("weight"), ignore_index, label_smoothing, reduction };
            cross_entropy_with(x, target, options)
        }
        "binary_cross_entropy" => {
            binary_cross_entropy_with(x, target, BceOptions { weight: weight("weight"), reduction })
        }
        "binary_cross_entropy_with_logits" => {
            let options =
                BceWithLogitsOptions { weight: weight("weight"), pos_weight: weight("pos_weight"), reduction };
            binary_cross_entropy_with_logits_with(x, target, options)
        }
        other => panic!("loss {other}"),
    }
}

/// The short forms are the mean.
#[test]
fn short_forms_are_means() {
    let same = |a: Tensor, b: Tensor| assert_eq!(a.item_f64(), b.item_f64());
    let x = Tensor::from_slice(&[0.2f64, 0.7, 0.4, 0.9], [2, 2]);
    let y = Tensor::from_slice(&[1.0f64, 0.0, 0.0, 1.0], [2, 2]);
    let labels = Tensor::from_slice(&[1i64, 0], [2]);
    same(mse_loss(&x, &y), mse_loss_with(&x, &y, Reduction::Mean));
    same(nll_loss(&x.log_softmax(1), &labels), cross_entropy(&x, &labels));
    same(binary_cross_entropy(&x, &y), binary_cross_entropy_with(&x, &y, BceOptions::default()));
    let logits = BceWithLogitsOptions::default();
    same(binary_cross_entropy_with_logits(&x, &y), binary_cross_entropy_with_logits_with(&x, &y, logits));
}

#[test]
fn initialisers_have_pytorchs_spread() {
    manual_seed(3);
    let text = include_str!("goldens/initialisers.json");
    let specs: Vec<Value> = serde_json::from_str(text).unwrap();
    assert!(specs.len() >= 40, "only {} initialisers", specs.len());
    for spec in specs {
        // Forty tensors: enough numbers for a standard deviation within 2 %.
        let drawn: Vec<Tensor> = (0..40).map(|_| draw(&spec)).collect();
        let all = Tensor::stack(&drawn.iter().collect::<Vec<_>>(), 0).to_dtype(DType::F64);
        let (mean, std, largest) = (all.mean().item_f64(), all.std(0).item_f64(), all.abs().max().item_f64());
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.02;
        match spec["bound"].as_f64() {
            Some(bound) => {
                assert!(largest <= bound * 1.000_001 && near(largest, bound), "{spec}: largest {largest}");
                assert!(near(std, bound / 3f64.sqrt()), "{spec}: deviation {std}");
            }
            None => assert!(near(std, spec["std"].as_f64().unwrap()) && largest > 3.0 * std, "{spec}: deviation {std}"),
        }
        assert!(mean.abs() < 0.03 * std, "{spec}: mean {mean}");
    }
}

/// One tensor filled by the initialiser of a case.
fn draw(spec: &Value) -> Tensor {
    let shape: Vec<usize> = spec["shape"].as_array().unwrap().iter().map(|d| d.as_u64().unwrap() as usize).collect();
    let t = Tensor::zeros(&shape);
    let mode = if spec["mode"] == "fan_out" { Fan::Out } else { Fan::In };
    let nonlinearity = match spec["nonlinearity"].as_str() {
        Some("relu") => Nonlinearity::ReLU,
        Some("leaky_relu") => Nonlinearity::LeakyReLU(spec["a"].as_f64().unwrap()),
        Some("tanh") => Nonlinearity::Tanh,
        _ => Nonlinearity::Linear,
    };
    let gain = spec["gain"].as_f64().unwrap_or(1.0);
    match spec["init"].as_str().unwrap() {
        "kaiming_uniform" => init::kaiming_uniform_(&t, mode, nonlinearity),
        "kaiming_normal" => init::kaiming_normal_(&t, mode, nonlinearity),
        "xavier_uniform" => init::xavier_uniform_(&t, gain),
        "xavier_normal" => init::xavier_normal_(&t, gain),
        "default" if shape.len() == 2 => return Linear::new(shape[1], shape[0]).weight.tensor().detach(),
        "default" => return Conv2d::new(shape[1], shape[0], shape[2]).weight.tensor().detach(),
        other => panic!("initialiser {other}"),
    }
    t
}

/// Inverted dropout: the share p is zero, the others are scaled by 1 / (1 - p), the gradient likewise.
#[test]
fn dropout_has_the_right_statistics() {
    manual_seed(11);
    for p in [0.2, 0.5, 0.9] {
        let layer = Dropout::new(p);
        let x = Tensor::ones([100_000]).requires_grad_(true);
        let y = layer.forward(&x);
        let values = y.to_vec::<f32>();
        let zero = values.iter().filter(|&&v| v == 0.0).count() as f64 / values.len() as f64;
        assert!((zero - p).abs() < 0.01, "p = {p}: {zero} are zero");
        let scale = (1.0 / (1.0 - p)) as f32;
        assert!(values.iter().all(|&v| v == 0.0 || (v - scale).abs() < 1e-5), "p = {p}");
        assert!((y.mean().item() - 1.0).abs() < 0.03 * scale, "p = {p}");
        y.sum().backward();
        assert_eq!(x.grad().unwrap().to_vec::<f32>(), values);
        assert_ne!(layer.forward(&x).to_vec::<f32>(), values);
        layer.eval();
        assert_eq!(layer.forward(&x).to_vec::<f32>(), x.to_vec::<f32>());
    }
    assert_eq!(Dropout::new(1.0).forward(&Tensor::ones([5])).to_vec::<f32>(), [0.0; 5]);
    assert_eq!(Dropout::new(0.0).forward(&Tensor::ones([5])).to_vec::<f32>(), [1.0; 5]);
}
