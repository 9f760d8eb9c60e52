//! Learning-rate schedules.

use crate::metrics::EpochMetrics;
use crate::settings::settings;
use gradus_nn::optim::lr_scheduler::{
    CosineAnnealingLR, CosineAnnealingWarmRestarts, CyclicLR, ExponentialLR, InverseLR, LinearLR, MultiStepLR, NoamLR,
    OneCycleLR, PolynomialLR, ReduceLROnPlateau, Schedule as _, StepLR,
};
use gradus_nn::optim::{Optimizer, Sgd};
use serde::{Deserialize, Serialize};

/// How the learning rate changes over a run, as a factor on the optimiser's `lr`.
///
/// Every schedule but `one-cycle` and `noam`, which have a rise of their own, may begin with a linear warm-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Schedule {
    /// The same rate throughout.
    Constant(Constant),
    /// Half a cosine wave from `lr` to `lr * floor`, after an optional linear warm-up.
    Cosine(Cosine),
    /// Cosine waves one after the other, each from the full rate.
    CosineRestarts(CosineRestarts),
    /// The rate is multiplied by `gamma` every `every` epochs.
    Step(Step),
    /// The rate is multiplied by `gamma` at each milestone.
    MultiStep(MultiStep),
    /// From each of some epochs on, a factor of its own.
    Manual(Manual),
    /// The rate is multiplied by `gamma` every epoch, step by step.
    Exponential(Exponential),
    /// A line from the full rate to `floor`.
    Linear(Linear),
    /// (1 - t / T) to the power `power`.
    Polynomial(Polynomial),
    /// 1 / (1 + k t) after t epochs.
    Inverse(Inverse),
    /// One rise to `lr` and a long fall, with the momentum going the other way.
    OneCycle(OneCycle),
    /// Up and down in a line, over and over.
    Cyclic(Cyclic),
    /// The transformer's: a linear rise, then the inverse square root; `lr` is the peak.
    Noam(Noam),
    /// The rate falls once the validation loss no longer does.
    Plateau(Plateau),
}

