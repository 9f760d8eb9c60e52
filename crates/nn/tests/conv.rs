//! Convolutions, pooling, padding, resizing, rearranging, skip connections, lookup tables and layers of two inputs:
//! against PyTorch (`scripts/goldens/conv.py`), against finite differences, and their messages.

#[path = "conv/behaviour.rs"]
mod behaviour;
mod support;

use gradus_nn::*;
use gradus_tensor::{DType, Tensor, manual_seed};
use serde_json::Value;
use support::{Args, Case, cases, check_gradients};

/// `D` sizes: a list, or one number for all.
fn sizes<const D: usize>(a: &Args, name: &str, default: [usize; D]) -> [usize; D] {
    match &a.0[name] {
        Value::Null => default,
        Value::Number(n) => [n.as_u64().unwrap() as usize; D],
        _ => a.sizes(name, 0),
    }
}

fn number(a: &Args, name: &str, default: f64) -> f64 {
    if a.has(name) { a.float(name) } else { default }
}

fn flag(a: &Args, name: &str, default: bool) -> bool {
    a.0[name].as_bool().unwrap_or(default)
}

fn boxed(layer: impl Forward + 'static) -> Option<Box<dyn Forward>> {
    Some(Box::new(layer))
}

fn conv<const D: usize>(a: &Args) -> Conv<D> {
    let layer = Conv::<D>::new(a.size("in_channels"), a.size("out_channels"), sizes(a, "kernel_size", [0; D]));
    let layer = layer.stride(sizes(a, "stride", [1; D])).dilation(sizes(a, "dilation", [1; D]));
    let layer = layer.groups(number(a, "groups", 1.0) as usize).bias(flag(a, "bias", true));
    let layer = match a.0["padding"].as_str() {
        Some("same") => layer.padding(Padding::Same),
        Some(_) => layer.padding(Padding::Valid),
        None => layer.padding(sizes(a, "padding", [0; D])),
    };
    match a.0["padding_mode"].as_str() {
        Some("reflect") => layer.padding_mode(PaddingMode::Reflect),
        Some("replicate") => layer.padding_mode(PaddingMode::Replicate),
        Some("circular") => layer.padding_mode(PaddingMode::Circular),
        _ => layer,
    }
}

fn conv_transpose<const D: usize>(a: &Args) -> ConvTranspose<D> {
    ConvTranspose::<D>::new(a.size("in_channels"), a.size("out_channels"), sizes(a, "kernel_size", [0; D]))
        .stride(sizes(a, "stride", [1; D]))
        .padding(sizes(a, "padding", [0; D]))
        .output_padding(sizes(a, "output_padding", [0; D]))
        .dilation(sizes(a, "dilation", [1; D]))
        .groups(number(a, "groups", 1.0) as usize)
        .bias(flag(a, "bias", true))
}

fn max_pool<const D: usize>(a: &Args) -> MaxPool<D> {
    let kernel = sizes(a, "kernel_size", [0; D]);
    MaxPool::<D>::new(kernel)
        .stride(sizes(a, "stride", kernel))
        .padding(sizes(a, "padding", [0; D]))
        .dilation(sizes(a, "dilation", [1; D]))
        .ceil_mode(flag(a, "ceil_mode", false))
}

fn avg_pool<const D: usize>(a: &Args) -> AvgPool<D> {
    let kernel = sizes(a, "kernel_size", [0; D]);
    let layer = AvgPool::<D>::new(kernel)
        .stride(sizes(a, "stride", kernel))
        .padding(sizes(a, "padding", [0; D]))
        .ceil_mode(flag(a, "ceil_mode", false))
        .count_include_pad(flag(a, "count_include_pad", true));
    if a.has("divisor_override") { layer.divisor_override(a.size("divisor_override")) } else { layer }
}

fn lp_pool<const D: usize>(a: &Args) -> LPPool<D> {
    let kernel = sizes(a, "kernel_size", [0; D]);
    let layer = LPPool::<D>::new(a.float("norm_type"), kernel).stride(sizes(a, "stride", kernel));
    layer.ceil_mode(flag(a, "ceil_mode", false))
}

