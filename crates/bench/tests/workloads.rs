//! Every workload runs: an inference step, and a training step with a finite loss that reaches every parameter.

use gradus_bench::{Group, WORKLOADS, select};
use std::collections::HashSet;

/// Workloads of which a step takes long, or which hold much memory; their layers are those of the others.
const HEAVY: [&str; 3] = ["m06_alexnet_b4", "m10_resnet18_224_b1", "m14_long_attention_b1"];

fn steps(chosen: impl Fn(&str) -> bool) {
    for w in WORKLOADS.iter().filter(|w| chosen(w.name)) {
        gradus_tensor::manual_seed(0);
        let mut job = (w.build)();
        job.model().eval();
        let output = job.infer_step();
        assert!(output.is_finite(), "{}: output {output}", w.name);
        job.model().train();
        let loss = job.train_step();
        assert!(loss.is_finite(), "{}: loss {loss}", w.name);
        let changed = job.model().parameters().iter().filter(|p| p.grad().is_some()).count();
        assert_eq!(changed, job.model().parameters().len(), "{}: parameters with a gradient", w.name);
    }
}

#[test]
fn every_workload_makes_finite_steps() {
    steps(|name| !HEAVY.contains(&name));
}

#[test]
#[ignore = "seconds of work: run with --ignored in release"]
fn heavy_workloads_make_finite_steps() {
    steps(|name| HEAVY.contains(&name));
}

#[test]
fn names_are_unique_and_chosen_by_their_beginning_or_group() {
    let names: HashSet<&str> = WORKLOADS.iter().map(|w| w.name).collect();
    assert_eq!(names.len(), WORKLOADS.len());
    let chosen = |wanted: &[&str]| -> Result<Vec<&str>, String> {
        let wanted: Vec<String> = wanted.iter().map(|s| s.to_string()).collect();
        let found = select(&wanted, Group::Core).map_err(str::to_string)?;
        Ok(found.iter().map(|w| w.name).collect::<Vec<_>>())
    };
    assert_eq!(chosen(&["w05", "m13_gpt_b4"]), Ok(vec!["w05_resnet18_cifar_b16", "m13_gpt_b4"]));
    assert_eq!(chosen(&[]).map(|c| c.len()), Ok(12));
    assert_eq!(chosen(&["core", "more"]).map(|c| c.len()), Ok(WORKLOADS.len()));
    assert_eq!(chosen(&["w01", "x"]), Err("x".to_string()));
}

#[test]
fn a_training_step_is_about_three_forward_passes() {
    for w in WORKLOADS {
        let [forward, step] = w.gflop;
        // Generative nets run a second net in training, of which inference shows nothing.
        let ratio = step / forward;
        assert!(forward > 0.0 && ratio > 2.0 && !(3.05..=8.0).contains(&ratio), "{}: {ratio}", w.name);
    }
}
