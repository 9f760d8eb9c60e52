//! `gradus bench`: how fast this machine runs some nets.

use crate::args::BenchArgs;
use crate::commands::{print, print_json};
use crate::table::table;
use gradus_bench::{Baseline, Effort, Group, Machine, Phase, Reading, SCALING, WORKLOADS, Workload};
use gradus_bench::{fma_peak, measure, select};
use gradus_train::{Result, TrainError, did_you_mean};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::process::{Command, ExitCode, Stdio};

pub(crate) fn bench(args: &BenchArgs) -> Result<ExitCode> {
    if !(args.seconds > 0.0 && args.seconds.is_finite()) {
        return Err(TrainError::Recipe(format!("--seconds must be a positive number, got {}", args.seconds)));
    }
    let effort = Effort { seconds: args.seconds, cap: 3.0 * args.seconds };
    let phases = match args.phase {
        Some(phase) => vec![phase.into()],
        None => vec![Phase::Infer, Phase::Train],
    };
    if args.list {
        list(args.json);
    } else if args.scaling {
        scaling(&phases, effort, args.json);
    } else {
        // What the user named is looked at before any time is spent.
        let workloads = select(&args.workloads, Group::Core).map_err(unknown)?;
        let baseline = args.baseline.as_deref().map(Baseline::load).transpose().map_err(TrainError::Input)?;
        let elsewhere = baseline.as_ref().map_or(vec![], Baseline::elsewhere);
        if !elsewhere.is_empty() {
            eprintln!("warning: the baseline was made under other conditions ({})", elsewhere.join("; "));
        }
        let result = Baseline::here(match workloads[..] {
            [one] => readings(one, &phases, effort),
            _ => apart(&workloads, args)?,
        });
        show(&result, baseline.as_ref(), args.json);
        if let Some(path) = &args.save {
            result.save(path).map_err(TrainError::Input)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn unknown(name: &str) -> TrainError {
    let names = WORKLOADS.iter().flat_map(|w| [w.name, w.name.split('_').next().unwrap_or(w.name)]);
    let hint = did_you_mean(name, names.chain(["core", "more"]));
    TrainError::Recipe(format!("no workload begins with `{name}`{hint}; `gradus bench --list` shows them"))
}

fn list(as_json: bool) {
    if as_json {
        let row = |w: &Workload| json!({ "name": w.name, "group": w.group.name(), "description": w.about });
        return print_json(&json!({ "workloads": WORKLOADS.iter().map(row).collect::<Vec<_>>() }));
    }
    let row = |w: &Workload| [w.name, w.group.name(), w.about].map(String::from).to_vec();
    print(&table(&["workload", "group", "what"], &WORKLOADS.iter().map(row).collect::<Vec<_>>(), &[]));
}

fn readings(workload: &Workload, phases: &[Phase], effort: Effort) -> Vec<Reading> {
    let mut all = Vec::new();
    measure(workload, phases, effort, |r| all.push(r));
    all
}

/// Times each workload in a process of its own, so that none finds memory or caches as another left them.
fn apart(workloads: &[&Workload], args: &BenchArgs) -> Result<Vec<Reading>> {
    let failed = |name: &str, why: String| TrainError::Input(format!("the process that times `{name}` failed: {why}"));
    let mut all = Vec::new();
    for w in workloads {
        progress(w.name);
        let mut command = std::env::current_exe().map(Command::new).map_err(|e| failed(w.name, e.to_string()))?;
        command.args(["bench", w.name, "--json", "--seconds", &args.seconds.to_string()]);
        if let Some(phase) = args.phase {
            command.args(["--phase", Phase::from(phase).name()]);
        }
        let output = command.stderr(Stdio::inherit()).output().map_err(|e| failed(w.name, e.to_string()))?;
        if !output.status.success() {
            return Err(failed(w.name, output.status.to_string()));
        }
        let result: Timed = serde_json::from_slice(&output.stdout).map_err(|e| failed(w.name, e.to_string()))?;
        all.extend(result.readings);
    }
    Ok(all)
}

/// What `--json` prints, as far as it is read again.
#[derive(serde::Deserialize)]
struct Timed {
    readings: Vec<Reading>,
}

/// Tells somebody who watches what is being timed.
fn progress(name: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("timing {name}");
    }
}

fn show(result: &Baseline, baseline: Option<&Baseline>, as_json: bool) {
    let peak = fma_peak(result.machine.threads);
    let share = |r: &Reading| Some(r.gflops()? / peak?);
    let change = |r: &Reading| baseline.map(|b| b.compare(r));
    if as_json {
        let row = |r: &Reading| {
            let mut row = serde_json::to_value(r).expect("a reading is plain values");
            row["gflop_s"] = json!(r.gflops());
            row["share_of_peak"] = json!(share(r));
            if let Some(Some((ratio, change))) = change(r) {
                row["ratio_to_baseline"] = json!(ratio);
                row["change"] = json!(change.text());
            }
            row
        };
        let rows: Vec<Value> = result.readings.iter().map(row).collect();
        return print_json(&json!({ "machine": result.machine, "fma_gflop_s": peak, "readings": rows }));
    }
    let mut header =
        vec!["workload", "phase", "median ms", "min ms", "spread", "peak MB", "faults/step", "GFLOP/s", "of peak"];
    if baseline.is_some() {
        header.extend(["ratio", "against the baseline"]);
    }
    let row = |r: &Reading| {
        let percent = |x: f64| format!("{:.0} %", 100.0 * x);
        let mut row = vec![
            r.workload.clone(),
            r.phase.name().to_string(),
            milliseconds(r.ms_median),
            milliseconds(r.ms_min),
            percent(r.spread()),
            r.peak_rss_mb.map_or("-".into(), |mb| format!("{mb:.0}")),
            r.faults_step.map_or("-".into(), |f| format!("{f:.1}")),
            // A handful of operations a second says nothing: such a step does something else.
            r.gflops().filter(|g| *g >= 1.0).map_or("-".into(), |g| format!("{g:.0}")),
            share(r).filter(|s| *s >= 0.005).map_or("-".into(), percent),
        ];
        match change(r) {
            Some(Some((ratio, change))) => row.extend([format!("{ratio:.3}"), change.text().to_string()]),
            Some(None) => row.extend(["-".to_string(), "not in it".to_string()]),
            None => {}
        }
        row
    };
    let rows: Vec<Vec<String>> = result.readings.iter().map(row).collect();
    print(&table(&header, &rows, &[2, 3, 4, 5, 6, 7, 8, 9]));
    print(&format!("\n{}{}\n", result.machine.text(), peak_text(peak)));
}

fn peak_text(peak: Option<f64>) -> String {
    peak.map_or(String::new(), |p| format!("; multiply-add peak {p:.0} GFLOP/s"))
}

/// Three significant digits or so.
fn milliseconds(ms: f64) -> String {
    match ms {
        ..1.0 => format!("{ms:.4}"),
        ..10.0 => format!("{ms:.3}"),
        ..100.0 => format!("{ms:.2}"),
        _ => format!("{ms:.1}"),
    }
}

fn scaling(phases: &[Phase], effort: Effort, as_json: bool) {
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    for series in SCALING {
        for &phase in phases {
            let mut last: Option<(usize, Reading)> = None;
            for &size in series.sizes {
                progress(&format!("{}: {} {size}", series.net, series.grows));
                series.measure(size, &[phase], effort, |r| {
                    let rises = last.as_ref().is_some_and(|(s, before)| series.rises((*s, before), (size, &r)));
                    let a_unit = r.ms_median / size as f64;
                    objects.push(json!({
                        "net": series.net, "grows": series.grows, "size": size, "phase": phase, "ms": r.ms_median,
                        "ms_a_unit": a_unit, "work": (series.work)(size), "rises": rises,
                    }));
                    rows.push(vec![
                        series.net.to_string(),
                        phase.name().to_string(),
                        format!("{} {size}", series.grows),
                        milliseconds(r.ms_median),
                        milliseconds(a_unit),
                        if rises { "rises".into() } else { String::new() },
                    ]);
                    last = Some((size, r));
                });
            }
        }
    }
    if as_json {
        return print_json(&json!({ "machine": Machine::here(), "scaling": objects }));
    }
    let header = ["net", "phase", "size", "ms a step", "ms a unit of size", "time for its work"];
    print(&table(&header, &rows, &[3, 4]));
    print(&format!("\n{}\n", Machine::here().text()));
}
