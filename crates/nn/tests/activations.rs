//! Activations, dropouts and perceptrons: PyTorch's values (made by `scripts/goldens/activations.py`), finite
//! differences to the second order, far points, and what the layers promise beyond.

mod support;

use gradus_nn::*;
use gradus_tensor::autograd::{GradOptions, grad};
use gradus_tensor::{DType, Tensor, manual_seed, no_grad};
use std::collections::{BTreeMap, BTreeSet};
use support::{Args, cases, check_gradients, panic_of};

/// The layer of a name with the arguments given, PyTorch's defaults elsewhere.
fn layer(kind: &str, a: &Args) -> Box<dyn Forward> {
    let number = |name: &str, default: f64| if a.has(name) { a.float(name) } else { default };
    match kind {
        "LeakyReLU" if a.has("negative_slope") => match a.float("negative_slope") {
            0.1 => Box::new(LeakyReLU::notes()),
            0.2 => Box::new(LeakyReLU::dcgan()),
            slope => Box::new(LeakyReLU::new().negative_slope(slope)),
        },
        "ELU" if a.has("alpha") => Box::new(ELU::new().alpha(a.float("alpha"))),
        "CELU" if a.has("alpha") => Box::new(CELU::new().alpha(a.float("alpha"))),
        "GELU" if a.has("approximate") => Box::new(GELU::new().approximate(Approximate::Tanh)),
        "Softplus" if a.has("beta") => {
            Box::new(Softplus::new().beta(a.float("beta")).threshold(number("threshold", 20.0)))
        }
        "Hardtanh" if a.has("min_val") => {
            Box::new(Hardtanh::new().min_val(a.float("min_val")).max_val(a.float("max_val")))
        }
        "Hardshrink" if a.has("lambd") => Box::new(Hardshrink::new().lambd(a.float("lambd"))),
        "Softshrink" if a.has("lambd") => Box::new(Softshrink::new().lambd(a.float("lambd"))),
        "Threshold" => Box::new(Threshold::new(a.float("threshold"), a.float("value"))),
        "PReLU" if a.has("num_parameters") => Box::new(PReLU::new().num_parameters(a.size("num_parameters"))),
        "RReLU" if a.has("lower") => Box::new(RReLU::new().lower(a.float("lower")).upper(a.float("upper"))),
        "GLU" if a.has("dim") => Box::new(GLU::new().dim(a.int("dim"))),
        "Softmax" => Box::new(Softmax::new(a.int("dim"))),
        "LogSoftmax" => Box::new(LogSoftmax::new(a.int("dim"))),
        "Softmin" => Box::new(Softmin::new(a.int("dim"))),
        "Dropout" => Box::new(Dropout::new(a.float("p"))),
        "Dropout1d" => Box::new(Dropout1d::new(a.float("p"))),
        "Dropout2d" => Box::new(Dropout2d::new(a.float("p"))),
        "Dropout3d" => Box::new(Dropout3d::new(a.float("p"))),
        "AlphaDropout" => Box::new(AlphaDropout::new(a.float("p"))),
        "FeatureAlphaDropout" => Box::new(FeatureAlphaDropout::new(a.float("p"))),
        _ => without_arguments(kind),
    }
}

/// The names of all activations that have defaults for everything.
const PLAIN: [&str; 29] = [
    "ReLU",
    "ReLU6",
    "Sigmoid",
    "LogSigmoid",
    "Tanh",
    "Tanhshrink",
    "Softsign",
    "SiLU",
    "Mish",
    "Hardsigmoid",
    "Hardswish",
    "SELU",
    "Identity",
    "Sign",
    "Heaviside",
    "LeakyReLU",
    "ELU",
    "CELU",
    "GELU",
    "GELU tanh",
    "Softplus",
    "Hardtanh",
    "Hardshrink",
    "Softshrink",
    "PReLU",
    "RReLU",
    "GLU",
    "Softmax2d",
    "Squash",
];

