//! The callbacks of `gradus train`: progress, metrics file, checkpoints, NaN guard, Ctrl-C.

use crate::callback::{Batch, Callback, Flow, Progress};
use crate::checkpoint::{self, Card};
use crate::error::{Result, TrainError};
use crate::metrics::EpochMetrics;
use crate::numbers::compact;
use crate::run::CONFIG;
use crate::run_dir::RunDir;
use crate::snapshot;
use crate::tensorboard::{Event, event_file};
use gradus_nn::serialize::StateDict;
use gradus_tensor::autograd::detect_anomaly;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::UNIX_EPOCH;

/// The file of the checkpoint of the best epoch.
pub const BEST: &str = "best.safetensors";
/// The file of the checkpoint of the last state worth keeping.
pub const LAST: &str = "last.safetensors";
/// The file with one JSON line an epoch.
pub const METRICS: &str = "metrics.jsonl";
/// The same as a table.
pub const METRICS_CSV: &str = "metrics.csv";
/// The same for TensorBoard.
pub const EVENTS: &str = "events.out.tfevents.gradus";

/// The index of the epoch with the highest validation accuracy, or mean IoU where every pixel has a class; the lower loss decides between equals, and alone where
/// numbers are foretold.
pub fn best_epoch(history: &[EpochMetrics]) -> Option<usize> {
    let rank = |m: &EpochMetrics| (m.val_miou, m.val_accuracy, -m.val_loss);
    (0..history.len()).reduce(|best, i| if rank(&history[i]) > rank(&history[best]) { i } else { best })
}

/// What the bar shows: the epoch, steps of the whole run, steps a second, how it goes in this epoch, and the time left.
const BAR: &str = "{prefix} {bar:32.blue/dim} {pos}/{len}  {per_sec}  {msg}  {eta} left";

/// One line on standard error for each epoch; on a terminal, a live bar between them.
pub struct Report {
    bar: Option<ProgressBar>,
}

impl Report {
    /// A report that draws a bar only if standard error is a terminal.
    pub fn new() -> Report {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(BAR).expect("the template is valid");
            ProgressBar::new(0).with_style(style.progress_chars("━╸─"))
        });
        Report { bar }
    }

    fn line(&self, text: &str) {
        line(self.bar.as_ref(), text);
    }

    /// Prints lines without tearing the bar.
    pub fn printer(&self) -> impl Fn(&str) + use<> {
        let bar = self.bar.clone();
        move |text| line(bar.as_ref(), text)
    }
}

fn line(bar: Option<&ProgressBar>, text: &str) {
    match bar {
        Some(bar) => bar.suspend(|| eprintln!("{text}")),
        None => eprintln!("{text}"),
    }
}

impl Default for Report {
    fn default() -> Self {
        Report::new()
    }
}

impl Callback for Report {
    fn on_start(&mut self, at: &Progress) -> Result<()> {
        if let Some(bar) = &self.bar {
            bar.set_length((at.epochs * at.steps_per_epoch) as u64);
            // Steps of an earlier part of the run say nothing of how fast this part is.
            bar.set_position(at.step as u64);
            bar.reset_eta();
        }
        Ok(())
    }

    fn on_step(&mut self, at: &Progress) -> Result<Flow> {
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("epoch {}/{}", at.epoch, at.epochs));
            let share = match at.loss.is_regression() {
                true => String::new(),
                false => format!("  accuracy {:.1} %", 100.0 * at.running.accuracy()),
            };
            bar.set_message(format!("loss {:.4}{share}", at.running.loss()));
            bar.set_position(at.step as u64);
        }
        Ok(Flow::Continue)
    }

    fn on_epoch(&mut self, at: &Progress) -> Result<Flow> {
        let Some(m) = at.history.last() else { return Ok(Flow::Continue) };
        let width = at.epochs.to_string().len();
        let share = |a: Option<f64>| a.map_or_else(String::new, |a| format!("  accuracy {:6.2} %", 100.0 * a));
        let miou = m.val_miou.map_or_else(String::new, |x| format!("  mIoU {x:.4}"));
        let errors = m.val_errors.map_or_else(String::new, |e| format!("  MAE {}  R2 {:.4}", compact(e.mae), e.r2));
        self.line(&format!(
            "epoch {:>width$}/{}  loss {:.4}{}  |  validation loss {:.4}{}{miou}{errors}  ({:.2} s)",
            m.epoch,
            at.epochs,
            m.train_loss,
            share(m.train_accuracy),
            m.val_loss,
            share(m.val_accuracy),
            m.seconds,
        ));
        Ok(Flow::Continue)
    }

    fn on_end(&mut self, _: &Progress) -> Result<()> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        Ok(())
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Writes the finished epochs to `metrics.jsonl`, `metrics.csv` and a file that TensorBoard reads.
pub struct MetricsLog<'a> {
    /// Where the run is kept.
    pub dir: &'a RunDir,
}

impl MetricsLog<'_> {
    fn csv(history: &[EpochMetrics]) -> String {
        let used: Vec<Column> =
            METRICS_OF.iter().filter(|(_, of)| history.iter().any(|m| of(m).is_some())).copied().collect();
        let cell = |m: &EpochMetrics, (_, of): &Column| of(m).map_or_else(String::new, |x| x.to_string());
        let row = |m| used.iter().map(|column| cell(m, column)).collect::<Vec<_>>().join(",") + "\n";
        let names = used.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",");
        names + "\n" + &history.iter().map(row).collect::<String>()
    }

    fn events(&self, at: &Progress) -> Vec<u8> {
        // Times are counted from when the run was begun, also in a run that is continued.
        let began = std::fs::metadata(self.dir.file(CONFIG)).and_then(|m| m.modified());
        let began = began.ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0.0, |d| d.as_secs_f64());
        let mut seconds = 0.0;
        let event = |m: &EpochMetrics| {
            seconds += m.seconds;
            let scalars = METRICS_OF[1..].iter().filter_map(|(name, of)| Some((name.to_string(), of(m)?))).collect();
            Event { step: m.epoch as i64, wall_time: began + seconds, scalars }
        };
        event_file(&at.history.iter().map(event).collect::<Vec<_>>())
    }
}

