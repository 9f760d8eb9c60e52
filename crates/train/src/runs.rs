//! Runs side by side.

use crate::error::{Result, TrainError, did_you_mean};
use crate::metrics::EpochMetrics;
use crate::plots::Lines;
use crate::run::{CONFIG, Summary};
use crate::run_dir::RunDir;
use crate::watchers::{METRICS, METRICS_OF, best_epoch};
use serde::Serialize;
use std::path::Path;

/// How far a run got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// To its end.
    Finished,
    /// It is still going.
    Running,
    /// It was interrupted or killed; `gradus train --resume` goes on with it.
    CutOff,
}

/// One run as it is listed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRow {
    /// The name of its directory.
    pub run: String,
    /// How far it got.
    pub state: State,
    /// The model.
    pub model: String,
    /// Its optimiser's learning rate.
    pub lr: f64,
    /// Finished epochs.
    pub epochs: usize,
    /// The epoch that was kept.
    pub best_epoch: Option<usize>,
    /// The loss of that epoch on the validation examples.
    pub val_loss: Option<f64>,
    /// Its accuracy on them.
    pub val_accuracy: Option<f64>,
    /// The coefficient of determination on them, where numbers are foretold.
    pub val_r2: Option<f64>,
    /// Its accuracy on the test examples, once the run is finished.
    pub test_accuracy: Option<f64>,
    /// Wall time of its epochs.
    pub seconds: f64,
    /// The epochs.
    #[serde(skip)]
    pub history: Vec<EpochMetrics>,
}

/// The columns of the metrics that can be drawn.
pub fn metric_names() -> Vec<&'static str> {
    METRICS_OF[1..].iter().map(|(name, _)| *name).collect()
}

/// The runs in `dir` by name, those of `only` if it is not empty.
///
/// # Errors
/// If the directory cannot be read, a run's file is damaged, or a run that is named is not there.
pub fn list_runs(dir: &Path, only: &[String]) -> Result<Vec<RunRow>> {
    let entries = std::fs::read_dir(dir).map_err(TrainError::io("read the directory of runs", dir))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|e| e.path().join(CONFIG).is_file())
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    names.sort();
    if let Some(missing) = only.iter().find(|run| !names.contains(run)) {
        let hint = did_you_mean(missing, names.iter().map(String::as_str));
        return Err(TrainError::Input(format!("no run `{missing}` in `{}`{hint}", dir.display())));
    }
    names.retain(|n| only.is_empty() || only.contains(n));
    names.into_iter().map(|name| row(&dir.join(&name), name)).collect()
}

fn row(path: &Path, run: String) -> Result<RunRow> {
    let dir = RunDir::open(path)?;
    let recipe = dir.recipe()?;
    let summary: Option<Summary> = dir.summary()?;
    let history = read_history(&dir)?;
    let best = best_epoch(&history);
    let state = match &summary {
        Some(s) if !s.interrupted => State::Finished,
        _ if dir.lock().is_err() => State::Running,
        _ => State::CutOff,
    };
    Ok(RunRow {
        run,
        state,
        model: recipe.model.name,
        lr: recipe.optimizer.lr(),
        epochs: history.len(),
        best_epoch: best.map(|i| history[i].epoch),
        val_loss: best.map(|i| history[i].val_loss),
        val_accuracy: best.and_then(|i| history[i].val_accuracy),
        val_r2: best.and_then(|i| Some(history[i].val_errors?.r2)),
        test_accuracy: summary.and_then(|s| s.test_accuracy),
        seconds: history.iter().map(|m| m.seconds).sum(),
        history,
    })
}

/// The epochs of a run; none if it has not finished one.
fn read_history(dir: &RunDir) -> Result<Vec<EpochMetrics>> {
    let path = dir.file(METRICS);
    if !path.exists() {
        return Ok(vec![]);
    }
    let text = std::fs::read_to_string(&path).map_err(TrainError::io("read", &path))?;
    let line = |(i, text): (usize, &str)| {
        let wrong = |e| TrainError::Input(format!("`{}`, line {}: {e}", path.display(), i + 1));
        serde_json::from_str(text).map_err(wrong)
    };
    text.lines().enumerate().map(line).collect()
}

/// A metric of several runs over their epochs, one line each.
///
/// # Errors
/// If there is no such metric.
pub fn compare_svg(runs: &[RunRow], metric: &str) -> Result<String> {
    let Some((_, of)) = METRICS_OF[1..].iter().find(|(name, _)| *name == metric) else {
        let names = metric_names();
        let (hint, all) = (did_you_mean(metric, names.iter().copied()), names.join(", "));
        return Err(TrainError::Recipe(format!("there is no metric `{metric}`{hint}. Metrics: {all}")));
    };
    let points = |r: &RunRow| r.history.iter().filter_map(|m| Some((m.epoch as f64, of(m)?))).collect();
    let line = |r: &RunRow| (r.run.clone(), points(r));
    Ok(Lines {
        title: metric,
        subtitle: "each run over its epochs",
        axes: ["epoch", metric],
        series: runs.iter().map(line).collect(),
        ends: None,
        log_x: false,
        diagonal: false,
    }
    .svg())
}
