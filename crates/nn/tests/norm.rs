//! Normalisations and initialisers: agreement with PyTorch (`scripts/goldens/norm.py`), gradients to second
//! order, edges, messages, and the statements about variance.

mod support;

use gradus_nn::init::{self, Moments};
use gradus_nn::losses::mse_loss;
use gradus_nn::optim::{Optimizer, Sgd};
use gradus_nn::probe::activations;
use gradus_nn::*;
use gradus_tensor::{DType, Tensor, manual_seed, no_grad};
use support::{Args, cases, check_gradients, panic_of};

fn near(a: &Tensor, b: &Tensor) -> bool {
    a.shape() == b.shape() && (a.numel() == 0 || (a - b).abs().max().item_f64() < 1e-5)
}

fn f64s(shape: impl gradus_tensor::IntoShape) -> Tensor {
    Tensor::randn(shape).to_dtype(DType::F64)
}

fn linear(a: &Args) -> Linear {
    Linear::new(a.size("in_features"), a.size("out_features")).bias(a.0["bias"] != false)
}

fn conv<const D: usize>(a: &Args) -> gradus_nn::Conv<D> {
    gradus_nn::Conv::new(a.size("in_channels"), a.size("out_channels"), a.size("kernel_size"))
}

fn transposed(a: &Args) -> ConvTranspose2d {
    ConvTranspose2d::new(a.size("in_channels"), a.size("out_channels"), a.size("kernel_size"))
}

fn weight_norm<L: HasWeight + 'static>(layer: L, a: &Args) -> Box<dyn Forward> {
    let layer = WeightNorm::new(layer);
    match &a.0["options"]["dim"] {
        _ if a.0["options"].get("dim").is_none() => Box::new(layer),
        dim => Box::new(layer.dim(dim.as_u64().map(|d| d as usize))),
    }
}

fn spectral_norm<L: HasWeight + 'static>(layer: L, a: &Args) -> Box<dyn Forward> {
    let options = Args(&a.0["options"]);
    let size = |name: &str, default: usize| if options.has(name) { options.size(name) } else { default };
    let eps = if options.has("eps") { options.float("eps") } else { 1e-12 };
    let layer = SpectralNorm::new(layer).n_power_iterations(size("n_power_iterations", 1));
    Box::new(if options.has("dim") { layer.dim(options.size("dim")).eps(eps) } else { layer.eps(eps) })
}

fn batch_norm<const D: usize>(a: &Args) -> Box<dyn Forward> {
    let layer = BatchNorm::<D>::new(a.size("num_features")).eps(eps(a)).track_running_stats(flag(
        a,
        "track_running_stats",
        true,
    ));
    let layer = layer.bias(flag(a, "bias", true));
    Box::new(if a.0.get("momentum").is_some() { layer.momentum(a.0["momentum"].as_f64()) } else { layer })
}

fn instance_norm<const D: usize>(a: &Args) -> Box<dyn Forward> {
    let layer = InstanceNorm::<D>::new(a.size("num_features")).eps(eps(a)).affine(flag(a, "affine", false));
    let layer = layer.bias(flag(a, "affine", false) && flag(a, "bias", true));
    let layer = layer.track_running_stats(flag(a, "track_running_stats", false));
    Box::new(if a.has("momentum") { layer.momentum(a.float("momentum")) } else { layer })
}

fn flag(a: &Args, name: &str, default: bool) -> bool {
    if a.has(name) { a.flag(name) } else { default }
}

fn eps(a: &Args) -> f64 {
    if a.has("eps") { a.float("eps") } else { 1e-5 }
}

fn normalized(a: &Args) -> Vec<isize> {
    if a.0["normalized_shape"].is_array() { a.ints("normalized_shape") } else { vec![a.int("normalized_shape")] }
}

