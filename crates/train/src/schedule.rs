//! Learning-rate schedules.

use gradus_nn::optim::lr_scheduler::{self, CosineAnnealingLR, LinearLR, StepLR};
use serde::{Deserialize, Serialize};

/// How the learning rate changes over a run, as a factor on the optimiser's `lr`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Schedule {
    /// The same rate throughout.
    Constant(Constant),
    /// Half a cosine wave from `lr` to `lr * floor`, after an optional linear warm-up.
    Cosine(Cosine),
    /// The rate is multiplied by `gamma` every `every` epochs.
    Step(Step),
}

/// The schedule that changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constant {}

/// Cosine annealing (Loshchilov & Hutter, <https://arxiv.org/abs/1608.03983>), one cycle without restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cosine {
    /// Epochs (fractions allowed) over which the rate first rises linearly from zero.
    pub warmup_epochs: f64,
    /// The last rate as a fraction of the first.
    pub floor: f64,
}

/// Step decay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Epochs between two drops.
    pub every: usize,
    /// The factor of each drop.
    pub gamma: f64,
}

impl Default for Step {
    fn default() -> Self {
        Step { every: 10, gamma: 0.1 }
    }
}

impl Schedule {
    /// The names a recipe may use.
    pub const NAMES: [&'static str; 3] = ["constant", "cosine", "step"];

    /// The schedule called `name` with its default settings.
    pub fn by_name(name: &str) -> Option<Schedule> {
        Some(match name {
            "constant" => Schedule::Constant(Constant::default()),
            "cosine" => Schedule::Cosine(Cosine::default()),
            "step" => Schedule::Step(Step::default()),
            _ => return None,
        })
    }

    /// Values that make no rate.
    pub(crate) fn check(&self) -> Result<(), String> {
        let range = |key: &str, rule: &str, fits: bool, got: f64| match fits {
            true => Ok(()),
            false => Err(format!("setting `schedule.{key}`: must be {rule}, got {got}")),
        };
        match self {
            Schedule::Constant(_) => Ok(()),
            Schedule::Cosine(c) => {
                range("floor", "between 0 and 1", (0.0..=1.0).contains(&c.floor), c.floor)?;
                let warmup = c.warmup_epochs;
                range("warmup_epochs", "at least 0", warmup >= 0.0 && warmup.is_finite(), warmup)
            }
            Schedule::Step(s) => {
                range("every", "at least 1", s.every > 0, s.every as f64)?;
                range("gamma", "above 0 and at most 1", s.gamma > 0.0 && s.gamma <= 1.0, s.gamma)
            }
        }
    }

    /// The factor on the base rate after `progress` epochs (fractions count) of `epochs`.
    ///
    /// ```
    /// use gradus_train::Schedule;
    /// let cosine = Schedule::by_name("cosine").unwrap();
    /// assert_eq!(cosine.factor(0.0, 10), 1.0);
    /// assert!((cosine.factor(5.0, 10) - 0.5).abs() < 1e-12);
    /// ```
    pub fn factor(&self, progress: f64, epochs: usize) -> f64 {
        use lr_scheduler::Schedule as _;
        match self {
            Schedule::Constant(_) => 1.0,
            // Both parts are written over a unit of time, since their lengths may be fractions of epochs.
            Schedule::Cosine(c) if progress < c.warmup_epochs => {
                LinearLR::new().start_factor(0.0).total_iters(1).lr(progress / c.warmup_epochs, 1.0)
            }
            Schedule::Cosine(c) => {
                let span = (epochs as f64 - c.warmup_epochs).max(f64::MIN_POSITIVE);
                let done = ((progress - c.warmup_epochs) / span).min(1.0);
                CosineAnnealingLR::new(1).eta_min(c.floor).lr(done, 1.0)
            }
            Schedule::Step(s) => StepLR::new(s.every.max(1)).gamma(s.gamma).lr(progress, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_warms_up_and_ends_at_its_floor() {
        let s = Schedule::Cosine(Cosine { warmup_epochs: 2.0, floor: 0.1 });
        assert_eq!(s.factor(0.0, 10), 0.0);
        assert_eq!(s.factor(1.0, 10), 0.5);
        assert_eq!(s.factor(2.0, 10), 1.0);
        assert!((s.factor(10.0, 10) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn steps_drop_at_whole_multiples() {
        let s = Schedule::Step(Step { every: 3, gamma: 0.5 });
        let factors: Vec<f64> = [0.0, 2.9, 3.0, 6.5].iter().map(|&p| s.factor(p, 9)).collect();
        assert_eq!(factors, [1.0, 1.0, 0.5, 0.25]);
    }

    #[test]
    fn every_name_is_a_schedule() {
        for name in Schedule::NAMES {
            assert!(Schedule::by_name(name).is_some(), "{name}");
        }
    }
}
