//! How learning rates change over time, under PyTorch's names.
//!
//! A [`Schedule`] is a function of the number of steps taken, so that going on needs that number only; an
//! [`LrScheduler`] counts them and sets the rates of an optimiser. [`ReduceLROnPlateau`] alone depends on what was
//! measured. For a fixed rate no schedule is needed, and [`Optimizer::set_lr`] changes it by hand at any time;
//! [`ManualLR`] does so at steps known before.
//!
//! Source: PyTorch's page, <https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate>.

mod combine;
mod cosine;
mod cycle;
mod decay;
mod inverse;
mod plateau;

pub use combine::{ChainedScheduler, SequentialLR, Warmup};
pub use cosine::{CosineAnnealingLR, CosineAnnealingWarmRestarts};
pub use cycle::{AnnealStrategy, CyclicLR, CyclicMode, OneCycleLR};
pub use decay::{ConstantLR, ExponentialLR, LambdaLR, LinearLR, ManualLR, MultiStepLR, PolynomialLR, StepLR};
pub use inverse::{InverseLR, InverseSqrtLR, NoamLR};
pub use plateau::{PlateauMode, ReduceLROnPlateau, ThresholdMode};

use super::Optimizer;
use super::rule::{Wanted, number};
use crate::{LoadError, StateDict};

/// A learning rate as a function of time.
///
/// Time is a number of steps: of the optimiser, or of epochs, as [`LrScheduler::step`] is called. Fractions are
/// allowed.
///
/// ```
/// use gradus_nn::optim::lr_scheduler::{Schedule, StepLR};
/// let schedule = StepLR::new(30).gamma(0.5);
/// assert_eq!([0.0, 29.0, 30.0, 60.0].map(|t| schedule.lr(t, 0.8)), [0.8, 0.8, 0.4, 0.2]);
/// ```
pub trait Schedule: Send {
    /// The rate at time `t` of a group of parameters whose rate was `base` when the schedule began.
    fn lr(&self, t: f64, base: f64) -> f64;

    /// The momentum (beta1 of Adam and its kin) at time `t`, if the schedule changes it.
    fn momentum(&self, _t: f64) -> Option<f64> {
        None
    }
}

/// Sets an optimiser's rates by a [`Schedule`]. It takes any optimiser; of a `Box<dyn Optimizer>`, give it
/// `&mut *optimizer`.
///
/// ```
/// use gradus_nn::optim::{Optimizer, Sgd, lr_scheduler::{LinearLR, LrScheduler}};
/// # let params = vec![gradus_tensor::Tensor::ones([1]).requires_grad_(true)];
/// let mut optimizer = Sgd::new(params, 0.1);
/// let mut scheduler = LrScheduler::new(LinearLR::new().start_factor(0.5).total_iters(2), &mut optimizer);
/// let mut rates = vec![];
/// for epoch in 0..3 {
///     // ... the steps of an epoch, then:
///     rates.push(optimizer.lr());
///     scheduler.step(&mut optimizer);
/// }
/// assert_eq!(rates, [0.05, 0.1 * 0.75, 0.1]);
/// ```
pub struct LrScheduler {
    /// One for all groups of parameters, or one for each.
    schedules: Vec<Box<dyn Schedule>>,
    base_lrs: Vec<f64>,
    last_lr: Vec<f64>,
    steps: u64,
}

impl LrScheduler {
    /// Begins `schedule` for all groups of parameters, from the rates they have. The first rates are set at once.
    ///
    /// # Panics
    /// If the schedule changes the momentum and the optimiser has none.
    #[track_caller]
    pub fn new(schedule: impl Schedule + 'static, optimizer: &mut dyn Optimizer) -> LrScheduler {
        LrScheduler::begin(vec![Box::new(schedule)], optimizer)
    }

    /// Begins a schedule for each group of parameters. The first one changes the momentum, if any does.
    ///
    /// # Panics
    /// If there are not as many schedules as groups, or as in [`LrScheduler::new`].
    #[track_caller]
    pub fn per_group(schedules: Vec<Box<dyn Schedule>>, optimizer: &mut dyn Optimizer) -> LrScheduler {
        let groups = optimizer.param_groups().len();
        assert_eq!(schedules.len(), groups, "one schedule for each of the {groups} groups of parameters");
        LrScheduler::begin(schedules, optimizer)
    }

    #[track_caller]
    fn begin(schedules: Vec<Box<dyn Schedule>>, optimizer: &mut dyn Optimizer) -> LrScheduler {
        let base_lrs = optimizer.lrs();
        let mut scheduler = LrScheduler { schedules, last_lr: base_lrs.clone(), base_lrs, steps: 0 };
        scheduler.apply(optimizer);
        scheduler
    }

    /// Sets the rates of the next step.
    ///
    /// # Panics
    /// If a group of parameters was added since the schedule began.
    #[track_caller]
    pub fn step(&mut self, optimizer: &mut dyn Optimizer) {
        self.steps += 1;
        self.apply(optimizer);
    }

    #[track_caller]
    fn apply(&mut self, optimizer: &mut dyn Optimizer) {
        let t = self.steps as f64;
        if let Some(momentum) = self.schedules[0].momentum(t) {
            let has_one = optimizer.current_momentum().is_some();
            assert!(has_one, "the schedule cycles the momentum, but this optimiser has none: .cycle_momentum(false)");
            optimizer.set_momentum(momentum);
        }
        self.set_last();
        optimizer.set_lrs(&self.last_lr);
    }

    fn set_last(&mut self) {
        let (t, schedules) = (self.steps as f64, self.schedules.iter().cycle());
        self.last_lr = self.base_lrs.iter().zip(schedules).map(|(base, schedule)| schedule.lr(t, *base)).collect();
    }

    /// The rates that were set last, one for each group of parameters.
    pub fn last_lr(&self) -> &[f64] {
        &self.last_lr
    }

    /// How often [`LrScheduler::step`] was called.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The number of steps and the rates that the schedule began with: `last_epoch`, `base_lrs.0` ...
    pub fn state_dict(&self) -> StateDict {
        let bases = self.base_lrs.iter().enumerate().map(|(i, lr)| (format!("base_lrs.{i}"), number(*lr)));
        [("last_epoch".to_string(), number(self.steps as f64))].into_iter().chain(bases).collect()
    }

    /// Goes on from a state that [`LrScheduler::state_dict`] gave. The optimiser's rates are part of its own state.
    ///
    /// # Errors
    /// If it is not the state of a schedule of as many groups; then nothing was loaded.
    pub fn load_state_dict(&mut self, state: &StateDict) -> Result<(), LoadError> {
        let mut wanted = Wanted::of(state);
        let steps = wanted.number("last_epoch");
        let bases: Vec<_> = (0..self.base_lrs.len()).map(|i| wanted.number(&format!("base_lrs.{i}"))).collect();
        wanted.done()?;
        self.steps = steps.unwrap_or_default() as u64;
        self.base_lrs = bases.into_iter().flatten().collect();
        self.set_last();
        Ok(())
    }
}
