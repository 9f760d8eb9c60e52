//! What optimisers share: [`Descent`] walks the parameters, keeps their state and saves it, and a [`Rule`] makes
//! the step of one parameter.

use super::group::checked_lr;
use super::{Optimizer, ParamGroup};
use crate::module::{Misshapen, Mistyped};
use crate::{LoadError, StateDict};
use gradus_tensor::profiler::{Pass, record_pass};
use gradus_tensor::{DType, Tensor, no_grad};
use std::collections::HashSet;

/// The rates of a step, those of the parameter's group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Learning rate.
    pub lr: f64,
    /// Weight decay; 0 if the gradient has it already, as it has unless [`Rule::DECAYS`].
    pub weight_decay: f64,
}

/// The options of an optimiser, and its step of one parameter.
///
/// ```
/// use gradus_nn::optim::{Optimizer, rule::{Descent, Rates, Rule, State}};
/// use gradus_tensor::Tensor;
/// /// Steps of the same size whatever the gradient's.
/// #[derive(Clone, Copy)]
/// struct SignRule;
/// impl Rule for SignRule {
///     fn step(&self, rates: Rates, p: &Tensor, g: &Tensor, _: &mut State) {
///         p.add_(&g.sign(), -rates.lr);
///     }
/// }
/// let w = Tensor::full([2], 1.0).requires_grad_(true);
/// Descent::begin(vec![w.clone()], 0.25, SignRule).step_with(&mut || (&w * 7.0).sum());
/// assert_eq!(w.to_vec::<f32>(), [0.75, 0.75]);
/// ```
pub trait Rule: Copy + Send {
    /// Whether the rule sees to the weight decay itself. If not, `weight_decay` times the parameter was added to
    /// the gradient.
    const DECAYS: bool = false;

    /// The slots that hold a number instead of a tensor like the parameter.
    const NUMBERS: &'static [&'static str] = &[];

    /// Changes `p` in place. Recording is off, and `state.steps` counts this step.
    fn step(&self, rates: Rates, p: &Tensor, g: &Tensor, state: &mut State);

    /// Changes the rows of `p` whose gradient is not zero ([`Tensor::grad_rows`]), where that is the same as
    /// [`Rule::step`]; if not, returns false.
    fn step_rows(&self, _rates: Rates, _p: &Tensor, _rows: &[(Tensor, Tensor)]) -> bool {
        false
    }

    /// Names of the tensors that [`Rule::step`] keeps in the state under these options.
    fn slots(&self) -> Vec<&'static str> {
        vec![]
    }

    /// The option that stands for momentum.
    fn momentum(&mut self) -> Option<&mut f64> {
        None
    }

    /// Refuses options that do not fit each other.
    #[track_caller]
    fn check(&self) {}
}

/// What is remembered of one parameter.
#[derive(Clone, Default)]
pub struct State {
    /// Steps so far, the present one included.
    pub steps: u64,
    tensors: Vec<(&'static str, Tensor)>,
}

impl State {
    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.iter().any(|(n, _)| *n == name)
    }

    /// The tensor of this name, which `start` makes at first. It shares its elements with the state.
    pub fn get_or(&mut self, name: &'static str, start: impl FnOnce() -> Tensor) -> Tensor {
        if let Some((_, t)) = self.tensors.iter().find(|(n, _)| *n == name) {
            return t.clone();
        }
        let tensor = start();
        self.tensors.push((name, tensor.clone()));
        tensor
    }

    /// The tensor of this name: zeros like `p` at first.
    pub fn zeros(&mut self, name: &'static str, p: &Tensor) -> Tensor {
        self.get_or(name, || p.detach().zeros_like())
    }

    /// The number of this name, which is `start` at first.
    pub fn number(&mut self, name: &'static str, start: f64) -> f64 {
        self.get_or(name, || number(start)).item_f64()
    }

    /// Replaces the number of this name.
    pub fn set_number(&mut self, name: &'static str, value: f64) {
        self.get_or(name, || number(value)).fill_(value);
    }