fn layer(kind: &str, a: &Args) -> Box<dyn Forward> {
    let number = |name: &str, default: f64| if a.has(name) { a.float(name) } else { default };
    match kind {
        "LayerNorm" => {
            let l = LayerNorm::new(normalized(a)).eps(eps(a));
            Box::new(l.elementwise_affine(flag(a, "elementwise_affine", true)).bias(flag(a, "bias", true)))
        }
        "RMSNorm" => {
            let l = RMSNorm::new(normalized(a)).eps(a.0["eps"].as_f64());
            Box::new(l.elementwise_affine(flag(a, "elementwise_affine", true)))
        }
        "GroupNorm" => {
            let l = GroupNorm::new(a.size("num_groups"), a.size("num_channels")).eps(eps(a));
            Box::new(l.affine(flag(a, "affine", true)).bias(flag(a, "bias", true)))
        }
        "BatchNorm1d" => batch_norm::<1>(a),
        "BatchNorm2d" => batch_norm::<2>(a),
        "BatchNorm3d" => batch_norm::<3>(a),
        "InstanceNorm1d" => instance_norm::<1>(a),
        "InstanceNorm2d" => instance_norm::<2>(a),
        "InstanceNorm3d" => instance_norm::<3>(a),
        "LocalResponseNorm" => {
            let l = LocalResponseNorm::new(a.size("size")).alpha(number("alpha", 1e-4));
            Box::new(l.beta(number("beta", 0.75)).k(number("k", 1.0)))
        }
        "WeightNorm" => match a.text("layer") {
            "Linear" => weight_norm(linear(a), a),
            "ConvTranspose2d" => weight_norm(transposed(a), a),
            _ => weight_norm(conv::<2>(a), a),
        },
        "SpectralNorm" => match a.text("layer") {
            "Linear" => spectral_norm(linear(a), a),
            "Conv1d" => spectral_norm(conv::<1>(a), a),
            "ConvTranspose2d" => spectral_norm(transposed(a), a),
            _ => spectral_norm(conv::<2>(a), a),
        },
        other => panic!("layer {other}"),
    }
}

#[test]
fn normalisations_and_initialisers_agree_with_pytorch() {
    let cases = cases("norm");
    assert!(cases.len() >= 58, "only {} cases", cases.len());
    for case in &cases {
        let like = |x: &Tensor, f: &dyn Fn(&Tensor)| {
            let t = Tensor::full_of(x.shape(), f64::NAN, x.dtype());
            f(&t);
            vec![t]
        };
        match case.kind() {
            "dirac_" => case.check_function(|x| like(&x[0], &|t| init::dirac_(t, case.args().size("groups")))),
            "eye_" => case.check_function(|x| like(&x[0], &init::eye_)),
            kind => case.check(|| layer(kind, &case.args()), |m, x| vec![m.forward(&x[0])]),
        }
    }
}

/// A gradient penalty passes through each of them.
#[test]
fn every_normalisation_differentiates_twice() {
    manual_seed(4);
    let layers: Vec<(Box<dyn Forward>, Vec<usize>)> = vec![
        (Box::new(LayerNorm::new([2, 3])), vec![2, 2, 3]),
        (Box::new(RMSNorm::new(4)), vec![2, 4]),
        (Box::new(GroupNorm::new(2, 4)), vec![2, 4, 2]),
        (Box::new(InstanceNorm1d::new(2).affine(true)), vec![2, 2, 3]),
        (Box::new(InstanceNorm2d::new(2)), vec![1, 2, 2, 2]),
        (Box::new(InstanceNorm3d::new(2).track_running_stats(true)), vec![2, 1, 2, 2]),
        (Box::new(BatchNorm1d::new(2)), vec![4, 2]),
        (Box::new(BatchNorm2d::new(2).bias(false)), vec![2, 2, 2, 1]),
        (Box::new(BatchNorm3d::new(1).affine(false)), vec![2, 1, 2, 1, 2]),
        (Box::new(LocalResponseNorm::new(3).alpha(0.7)), vec![1, 4, 2]),
        (Box::new(WeightNorm::new(Linear::new(3, 2))), vec![2, 3]),
        (Box::new(WeightNorm::new(Conv1d::new(2, 2, 2)).dim(None)), vec![1, 2, 3]),
        (Box::new(SpectralNorm::new(Linear::new(3, 2))), vec![2, 3]),
        (Box::new(SpectralNorm::new(Conv1d::new(2, 2, 2)).dim(1)), vec![1, 2, 3]),
    ];
    for (mut layer, shape) in layers {
        layer.to_dtype(DType::F64);
        // Running averages and singular vectors must stay while differences are taken.
        for train in [false, true] {
            if train && layer.named_modules()[0].1 == "SpectralNorm" {
                continue;
            }
            if train {
                layer.train()
            } else {
                layer.eval()
            }
            let x = f64s(&shape).requires_grad_(true);
            check_gradients(&layer, &[x], |m, x| vec![m.forward(&x[0])]);
        }
    }
}

