//! Schedules of the learning rate beside PyTorch's, and what only they have.
//! `scripts/goldens/schedules.py` writes the file.

use gradus_nn::optim::lr_scheduler::*;
use gradus_nn::optim::{Adagrad, Adam, Optimizer, ParamGroup, Sgd};
use gradus_tensor::Tensor;
use serde_json::Value;

fn weight() -> Vec<Tensor> {
    vec![Tensor::ones([1]).requires_grad_(true)]
}

fn golden() -> Value {
    serde_json::from_str(include_str!("goldens/schedules.json")).unwrap()
}

/// The arguments of a schedule as the script gave them to PyTorch.
struct Args<'a>(&'a Value);

impl Args<'_> {
    fn number(&self, name: &str, default: f64) -> f64 {
        self.0[name].as_f64().unwrap_or(default)
    }

    fn count(&self, name: &str, default: usize) -> usize {
        self.0[name].as_u64().map_or(default, |n| n as usize)
    }

    fn milestones(&self) -> Vec<usize> {
        self.0["milestones"].as_array().unwrap().iter().map(|m| m.as_u64().unwrap() as usize).collect()
    }

    fn parts(&self) -> Vec<Box<dyn Schedule>> {
        let parts = self.0["parts"].as_array().unwrap();
        parts.iter().map(|part| schedule(part[0].as_str().unwrap(), &part[1])).collect()
    }
}

fn one_cycle(a: &Args) -> OneCycleLR {
    let linear = a.0["anneal_strategy"] == "linear";
    OneCycleLR::new(a.number("max_lr", f64::NAN), a.count("total_steps", 0))
        .pct_start(a.number("pct_start", 0.3))
        .anneal_strategy(if linear { AnnealStrategy::Linear } else { AnnealStrategy::Cos })
        .base_momentum(a.number("base_momentum", 0.85))
        .max_momentum(a.number("max_momentum", 0.95))
        .div_factor(a.number("div_factor", 25.0))
        .final_div_factor(a.number("final_div_factor", 1e4))
        .three_phase(a.0["three_phase"] == true)
}

fn cyclic(a: &Args) -> CyclicLR {
    let mode = match a.0["mode"].as_str() {
        None => CyclicMode::Triangular,
        Some("triangular2") => CyclicMode::Triangular2,
        Some("exp_range") => CyclicMode::ExpRange,
        Some(other) => panic!("mode {other}"),
    };
    let up = a.count("step_size_up", 2000);
    CyclicLR::new(a.number("base_lr", f64::NAN), a.number("max_lr", f64::NAN))
        .step_size_up(up)
        .step_size_down(a.count("step_size_down", up))
        .mode(mode)
        .gamma(a.number("gamma", 1.0))
        .base_momentum(a.number("base_momentum", 0.8))
        .max_momentum(a.number("max_momentum", 0.9))
}

fn schedule(kind: &str, args: &Value) -> Box<dyn Schedule> {
    let a = &Args(args);
    match kind {
        "StepLR" => Box::new(StepLR::new(a.count("step_size", 0)).gamma(a.number("gamma", 0.1))),
        "MultiStepLR" => Box::new(MultiStepLR::new(a.milestones()).gamma(a.number("gamma", 0.1))),
        "ExponentialLR" => Box::new(ExponentialLR::new(a.number("gamma", f64::NAN))),
        "ConstantLR" => {
            Box::new(ConstantLR::new().factor(a.number("factor", 1.0 / 3.0)).total_iters(a.count("total_iters", 5)))
        }
        "LinearLR" => Box::new(
            LinearLR::new()
                .start_factor(a.number("start_factor", 1.0 / 3.0))
                .end_factor(a.number("end_factor", 1.0))
                .total_iters(a.count("total_iters", 5)),
        ),
        "PolynomialLR" => {
            Box::new(PolynomialLR::new().power(a.number("power", 1.0)).total_iters(a.count("total_iters", 5)))
        }
        "CosineAnnealingLR" => Box::new(CosineAnnealingLR::new(a.count("T_max", 0)).eta_min(a.number("eta_min", 0.0))),
        "CosineAnnealingWarmRestarts" => {
            let restarts = CosineAnnealingWarmRestarts::new(a.count("T_0", 0)).t_mult(a.count("T_mult", 1));
            Box::new(restarts.eta_min(a.number("eta_min", 0.0)))
        }
        "OneCycleLR" => Box::new(one_cycle(a)),
        "CyclicLR" => Box::new(cyclic(a)),
        "SequentialLR" => Box::new(SequentialLR::new(a.parts(), a.milestones())),
        "ChainedScheduler" => Box::new(ChainedScheduler::new(a.parts())),
        "InverseLR" => Box::new(InverseLR::new(a.number("k", f64::NAN))),
        "InverseSqrtLR" => Box::new(InverseSqrtLR),
        "NoamLR" => Box::new(NoamLR::new(a.count("d_model", 0), a.count("warmup", 0))),
        other => panic!("schedule {other}"),
    }
}

