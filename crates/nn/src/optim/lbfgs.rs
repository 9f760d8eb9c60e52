//! L-BFGS.

use super::group::checked_lr;
use super::line_search::{Point, strong_wolfe};
use super::rule::{Wanted, number};
use super::{Optimizer, ParamGroup};
use crate::{LoadError, StateDict};
use gradus_tensor::{Tensor, no_grad};
use std::collections::VecDeque;

/// How [`Lbfgs`] chooses the length of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LineSearch {
    /// It is the learning rate. The default.
    #[default]
    None,
    /// It is searched until the strong Wolfe conditions hold (Nocedal and Wright, 2006, chapter 3).
    StrongWolfe,
}

/// L-BFGS: steps along the gradient times an approximate inverse of the second derivative, which is built from the
/// last changes of parameters and gradient. For losses without noise.
///
/// With changes s of the parameters and y of the gradient: d = -H g, where H is
/// (1 - s y^T / y.s) H' (1 - y s^T / y.s) + s s^T / y.s over the pairs kept, and y.s / y.y before the first; p += t d.
///
/// [`Optimizer::step_with`] makes `max_iter` of these steps, each of which evaluates the loss; plain
/// [`Optimizer::step`], which cannot evaluate it, panics. There is one group of parameters only.
///
/// Source: Liu and Nocedal, 1989, <https://doi.org/10.1007/BF01589116>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.optim.LBFGS.html>.
///
/// ```
/// use gradus_nn::optim::{Lbfgs, LineSearch, Optimizer};
/// use gradus_tensor::Tensor;
/// let x = Tensor::from_slice(&[-1.5f64, 2.0], [2]).requires_grad_(true);
/// let mut optimizer = Lbfgs::new(vec![x.clone()], 1.0).max_iter(60).line_search_fn(LineSearch::StrongWolfe);
/// // Rosenbrock's valley, whose lowest point is (1, 1).
/// optimizer.step_with(&mut || {
///     let (a, b) = (x.select(0, 0), x.select(0, 1));
///     (1.0 - &a).square() + (b - a.square()).square() * 100.0
/// });
/// assert!((x.detach() - 1.0).abs().max().item_f64() < 1e-5);
/// ```
pub struct Lbfgs {
    groups: [ParamGroup; 1],
    max_iter: usize,
    max_eval: Option<usize>,
    tolerance_grad: f64,
    tolerance_change: f64,
    history_size: usize,
    line_search_fn: LineSearch,
    last: Option<Last>,
    /// Changes (y, s) of the gradient and of the parameters, oldest first.
    pairs: VecDeque<(Tensor, Tensor)>,
}

/// The last step.
struct Last {
    grad: Tensor,
    direction: Tensor,
    t: f64,
}