#[test]
fn equal_values_become_the_bias() {
    let layers: Vec<(Box<dyn Forward>, Vec<usize>)> = vec![
        (Box::new(LayerNorm::new(4)), vec![2, 4]),
        (Box::new(LayerNorm::new(1)), vec![3, 1]),
        (Box::new(GroupNorm::new(2, 4)), vec![1, 4, 3]),
        (Box::new(GroupNorm::new(4, 4)), vec![2, 4, 1]),
        (Box::new(InstanceNorm1d::new(4).affine(true)), vec![2, 4, 3]),
        (Box::new(BatchNorm1d::new(4)), vec![3, 4]),
        (Box::new(BatchNorm2d::new(4)), vec![1, 4, 2, 2]),
    ];
    for (layer, shape) in layers {
        let state = layer.state_dict();
        no_grad(|| state.get("bias").unwrap().fill_(0.5));
        let x = Tensor::full(&shape, 7.0).requires_grad_(true);
        let y = layer.forward(&x);
        assert_eq!(y.to_vec::<f32>(), vec![0.5; x.numel()], "{:?}", layer.named_modules());
        y.square().sum().backward();
        assert!(x.grad().unwrap().isfinite().all());
        assert!(layer.parameters().iter().all(|p| p.grad().unwrap().isfinite().all()));
    }
    let x = Tensor::zeros([2, 3]).requires_grad_(true);
    let y = RMSNorm::new(3).forward(&x);
    y.sum().backward();
    assert!(y.eq_scalar(0.0).all() && x.grad().unwrap().isfinite().all());
}

#[test]
fn an_empty_batch_passes_and_leaves_the_averages() {
    let layers: Vec<(Box<dyn Forward>, Vec<usize>)> = vec![
        (Box::new(LayerNorm::new(4)), vec![0, 4]),
        (Box::new(RMSNorm::new(4)), vec![2, 0, 4]),
        (Box::new(GroupNorm::new(2, 4)), vec![0, 4, 3]),
        (Box::new(InstanceNorm1d::new(4).affine(true).track_running_stats(true)), vec![0, 4, 3]),
        (Box::new(BatchNorm1d::new(4)), vec![0, 4]),
        (Box::new(BatchNorm3d::new(4)), vec![0, 4, 2, 2, 2]),
        (Box::new(LocalResponseNorm::new(2)), vec![0, 4, 2]),
        (Box::new(WeightNorm::new(Linear::new(4, 4))), vec![0, 4]),
    ];
    for (layer, shape) in layers {
        let x = Tensor::zeros(&shape).requires_grad_(true);
        let y = layer.forward(&x);
        y.sum().backward();
        assert_eq!((y.shape(), x.grad().unwrap().shape()), (x.shape(), x.shape()));
        assert!(layer.parameters().iter().all(|p| p.grad().is_none_or(|g| g.eq_scalar(0.0).all())));
        for (name, expected) in [("running_mean", 0.0), ("running_var", 1.0)] {
            assert!(layer.state_dict().get(name).is_none_or(|t| t.eq_scalar(expected).all()), "{name}");
        }
    }
}