fn without_arguments(kind: &str) -> Box<dyn Forward> {
    match kind {
        "ReLU" => Box::new(ReLU),
        "ReLU6" => Box::new(ReLU6),
        "Sigmoid" => Box::new(Sigmoid),
        "LogSigmoid" => Box::new(LogSigmoid),
        "Tanh" => Box::new(Tanh),
        "Tanhshrink" => Box::new(Tanhshrink),
        "Softsign" => Box::new(Softsign),
        "SiLU" => Box::new(SiLU),
        "Mish" => Box::new(Mish),
        "Hardsigmoid" => Box::new(Hardsigmoid),
        "Hardswish" => Box::new(Hardswish),
        "SELU" => Box::new(SELU),
        "Identity" => Box::new(Identity),
        "Sign" => Box::new(Sign),
        "Heaviside" => Box::new(Heaviside),
        "LeakyReLU" => Box::new(LeakyReLU::new()),
        "ELU" => Box::new(ELU::new()),
        "CELU" => Box::new(CELU::new()),
        "GELU" => Box::new(GELU::new()),
        "GELU tanh" => Box::new(GELU::new().approximate(Approximate::Tanh)),
        "Softplus" => Box::new(Softplus::new()),
        "Hardtanh" => Box::new(Hardtanh::new()),
        "Hardshrink" => Box::new(Hardshrink::new()),
        "Softshrink" => Box::new(Softshrink::new()),
        "PReLU" => Box::new(PReLU::new()),
        "RReLU" => Box::new(RReLU::new()),
        "GLU" => Box::new(GLU::new()),
        "Softmax2d" => Box::new(Softmax2d::new()),
        "Squash" => Box::new(Squash::new(-1)),
        other => panic!("layer {other}"),
    }
}

fn has_gradient(kind: &str) -> bool {
    !matches!(kind, "Sign" | "Heaviside")
}

fn numbers(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, [values.len()])
}

