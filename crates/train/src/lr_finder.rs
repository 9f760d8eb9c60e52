//! The learning-rate range test.

use crate::callback::{Batch, Callback, Flow, Progress};
use crate::error::Result;
use crate::plots::Lines;
use gradus_tensor::Tensor;
use serde::Serialize;
use std::cell::RefCell;
use std::rc::Rc;

/// The share of the old mean in the smoothed loss.
const SMOOTHING: f64 = 0.9;
/// The test ends when the smoothed loss is this many times its lowest value.
const DIVERGED: f64 = 4.0;

/// Rates that rise step by step, with the loss at each.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LrSweep {
    /// The rates.
    pub rates: Vec<f64>,
    /// The smoothed losses.
    pub losses: Vec<f64>,
}

impl LrSweep {
    /// The rate at which the loss falls fastest, among those below the one with the lowest loss; nothing if the
    /// loss never fell.
    ///
    /// The slope is that of the smoothed loss over the logarithm of the rate.
    ///
    /// Source: Smith, 2015, <https://arxiv.org/abs/1506.01186>, section 3.3.
    pub fn suggestion(&self) -> Option<f64> {
        let n = self.losses.len();
        let lowest = (0..n).reduce(|best, i| if self.losses[i] < self.losses[best] { i } else { best })?;
        let slope = |i: usize| (self.losses[i + 1] - self.losses[i - 1]) / (self.rates[i + 1] / self.rates[i - 1]).ln();
        // The first losses are those of single batches, hardly smoothed yet.
        let steepest = ((n / 10).max(1)..lowest).reduce(|best, i| if slope(i) < slope(best) { i } else { best })?;
        (slope(steepest) < 0.0).then_some(self.rates[steepest])
    }

    /// Loss over rate.
    pub fn svg(&self, title: &str) -> String {
        let subtitle = match self.suggestion() {
            Some(rate) => format!("the loss falls fastest at {rate:.2e}"),
            None => "the loss did not fall".to_string(),
        };
        Lines {
            title: &format!("{title}: learning rates"),
            subtitle: &subtitle,
            axes: ["learning rate", "smoothed loss"],
            series: vec![("loss".into(), self.rates.iter().copied().zip(self.losses.iter().copied()).collect())],
            ends: None,
            log_x: true,
            diagonal: false,
        }
        .svg()
    }
}

/// Raises the rate from step to step and keeps the losses.
pub(crate) struct FindLr {
    pub sweep: Rc<RefCell<LrSweep>>,
    pub ends: [f64; 2],
    pub steps: usize,
    mean: f64,
}

impl FindLr {
    pub fn new(ends: [f64; 2], steps: usize) -> FindLr {
        FindLr { sweep: Rc::default(), ends, steps, mean: 0.0 }
    }

    fn rate(&self, step: usize) -> f64 {
        self.ends[0] * (self.ends[1] / self.ends[0]).powf(step as f64 / (self.steps - 1).max(1) as f64)
    }
}

impl Callback for FindLr {
    fn on_batch(&mut self, at: &Progress, images: Tensor, labels: Tensor) -> (Tensor, Tensor) {
        at.optimizer.borrow_mut().set_lr(self.rate(at.step));
        (images, labels)
    }

    fn on_loss(&mut self, at: &Progress, batch: &Batch) -> Result<()> {
        let mut sweep = self.sweep.borrow_mut();
        self.mean = SMOOTHING * self.mean + (1.0 - SMOOTHING) * batch.loss;
        // Freed of its start at 0, as Adam's moments are.
        let smoothed = self.mean / (1.0 - SMOOTHING.powi(sweep.losses.len() as i32 + 1));
        sweep.rates.push(self.rate(at.step));
        sweep.losses.push(smoothed);
        Ok(())
    }

    fn on_step(&mut self, at: &Progress) -> Result<Flow> {
        let sweep = self.sweep.borrow();
        let lowest = sweep.losses.iter().copied().fold(f64::INFINITY, f64::min);
        let now = *sweep.losses.last().unwrap_or(&f64::NAN);
        let enough = at.step >= self.steps || !now.is_finite() || now > DIVERGED * lowest;
        Ok(if enough { Flow::Stop } else { Flow::Continue })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suggestion_is_where_the_loss_falls_fastest() {
        let rates: Vec<f64> = (0..7).map(|i| 10f64.powi(i - 6)).collect();
        let sweep = LrSweep { rates, losses: vec![2.3, 2.29, 2.2, 1.5, 1.2, 1.1, 4.0] };
        assert_eq!(sweep.suggestion(), Some(1e-3)); // slopes by hand: -0.79, -1.0, -0.4 over ln 100
        assert!(sweep.svg("x").contains("falls fastest at 1.00e-3"));
        let flat = LrSweep { rates: vec![0.1, 0.2, 0.3], losses: vec![1.0, 1.1, 1.2] };
        assert_eq!(flat.suggestion(), None);
        assert_eq!(LrSweep::default().suggestion(), None);
    }
}