settings! {
    /// The schedule that changes nothing.
    Constant {
        /// Epochs (fractions allowed) over which the rate first rises linearly from zero.
        warmup_epochs: f64 = 0.0,
    }
    /// Cosine annealing (Loshchilov & Hutter, <https://arxiv.org/abs/1608.03983>), one cycle without restarts.
    Cosine {
        /// Epochs (fractions allowed) over which the rate first rises linearly from zero.
        warmup_epochs: f64 = 0.0,
        /// The last rate as a fraction of the first.
        floor: f64 = 0.0,
    }
    /// Cosine annealing with warm restarts (Loshchilov & Hutter, <https://arxiv.org/abs/1608.03983>).
    CosineRestarts {
        /// Epochs (fractions allowed) over which the rate first rises linearly from zero.
        warmup_epochs: f64 = 0.0,
        /// Epochs of the first wave.
        every: usize = 10,
        /// How much longer each wave is than the one before.
        growth: usize = 1,
        /// The lowest rate as a fraction of the highest.
        floor: f64 = 0.0,
    }
    /// Step decay.
    Step {
        /// Epochs (fractions allowed) over which the rate first rises linearly from zero.
        warmup_epochs: f64 = 0.0,
        /// Epochs between two drops.
        every: usize = 10,
        /// The factor of each drop.
        gamma: f64 = 0.1,
    }
    /// Drops at given epochs.
    MultiStep {
        /// Epochs (fractions allowed) over which the rate first rises linearly from zero.
        warmup_epochs: f64 = 0.0,
        /// The epochs, counted from 0, at which the rate drops.
        milestones: Vec<usize> = vec![],
        /// The factor of each drop.
        gamma: f64 = 0.1,
    }
    /// Decay by hand.
    Manual {
        /// Epochs (fractions allowed) over which the rate first rises linearly from zero.
        warmup_epochs: f64 = 0.0,
        /// The epochs, counted from 0 and rising, from which the factors hold.
        milestones: Vec<usize> = vec![],
        /// One factor on `lr` for each of them.
        factors: Vec<f64> = vec![],
    }
    /// Exponential decay.
    Exponential {
        /// Epochs (fractions allowed) over which the rate first rises linearly from zero.
        warmup_epochs: f64 = 0.0,
        /// The factor of each epoch.
        gamma: f64 = 0.95,
    }
    /// Linear decay over the whole run.
    Linear {
        /// Epochs (fractions allowed) over which the rate first rises linearly from zero.
        warmup_epochs: f64 = 0.0,
        /// The last rate as a fraction of the first.
        floor: f64 = 0.0,
    }
    /// Polynomial decay to zero over the whole run.
    Polynomial {
        /// Epochs (fractions allowed) over which the rate first rises linearly from zero.
        warmup_epochs: f64 = 0.0,
        /// The power.
        power: f64 = 1.0,
    }
    /// Decay by 1 / t.
    Inverse {
        /// Epochs (fractions allowed) over which the rate first rises linearly from zero.
        warmup_epochs: f64 = 0.0,
        /// The factor of time.
        k: f64 = 0.1,
    }
    /// The one-cycle policy (Smith & Topin, <https://arxiv.org/abs/1708.07120>); `lr` is the peak.
    OneCycle {
        /// The part of the run in which the rate rises.
        pct_start: f64 = 0.3,
        /// The peak over the first rate.
        div_factor: f64 = 25.0,
        /// The first rate over the last.
        final_div_factor: f64 = 1e4,
        /// Whether the momentum (beta1) goes the other way.
        cycle_momentum: bool = true,
    }
    /// Cyclical rates (Smith, <https://arxiv.org/abs/1506.01186>).
    Cyclic {
        /// Epochs (fractions allowed) over which the rate first rises linearly from zero.
        warmup_epochs: f64 = 0.0,
        /// Epochs of a rise, and of a fall.
        every: usize = 2,
        /// The lowest rate as a fraction of the highest.
        floor: f64 = 0.1,
    }
    /// The transformer's schedule (Vaswani et al., <https://arxiv.org/abs/1706.03762>), scaled to a peak of `lr`.
    Noam {
        /// Steps of the rise.
        warmup_steps: usize = 1000,
    }
    /// Drops when the validation loss stays.
    Plateau {
        /// Epochs (fractions allowed) over which the rate first rises linearly from zero.
        warmup_epochs: f64 = 0.0,
        /// The factor of each drop.
        gamma: f64 = 0.1,
        /// Epochs without improvement that are put up with.
        patience: u64 = 5,
        /// The part by which a loss must be lower than the best to count.
        threshold: f64 = 1e-4,
    }
}

/// What a schedule sets for a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// The factor on the base rate.
    pub factor: f64,
    /// The momentum, if the schedule changes it.
    pub momentum: Option<f64>,
}

