//! Define-by-run reverse-mode differentiation.
//!
//! Each operation that has a differentiable input adds a vertex that holds its local rule and
//! edges to the vertices of its inputs. [`Tensor::backward`] walks them from the newest to the oldest.
//! Accumulation and the undoing of broadcasts live here and nowhere else.

mod anomaly;
mod backward;
mod gradcheck;
mod graph;
mod rows;
mod trace;

pub use anomaly::{Anomaly, detect_anomaly};
pub use backward::{GradOptions, grad};
pub use gradcheck::{GradCheck, gradcheck, gradgradcheck};
pub use trace::{Traced, VIEWS, observe, trace};

use crate::shape::{Layout, Shape};
use crate::storage::Storage;
use crate::{DType, Tensor, fail, profiler, scope};
use rows::{Gradient, Rows};
use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};

type Rule = Box<dyn Fn(&Ctx) + Send + Sync>;

static NEXT: AtomicU64 = AtomicU64::new(1);
thread_local! {
    static ENABLED: Cell<bool> = const { Cell::new(true) };
}

/// A point of the graph: a leaf (parameter or input) or the result of an operation.
pub(crate) struct Vertex {
    /// Grows with time, so a vertex is always newer than those it was computed from.
    seq: u64,
    op: &'static str,
    shape: Shape,
    dtype: DType,
    scope: Option<Arc<str>>,
    name: OnceLock<String>,
    is_leaf: bool,
    requires_grad: AtomicBool,
    retain_grad: AtomicBool,
    grad: Mutex<Option<Gradient>>,
    edges: Vec<Option<Arc<Vertex>>>,
    rule: Mutex<Option<Rule>>,
    /// The result's elements where the rule needs them (a `Tensor` here would be a cycle).
    output: Mutex<Option<(Arc<Storage>, Layout, u64)>>,
}

impl Vertex {
    fn new(op: &'static str, t: &Tensor, edges: Vec<Option<Arc<Vertex>>>, rule: Option<Rule>) -> Vertex {
        Vertex {
            seq: NEXT.fetch_add(1, Relaxed),
            op,
            shape: t.shape(),
            dtype: t.dtype(),
            scope: scope::current(),
            name: OnceLock::new(),
            is_leaf: rule.is_none(),
            requires_grad: AtomicBool::new(true),
            retain_grad: AtomicBool::new(false),
            grad: Mutex::new(None),
            edges,
            rule: Mutex::new(rule),
            output: Mutex::new(None),
        }
    }

    fn requires_grad(&self) -> bool {
        self.requires_grad.load(Relaxed)
    }

    /// The operation and the layer it ran in, for messages.
    fn describe(&self) -> String {
        match (&self.scope, self.name.get()) {
            (_, Some(name)) => format!("{} `{name}`", self.op),
            (Some(s), None) => format!("{} in layer `{s}`", self.op),
            (None, None) => self.op.to_string(),
        }
    }
}

thread_local! {
    /// Vertices waiting to be freed on this thread; `None` while nobody is freeing.
    static GRAVE: RefCell<Option<Vec<Arc<Vertex>>>> = const { RefCell::new(None) };
}

impl Drop for Vertex {
    /// Frees a chain of vertices by iteration: a recurrent net's graph is deeper than the stack.
    fn drop(&mut self) {
        let mut edges = std::mem::take(&mut self.edges);
        let outermost = GRAVE.with_borrow_mut(|g| {
            let outermost = g.is_none();
            g.get_or_insert_default().extend(edges.drain(..).flatten());
            outermost
        });
        // The rule's saved tensors may hold the last other reference to an input's vertex; it is kept
        // alive by the list until this has returned.
        drop(self.rule.get_mut().unwrap_or_else(|e| e.into_inner()).take());
        if outermost {
            while let Some(v) = GRAVE.with_borrow_mut(|g| g.as_mut().and_then(Vec::pop)) {
                drop(v);
            }
            GRAVE.with_borrow_mut(|g| *g = None);
        }
    }
}

/// What a backward rule sees.
pub struct Ctx<'a> {
    grad: &'a Tensor,
    output: Option<Tensor>,
    edges: &'a [Option<Arc<Vertex>>],
    wanted: &'a dyn Fn(&Vertex) -> bool,
    results: RefCell<Vec<(usize, Gradient)>>,
}