#[test]
fn eps_is_added_to_the_variance() {
    // Variance 1 of the values 1 and 3: with eps 3 they become -1/2 and 1/2.
    let x = Tensor::from_slice(&[1.0f32, 3.0], [1, 1, 2]);
    let expected = Tensor::from_slice(&[-0.5f32, 0.5], [1, 1, 2]);
    assert!(near(&LayerNorm::new(2).eps(3.0).forward(&x), &expected));
    assert!(near(&GroupNorm::new(1, 1).eps(3.0).forward(&x), &expected));
    assert!(near(&InstanceNorm1d::new(1).eps(3.0).forward(&x), &expected));
    assert!(near(&BatchNorm1d::new(1).eps(3.0).forward(&x), &expected));
    // Mean square 5: with eps 11 the root is 4.
    assert!(near(&RMSNorm::new(2).eps(11.0).forward(&x), &Tensor::from_slice(&[0.25f32, 0.75], [1, 1, 2])));
}

/// The batch's variance is biased, the running one is not, and eps has no part in either.
#[test]
fn the_running_variance_is_unbiased_and_without_eps() {
    let layer = BatchNorm1d::new(1).momentum(1.0).eps(0.5);
    layer.forward(&Tensor::from_slice(&[0.0f32, 2.0, 4.0], [3, 1]));
    assert_eq!(layer.running_var.as_ref().unwrap().item(), 4.0);
    let layer = InstanceNorm1d::new(1).momentum(1.0).eps(0.5).track_running_stats(true);
    layer.forward(&Tensor::from_slice(&[0.0f32, 2.0, 4.0, 1.0, 1.0, 1.0], [2, 1, 3]));
    assert_eq!(layer.running_var.as_ref().unwrap().item(), 2.0);
}

#[test]
fn wrong_shapes_name_the_layer() {
    #[derive(Module)]
    struct Net {
        norms: Vec<Box<dyn Forward>>,
    }
    let net = Net {
        norms: vec![
            Box::new(LayerNorm::new([3, 4])),
            Box::new(RMSNorm::new(4)),
            Box::new(GroupNorm::new(2, 4)),
            Box::new(InstanceNorm2d::new(3)),
            Box::new(LocalResponseNorm::new(2)),
            Box::new(WeightNorm::new(Linear::new(3, 2))),
            Box::new(SpectralNorm::new(Conv1d::new(3, 2, 1))),
        ],
    };
    net.parameters();
    let message = |i: usize, shape: &[usize]| panic_of(|| net.norms[i].forward(&Tensor::zeros(shape)));
    assert_eq!(message(0, &[2, 4]), "LayerNorm in layer `norms.0`: needs an input [..., 3, 4], got [2, 4]");
    assert_eq!(message(1, &[4, 2]), "RMSNorm in layer `norms.1`: needs an input [..., 4], got [4, 2]");
    assert_eq!(message(2, &[2, 6]), "GroupNorm in layer `norms.2`: needs an input [N, C, ...] with C = 4, got [2, 6]");
    assert_eq!(
        message(3, &[2, 4, 5, 5]),
        "InstanceNorm2d in layer `norms.3`: needs an input [N, C, H, W] or [C, H, W] with C = 3, got [2, 4, 5, 5]"
    );
    assert_eq!(
        message(3, &[2, 3, 1, 1]),
        "InstanceNorm2d in layer `norms.3`: needs more than one value a channel, got [2, 3, 1, 1]"
    );
    assert_eq!(message(4, &[2, 4]), "LocalResponseNorm in layer `norms.4`: needs an input [N, C, L...], got [2, 4]");
    assert_eq!(
        message(5, &[2, 4]),
        "Linear in layer `norms.5`: needs an input [..., 3] (the weight is [2, 3]), got [2, 4]"
    );
    let text = message(6, &[1, 4, 2]);
    assert!(text.contains("in layer `norms.6`") && text.contains("[1, 4, 2]"), "{text}");
    let text = panic_of(|| GroupNorm::new(4, 6));
    assert_eq!(text, "GroupNorm: 6 channels cannot be divided into 4 groups");
}

