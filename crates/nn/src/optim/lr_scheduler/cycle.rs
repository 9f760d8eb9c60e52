//! Rates that rise and fall, while the momentum falls and rises.

use super::Schedule;
use super::cosine::half_wave;

/// The shape of the ways between the rates of [`OneCycleLR`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AnnealStrategy {
    /// Half a wave of the cosine. The default.
    #[default]
    Cos,
    /// A line.
    Linear,
}

/// One cycle over the whole of training: the rate rises to `max_lr`, then falls far below where it began; the
/// momentum goes the other way.
///
/// The rate that the optimiser began with does not count. After `total_steps` the last rate stays.
///
/// Source: Smith and Topin, 2017, <https://arxiv.org/abs/1708.07120>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{OneCycleLR, Schedule};
/// let schedule = OneCycleLR::new(1.0, 101).pct_start(20.0 / 101.0).final_div_factor(100.0);
/// let near = |t: f64, lr: f64, momentum: f64| {
///     (schedule.lr(t, 9.9) - lr).abs() < 1e-12 && (schedule.momentum(t).unwrap() - momentum).abs() < 1e-12
/// };
/// assert!(near(0.0, 1.0 / 25.0, 0.95) && near(19.0, 1.0, 0.85) && near(100.0, 1.0 / 2500.0, 0.95));
/// ```
#[derive(Clone, Debug)]
pub struct OneCycleLR {
    max_lr: f64,
    total_steps: usize,
    pct_start: f64,
    anneal_strategy: AnnealStrategy,
    cycle_momentum: bool,
    momenta: (f64, f64),
    div_factor: f64,
    final_div_factor: f64,
    three_phase: bool,
}

impl OneCycleLR {
    /// With PyTorch's defaults, given at the methods.
    ///
    /// # Panics
    /// If `total_steps` is 0.
    #[track_caller]
    pub fn new(max_lr: f64, total_steps: usize) -> OneCycleLR {
        assert!(total_steps > 0, "total_steps must be at least 1");
        OneCycleLR {
            max_lr,
            total_steps,
            pct_start: 0.3,
            anneal_strategy: AnnealStrategy::Cos,
            cycle_momentum: true,
            momenta: (0.85, 0.95),
            div_factor: 25.0,
            final_div_factor: 1e4,
            three_phase: false,
        }
    }

    /// The part of all steps in which the rate rises (0.3).
    ///
    /// # Panics
    /// If it is not between 0 and 1.
    #[track_caller]
    pub fn pct_start(mut self, pct_start: f64) -> OneCycleLR {
        assert!((0.0..=1.0).contains(&pct_start), "pct_start must be between 0 and 1, got {pct_start}");
        self.pct_start = pct_start;
        self
    }

    /// The shape of the rise and of the fall (a cosine).
    pub fn anneal_strategy(mut self, strategy: AnnealStrategy) -> OneCycleLR {
        self.anneal_strategy = strategy;
        self
    }

    /// Whether the momentum changes, too (yes).
    pub fn cycle_momentum(mut self, on: bool) -> OneCycleLR {
        self.cycle_momentum = on;
        self
    }

    /// The momentum where the rate is highest (0.85).
    pub fn base_momentum(mut self, momentum: f64) -> OneCycleLR {
        self.momenta.0 = momentum;
        self
    }

    /// The momentum at both ends (0.95).
    pub fn max_momentum(mut self, momentum: f64) -> OneCycleLR {
        self.momenta.1 = momentum;
        self
    }

    /// `max_lr` over the first rate (25).
    pub fn div_factor(mut self, factor: f64) -> OneCycleLR {
        self.div_factor = factor;
        self
    }

    /// The first rate over the last one (1e4).
    pub fn final_div_factor(mut self, factor: f64) -> OneCycleLR {
        self.final_div_factor = factor;
        self
    }

    /// Whether the rate first falls to where it began, in as many steps as it rose, and from there on to the last
    /// one (no).
    pub fn three_phase(mut self, on: bool) -> OneCycleLR {
        self.three_phase = on;
        self
    }

    /// The value at time `t` of what goes from `ends.0` to `peak`, and to `ends.1` at last.
    fn at(&self, t: f64, peak: f64, ends: (f64, f64)) -> f64 {
        let (total, rise) = (self.total_steps as f64, self.pct_start * self.total_steps as f64);
        let last = (total - 1.0, ends.1);
        let three = [(rise - 1.0, peak), (2.0 * rise - 2.0, ends.0), last];
        let phases = if self.three_phase { &three[..] } else { &[three[0], last] };
        let (mut from, mut begin) = (ends.0, 0.0);
        for (i, &(end, to)) in phases.iter().enumerate() {
            if t <= end || i == phases.len() - 1 {
                let part = if end > begin { ((t - begin) / (end - begin)).min(1.0) } else { 1.0 };
                return match self.anneal_strategy {
                    AnnealStrategy::Cos => half_wave(from, to, part),
                    AnnealStrategy::Linear => from + (to - from) * part,
                };
            }
            (from, begin) = (to, end);
        }
        ends.1
    }
}

