//! The normalisations against the plain composition of tensor operations they stand for: values, gradients, and
//! gradients of gradients, on shapes that take every path through the kernels and several pieces of work; and
//! independence of the number of threads.

use gradus_tensor::autograd::{GradOptions, grad};
use gradus_tensor::{DType, Tensor, manual_seed, set_threads, threads};
use std::panic::catch_unwind;

const EPS: f64 = 1e-3;

/// (x - mean) / sqrt(var + eps) over `dims`, or x / sqrt(mean(x^2) + eps).
fn standardised(x: &Tensor, dims: &[isize], centred: bool) -> Tensor {
    let x = if centred { x - x.mean_dim(dims, true) } else { x.clone() };
    &x * (x.square().mean_dim(dims, true) + EPS).rsqrt()
}

/// A normalisation by one operation, and by many.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Batch,
    Group(usize),
    Layer,
    Rms,
}

impl Kind {
    fn fused(self, x: &Tensor, w: Option<&Tensor>, b: Option<&Tensor>) -> Tensor {
        match self {
            Kind::Batch => x.batch_norm(w, b, EPS).0,
            Kind::Group(n) => x.group_norm(n, w, b, EPS).0,
            Kind::Layer => x.layer_norm([x.size(-1)], w, b, EPS),
            Kind::Rms => x.rms_norm([x.size(-1)], w, EPS),
        }
    }

    fn plain(self, x: &Tensor, w: Option<&Tensor>, b: Option<&Tensor>) -> Tensor {
        let z = match self {
            Kind::Batch => {
                let dims: Vec<isize> = (0..x.rank() as isize).filter(|&d| d != 1).collect();
                standardised(x, &dims, true)
            }
            Kind::Group(n) => {
                let size = x.shape()[1..].iter().product::<usize>() / n;
                standardised(&x.reshape([x.size(0), n, size]), &[2], true).reshape(x.shape())
            }
            Kind::Layer => standardised(x, &[-1], true),
            Kind::Rms => standardised(x, &[-1], false),
        };
        let along = |t: &Tensor| match self {
            Kind::Batch | Kind::Group(_) => {
                let mut shape = vec![1; x.rank() - 1];
                shape[0] = t.numel();
                t.reshape(shape)
            }
            _ => t.clone(),
        };
        let z = w.map_or(z.clone(), |w| z * along(w));
        b.map_or(z.clone(), |b| z + along(b))
    }

    fn parameters(self, x: &[usize]) -> usize {
        if matches!(self, Kind::Batch | Kind::Group(_)) { x[1] } else { x[x.len() - 1] }
    }
}

/// Many pieces of work and a rest; short planes and long ones; one row and many.
fn trials() -> Vec<(Kind, Vec<usize>)> {
    let mut all = vec![];
    for shape in [
        vec![300, 70],
        vec![5, 300],
        vec![600, 3, 5],
        vec![40, 3, 37, 41],
        vec![1, 4, 33, 3],
        vec![2, 6, 130, 150],
        vec![1, 2, 17],
    ] {
        all.extend([Kind::Batch, Kind::Group(1), Kind::Group(shape[1])].map(|k| (k, shape.clone())));
    }
    all.push((Kind::Group(3), vec![7, 12, 45, 9]));
    all.push((Kind::Group(4), vec![700, 8, 3]));
    for shape in [vec![2000, 65], vec![3, 70, 33], vec![2, 40_000], vec![90], vec![5, 1]] {
        all.extend([Kind::Layer, Kind::Rms].map(|k| (k, shape.clone())));
    }
    all
}

type Normalise<'a> = &'a dyn Fn(&Tensor, Option<&Tensor>, Option<&Tensor>) -> Tensor;