    /// The state of number `i` in `saved`, if it is there and complete; what is wrong is put down in `wanted`.
    fn read<R: Rule>(i: usize, rule: &R, p: &Tensor, wanted: &mut Wanted) -> Option<State> {
        let (name, slots) = (|slot: &str| format!("{i}.{slot}"), rule.slots());
        if !slots.iter().chain(&["step"]).any(|slot| wanted.saved.contains(&name(slot))) {
            return Some(State::default());
        }
        let steps = wanted.take(name("step"), &Tensor::full_of((), 0.0, DType::I64));
        let found = slots.iter().map(|slot| {
            let like = if R::NUMBERS.contains(slot) { number(0.0) } else { p.detach() };
            Some((*slot, own(&wanted.take(name(slot), &like)?, &like)))
        });
        let tensors = found.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
        Some(State { steps: steps?.item_i64() as u64, tensors })
    }
}

/// A copy in the type of `like`.
fn own(t: &Tensor, like: &Tensor) -> Tensor {
    let copy = like.zeros_like();
    copy.copy_(t);
    copy
}

/// What is looked for in a saved state, and what was wrong with it.
pub(crate) struct Wanted<'a> {
    pub saved: &'a StateDict,
    pub error: LoadError,
    seen: HashSet<String>,
}

impl<'a> Wanted<'a> {
    pub fn of(saved: &'a StateDict) -> Wanted<'a> {
        Wanted { saved, error: LoadError::default(), seen: HashSet::new() }
    }

    /// The entry `name` if it has the shape and the kind of `like`.
    pub fn take(&mut self, name: String, like: &Tensor) -> Option<Tensor> {
        self.seen.insert(name.clone());
        let Some(t) = self.saved.get(&name) else {
            self.error.missing.push(name);
            return None;
        };
        if t.shape() != like.shape() {
            self.error.misshapen.push(Misshapen { name, expected: like.shape(), found: t.shape() });
            return None;
        }
        if t.dtype().is_float() != like.dtype().is_float() {
            self.error.mistyped.push(Mistyped { name, expected: like.dtype(), found: t.dtype() });
            return None;
        }
        Some(t.clone())
    }

    /// The number `name`.
    pub fn number(&mut self, name: &str) -> Option<f64> {
        self.take(name.to_string(), &number(0.0)).map(|t| t.item_f64())
    }

    /// Everything was there and nothing else.
    pub fn done(mut self) -> Result<(), LoadError> {
        self.error.unexpected = self.saved.names().filter(|n| !self.seen.contains(*n)).map(str::to_string).collect();
        if self.error == LoadError::default() { Ok(()) } else { Err(self.error) }
    }
}

/// A number as a state dict holds it.
pub(super) fn number(value: f64) -> Tensor {
    Tensor::full_of((), value, DType::F64)
}

/// Names of the rates of the groups in a state dict.
pub(super) fn rate_names(groups: usize) -> Vec<String> {
    (0..groups).map(|i| if i == 0 { "lr".to_string() } else { format!("groups.{i}.lr") }).collect()
}

/// An optimiser that steps every parameter by itself, by the rule `R`.
pub struct Descent<R> {
    pub(super) rule: R,
    weight_decay: f64,
    maximize: bool,
    groups: Vec<ParamGroup>,
    states: Vec<State>,
}

impl<R: Rule> Descent<R> {
    /// An optimiser of `params` without weight decay.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn begin(params: Vec<Tensor>, lr: f64, rule: R) -> Descent<R> {
        let states = vec![State::default(); params.len()];
        Descent { rule, weight_decay: 0.0, maximize: false, groups: vec![ParamGroup::new(params).lr(lr)], states }
    }

    /// Weight decay: the factor of the parameter that is added to its gradient, unless the optimiser says otherwise.
    pub fn weight_decay(mut self, weight_decay: f64) -> Descent<R> {
        self.weight_decay = weight_decay;
        self
    }

    /// Whether to step up the gradient instead of down (no).
    pub fn maximize(mut self, on: bool) -> Descent<R> {
        self.maximize = on;
        self
    }

    /// The optimiser with its rule changed.
    pub(super) fn with(mut self, change: impl FnOnce(&mut R)) -> Descent<R> {
        change(&mut self.rule);
        self
    }
}

/// The rule with the group's momentum.
fn of_group<R: Rule>(mut rule: R, group: &ParamGroup) -> R {
    if let (Some(of_group), Some(momentum)) = (group.momentum, rule.momentum()) {
        *momentum = of_group;
    }
    rule
}

