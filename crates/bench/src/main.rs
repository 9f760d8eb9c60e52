//! `gradus-bench [--phase train|infer] [w01 w03 ...]` times workloads and prints one JSON line each.
//!
//! A *train* step is zero_grad, forward, loss, backward, optimiser step and reading the loss; an
//! *infer* step is the forward pass in evaluation mode without gradients, with the output read. The
//! models are written from the public API, as a user would. `GRADUS_THREADS` sets the threads,
//! `BENCH_MIN_S` and `BENCH_CAP_S` (3 and 8) how long each is measured. `--coldstart` makes one training
//! step of the first workload and exits, for timing from the outside.

mod nets;
mod workloads;

use gradus::prelude::*;
use std::time::Instant;
use workloads::{WORKLOADS, Workload};

fn main() {
    let mut phases = vec!["infer", "train"];
    let mut selected = vec![];
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--coldstart" => return cold_start(),
            "--phase" => match args.next().as_deref() {
                Some("train") => phases = vec!["train"],
                Some("infer") => phases = vec!["infer"],
                other => usage(&format!("--phase takes train or infer, got {other:?}")),
            },
            flag if flag.starts_with('-') => usage(&format!("unknown option {flag}")),
            name => selected.push(name.to_string()),
        }
    }
    if let Some(bad) = selected.iter().find(|s| !WORKLOADS.iter().any(|w| w.name.starts_with(*s))) {
        usage(&format!("no workload begins with {bad}"));
    }
    for w in WORKLOADS {
        if selected.is_empty() || selected.iter().any(|s| w.name.starts_with(s)) {
            run(w, &phases);
        }
    }
}

fn usage(problem: &str) -> ! {
    let names: Vec<_> = WORKLOADS.iter().map(|w| w.name).collect();
    eprintln!(
        "gradus-bench: {problem}\nusage: gradus-bench [--phase train|infer] [--coldstart] [workload ...]\nworkloads: {}",
        names.join(" ")
    );
    std::process::exit(2);
}

fn cold_start() {
    manual_seed(0);
    let mut w = (WORKLOADS[0].build)();
    println!("STEP {}", w.train_step());
}

fn run(w: &Workload, phases: &[&str]) {
    manual_seed(0);
    let mut job = (w.build)();
    let params = job.model().num_parameters();
    if phases.contains(&"infer") {
        job.model().eval();
        let (times, first, _) = timed(|| job.infer_step());
        emit(w.name, "infer", &times, serde_json::json!({ "params": params, "check": first }));
    }
    if phases.contains(&"train") {
        job.model().train();
        let (times, first, last) = timed(|| job.train_step());
        emit(w.name, "train", &times, serde_json::json!({ "params": params, "loss_first": first, "loss_last": last }));
    }
}

/// Milliseconds of each step after three to warm up, the very first result and the last.
fn timed(mut step: impl FnMut() -> f32) -> (Vec<f64>, f32, f32) {
    let seconds = |name: &str, default: f64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let (min_s, cap_s) = (seconds("BENCH_MIN_S", 3.0), seconds("BENCH_CAP_S", 8.0));
    let first = step();
    step();
    step();
    let mut times = vec![];
    let start = Instant::now();
    loop {
        let t = Instant::now();
        let last = step();
        times.push(t.elapsed().as_secs_f64() * 1e3);
        let elapsed = start.elapsed().as_secs_f64();
        if times.len() >= 5 && (elapsed >= min_s && times.len() >= 10 || elapsed >= cap_s) {
            return (times, first, last);
        }
    }
}

fn emit(workload: &str, phase: &str, times: &[f64], extra: serde_json::Value) {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (n, mid) = (sorted.len(), sorted.len() / 2);
    let median = if n % 2 == 1 { sorted[mid] } else { (sorted[mid - 1] + sorted[mid]) / 2.0 };
    let round = |v: f64| (v * 1e4).round() / 1e4;
    let mut line = serde_json::json!({
        "framework": "gradus", "workload": workload, "phase": phase, "ms_median": round(median),
        "ms_min": round(sorted[0]), "n": n, "peak_rss_mb": peak_rss_mb(),
    });
    if let (Some(line), serde_json::Value::Object(extra)) = (line.as_object_mut(), extra) {
        line.extend(extra);
    }
    println!("{line}");
}

/// The highest resident size so far, where the system tells.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM"))?;
    let kb: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((kb / 102.4).round() / 10.0)
}
