//! Reverse-mode differentiation as a whole: paths, accumulation, stopping, graphs, and mistakes.

use gradus_tensor::autograd::{GradOptions, grad, gradgradcheck};
use gradus_tensor::{ConvConfig, Tensor, no_grad};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn vector(v: &[f64]) -> Tensor {
    Tensor::from_slice(v, [v.len()])
}

fn scalar(v: f64) -> Tensor {
    Tensor::from_slice(&[v], ())
}

/// Sum over paths: with h1 = tanh(W1 x), h3 = sin(w3 h1), h4 = exp(w4 h1) and y = h3 h4,
/// dy/dW1 = (dy/dh3)(dh3/dh1)(dh1/dW1) + (dy/dh4)(dh4/dh1)(dh1/dW1).
#[test]
fn the_chain_rule_sums_over_paths() {
    let (w1, x, w3, w4) = (0.7f64, 0.9f64, 1.3f64, -0.4f64);
    let leaf = |v| scalar(v).requires_grad_(true);
    let (tw1, tw3, tw4) = (leaf(w1), leaf(w3), leaf(w4));
    let h1 = (&tw1 * x).tanh();
    let (h3, h4) = ((&tw3 * &h1).sin(), (&tw4 * &h1).exp());
    h1.retain_grad();
    (&h3 * &h4).backward();

    let n1 = (w1 * x).tanh();
    let (n3, n4) = ((w3 * n1).sin(), (w4 * n1).exp());
    let (dy_dh3, dy_dh4) = (n4, n3);
    let (dh3_dh1, dh4_dh1) = (w3 * (w3 * n1).cos(), w4 * n4);
    let dh1_dw1 = x * (1.0 - n1 * n1);
    let through_both = dy_dh3 * dh3_dh1 * dh1_dw1 + dy_dh4 * dh4_dh1 * dh1_dw1;
    assert!((tw1.grad().unwrap().item_f64() - through_both).abs() < 1e-14);
    assert!((h1.grad().unwrap().item_f64() - (dy_dh3 * dh3_dh1 + dy_dh4 * dh4_dh1)).abs() < 1e-14);
    assert!((tw3.grad().unwrap().item_f64() - n4 * n1 * (w3 * n1).cos()).abs() < 1e-14);
    assert!((tw4.grad().unwrap().item_f64() - n3 * n1 * n4).abs() < 1e-14);
}

/// The gradient is the vector of all partial derivatives; with respect to inputs it is W^T delta.
#[test]
fn gradients_with_respect_to_inputs() {
    let w = Tensor::from_slice(&[1.0f64, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]);
    let x = vector(&[0.1, -0.2, 0.3]).requires_grad_(true);
    let delta = vector(&[2.0, -1.0]);
    w.matmul(&x).backward_with(&delta);
    assert_eq!(x.grad().unwrap().to_vec::<f64>(), w.t().matmul(&delta).to_vec::<f64>());
    assert!(w.grad().is_none());
}

/// dJ/dtheta through a mean and a standard deviation that both depend on theta.
#[test]
fn gradients_through_mean_and_deviation_add_up() {
    let theta = vector(&[0.5, 1.5, -1.0, 2.0]).requires_grad_(true);
    let (mu, sigma) = (theta.mean(), theta.std(0));
    let parts =
        grad(&[&(mu.square() + sigma.exp())], &[&mu, &sigma], GradOptions { retain_graph: true, ..Default::default() });
    let d_mu = grad(&[&mu], &[&theta], GradOptions { retain_graph: true, ..Default::default() });
    let d_sigma = grad(&[&sigma], &[&theta], GradOptions { retain_graph: true, ..Default::default() });
    let by_hand = (&parts[0] * &d_mu[0] + &parts[1] * &d_sigma[0]).to_vec::<f64>();
    (mu.square() + sigma.exp()).backward();
    let got = theta.grad().unwrap().to_vec::<f64>();
    assert!(got.iter().zip(&by_hand).all(|(a, b)| (a - b).abs() < 1e-14), "{got:?} {by_hand:?}");
}