#[test]
fn wrapped_weights_are_refused_without_a_direction() {
    let zero = |rows: usize| {
        let layer = Linear::new(3, 2);
        no_grad(|| layer.weight.narrow(0, 0, rows).zero_());
        layer
    };
    let text = panic_of(|| WeightNorm::new(zero(1)));
    assert_eq!(text, "WeightNorm: the weight [2, 3] is zero for an output: it has no direction");
    assert!(panic_of(|| SpectralNorm::new(zero(2))).contains("the weight [2, 3] is zero"));
    SpectralNorm::new(zero(1));
    assert!(panic_of(|| WeightNorm::new(Linear::new(3, 2)).dim(2)).contains("has no dimension 2"));
    assert!(panic_of(|| SpectralNorm::new(Linear::new(3, 2)).dim(2)).contains("dimension 2 among them, got [2, 3]"));
    assert!(panic_of(|| SpectralNorm::new(Linear::new(3, 2)).n_power_iterations(0)).contains("got 0"));
}

/// The wrapper stands in the place of its layer: one module, no `weight`, conversions reach all that is left.
#[test]
fn a_wrapped_layer_shows_everything_but_its_weight() {
    let mut m = sequential![SpectralNorm::new(Conv2d::new(2, 3, 3)), WeightNorm::new(Embedding::new(4, 2))];
    let names = m.state_dict().names().map(str::to_string).collect::<Vec<_>>();
    let expected = [
        "0.bias",
        "0.parametrizations.weight.original",
        "0.parametrizations.weight.0._u",
        "0.parametrizations.weight.0._v",
        "1.parametrizations.weight.original0",
        "1.parametrizations.weight.original1",
    ];
    assert_eq!(names, expected);
    assert_eq!(m.parameters().len(), 4);
    assert_eq!(m.num_parameters(), 3 + 54 + 4 + 8);
    let kinds: Vec<_> = m.named_modules().into_iter().map(|(_, kind)| kind).collect();
    assert!(kinds.contains(&"SpectralNorm") && !kinds.contains(&"Conv2d"), "{kinds:?}");
    m.to_dtype(DType::F64);
    assert!(m.state_dict().iter().all(|(_, t)| t.dtype() == DType::F64));
    let mut direction = WeightNorm::new(Linear::new(3, 2));
    let before = direction.weight();
    direction.to_dtype(DType::F64);
    assert!(near(&direction.weight(), &before.to_dtype(DType::F64)));
}

/// A second forward pass between the first and its backward pass, as in a GAN's step, changes the buffers.
#[test]
fn spectral_norm_takes_two_passes_before_one_backward() {
    manual_seed(2);
    let layer = SpectralNorm::new(Linear::new(4, 3));
    let (x, y) = (Tensor::randn([2, 4]), Tensor::randn([2, 4]));
    (layer.forward(&x).sum() - layer.forward(&y).sum()).backward();
    layer.eval();
    let loss = layer.forward(&x).sum();
    layer.train();
    layer.forward(&x);
    loss.backward();
    // In use nothing moves.
    layer.eval();
    let before = layer.state_dict().get("parametrizations.weight.0._u").unwrap().to_vec::<f32>();
    layer.forward(&x);
    assert_eq!(layer.state_dict().get("parametrizations.weight.0._u").unwrap().to_vec::<f32>(), before);
}

/// The largest singular value is 1 whatever the weight, and no input is made longer.
#[test]
fn spectral_norm_bounds_the_layer() {
    manual_seed(6);
    let layer = Linear::new(8, 6).bias(false);
    init::normal_(&layer.weight, 0.0, 3.0);
    let layer = SpectralNorm::new(layer).n_power_iterations(40);
    let x = Tensor::randn([50, 8]);
    let y = layer.forward(&x);
    let ratio = y.norm_dim(2.0, 1, false) / x.norm_dim(2.0, 1, false);
    assert!(ratio.max().item() <= 1.0 + 1e-4 && ratio.max().item() > 0.5);
}

