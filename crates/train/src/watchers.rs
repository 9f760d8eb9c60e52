//! The callbacks of `gradus train`: progress, metrics file, checkpoints, NaN guard, Ctrl-C.

use crate::callback::{Batch, Callback, Flow, Progress};
use crate::checkpoint::{self, Card};
use crate::error::{Result, TrainError};
use crate::metrics::EpochMetrics;
use crate::run_dir::RunDir;
use gradus_tensor::autograd::detect_anomaly;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The file of the checkpoint of the best epoch.
pub const BEST: &str = "best.safetensors";
/// The file of the checkpoint of the last state worth keeping.
pub const LAST: &str = "last.safetensors";
/// The file with one JSON line an epoch.
pub const METRICS: &str = "metrics.jsonl";

/// The index of the epoch with the highest validation accuracy; the lower loss decides between equals.
pub fn best_epoch(history: &[EpochMetrics]) -> Option<usize> {
    let rank = |m: &EpochMetrics| (m.val_accuracy, -m.val_loss);
    (0..history.len()).reduce(|best, i| if rank(&history[i]) > rank(&history[best]) { i } else { best })
}

/// One line on standard error for each epoch; on a terminal, a live bar between them.
pub struct Report {
    bar: Option<ProgressBar>,
}

impl Report {
    /// A report that draws a bar only if standard error is a terminal.
    pub fn new() -> Report {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{prefix} {bar:32.blue/dim} {pos}/{len}  {msg}  {eta} left")
                .expect("the template is valid");
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
        }
        Ok(())
    }

    fn on_step(&mut self, at: &Progress) -> Result<Flow> {
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("epoch {}/{}", at.epoch, at.epochs));
            bar.set_message(format!("loss {:.4}", at.running.loss()));
            bar.set_position(at.step as u64);
        }
        Ok(Flow::Continue)
    }

    fn on_epoch(&mut self, at: &Progress) -> Result<()> {
        let Some(m) = at.history.last() else { return Ok(()) };
        let width = at.epochs.to_string().len();
        self.line(&format!(
            "epoch {:>width$}/{}  loss {:.4}  accuracy {:6.2} %  |  validation loss {:.4}  accuracy {:6.2} %  ({:.2} s)",
            m.epoch,
            at.epochs,
            m.train_loss,
            100.0 * m.train_accuracy,
            m.val_loss,
            100.0 * m.val_accuracy,
            m.seconds,
        ));
        Ok(())
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

/// Writes the finished epochs to `metrics.jsonl`.
pub struct MetricsLog<'a> {
    /// Where the run is kept.
    pub dir: &'a RunDir,
}

impl Callback for MetricsLog<'_> {
    fn on_epoch(&mut self, at: &Progress) -> Result<()> {
        let line = |m| serde_json::to_string(m).expect("metrics are plain numbers") + "\n";
        self.dir.write(METRICS, at.history.iter().map(line).collect::<String>())
    }
}

/// Keeps the best epoch's weights and the last ones.
///
/// `last` exists from the start, so a run that fails in its first epoch still leaves its initial weights.
pub struct Checkpoints<'a> {
    /// Where the run is kept.
    pub dir: &'a RunDir,
    /// What is written beside the weights.
    pub card: Card,
}

impl Checkpoints<'_> {
    fn save(&mut self, name: &str, at: &Progress) -> Result<()> {
        self.card.epoch = at.history.len();
        self.card.step = at.step;
        checkpoint::save(&self.dir.file(name), at.model, &self.card)
    }
}

impl Callback for Checkpoints<'_> {
    fn on_start(&mut self, at: &Progress) -> Result<()> {
        self.save(LAST, at)
    }

    fn on_epoch(&mut self, at: &Progress) -> Result<()> {
        if best_epoch(&at.history) == Some(at.history.len() - 1) {
            self.save(BEST, at)?;
        }
        self.save(LAST, at)
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

    fn on_epoch(&mut self, at: &Progress) -> Result<()> {
        match at.history.last() {
            Some(m) if !m.val_loss.is_finite() => {
                Err(self.error(at, m.val_loss, "on the validation examples".to_string()))
            }
            _ => Ok(()),
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