fn plateau(args: &Value) -> ReduceLROnPlateau {
    let a = Args(args);
    let (max, abs) = (args["mode"] == "max", args["threshold_mode"] == "abs");
    ReduceLROnPlateau::new()
        .mode(if max { PlateauMode::Max } else { PlateauMode::Min })
        .threshold_mode(if abs { ThresholdMode::Abs } else { ThresholdMode::Rel })
        .factor(a.number("factor", 0.1))
        .patience(a.count("patience", 10) as u64)
        .threshold(a.number("threshold", 1e-4))
        .cooldown(a.count("cooldown", 0) as u64)
        .min_lr(a.number("min_lr", 0.0))
        .eps(a.number("eps", 1e-8))
}

/// What lowers or sets the rates of an optimiser after each step.
enum Scheduler {
    Counting(LrScheduler),
    Measuring(ReduceLROnPlateau),
}

#[track_caller]
fn assert_near(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= 1e-13 + 1e-11 * expected.abs(), "{what}: {found} instead of {expected}");
}

#[test]
fn schedules_follow_pytorch() {
    let golden = golden();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 37);
    for case in cases {
        let (kind, args) = (case["kind"].as_str().unwrap(), &case["args"]);
        let mut optimizer: Box<dyn Optimizer> = match case["adam"] == true {
            true => Box::new(Adam::new(weight(), 0.1)),
            false => Box::new(Sgd::new(weight(), 0.1).momentum(0.33)),
        };
        if case["groups"] == true {
            optimizer.add_param_group(ParamGroup::new(weight()).lr(0.02));
        }
        let mut scheduler = match kind {
            "ReduceLROnPlateau" => Scheduler::Measuring(plateau(args)),
            _ => {
                let groups = optimizer.param_groups().len();
                let each = (0..groups).map(|_| schedule(kind, args)).collect();
                Scheduler::Counting(LrScheduler::per_group(each, &mut *optimizer))
            }
        };
        let rates = case["rates"].as_array().unwrap();
        assert_eq!(rates.len(), 31);
        for (t, expected) in rates.iter().enumerate() {
            let what = format!("{kind} {args}, after {t} steps");
            let lrs = optimizer.lrs();
            assert_eq!(lrs.len(), expected.as_array().unwrap().len());
            lrs.iter().enumerate().for_each(|(i, lr)| assert_near(*lr, &expected[i], &what));
            assert_near(optimizer.current_momentum().unwrap(), &case["momenta"][t], &what);
            match &mut scheduler {
                Scheduler::Counting(s) => {
                    assert_eq!((s.last_lr(), s.steps()), (&lrs[..], t as u64));
                    s.step(&mut *optimizer);
                }
                Scheduler::Measuring(s) if t < 30 => s.step(golden["metrics"][t].as_f64().unwrap(), &mut *optimizer),
                Scheduler::Measuring(_) => (),
            }
        }
    }
}

#[test]
fn one_schedule_serves_all_groups() {
    let mut optimizer = Sgd::new(weight(), 0.8);
    optimizer.add_param_group(ParamGroup::new(weight()).lr(0.2));
    let mut scheduler = LrScheduler::new(StepLR::new(1).gamma(0.5), &mut optimizer);
    scheduler.step(&mut optimizer);
    assert_eq!(optimizer.lrs(), [0.4, 0.1]);
    assert_eq!(scheduler.last_lr(), [0.4, 0.1]);
}

#[test]
fn formulas_of_the_notes() {
    let near = |schedule: &dyn Schedule, expected: fn(f64) -> f64| {
        for t in [0.0, 1.0, 2.5, 7.0, 10.0] {
            let (found, expected) = (schedule.lr(t, 0.3), expected(t));
            assert!((found - expected).abs() < 1e-14, "at {t}: {found} instead of {expected}");
        }
    };
    near(&ExponentialLR::decay(0.2), |t| 0.3 * (-0.2 * t).exp());
    near(&InverseLR::new(0.2), |t| 0.3 / (1.0 + 0.2 * t));
    near(&InverseSqrtLR, |t| if t < 1.0 { 0.3 } else { 0.3 / t.sqrt() });
    near(&LinearLR::new().start_factor(1.0).end_factor(0.0).total_iters(10), |t| 0.3 * (1.0 - t / 10.0));
    near(&CosineAnnealingLR::new(10), |t| 0.15 * (1.0 + (std::f64::consts::PI * t / 10.0).cos()));
    near(&LambdaLR::new(|t| t * t), |t| 0.3 * t * t);
}