/// A recurrent cell whose input transform is normalised over the batch at each step.
#[test]
fn batch_norm_works_in_a_recurrence() {
    #[derive(Module)]
    struct Cell {
        input: Linear,
        norm: BatchNorm1d,
        hidden: Linear,
    }
    manual_seed(7);
    let mut cell = Cell { input: Linear::new(2, 3).bias(false), norm: BatchNorm1d::new(3), hidden: Linear::new(3, 3) };
    cell.to_dtype(DType::F64);
    let run = |cell: &Cell, x: &Tensor| {
        let mut h = Tensor::zeros([x.size(1), 3]).to_dtype(DType::F64);
        for step in x.unbind(0) {
            h = (cell.norm.forward(&cell.input.forward(&step)) + cell.hidden.forward(&h)).tanh();
        }
        h
    };
    let x = f64s([3, 4, 2]).requires_grad_(true);
    check_gradients(&cell, std::slice::from_ref(&x), |cell, x| vec![run(cell, &x[0])]);
    assert!(cell.norm.num_batches_tracked.as_ref().unwrap().item_i64() > 3);
    // In use one sequence alone is enough.
    cell.eval();
    assert!(run(&cell, &x.narrow(1, 0, 1)).isfinite().all());
}

/// The mean that is taken out takes the bias with it.
#[test]
fn a_bias_before_batch_norm_does_nothing() {
    manual_seed(8);
    let (fc, norm) = (Linear::new(3, 4), BatchNorm1d::new(4));
    let x = Tensor::randn([16, 3]);
    let y = norm.forward(&fc.forward(&x));
    y.square().select(1, 0).sum().backward();
    let bias = fc.bias.as_ref().unwrap();
    assert!(bias.grad().unwrap().abs().max().item() < 1e-4);
    no_grad(|| bias.fill_(5.0));
    assert!((norm.forward(&fc.forward(&x)) - y).abs().max().item() < 1e-4);
}

/// Weights begun far too large: without normalisation the values leave every range, with it they stay.
#[test]
fn batch_norm_forgives_careless_initial_values() {
    manual_seed(9);
    let deep = |normalised: bool| {
        let mut m = Sequential::new();
        for _ in 0..20 {
            let fc = Linear::new(64, 64).bias(false);
            init::normal_(&fc.weight, 0.0, 1.0);
            m.push(fc);
            if normalised {
                m.push(BatchNorm1d::new(64));
            }
            m.push(ReLU);
        }
        activations(&m, &Tensor::randn([128, 64])).last().unwrap().variance
    };
    assert!(deep(false) > 1e20);
    let variance = deep(true);
    assert!((0.2..0.6).contains(&variance), "{variance}");
}

/// Gradient descent on least squares, inputs of very different scale: steps to a small loss, each at a rate near
/// the largest that is stable.
#[test]
fn normalised_inputs_converge_in_fewer_steps() {
    manual_seed(10);
    let scale = Tensor::from_slice(&[10.0f32, 1.0, 0.3], [3]);
    let x = Tensor::randn([256, 3]) * &scale;
    let target = x.matmul(&(Tensor::ones([3, 1]) / scale.reshape([3, 1])));
    let steps = |x: &Tensor, rate: f64| {
        let layer = Linear::new(3, 1);
        let mut optimizer = Sgd::new(layer.parameters(), rate);
        for step in 0..5000 {
            optimizer.zero_grad();
            let loss = mse_loss(&layer.forward(x), &target);
            if loss.item() < 1e-3 {
                return step;
            }
            loss.backward();
            optimizer.step();
        }
        5000
    };
    let normal = BatchNorm1d::new(3).affine(false);
    let (raw, normalised) = (steps(&x, 0.8 / 100.0), steps(&normal.forward(&x).detach(), 0.8 / 1.0));
    assert!(normalised < 30 && raw > 20 * normalised, "{raw} against {normalised}");
}

