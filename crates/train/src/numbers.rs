//! What is said of a model that foretells numbers.

use crate::error::{Result, TrainError};
use crate::metrics::Regression;
use crate::plots::Lines;
use crate::run_dir::RunDir;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Points of a picture at most.
const SHOWN: usize = 400;

/// A number by its six leading digits; very large and very small ones as powers of ten.
///
/// ```
/// use gradus_train::compact;
/// assert_eq!([0.0, 0.12345678, 45123.456, 52.0, 100.0].map(compact), ["0", "0.123457", "45123.5", "52", "100"]);
/// assert_eq!([2519823423.1, -1e-7].map(compact), ["2.520e9", "-1.000e-7"]);
/// ```
pub fn compact(x: f64) -> String {
    let size = x.abs();
    match size {
        0.0 => "0".into(),
        _ if !(1e-4..1e7).contains(&size) => format!("{x:.3e}"),
        _ => {
            let text = format!("{x:.*}", (5 - size.log10().floor() as i32).max(0) as usize);
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
        }
    }
}

/// The measurements of a model on test examples, in the unit of the target.
pub struct MeasuredNumbers {
    /// Mean loss of an example.
    pub loss: f64,
    /// True and foretold numbers.
    pub numbers: Regression,
    /// What is foretold.
    pub target: String,
    /// Whether the examples follow each other in time.
    pub in_time: bool,
}

impl MeasuredNumbers {
    /// Everything as one JSON object.
    pub fn to_json(&self) -> Value {
        let scores = self.numbers.scores();
        json!({
            "target": self.target,
            "test_loss": self.loss,
            "examples": self.numbers.examples(),
            "mse": scores.mse,
            "mae": scores.mae,
            "r2": scores.r2,
        })
    }

    /// The truth and what was foretold: the last examples of a time series; else in the order of the truth (some
    /// examples, evenly taken, if there are many).
    pub fn svg(&self, title: &str) -> String {
        let n = &self.numbers;
        let mut pairs: Vec<(f64, f64)> = n.truth().iter().copied().zip(n.predicted().iter().copied()).collect();
        let first = if self.in_time { pairs.len().saturating_sub(SHOWN) } else { 0 };
        if !self.in_time {
            pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
            pairs = pairs.iter().step_by(pairs.len().div_ceil(SHOWN).max(1)).copied().collect();
        }
        let line =
            |of: fn(&(f64, f64)) -> f64| pairs.iter().enumerate().skip(first).map(|(i, p)| (i as f64, of(p))).collect();
        let scores = n.scores();
        let order = if self.in_time { "in the order of time" } else { "examples in the order of the truth" };
        Lines {
            title: &format!("{title}: {}", self.target),
            subtitle: &format!("MAE {}, R2 {:.4}; {order}", compact(scores.mae), scores.r2),
            axes: [if self.in_time { "step" } else { "example" }, &self.target],
            series: vec![("foretold".into(), line(|p| p.1)), ("truth".into(), line(|p| p.0))],
            ends: None,
            log_x: false,
            diagonal: false,
        }
        .svg()
    }

    /// Draws the picture into `dir`, and says which files there are.
    ///
    /// # Errors
    /// If the directory or the file cannot be written.
    pub fn pictures(&self, title: &str, dir: &Path) -> Result<Vec<PathBuf>> {
        std::fs::create_dir_all(dir).map_err(TrainError::io("create the directory", dir))?;
        let dir = RunDir::open(dir)?;
        dir.write("numbers.svg", self.svg(title))?;
        Ok(vec![dir.file("numbers.svg")])
    }
}