impl Ctx<'_> {
    /// The gradient of the loss with respect to the operation's result.
    pub fn grad(&self) -> &Tensor {
        self.grad
    }

    /// The operation's result, for rules recorded by [`record_with_output`].
    ///
    /// # Panics
    /// For rules recorded by [`record`].
    pub fn output(&self) -> &Tensor {
        self.output.as_ref().expect("the rule was recorded with its output")
    }

    /// Whether input `i`'s gradient was asked for.
    pub fn needs(&self, i: usize) -> bool {
        self.edges[i].as_ref().is_some_and(|v| (self.wanted)(v))
    }

    /// Contributes to the gradient of input `i`. `f` runs only if that gradient was asked for; its
    /// result may have the broadcast shape of the operation: it is summed to the input's.
    #[track_caller]
    pub fn set(&self, i: usize, f: impl FnOnce() -> Tensor) {
        if !self.needs(i) {
            return;
        }
        let Some(v) = self.edges[i].as_ref() else { return };
        let mut g = f();
        if g.shape() != v.shape {
            g = g.sum_to(&v.shape);
        }
        if g.dtype() != v.dtype {
            g = g.to_dtype(v.dtype);
        }
        self.results.borrow_mut().push((i, Gradient::Whole(g)));
    }

    /// As [`Ctx::set`] for a gradient that is zero but in the rows at `index` (i64 vector, positions along the first
    /// dimension of input `i`).
    pub fn set_rows(&self, i: usize, index: &Tensor, f: impl FnOnce() -> Tensor) {
        let Some(v) = self.edges[i].as_ref() else { return };
        let few = v.shape.first().is_some_and(|&n| 2 * index.numel() <= n);
        if !self.needs(i) {
            return;
        }
        if !v.is_leaf || !few || is_grad_enabled() {
            return self.set(i, || Tensor::full_of(v.shape, 0.0, v.dtype).index_add(0, index, &f().to_dtype(v.dtype)));
        }
        let parts = vec![(index.clone(), f().to_dtype(v.dtype))];
        self.results.borrow_mut().push((i, Gradient::Rows(Rows { shape: v.shape, dtype: v.dtype, parts })));
    }
}

/// A tensor kept for the backward pass. Reading it panics if its elements were changed in place since.
pub struct Saved {
    tensor: Tensor,
    version: u64,
}

impl Deref for Saved {
    type Target = Tensor;
    #[track_caller]
    fn deref(&self) -> &Tensor {
        if self.tensor.0.storage.version() != self.version {
            fail("backward", "a tensor needed for the gradient was changed in place after it was used");
        }
        &self.tensor
    }
}

impl Tensor {
    /// Keeps this tensor for a backward rule.
    pub fn save(&self) -> Saved {
        Saved { tensor: self.clone(), version: self.0.storage.version() }
    }

    /// The vertex, if gradients flow through this tensor.
    pub(crate) fn active(&self) -> Option<&Arc<Vertex>> {
        self.0.vertex.as_ref().filter(|v| v.requires_grad())
    }

    /// Whether operations on this tensor are recorded for differentiation.
    pub fn requires_grad(&self) -> bool {
        self.active().is_some()
    }

    /// Whether this tensor was made by the user rather than by a recorded operation.
    pub fn is_leaf(&self) -> bool {
        self.0.vertex.as_ref().is_none_or(|v| v.is_leaf)
    }

    /// Asks for gradients (or stops asking). On a leaf that was asked before, all its clones change.
    ///
    /// # Panics
    /// For a tensor computed by a recorded operation (detach it first) or one without float elements.
    #[track_caller]
    pub fn requires_grad_(self, on: bool) -> Tensor {
        match &self.0.vertex {
            Some(v) if v.is_leaf => {
                v.requires_grad.store(on, Relaxed);
                self
            }
            Some(v) => fail(
                "requires_grad_",
                format_args!("the tensor is the result of {}; only leaves can be changed: detach it first", v.op),
            ),
            None if !on => self,
            None => {
                if !self.dtype().is_float() {
                    fail(
                        "requires_grad_",
                        format_args!("only float tensors have gradients, this one is {}", self.dtype()),
                    );
                }
                let v = Vertex::new("leaf", &self, vec![], None);
                Tensor::from_parts(self.0.storage.clone(), self.0.layout, Some(Arc::new(v)))
            }
        }
    }

    /// The same elements outside the graph: no gradient flows through the result.
    pub fn detach(&self) -> Tensor {
        self.with_layout(self.0.layout)
    }

    /// The accumulated gradient of a leaf, or of any tensor after [`Tensor::retain_grad`].
    pub fn grad(&self) -> Option<Tensor> {
        let mut kept = self.0.vertex.as_ref()?.grad.lock().unwrap_or_else(|e| e.into_inner());
        let whole = kept.take()?.whole();
        *kept = Some(Gradient::Whole(whole.clone()));
        Some(whole)
    }

    /// Replaces the accumulated gradient.
    ///
    /// # Panics
    /// If the tensor takes no gradient or the shapes differ.
    #[track_caller]
    pub fn set_grad(&self, grad: Option<Tensor>) {
        let Some(v) = &self.0.vertex else { fail("set_grad", "the tensor does not take a gradient") };
        if let Some(g) = &grad
            && g.shape() != self.shape()
        {
            fail("set_grad", format_args!("the gradient's shape {} is not the tensor's {}", g.shape(), self.shape()));
        }
        *v.grad.lock().unwrap_or_else(|e| e.into_inner()) = grad.map(Gradient::Whole);
    }