#[test]
fn orthogonal_matrices_are_orthogonal() {
    manual_seed(11);
    for (shape, gain) in
        [(vec![4, 4], 1.0), (vec![3, 7], 2.0), (vec![9, 4], 0.5), (vec![6, 2, 3, 1], 1.0), (vec![1, 5], 1.0)]
    {
        let t = Tensor::full_of(&shape, f64::NAN, DType::F64).requires_grad_(true);
        init::orthogonal_(&t, gain);
        let (rows, w) = (shape[0], t.detach().reshape([shape[0] as isize, -1]));
        let square = if rows <= w.size(1) { w.matmul(&w.t()) } else { w.t().matmul(&w) };
        let expected = Tensor::eye(square.size(0)).to_dtype(DType::F64) * (gain * gain);
        assert!((square - expected).abs().max().item_f64() < 1e-13, "{shape:?}");
    }
    // Drawn evenly: signs and places have no favourite.
    let draw = || {
        let t = Tensor::zeros([3, 3]);
        init::orthogonal_(&t, 1.0);
        t
    };
    let all: Vec<Tensor> = (0..2000).map(|_| draw()).collect();
    let all = Tensor::stack(&all.iter().collect::<Vec<_>>(), 0);
    assert!(all.mean_dim(0, false).abs().max().item() < 0.06);
    assert!((all.square().mean_dim(0, false) - 1.0 / 3.0).abs().max().item() < 0.03);
    init::orthogonal_(&Tensor::zeros([0, 3]), 1.0);
    assert_eq!(
        panic_of(|| init::orthogonal_(&Tensor::zeros([3]), 1.0)),
        "orthogonal_: needs a tensor of two dimensions or more, got [3]"
    );
}

/// Moments of the truncated normal distribution: with alpha and beta the standardised bounds, phi the density and
/// Z the share within, the mean is mu + sigma (phi(alpha) - phi(beta)) / Z and the variance
/// sigma^2 (1 + (alpha phi(alpha) - beta phi(beta)) / Z - ((phi(alpha) - phi(beta)) / Z)^2).
#[test]
fn truncated_normals_have_their_moments() {
    manual_seed(12);
    let erf = |x: f64| Tensor::full_of((), x, DType::F64).erf().item_f64();
    for (mean, std, a, b) in
        [(0.0, 1.0, -2.0, 2.0), (1.0, 0.5, 0.8, 3.0), (0.0, 1.0, 2.0, 3.0), (0.0, 0.02, -0.04, 0.01)]
    {
        let t = Tensor::zeros([200, 500]);
        init::trunc_normal_(&t, mean, std, a, b);
        assert!(t.min().item() as f64 >= a - 1e-7 && t.max().item() as f64 <= b + 1e-7);
        let (alpha, beta) = ((a - mean) / std, (b - mean) / std);
        let phi = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let z = 0.5 * (erf(beta / 2f64.sqrt()) - erf(alpha / 2f64.sqrt()));
        let shift = (phi(alpha) - phi(beta)) / z;
        let variance = std * std * (1.0 + (alpha * phi(alpha) - beta * phi(beta)) / z - shift * shift);
        let t = t.to_dtype(DType::F64);
        assert!((t.mean().item_f64() - mean - std * shift).abs() < 0.01 * std, "{a} {b}");
        assert!((t.var(0).item_f64() / variance - 1.0).abs() < 0.02, "{a} {b}");
    }
    assert!(panic_of(|| init::trunc_normal_(&Tensor::zeros([1]), 0.0, 1.0, 2.0, 2.0)).contains("needs a < b"));
    assert!(panic_of(|| init::trunc_normal_(&Tensor::zeros([1]), 0.0, 0.0, 1.0, 2.0)).contains("a positive std"));
}