impl Lbfgs {
    /// With at most 20 iterations a step, a history of 100 and no line search. PyTorch's default of `lr` is 1.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> Lbfgs {
        Lbfgs {
            groups: [ParamGroup::new(params).lr(checked_lr(lr))],
            max_iter: 20,
            max_eval: None,
            tolerance_grad: 1e-7,
            tolerance_change: 1e-9,
            history_size: 100,
            line_search_fn: LineSearch::None,
            last: None,
            pairs: VecDeque::new(),
        }
    }

    /// Iterations in a step, at most (20).
    pub fn max_iter(mut self, max_iter: usize) -> Lbfgs {
        self.max_iter = max_iter;
        self
    }

    /// Evaluations of the loss in a step, after which no further iteration begins (1.25 times `max_iter`).
    pub fn max_eval(mut self, max_eval: usize) -> Lbfgs {
        self.max_eval = Some(max_eval);
        self
    }

    /// The step ends where no element of the gradient is larger (1e-7).
    pub fn tolerance_grad(mut self, tolerance: f64) -> Lbfgs {
        self.tolerance_grad = tolerance;
        self
    }

    /// The step ends where neither a parameter nor the loss changes by more (1e-9).
    pub fn tolerance_change(mut self, tolerance: f64) -> Lbfgs {
        self.tolerance_change = tolerance;
        self
    }

    /// How many past changes are kept (100).
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn history_size(mut self, history_size: usize) -> Lbfgs {
        assert!(history_size > 0, "history_size must be at least 1");
        self.history_size = history_size;
        self
    }

    /// How the length of a step is chosen (it is the learning rate).
    pub fn line_search_fn(mut self, line_search: LineSearch) -> Lbfgs {
        self.line_search_fn = line_search;
        self
    }

    fn params(&self) -> &[Tensor] {
        &self.groups[0].params
    }

    /// The loss and its gradient over all parameters, one after another.
    fn evaluate(&self, loss: &mut dyn FnMut() -> Tensor) -> (Tensor, Tensor) {
        self.zero_grad();
        let value = loss();
        value.backward();
        let flat = |p: &Tensor| p.grad().unwrap_or_else(|| p.detach().zeros_like()).detach().reshape([-1]);
        let grads: Vec<Tensor> = self.params().iter().map(flat).collect();
        (value.detach(), no_grad(|| Tensor::cat(&grads.iter().collect::<Vec<_>>(), 0)))
    }

    /// The direction of the next step; what the last one taught is taken in first.
    fn direction(&mut self, grad: &Tensor) -> Tensor {
        let Some(last) = &self.last else { return -grad };
        let (y, s) = (grad - &last.grad, &last.direction * last.t);
        if y.dot(&s).item_f64() > 1e-10 {
            if self.pairs.len() == self.history_size {
                self.pairs.pop_front();
            }
            self.pairs.push_back((y, s));
        }
        let d = -grad;
        let mut along = Vec::with_capacity(self.pairs.len());
        for (y, s) in self.pairs.iter().rev() {
            let a = s.dot(&d).item_f64() / y.dot(s).item_f64();
            d.add_(y, -a);
            along.push(a);
        }
        if let Some((y, s)) = self.pairs.back() {
            d.mul_(y.dot(s).item_f64() / y.dot(y).item_f64());
        }
        for ((y, s), a) in self.pairs.iter().zip(along.iter().rev()) {
            d.add_(s, a - y.dot(&d).item_f64() / y.dot(s).item_f64());
        }
        d
    }

    /// Puts the parameters at `start + t direction`.
    fn move_to(&self, start: &[Tensor], t: f64, direction: &Tensor) {
        let mut from = 0;
        for (p, start) in self.params().iter().zip(start) {
            let step = direction.narrow(0, from, p.numel()).reshape(p.shape());
            no_grad(|| p.copy_(&(start + step * t)));
            from += p.numel();
        }
    }

    /// The point `t` along `direction`, where the parameters stay.
    fn at(&self, start: &[Tensor], t: f64, direction: &Tensor, loss: &mut dyn FnMut() -> Tensor) -> Point {
        self.move_to(start, t, direction);
        let (value, grad) = self.evaluate(loss);
        Point { t, value: value.item_f64(), slope: grad.dot(direction).item_f64(), grad }
    }

    /// The iterations of one step, from `now`, where the loss was just evaluated.
    fn iterate(&mut self, mut now: Point, loss: &mut dyn FnMut() -> Tensor) {
        let max_eval = self.max_eval.unwrap_or(self.max_iter * 5 / 4);
        let mut evaluations = 1;
        for iteration in 1..=self.max_iter {
            let is_first = self.last.is_none();
            let d = self.direction(&now.grad);
            let first = if is_first { (1.0 / now.grad.abs().sum().item_f64()).min(1.0) } else { 1.0 };
            let mut t = first * self.lr();
            let before = Point { t: 0.0, slope: now.grad.dot(&d).item_f64(), ..now.clone() };
            self.last = Some(Last { grad: before.grad.clone(), direction: d.clone(), t });
            if before.slope > -self.tolerance_change {
                return;
            }
            let start: Vec<Tensor> = self.params().iter().map(|p| p.detach() * 1.0).collect();
            let largest = d.abs().max().item_f64();
            if self.line_search_fn == LineSearch::StrongWolfe {
                let tries = max_eval.saturating_sub(evaluations);
                let scale = (largest, self.tolerance_change);
                let found = strong_wolfe(&before, t, scale, tries, &mut |t| self.at(&start, t, &d, loss));
                (now, t, evaluations) = (found.0.clone(), found.0.t, evaluations + found.1);
                self.move_to(&start, t, &d);
            } else if iteration < self.max_iter {
                now = self.at(&start, t, &d, loss);
                evaluations += 1;
            } else {
                // The last step needs no loss after it.
                self.move_to(&start, t, &d);
            }
            self.last = Some(Last { grad: before.grad, direction: d, t });
            let is_still =
                largest * t <= self.tolerance_change || (now.value - before.value).abs() < self.tolerance_change;
            if evaluations >= max_eval || now.grad.abs().max().item_f64() <= self.tolerance_grad || is_still {
                return;
            }
        }
    }
}