/// The result, the gradients of a weighting of it, and the gradients of a weighting of those.
fn evaluate(f: Normalise, leaves: &[Tensor], weighting: &[Tensor], second: bool) -> Vec<Tensor> {
    let leaves: Vec<Tensor> = leaves.iter().map(|t| t.detach().requires_grad_(true)).collect();
    let inputs: Vec<&Tensor> = leaves.iter().collect();
    let y = f(&leaves[0], leaves.get(1), leaves.get(2));
    let total = (&y * &weighting[0]).sum();
    let options = |create_graph| GradOptions { create_graph, allow_unused: true, ..Default::default() };
    let mut all = vec![y.clone()];
    if !second {
        all.extend(grad(&[&total], &inputs, options(false)));
        return all;
    }
    let first = grad(&[&total], &inputs, options(true));
    let again = first.iter().zip(&weighting[1..]).map(|(g, w)| (g * w).sum()).reduce(|a, b| a + b).unwrap();
    all.extend(grad(&[&again], &inputs, options(false)));
    all.extend(first);
    all
}

fn drawn(kind: Kind, shape: &[usize], dtype: DType) -> (Vec<Tensor>, Vec<Tensor>) {
    manual_seed(3);
    let n = kind.parameters(shape);
    let shapes = [shape.to_vec(), vec![n], vec![n]];
    let count = if kind == Kind::Rms { 2 } else { 3 };
    let leaves = shapes[..count].iter().map(|s| (Tensor::randn(s) * 1.5 + 0.7).to_dtype(dtype)).collect();
    let weighting = std::iter::once(&shapes[0]).chain(&shapes[..count]).map(|s| Tensor::randn(s).to_dtype(dtype));
    (leaves, weighting.collect())
}

#[track_caller]
fn compare(what: &str, kind: Kind, shape: &[usize], found: &[Tensor], expected: &[Tensor], tolerance: f64) {
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert_eq!((a.shape(), a.dtype()), (b.shape(), b.dtype()));
        let scale = b.abs().max().item_f64().max(1.0);
        let off = (a - b).abs().max().item_f64() / scale;
        assert!(off <= tolerance, "{what} of {kind:?} {shape:?}: result {i} is off by {off:e}");
    }
}

#[test]
fn the_kernels_agree_with_the_plain_composition() {
    for (kind, shape) in trials() {
        for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 2e-5)] {
            let (leaves, weighting) = drawn(kind, &shape, dtype);
            let exact: Vec<Tensor> = leaves.iter().map(|t| t.to_dtype(DType::F64)).collect();
            let exact_weighting: Vec<Tensor> = weighting.iter().map(|t| t.to_dtype(DType::F64)).collect();
            let plain = evaluate(&|x, w, b| kind.plain(x, w, b), &exact, &exact_weighting, false);
            let plain: Vec<Tensor> = plain.iter().map(|t| t.to_dtype(dtype)).collect();
            let fused = evaluate(&|x, w, b| kind.fused(x, w, b), &leaves, &weighting, false);
            compare("values", kind, &shape, &fused, &plain, tolerance);
        }
    }
}

#[test]
fn gradients_of_gradients_agree_with_the_plain_composition() {
    for (kind, shape) in trials() {
        if shape.iter().product::<usize>() > 50_000 {
            continue;
        }
        let (leaves, weighting) = drawn(kind, &shape, DType::F64);
        let plain = evaluate(&|x, w, b| kind.plain(x, w, b), &leaves, &weighting, true);
        let fused = evaluate(&|x, w, b| kind.fused(x, w, b), &leaves, &weighting, true);
        compare("second order", kind, &shape, &fused, &plain, 1e-10);
    }
}

