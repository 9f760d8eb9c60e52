//! Clipping, averages of weights, parameters as a vector, and restarts.

use gradus_nn::optim::{Optimizer, Sgd};
use gradus_nn::utils::*;
use gradus_nn::{BatchNorm1d, Forward, Linear, Module, Sequential, sequential};
use gradus_tensor::{DType, Tensor, manual_seed, no_grad};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("goldens/utils.json")).unwrap()
}

fn floats(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance || (a.is_nan() && b.is_nan()) || a == b, "{found:?} is not {expected:?}");
    }
}

/// Parameters with these gradients, of which a third has none.
fn with_gradients(grads: &[Vec<f64>]) -> Vec<Tensor> {
    let parameter = |g: &Vec<f64>| {
        let p = Tensor::full_of([g.len()], 0.0, DType::F64).requires_grad_(true);
        p.set_grad(Some(Tensor::from_slice(g, [g.len()])));
        p
    };
    grads.iter().map(parameter).chain([Tensor::ones([2]).requires_grad_(true)]).collect()
}

fn gradients(params: &[Tensor]) -> Vec<f64> {
    params.iter().filter_map(Tensor::grad).flat_map(|g| g.to_vec::<f64>()).collect()
}

#[test]
fn gradients_are_clipped_as_by_pytorch() {
    for case in golden()["clip"].as_array().unwrap() {
        let grads: Vec<Vec<f64>> = case["grads"].as_array().unwrap().iter().map(floats).collect();
        let order = case["norm_type"].as_f64().unwrap_or(f64::INFINITY);
        let params = with_gradients(&grads);
        let norm = clip_grad_norm_with(&params, case["max_norm"].as_f64().unwrap(), order, true).unwrap();
        assert_near(&[norm], &floats(&case["norm"]), 1e-12);
        assert_near(&gradients(&params), &floats(&case["clipped"]), 1e-12);
        let params = with_gradients(&grads);
        clip_grad_value_(&params, case["max_norm"].as_f64().unwrap());
        assert_near(&gradients(&params), &floats(&case["clipped_value"]), 0.0);
    }
}

#[test]
fn edges_of_clipping() {
    // Zero norm, and no gradient at all.
    let zero = with_gradients(&[vec![0.0, 0.0]]);
    assert_eq!(clip_grad_norm_(&zero, 1.0), 0.0);
    assert_eq!(gradients(&zero), [0.0, 0.0]);
    assert_eq!(clip_grad_norm_(&[], 1.0), 0.0);
    assert_eq!(clip_grad_norm_(&with_gradients(&[]), 0.0), 0.0);
    // A norm below the limit changes nothing, to the last bit.
    let small = with_gradients(&[vec![0.3, -0.4]]);
    assert_eq!(clip_grad_norm_(&small, 0.6), 0.5);
    assert_eq!(gradients(&small), [0.3, -0.4]);
    // A limit of zero takes everything away.
    let gone = with_gradients(&[vec![3.0, 4.0]]);
    assert_eq!(clip_grad_norm_(&gone, 0.0), 5.0);
    assert_eq!(gradients(&gone), [0.0, 0.0]);
    // Squares beyond the range of f32.
    let large = Tensor::zeros([2]).requires_grad_(true);
    large.set_grad(Some(Tensor::from_slice(&[3e30f32, 4e30], [2])));
    let norm = clip_grad_norm_(std::slice::from_ref(&large), 1.0);
    assert!((norm / 5e30 - 1.0).abs() < 1e-6, "{norm}");
    assert!((large.grad().unwrap().norm().item() - 1.0).abs() < 1e-6);
}