#[test]
fn gradients_accumulate_until_cleared() {
    let w = vector(&[1.0, 2.0]).requires_grad_(true);
    for round in 1..=3 {
        (&w * 3.0).sum().backward();
        assert_eq!(w.grad().unwrap().to_vec::<f64>(), [3.0 * round as f64; 2]);
    }
    w.zero_grad();
    assert!(w.grad().is_none_or(|g| g.to_vec::<f64>() == [0.0, 0.0]));
    w.square().sum().backward();
    assert_eq!(w.grad().unwrap().to_vec::<f64>(), [2.0, 4.0]);
}

#[test]
fn detach_and_no_grad_stop_gradients() {
    let w = vector(&[2.0, 3.0]).requires_grad_(true);
    let state = w.square();
    (&w * state.detach()).sum().backward();
    assert_eq!(w.grad().unwrap().to_vec::<f64>(), [4.0, 9.0]);
    assert!(!no_grad(|| w.square()).requires_grad());
    assert!(state.detach().shares_storage(&state));
    assert!(state.requires_grad() && !state.is_leaf());
    let e = catch_unwind(AssertUnwindSafe(|| state.detach().sum().backward()));
    assert!(e.is_err(), "backward without a graph must fail");
}

#[test]
fn a_freed_graph_and_a_changed_value_are_refused() {
    let w = vector(&[2.0]).requires_grad_(true);
    let y = w.square().sum();
    y.backward_retain();
    y.backward();
    assert_eq!(w.grad().unwrap().item(), 8.0);
    assert!(catch_unwind(AssertUnwindSafe(|| y.backward())).is_err(), "the graph was freed");

    let y = w.exp().square().sum();
    no_grad(|| w.fill_(1.0));
    y.backward();
    let y = w.square().sum();
    no_grad(|| w.fill_(5.0));
    let e = catch_unwind(AssertUnwindSafe(|| y.backward())).unwrap_err();
    assert!(e.downcast_ref::<String>().unwrap().contains("in place"));
}

/// A recurrent chain far deeper than the stack is built, differentiated and freed.
#[test]
fn very_long_graphs_do_not_overflow() {
    let w = scalar(1.0).requires_grad_(true);
    let mut h = scalar(0.0);
    for _ in 0..200_000 {
        h = &h + &w;
    }
    h.backward();
    assert_eq!(w.grad().unwrap().item(), 200_000.0);
    let mut unused = w.clone();
    for _ in 0..200_000 {
        unused = unused.neg();
    }
    drop(unused);
}

/// A gradient penalty: the derivative of a gradient's norm, through convolution, activation and pooling.
#[test]
fn a_gradient_penalty_on_a_convolutional_net_trains() {
    let fill = |n: usize, phase: f64| (0..n).map(|i| (phase + 1.3 * i as f64).sin() * 0.5).collect::<Vec<f64>>();
    let x = Tensor::from_vec(fill(50, 0.1), [2, 1, 5, 5]);
    let w = Tensor::from_vec(fill(18, 0.7), [2, 1, 3, 3]);
    let v = Tensor::from_vec(fill(8, 0.2), [8, 1]);
    let penalty = |p: &[Tensor]| {
        let x = if p[0].requires_grad() { p[0].clone() } else { p[0].clone().requires_grad_(true) };
        let y = x.conv2d(&p[1], None, ConvConfig::default().padding([1, 1])).tanh();
        let y = y.avg_pool2d([2, 2]).flatten(1, -1).matmul(&p[2]);
        let g = grad(&[&y.sum()], &[&x], GradOptions { create_graph: true, ..Default::default() });
        (g[0].square().sum_dim([1, 2, 3], false).sqrt() - 1.0).square().mean()
    };
    gradgradcheck(penalty, &[x, w, v]).unwrap();
}

#[test]
fn a_graph_can_be_built_and_used_on_several_threads() {
    let w = vector(&[1.0, 2.0, 3.0]).requires_grad_(true);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| w.square().sum().backward());
        }
    });
    assert_eq!(w.grad().unwrap().to_vec::<f64>(), [8.0, 16.0, 24.0]);
}

