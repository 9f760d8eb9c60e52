//! Layers: names, shapes, messages, behaviour in training and in use, second order.

mod support;

use gradus_nn::losses::cross_entropy;
use gradus_nn::*;
use gradus_tensor::{DType, Tensor, manual_seed};
use std::panic::catch_unwind;
use support::{check_gradients, panic_of};

fn near(a: &Tensor, b: &Tensor) -> bool {
    a.shape() == b.shape() && (a - b).abs().max().item() < 1e-5
}

#[derive(Module)]
struct Stage {
    conv2: Linear,
    norm: BatchNorm1d,
}

#[derive(Module)]
struct Deep {
    layer3: Vec<Stage>,
    head: Sequential,
}

fn deep() -> Deep {
    let stage = || Stage { conv2: Linear::new(4, 2), norm: BatchNorm1d::new(2) };
    Deep { layer3: vec![stage(), stage()], head: sequential![ReLU, Linear::new(2, 3), Flatten::new().dims(3, 4)] }
}

#[test]
fn a_wrong_shape_names_the_layer() {
    let m = deep();
    m.parameters();
    let message = panic_of(|| m.layer3[1].conv2.forward(&Tensor::zeros([5, 3])));
    assert_eq!(message, "Linear in layer `layer3.1.conv2`: needs an input [..., 4] (the weight is [2, 4]), got [5, 3]");
    let message = panic_of(|| m.layer3[0].norm.forward(&Tensor::zeros([5, 3])));
    assert_eq!(
        message,
        "BatchNorm1d in layer `layer3.0.norm`: needs an input [N, C] or [N, C, L] with C = 2, got [5, 3]"
    );
    let message = panic_of(|| m.layer3[0].norm.forward(&Tensor::zeros([1, 2])));
    assert!(message.contains("needs more than one value a channel in training, got [1, 2]"), "{message}");
    let message = panic_of(|| m.head.forward(&Tensor::zeros([5, 2])));
    assert!(message.starts_with("flatten in layer `head.2`:"), "{message}");
    // A layer without a scope of its own is named by the list it stands in.
    let message = panic_of(|| m.head.forward(&Tensor::from_slice(&[1i64, 2], [1, 2])));
    assert!(message.starts_with("relu in layer `head.0`:"), "{message}");
    // Outside the layer its name is gone again.
    assert_eq!(gradus_tensor::scope::current(), None);
    // A list knows its names from the start.
    let message = panic_of(|| sequential![ReLU, Linear::new(2, 3)].forward(&Tensor::zeros([1, 1])));
    assert!(message.starts_with("Linear in layer `1`:"), "{message}");
}