#[test]
fn rates_are_set_by_hand_at_milestones_and_live() {
    let mut optimizer = Sgd::new(weight(), 0.1);
    let mut scheduler = LrScheduler::new(ManualLR::new(vec![(2, 0.05), (4, 0.2)]), &mut optimizer);
    let mut rates = vec![];
    for _ in 0..5 {
        rates.push(optimizer.lr());
        scheduler.step(&mut optimizer);
    }
    assert_eq!(rates, [0.1, 0.1, 0.05, 0.05, 0.2]);
    // Without a schedule the rate is fixed until it is changed, also in the middle of training.
    let w = weight();
    let mut fixed = Sgd::new(w.clone(), 0.25);
    let step = |fixed: &mut Sgd| {
        fixed.step_with(&mut || (&w[0] * 1.0).sum());
        w[0].item()
    };
    assert_eq!([step(&mut fixed), step(&mut fixed)], [0.75, 0.5]);
    fixed.set_lr(0.125);
    assert_eq!(step(&mut fixed), 0.375);
}

#[test]
fn a_schedule_goes_on_from_its_count() {
    let schedule = || Warmup::new(3, CosineAnnealingWarmRestarts::new(4).eta_min(0.01)).start_factor(0.1);
    let mut optimizer = Sgd::new(weight(), 0.1);
    let mut one = LrScheduler::new(schedule(), &mut optimizer);
    (0..5).for_each(|_| one.step(&mut optimizer));
    let mut resumed = Sgd::new(weight(), 0.7);
    let mut two = LrScheduler::new(schedule(), &mut resumed);
    resumed.load_state_dict(&optimizer.state_dict()).unwrap();
    two.load_state_dict(&one.state_dict()).unwrap();
    assert_eq!((two.last_lr(), resumed.lr()), (one.last_lr(), optimizer.lr()));
    for _ in 0..6 {
        one.step(&mut optimizer);
        two.step(&mut resumed);
        assert_eq!(optimizer.lr(), resumed.lr());
    }
    let mut broken = one.state_dict();
    broken.remove("base_lrs.0");
    assert_eq!(two.load_state_dict(&broken).unwrap_err().missing, ["base_lrs.0"]);
}

#[test]
fn a_plateau_goes_on_from_its_counts() {
    let make = || ReduceLROnPlateau::new().patience(1).factor(0.5).cooldown(2);
    let (mut one, mut two) = (make(), make());
    let (mut a, mut b) = (Sgd::new(weight(), 0.1), Sgd::new(weight(), 0.1));
    [1.0, 1.0, 1.0, 1.0].iter().for_each(|m| one.step(*m, &mut a));
    assert_eq!(a.lr(), 0.05);
    two.load_state_dict(&one.state_dict()).unwrap();
    b.set_lr(a.lr());
    for metric in [1.0, 1.0, 1.0, 0.5, f64::NAN, f64::NAN, f64::NAN] {
        one.step(metric, &mut a);
        two.step(metric, &mut b);
        assert_eq!(a.lr(), b.lr());
    }
    // A NaN is never an improvement.
    assert!(a.lr() < 0.025);
}

#[test]
fn warm_up_rises_to_the_schedule_after_it() {
    let schedule = Warmup::new(4, OneCycleLR::new(1.0, 10).div_factor(2.0)).start_factor(0.5);
    assert_eq!([0.0, 2.0, 4.0].map(|t| schedule.lr(t, 9.0)), [0.25, 0.375, 0.5]);
    assert_eq!(schedule.lr(7.0, 9.0), OneCycleLR::new(1.0, 10).div_factor(2.0).lr(3.0, 9.0));
    assert_eq!(schedule.momentum(1.0), Some(0.95));
    assert_eq!(Warmup::new(0, StepLR::new(1)).lr(0.0, 1.0), 1.0);
}

#[test]
fn the_last_rate_of_a_cycle_stays() {
    let schedule = OneCycleLR::new(1.0, 10);
    assert_eq!(schedule.lr(50.0, 1.0), schedule.lr(9.0, 1.0));
    // A cycle with no rise to speak of.
    let flat = OneCycleLR::new(1.0, 1);
    assert!(flat.lr(0.0, 1.0).is_finite() && flat.lr(1.0, 1.0).is_finite());
}

#[test]
#[should_panic(expected = "this optimiser has none: .cycle_momentum(false)")]
fn a_cycle_of_the_momentum_needs_one() {
    LrScheduler::new(OneCycleLR::new(0.1, 10), &mut Adagrad::new(weight(), 0.1));
}

#[test]
#[should_panic(expected = "one schedule for each of the 1 groups")]
fn groups_and_schedules_are_as_many() {
    LrScheduler::per_group(vec![], &mut Sgd::new(weight(), 0.1));
}

#[test]
#[should_panic(expected = "2 milestones stand between 3 schedules, not 1")]
fn milestones_stand_between_schedules() {
    SequentialLR::new(vec![Box::new(StepLR::new(1))], vec![1, 2]);
}