#[test]
fn gradients_that_are_not_finite() {
    let grads = [vec![1.0, f64::INFINITY], vec![2.0]];
    let params = with_gradients(&grads);
    let error = clip_grad_norm_with(&params, 1.0, 2.0, true).unwrap_err();
    assert_eq!(error, NonFiniteNorm { norm: f64::INFINITY, norm_type: 2.0 });
    assert_eq!(error.to_string(), "the norm of order 2 of the gradients is inf: they cannot be clipped");
    assert_eq!(gradients(&params), [1.0, f64::INFINITY, 2.0]);
    assert_eq!(clip_grad_norm_(&params, 1.0), f64::INFINITY);
    assert_near(&gradients(&params), &[0.0, f64::NAN, 0.0], 0.0);
    let params = with_gradients(&[vec![1.0, f64::NAN], vec![2.0]]);
    assert!(clip_grad_norm_(&params, 1.0).is_nan());
    assert!(gradients(&params).iter().all(|g| g.is_nan()));
    let params = with_gradients(&[vec![f64::NEG_INFINITY, f64::NAN]]);
    clip_grad_value_(&params, 2.0);
    assert_near(&gradients(&params), &[-2.0, f64::NAN], 0.0);
}

#[test]
fn a_gradient_that_two_parameters_share_is_scaled_once() {
    let (a, b) = (Tensor::zeros([1]).requires_grad_(true), Tensor::zeros([1]).requires_grad_(true));
    let shared = Tensor::full([1], 4.0);
    a.set_grad(Some(shared.clone()));
    b.set_grad(Some(shared));
    let norm = clip_grad_norm_(&[a.clone(), b.clone()], 1.0);
    assert!((norm - 32f64.sqrt()).abs() < 1e-12);
    for p in [a, b] {
        assert!((p.grad().unwrap().item() - 0.5f32.sqrt()).abs() < 1e-6);
    }
}

#[test]
#[should_panic(expected = "max_norm must be at least 0, got -1")]
fn a_negative_limit_is_refused() {
    clip_grad_norm_(&[], -1.0);
}

/// A net with buffers of floats and of integers.
fn net() -> Sequential {
    let mut model = sequential![Linear::new(2, 3), BatchNorm1d::new(3)];
    model.to_dtype(DType::F64);
    model
}

/// Sets everything in the model by number `k`, as the script does.
fn set(model: &Sequential, k: usize) {
    for (i, (_, t)) in model.state_dict().iter().enumerate() {
        let values = |j: usize| ((0.7 * j as f64) + i as f64 + (k * k) as f64).sin();
        match t.dtype().is_float() {
            true => t.copy_(&Tensor::from_vec((0..t.numel()).map(values).collect::<Vec<f64>>(), t.shape())),
            false => t.fill_(k as f64),
        }
    }
}

#[test]
fn averages_are_those_of_pytorch() {
    let golden = golden();
    let rows = golden["average"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let model = net();
        set(&model, 9);
        let average = match row["decay"].as_f64() {
            Some(decay) => AveragedModel::ema(&model, decay),
            None => AveragedModel::new(&model),
        };
        let mut average = average.use_buffers(row["use_buffers"] == true);
        for k in 0..4 {
            set(&model, k);
            average.update_parameters(&model);
        }
        assert_eq!(average.n_averaged(), 4);
        let state = average.state_dict();
        let expected = row["state"].as_object().unwrap();
        assert_eq!(state.len(), expected.len());
        for (name, t) in state.iter() {
            // PyTorch's average of integers is not rounded to one; here they are copied.
            if name.ends_with("num_batches_tracked") {
                assert_eq!(t.item_i64(), 3);
                continue;
            }
            assert_near(&t.to_dtype(DType::F64).to_vec::<f64>(), &floats(&expected[name]), 1e-12);
        }
    }
}