fn max_unpool<const D: usize>(case: &Case) {
    let a = case.args();
    let kernel = sizes(&a, "kernel_size", [0; D]);
    let make = || MaxUnpool::<D>::new(kernel).stride(sizes(&a, "stride", kernel)).padding(sizes(&a, "padding", [0; D]));
    case.check(make, |m, x| match x {
        [x, i, size] => {
            let size: Vec<usize> = size.to_vec::<i64>().iter().map(|&n| n as usize).collect();
            vec![m.forward_to(x, i, <[usize; D]>::try_from(size).unwrap())]
        }
        _ => vec![m.forward(&x[0], &x[1])],
    });
}

/// The padding layers for `D` dimensions: one number or PyTorch's list.
macro_rules! pads {
    ($kind:expr, $a:expr, $d:literal $n:literal) => {{
        let list = |f: &dyn Fn(Option<[isize; $n]>) -> Option<Box<dyn Forward>>| match &$a.0["padding"] {
            Value::Number(_) => f(None),
            _ => f(Some($a.ints("padding").try_into().unwrap())),
        };
        let all = || $a.int("padding");
        match $kind.trim_end_matches(concat!(stringify!($d), "d")) {
            "ZeroPad" => list(&|p| boxed(p.map_or_else(|| ZeroPad::<$d>::new(all()), ZeroPad::<$d>::new))),
            "ReflectionPad" => {
                list(&|p| boxed(p.map_or_else(|| ReflectionPad::<$d>::new(all()), ReflectionPad::<$d>::new)))
            }
            "ReplicationPad" => {
                list(&|p| boxed(p.map_or_else(|| ReplicationPad::<$d>::new(all()), ReplicationPad::<$d>::new)))
            }
            "CircularPad" => list(&|p| boxed(p.map_or_else(|| CircularPad::<$d>::new(all()), CircularPad::<$d>::new))),
            "ConstantPad" => {
                let value = $a.float("value");
                let each = |p| ConstantPad::<$d>::new(p, value);
                list(&|p| boxed(p.map_or_else(|| ConstantPad::<$d>::new(all(), value), each)))
            }
            _ => None,
        }
    }};
}

fn by_dimensions<const D: usize>(kind: &str, a: &Args) -> Option<Box<dyn Forward>> {
    let size = || sizes(a, "output_size", [0; D]);
    match kind.split_at(kind.len() - 2).0 {
        "Conv" => boxed(conv::<D>(a)),
        "ConvTranspose" => boxed(conv_transpose::<D>(a)),
        "MaxPool" => boxed(max_pool::<D>(a)),
        "AvgPool" => boxed(avg_pool::<D>(a)),
        "LPPool" => boxed(lp_pool::<D>(a)),
        "AdaptiveAvgPool" => boxed(AdaptiveAvgPool::<D>::new(size())),
        "AdaptiveMaxPool" => boxed(AdaptiveMaxPool::<D>::new(size())),
        _ => None,
    }
}

fn upsample(a: &Args) -> Upsample {
    let align_corners = flag(a, "align_corners", false);
    let mode = match a.text("mode") {
        "nearest" => Interpolation::Nearest,
        "nearest-exact" => Interpolation::NearestExact,
        "bicubic" => Interpolation::Cubic { align_corners },
        _ => Interpolation::Linear { align_corners },
    };
    let layer = Upsample::new().mode(mode).recompute_scale_factor(flag(a, "recompute_scale_factor", false));
    match (&a.0["size"], &a.0["scale_factor"]) {
        (Value::Null, Value::Number(n)) => layer.scale_factor(n.as_f64().unwrap()),
        (Value::Null, _) => match a.floats("scale_factor")[..] {
            [x] => layer.scale_factor([x]),
            [y, x] => layer.scale_factor([y, x]),
            _ => unreachable!(),
        },
        _ => match a.ints("size").iter().map(|&n| n as usize).collect::<Vec<_>>()[..] {
            [x] => layer.size([x]),
            [y, x] => layer.size([y, x]),
            [z, y, x] => layer.size([z, y, x]),
            _ => unreachable!(),
        },
    }
}

