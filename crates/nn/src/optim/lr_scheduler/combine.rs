//! Schedules made of schedules.

use super::{LinearLR, Schedule};

/// Another schedule after a warm-up: the factor of its first rate rises in a line from `start_factor` to 1.
///
/// Source: Goyal et al., 2017, section 2.2, <https://arxiv.org/abs/1706.02677>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{CosineAnnealingLR, Schedule, Warmup};
/// let schedule = Warmup::new(4, CosineAnnealingLR::new(10));
/// assert_eq!([0.0, 2.0, 4.0].map(|t| schedule.lr(t, 0.1)), [0.0, 0.05, 0.1]);
/// assert!((schedule.lr(9.0, 0.1) - 0.05).abs() < 1e-12);
/// ```
pub struct Warmup<S> {
    steps: usize,
    start_factor: f64,
    then: S,
}

impl<S: Schedule> Warmup<S> {
    /// From 0 over `steps` steps; `then` begins after them.
    pub fn new(steps: usize, then: S) -> Warmup<S> {
        Warmup { steps, start_factor: 0.0, then }
    }

    /// The first factor (0).
    pub fn start_factor(mut self, factor: f64) -> Warmup<S> {
        self.start_factor = factor;
        self
    }
}

impl<S: Schedule> Schedule for Warmup<S> {
    fn lr(&self, t: f64, base: f64) -> f64 {
        let rise = LinearLR::new().start_factor(self.start_factor).total_iters(self.steps);
        rise.lr(t, self.then.lr((t - self.steps as f64).max(0.0), base))
    }

    fn momentum(&self, t: f64) -> Option<f64> {
        self.then.momentum((t - self.steps as f64).max(0.0))
    }
}

/// One schedule after another: at each milestone the next begins, at its own time 0.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.SequentialLR.html>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{ConstantLR, ExponentialLR, Schedule, SequentialLR};
/// let first = ConstantLR::new().factor(0.5).total_iters(9);
/// let schedule = SequentialLR::new(vec![Box::new(first), Box::new(ExponentialLR::new(0.5))], vec![2]);
/// assert_eq!([0.0, 1.0, 2.0, 3.0].map(|t| schedule.lr(t, 1.0)), [0.5, 0.5, 1.0, 0.5]);
/// ```
pub struct SequentialLR {
    schedulers: Vec<Box<dyn Schedule>>,
    milestones: Vec<usize>,
}

impl SequentialLR {
    /// The schedules in order, and the steps at which the second and further ones begin.
    ///
    /// # Panics
    /// If there is not one milestone fewer than there are schedules, or they do not rise.
    #[track_caller]
    pub fn new(schedulers: Vec<Box<dyn Schedule>>, milestones: Vec<usize>) -> SequentialLR {
        let (n, m) = (schedulers.len(), milestones.len());
        assert_eq!(n, m + 1, "{m} milestones stand between {} schedules, not {n}", m + 1);
        assert!(milestones.is_sorted(), "the milestones must rise, got {milestones:?}");
        SequentialLR { schedulers, milestones }
    }

    /// The schedule in force at time `t`, and the time since it began.
    fn at(&self, t: f64) -> (&dyn Schedule, f64) {
        let i = self.milestones.iter().filter(|m| **m as f64 <= t).count();
        let begin = if i == 0 { 0 } else { self.milestones[i - 1] };
        (&*self.schedulers[i], t - begin as f64)
    }
}

impl Schedule for SequentialLR {
    fn lr(&self, t: f64, base: f64) -> f64 {
        let (schedule, t) = self.at(t);
        schedule.lr(t, base)
    }

    fn momentum(&self, t: f64) -> Option<f64> {
        let (schedule, t) = self.at(t);
        schedule.momentum(t)
    }
}

/// Several schedules at once: each changes what the one before gives, so that factors multiply.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ChainedScheduler.html>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{ChainedScheduler, ConstantLR, ExponentialLR, Schedule};
/// let first = ConstantLR::new().factor(0.5).total_iters(2);
/// let schedule = ChainedScheduler::new(vec![Box::new(first), Box::new(ExponentialLR::new(0.5))]);
/// assert_eq!([0.0, 1.0, 2.0].map(|t| schedule.lr(t, 1.0)), [0.5, 0.25, 0.25]);
/// ```
pub struct ChainedScheduler {
    schedulers: Vec<Box<dyn Schedule>>,
}

impl ChainedScheduler {
    /// The schedules in order.
    pub fn new(schedulers: Vec<Box<dyn Schedule>>) -> ChainedScheduler {
        ChainedScheduler { schedulers }
    }
}

impl Schedule for ChainedScheduler {
    fn lr(&self, t: f64, base: f64) -> f64 {
        self.schedulers.iter().fold(base, |lr, schedule| schedule.lr(t, lr))
    }

    fn momentum(&self, t: f64) -> Option<f64> {
        self.schedulers.iter().rev().find_map(|schedule| schedule.momentum(t))
    }
}
