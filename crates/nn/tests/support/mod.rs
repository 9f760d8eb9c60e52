//! Golden cases of modules and functions, made by PyTorch: `scripts/goldens/recorder.py` writes a pair of files a
//! group, `tests/goldens/GROUP.json` and `.npz`, and a test walks over the cases of its group.

#![allow(dead_code, reason = "each test that includes this file uses a part of it")]

#[path = "../../../tensor/tests/support/golden.rs"]
pub mod golden;

pub use golden::{Args, difference, weight_like};

use golden::Golden;
use gradus_nn::{Module, StateDict};
use gradus_tensor::autograd::{GradOptions, grad};
use gradus_tensor::{DType, Tensor, no_grad};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// One run of a module or function in PyTorch: what went in, what came out, and the gradients.
pub struct Case {
    spec: Value,
    inputs: Vec<Tensor>,
    /// Parameters and buffers before the run, by PyTorch's names.
    state: Vec<(String, Tensor)>,
    outputs: Vec<Tensor>,
    gradients: Vec<Tensor>,
    buffers_after: Vec<Tensor>,
}

/// All cases of a group, read from its files.
pub fn cases(group: &str) -> Vec<Case> {
    let mut file = Golden::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(group));
    let specs = std::mem::take(&mut file.cases);
    let cases = specs.into_iter().map(|spec| Case::read(&mut file, spec)).collect();
    file.finish();
    cases
}

/// The message `f` panics with.
pub fn panic_of<T>(f: impl FnOnce() -> T) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { panic!("it must panic") };
    payload.downcast_ref::<String>().cloned().or(payload.downcast_ref::<&str>().map(|s| s.to_string())).unwrap()
}

/// Compares the gradients of a module called by `call` with finite differences, to second order: those of all
/// parameters and of the inputs that require gradients, then those of a weighted sum of these gradients.
///
/// The module and its inputs must be f64, small, and the same at every call (no dropout, no running averages that
/// change the output).
#[track_caller]
pub fn check_gradients<M: Module>(model: &M, inputs: &[Tensor], call: impl Fn(&M, &[Tensor]) -> Vec<Tensor>) {
    let leaves: Vec<Tensor> = inputs.iter().cloned().chain(model.parameters()).filter(|t| t.requires_grad()).collect();
    let total = || {
        let outputs = call(model, inputs);
        let weighted = outputs.iter().enumerate().filter(|(_, t)| t.requires_grad());
        weighted.map(|(k, t)| (t * weight_like(t, k)).sum()).reduce(|a, b| a + b).expect("no output has a gradient")
    };
    differentiate(&leaves, "first", &total);
    differentiate(&leaves, "second", &|| {
        let gradients = gradients_of(&total(), &leaves, true);
        let weighted = gradients.iter().enumerate().map(|(k, g)| (g * weight_like(g, k + 7)).sum());
        weighted.reduce(|a, b| a + b).unwrap()
    });
}

fn gradients_of(total: &Tensor, leaves: &[Tensor], create_graph: bool) -> Vec<Tensor> {
    let options = GradOptions { allow_unused: true, create_graph, ..Default::default() };
    grad(&[total], &leaves.iter().collect::<Vec<_>>(), options)
}

/// Central differences of `total` in every element of every leaf.
#[track_caller]
fn differentiate(leaves: &[Tensor], order: &str, total: &dyn Fn() -> Tensor) {
    const STEP: f64 = 1e-5;
    let base = total();
    if !base.requires_grad() {
        // The gradients are constant: linear in every leaf.
        return;
    }
    let found = gradients_of(&base, leaves, false);
    for (k, (leaf, g)) in leaves.iter().zip(&found).enumerate() {
        let (values, g) = (leaf.to_vec::<f64>(), g.to_vec::<f64>());
        for i in 0..values.len() {
            let at = |delta: f64| {
                let mut moved = values.clone();
                moved[i] += delta;
                no_grad(|| leaf.copy_(&Tensor::from_vec(moved, leaf.shape())));
                total().item_f64()
            };
            let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            no_grad(|| leaf.copy_(&Tensor::from_slice(&values, leaf.shape())));
            let near = (g[i] - expected).abs() <= 1e-6 * expected.abs().max(1.0);
            assert!(near, "{order} order, leaf {k} {}, element {i}: {} is not {expected}", leaf.shape(), g[i]);
        }
    }
}

impl Case {
    fn read(file: &mut Golden, spec: Value) -> Case {
        let mut named = |key: &str| -> Vec<(String, Tensor)> {
            let entry = |e: &Value| {
                let list = e.as_array().unwrap();
                (list[0].as_str().unwrap().to_string(), file.take(&Value::from(list[1..].to_vec())))
            };
            spec[key].as_array().unwrap().iter().map(entry).collect()
        };
        let inputs = named("in").into_iter().map(|(_, t)| t).collect();
        let (params, buffers) = (named("params"), named("buffers"));
        let outputs = named("out").into_iter().map(|(_, t)| t).collect();
        let gradients = named("gradients").into_iter().map(|(_, t)| t).collect();
        let buffers_after = named("buffers").into_iter().map(|(_, t)| t).collect();
        let state = params.into_iter().chain(buffers).collect();
        Case { inputs, state, outputs, gradients, buffers_after, spec }
    }