impl Schedule for OneCycleLR {
    fn lr(&self, t: f64, _base: f64) -> f64 {
        let first = self.max_lr / self.div_factor;
        self.at(t, self.max_lr, (first, first / self.final_div_factor))
    }

    fn momentum(&self, t: f64) -> Option<f64> {
        let (base, max) = self.momenta;
        self.cycle_momentum.then(|| self.at(t, base, (max, max)))
    }
}

/// How the cycles of [`CyclicLR`] change with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CyclicMode {
    /// They do not. The default.
    #[default]
    Triangular,
    /// Each is half as high as the one before.
    Triangular2,
    /// Their height falls with `gamma` to the power of the number of steps.
    ExpRange,
}

/// The rate rises in a line from `base_lr` to `max_lr` and falls again, over and over; the momentum goes the other way.
///
/// The rate that the optimiser began with does not count.
///
/// Source: Smith, 2015, <https://arxiv.org/abs/1506.01186>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CyclicLR.html>.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{CyclicLR, Schedule};
/// let schedule = CyclicLR::new(0.1, 0.5).step_size_up(4).cycle_momentum(false);
/// assert_eq!([0.0, 4.0, 8.0].map(|t| schedule.lr(t, 9.9)), [0.1, 0.5, 0.1]);
/// ```
#[derive(Clone, Debug)]
pub struct CyclicLR {
    base_lr: f64,
    max_lr: f64,
    step_size_up: usize,
    step_size_down: Option<usize>,
    mode: CyclicMode,
    gamma: f64,
    cycle_momentum: bool,
    momenta: (f64, f64),
}

impl CyclicLR {
    /// With PyTorch's defaults, given at the methods.
    pub fn new(base_lr: f64, max_lr: f64) -> CyclicLR {
        CyclicLR {
            base_lr,
            max_lr,
            step_size_up: 2000,
            step_size_down: None,
            mode: CyclicMode::Triangular,
            gamma: 1.0,
            cycle_momentum: true,
            momenta: (0.8, 0.9),
        }
    }

    /// Steps of each rise (2000).
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn step_size_up(mut self, steps: usize) -> CyclicLR {
        assert!(steps > 0, "step_size_up must be at least 1");
        self.step_size_up = steps;
        self
    }

    /// Steps of each fall (as many as of the rise).
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn step_size_down(mut self, steps: usize) -> CyclicLR {
        assert!(steps > 0, "step_size_down must be at least 1");
        self.step_size_down = Some(steps);
        self
    }

    /// How the cycles change with time (they do not).
    pub fn mode(mut self, mode: CyclicMode) -> CyclicLR {
        self.mode = mode;
        self
    }

    /// The base of the power in [`CyclicMode::ExpRange`] (1).
    pub fn gamma(mut self, gamma: f64) -> CyclicLR {
        self.gamma = gamma;
        self
    }

    /// Whether the momentum changes, too (yes).
    pub fn cycle_momentum(mut self, on: bool) -> CyclicLR {
        self.cycle_momentum = on;
        self
    }

    /// The momentum where the rate is highest (0.8).
    pub fn base_momentum(mut self, momentum: f64) -> CyclicLR {
        self.momenta.0 = momentum;
        self
    }

    /// The momentum where the rate is lowest (0.9).
    pub fn max_momentum(mut self, momentum: f64) -> CyclicLR {
        self.momenta.1 = momentum;
        self
    }

    /// How much of the height there is at time `t`.
    fn height(&self, t: f64) -> f64 {
        let up = self.step_size_up as f64;
        let total = up + self.step_size_down.map_or(up, |down| down as f64);
        let cycle = (t / total).floor();
        let (part, top) = (t / total - cycle, up / total);
        let height = if part <= top { part / top } else { (1.0 - part) / (1.0 - top) };
        height
            * match self.mode {
                CyclicMode::Triangular => 1.0,
                CyclicMode::Triangular2 => 0.5f64.powf(cycle),
                CyclicMode::ExpRange => self.gamma.powf(t),
            }
    }
}

impl Schedule for CyclicLR {
    fn lr(&self, t: f64, _base: f64) -> f64 {
        self.base_lr + (self.max_lr - self.base_lr) * self.height(t)
    }

    fn momentum(&self, t: f64) -> Option<f64> {
        let (base, max) = self.momenta;
        self.cycle_momentum.then(|| max - (max - base) * self.height(t))
    }
}