#[test]
fn activations_agree_with_pytorch() {
    let cases = cases("activations");
    assert!(cases.len() >= 140, "only {} cases", cases.len());
    for case in &cases {
        case.check(|| layer(case.kind(), &case.args()), |m, x| vec![m.forward(&x[0])]);
    }
    let kinds: BTreeSet<&str> = cases.iter().map(|c| c.kind()).collect();
    let missing: Vec<_> =
        PLAIN.iter().filter(|k| !kinds.contains(*k) && !["GELU tanh", "Squash"].contains(*k)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn gradients_agree_with_finite_differences_to_second_order() {
    // Away from every corner (0, 1/2, 1, 3, 6).
    let x = Tensor::from_slice(&[-4.3f64, -2.2, -0.8, -0.3, 0.2, 0.7, 2.3, 4.6], [1, 2, 2, 2]);
    for kind in PLAIN.into_iter().filter(|k| has_gradient(k)) {
        let mut model = without_arguments(kind);
        model.to_dtype(DType::F64);
        model.eval();
        check_gradients(&model, &[x.clone().requires_grad_(true)], |m, x| vec![m.forward(&x[0])]);
    }
    let others: [Box<dyn Forward>; 5] = [
        Box::new(Softmax::new(1)),
        Box::new(LogSoftmax::new(-1)),
        Box::new(Softmin::new(0)),
        Box::new(Threshold::new(0.5, 2.0)),
        Box::new(Softplus::new().beta(2.0).threshold(3.0)),
    ];
    for model in &others {
        check_gradients(model, &[x.clone().requires_grad_(true)], |m, x| vec![m.forward(&x[0])]);
    }
    let mut slopes = PReLU::new().num_parameters(2);
    slopes.to_dtype(DType::F64);
    check_gradients(&slopes, &[x.clone().requires_grad_(true)], |m, x| vec![m.forward(&x[0])]);
}

/// At +-1e4 (and where exponentials over- and underflow) values, gradients and gradients of gradients are finite.
#[test]
fn far_points_give_finite_values_and_gradients() {
    for dtype in [DType::F32, DType::F64] {
        for kind in PLAIN.into_iter().filter(|k| has_gradient(k)) {
            let mut model = without_arguments(kind);
            model.to_dtype(dtype);
            let x = Tensor::from_slice(&[-1e4f64, -750.0, -100.0, 0.0, 0.0, 100.0, 750.0, 1e4], [2, 2, 2]);
            let x = x.to_dtype(dtype).requires_grad_(true);
            let y = model.forward(&x);
            assert!(y.isfinite().all(), "{kind} {dtype}: {y}");
            let options = || GradOptions { create_graph: true, allow_unused: true, ..Default::default() };
            let first = &grad(&[&y.square().sum()], &[&x], options())[0];
            assert!(first.isfinite().all(), "{kind} {dtype}: gradient {first}");
            let second = &grad(&[&first.sum()], &[&x], options())[0];
            assert!(second.isfinite().all(), "{kind} {dtype}: second derivative {second}");
        }
    }
}

/// f' = f (1 - f) = e^-x / (1 + e^-x)^2 for the logistic function, 1 - f^2 for tanh; tanh keeps small variances.
#[test]
fn sigmoid_and_tanh_have_the_derivatives_of_the_book() {
    let x = Tensor::linspace(-6.0, 6.0, 49).to_dtype(DType::F64).requires_grad_(true);
    let near = |a: &Tensor, b: Tensor| assert!((a - b).abs().max().item_f64() < 1e-14);
    let slope = |y: &Tensor| grad(&[&y.sum()], &[&x], GradOptions::default()).remove(0);
    let f = Sigmoid.forward(&x);
    let derivative = slope(&f);
    near(&derivative, &f * (1.0 - &f));
    near(&derivative, (-&x).exp() / ((-&x).exp() + 1.0).square());
    let f = Tanh.forward(&x);
    near(&slope(&f), 1.0 - f.square());
    assert!(f.abs().max().item_f64() < 1.0);
    manual_seed(1);
    let z = Tensor::randn([20_000]) * 0.05;
    let ratio = Tanh.forward(&z).var(0).item() / z.var(0).item();
    assert!((0.99..1.0).contains(&ratio), "{ratio}");
}

/// A single logit in a sigmoid is the two-class softmax of the pair (0, logit).
#[test]
fn the_logistic_head_is_a_softmax_of_two() {
    let z = Tensor::from_slice(&[-1e4f64, -3.0, 0.0, 0.4, 1e4], [5, 1]);
    let pair = Tensor::cat(&[&z.zeros_like(), &z], 1);
    let (p, q) = (Sigmoid.forward(&z), Softmax::new(1).forward(&pair));
    assert!((p - q.narrow(1, 1, 1)).abs().max().item_f64() < 1e-15);
}

#[test]
fn softmax_has_the_jacobian_diag_s_minus_s_st() {
    let x = numbers(&[0.3, -1.2, 2.0, 0.7]).requires_grad_(true);
    let s = Softmax::new(0).forward(&x);
    let expected = s.detach().diag(0) - s.detach().unsqueeze(1).matmul(&s.detach().unsqueeze(0));
    for i in 0..4 {
        let options = GradOptions { retain_graph: true, ..Default::default() };
        let row = &grad(&[&s.select(0, i)], &[&x], options)[0];
        assert!((row - expected.select(0, i)).abs().max().item_f64() < 1e-15, "row {i}: {row}");
    }
    // The product of a vector g with it, s (g - g . s), and its symmetry.
    let g = numbers(&[1.0, -2.0, 0.5, 3.0]);
    let s0 = s.detach();
    let product = &grad(&[&(&s * &g).sum()], &[&x], GradOptions::default())[0];
    assert!((product - &s0 * (&g - (&g * &s0).sum())).abs().max().item_f64() < 1e-15);
    assert!((&expected - expected.t()).abs().max().item_f64() < 1e-16);
}

/// The largest element is taken out before exponentials, in every function that has one.
#[test]
fn log_sum_exp_neither_overflows_nor_underflows() {
    for dtype in [DType::F32, DType::F64] {
        let of = |v: &[f64]| numbers(v).to_dtype(dtype).requires_grad_(true);
        for base in [1e4, -1e4] {
            let x = of(&[base, base]);
            let y = x.logsumexp(0, false);
            assert!((y.to_dtype(DType::F64).item_f64() - (base + 2f64.ln())).abs() < 1e-3, "{dtype} {base}: {y}");
            let g = grad(&[&y], &[&x], GradOptions::default()).remove(0);
            assert_eq!(g.to_dtype(DType::F64).to_vec::<f64>(), [0.5, 0.5], "{dtype} {base}");
        }
        let x = of(&[-1e4, 0.0, 1e4]);
        let list = |t: Tensor| t.detach().to_dtype(DType::F64).to_vec::<f64>();
        assert_eq!(list(x.logsumexp(0, true)), [1e4]);
        assert_eq!(list(Softmax::new(0).forward(&x)), [0.0, 0.0, 1.0]);
        assert_eq!(list(LogSoftmax::new(0).forward(&x)), [-2e4, -1e4, 0.0]);
        let x = of(&[-1e4, 0.0, 1e4]);
        let y = losses::binary_cross_entropy_with_logits(&x, &of(&[0.0, 1.0, 1.0]).detach());
        assert!((list(y.clone())[0] - 2f64.ln() / 3.0).abs() < 1e-6);
        assert!(grad(&[&y], &[&x], GradOptions::default())[0].isfinite().all());
        let y = losses::cross_entropy(&x.reshape([1, 3]), &Tensor::from_slice(&[0i64], [1]));
        assert_eq!(list(y.reshape([1])), [2e4]);
    }
}

/// The notes' step is 1 from 0 upwards, else 0; sign has three values. Neither lets a backward pass through.
#[test]
fn steps_differ_at_and_below_zero_and_refuse_gradients() {
    let x = Tensor::from_slice(&[-2.0f32, -0.0, 0.0, 3.0], [4]);
    assert_eq!(Heaviside.forward(&x).to_vec::<f32>(), [0.0, 1.0, 1.0, 1.0]);
    assert_eq!(Sign.forward(&x).to_vec::<f32>(), [-1.0, 0.0, 0.0, 1.0]);
    let x = x.requires_grad_(true);
    for (name, y) in [("heaviside", Heaviside.forward(&x)), ("sign", Sign.forward(&x))] {
        let message = panic_of(|| y.sum().backward());
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn maxout_is_the_largest_of_its_linear_functions() {
    manual_seed(2);
    for (k, with_bias, shape) in [(2, true, vec![3, 4]), (3, false, vec![1, 2, 4]), (1, true, vec![4])] {
        let mut layer = Maxout::new(4, 2).k(k).bias(with_bias);
        layer.to_dtype(DType::F64);
        let x = Tensor::randn(&shape[..]).to_dtype(DType::F64).requires_grad_(true);
        let (w, y) = (layer.weight.detach(), layer.forward(&x));
        let rows = x.detach().reshape([-1, 4]);
        for n in 0..rows.size(0) {
            for o in 0..2 {
                let one = |p: usize| {
                    let bias = layer.bias.as_ref().map_or(0.0, |b| b.at(&[p, o]));
                    bias + (0..4).map(|i| w.at(&[p, o, i]) * rows.at(&[n, i])).sum::<f64>()
                };
                let expected = (0..k).map(one).fold(f64::NEG_INFINITY, f64::max);
                assert!((y.reshape([-1, 2]).at(&[n, o]) - expected).abs() < 1e-12, "{k} {n} {o}");
            }
        }
        assert_eq!(y.shape()[..shape.len() - 1], shape[..shape.len() - 1]);
        check_gradients(&layer, &[x], |m, x| vec![m.forward(&x[0])]);
    }
    assert_eq!(Maxout::new(4, 2).state_dict().names().collect::<Vec<_>>(), ["weight", "bias"]);
    assert_eq!(Maxout::new(4, 2).weight.shape(), [2, 2, 4]);
    // Rectifier and leaky rectifier are maxouts of two.
    let leaky = Maxout::new(1, 1).bias(false);
    no_grad(|| leaky.weight.copy_(&Tensor::from_slice(&[1.0f32, 0.1], [2, 1, 1])));
    let x = Tensor::linspace(-2.0, 2.0, 9).unsqueeze(1);
    assert_eq!(leaky.forward(&x).to_vec::<f32>(), LeakyReLU::notes().forward(&x).to_vec::<f32>());
}

#[test]
fn rrelu_draws_its_slopes_in_training() {
    manual_seed(3);
    let layer = RReLU::new().lower(0.2).upper(0.4);
    let x = Tensor::full([20_000], -1.0).requires_grad_(true);
    let y = layer.forward(&x);
    let slopes = -y.detach();
    assert!(slopes.min().item() >= 0.2 && slopes.max().item() <= 0.4);
    assert!((slopes.mean().item() - 0.3).abs() < 0.002 && (slopes.std(0).item() - 0.2 / 12f32.sqrt()).abs() < 0.002);
    let g = &grad(&[&y.sum()], &[&x], GradOptions::default())[0];
    assert_eq!(g.to_vec::<f32>(), slopes.to_vec::<f32>());
    assert_eq!(layer.forward(&Tensor::ones([3])).to_vec::<f32>(), [1.0; 3]);
}

/// What kind of dropout `layer` is: all values it takes on ones, and the share of zeros, by channel.
fn dropped(layer: &dyn Forward, shape: &[usize]) -> (Vec<f32>, f32) {
    let x = Tensor::ones(shape).requires_grad_(true);
    let y = layer.forward(&x);
    let g = &grad(&[&y.sum()], &[&x], GradOptions::default())[0];
    assert_eq!(g.to_vec::<f32>(), y.to_vec::<f32>(), "the gradient passes where the value does");
    layer.eval();
    assert_eq!(layer.forward(&x).to_vec::<f32>(), x.to_vec::<f32>());
    layer.train();
    let values = y.to_vec::<f32>();
    let zeros = values.iter().filter(|v| **v == 0.0).count() as f32 / values.len() as f32;
    (values, zeros)
}

#[test]
fn dropouts_drop_what_their_names_say() {
    manual_seed(4);
    let whole = |values: &[f32], size: usize, kept: f32| {
        values.chunks(size).all(|c| c.iter().all(|v| *v == 0.0) || c.iter().all(|v| *v == kept))
    };
    // Element by element, inverted scaling: 1 / (1 - p).
    let (values, zeros) = dropped(&Dropout::new(0.2), &[100, 100]);
    assert!(values.iter().all(|v| *v == 0.0 || *v == 1.25) && (zeros - 0.2).abs() < 0.02, "{zeros}");
    let channels: [(Box<dyn Forward>, Vec<usize>, usize); 7] = [
        (Box::new(Dropout1d::new(0.2)), vec![40, 50, 3], 3),
        (Box::new(Dropout1d::new(0.2)), vec![2000, 3], 3),
        (Box::new(Dropout2d::new(0.2)), vec![40, 50, 2, 3], 6),
        (Box::new(Dropout2d::new(0.2)), vec![40, 50, 2], 2),
        (Box::new(Dropout3d::new(0.2)), vec![40, 50, 2, 1, 3], 6),
        (Box::new(Dropout3d::new(0.2)), vec![2000, 2, 1, 3], 6),
        (Box::new(DropPath::new(0.2, DropPathMode::Row)), vec![2000, 2, 3], 6),
    ];
    for (layer, shape, size) in &channels {
        let (values, zeros) = dropped(layer, shape);
        assert!(whole(&values, *size, 1.25) && (zeros - 0.2).abs() < 0.04, "{shape:?}: {zeros}");
    }
    // The whole batch at a time.
    let layer = DropPath::new(0.5, DropPathMode::Batch);
    let runs: Vec<f32> = (0..200).map(|_| dropped(&layer, &[3, 2]).1).collect();
    let gone = runs.iter().filter(|z| **z == 1.0).count();
    assert!(runs.iter().all(|z| *z == 0.0 || *z == 1.0) && (70..130).contains(&gone), "{gone}");
    assert_eq!(DropPath::new(1.0, DropPathMode::Row).forward(&Tensor::ones([3])).to_vec::<f32>(), [0.0; 3]);
}

/// Mean 0 and variance 1 stay; what is dropped lies at one value; the gradient is the slope of the map.
#[test]
fn alpha_dropout_keeps_mean_and_variance() {
    manual_seed(5);
    let x = Tensor::randn([300, 200]).requires_grad_(true);
    for (layer, p) in [(AlphaDropout::new(0.1), 0.1f64), (AlphaDropout::new(0.4), 0.4)] {
        let y = layer.forward(&x);
        assert!(y.mean().item().abs() < 0.02 && (y.var(0).item() - 1.0).abs() < 0.03, "{p}");
        let limit = -1.758_099_340_847_377;
        let a = 1.0 / ((1.0 - p) * (1.0 + p * limit * limit)).sqrt();
        let g = grad(&[&y.sum()], &[&x], GradOptions::default()).remove(0);
        let gone = g.eq_scalar(0.0);
        let share = gone.to_dtype(DType::F32).mean().item() as f64;
        assert!((share - p).abs() < 0.01);
        assert!((y.masked_select(&gone) - (a * limit - a * p * limit)).abs().max().item() < 1e-5);
        assert!((g.masked_select(&gone.logical_not()) - a).abs().max().item() < 1e-6);
    }
    let y = FeatureAlphaDropout::new(0.5).forward(&Tensor::zeros([50, 20, 4]));
    let (low, high) = (y.amin([2], false), y.amax([2], false));
    assert!(low.eq(&high).all() && low.min().item() < low.max().item());
}

/// z = W x + b, y = g(z): delta = g'(z) * dE/dy, then dE/dW = delta x^T, dE/db = delta, dE/dx = W^T delta, summed over
/// the batch.
#[test]
fn a_dense_layer_has_its_closed_form_gradients() {
    manual_seed(6);
    let mut layer = Linear::new(4, 3);
    layer.to_dtype(DType::F64);
    let x = Tensor::randn([5, 4]).to_dtype(DType::F64).requires_grad_(true);
    let dy = Tensor::randn([5, 3]).to_dtype(DType::F64);
    let (w, b) = (&*layer.weight, layer.bias.as_ref().unwrap());
    type Slope = fn(&Tensor) -> Tensor;
    let activations: [(Box<dyn Forward>, Slope); 3] = [
        (Box::new(Sigmoid), |z| z.sigmoid() * (1.0 - z.sigmoid())),
        (Box::new(Tanh), |z| 1.0 - z.tanh().square()),
        (Box::new(ReLU), |z| z.gt_scalar(0.0).to_dtype(DType::F64)),
    ];
    for (g, slope) in &activations {
        let z = layer.forward(&x);
        let found = grad(&[&(g.forward(&z) * &dy).sum()], &[&x, w, b], GradOptions::default());
        let delta = slope(&z.detach()) * &dy;
        let mut expected =
            [Tensor::zeros([5, 4]), Tensor::zeros([3, 4]), Tensor::zeros([3])].map(|t| t.to_dtype(DType::F64));
        let mut rows = vec![];
        for n in 0..5 {
            let (d, xn) = (delta.select(0, n), x.detach().select(0, n));
            expected[1] = &expected[1] + d.unsqueeze(1).matmul(&xn.unsqueeze(0));
            expected[2] = &expected[2] + &d;
            rows.push(w.detach().t().matmul(&d));
        }
        expected[0] = Tensor::stack(&rows.iter().collect::<Vec<_>>(), 0);
        for (a, e) in found.iter().zip(&expected) {
            assert!((a - e).abs().max().item_f64() < 1e-12);
        }
    }
}

/// Without a bias nothing but the weight is there; a batch norm behind the layer would take the bias out again.
#[test]
fn a_bias_before_batch_norm_does_nothing() {
    manual_seed(7);
    let (with, without) = (Linear::new(3, 2), Linear::new(3, 2).bias(false));
    no_grad(|| without.weight.copy_(&with.weight));
    assert_eq!(without.state_dict().names().collect::<Vec<_>>(), ["weight"]);
    let (x, norm) = (Tensor::randn([8, 3]), BatchNorm1d::new(2));
    let gap = norm.forward(&with.forward(&x)) - norm.forward(&without.forward(&x));
    assert!(gap.abs().max().item() < 1e-5);
}

#[test]
fn the_perceptron_rule_follows_its_formula_and_converges() {
    // By hand: w and b change by lr (t - y) x after a mistake.
    let model = Perceptron::new(2);
    let x = Tensor::from_slice(&[1f32, 2., -1., 1.], [2, 2]);
    assert_eq!(model.learn(&x, &Tensor::from_slice(&[0i64, 1], [2]), 0.5), 2);
    // f(x1) = 1 though 0 is right: w = (-0.5, -1), b = -0.5. Then z(x2) = -1, 1 is right: back by +0.5 (-1, 1).
    assert_eq!((model.weight.to_vec::<f32>(), model.bias.item()), (vec![-1.0, -0.5], 0.0));
    assert_eq!(model.state_dict().names().collect::<Vec<_>>(), ["weight", "bias"]);
    manual_seed(8);
    let (x, truth) = (Tensor::randn([60, 3]), Tensor::from_slice(&[1.0f32, -2.0, 0.5], [3]));
    let z = x.matmul(&truth) + 0.3;
    // A gap between the classes bounds the number of mistakes.
    let keep: Vec<i64> = (0..60).filter(|&i| z.at(&[i]).abs() > 0.2).map(|i| i as i64).collect();
    let keep = Tensor::from_slice(&keep, [keep.len()]);
    let (x, z) = (x.index_select(0, &keep), z.index_select(0, &keep));
    for (model, classes) in
        [(Perceptron::new(3), z.heaviside()), (Perceptron::new(3).step(StepFunction::Sign), z.sign())]
    {
        let passes = (1..500).find(|_| model.learn(&x, &classes, 0.1) == 0).expect("it must converge");
        assert!(passes > 1);
        assert_eq!(model.forward(&x).to_vec::<f32>(), classes.to_vec::<f32>());
    }
    // Exclusive or is not separable: no pass is without a mistake.
    let x = Tensor::from_slice(&[0f32, 0., 0., 1., 1., 0., 1., 1.], [4, 2]);
    let xor = Tensor::from_slice(&[0f32, 1., 1., 0.], [4]);
    let model = Perceptron::new(2);
    assert!((0..200).all(|_| model.learn(&x, &xor, 1.0) > 0));
}

#[test]
fn a_stack_applies_its_activations_in_turn() {
    // Exclusive or by two steps: h = (x1 + x2 >= 1, x1 + x2 >= 2), y = h1 - h2 >= 1.
    let model = MultilayerPerceptron::new([2, 2, 1]);
    no_grad(|| {
        model.layers[0].weight.copy_(&Tensor::ones([2, 2]));
        model.layers[0].bias.as_ref().unwrap().copy_(&Tensor::from_slice(&[-1.0f32, -2.0], [2]));
        model.layers[1].weight.copy_(&Tensor::from_slice(&[1.0f32, -1.0], [1, 2]));
        model.layers[1].bias.as_ref().unwrap().copy_(&Tensor::from_slice(&[-1.0f32], [1]));
    });
    let x = Tensor::from_slice(&[0f32, 0., 0., 1., 1., 0., 1., 1.], [4, 2]);
    assert_eq!(model.forward(&x).to_vec::<f32>(), [0.0, 1.0, 1.0, 0.0]);
    let names: Vec<String> = model.named_parameters().into_iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]);
    // Every pair of activations can be put in.
    for (hidden, output) in [("Tanh", "Sigmoid"), ("ELU", "Identity"), ("Sign", "Sign"), ("PReLU", "Softplus")] {
        let model = MultilayerPerceptron::new([2, 3, 4, 1]).activation(without_arguments(hidden));
        let model = model.output_activation(without_arguments(output));
        let [a, b, c] = &model.layers[..] else { panic!("three layers") };
        let (g, last) = (without_arguments(hidden), without_arguments(output));
        let expected = last.forward(&c.forward(&g.forward(&b.forward(&g.forward(&a.forward(&x))))));
        assert_eq!(model.forward(&x).to_vec::<f32>(), expected.to_vec::<f32>());
    }
    let mut model = MultilayerPerceptron::new([2, 3, 1]).activation(Tanh).output_activation(Sigmoid);
    model.to_dtype(DType::F64);
    let x = x.to_dtype(DType::F64).requires_grad_(true);
    check_gradients(&model, &[x], |m, x| vec![m.forward(&x[0])]);
}

/// Lists and maps of modules are modules: parameters are found under index and key.
#[test]
fn lists_and_maps_of_modules_are_modules() {
    let list = vec![Linear::new(2, 3), Linear::new(3, 1)];
    assert_eq!(list.state_dict().names().collect::<Vec<_>>(), ["0.weight", "0.bias", "1.weight", "1.bias"]);
    let mut map: BTreeMap<String, Box<dyn Forward>> = BTreeMap::new();
    map.insert("linear".into(), Box::new(Linear::new(2, 1).bias(false)));
    map.insert("act".into(), Box::new(PReLU::new()));
    assert_eq!(map.state_dict().names().collect::<Vec<_>>(), ["act.weight", "linear.weight"]);
    assert_eq!(map.parameters().len(), 2);
    let model = sequential![Linear::new(2, 3), Dropout::new(0.5), PReLU::new()];
    assert_eq!(model.named_parameters().len(), 3);
    let x = Tensor::ones([1, 2]);
    model.eval();
    assert_eq!(model.forward(&x).to_vec::<f32>(), model.forward(&x).to_vec::<f32>());
}

#[test]
fn wrong_shapes_and_arguments_are_named() {
    let m = sequential![GLU::new(), Softmax2d::new(), PReLU::new().num_parameters(3), Maxout::new(4, 2)];
    let message = |i: usize, shape: &[usize]| panic_of(|| m.get(i).unwrap().forward(&Tensor::zeros(shape)));
    assert_eq!(message(0, &[2, 3]), "GLU in layer `0`: needs an input with an even extent in dimension -1, got [2, 3]");
    assert_eq!(message(1, &[2, 3]), "Softmax2d in layer `1`: needs an input [N, C, H, W] or [C, H, W], got [2, 3]");
    assert_eq!(message(2, &[2, 4]), "PReLU in layer `2`: needs an input [N, 3, ...], got [2, 4]");
    assert_eq!(
        message(3, &[2, 5]),
        "Maxout in layer `3`: needs an input [..., 4] (the weight is [2, 2, 4]), got [2, 5]"
    );
    let m = sequential![Dropout2d::new(0.1), Softmax::new(2), Perceptron::new(2), MultilayerPerceptron::new([3, 1])];
    let message = |i: usize, shape: &[usize]| panic_of(|| m.get(i).unwrap().forward(&Tensor::zeros(shape)));
    assert_eq!(
        message(0, &[2, 3]),
        "Dropout2d in layer `0`: needs an input [N, C, ...] of 4 dimensions (or one less), got [2, 3]"
    );
    assert!(message(1, &[2, 3]).starts_with("softmax in layer `1`:"), "{}", message(1, &[2, 3]));
    assert_eq!(message(2, &[5, 3]), "Perceptron in layer `2`: needs an input [..., 2], got [5, 3]");
    assert_eq!(
        message(3, &[5, 2]),
        "Linear in layer `3.layers.0`: needs an input [..., 3] (the weight is [1, 3]), got [5, 2]"
    );
    let model = Perceptron::new(2);
    let (x, t) = (Tensor::zeros([3, 2]), Tensor::zeros([2]));
    let found = panic_of(|| model.learn(&x, &t, 1.0));
    assert_eq!(found, "Perceptron::learn: needs inputs [N, in] and targets [N], got [3, 2] and [2]");
    let x = Tensor::zeros([2]);
    assert_eq!(panic_of(|| CELU::new().alpha(0.0).forward(&x)), "CELU: needs a positive alpha, got 0");
    assert!(panic_of(|| Hardtanh::new().min_val(2.0).forward(&x)).contains("min_val 2 is not below max_val 1"));
    assert!(panic_of(|| Softshrink::new().lambd(-1.0).forward(&x)).contains("lambd is negative: -1"));
    assert!(panic_of(|| RReLU::new().lower(0.5).forward(&x)).contains("lower 0.5 is above upper"));
    assert!(panic_of(|| DropPath::new(1.5, DropPathMode::Row)).contains("1.5 is not a probability"));
    assert!(panic_of(|| AlphaDropout::new(-0.5)).contains("-0.5 is not a probability"));
    assert!(panic_of(|| MultilayerPerceptron::new([3])).contains("got [3]"));
}
