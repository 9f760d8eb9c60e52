//! Rates that fall when nothing improves any more.

use super::super::Optimizer;
use super::super::rule::{Wanted, number};
use crate::{LoadError, StateDict};

/// Which values of what is measured are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PlateauMode {
    /// Smaller ones, as of a loss. The default.
    #[default]
    Min,
    /// Larger ones, as of an accuracy.
    Max,
}

/// What an improvement is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ThresholdMode {
    /// A part of the best value. The default.
    #[default]
    Rel,
    /// A difference to the best value.
    Abs,
}

/// Multiplies the rates by `factor` once a measured value has not improved for more than `patience` steps.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html>.
///
/// ```
/// use gradus_nn::optim::{Optimizer, Sgd, lr_scheduler::ReduceLROnPlateau};
/// # let params = vec![gradus_tensor::Tensor::ones([1]).requires_grad_(true)];
/// let mut optimizer = Sgd::new(params, 0.8);
/// let mut scheduler = ReduceLROnPlateau::new().factor(0.5).patience(1);
/// for validation_loss in [3.0, 2.0, 2.0, 2.0] {
///     scheduler.step(validation_loss, &mut optimizer);
/// }
/// assert_eq!(optimizer.lr(), 0.4);
/// ```
#[derive(Clone, Debug)]
pub struct ReduceLROnPlateau {
    mode: PlateauMode,
    factor: f64,
    patience: u64,
    threshold: f64,
    threshold_mode: ThresholdMode,
    cooldown: u64,
    min_lr: f64,
    eps: f64,
    best: f64,
    bad: u64,
    cooling: u64,
}

impl ReduceLROnPlateau {
    /// With PyTorch's defaults, given at the methods.
    #[allow(clippy::new_without_default, reason = "a schedule is always chosen")]
    pub fn new() -> ReduceLROnPlateau {
        ReduceLROnPlateau {
            mode: PlateauMode::Min,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            threshold_mode: ThresholdMode::Rel,
            cooldown: 0,
            min_lr: 0.0,
            eps: 1e-8,
            best: f64::INFINITY,
            bad: 0,
            cooling: 0,
        }
    }

    /// Which values are better (smaller ones).
    pub fn mode(mut self, mode: PlateauMode) -> ReduceLROnPlateau {
        self.mode = mode;
        self.best = if mode == PlateauMode::Min { f64::INFINITY } else { f64::NEG_INFINITY };
        self
    }

    /// The factor of each drop (0.1).
    ///
    /// # Panics
    /// If it is not below 1.
    #[track_caller]
    pub fn factor(mut self, factor: f64) -> ReduceLROnPlateau {
        assert!(factor < 1.0, "factor must be below 1, got {factor}");
        self.factor = factor;
        self
    }

    /// Steps without improvement that are put up with (10).
    pub fn patience(mut self, patience: u64) -> ReduceLROnPlateau {
        self.patience = patience;
        self
    }

    /// By how much a value must be better than the best one (1e-4).
    pub fn threshold(mut self, threshold: f64) -> ReduceLROnPlateau {
        self.threshold = threshold;
        self
    }

    /// What the threshold is measured by (the best value).
    pub fn threshold_mode(mut self, mode: ThresholdMode) -> ReduceLROnPlateau {
        self.threshold_mode = mode;
        self
    }

    /// Steps after a drop in which nothing counts as bad (0).
    pub fn cooldown(mut self, cooldown: u64) -> ReduceLROnPlateau {
        self.cooldown = cooldown;
        self
    }

    /// The lowest rate (0).
    pub fn min_lr(mut self, min_lr: f64) -> ReduceLROnPlateau {
        self.min_lr = min_lr;
        self
    }

    /// A drop by no more than this is left out (1e-8).
    pub fn eps(mut self, eps: f64) -> ReduceLROnPlateau {
        self.eps = eps;
        self
    }

    fn is_better(&self, value: f64) -> bool {
        let sign = if self.mode == PlateauMode::Min { -1.0 } else { 1.0 };
        match self.threshold_mode {
            ThresholdMode::Rel => sign * value > sign * self.best * (1.0 + sign * self.threshold),
            ThresholdMode::Abs => sign * value > sign * self.best + self.threshold,
        }
    }

    /// Takes in a measured value, and lowers the rates if it was time.
    pub fn step(&mut self, metric: f64, optimizer: &mut dyn Optimizer) {
        if self.is_better(metric) {
            (self.best, self.bad) = (metric, 0);
        } else {
            self.bad += 1;
        }
        if self.cooling > 0 {
            (self.cooling, self.bad) = (self.cooling - 1, 0);
        }
        if self.bad <= self.patience {
            return;
        }
        (self.cooling, self.bad) = (self.cooldown, 0);
        let lower = |lr: f64| {
            let lower = (lr * self.factor).max(self.min_lr);
            if lr - lower > self.eps { lower } else { lr }
        };
        let lrs: Vec<f64> = optimizer.lrs().into_iter().map(lower).collect();
        optimizer.set_lrs(&lrs);
    }

    /// The best value so far, and what is counted: `best`, `num_bad_epochs`, `cooldown_counter`.
    pub fn state_dict(&self) -> StateDict {
        let all = [("best", self.best), ("num_bad_epochs", self.bad as f64), ("cooldown_counter", self.cooling as f64)];
        all.into_iter().map(|(name, value)| (name, number(value))).collect()
    }

    /// Goes on from a state that [`ReduceLROnPlateau::state_dict`] gave.
    ///
    /// # Errors
    /// If it is not such a state; then nothing was loaded.
    pub fn load_state_dict(&mut self, state: &StateDict) -> Result<(), LoadError> {
        let mut wanted = Wanted::of(state);
        let [best, bad, cooling] = ["best", "num_bad_epochs", "cooldown_counter"].map(|n| wanted.number(n));
        wanted.done()?;
        self.best = best.unwrap_or(self.best);
        (self.bad, self.cooling) = (bad.unwrap_or_default() as u64, cooling.unwrap_or_default() as u64);
        Ok(())
    }
}
