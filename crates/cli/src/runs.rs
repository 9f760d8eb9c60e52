//! `gradus runs`: what was trained, side by side.

use crate::args::RunsArgs;
use crate::commands::{print, print_json};
use crate::table::table;
use gradus_train::{Result, RunRow, State, compare_svg, list_runs, write_file};
use serde_json::json;
use std::process::ExitCode;

pub(crate) fn runs(args: &RunsArgs) -> Result<ExitCode> {
    let runs = list_runs(&args.out, &args.runs)?;
    let svg = compare_svg(&runs, &args.metric)?;
    if let Some(path) = &args.curves {
        write_file(path, svg)?;
    }
    if args.json {
        print_json(&json!({ "runs": runs }));
        return Ok(ExitCode::SUCCESS);
    }
    let share = |x: Option<f64>| x.map_or_else(|| "-".to_string(), |x| format!("{:.2} %", 100.0 * x));
    let row = |r: &RunRow| {
        vec![
            r.run.clone(),
            match r.state {
                State::Finished => "finished",
                State::Running => "running",
                State::CutOff => "cut off",
            }
            .to_string(),
            r.model.clone(),
            format!("{}", r.lr),
            r.epochs.to_string(),
            r.best_epoch.map_or_else(|| "-".into(), |e| e.to_string()),
            r.val_loss.map_or_else(|| "-".into(), |l| format!("{l:.4}")),
            share(r.val_accuracy),
            share(r.test_accuracy),
            format!("{:.1}", r.seconds),
        ]
    };
    let header =
        ["run", "state", "model", "rate", "epochs", "best", "validation loss", "accuracy", "test accuracy", "s"];
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    print(&table(&header, &rows, &[3, 4, 5, 6, 7, 8, 9]));
    if let Some(path) = &args.curves {
        print(&format!("drew {}\n", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}
