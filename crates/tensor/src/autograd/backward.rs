//! The backward pass.

use super::rows::Gradient;
use super::{Ctx, Vertex, is_grad_enabled, set_grad_enabled};
use crate::{Tensor, fail, profiler, scope};
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Options of [`grad`].
#[derive(Clone, Copy, Debug, Default)]
pub struct GradOptions<'a> {
    /// Record the backward pass itself, so that the gradients can be differentiated again.
    pub create_graph: bool,
    /// Keep the graph for another backward pass (implied by `create_graph`).
    pub retain_graph: bool,
    /// Give zeros for inputs that the outputs do not depend on, instead of panicking.
    pub allow_unused: bool,
    /// The gradients of the final loss with respect to the outputs; ones where the outputs are scalars.
    pub grad_outputs: Option<&'a [Tensor]>,
}

/// What to do with the gradients and the graph.
struct Pass<'a> {
    targets: Option<&'a [Tensor]>,
    create_graph: bool,
    retain_graph: bool,
}

impl Tensor {
    /// Computes the gradient of this scalar with respect to every leaf it depends on and adds it to
    /// [`Tensor::grad`] of each. The graph is freed.
    ///
    /// # Panics
    /// If the tensor is not a scalar, takes no gradient, or its graph was freed already; if an operation
    /// on the way has no gradient; if a value needed for it was changed in place.
    #[track_caller]
    pub fn backward(&self) {
        self.run_backward(None, false);
    }

    /// As [`Tensor::backward`] for a tensor of any shape, given the gradient with respect to it.
    #[track_caller]
    pub fn backward_with(&self, grad: &Tensor) {
        self.run_backward(Some(grad), false);
    }

    /// As [`Tensor::backward`], keeping the graph so that it can be run again.
    #[track_caller]
    pub fn backward_retain(&self) {
        self.run_backward(None, true);
    }

    #[track_caller]
    fn run_backward(&self, seed: Option<&Tensor>, retain_graph: bool) {
        let roots = [root(self, seed)];
        let pass = Pass { targets: None, create_graph: false, retain_graph };
        set_grad_enabled(false, || pass.run(roots.into()));
    }
}

/// The gradients of `outputs` with respect to `inputs` (leaves or intermediate results), without
/// touching any [`Tensor::grad`].
///
/// # Panics
/// If an output takes no gradient; if an input is not part of the outputs' graph and
/// `allow_unused` is off; and as [`Tensor::backward`].
///
/// ```
/// use gradus_tensor::{Tensor, autograd::{grad, GradOptions}};
/// let x = Tensor::scalar(3.0).requires_grad_(true);
/// let y = x.pow(3.0);
/// let first = &grad(&[&y], &[&x], GradOptions { create_graph: true, ..Default::default() })[0];
/// let second = &grad(&[first], &[&x], GradOptions::default())[0];
/// assert_eq!((first.item(), second.item()), (27.0, 18.0));
/// ```
#[track_caller]
pub fn grad(outputs: &[&Tensor], inputs: &[&Tensor], options: GradOptions) -> Vec<Tensor> {
    if let Some(g) = options.grad_outputs
        && g.len() != outputs.len()
    {
        fail("grad", format_args!("{} gradients for {} outputs", g.len(), outputs.len()));
    }
    let mut roots = Vec::with_capacity(outputs.len());
    for (i, out) in outputs.iter().enumerate() {
        roots.push(root(out, options.grad_outputs.map(|g| &g[i])));
    }
    let targets: Vec<Tensor> = inputs.iter().map(|&t| t.clone()).collect();
    for (i, t) in targets.iter().enumerate() {
        if !t.requires_grad() {
            fail("grad", format_args!("input {i} (shape {}) does not take a gradient", t.shape()));
        }
    }
    let pass = Pass {
        targets: Some(&targets),
        create_graph: options.create_graph,
        retain_graph: options.retain_graph || options.create_graph,
    };
    let found = set_grad_enabled(options.create_graph && is_grad_enabled(), || pass.run(roots));
    let mut out = Vec::with_capacity(inputs.len());
    for (i, (g, t)) in found.into_iter().zip(&targets).enumerate() {
        match g {
            Some(g) => out.push(g),
            None if options.allow_unused => out.push(t.zeros_like()),
            None => fail(
                "grad",
                format_args!(
                    "the outputs do not depend on input {i} (shape {}); set allow_unused to get zeros",
                    t.shape()
                ),
            ),
        }
    }
    out
}

#[track_caller]
fn root(t: &Tensor, seed: Option<&Tensor>) -> (Arc<Vertex>, Tensor) {
    let Some(v) = t.active() else {
        fail(
            "backward",
            "the tensor does not depend on anything that takes a gradient (requires_grad_ was not called, or it was computed under no_grad)",
        )
    };
    let seed = match seed {
        Some(g) if g.shape() == t.shape() => g.clone(),
        Some(g) => {
            fail("backward", format_args!("the gradient's shape {} is not the tensor's {}", g.shape(), t.shape()))
        }
        None if t.numel() == 1 => t.ones_like(),
        None => fail(
            "backward",
            format_args!(
                "only a scalar can start a backward pass by itself; the shape is {}: reduce it (sum, mean) or use backward_with",
                t.shape()
            ),
        ),
    };
    (v.clone(), seed)
}