    /// PyTorch's name of the module or function.
    pub fn kind(&self) -> &str {
        self.spec["kind"].as_str().unwrap()
    }

    /// The arguments it was made with.
    pub fn args(&self) -> Args<'_> {
        Args(&self.spec["args"])
    }

    /// A string for messages.
    pub fn name(&self) -> String {
        format!("{} {} train={}", self.kind(), self.spec["args"], self.spec["train"])
    }

    /// Compares the module `make` gives, called by `call`, with PyTorch's in f64 and in f32: names and order of
    /// the state dict, outputs, gradients of inputs and parameters, buffers afterwards.
    #[track_caller]
    pub fn check<M: Module>(&self, make: impl Fn() -> M, call: impl Fn(&M, &[Tensor]) -> Vec<Tensor>) {
        for (dtype, key) in [(DType::F64, "tolerance"), (DType::F32, "tolerance32")] {
            let (mut model, tolerance) = (make(), self.spec[key].as_f64().unwrap());
            model.to_dtype(dtype);
            let found: BTreeSet<String> = model.state_dict().names().map(str::to_string).collect();
            let expected: BTreeSet<String> = self.state.iter().map(|(name, _)| name.clone()).collect();
            assert_eq!(found, expected, "{}: names in the state dict", self.name());
            let state = self.state.iter().cloned().collect::<StateDict>();
            model.load_state_dict(&state).unwrap_or_else(|e| panic!("{}: {e}", self.name()));
            if self.spec["train"] == true {
                model.train()
            } else {
                model.eval()
            }
            let inputs = self.inputs_as(dtype);
            let outputs = call(&model, &inputs);
            let now: HashMap<String, Tensor> =
                model.named_parameters().into_iter().chain(model.named_buffers()).collect();
            let params = self.names("params").map(|name| now[name].clone()).collect::<Vec<_>>();
            self.compare(&inputs, &params, outputs, dtype, tolerance);
            for (name, want) in self.names("buffers").zip(&self.buffers_after) {
                self.compare_one(name, &now[name], want, dtype, tolerance);
            }
        }
    }

    /// Compares a function with PyTorch's in f64 and in f32: outputs and gradients of the inputs.
    #[track_caller]
    pub fn check_function(&self, call: impl Fn(&[Tensor]) -> Vec<Tensor>) {
        for (dtype, key) in [(DType::F64, "tolerance"), (DType::F32, "tolerance32")] {
            let inputs = self.inputs_as(dtype);
            let outputs = call(&inputs);
            self.compare(&inputs, &[], outputs, dtype, self.spec[key].as_f64().unwrap());
        }
    }

    fn names(&self, key: &str) -> impl Iterator<Item = &str> {
        self.spec[key].as_array().unwrap().iter().map(|e| e[0].as_str().unwrap())
    }

    fn inputs_as(&self, dtype: DType) -> Vec<Tensor> {
        let wanted = |i: usize| self.spec["in"][i][0] == "grad";
        let convert = |t: &Tensor| if t.dtype().is_float() { t.to_dtype(dtype) } else { t.clone() };
        self.inputs.iter().enumerate().map(|(i, t)| convert(t).requires_grad_(wanted(i))).collect()
    }

    #[track_caller]
    fn compare(&self, inputs: &[Tensor], parameters: &[Tensor], outputs: Vec<Tensor>, dtype: DType, tolerance: f64) {
        assert_eq!(outputs.len(), self.outputs.len(), "{}: number of outputs", self.name());
        for (i, (got, want)) in outputs.iter().zip(&self.outputs).enumerate() {
            assert!(
                got.dtype() == dtype || !got.dtype().is_float(),
                "{} {dtype}: output is {}",
                self.name(),
                got.dtype()
            );
            self.compare_one(&format!("output {i}"), got, want, dtype, tolerance);
        }
        let sources: Vec<&Tensor> = inputs.iter().chain(parameters).filter(|t| t.requires_grad()).collect();
        assert_eq!(sources.len(), self.gradients.len(), "{}: number of gradients", self.name());
        let differentiable = outputs.iter().enumerate().filter(|(_, t)| t.dtype().is_float() && t.requires_grad());
        let total = differentiable.map(|(k, t)| (t * weight_like(t, k)).sum()).reduce(|a, b| a + b);
        let Some(total) = total else {
            return assert!(sources.is_empty(), "{}: no output has a gradient", self.name());
        };
        let options = GradOptions { allow_unused: true, ..Default::default() };
        for (i, (got, want)) in grad(&[&total], &sources, options).iter().zip(&self.gradients).enumerate() {
            self.compare_one(&format!("gradient {i}"), got, want, dtype, tolerance);
        }
    }

    #[track_caller]
    fn compare_one(&self, part: &str, got: &Tensor, want: &Tensor, dtype: DType, tolerance: f64) {
        if let Some(d) = difference(got, want, tolerance) {
            panic!("{} {dtype}, {part}: {d}", self.name());
        }
    }
}
