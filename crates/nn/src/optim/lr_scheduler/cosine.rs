//! Rates that fall along a cosine.

use super::Schedule;
use std::f64::consts::PI;

/// From `start` to `end` along half a wave of the cosine, of which `part` is done.
pub(super) fn half_wave(start: f64, end: f64, part: f64) -> f64 {
    end + (start - end) * (1.0 + (PI * part).cos()) / 2.0
}

/// Half a wave of the cosine from the rate to `eta_min` over `t_max` steps; it rises again after that.
///
/// eta_min + (base - eta_min) (1 + cos(pi t / t_max)) / 2.
///
/// Source: Loshchilov and Hutter, 2016, <https://arxiv.org/abs/1608.03983>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{CosineAnnealingLR, Schedule};
/// let schedule = CosineAnnealingLR::new(10).eta_min(0.2);
/// assert!([(0.0, 1.0), (5.0, 0.6), (10.0, 0.2)].iter().all(|(t, lr)| (schedule.lr(*t, 1.0) - lr).abs() < 1e-12));
/// ```
#[derive(Clone, Debug)]
pub struct CosineAnnealingLR {
    t_max: usize,
    eta_min: f64,
}

impl CosineAnnealingLR {
    /// Down to 0.
    ///
    /// # Panics
    /// If `t_max` is 0.
    #[track_caller]
    pub fn new(t_max: usize) -> CosineAnnealingLR {
        assert!(t_max > 0, "t_max must be at least 1");
        CosineAnnealingLR { t_max, eta_min: 0.0 }
    }

    /// The lowest rate (0).
    pub fn eta_min(mut self, eta_min: f64) -> CosineAnnealingLR {
        self.eta_min = eta_min;
        self
    }
}

impl Schedule for CosineAnnealingLR {
    fn lr(&self, t: f64, base: f64) -> f64 {
        half_wave(base, self.eta_min, t / self.t_max as f64)
    }
}

/// Half waves of the cosine, one after another: each begins at the rate again, and is `t_mult` times as long as
/// the one before.
///
/// Source: Loshchilov and Hutter, 2016, <https://arxiv.org/abs/1608.03983>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingWarmRestarts.html>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{CosineAnnealingWarmRestarts, Schedule};
/// let schedule = CosineAnnealingWarmRestarts::new(4).t_mult(2);
/// assert_eq!([0.0, 4.0, 12.0, 28.0].map(|t| schedule.lr(t, 0.1)), [0.1; 4]);
/// ```
#[derive(Clone, Debug)]
pub struct CosineAnnealingWarmRestarts {
    t_0: usize,
    t_mult: usize,
    eta_min: f64,
}

impl CosineAnnealingWarmRestarts {
    /// Waves of `t_0` steps each, down to 0.
    ///
    /// # Panics
    /// If `t_0` is 0.
    #[track_caller]
    pub fn new(t_0: usize) -> CosineAnnealingWarmRestarts {
        assert!(t_0 > 0, "t_0 must be at least 1");
        CosineAnnealingWarmRestarts { t_0, t_mult: 1, eta_min: 0.0 }
    }

    /// How much longer each wave is than the one before (1).
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn t_mult(mut self, t_mult: usize) -> CosineAnnealingWarmRestarts {
        assert!(t_mult > 0, "t_mult must be at least 1");
        self.t_mult = t_mult;
        self
    }

    /// The lowest rate (0).
    pub fn eta_min(mut self, eta_min: f64) -> CosineAnnealingWarmRestarts {
        self.eta_min = eta_min;
        self
    }
}

impl Schedule for CosineAnnealingWarmRestarts {
    fn lr(&self, t: f64, base: f64) -> f64 {
        let (mut rest, mut length) = (t, self.t_0 as f64);
        if self.t_mult == 1 {
            rest %= length;
        }
        while rest >= length {
            rest -= length;
            length *= self.t_mult as f64;
        }
        half_wave(base, self.eta_min, rest / length)
    }
}