fn rearranging(kind: &str, a: &Args) -> Option<Box<dyn Forward>> {
    match kind {
        "Upsample" => boxed(upsample(a)),
        "PixelShuffle" => boxed(PixelShuffle::new(a.size("upscale_factor"))),
        "PixelUnshuffle" => boxed(PixelUnshuffle::new(a.size("downscale_factor"))),
        "ChannelShuffle" => boxed(ChannelShuffle::new(a.size("groups"))),
        "Unflatten" => {
            let sizes: Vec<usize> = a.ints("unflattened_size").iter().map(|&n| n as usize).collect();
            boxed(Unflatten::new(a.int("dim"), sizes))
        }
        "Unfold" => boxed(
            Unfold::new(sizes(a, "kernel_size", [0; 2]))
                .dilation(sizes(a, "dilation", [1; 2]))
                .padding(sizes(a, "padding", [0; 2]))
                .stride(sizes(a, "stride", [1; 2])),
        ),
        "Fold" => boxed(
            Fold::new(sizes(a, "output_size", [0; 2]), sizes(a, "kernel_size", [0; 2]))
                .dilation(sizes(a, "dilation", [1; 2]))
                .padding(sizes(a, "padding", [0; 2]))
                .stride(sizes(a, "stride", [1; 2])),
        ),
        _ => None,
    }
}

fn container(kind: &str, a: &Args) -> Option<Box<dyn Forward>> {
    match kind {
        "DepthwiseSeparableConv2d" => boxed(
            DepthwiseSeparableConv2d::new(a.size("i"), a.size("o"), a.size("k"))
                .stride(number(a, "stride", 1.0) as usize)
                .padding(number(a, "padding", 0.0) as usize)
                .dilation(number(a, "dilation", 1.0) as usize)
                .bias(flag(a, "bias", true)),
        ),
        "DenseBlock" => {
            let block = DenseBlock::new(a.size("n"), a.size("k0"), a.size("k"));
            boxed(if a.flag("bn") { block } else { block.kind(DenseLayerKind::ConvRelu) })
        }
        "Residual" => {
            let (i, o) = (a.size("i"), a.size("o"));
            let conv = |i| Conv2d::new(i, o, 3).padding(1);
            let block = Residual::new(sequential![conv(i), ReLU, conv(o)]);
            boxed(if i == o { block } else { block.shortcut(Conv2d::new(i, o, 1)) })
        }
        "Concat" => boxed(match a.int("dim") {
            1 => Concat::new().branch(Conv2d::new(2, 1, 1)).branch(Conv2d::new(2, 3, 3).padding(1)),
            dim => Concat::new().branch(Conv2d::new(2, 1, 1)).branch(Conv2d::new(2, 1, 1)).dim(dim),
        }),
        _ => None,
    }
}