#[test]
fn an_average_is_swapped_in_and_saved() {
    let model = net();
    set(&model, 1);
    let mut average = AveragedModel::ema(&model, 0.5);
    average.update_parameters(&model);
    set(&model, 2);
    average.update_parameters(&model);
    let values = |m: &Sequential| {
        m.state_dict().iter().flat_map(|(_, t)| t.to_dtype(DType::F64).to_vec::<f64>()).collect::<Vec<_>>()
    };
    let trained = values(&model);
    average.swap(&model);
    let averaged = values(&model);
    assert!(trained != averaged);
    average.swap(&model);
    assert_eq!(values(&model), trained);
    let mut resumed = AveragedModel::ema(&net(), 0.5);
    resumed.load_state_dict(&average.state_dict()).unwrap();
    assert_eq!(resumed.n_averaged(), 2);
    resumed.swap(&model);
    assert_eq!(values(&model), averaged);
    let mut broken = average.state_dict();
    broken.remove("n_averaged");
    broken.insert("module.0.weight", Tensor::zeros([1]));
    broken.insert("x", Tensor::zeros([1]));
    let error = resumed.load_state_dict(&broken).unwrap_err();
    assert_eq!((&error.missing[..], &error.unexpected[..]), (&["n_averaged".into()][..], &["x".to_string()][..]));
    assert_eq!(error.misshapen[0].name, "module.0.weight");
}

#[test]
#[should_panic(expected = "the average was made of a model with other parameters")]
fn an_average_takes_its_own_model_only() {
    AveragedModel::new(&Linear::new(2, 3)).update_parameters(&Linear::new(2, 3).bias(false));
}

#[test]
fn parameters_are_one_vector_and_back() {
    let (a, b) = (Linear::new(3, 2), Linear::new(3, 2));
    let vector = parameters_to_vector(&a.parameters());
    assert_eq!(vector.shape(), [8]);
    vector_to_parameters(&vector, &b.parameters());
    assert_eq!(a.weight.to_vec::<f32>(), b.weight.to_vec::<f32>());
    assert_eq!(parameters_to_vector(&b.parameters()).to_vec::<f32>(), vector.to_vec::<f32>());
    // Gradients flow through the vector.
    (&vector * Tensor::arange(8)).sum().backward();
    assert_eq!(a.weight.grad().unwrap().to_vec::<f32>(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
#[should_panic(expected = "vector_to_parameters: the parameters take a vector of 8 elements, not [7]")]
fn a_vector_of_another_length_is_refused() {
    vector_to_parameters(&Tensor::zeros([7]), &Linear::new(3, 2).parameters());
}

#[test]
fn restarts_keep_the_best_and_can_be_repeated() {
    // A rugged line whose deepest minimum is at 0: a single run mostly ends in another one.
    let loss = |x: &Tensor| x.square() * 0.05 - (x * 3.0).cos();
    let train = |_: u64| {
        let x = Tensor::uniform(-8.0, 8.0, ()).requires_grad_(true);
        let mut optimizer = Sgd::new(vec![x.clone()], 0.05);
        (0..60).for_each(|_| drop(optimizer.step_with(&mut || loss(&x))));
        (loss(&x).item_f64(), x.item())
    };
    let best = random_restarts(0..12, train);
    assert!(best.value.abs() < 0.1, "{best:?}");
    let runs: Vec<f64> = (0..12).map(|seed| random_restarts([seed], train).loss).collect();
    assert!(runs.iter().filter(|l| **l > best.loss + 0.1).count() >= 6, "{runs:?}");
    manual_seed(best.seed);
    assert_eq!(train(best.seed), (best.loss, best.value));
    let losses = [f64::NAN, 2.0, 1.0, 1.0];
    assert_eq!(random_restarts(0..4, |seed| (losses[seed as usize], ())).seed, 2);
    assert!(random_restarts(0..1, |_| (f64::NAN, ())).loss.is_nan());
}

#[test]
fn clipping_bounds_the_step() {
    let model = Linear::new(2, 1).bias(false);
    no_grad(|| model.weight.fill_(100.0));
    let before = model.weight.to_vec::<f32>();
    let mut optimizer = Sgd::new(model.parameters(), 1.0);
    model.forward(&Tensor::ones([1, 2])).square().sum().backward();
    assert!(clip_grad_norm_(&optimizer.parameters(), 0.1) > 100.0);
    optimizer.step();
    let moved: f32 = before.iter().zip(model.weight.to_vec::<f32>()).map(|(a, b)| (a - b).powi(2)).sum();
    assert!((moved.sqrt() - 0.1).abs() < 1e-4);
}
