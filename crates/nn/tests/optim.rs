//! Optimisers against their formulas worked out by hand, and their state.

use gradus_nn::optim::{Adam, AdamW, Optimizer, Sgd};
use gradus_nn::{Linear, Module, StateDict};
use gradus_tensor::{DType, Tensor};

fn weight(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, [values.len()]).requires_grad_(true)
}

/// Steps along given gradients and returns the parameter after each step.
fn run(w: &Tensor, optimizer: &mut dyn Optimizer, grads: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let step = |g: &[f64; 2]| {
        w.set_grad(Some(Tensor::from_slice(g, [2])));
        optimizer.step();
        w.to_vec::<f64>().try_into().unwrap()
    };
    grads.iter().map(step).collect()
}

#[track_caller]
fn assert_near(found: &[[f64; 2]], expected: &[[f64; 2]]) {
    for (a, b) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((a - b).abs() < 1e-12, "{found:?} is not {expected:?}");
    }
}

const GRADS: [[f64; 2]; 2] = [[1.0, -2.0], [0.5, 4.0]];

#[test]
fn plain_descent_and_weight_decay() {
    let w = weight(&[1.0, 2.0]);
    assert_near(&run(&w, &mut Sgd::new(vec![w.clone()], 0.1), &GRADS), &[[0.9, 2.2], [0.85, 1.8]]);
    let w = weight(&[1.0, 2.0]);
    let mut sgd = Sgd::new(vec![w.clone()], 0.1).weight_decay(0.5);
    // d = g + 0.5 p: [1.5, -1], then [0.5 + 0.425, 4 + 1.05]
    assert_near(&run(&w, &mut sgd, &GRADS), &[[0.85, 2.1], [0.7575, 1.595]]);
}

#[test]
fn momentum_begins_with_the_whole_gradient() {
    let w = weight(&[0.0, 0.0]);
    let mut sgd = Sgd::new(vec![w.clone()], 0.1).momentum(0.9).dampening(0.5);
    // b = g, then 0.9 b + 0.5 g: [0.9 + 0.25, -1.8 + 2]
    assert_near(&run(&w, &mut sgd, &GRADS), &[[-0.1, 0.2], [-0.215, 0.18]]);
    let w = weight(&[0.0, 0.0]);
    let mut sgd = Sgd::new(vec![w.clone()], 0.1).momentum(0.9).nesterov(true);
    // Steps g + 0.9 b: b = [1, -2], then [1.4, 2.2].
    assert_near(&run(&w, &mut sgd, &GRADS), &[[-0.19, 0.38], [-0.19 - 0.176, 0.38 - 0.598]]);
}

#[test]
#[should_panic(expected = "nesterov needs momentum")]
fn nesterov_without_momentum_is_refused() {
    Sgd::new(vec![], 0.1).nesterov(true).step();
}

#[test]
#[should_panic(expected = "the learning rate must be a number of at least 0, got -1")]
fn a_negative_rate_is_refused() {
    Adam::new(vec![], -1.0);
}

/// Adam as its paper states it, one number at a time.
fn adam_by_hand(start: [f64; 2], decay: f64, decoupled: bool) -> Vec<[f64; 2]> {
    let (lr, b1, b2, eps) = (0.1f64, 0.8f64, 0.9f64, 1e-3);
    let (mut p, mut m, mut v) = (start, [0.0; 2], [0.0; 2]);
    let mut all = vec![];
    for (t, g) in (1..).zip(GRADS) {
        for i in 0..2 {
            if decoupled {
                p[i] -= lr * decay * p[i];
            }
            let d = g[i] + if decoupled { 0.0 } else { decay * p[i] };
            m[i] = b1 * m[i] + (1.0 - b1) * d;
            v[i] = b2 * v[i] + (1.0 - b2) * d * d;
            let (mean, square) = (m[i] / (1.0 - b1.powi(t)), v[i] / (1.0 - b2.powi(t)));
            p[i] -= lr * mean / (square.sqrt() + eps);
        }
        all.push(p);
    }
    all
}

