//! `gradus-bench [--phase train|infer] [w01 m03 core more ...]` times workloads and prints one JSON line each.
//!
//! Without names it times the core workloads. `GRADUS_THREADS` sets the threads, `BENCH_MIN_S` and `BENCH_CAP_S`
//! (3 and 8) how long each is measured. `--coldstart` makes one training step of the first workload and exits, for
//! timing from the outside; `--peak` prints what the machine could do, `--scaling` the same nets at growing sizes.
//! `gradus bench` is the same for people.

use gradus_bench::{Effort, Group, Machine, Phase, Reading, SCALING, WORKLOADS, bandwidth, fma_peak, measure, select};
use serde_json::{Value, json};

fn main() {
    let mut phases = vec![Phase::Infer, Phase::Train];
    let mut selected = vec![];
    let mut scale = false;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--coldstart" => return cold_start(),
            "--peak" => return peak(),
            "--scaling" => scale = true,
            "--phase" => match args.next().as_deref() {
                Some("train") => phases = vec![Phase::Train],
                Some("infer") => phases = vec![Phase::Infer],
                other => usage(&format!("--phase takes train or infer, got {other:?}")),
            },
            flag if flag.starts_with('-') => usage(&format!("unknown option {flag}")),
            name => selected.push(name.to_string()),
        }
    }
    let seconds = |name: &str, default: f64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let effort = Effort { seconds: seconds("BENCH_MIN_S", 3.0), cap: seconds("BENCH_CAP_S", 8.0) };
    if scale {
        return scaling(&phases, effort);
    }
    match select(&selected, Group::Core) {
        Ok(workloads) => workloads.iter().for_each(|w| measure(w, &phases, effort, |r| print(&r, Value::Null))),
        Err(unknown) => usage(&format!("no workload begins with {unknown}")),
    }
}

fn usage(problem: &str) -> ! {
    let names: Vec<_> = WORKLOADS.iter().map(|w| w.name).collect();
    eprintln!(
        "gradus-bench: {problem}\nusage: gradus-bench [--phase train|infer] [--coldstart | --peak | --scaling] \
         [workload ... | core | more]\nworkloads: {}",
        names.join(" ")
    );
    std::process::exit(2);
}

/// The reading as one line, with the names that the programs of other frameworks use.
fn print(reading: &Reading, extra: Value) {
    let mut line = json!({ "framework": "gradus" });
    for part in [serde_json::to_value(reading).expect("a reading is plain values"), extra] {
        if let (Some(line), Value::Object(part)) = (line.as_object_mut(), part) {
            line.extend(part);
        }
    }
    println!("{line}");
}

fn cold_start() {
    gradus_tensor::manual_seed(0);
    let mut job = (WORKLOADS[0].build)();
    println!("STEP {}", job.train_step());
}

fn peak() {
    let machine = Machine::here();
    let bandwidths: Vec<Value> = [1, 4, 16, 64, 256]
        .iter()
        .map(|&mb| json!({ "mb": mb, "gb_s": bandwidth(machine.threads, mb << 20) }))
        .collect();
    let peak = fma_peak(machine.threads);
    println!("{}", json!({ "machine": machine, "fma_gflops": peak, "bandwidth": bandwidths }));
}

fn scaling(phases: &[Phase], effort: Effort) {
    for series in SCALING {
        for &size in series.sizes {
            let extra = json!({ "net": series.net, "grows": series.grows, "size": size, "work": (series.work)(size) });
            series.measure(size, phases, effort, |r| print(&r, extra.clone()));
        }
    }
}