impl Pass<'_> {
    /// Runs from the roots; returns the gradients of the targets, if there are any.
    #[track_caller]
    fn run(&self, roots: Vec<(Arc<Vertex>, Tensor)>) -> Vec<Option<Tensor>> {
        let _span = profiler::record_pass("backward", profiler::Pass::Backward);
        let order = collect(&roots);
        let at = |v: &Vertex| order.binary_search_by(|o| v.seq.cmp(&o.seq)).ok();
        let wanted = self.wanted(&order, &at);
        let mut grads: Vec<Option<Gradient>> = vec![None; order.len()];
        for (v, g) in roots {
            accumulate(&mut grads[at(&v).expect("roots are in the order")], Gradient::Whole(g));
        }
        let target_at: Vec<_> =
            self.targets.unwrap_or_default().iter().map(|t| t.active().and_then(|v| at(v))).collect();
        for i in 0..order.len() {
            let is_target = target_at.contains(&Some(i));
            let Some(g) = (if is_target { grads[i].clone() } else { grads[i].take() }) else { continue };
            let v = &order[i];
            let store_it = self.targets.is_none() && (v.is_leaf || v.retain_grad.load(Relaxed));
            if v.is_leaf {
                if store_it {
                    store(v, g);
                }
                continue;
            }
            let g = g.whole();
            if store_it {
                store(v, Gradient::Whole(g.clone()));
            }
            if !wanted[i] {
                continue;
            }
            let needs = |v: &Vertex| v.requires_grad() && at(v).is_some_and(|j| wanted[j]);
            for (edge, g) in self.apply(v, &g, &needs) {
                let Some(target) = v.edges[edge].as_ref() else { continue };
                accumulate(&mut grads[at(target).expect("edges are in the order")], g);
            }
        }
        target_at.into_iter().map(|i| grads[i?].clone().map(Gradient::whole)).collect()
    }

    /// For each vertex, whether a gradient that was asked for lies on or behind it.
    fn wanted(&self, order: &[Arc<Vertex>], at: &dyn Fn(&Vertex) -> Option<usize>) -> Vec<bool> {
        let Some(targets) = self.targets else { return vec![true; order.len()] };
        let mut wanted = vec![false; order.len()];
        for i in targets.iter().filter_map(|t| at(t.active()?)) {
            wanted[i] = true;
        }
        for i in (0..order.len()).rev() {
            wanted[i] |= order[i].edges.iter().flatten().any(|e| at(e).is_some_and(|j| wanted[j]));
        }
        wanted
    }

    /// Applies one vertex's rule.
    #[track_caller]
    fn apply(&self, v: &Arc<Vertex>, grad: &Tensor, wanted: &dyn Fn(&Vertex) -> bool) -> Vec<(usize, Gradient)> {
        let mut slot = v.rule.lock().unwrap_or_else(|e| e.into_inner());
        let rule = if self.retain_graph { None } else { slot.take() };
        let Some(rule_ref) = rule.as_ref().or(slot.as_ref()) else {
            fail(
                "backward",
                format_args!(
                    "the graph at {} was freed by an earlier backward pass; use backward_retain or retain_graph for the first",
                    v.describe()
                ),
            )
        };
        let output = {
            let mut saved = v.output.lock().unwrap_or_else(|e| e.into_inner());
            let kept = if self.retain_graph { saved.clone() } else { saved.take() };
            kept.map(|(storage, layout, version)| {
                if storage.version() != version {
                    fail(
                        "backward",
                        format_args!("the result of {} was changed in place, but its gradient needs it", v.describe()),
                    );
                }
                Tensor::from_parts(storage, layout, self.create_graph.then(|| v.clone()))
            })
        };
        let _scope = v.scope.clone().map(scope::resume);
        let _span = profiler::vertex(v.op);
        let ctx =
            Ctx { grad, output, edges: &v.edges, wanted, results: RefCell::new(Vec::with_capacity(v.edges.len())) };
        rule_ref(&ctx);
        ctx.results.into_inner()
    }
}

/// Every vertex reachable from the roots, newest first.
fn collect(roots: &[(Arc<Vertex>, Tensor)]) -> Vec<Arc<Vertex>> {
    let mut seen = HashSet::new();
    let mut order: Vec<Arc<Vertex>> = Vec::new();
    let mut stack: Vec<Arc<Vertex>> = roots.iter().map(|(v, _)| v.clone()).collect();
    while let Some(v) = stack.pop() {
        if seen.insert(v.seq) {
            stack.extend(v.edges.iter().flatten().filter(|e| e.requires_grad()).cloned());
            order.push(v);
        }
    }
    order.sort_unstable_by_key(|v| std::cmp::Reverse(v.seq));
    order
}

fn accumulate(slot: &mut Option<Gradient>, g: Gradient) {
    *slot = Some(match slot.take() {
        None => g,
        Some(old) => old.plus(g),
    });
}

/// Adds to the gradient that a tensor keeps, which never shares its elements with another tensor.
fn store(v: &Vertex, g: Gradient) {
    let mut kept = v.grad.lock().unwrap_or_else(|e| e.into_inner());
    *kept = Some(match (kept.take(), g) {
        (Some(old), g) => old.plus(g),
        (None, Gradient::Whole(g)) if g.owns_storage_alone() => Gradient::Whole(g.detach()),
        (None, Gradient::Whole(g)) => Gradient::Whole(g.packed()),
        (None, rows) => rows,
    });
}

impl Tensor {
    /// Whether nobody else can see this tensor's elements.
    pub(crate) fn owns_storage_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && Arc::strong_count(&self.0.storage) == 1 && self.is_contiguous()
    }
}