#[test]
fn names_are_pytorchs() {
    let m = sequential![Linear::new(4, 3), BatchNorm1d::new(3), Dropout::new(0.1), Embedding::new(5, 2)];
    let expected = [
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
        "3.weight",
    ];
    let state = m.state_dict();
    assert_eq!(state.names().collect::<Vec<_>>(), expected);
    assert_eq!(state.get("0.weight").unwrap().shape(), [3, 4]);
    let count = state.get("1.num_batches_tracked").unwrap();
    assert_eq!((count.shape().to_vec(), count.dtype()), (vec![], DType::I64));
    assert_eq!(m.num_parameters(), 4 * 3 + 3 + 3 + 3 + 10);
    let mut named = Sequential::new();
    named.push_named("fc", Linear::new(1, 1).bias(false));
    named.push(ReLU);
    assert_eq!(named.state_dict().names().collect::<Vec<_>>(), ["fc.weight"]);
    assert_eq!(format!("{named:?}"), r#"{"fc": "Linear", "1": "ReLU"}"#);
}

#[test]
fn linear_begins_within_its_bound_and_takes_any_rank() {
    manual_seed(3);
    let layer = Linear::new(100, 50);
    for t in [layer.weight.detach(), layer.bias.as_ref().unwrap().detach()] {
        assert!(t.abs().max().item() <= 0.1 && t.abs().max().item() > 0.08 && t.mean().item().abs() < 0.03);
    }
    assert_eq!(layer.forward(&Tensor::zeros([2, 0, 3, 100])).shape(), [2, 0, 3, 50]);
    let y = layer.forward(&Tensor::zeros([100]));
    assert!(near(&y, layer.bias.as_ref().unwrap()));
    assert!(Linear::new(2, 3).bias(false).bias.is_none() && Linear::new(2, 3).bias(false).bias(true).bias.is_some());
}

#[test]
fn convolutions_have_pytorchs_layout_and_messages() {
    let layer = Conv2d::new(4, 6, [3, 5]).stride([1, 2]).padding(1).dilation(2).groups(2);
    assert_eq!(layer.weight.shape(), [6, 2, 3, 5]);
    assert_eq!(layer.bias.as_ref().unwrap().shape(), [6]);
    let bound = 1.0 / (2.0f32 * 15.0).sqrt();
    let max = layer.weight.detach().abs().max().item();
    assert!(max <= bound && max > 0.9 * bound);
    // height (9 + 2 - 4 - 1) / 1 + 1, width (9 + 2 - 8 - 1) / 2 + 1
    assert_eq!(layer.forward(&Tensor::zeros([2, 4, 9, 9])).shape(), [2, 6, 7, 2]);
    assert_eq!(layer.forward(&Tensor::zeros([4, 9, 9])).shape(), [6, 7, 2]);
    assert_eq!(Conv1d::new(2, 3, 3).forward(&Tensor::zeros([1, 2, 8])).shape(), [1, 3, 6]);
    assert_eq!(Conv3d::new(2, 3, 3).padding(1).forward(&Tensor::zeros([1, 2, 4, 5, 6])).shape(), [1, 3, 4, 5, 6]);
    let m = sequential![ReLU, layer];
    assert_eq!(m.state_dict().names().collect::<Vec<_>>(), ["1.weight", "1.bias"]);
    assert_eq!(m.named_modules()[2], ("1".to_string(), "Conv2d"));
    let message = panic_of(|| m.forward(&Tensor::zeros([2, 3, 9, 9])));
    assert!(message.contains("in layer `1`") && message.contains("[2, 3, 9, 9]"), "{message}");
    let refused = catch_unwind(|| Conv2d::new(3, 6, 1).groups(2));
    let message = refused.expect_err("it must panic").downcast::<String>().unwrap();
    assert_eq!(*message, "Conv2d: 3 and 6 channels cannot be divided into 2 groups");
}

#[test]
fn pooling_follows_its_options() {
    let x = Tensor::arange(25).reshape([1, 1, 5, 5]);
    let max = MaxPool2d::new(2).ceil_mode(true).forward(&x);
    assert_eq!(max.to_vec::<f32>(), [6.0, 8.0, 9.0, 16.0, 18.0, 19.0, 21.0, 23.0, 24.0]);
    let max = MaxPool2d::new([3, 2]).stride([2, 3]).padding([1, 0]).forward(&x);
    assert_eq!(max.shape(), [1, 1, 3, 2]);
    assert_eq!(max.to_vec::<f32>(), [6.0, 9.0, 16.0, 19.0, 21.0, 24.0]);
    let mean = AvgPool2d::new(2).padding(1).forward(&x);
    assert_eq!(mean.shape(), [1, 1, 3, 3]);
    assert_eq!((mean.at(&[0, 0, 0, 0]), mean.at(&[0, 0, 0, 1]), mean.at(&[0, 0, 1, 1])), (0.0, 0.75, 9.0));
    let mean = AvgPool2d::new(2).padding(1).count_include_pad(false).forward(&x);
    assert_eq!((mean.at(&[0, 0, 0, 1]), mean.at(&[0, 0, 1, 1])), (1.5, 9.0));
    assert_eq!(AvgPool2d::new(5).divisor_override(100).forward(&x).item(), 3.0);
    assert_eq!(AdaptiveAvgPool2d::new(1).forward(&x).item(), 12.0);
    assert_eq!(AdaptiveAvgPool1d::new(2).forward(&Tensor::arange(3).reshape([1, 3])).to_vec::<f32>(), [0.5, 1.5]);
    assert_eq!(MaxPool3d::new(2).forward(&Tensor::zeros([1, 2, 4, 4, 4])).shape(), [1, 2, 2, 2, 2]);
    let m = sequential![MaxPool2d::new(9)];
    let message = panic_of(|| m.forward(&x));
    assert!(message.contains("in layer `0`") && message.contains("[1, 1, 5, 5]"), "{message}");
    let kinds: Vec<&str> = m.named_modules().into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, ["Sequential", "MaxPool2d"]);
}