/// A column of the metrics: its name and its value of an epoch, if it has one.
type Column = (&'static str, fn(&EpochMetrics) -> Option<f64>);

/// The columns of the metrics.
pub(crate) const METRICS_OF: [Column; 12] = [
    ("epoch", |m| Some(m.epoch as f64)),
    ("lr", |m| Some(m.lr)),
    ("train_loss", |m| Some(m.train_loss)),
    ("train_batch_loss", |m| Some(m.train_batch_loss)),
    ("train_accuracy", |m| m.train_accuracy),
    ("val_loss", |m| Some(m.val_loss)),
    ("val_accuracy", |m| m.val_accuracy),
    ("val_miou", |m| m.val_miou),
    ("val_mse", |m| Some(m.val_errors?.mse)),
    ("val_mae", |m| Some(m.val_errors?.mae)),
    ("val_r2", |m| Some(m.val_errors?.r2)),
    ("seconds", |m| Some(m.seconds)),
];

impl Callback for MetricsLog<'_> {
    fn on_epoch(&mut self, at: &Progress) -> Result<Flow> {
        let line = |m| serde_json::to_string(m).expect("metrics are plain numbers") + "\n";
        self.dir.write(METRICS, at.history.iter().map(line).collect::<String>())?;
        self.dir.write(METRICS_CSV, Self::csv(&at.history))?;
        self.dir.write(EVENTS, self.events(at))?;
        Ok(Flow::Continue)
    }
}

/// Keeps the best epoch's weights, and with the last ones all that is needed to go on from there.
///
/// `last` exists from the start, so a run that fails in its first epoch still leaves its initial weights. The best is
/// written first: a run that is cut off between the two makes the same best again.
pub struct Checkpoints<'a> {
    /// Where the run is kept.
    pub dir: &'a RunDir,
    /// What is written beside the weights.
    pub card: Card,
    /// Steps between two checkpoints within an epoch; 0 for none.
    pub every: usize,
}

impl Checkpoints<'_> {
    fn save(&mut self, name: &str, at: &Progress) -> Result<()> {
        self.card.epoch = at.history.len();
        self.card.step = at.step;
        let path = self.dir.file(name);
        match name {
            LAST => checkpoint::save(&path, at.model, &self.card, snapshot::entries(at)),
            _ => at.averaged(|| checkpoint::save(&path, at.model, &self.card, StateDict::new())),
        }
    }
}

impl Callback for Checkpoints<'_> {
    fn on_start(&mut self, at: &Progress) -> Result<()> {
        if at.step == 0 { self.save(LAST, at) } else { Ok(()) }
    }

    fn on_step(&mut self, at: &Progress) -> Result<Flow> {
        if self.every > 0 && at.step.is_multiple_of(self.every) {
            self.save(LAST, at)?;
        }
        Ok(Flow::Continue)
    }

    fn on_epoch(&mut self, at: &Progress) -> Result<Flow> {
        if best_epoch(&at.history) == Some(at.history.len() - 1) {
            self.save(BEST, at)?;
        }
        self.save(LAST, at)?;
        Ok(Flow::Continue)
    }

    fn on_end(&mut self, at: &Progress) -> Result<()> {
        if at.stopped { self.save(LAST, at) } else { Ok(()) }
    }
}

/// Ends the run when the loss is no finite number, and finds out where that began.
///
/// It comes before [`Checkpoints`] in the list, so that a broken state is never saved.
pub struct NanGuard<'a> {
    /// Where the run is kept.
    pub dir: &'a RunDir,
}

impl NanGuard<'_> {
    fn error(&self, at: &Progress, loss: f64, origin: String) -> TrainError {
        let kept = if best_epoch(&at.history).is_some() { BEST } else { LAST };
        TrainError::NonFinite { loss, epoch: at.epoch, step: at.step + 1, origin, kept: self.dir.file(kept) }
    }
}

impl Callback for NanGuard<'_> {
    fn on_loss(&mut self, at: &Progress, batch: &Batch) -> Result<()> {
        if batch.loss.is_finite() {
            return Ok(());
        }
        let (_, anomaly) = detect_anomaly(|| at.loss.of(&at.model.forward(batch.images), batch.labels));
        let origin = match anomaly {
            Some(a) if a.layer.is_empty() => format!("in the operation `{}` outside any layer", a.op),
            Some(a) => format!("in the layer `{}` (operation `{}`)", a.layer, a.op),
            None => "in a layer that does it only now and then".to_string(),
        };
        Err(self.error(at, batch.loss, origin))
    }

    fn on_epoch(&mut self, at: &Progress) -> Result<Flow> {
        match at.history.last() {
            Some(m) if !m.val_loss.is_finite() => {
                Err(self.error(at, m.val_loss, "on the validation examples".to_string()))
            }
            _ => Ok(Flow::Continue),
        }
    }
}

/// Stops the run after the current step once the flag is set; a Ctrl-C handler sets it.
pub struct Interrupt {
    /// The flag.
    pub flag: Arc<AtomicBool>,
}

impl Callback for Interrupt {
    fn on_step(&mut self, _: &Progress) -> Result<Flow> {
        Ok(if self.flag.load(Ordering::Relaxed) { Flow::Stop } else { Flow::Continue })
    }
}
