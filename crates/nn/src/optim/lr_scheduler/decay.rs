//! Rates that fall in steps, by powers, along lines, or as a function says.

use super::Schedule;

/// The rate is multiplied by `gamma` every `step_size` steps: base gamma^floor(t / step_size).
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{Schedule, StepLR};
/// assert_eq!(StepLR::new(2).gamma(0.5).lr(5.0, 1.0), 0.25);
/// ```
#[derive(Clone, Debug)]
pub struct StepLR {
    step_size: usize,
    gamma: f64,
}

impl StepLR {
    /// With gamma 0.1.
    ///
    /// # Panics
    /// If `step_size` is 0.
    #[track_caller]
    pub fn new(step_size: usize) -> StepLR {
        assert!(step_size > 0, "step_size must be at least 1");
        StepLR { step_size, gamma: 0.1 }
    }

    /// The factor of each drop (0.1).
    pub fn gamma(mut self, gamma: f64) -> StepLR {
        self.gamma = gamma;
        self
    }
}

impl Schedule for StepLR {
    fn lr(&self, t: f64, base: f64) -> f64 {
        base * self.gamma.powf((t / self.step_size as f64).floor())
    }
}

/// The rate is multiplied by `gamma` at each of the milestones.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiStepLR.html>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{MultiStepLR, Schedule};
/// let schedule = MultiStepLR::new(vec![3, 5]).gamma(0.5);
/// assert_eq!([2.0, 3.0, 9.0].map(|t| schedule.lr(t, 1.0)), [1.0, 0.5, 0.25]);
/// ```
#[derive(Clone, Debug)]
pub struct MultiStepLR {
    milestones: Vec<usize>,
    gamma: f64,
}

impl MultiStepLR {
    /// With gamma 0.1. A milestone given twice counts twice.
    pub fn new(milestones: Vec<usize>) -> MultiStepLR {
        MultiStepLR { milestones, gamma: 0.1 }
    }

    /// The factor of each drop (0.1).
    pub fn gamma(mut self, gamma: f64) -> MultiStepLR {
        self.gamma = gamma;
        self
    }
}

impl Schedule for MultiStepLR {
    fn lr(&self, t: f64, base: f64) -> f64 {
        base * self.gamma.powi(self.milestones.iter().filter(|m| **m as f64 <= t).count() as i32)
    }
}

/// Exponential decay: base gamma^t.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ExponentialLR.html>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{ExponentialLR, Schedule};
/// assert_eq!(ExponentialLR::new(0.5).lr(3.0, 1.0), 0.125);
/// assert!((ExponentialLR::decay(0.2).lr(5.0, 1.0) - (-1.0f64).exp()).abs() < 1e-15);
/// ```
#[derive(Clone, Debug)]
pub struct ExponentialLR {
    gamma: f64,
}

impl ExponentialLR {
    /// By the factor `gamma` a step.
    pub fn new(gamma: f64) -> ExponentialLR {
        ExponentialLR { gamma }
    }

    /// By the constant of decay: base e^(-k t), which is gamma = e^-k.
    pub fn decay(k: f64) -> ExponentialLR {
        ExponentialLR::new((-k).exp())
    }
}

impl Schedule for ExponentialLR {
    fn lr(&self, t: f64, base: f64) -> f64 {
        base * self.gamma.powf(t)
    }
}

/// The rate times `factor` for the first `total_iters` steps, then the rate itself.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ConstantLR.html>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{ConstantLR, Schedule};
/// let schedule = ConstantLR::new().factor(0.5).total_iters(4);
/// assert_eq!([3.0, 4.0].map(|t| schedule.lr(t, 1.0)), [0.5, 1.0]);
/// ```
#[derive(Clone, Debug)]
pub struct ConstantLR {
    factor: f64,
    total_iters: usize,
}

impl ConstantLR {
    /// With factor 1/3 for 5 steps.
    #[allow(clippy::new_without_default, reason = "a schedule is always chosen")]
    pub fn new() -> ConstantLR {
        ConstantLR { factor: 1.0 / 3.0, total_iters: 5 }
    }

    /// The factor (1/3).
    pub fn factor(mut self, factor: f64) -> ConstantLR {
        self.factor = factor;
        self
    }

    /// For how many steps (5).
    pub fn total_iters(mut self, total_iters: usize) -> ConstantLR {
        self.total_iters = total_iters;
        self
    }
}

impl Schedule for ConstantLR {
    fn lr(&self, t: f64, base: f64) -> f64 {
        if t < self.total_iters as f64 { base * self.factor } else { base }
    }
}