#[test]
fn parameters_may_be_missing_and_gradients_unwanted() {
    for kind in [Kind::Batch, Kind::Group(2), Kind::Layer, Kind::Rms] {
        let shape = [3, 4, 20];
        let (leaves, weighting) = drawn(kind, &shape, DType::F64);
        for mask in 0..4 {
            let f = |x: &Tensor, w: Option<&Tensor>, b: Option<&Tensor>, fused: bool| {
                let (w, b) = (w.filter(|_| mask & 1 > 0), b.filter(|_| mask & 2 > 0));
                if fused { kind.fused(x, w, b) } else { kind.plain(x, w, b) }
            };
            let plain = evaluate(&|x, w, b| f(x, w, b, false), &leaves, &weighting, false);
            let fused = evaluate(&|x, w, b| f(x, w, b, true), &leaves, &weighting, false);
            compare("parts", kind, &shape, &fused, &plain, 1e-11);
            // Parameters alone: the operand is data.
            let taken = if kind == Kind::Rms { mask & 1 } else { mask };
            if taken == 0 {
                continue;
            }
            let plain = evaluate(&|x, w, b| f(&x.detach(), w, b, false), &leaves, &weighting, false);
            let fused = evaluate(&|x, w, b| f(&x.detach(), w, b, true), &leaves, &weighting, false);
            compare("parameters", kind, &shape, &fused, &plain, 1e-11);
        }
    }
}

#[test]
fn moments_come_with_the_result() {
    manual_seed(4);
    let x = (Tensor::randn([40, 3, 37, 41]) * 2.0 + 300.0).to_dtype(DType::F64);
    let (_, mean, var) = x.batch_norm(None, None, EPS);
    let off = |a: &Tensor, b: &Tensor| (a - b).abs().max().item_f64();
    assert!(off(&mean, &x.mean_dim([0, 2, 3], false)) < 1e-10);
    assert!(off(&var, &x.var_dim([0, 2, 3], 0, false)) < 1e-10);
    // Far from zero f32 has five digits of the deviations left; the variance is right to them.
    let (_, mean, var) = x.to_dtype(DType::F32).batch_norm(None, None, EPS);
    assert!(off(&mean.to_dtype(DType::F64), &x.mean_dim([0, 2, 3], false)) < 1e-3);
    assert!(off(&var.to_dtype(DType::F64), &x.var_dim([0, 2, 3], 0, false)) < 1e-3);
    let (_, mean, var) = x.group_norm(1, None, None, EPS);
    assert!(mean.shape() == [40, 1] && var.shape() == [40, 1] && !mean.requires_grad());
    assert!(off(&var, &x.var_dim([1, 2, 3], 0, false).unsqueeze(1)) < 1e-10);
    let (y, mean, _) = Tensor::zeros([0, 2]).batch_norm(None, None, EPS);
    assert!(y.numel() == 0 && mean.isnan().all());
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let before = threads();
    for (kind, shape) in trials() {
        let (leaves, weighting) = drawn(kind, &shape, DType::F32);
        let bits = |n| {
            set_threads(n);
            let all = evaluate(&|x, w, b| kind.fused(x, w, b), &leaves, &weighting, false);
            all.iter().flat_map(|t| t.to_vec::<f32>()).map(f32::to_bits).collect::<Vec<_>>()
        };
        let one = bits(1);
        assert!([2, 3].into_iter().all(|n| bits(n) == one), "{kind:?} {shape:?}");
    }
    set_threads(before);
}

#[test]
fn mistakes_are_named() {
    let message = |f: &(dyn Fn() -> Tensor + std::panic::RefUnwindSafe)| {
        *catch_unwind(f).expect_err("it must panic").downcast::<String>().unwrap()
    };
    let x = || Tensor::zeros([2, 4, 3]);
    assert_eq!(
        message(&|| x().batch_norm(Some(&Tensor::ones([3])), None, EPS).0),
        "batch_norm: needs a weight [4] for the input [2, 4, 3], got [3]"
    );
    assert_eq!(
        message(&|| x().group_norm(3, None, None, EPS).0),
        "group_norm: needs an input [N, C, ...] with C in 3 groups, got [2, 4, 3]"
    );
    assert_eq!(message(&|| x().layer_norm([4], None, None, EPS)), "layer_norm: needs an input [..., 4], got [2, 4, 3]");
    assert_eq!(
        message(&|| x().rms_norm([3], Some(&Tensor::ones([3]).to_dtype(DType::F64)), EPS)),
        "rms_norm: the input is f32, the weight f64; convert with to_dtype"
    );
    assert!(
        message(&|| x().to_dtype(DType::I64).layer_norm([3], None, None, EPS)).contains("needs f32 or f64 elements")
    );
}