/// cosh x has the derivative sinh x.
#[test]
fn hyperbolic_functions_differentiate_into_each_other() {
    let x = vector(&[-1.5, 0.0, 0.3, 2.0]).requires_grad_(true);
    let d = |y: Tensor| grad(&[&y.sum()], &[&x], GradOptions::default()).remove(0).to_vec::<f64>();
    assert_eq!(d(x.cosh()), x.sinh().to_vec::<f64>());
    assert_eq!(d(x.sinh()), x.cosh().to_vec::<f64>());
}

/// What nobody asked for is not computed: a rule that would fail is not run.
#[test]
fn unwanted_gradients_are_not_computed() {
    let (x, w) = (vector(&[0.5]).requires_grad_(true), vector(&[2.0]).requires_grad_(true));
    let y = &x.floor() * 0.0 + &w * 3.0;
    let g = grad(&[&y.sum()], &[&w], GradOptions::default());
    assert_eq!(g[0].item(), 3.0);
    assert!(x.grad().is_none());
}

/// What index_select of rows leaves in a leaf, by rows and whole, is the same as through a product with one-hot rows.
#[test]
fn gradients_by_rows_are_the_whole_ones() {
    let index = |v: &[i64]| Tensor::from_slice(v, [v.len()]);
    let table = || Tensor::randn([12, 3]).requires_grad_(true);
    let (a, b) = (index(&[7, 2, 7]), index(&[0, 2]));
    let weights = [Tensor::randn([3, 3]), Tensor::randn([2, 3])];
    let loss = |t: &Tensor, pick: &dyn Fn(&Tensor, &Tensor) -> Tensor| {
        (pick(t, &a) * &weights[0]).sum() + (pick(t, &b) * &weights[1]).square().sum()
    };
    let by_rows = |t: &Tensor, i: &Tensor| t.index_select(0, i);
    let by_product = |t: &Tensor, i: &Tensor| i.one_hot(12).to_dtype(t.dtype()).matmul(t);
    let (t, u) = (table(), table());
    gradus_tensor::no_grad(|| u.copy_(&t));
    let same = |t: &Tensor, u: &Tensor| (t.grad().unwrap() - u.grad().unwrap()).abs().max().item() < 1e-5;

    loss(&t, &by_rows).backward();
    loss(&u, &by_product).backward();
    assert_eq!(t.grad_rows().unwrap().iter().map(|(i, _)| i.numel()).sum::<usize>(), 5);
    assert!(same(&t, &u) && t.grad_rows().is_none());
    // Added to a whole gradient, and by a second pass to rows, until there are too many of them.
    loss(&t, &by_rows).backward();
    loss(&u, &by_product).backward();
    assert!(same(&t, &u));
    t.zero_grad();
    u.zero_grad();
    for pass in 1..4 {
        loss(&t, &by_rows).backward();
        loss(&u, &by_product).backward();
        assert_eq!(t.grad_rows().is_some(), pass == 1);
    }
    assert!(same(&t, &u));
    // Together with a use of the whole tensor, in either order.
    for first in [true, false] {
        t.zero_grad();
        u.zero_grad();
        let all = |t: &Tensor, l: Tensor| if first { t.square().sum() + l } else { l + t.square().sum() };
        all(&t, loss(&t, &by_rows)).backward();
        all(&u, loss(&u, &by_product)).backward();
        assert!(t.grad_rows().is_none() && same(&t, &u));
    }
    // Gradients asked for by `grad`, recorded or not, are whole.
    for create_graph in [true, false] {
        let options = GradOptions { create_graph, ..Default::default() };
        let found = &grad(&[&loss(&t, &by_rows)], &[&t], options)[0];
        let expected = &grad(&[&loss(&u, &by_product)], &[&u], options)[0];
        assert!((found - expected).abs().max().item() < 1e-5);
        assert_eq!(found.requires_grad(), create_graph);
    }
}
