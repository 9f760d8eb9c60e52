//! Values and gradients of every operation against PyTorch's: the files are made by `scripts/goldens/ops.py`.

#[path = "goldens/dispatch.rs"]
mod dispatch;
#[path = "support/golden.rs"]
mod golden;

use dispatch::apply;
use golden::{Args, Golden, difference, weight_like};
use gradus_tensor::autograd::{GradOptions, grad};
use gradus_tensor::{DType, Tensor};
use serde_json::Value;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

struct Case {
    spec: Value,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    gradients: Vec<Tensor>,
}

fn cases() -> Vec<Case> {
    let mut golden = Golden::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/ops"));
    let specs = std::mem::take(&mut golden.cases);
    let mut out = vec![];
    for spec in specs {
        let inputs = golden.take_all(&spec["in"]);
        let outputs = golden.take_all(&spec["out"]);
        let gradients = if spec["grad"] == true { golden.take_gradients(&inputs) } else { vec![] };
        out.push(Case { spec, inputs, outputs, gradients });
    }
    golden.finish();
    out
}

/// What is wrong with the operation on this case, computed in `dtype`.
fn check(case: &Case, dtype: DType, tolerance: f64) -> Vec<String> {
    let wants_grad = case.spec["grad"] == true;
    let cast = |t: &Tensor| if t.dtype().is_float() { t.to_dtype(dtype).requires_grad_(wants_grad) } else { t.clone() };
    let inputs: Vec<Tensor> = case.inputs.iter().map(cast).collect();
    let out = apply(case.spec["op"].as_str().unwrap(), &inputs, &Args(&case.spec["args"]));
    let mut wrong = vec![];
    if out.len() != case.outputs.len() {
        return vec![format!("{} outputs instead of {}", out.len(), case.outputs.len())];
    }
    for (k, (got, want)) in out.iter().zip(&case.outputs).enumerate() {
        let expected = if want.dtype().is_float() { dtype } else { want.dtype() };
        if got.dtype() != expected {
            wrong.push(format!("output {k} is of {} instead of {expected}", got.dtype()));
        }
        wrong.extend(difference(got, want, tolerance).map(|d| format!("output {k}: {d}")));
    }
    if !wants_grad {
        return wrong;
    }
    let weighted =
        out.iter().enumerate().filter(|(_, o)| o.dtype().is_float()).map(|(k, o)| (o * weight_like(o, k)).sum());
    let loss = weighted.reduce(|a, b| a + b).unwrap();
    let leaves: Vec<&Tensor> = inputs.iter().filter(|t| t.dtype().is_float()).collect();
    for (i, (got, want)) in grad(&[&loss], &leaves, GradOptions::default()).iter().zip(&case.gradients).enumerate() {
        wrong.extend(difference(got, want, tolerance).map(|d| format!("gradient {i}: {d}")));
    }
    wrong
}

/// Checks all cases that `pick` selects and reports every failure at once.
fn run(dtype: DType, tolerance: f64, pick: impl Fn(&Value) -> bool) -> usize {
    let mut failures = vec![];
    let mut count = 0;
    for case in cases().iter().filter(|c| pick(&c.spec)) {
        count += 1;
        let wrong = catch_unwind(AssertUnwindSafe(|| check(case, dtype, tolerance)))
            .unwrap_or_else(|_| vec!["panicked".to_string()]);
        let Value::Object(spec) = &case.spec else { unreachable!() };
        let shapes: Vec<_> = case.inputs.iter().map(|t| t.shape()).collect();
        failures.extend(wrong.iter().map(|w| format!("{} {} {shapes:?}: {w}", spec["op"], spec["args"])));
    }
    assert!(failures.is_empty(), "{} differences from PyTorch in {dtype}:\n{}", failures.len(), failures.join("\n"));
    count
}

#[test]
fn float64_agrees_with_pytorch() {
    assert!(run(DType::F64, 1e-10, |_| true) > 380);
}

#[test]
fn float32_agrees_with_pytorch() {
    assert!(run(DType::F32, 3e-5, |spec| spec["f32"] == true) > 340);
}

/// The goldens cover the operations in the list below: removing one from the generator is noticed here.
#[test]
fn the_goldens_cover_the_operations() {
    let all = cases();
    let covered: BTreeSet<&str> = all.iter().map(|c| c.spec["op"].as_str().unwrap()).collect();
    assert!(covered.len() >= 130, "only {} operations", covered.len());
    let with_gradient = all.iter().filter(|c| c.spec["grad"] == true).map(|c| c.spec["op"].as_str().unwrap());
    let without: Vec<_> = covered.difference(&with_gradient.collect()).copied().collect();
    assert_eq!(without, ["argmax", "argmin", "argsort", "ceil", "floor", "round", "sign", "trunc"]);
}