#[test]
fn adam_and_adamw_follow_their_papers() {
    let w = weight(&[1.0, -3.0]);
    let mut adam = Adam::new(vec![w.clone()], 0.1).betas(0.8, 0.9).eps(1e-3).weight_decay(0.3);
    assert_near(&run(&w, &mut adam, &GRADS), &adam_by_hand([1.0, -3.0], 0.3, false));
    let w = weight(&[1.0, -3.0]);
    let mut adamw = AdamW::new(vec![w.clone()], 0.1).betas(0.8, 0.9).eps(1e-3).weight_decay(0.3);
    assert_near(&run(&w, &mut adamw, &GRADS), &adam_by_hand([1.0, -3.0], 0.3, true));
    // The first step of Adam is lr against the gradient's sign, whatever its size.
    let w = weight(&[0.0, 0.0]);
    let found = run(&w, &mut Adam::new(vec![w.clone()], 0.1).eps(0.0), &[[1e-6, -1e6]]);
    assert_near(&found, &[[-0.1, 0.1]]);
}

#[test]
fn what_has_no_gradient_or_is_frozen_stays() {
    let model = vec![Linear::new(2, 2), Linear::new(2, 2)];
    let mut adam = AdamW::new(model.parameters(), 0.1);
    let before: Vec<Vec<f32>> = model.parameters().iter().map(|p| p.to_vec()).collect();
    model.parameters().iter().take(3).for_each(|p| p.set_grad(Some(p.detach().ones_like())));
    model[0].freeze();
    adam.step();
    let after: Vec<Vec<f32>> = model.parameters().iter().map(|p| p.to_vec()).collect();
    let changed: Vec<bool> = before.iter().zip(&after).map(|(a, b)| a != b).collect();
    assert_eq!(changed, [false, false, true, false]);
    adam.zero_grad();
    assert!(model.parameters().iter().all(|p| p.grad().is_none()));
}

#[test]
fn training_goes_on_from_a_saved_state() {
    type Make = fn(Vec<Tensor>) -> Box<dyn Optimizer>;
    let kinds: [Make; 3] = [
        |p| Box::new(Sgd::new(p, 0.1).momentum(0.9).dampening(0.1)),
        |p| Box::new(Adam::new(p, 0.1)),
        |p| Box::new(AdamW::new(p, 0.1)),
    ];
    for make in kinds {
        let straight = weight(&[1.0, 2.0]);
        let mut one = make(vec![straight.clone()]);
        one.set_lr(0.05);
        run(&straight, &mut *one, &GRADS[..1]);
        let saved: StateDict = one
            .state_dict()
            .iter()
            .map(|(n, t)| (n, Tensor::from_bytes(&t.to_bytes(), t.dtype(), t.shape())))
            .collect();
        let resumed = weight(&straight.to_vec::<f64>());
        let mut two = make(vec![resumed.clone()]);
        two.load_state_dict(&saved).unwrap();
        assert_eq!(two.lr(), 0.05);
        assert_eq!(run(&straight, &mut *one, &GRADS[1..]), run(&resumed, &mut *two, &GRADS[1..]));
    }
}

#[test]
fn a_wrong_state_is_reported_whole() {
    let w = weight(&[1.0, 2.0]);
    let mut adam = Adam::new(vec![w.clone()], 0.1);
    run(&w, &mut adam, &GRADS[..1]);
    let mut state: StateDict = adam.state_dict().iter().map(|(n, t)| (n, t.clone())).collect();
    state.remove("lr");
    state.remove("0.exp_avg");
    state.insert("0.exp_avg_sq", Tensor::zeros([3]));
    state.insert("0.step", Tensor::zeros(()));
    state.insert("1.step", Tensor::full_of((), 1.0, DType::I64));
    let error = adam.load_state_dict(&state).unwrap_err();
    assert_eq!(
        (&error.missing[..], &error.unexpected[..]),
        (&["lr".to_string(), "0.exp_avg".into()][..], &["1.step".to_string()][..])
    );
    assert_eq!((error.misshapen[0].name.as_str(), error.mistyped[0].name.as_str()), ("0.exp_avg_sq", "0.step"));
    assert_eq!(adam.lr(), 0.1);
}

#[test]
fn one_large_and_many_small_parameters_agree_on_any_number_of_threads() {
    let sizes = [200_001, 3, 1, 50_000];
    let all = |threads: usize| -> Vec<f32> {
        gradus_tensor::set_threads(threads);
        let params: Vec<Tensor> = sizes.iter().map(|&n| Tensor::arange(n).requires_grad_(true)).collect();
        let mut adam = Adam::new(params.clone(), 0.01);
        for _ in 0..3 {
            adam.zero_grad();
            params.iter().for_each(|p| p.sin().sum().backward());
            adam.step();
        }
        params.iter().flat_map(|p| p.to_vec::<f32>()).collect()
    };
    assert_eq!(all(1), all(2));
}