/// A name and the schedule with its defaults.
type Named = (&'static str, fn() -> Schedule);

/// The table of schedules.
const SCHEDULES: [Named; 14] = [
    ("constant", || Schedule::Constant(Constant::default())),
    ("cosine", || Schedule::Cosine(Cosine::default())),
    ("cosine-restarts", || Schedule::CosineRestarts(CosineRestarts::default())),
    ("step", || Schedule::Step(Step::default())),
    ("multi-step", || Schedule::MultiStep(MultiStep::default())),
    ("manual", || Schedule::Manual(Manual::default())),
    ("exponential", || Schedule::Exponential(Exponential::default())),
    ("linear", || Schedule::Linear(Linear::default())),
    ("polynomial", || Schedule::Polynomial(Polynomial::default())),
    ("inverse", || Schedule::Inverse(Inverse::default())),
    ("one-cycle", || Schedule::OneCycle(OneCycle::default())),
    ("cyclic", || Schedule::Cyclic(Cyclic::default())),
    ("noam", || Schedule::Noam(Noam::default())),
    ("plateau", || Schedule::Plateau(Plateau::default())),
];

impl Schedule {
    /// The names a recipe may use.
    pub const NAMES: [&'static str; SCHEDULES.len()] = {
        let mut names = [""; SCHEDULES.len()];
        let mut i = 0;
        while i < names.len() {
            names[i] = SCHEDULES[i].0;
            i += 1;
        }
        names
    };

    /// The schedule called `name` with its default settings.
    pub fn by_name(name: &str) -> Option<Schedule> {
        SCHEDULES.iter().find(|(n, _)| *n == name).map(|(_, default)| default())
    }

    /// Values that make no rate.
    pub(crate) fn check(&self) -> Result<(), String> {
        let range = |key: &str, rule: &str, fits: bool, got: &dyn std::fmt::Debug| match fits {
            true => Ok(()),
            false => Err(format!("setting `schedule.{key}`: must be {rule}, got {got:?}")),
        };
        let share = |key: &str, x: f64| range(key, "between 0 and 1", (0.0..=1.0).contains(&x), &x);
        let drop = |gamma: f64| range("gamma", "above 0 and at most 1", gamma > 0.0 && gamma <= 1.0, &gamma);
        let whole = |key: &str, n: usize| range(key, "at least 1", n > 0, &n);
        let rising = |m: &[usize]| range("milestones", "epochs that rise", m.windows(2).all(|w| w[0] < w[1]), &m);
        let positive = |key: &str, x: f64| range(key, "above 0 and finite", x > 0.0 && x.is_finite(), &x);
        let warmup = self.warmup();
        range("warmup_epochs", "at least 0", warmup >= 0.0 && warmup.is_finite(), &warmup)?;
        match self {
            Schedule::Constant(_) => Ok(()),
            Schedule::Cosine(c) => share("floor", c.floor),
            Schedule::CosineRestarts(c) => {
                whole("every", c.every).and(whole("growth", c.growth)).and(share("floor", c.floor))
            }
            Schedule::Step(s) => whole("every", s.every).and(drop(s.gamma)),
            Schedule::MultiStep(s) => rising(&s.milestones).and(drop(s.gamma)),
            Schedule::Manual(s) => {
                rising(&s.milestones)?;
                let fits =
                    s.factors.len() == s.milestones.len() && s.factors.iter().all(|f| *f >= 0.0 && f.is_finite());
                range("factors", "one number of at least 0 for each milestone", fits, &s.factors)
            }
            Schedule::Exponential(s) => drop(s.gamma),
            Schedule::Linear(s) => share("floor", s.floor),
            Schedule::Polynomial(s) => positive("power", s.power),
            Schedule::Inverse(s) => positive("k", s.k),
            Schedule::OneCycle(s) => share("pct_start", s.pct_start)
                .and(positive("div_factor", s.div_factor))
                .and(positive("final_div_factor", s.final_div_factor)),
            Schedule::Cyclic(s) => whole("every", s.every).and(share("floor", s.floor)),
            Schedule::Noam(s) => whole("warmup_steps", s.warmup_steps),
            Schedule::Plateau(s) => {
                range("gamma", "above 0 and below 1", s.gamma > 0.0 && s.gamma < 1.0, &s.gamma)?;
                range("threshold", "at least 0 and below 1", (0.0..1.0).contains(&s.threshold), &s.threshold)
            }
        }
    }

    /// Epochs of the linear rise at the beginning.
    fn warmup(&self) -> f64 {
        match self {
            Schedule::Constant(s) => s.warmup_epochs,
            Schedule::Cosine(s) => s.warmup_epochs,
            Schedule::CosineRestarts(s) => s.warmup_epochs,
            Schedule::Step(s) => s.warmup_epochs,
            Schedule::MultiStep(s) => s.warmup_epochs,
            Schedule::Manual(s) => s.warmup_epochs,
            Schedule::Exponential(s) => s.warmup_epochs,
            Schedule::Linear(s) => s.warmup_epochs,
            Schedule::Polynomial(s) => s.warmup_epochs,
            Schedule::Inverse(s) => s.warmup_epochs,
            Schedule::Cyclic(s) => s.warmup_epochs,
            Schedule::Plateau(s) => s.warmup_epochs,
            Schedule::OneCycle(_) | Schedule::Noam(_) => 0.0,
        }
    }

    /// What holds for step number `step` (counted from 0) of a run, after the epochs in `history`.
    ///
    /// It follows from these alone, so a run that is continued needs no state of the schedule.
    ///
    /// ```
    /// use gradus_train::Schedule;
    /// let cosine = Schedule::by_name("cosine").unwrap();
    /// assert_eq!(cosine.rates(0, 8, 10, &[]).factor, 1.0);
    /// assert!((cosine.rates(40, 8, 10, &[]).factor - 0.5).abs() < 1e-12);
    /// ```
    pub fn rates(&self, step: usize, steps_per_epoch: usize, epochs: usize, history: &[EpochMetrics]) -> Rates {
        let t = step as f64 / steps_per_epoch as f64;
        let warmup = self.warmup();
        let constant = |factor: f64| Rates { factor, momentum: None };
        if t < warmup {
            // Written over a unit of time, since the length may be a fraction of an epoch.
            return constant(LinearLR::new().start_factor(0.0).total_iters(1).lr(t / warmup, 1.0));
        }
        // What spans the whole run spans what the warm-up leaves of it.
        let span = (epochs as f64 - warmup).max(f64::MIN_POSITIVE);
        let part = ((t - warmup) / span).min(1.0);
        constant(match self {
            Schedule::Constant(_) => 1.0,
            Schedule::Cosine(s) => CosineAnnealingLR::new(1).eta_min(s.floor).lr(part, 1.0),
            Schedule::CosineRestarts(s) => {
                CosineAnnealingWarmRestarts::new(s.every).t_mult(s.growth).eta_min(s.floor).lr(t - warmup, 1.0)
            }
            Schedule::Step(s) => StepLR::new(s.every).gamma(s.gamma).lr(t, 1.0),
            Schedule::MultiStep(s) => MultiStepLR::new(s.milestones.clone()).gamma(s.gamma).lr(t, 1.0),
            Schedule::Manual(s) => {
                let now = s.milestones.iter().zip(&s.factors).rev().find(|(from, _)| **from as f64 <= t);
                now.map_or(1.0, |(_, factor)| *factor)
            }
            Schedule::Exponential(s) => ExponentialLR::new(s.gamma).lr(t, 1.0),
            Schedule::Linear(s) => LinearLR::new().start_factor(1.0).end_factor(s.floor).total_iters(1).lr(part, 1.0),
            Schedule::Polynomial(s) => PolynomialLR::new().total_iters(1).power(s.power).lr(part, 1.0),
            Schedule::Inverse(s) => InverseLR::new(s.k).lr(t, 1.0),
            Schedule::Cyclic(s) => {
                let up = CyclicLR::new(s.floor, 1.0).step_size_up(s.every).cycle_momentum(false);
                up.lr(t - warmup, 1.0)
            }
            Schedule::Noam(s) => {
                let noam = NoamLR::new(1, s.warmup_steps);
                noam.lr(step as f64, 1.0) / noam.lr(s.warmup_steps as f64, 1.0)
            }
            Schedule::Plateau(s) => s.factor(history),
            Schedule::OneCycle(s) => {
                let cycle = OneCycleLR::new(1.0, (epochs * steps_per_epoch).max(1))
                    .pct_start(s.pct_start)
                    .div_factor(s.div_factor)
                    .final_div_factor(s.final_div_factor)
                    .cycle_momentum(s.cycle_momentum);
                return Rates { factor: cycle.lr(step as f64, 1.0), momentum: cycle.momentum(step as f64) };
            }
        })
    }
}

impl Plateau {
    /// The factor after these epochs.
    fn factor(&self, history: &[EpochMetrics]) -> f64 {
        let mut plateau = ReduceLROnPlateau::new().factor(self.gamma).patience(self.patience).threshold(self.threshold);
        // It lowers the rate of an optimiser, so it is given one of no parameters whose rate is the factor.
        let mut factor = Sgd::new(vec![], 1.0);
        history.iter().for_each(|m| plateau.step(m.val_loss, &mut factor));
        factor.lr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(s: &Schedule, epochs: usize, times: &[f64]) -> Vec<f64> {
        times.iter().map(|t| s.rates((t * 10.0).round() as usize, 10, epochs, &[]).factor).collect()
    }

    #[track_caller]
    fn near(got: &[f64], want: &[f64]) {
        assert!(got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-9), "{got:?} {want:?}");
    }

    #[test]
    fn the_cosine_warms_up_and_ends_at_its_floor() {
        let s = Schedule::Cosine(Cosine { warmup_epochs: 2.0, floor: 0.1 });
        near(&factors(&s, 10, &[0.0, 1.0, 2.0, 10.0]), &[0.0, 0.5, 1.0, 0.1]);
    }

    #[test]
    fn steps_drop_at_whole_multiples() {
        let s = Schedule::Step(Step { every: 3, gamma: 0.5, ..Step::default() });
        near(&factors(&s, 9, &[0.0, 2.9, 3.0, 6.5]), &[1.0, 1.0, 0.5, 0.25]);
        let s = Schedule::MultiStep(MultiStep { milestones: vec![1, 4], gamma: 0.5, ..MultiStep::default() });
        near(&factors(&s, 9, &[0.9, 1.0, 4.2]), &[1.0, 0.5, 0.25]);
        let s = Manual { milestones: vec![1, 4], factors: vec![0.3, 2.0], ..Manual::default() };
        near(&factors(&Schedule::Manual(s), 9, &[0.9, 1.0, 4.2]), &[1.0, 0.3, 2.0]);
    }

    #[test]
    fn the_others_have_the_shapes_of_their_formulas() {
        let of = |name: &str, times: &[f64]| factors(&Schedule::by_name(name).unwrap(), 10, times);
        near(&of("constant", &[0.0, 9.0]), &[1.0, 1.0]);
        near(&of("exponential", &[2.0]), &[0.95f64.powi(2)]);
        near(&of("linear", &[0.0, 5.0, 10.0]), &[1.0, 0.5, 0.0]);
        near(&of("polynomial", &[0.0, 5.0, 10.0]), &[1.0, 0.5, 0.0]);
        near(&of("inverse", &[5.0]), &[1.0 / 1.5]);
        near(&of("cyclic", &[0.0, 2.0, 4.0, 5.0]), &[0.1, 1.0, 0.1, 0.55]);
        near(&of("cosine-restarts", &[0.0, 5.0]), &[1.0, 0.5]);
        let noam = Schedule::Noam(Noam { warmup_steps: 25 });
        let peak = (0..100).map(|step| noam.rates(step, 10, 10, &[]).factor).fold(0.0, f64::max);
        near(&[peak, noam.rates(25, 10, 10, &[]).factor], &[1.0, 1.0]);
        let cycle = Schedule::by_name("one-cycle").unwrap();
        let at = |step| cycle.rates(step, 10, 10, &[]);
        near(&[at(0).factor, at(29).factor, at(99).factor], &[1.0 / 25.0, 1.0, 1.0 / 25.0 / 1e4]);
        near(&[at(0).momentum.unwrap(), at(29).momentum.unwrap()], &[0.95, 0.85]);
    }

    #[test]
    fn a_plateau_lowers_the_rate_by_what_was_measured() {
        let s = Plateau { gamma: 0.5, patience: 1, ..Plateau::default() };
        let epoch = |val_loss: f64| EpochMetrics {
            epoch: 1,
            lr: 0.1,
            train_loss: 1.0,
            train_batch_loss: 1.0,
            train_accuracy: Some(0.5),
            val_loss,
            val_accuracy: Some(0.5),
            val_miou: None,
            val_errors: None,
            seconds: 1.0,
        };
        let history: Vec<EpochMetrics> = [3.0, 2.0, 2.0, 2.0, 1.0].map(epoch).to_vec();
        let after = |n: usize| Schedule::Plateau(s.clone()).rates(0, 1, 9, &history[..n]).factor;
        assert_eq!([0, 2, 3, 4, 5].map(after), [1.0, 1.0, 1.0, 0.5, 0.5]);
    }

    #[test]
    fn every_name_is_a_schedule_with_settings_that_hold() {
        for name in Schedule::NAMES {
            let schedule = Schedule::by_name(name).unwrap();
            assert_eq!(schedule.check(), Ok(()), "{name}");
            assert_eq!(serde_json::to_value(&schedule).unwrap()["name"], name);
        }
    }
}