/// The layer of a case with one input and one output.
fn layer(kind: &str, a: &Args) -> Box<dyn Forward> {
    let found = rearranging(kind, a).or_else(|| container(kind, a)).or_else(|| match &kind[kind.len() - 2..] {
        "1d" => by_dimensions::<1>(kind, a).or_else(|| pads!(kind, a, 1 2)),
        "2d" => by_dimensions::<2>(kind, a).or_else(|| pads!(kind, a, 2 4)),
        "3d" => by_dimensions::<3>(kind, a).or_else(|| pads!(kind, a, 3 6)),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("layer {kind}"))
}

fn with_indices(case: &Case) {
    let a = case.args();
    macro_rules! check {
        ($make:expr) => {
            case.check($make, |m, x| {
                let (y, i) = m.forward_with_indices(&x[0]);
                assert_eq!(y.to_vec_f64(), m.forward(&x[0]).to_vec_f64());
                vec![y, i]
            })
        };
    }
    match case.kind() {
        "MaxPool1d" => check!(|| max_pool::<1>(&a)),
        "MaxPool2d" => check!(|| max_pool::<2>(&a)),
        "MaxPool3d" => check!(|| max_pool::<3>(&a)),
        "AdaptiveMaxPool1d" => check!(|| AdaptiveMaxPool1d::new(sizes(&a, "output_size", [0]))),
        "AdaptiveMaxPool2d" => check!(|| AdaptiveMaxPool2d::new(sizes(&a, "output_size", [0; 2]))),
        "AdaptiveMaxPool3d" => check!(|| AdaptiveMaxPool3d::new(sizes(&a, "output_size", [0; 3]))),
        other => panic!("layer {other}"),
    }
}

trait Values {
    fn to_vec_f64(&self) -> Vec<f64>;
}

impl Values for Tensor {
    fn to_vec_f64(&self) -> Vec<f64> {
        self.detach().to_dtype(DType::F64).to_vec()
    }
}

fn two_inputs(case: &Case) {
    let a = case.args();
    match case.kind() {
        "Bilinear" => {
            let make = || Bilinear::new(a.size("in1_features"), a.size("in2_features"), a.size("out_features"));
            case.check(|| make().bias(flag(&a, "bias", true)), |m, x| vec![m.forward(&x[0], &x[1])]);
        }
        "CosineSimilarity" => case.check(
            || CosineSimilarity::new().dim(number(&a, "dim", 1.0) as isize).eps(number(&a, "eps", 1e-8)),
            |m, x| vec![m.forward(&x[0], &x[1])],
        ),
        _ => case.check(
            || {
                let layer = PairwiseDistance::new().p(number(&a, "p", 2.0)).eps(number(&a, "eps", 1e-6));
                layer.keepdim(flag(&a, "keepdim", false))
            },
            |m, x| vec![m.forward(&x[0], &x[1])],
        ),
    }
}

fn embedding(a: &Args) -> Embedding {
    let layer = Embedding::new(a.size("num_embeddings"), a.size("embedding_dim"));
    let layer = layer.norm_type(number(a, "norm_type", 2.0)).scale_grad_by_freq(flag(a, "scale_grad_by_freq", false));
    let layer = if a.has("max_norm") { layer.max_norm(a.float("max_norm")) } else { layer };
    if a.has("padding_idx") { layer.padding_idx(a.size("padding_idx")) } else { layer }
}

fn embedding_bag(a: &Args) -> EmbeddingBag {
    let mode = match a.text("mode") {
        "sum" => BagMode::Sum,
        "mean" => BagMode::Mean,
        _ => BagMode::Max,
    };
    let layer = EmbeddingBag::new(a.size("num_embeddings"), a.size("embedding_dim")).mode(mode);
    let layer = layer.scale_grad_by_freq(flag(a, "scale_grad_by_freq", false));
    let layer = layer.include_last_offset(flag(a, "include_last_offset", false));
    let layer = if a.has("max_norm") { layer.max_norm(a.float("max_norm")) } else { layer };
    if a.has("padding_idx") { layer.padding_idx(a.size("padding_idx")) } else { layer }
}

/// Floating inputs behind the indices are weights, integer ones offsets.
fn bags(m: &EmbeddingBag, x: &[Tensor]) -> Vec<Tensor> {
    let find = |float: bool| x[1..].iter().find(|t| t.dtype().is_float() == float);
    vec![m.forward_with(&x[0], find(false), find(true))]
}

#[test]
fn layers_agree_with_pytorch() {
    let cases = cases("conv");
    assert!(cases.len() >= 220, "only {} cases", cases.len());
    for case in &cases {
        let a = case.args();
        match case.kind() {
            "MaxUnpool1d" => max_unpool::<1>(case),
            "MaxUnpool2d" => max_unpool::<2>(case),
            "MaxUnpool3d" => max_unpool::<3>(case),
            "Bilinear" | "CosineSimilarity" | "PairwiseDistance" => two_inputs(case),
            "Embedding" => case.check(|| embedding(&a), |m, x| vec![m.forward(&x[0])]),
            "EmbeddingBag" => case.check(|| embedding_bag(&a), bags),
            _ if flag(&a, "return_indices", false) => with_indices(case),
            kind => case.check(|| layer(kind, &a), |m, x| vec![m.forward(&x[0])]),
        }
    }
}

/// An input without ties, requiring gradients.
fn input(shape: &[usize]) -> Tensor {
    let v = (0..shape.iter().product()).map(|i| (7.7 * i as f64 + 0.3).sin() + 0.01 * i as f64).collect();
    Tensor::from_vec::<f64>(v, shape).requires_grad_(true)
}

fn differentiable(mut layer: impl Forward, shape: &[usize]) {
    layer.to_dtype(DType::F64);
    check_gradients(&layer, &[input(shape)], |m, x| vec![m.forward(&x[0])]);
    check_gradients(&layer, &[input(shape)], |m, x| vec![m.forward(&x[0]).square()]);
}

#[test]
fn convolutions_differentiate_twice() {
    manual_seed(5);
    for mode in [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular] {
        differentiable(Conv2d::new(1, 2, 3).padding([1, 2]).padding_mode(mode).stride([1, 2]), &[1, 1, 3, 3]);
        differentiable(Conv1d::new(2, 1, 2).padding(Padding::Same).padding_mode(mode), &[1, 2, 3]);
    }
    differentiable(Conv3d::new(1, 2, [1, 2, 2]).dilation([1, 1, 2]), &[1, 1, 2, 2, 3]);
    differentiable(ConvTranspose1d::new(2, 2, 3).stride(2).padding(1).output_padding(1).groups(2), &[1, 2, 3]);
    differentiable(ConvTranspose2d::new(2, 1, 2).stride([2, 1]).dilation([1, 2]), &[1, 2, 2, 2]);
    differentiable(ConvTranspose3d::new(1, 1, [1, 2, 2]), &[1, 1, 2, 1, 2]);
    differentiable(DepthwiseSeparableConv2d::new(2, 2, 2), &[1, 2, 3, 2]);
    differentiable(FixedConv2d::sobel(), &[1, 2, 4, 3]);
}

#[test]
fn pooling_padding_and_resizing_differentiate_twice() {
    differentiable(MaxPool3d::new([1, 2, 1]), &[1, 1, 2, 3, 2]);
    differentiable(AdaptiveMaxPool2d::new([2, 1]), &[1, 1, 3, 3]);
    differentiable(AdaptiveAvgPool1d::new(2), &[1, 2, 5]);
    differentiable(AvgPool3d::new([2, 1, 2]), &[1, 1, 2, 2, 3]);
    differentiable(LPPool2d::new(2.0, 2), &[1, 1, 4, 3]);
    let places = MaxPool1d::new(2).forward_with_indices(&input(&[1, 2, 5])).1;
    check_gradients(&MaxUnpool1d::new(2), &[input(&[1, 2, 2])], |m, x| vec![m.forward(&x[0], &places).square()]);
    differentiable(ZeroPad2d::new([1, -1, 0, 2]), &[1, 1, 2, 3]);
    differentiable(ConstantPad1d::new(1, 2.0), &[1, 2, 2]);
    differentiable(ReflectionPad2d::new(1), &[1, 1, 2, 3]);
    differentiable(ReplicationPad3d::new(1), &[1, 1, 1, 2, 2]);
    differentiable(CircularPad2d::new([2, 0, 1, 1]), &[1, 1, 2, 2]);
    for mode in [
        Interpolation::Nearest,
        Interpolation::NearestExact,
        Interpolation::Linear { align_corners: false },
        Interpolation::Cubic { align_corners: false },
    ] {
        differentiable(Upsample::new().size([3, 5]).mode(mode), &[1, 1, 2, 3]);
    }
    differentiable(PixelShuffle::new(2), &[1, 4, 1, 2]);
    differentiable(PixelUnshuffle::new(2), &[1, 1, 2, 4]);
    differentiable(ChannelShuffle::new(2), &[1, 4, 2]);
    differentiable(Unflatten::new(1, [2, 3]), &[1, 6]);
    differentiable(Unfold::new(2), &[1, 1, 3, 2]);
    differentiable(Fold::new([3, 2], 2), &[1, 4, 2]);
}

#[test]
fn containers_and_layers_of_two_inputs_differentiate_twice() {
    manual_seed(6);
    let tanh = || sequential![Conv2d::new(1, 1, 3).padding(1), Tanh];
    differentiable(Residual::new(tanh()), &[1, 1, 2, 3]);
    differentiable(Concat::new().branch(tanh()).branch(Conv2d::new(1, 2, 1)), &[1, 1, 2, 2]);
    differentiable(DenseBlock::new(2, 1, 1).kind(DenseLayerKind::ConvRelu), &[1, 1, 2, 3]);
    differentiable(DenseBlock::new(2, 2, 1), &[2, 2, 2, 2]);
    let mut form = Bilinear::new(2, 3, 2);
    form.to_dtype(DType::F64);
    let pair = || [input(&[2, 2]), input(&[2, 3])];
    check_gradients(&form, &pair(), |m, x| vec![m.forward(&x[0], &x[1])]);
    let pair = || [input(&[2, 3]), (input(&[2, 3]).detach() * 0.7 - 0.4).requires_grad_(true)];
    check_gradients(&CosineSimilarity::new(), &pair(), |m, x| vec![m.forward(&x[0], &x[1])]);
    for p in [1.0, 2.0, 3.0] {
        check_gradients(&PairwiseDistance::new().p(p), &pair(), |m, x| vec![m.forward(&x[0], &x[1])]);
    }
    let index = Tensor::from_slice(&[1i64, 0, 2, 1], [2, 2]);
    for mode in [BagMode::Sum, BagMode::Mean, BagMode::Max] {
        let mut bag = EmbeddingBag::new(3, 2).mode(mode);
        bag.to_dtype(DType::F64);
        check_gradients(&bag, std::slice::from_ref(&index), |m, x| vec![m.forward(&x[0]).square()]);
    }
}