#[test]
fn batch_norm_in_training_and_in_use() {
    let x = Tensor::from_slice(&[1.0f32, 10.0, 2.0, 20.0, 6.0, 60.0], [3, 2]);
    let layer = BatchNorm1d::new(2);
    let y = layer.forward(&x);
    // Channel 0: mean 3, biased variance 14/3, unbiased 7.
    let normal = |v: f64, mean: f64, var: f64| ((v - mean) / (var + 1e-5).sqrt()) as f32;
    let column = y.select(1, 0).to_vec::<f32>();
    for (found, v) in column.iter().zip([1.0, 2.0, 6.0]) {
        assert!((found - normal(v, 3.0, 14.0 / 3.0)).abs() < 1e-5);
    }
    let mean = layer.running_mean.as_ref().unwrap();
    let var = layer.running_var.as_ref().unwrap();
    assert!(near(mean, &Tensor::from_slice(&[0.3f32, 3.0], [2])));
    assert!(near(var, &Tensor::from_slice(&[0.9f32 + 0.7, 0.9 + 70.0], [2])));
    assert_eq!(layer.num_batches_tracked.as_ref().unwrap().item_i64(), 1);
    layer.eval();
    let y = layer.forward(&x);
    assert!((y.at(&[2, 0]) as f32 - normal(6.0, 0.3, 1.6)).abs() < 1e-5);
    assert_eq!(layer.num_batches_tracked.as_ref().unwrap().item_i64(), 1);

    // Without a momentum, the plain average of the batches.
    let layer = BatchNorm1d::new(1).momentum(None);
    for k in [1.0, 3.0] {
        layer.forward(&Tensor::from_slice(&[0.0f32, 2.0 * k], [2, 1]));
    }
    assert!(near(layer.running_mean.as_ref().unwrap(), &Tensor::full([1], 2.0)));
    assert!(near(layer.running_var.as_ref().unwrap(), &Tensor::full([1], (2.0 + 18.0) / 2.0)));

    // Without running averages, the batch serves in use as well.
    let layer = BatchNorm2d::new(2).affine(false).track_running_stats(false);
    layer.eval();
    assert!(layer.state_dict().is_empty());
    let y = layer.forward(&Tensor::rand([4, 2, 3, 3]));
    assert!(y.mean_dim([0, 2, 3], false).abs().max().item() < 1e-5);
    assert_eq!(BatchNorm3d::new(2).forward(&Tensor::rand([2, 2, 1, 2, 3])).shape(), [2, 2, 1, 2, 3]);
    assert_eq!(BatchNorm1d::new(2).forward(&Tensor::rand([2, 2, 3])).shape(), [2, 2, 3]);
}

#[test]
fn dropout_keeps_the_mean_and_rests_in_use() {
    manual_seed(1);
    let layer = Dropout::new(0.25);
    let y = layer.forward(&Tensor::ones([40_000]));
    assert!((y.mean().item() - 1.0).abs() < 0.02);
    assert!((y.eq_scalar(0.0).to_dtype(DType::F32).mean().item() - 0.25).abs() < 0.01);
    layer.eval();
    assert!(layer.forward(&Tensor::ones([10])).eq_scalar(1.0).all());
    assert!(panic_of(|| Dropout::new(1.5).forward(&Tensor::ones([1]))).contains("1.5 is not a probability"));
}

#[test]
fn an_embedding_looks_up_and_spares_its_padding() {
    let table = Embedding::new(4, 2).padding_idx(1);
    let y = table.forward(&Tensor::from_slice(&[1i64, 2, 2], [3]));
    y.sum().backward();
    assert_eq!(table.weight.grad().unwrap().to_vec::<f32>(), [0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 0.0, 0.0]);
    assert_eq!(y.select(0, 0).to_vec::<f32>(), [0.0, 0.0]);
    let small = Tensor::from_slice(&[3u8, 0], [1, 2]);
    assert_eq!(table.forward(&small).shape(), [1, 2, 2]);
    let message = panic_of(|| table.forward(&Tensor::from_slice(&[4i64], [1])));
    assert!(message.contains('4'), "{message}");
    assert!(panic_of(|| table.forward(&Tensor::zeros([1]))).contains("needs integer indices, got f32"));
    assert_eq!(Embedding::from_pretrained(Tensor::eye(3)).forward(&Tensor::from_slice(&[2i64], ())).shape(), [3]);
}

#[test]
fn a_gradient_penalty_runs_through_every_layer() {
    manual_seed(5);
    let mut m = sequential![
        Conv2d::new(2, 4, 3).padding(1),
        BatchNorm2d::new(4),
        Tanh,
        MaxPool2d::new(2),
        Conv2d::new(4, 6, 2).stride(2).groups(2),
        Sigmoid,
        AvgPool2d::new(2).padding(1),
        AdaptiveAvgPool2d::new(1),
        Flatten::new(),
        Linear::new(6, 6),
        BatchNorm1d::new(6),
        Softmax::new(1),
        Linear::new(6, 3),
        LogSoftmax::new(1)
    ];
    m.to_dtype(DType::F64);
    let x = Tensor::randn([3, 2, 9, 8]).to_dtype(DType::F64).requires_grad_(true);
    check_gradients(&m, &[x], |m, x| vec![m.forward(&x[0])]);
}

#[test]
fn a_model_can_be_used_from_several_threads() {
    let m = sequential![Linear::new(2, 2), ReLU];
    let x = Tensor::ones([1, 2]);
    let y = m.forward(&x).to_vec::<f32>();
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| assert_eq!(m.forward(&x).to_vec::<f32>(), y));
        }
    });
}

#[test]
fn the_notes_network_learns() {
    manual_seed(0);
    let x = Tensor::rand([16, 20]);
    let labels = Tensor::arange(16).to_dtype(DType::I64);
    let model = sequential![Flatten::new(), Linear::new(20, 32), ReLU, Linear::new(32, 16)];
    let mut optimizer = optim::Adam::new(model.parameters(), 0.02);
    let mut loss = f32::NAN;
    for _ in 0..150 {
        use optim::Optimizer;
        optimizer.zero_grad();
        let l = cross_entropy(&model.forward(&x), &labels);
        l.backward();
        optimizer.step();
        loss = l.item();
    }
    assert!(loss < 0.05, "{loss}");
}
