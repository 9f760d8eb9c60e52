//! Capsules against loops written from the paper's equations (Sabour et al., 2017), and finite differences.

mod support;

use gradus_nn::*;
use gradus_tensor::autograd::{GradOptions, grad};
use gradus_tensor::{DType, Tensor, manual_seed};
use support::{check_gradients, panic_of};

fn drawn(shape: &[usize]) -> Tensor {
    Tensor::randn(shape).to_dtype(DType::F64)
}

/// Equation 1: |s|^2 / (1 + |s|^2) s / |s|.
fn squashed(s: &[f64]) -> Vec<f64> {
    let square: f64 = s.iter().map(|v| v * v).sum();
    if square == 0.0 {
        return s.to_vec();
    }
    s.iter().map(|v| square / (1.0 + square) * v / square.sqrt()).collect()
}

/// Procedure 1 for one sample: predictions[j][i] is a vector; returns the outputs and the couplings of the last round.
fn routed(predictions: &[Vec<Vec<f64>>], rounds: usize) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let (above, below) = (predictions.len(), predictions[0].len());
    let mut b = vec![vec![0.0; below]; above];
    let (mut v, mut c) = (vec![], vec![]);
    for _ in 0..rounds {
        c = vec![vec![0.0; below]; above];
        for i in 0..below {
            let total: f64 = (0..above).map(|j| f64::exp(b[j][i])).sum();
            for j in 0..above {
                c[j][i] = f64::exp(b[j][i]) / total;
            }
        }
        v = (0..above)
            .map(|j| {
                let mut s = vec![0.0; predictions[0][0].len()];
                for i in 0..below {
                    s.iter_mut().zip(&predictions[j][i]).for_each(|(s, u)| *s += c[j][i] * u);
                }
                squashed(&s)
            })
            .collect();
        for j in 0..above {
            for i in 0..below {
                b[j][i] += predictions[j][i].iter().zip(&v[j]).map(|(u, v)| u * v).sum::<f64>();
            }
        }
    }
    (v, c)
}

/// Rows of a matrix of lists.
fn nested(t: &Tensor) -> Vec<Vec<f64>> {
    t.detach().to_vec::<f64>().chunks(t.size(-1)).map(<[f64]>::to_vec).collect()
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() < 1e-12, "element {i}: {a} is not {b}");
    }
}

#[test]
fn squash_turns_lengths_into_probabilities() {
    manual_seed(1);
    let x = drawn(&[4, 3]) * 2.0;
    let expected: Vec<f64> = nested(&x).iter().flat_map(|s| squashed(s)).collect();
    assert_near(&Squash::new(-1).forward(&x).to_vec::<f64>(), &expected);
    assert_near(&Squash::new(0).forward(&x.t()).t().contiguous().to_vec::<f64>(), &expected);
    // Short vectors nearly vanish, long ones come near to length 1 and never reach it; directions stay.
    let lengths = CapsuleLength.forward(&Squash::new(-1).forward(&Tensor::from_slice(&[1e-3f64, 1.0, 1e4], [3, 1])));
    assert_near(&lengths.to_vec::<f64>(), &[1e-6 / (1.0 + 1e-6), 0.5, 1e8 / (1.0 + 1e8)]);
    check_gradients(&Squash::new(-1), &[x.requires_grad_(true)], |m, x| vec![m.forward(&x[0])]);
    // A zero vector stays, and so do its gradients.
    let zero = Tensor::zeros([2, 3]).requires_grad_(true);
    let y = Squash::new(1).forward(&zero) + CapsuleLength.forward(&zero).unsqueeze(1);
    assert_eq!(y.to_vec::<f32>(), [0.0; 6]);
    let options = GradOptions { create_graph: true, ..Default::default() };
    let first = grad(&[&y.sum()], &[&zero], options).remove(0);
    assert_eq!(first.to_vec::<f32>(), [0.0; 6]);
}