/// The factor of the rate goes in a line from `start_factor` to `end_factor` over `total_iters` steps, and stays.
///
/// From 1 to 0, it is the linear decay base (1 - t / T). Unlike PyTorch's, it may begin at 0.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LinearLR.html>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{LinearLR, Schedule};
/// let decay = LinearLR::new().start_factor(1.0).end_factor(0.0).total_iters(10);
/// assert_eq!([0.0, 5.0, 10.0, 11.0].map(|t| decay.lr(t, 0.8)), [0.8, 0.4, 0.0, 0.0]);
/// ```
#[derive(Clone, Debug)]
pub struct LinearLR {
    start_factor: f64,
    end_factor: f64,
    total_iters: usize,
}

impl LinearLR {
    /// From 1/3 to 1 over 5 steps.
    #[allow(clippy::new_without_default, reason = "a schedule is always chosen")]
    pub fn new() -> LinearLR {
        LinearLR { start_factor: 1.0 / 3.0, end_factor: 1.0, total_iters: 5 }
    }

    /// The first factor (1/3).
    pub fn start_factor(mut self, factor: f64) -> LinearLR {
        self.start_factor = factor;
        self
    }

    /// The last factor (1).
    pub fn end_factor(mut self, factor: f64) -> LinearLR {
        self.end_factor = factor;
        self
    }

    /// The number of steps between (5).
    pub fn total_iters(mut self, total_iters: usize) -> LinearLR {
        self.total_iters = total_iters;
        self
    }
}

impl Schedule for LinearLR {
    fn lr(&self, t: f64, base: f64) -> f64 {
        if t >= self.total_iters as f64 {
            return base * self.end_factor;
        }
        base * (self.start_factor + (self.end_factor - self.start_factor) * t / self.total_iters as f64)
    }
}

/// Polynomial decay to zero over `total_iters` steps: base (1 - t / total_iters)^power.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.PolynomialLR.html>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{PolynomialLR, Schedule};
/// assert_eq!(PolynomialLR::new().total_iters(4).power(2.0).lr(2.0, 1.0), 0.25);
/// ```
#[derive(Clone, Debug)]
pub struct PolynomialLR {
    total_iters: usize,
    power: f64,
}

impl PolynomialLR {
    /// Over 5 steps with power 1.
    #[allow(clippy::new_without_default, reason = "a schedule is always chosen")]
    pub fn new() -> PolynomialLR {
        PolynomialLR { total_iters: 5, power: 1.0 }
    }

    /// The number of steps (5).
    pub fn total_iters(mut self, total_iters: usize) -> PolynomialLR {
        self.total_iters = total_iters;
        self
    }

    /// The power (1).
    pub fn power(mut self, power: f64) -> PolynomialLR {
        self.power = power;
        self
    }
}

impl Schedule for PolynomialLR {
    fn lr(&self, t: f64, base: f64) -> f64 {
        base * (1.0 - (t / self.total_iters as f64).min(1.0)).powf(self.power)
    }
}

/// The rate times whatever factor a function of time gives.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{LambdaLR, Schedule};
/// assert_eq!(LambdaLR::new(|t| 1.0 / (1.0 + t * t)).lr(3.0, 2.0), 0.2);
/// ```
pub struct LambdaLR {
    factor: Box<dyn Fn(f64) -> f64 + Send>,
}

impl LambdaLR {
    /// By the function `factor` of the number of steps.
    pub fn new(factor: impl Fn(f64) -> f64 + Send + 'static) -> LambdaLR {
        LambdaLR { factor: Box::new(factor) }
    }
}

impl Schedule for LambdaLR {
    fn lr(&self, t: f64, base: f64) -> f64 {
        base * (self.factor)(t)
    }
}

/// Decay by hand: rates given with the steps at which they begin, the same for all groups of parameters.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{ManualLR, Schedule};
/// let schedule = ManualLR::new(vec![(30, 0.01), (60, 0.002)]);
/// assert_eq!([0.0, 30.0, 59.0, 90.0].map(|t| schedule.lr(t, 0.1)), [0.1, 0.01, 0.01, 0.002]);
/// ```
#[derive(Clone, Debug)]
pub struct ManualLR {
    rates: Vec<(usize, f64)>,
}

impl ManualLR {
    /// From each of the steps on, the rate beside it; before the first, the rate that the optimiser began with.
    ///
    /// # Panics
    /// If the steps do not rise.
    #[track_caller]
    pub fn new(rates: Vec<(usize, f64)>) -> ManualLR {
        assert!(rates.windows(2).all(|w| w[0].0 < w[1].0), "the steps must rise, got {rates:?}");
        ManualLR { rates }
    }
}

impl Schedule for ManualLR {
    fn lr(&self, t: f64, base: f64) -> f64 {
        self.rates.iter().rev().find(|(from, _)| *from as f64 <= t).map_or(base, |(_, lr)| *lr)
    }
}
