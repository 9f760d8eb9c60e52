//! Timing a workload.

use crate::job::Job;
use crate::process::{page_faults, peak_rss_mb, reset_peak_rss};
use crate::registry::Workload;
use gradus_tensor::{manual_seed, memory};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The forward pass in evaluation mode without gradients, with the output read.
    Infer,
    /// zero_grad, forward pass, loss, backward pass, optimiser step and reading the loss.
    Train,
}

impl Phase {
    /// Its name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Infer => "infer",
            Phase::Train => "train",
        }
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// At least so many seconds, and ten steps.
    pub seconds: f64,
    /// Five steps are enough after so many.
    pub cap: f64,
}

/// The times of a workload's steps in one phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The workload's name.
    pub workload: String,
    /// What was timed.
    pub phase: Phase,
    /// Median of the steps, in milliseconds.
    pub ms_median: f64,
    /// The fastest step.
    pub ms_min: f64,
    /// A quarter of the steps were at most as long.
    pub ms_q1: f64,
    /// Three quarters of the steps were at most as long.
    pub ms_q3: f64,
    /// Number of steps that were timed.
    pub n: usize,
    /// Highest resident size of the process in megabytes, from building the model to the end of this phase.
    pub peak_rss_mb: Option<f64>,
    /// Page faults a timed step.
    pub faults_step: Option<f64>,
    /// Numbers that are trained.
    pub params: usize,
    /// Billions of floating-point operations a step (see [`Workload::gflop`]).
    pub gflop: f64,
    /// The result of the very first step: the loss, or the sum of the output; none if it is not finite.
    pub first: Option<f32>,
    /// The result of the last step, likewise.
    pub last: Option<f32>,
}

impl Reading {
    /// The distance between the quartiles in parts of the median.
    pub fn spread(&self) -> f64 {
        (self.ms_q3 - self.ms_q1) / self.ms_median
    }

    /// Billions of floating-point operations a second, where the workload counts them.
    pub fn gflops(&self) -> Option<f64> {
        (self.gflop > 0.0).then(|| self.gflop / self.ms_median * 1e3)
    }
}

/// Builds the workload (from the same seed every time) and times the phases in the order given.
pub fn measure(workload: &Workload, phases: &[Phase], effort: Effort, done: impl FnMut(Reading)) {
    measure_job(workload.name, workload.gflop, workload.build, phases, effort, done);
}

pub(crate) fn measure_job(
    name: &str,
    gflop: [f64; 2],
    build: impl FnOnce() -> Box<dyn Job>,
    phases: &[Phase],
    effort: Effort,
    mut done: impl FnMut(Reading),
) {
    memory::empty_cache();
    reset_peak_rss();
    manual_seed(0);
    let mut job = build();
    let params = job.model().num_parameters();
    for &phase in phases {
        let times = match phase {
            Phase::Infer => {
                job.model().eval();
                timed(effort, || job.infer_step())
            }
            Phase::Train => {
                job.model().train();
                timed(effort, || job.train_step())
            }
        };
        done(times.reading(name, phase, params, gflop[phase as usize]));
    }
}

struct Times {
    ms: Vec<f64>,
    faults: Option<u64>,
    first: f32,
    last: f32,
}

/// No more steps than this are timed.
const MOST: usize = 1 << 16;

/// Times steps after three to warm up.
fn timed(effort: Effort, mut step: impl FnMut() -> f32) -> Times {
    // Written to now, so that it causes no page faults while steps are timed.
    let mut ms = vec![f64::NAN; MOST];
    let first = step();
    step();
    step();
    let mut n = 0;
    let faults = page_faults();
    let start = Instant::now();
    loop {
        let t = Instant::now();
        let last = step();
        ms[n] = t.elapsed().as_secs_f64() * 1e3;
        n += 1;
        let elapsed = start.elapsed().as_secs_f64();
        let enough = n >= 5 && (elapsed >= effort.seconds && n >= 10 || elapsed >= effort.cap);
        if enough || n == MOST {
            let faults = page_faults().zip(faults).map(|(after, before)| after - before);
            ms.truncate(n);
            return Times { ms, faults, first, last };
        }
    }
}

impl Times {
    fn reading(mut self, name: &str, phase: Phase, params: usize, gflop: f64) -> Reading {
        self.ms.sort_by(f64::total_cmp);
        let n = self.ms.len();
        // Between the two nearest steps, as usual for quantiles.
        let quantile = |q: f64| {
            let at = q * (n - 1) as f64;
            let (low, share) = (at as usize, at.fract());
            round(self.ms[low] * (1.0 - share) + self.ms[(low + 1).min(n - 1)] * share)
        };
        Reading {
            workload: name.to_string(),
            phase,
            ms_median: quantile(0.5),
            ms_min: round(self.ms[0]),
            ms_q1: quantile(0.25),
            ms_q3: quantile(0.75),
            n,
            peak_rss_mb: peak_rss_mb(),
            faults_step: self.faults.map(|f| round(f as f64 / n as f64)),
            params,
            gflop,
            first: Some(self.first).filter(|x| x.is_finite()),
            last: Some(self.last).filter(|x| x.is_finite()),
        }
    }
}

/// To a tenth of a microsecond.
fn round(ms: f64) -> f64 {
    (ms * 1e4).round() / 1e4
}
