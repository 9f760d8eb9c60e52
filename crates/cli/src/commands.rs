//! What each command does.

use crate::INTERRUPTED;
use crate::args::{EvalArgs, PredictArgs, TrainArgs};
use crate::table::table;
use gradus_train::{Fit, Recipe, Result, TrainError, Trained, did_you_mean, predict_files, run::Summary, run::Watch};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub(crate) fn train(args: &TrainArgs) -> Result<ExitCode> {
    let mut settings = args.settings.clone();
    let overrides = [("epochs", args.epochs.map(|n| n.to_string())), ("seed", args.seed.map(|n| n.to_string()))];
    settings.extend(overrides.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value?))));
    if let Some(dir) = &args.data {
        settings.push(format!("data.dir={}", dir.display()));
    }
    let recipe = Recipe::load(&args.recipe, &settings)?;
    let watch = Watch { interrupt: interrupt_flag(), profile: args.profile };
    let summary = gradus_train::run::train(&recipe, &args.out, watch)?;
    match args.json {
        true => print(&(serde_json::to_string(&summary).expect("a summary is plain values") + "\n")),
        false => print(&closing(&summary)),
    }
    Ok(if summary.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// A flag that the first Ctrl-C sets; the second ends the process at once.
fn interrupt_flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = flag.clone();
    let installed = ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        eprintln!("Ctrl-C: finishing this step and saving; press again to stop at once");
    });
    if let Err(e) = installed {
        eprintln!("warning: Ctrl-C will end the run without saving ({e})");
    }
    flag
}

fn closing(s: &Summary) -> String {
    let place = s.run_dir.display();
    match (s.test_accuracy, s.test_loss) {
        (Some(accuracy), Some(loss)) => format!(
            "test accuracy {:.2} % (loss {loss:.4}, {} examples, weights of epoch {})\n\
             {:.1} s; saved in {place}\n",
            100.0 * accuracy,
            s.examples[2],
            s.best_epoch.unwrap_or(0),
            s.seconds,
        ),
        _ => format!("interrupted after {} of its epochs; {:.1} s; saved in {place}\n", s.epochs, s.seconds),
    }
}

pub(crate) fn eval(args: &EvalArgs) -> Result<ExitCode> {
    let start = Instant::now();
    let trained = open(&args.run)?;
    let measured = trained.evaluate(args.data.as_deref())?;
    if args.json {
        let recall: Vec<f64> = (0..measured.confusion.classes()).map(|c| measured.confusion.recall(c)).collect();
        print_json(&json!({
            "test_accuracy": measured.accuracy,
            "test_loss": measured.loss,
            "examples": measured.examples,
            "classes": trained.card.classes,
            "recall": recall,
            "epochs": trained.card.epoch,
            "seconds": start.elapsed().as_secs_f64(),
            "run_dir": trained.checkpoint.parent(),
            "checkpoint": trained.checkpoint,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = trained
        .card
        .classes
        .iter()
        .enumerate()
        .map(|(c, name)| {
            let recall = format!("{:.2} %", 100.0 * measured.confusion.recall(c));
            vec![name.clone(), measured.confusion.support(c).to_string(), recall]
        })
        .collect();
    print(&format!(
        "{}\ntest accuracy {:.2} % (loss {:.4}, {} examples)\n",
        table(&["class", "examples", "recognised"], &rows, &[1, 2]),
        100.0 * measured.accuracy,
        measured.loss,
        measured.examples
    ));
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn predict(args: &PredictArgs) -> Result<ExitCode> {
    let trained = open(&args.run)?;
    let predictions = predict_files(&trained, &args.inputs, Fit { resize: args.resize, invert: args.invert })?;
    let classes = &trained.card.classes;
    if args.json {
        let list: Vec<Value> = predictions
            .iter()
            .map(|p| {
                let all: serde_json::Map<String, Value> =
                    classes.iter().cloned().zip(p.probabilities.iter().map(|&x| json!(x))).collect();
                let best = p.best();
                json!({
                    "input": p.input,
                    "class": classes[best],
                    "probability": p.probabilities[best],
                    "probabilities": all,
                })
            })
            .collect();
        print_json(&json!({ "checkpoint": trained.checkpoint, "predictions": list }));
        return Ok(ExitCode::SUCCESS);
    }
    let header: Vec<&str> = ["input", "class"].into_iter().chain(classes.iter().map(String::as_str)).collect();
    let rows: Vec<Vec<String>> = predictions
        .iter()
        .map(|p| {
            let shares = p.probabilities.iter().map(|x| format!("{:.2} %", 100.0 * x));
            [p.input.clone(), classes[p.best()].clone()].into_iter().chain(shares).collect()
        })
        .collect();
    let right: Vec<usize> = (2..header.len()).collect();
    print(&table(&header, &rows, &right));
    Ok(ExitCode::SUCCESS)
}

/// A trained model by the path of its run, or by the run's name within `runs`.
fn open(run: &Path) -> Result<Trained> {
    let inside = Path::new("runs").join(run);
    match run.exists() {
        false if inside.exists() => Trained::open(&inside),
        true => Trained::open(run),
        false => {
            let names = std::fs::read_dir("runs").into_iter().flatten().flatten();
            let names: Vec<String> = names.filter_map(|e| e.file_name().into_string().ok()).collect();
            let wanted = run.file_name().and_then(|n| n.to_str()).unwrap_or("");
            let hint = did_you_mean(wanted, names.iter().map(String::as_str));
            Err(TrainError::Input(format!("no run `{}`{hint}", run.display())))
        }
    }
}

pub(crate) fn print_json(value: &Value) {
    print(&format!("{value}\n"));
}

/// Writes to standard output; a reader that went away is no failure.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