#[test]
fn routing_follows_the_procedure() {
    manual_seed(2);
    for (shape, rounds) in [([2, 3, 4, 2], 1), ([2, 3, 4, 2], 2), ([1, 4, 5, 3], 3), ([3, 1, 2, 2], 4)] {
        let predictions = drawn(&shape);
        let (v, c) = dynamic_routing(&predictions, rounds);
        for n in 0..shape[0] {
            let one = predictions.select(0, n);
            let lists: Vec<Vec<Vec<f64>>> = (0..shape[1]).map(|j| nested(&one.select(0, j).contiguous())).collect();
            let (expected_v, expected_c) = routed(&lists, rounds);
            assert_near(&v.select(0, n).to_vec::<f64>(), &expected_v.concat());
            assert_near(&c.select(0, n).to_vec::<f64>(), &expected_c.concat());
        }
        assert_near(&c.sum_dim(1, false).to_vec::<f64>(), &vec![1.0; shape[0] * shape[2]]);
    }
    assert_eq!(
        panic_of(|| dynamic_routing(&Tensor::zeros([2, 3]), 3)),
        "dynamic_routing: needs predictions [N, J, I, D] and at least 1 iteration, got [2, 3] and 3"
    );
}

/// Where most capsules below predict the same vector of one capsule above, rounds of routing couple these to it, and
/// the odd one away from it.
#[test]
fn agreement_draws_the_couplings() {
    let agreed = [[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [-2.0, 0.0]];
    let disagreed = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
    let both = [agreed, disagreed].concat().concat();
    let (v, c) = dynamic_routing(&Tensor::from_vec(both, [1, 2, 4, 2]), 5);
    let p = CapsuleLength.forward(&v);
    assert!(p.at(&[0, 0]) > 0.9 && p.at(&[0, 1]) < 0.6, "{p}");
    assert!((0..3).all(|i| c.at(&[0, 0, i]) > 0.9) && c.at(&[0, 0, 3]) < 0.1, "{c}");
}

#[test]
fn a_capsule_layer_predicts_and_routes() {
    manual_seed(3);
    for (n, i, d, j, e, rounds) in [(2, 4, 3, 2, 5, 3), (1, 3, 2, 4, 2, 1)] {
        let mut layer = CapsuleLayer::new(i, d, j, e).routing_iterations(rounds);
        layer.to_dtype(DType::F64);
        assert_eq!(layer.state_dict().get("weight").unwrap().shape(), [j, i, e, d]);
        let x = drawn(&[n, i, d]);
        let (y, w) = (layer.forward(&x), layer.weight.detach());
        assert_eq!(y.shape(), [n, j, e]);
        for sample in 0..n {
            let predict = |j: usize, i: usize, e: usize| -> f64 {
                (0..d).map(|d| w.at(&[j, i, e, d]) * x.at(&[sample, i, d])).sum()
            };
            let one = |j: usize| (0..i).map(|i| (0..e).map(|e| predict(j, i, e)).collect()).collect();
            let lists: Vec<Vec<Vec<f64>>> = (0..j).map(one).collect();
            assert_near(&y.select(0, sample).to_vec::<f64>(), &routed(&lists, rounds).0.concat());
        }
    }
    let mut layer = CapsuleLayer::new(3, 2, 2, 2);
    layer.to_dtype(DType::F64);
    let x = drawn(&[2, 3, 2]).requires_grad_(true);
    check_gradients(&layer, &[x], |m, x| vec![m.forward(&x[0])]);
    let spread = CapsuleLayer::new(50, 8, 10, 16).weight.detach();
    assert!((spread.std(0).item() - 0.1).abs() < 0.002 && spread.mean().item().abs() < 0.002);
}

#[test]
fn primary_capsules_are_the_channels_of_a_convolution() {
    manual_seed(4);
    let (capsules, dim) = (3, 2);
    let mut layer = PrimaryCapsules::new(2, capsules, dim, [3, 2]).stride(2).padding([1, 0]);
    layer.to_dtype(DType::F64);
    let x = drawn(&[2, 2, 5, 4]).requires_grad_(true);
    let y = layer.forward(&x);
    let (h, w) = (3, 2);
    assert_eq!(y.shape(), [2, capsules * h * w, dim]);
    let (weight, bias) = (layer.conv.weight.detach(), layer.conv.bias.as_ref().unwrap().detach());
    for (n, kind, row, column) in [(0, 0, 0, 0), (1, 2, 2, 1), (0, 1, 1, 1), (1, 0, 2, 0)] {
        let channel = |o: usize| {
            let mut total = bias.at(&[o]);
            for (c, p, q) in (0..2).flat_map(|c| (0..3).flat_map(move |p| (0..2).map(move |q| (c, p, q)))) {
                let (r, s) = ((2 * row + p) as isize - 1, 2 * column + q);
                if (0..5).contains(&r) {
                    total += weight.at(&[o, c, p, q]) * x.at(&[n, c, r as usize, s]);
                }
            }
            total
        };
        let expected = squashed(&(0..dim).map(|d| channel(kind * dim + d)).collect::<Vec<_>>());
        let found = y.select(0, n).select(0, (kind * h + row) * w + column).to_vec::<f64>();
        assert_near(&found, &expected);
    }
    let names = layer.state_dict().names().map(str::to_string).collect::<Vec<_>>();
    assert_eq!(names, ["conv.weight", "conv.bias"]);
    let mut small = PrimaryCapsules::new(1, 2, 2, 2);
    small.to_dtype(DType::F64);
    check_gradients(&small, &[drawn(&[1, 1, 3, 2]).requires_grad_(true)], |m, x| vec![m.forward(&x[0])]);
}

#[test]
fn a_network_of_capsules_learns_where_a_bar_is() {
    manual_seed(5);
    let model =
        sequential![PrimaryCapsules::new(1, 4, 4, 3).stride(2), CapsuleLayer::new(4 * 9, 4, 2, 4), CapsuleLength,];
    // Horizontal bars are of class 0, vertical ones of class 1.
    let mut pictures = vec![0.0f32; 14 * 49];
    for (i, picture) in pictures.chunks_mut(49).enumerate() {
        (0..7).for_each(|k| picture[if i < 7 { 7 * i + k } else { 7 * k + i - 7 }] = 1.0);
    }
    let x = Tensor::from_vec(pictures, [14, 1, 7, 7]);
    let labels: Vec<i64> = (0..14).map(|i| i / 7).collect();
    let labels = Tensor::from_vec(labels, [14]);
    let truth = labels.one_hot(2).to_dtype(DType::F32);
    let mut optimizer = optim::Adam::new(model.parameters(), 0.02);
    // The margin loss of the paper, equation 4.
    let loss = || {
        let p = model.forward(&x);
        (&truth * (0.9 - &p).relu().square() + (1.0 - &truth) * (&p - 0.1).relu().square() * 0.5).sum() / 14.0
    };
    let before = loss().item();
    for _ in 0..60 {
        use optim::Optimizer;
        optimizer.zero_grad();
        loss().backward();
        optimizer.step();
    }
    let after = loss().item();
    assert!(after < 0.1 * before, "{before} -> {after}");
    assert_eq!(model.forward(&x).argmax(1, false).to_vec::<i64>(), labels.to_vec::<i64>());
}

#[test]
fn wrong_shapes_are_named() {
    let m = sequential![PrimaryCapsules::new(2, 3, 4, 3), CapsuleLayer::new(6, 4, 2, 3), Squash::new(3)];
    let message = |i: usize, shape: &[usize]| panic_of(|| m.get(i).unwrap().forward(&Tensor::zeros(shape)));
    assert_eq!(
        message(0, &[1, 3, 5, 5]),
        "PrimaryCapsules in layer `0`: needs an input [N, 2, H, W], got [1, 3, 5, 5]"
    );
    assert_eq!(message(1, &[1, 5, 4]), "CapsuleLayer in layer `1`: needs an input [N, 6, 4], got [1, 5, 4]");
    assert!(message(2, &[1, 5, 4]).contains("in layer `2`"), "{}", message(2, &[1, 5, 4]));
    assert_eq!(
        panic_of(|| CapsuleLayer::new(1, 1, 1, 1).routing_iterations(0)),
        "CapsuleLayer: needs at least one round of routing"
    );
}