impl Optimizer for Lbfgs {
    /// # Panics
    /// Always: the loss is evaluated several times in a step, so use [`Optimizer::step_with`].
    fn step(&mut self) {
        panic!("Lbfgs evaluates the loss several times in a step: call step_with with the loss");
    }

    fn step_with(&mut self, loss: &mut dyn FnMut() -> Tensor) -> Tensor {
        let (value, grad) = self.evaluate(loss);
        if grad.numel() > 0 && grad.abs().max().item_f64() > self.tolerance_grad {
            self.iterate(Point { t: 0.0, value: value.item_f64(), slope: 0.0, grad }, loss);
        }
        value
    }

    fn param_groups(&self) -> &[ParamGroup] {
        &self.groups
    }

    fn param_groups_mut(&mut self) -> &mut [ParamGroup] {
        &mut self.groups
    }

    /// # Panics
    /// Always: there is one group only.
    fn add_param_group(&mut self, _: ParamGroup) {
        panic!("Lbfgs steps all parameters together: it has one group only");
    }

    fn state_dict(&self) -> StateDict {
        let mut state = StateDict::new();
        state.insert("lr", number(self.lr()));
        if let Some(last) = &self.last {
            state.insert("t", number(last.t));
            state.insert("d", last.direction.clone());
            state.insert("prev_flat_grad", last.grad.clone());
        }
        for (i, (y, s)) in self.pairs.iter().enumerate() {
            state.insert(format!("old_dirs.{i}"), y.clone());
            state.insert(format!("old_stps.{i}"), s.clone());
        }
        state
    }

    fn load_state_dict(&mut self, saved: &StateDict) -> Result<(), LoadError> {
        let mut wanted = Wanted::of(saved);
        let lr = wanted.number("lr");
        let flat: Vec<Tensor> = self.params().iter().map(|p| p.detach().reshape([-1])).collect();
        let like = Tensor::cat(&flat.iter().collect::<Vec<_>>(), 0);
        let mut take = |name: String| Some(wanted.take(name, &like)?.to_dtype(like.dtype()) * 1.0);
        let pairs = (0..).take_while(|i| saved.contains(&format!("old_dirs.{i}")));
        let pairs: VecDeque<_> =
            pairs.map(|i| Some((take(format!("old_dirs.{i}"))?, take(format!("old_stps.{i}"))?))).collect();
        let began = saved.contains("t") || saved.contains("d") || !pairs.is_empty();
        let vectors = began.then(|| (take("prev_flat_grad".into()), take("d".into())));
        let t = if began { wanted.number("t") } else { None };
        wanted.done()?;
        // Nothing was wrong, so nothing is left out here.
        self.pairs = pairs.into_iter().flatten().collect();
        self.last = vectors.and_then(|(grad, d)| Some(Last { grad: grad?, direction: d?, t: t? }));
        self.set_lr(lr.unwrap_or_default());
        Ok(())
    }
}
