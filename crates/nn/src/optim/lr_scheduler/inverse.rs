//! Rates that fall with the inverse of time or of its root.

use super::Schedule;

/// Inverse decay: base / (1 + k t).
///
/// Source: Robbins and Monro, 1951, <https://doi.org/10.1214/aoms/1177729586>, for rates that fall as 1 / t.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{InverseLR, Schedule};
/// assert_eq!([0.0, 6.0].map(|t| InverseLR::new(0.5).lr(t, 1.0)), [1.0, 0.25]);
/// ```
#[derive(Clone, Debug)]
pub struct InverseLR {
    k: f64,
}

impl InverseLR {
    /// With the constant `k`: the rate has halved after 1 / k steps.
    pub fn new(k: f64) -> InverseLR {
        InverseLR { k }
    }
}

impl Schedule for InverseLR {
    fn lr(&self, t: f64, base: f64) -> f64 {
        base / (1.0 + self.k * t)
    }
}

/// Inverse square root decay: base / sqrt(t), and base before the first step.
///
/// Source: Zinkevich, 2003, <https://www.cs.cmu.edu/~maz/publications/techconvex.pdf>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{InverseSqrtLR, Schedule};
/// assert_eq!([0.0, 1.0, 16.0].map(|t| InverseSqrtLR.lr(t, 1.0)), [1.0, 1.0, 0.25]);
/// ```
#[derive(Clone, Debug)]
pub struct InverseSqrtLR;

impl Schedule for InverseSqrtLR {
    fn lr(&self, t: f64, base: f64) -> f64 {
        base / t.max(1.0).sqrt()
    }
}

/// The transformer's schedule: a linear rise, then decay with the inverse square root.
///
/// base d_model^-0.5 min(t^-0.5, t warmup^-1.5), where t is at least 1. The optimiser's rate is a factor, usually 1.
///
/// Source: Vaswani et al., 2017, section 5.3, <https://arxiv.org/abs/1706.03762>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{NoamLR, Schedule};
/// let schedule = NoamLR::new(512, 4000);
/// assert!((schedule.lr(4000.0, 1.0) - 1.0 / (512.0f64 * 4000.0).sqrt()).abs() < 1e-12);
/// assert!((schedule.lr(2000.0, 1.0) / schedule.lr(4000.0, 1.0) - 0.5).abs() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct NoamLR {
    d_model: usize,
    warmup: usize,
}

impl NoamLR {
    /// For a model of width `d_model`, with its highest rate after `warmup` steps.
    ///
    /// # Panics
    /// If one of them is 0.
    #[track_caller]
    pub fn new(d_model: usize, warmup: usize) -> NoamLR {
        assert!(d_model > 0 && warmup > 0, "d_model and warmup must be at least 1, got {d_model} and {warmup}");
        NoamLR { d_model, warmup }
    }
}

impl Schedule for NoamLR {
    fn lr(&self, t: f64, base: f64) -> f64 {
        let (t, warmup) = (t.max(1.0), self.warmup as f64);
        base * (self.d_model as f64).powf(-0.5) * t.powf(-0.5).min(t * warmup.powf(-1.5))
    }
}