    /// Replaces the accumulated gradient, if there is one, by what `f` makes of it.
    pub(crate) fn change_grad(&self, f: impl FnOnce(Tensor) -> Tensor) {
        if let Some(v) = &self.0.vertex {
            let mut kept = v.grad.lock().unwrap_or_else(|e| e.into_inner());
            *kept = kept.take().map(|g| Gradient::Whole(f(g.whole())));
        }
    }

    /// Forgets the accumulated gradient.
    pub fn zero_grad(&self) {
        if let Some(v) = &self.0.vertex {
            *v.grad.lock().unwrap_or_else(|e| e.into_inner()) = None;
        }
    }

    /// Keeps the gradient of an intermediate result, to be read by [`Tensor::grad`] after `backward`.
    ///
    /// # Panics
    /// If the tensor takes no gradient.
    #[track_caller]
    pub fn retain_grad(&self) {
        let Some(v) = self.active() else { fail("retain_grad", "the tensor does not take a gradient") };
        v.retain_grad.store(true, Relaxed);
    }

    /// Names a leaf in graphs and messages (the first name stays).
    pub fn set_name(&self, name: &str) {
        if let Some(v) = &self.0.vertex {
            let _ = v.name.set(name.to_string());
        }
    }
}

/// Whether operations are being recorded on this thread.
pub fn is_grad_enabled() -> bool {
    ENABLED.get()
}

/// Runs `f` with recording switched on or off, restoring the state afterwards (also on a panic).
pub fn set_grad_enabled<R>(on: bool, f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            ENABLED.set(self.0);
        }
    }
    let _restore = Restore(ENABLED.replace(on));
    f()
}

/// Runs `f` without recording: no graph, no memory kept for gradients.
///
/// ```
/// use gradus_tensor::{Tensor, no_grad};
/// let w = Tensor::ones([2]).requires_grad_(true);
/// assert!(!no_grad(|| &w * 2.0).requires_grad());
/// ```
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    set_grad_enabled(false, f)
}

/// Puts `out`, the result of `op` on `inputs`, into the graph with its backward rule.
///
/// The rule gives for each input the local derivative times [`Ctx::grad`], in tensor operations that
/// are differentiable themselves, so gradients of gradients work. Nothing is recorded when no input
/// takes a gradient or recording is off.
///
/// ```
/// use gradus_tensor::{Tensor, autograd::record};
/// // An operation of one's own: the cube, with derivative 3 x^2.
/// fn cube(x: &Tensor) -> Tensor {
///     let out = gradus_tensor::no_grad(|| x * x * x);
///     let saved = x.save();
///     record("cube", out, &[x], move |ctx| ctx.set(0, || ctx.grad() * saved.square() * 3.0))
/// }
/// let x = Tensor::scalar(2.0).requires_grad_(true);
/// cube(&x).backward();
/// assert_eq!(x.grad().unwrap().item(), 12.0);
/// ```
pub fn record(
    op: &'static str,
    out: Tensor,
    inputs: &[&Tensor],
    rule: impl Fn(&Ctx) + Send + Sync + 'static,
) -> Tensor {
    attach(op, out, inputs, rule, false)
}

/// As [`record`], for rules that use the result itself: [`Ctx::output`].
pub fn record_with_output(
    op: &'static str,
    out: Tensor,
    inputs: &[&Tensor],
    rule: impl Fn(&Ctx) + Send + Sync + 'static,
) -> Tensor {
    attach(op, out, inputs, rule, true)
}

/// Puts a result into the graph that refuses, by name, to be differentiated.
pub fn no_gradient(op: &'static str, out: Tensor, inputs: &[&Tensor]) -> Tensor {
    record(op, out, inputs, move |_| {
        fail(
            op,
            "has no useful gradient (it is zero almost everywhere); detach its input or its result if it should count as a constant",
        )
    })
}

fn attach(
    op: &'static str,
    out: Tensor,
    inputs: &[&Tensor],
    rule: impl Fn(&Ctx) + Send + Sync + 'static,
    with_output: bool,
) -> Tensor {
    anomaly::inspect(op, &out);
    trace::note(op, &out);
    profiler::note(op, &out, inputs);
    if !is_grad_enabled() || !inputs.iter().any(|t| t.requires_grad()) {
        return out;
    }
    let edges = inputs.iter().map(|t| t.active().cloned()).collect();
    let mut v = Vertex::new(op, &out, edges, Some(Box::new(rule)));
    if with_output {
        v.output = Mutex::new(Some((out.0.storage.clone(), out.0.layout, out.0.storage.version())));
    }
    Tensor::from_parts(out.0.storage.clone(), out.0.layout, Some(Arc::new(v)))
}