impl<R: Rule> Optimizer for Descent<R> {
    /// # Panics
    /// If options do not fit each other, as Nesterov's momentum without momentum.
    fn step(&mut self) {
        let _span = record_pass("optimizer.step", Pass::Update);
        self.rule.check();
        let mut states = self.states.iter_mut();
        for group in &self.groups {
            let rule = of_group(self.rule, group);
            let decay = group.weight_decay.unwrap_or(self.weight_decay);
            let lr = group.lr.expect("a group in use has a rate");
            for (p, state) in group.params.iter().zip(&mut states) {
                let plain = p.requires_grad() && !self.maximize && decay == 0.0;
                let rows = if plain { p.grad_rows() } else { None };
                if rows.is_some_and(|rows| rule.step_rows(Rates { lr, weight_decay: 0.0 }, &p.detach(), &rows)) {
                    state.steps += 1;
                    continue;
                }
                let Some(mut g) = p.grad().filter(|_| p.requires_grad()) else { continue };
                state.steps += 1;
                no_grad(|| {
                    if self.maximize {
                        g = -&g;
                    }
                    if !R::DECAYS && decay != 0.0 {
                        g = &g + p.detach() * decay;
                    }
                    let rates = Rates { lr, weight_decay: if R::DECAYS { decay } else { 0.0 } };
                    rule.step(rates, &p.detach(), &g, state);
                });
            }
        }
    }

    fn param_groups(&self) -> &[ParamGroup] {
        &self.groups
    }

    fn param_groups_mut(&mut self) -> &mut [ParamGroup] {
        &mut self.groups
    }

    fn add_param_group(&mut self, mut group: ParamGroup) {
        assert!(group.momentum.is_none() || self.rule.momentum().is_some(), "this optimiser has no momentum to set");
        let base = self.lr();
        let lr = group.lr.unwrap_or(base);
        assert!(base > 0.0 || lr == 0.0, "a group's rate is kept in proportion to the optimiser's, which is 0");
        group.lr = Some(checked_lr(lr));
        group.ratio = if lr == base { 1.0 } else { lr / base };
        self.states.resize(self.states.len() + group.params.len(), State::default());
        self.groups.push(group);
    }

    fn current_momentum(&self) -> Option<f64> {
        let mut rule = self.rule;
        rule.momentum().copied()
    }

    fn set_momentum(&mut self, momentum: f64) {
        let Some(of_rule) = self.rule.momentum() else {
            panic!("the momentum cannot be set to {momentum}: this optimiser has none")
        };
        *of_rule = momentum;
        self.groups.iter_mut().for_each(|g| g.momentum = None);
    }

    fn state_dict(&self) -> StateDict {
        let mut all: StateDict =
            rate_names(self.groups.len()).into_iter().zip(self.lrs().into_iter().map(number)).collect();
        if let Some(momentum) = self.current_momentum() {
            all.insert("momentum", number(momentum));
        }
        for (i, state) in self.states.iter().enumerate().filter(|(_, s)| s.steps > 0) {
            all.insert(format!("{i}.step"), Tensor::from_slice(&[state.steps as i64], ()));
            for (name, t) in &state.tensors {
                all.insert(format!("{i}.{name}"), t.clone());
            }
        }
        all
    }

    fn load_state_dict(&mut self, saved: &StateDict) -> Result<(), LoadError> {
        let mut wanted = Wanted::of(saved);
        let lrs: Vec<_> = rate_names(self.groups.len()).iter().map(|name| wanted.number(name)).collect();
        let mut rule = self.rule;
        if let Some(momentum) = rule.momentum() {
            *momentum = wanted.number("momentum").unwrap_or(*momentum);
        }
        let params = self.groups.iter().flat_map(|g| g.params.iter().map(move |p| (of_group(rule, g), p)));
        let states: Vec<_> = params.enumerate().map(|(i, (rule, p))| State::read(i, &rule, p, &mut wanted)).collect();
        wanted.done()?;
        // Nothing was wrong, so nothing is left out here.
        self.states = states.into_iter().flatten().collect();
        self.rule = rule;
        self.set_lrs(&lrs.into_iter().flatten().collect::<Vec<_>>());
        Ok(())
    }
}