#[test]
fn sparse_columns_have_their_zeros() {
    manual_seed(13);
    let t = Tensor::zeros([50, 40]);
    init::sparse_(&t, 0.61, 0.1);
    let zeros = t.eq_scalar(0.0).to_dtype(DType::F32);
    assert!(zeros.sum_dim(0, false).eq_scalar(31.0).all());
    assert!(zeros.sum_dim(1, false).min().item() > 10.0);
    let rest = t.masked_select(&t.ne_scalar(0.0));
    assert!((rest.std(0).item() - 0.1).abs() < 0.01 && rest.mean().item().abs() < 0.01);
    assert!(panic_of(|| init::sparse_(&t, 1.5, 0.1)).contains("got [50, 40] and 1.5"));
    assert!(panic_of(|| init::eye_(&Tensor::zeros([3]))).contains("needs a matrix, got [3]"));
    assert!(panic_of(|| init::dirac_(&Tensor::zeros([3, 3]), 1)).contains("got [3, 3]"));
    assert!(panic_of(|| init::dirac_(&Tensor::zeros([3, 3, 1]), 2)).contains("cannot be divided into 2 groups"));
}

#[test]
fn fan_in_bounds_the_range() {
    manual_seed(14);
    let t = Tensor::zeros([100, 100]);
    init::uniform_fan_in_(&t, 25);
    let (largest, std) = (t.abs().max().item(), t.std(0).item());
    assert!(largest <= 0.2 && largest > 0.199 && (std - 0.2 / 3f32.sqrt()).abs() < 0.002);
}

/// The rules of variance, against draws that meet their conditions and draws that do not.
#[test]
fn variance_goes_through_products_and_sums_as_stated() {
    manual_seed(15);
    let n = 400_000;
    let (mx, my) = (Moments { mean: 1.5, variance: 4.0 }, Moments { mean: -0.5, variance: 0.25 });
    let draw = |m: Moments| Tensor::normal(m.mean, m.variance.sqrt(), [n]).to_dtype(DType::F64);
    let found = |t: &Tensor| Moments { mean: t.mean().item_f64(), variance: t.var(0).item_f64() };
    let close = |a: Moments, b: Moments| {
        let scale = b.variance.sqrt();
        (a.mean - b.mean).abs() < 0.01 * scale && (a.variance / b.variance - 1.0).abs() < 0.02
    };
    let (x, y) = (draw(mx), draw(my));
    assert!(close(found(&(&x * &y)), mx.times(my)), "{:?}", found(&(&x * &y)));
    // Dependent: X times itself.
    assert!(!close(found(&(&x * &x)), mx.times(mx)));
    // 20 independent terms; then 20 times the same one, whose mean alone follows the rule.
    let rows = |t: &Tensor| t.reshape([-1, 20]).sum_dim(1, false);
    assert!((found(&rows(&x)).variance / mx.summed(20).variance - 1.0).abs() < 0.03);
    let same = found(&(&x * 20.0));
    assert!((same.mean / mx.summed(20).mean - 1.0).abs() < 0.02 && same.variance > 10.0 * mx.summed(20).variance);
    // Inputs that depend on each other, random weights of mean zero: n Var(w) E(x^2), for centred data or not.
    for mean in [0.0, 2.0] {
        let shared = Tensor::normal(0.0, 1.0, [2000, 1]) + Tensor::normal(mean, 0.5, [2000, 50]);
        let moments = Moments { mean, variance: 1.25 };
        let w = Moments { mean: 0.0, variance: 0.04 };
        let preactivations = shared.matmul(&Tensor::normal(0.0, 0.2, [50, 4000])).to_dtype(DType::F64);
        let expected = moments.times(w).summed(50).variance;
        assert!((expected - 50.0 * 0.04 * moments.mean_square()).abs() < 1e-12);
        assert!((found(&preactivations).variance / expected - 1.0).abs() < 0.1);
    }
}
