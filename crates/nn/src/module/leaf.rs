//! The leaves of a module's tree.

use super::{Module, Visitor, VisitorMut};
use gradus_tensor::{DType, Device, Tensor, scope};
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// A trained tensor of a module: a leaf that takes gradients. Reads as the [`Tensor`] it holds.
///
/// A clone is the same parameter, so two layers that hold clones of one share it (tied weights): it is
/// counted and trained once, and saved under both paths.
///
/// ```
/// use gradus_nn::{Module, Param};
/// use gradus_tensor::Tensor;
/// #[derive(Module)]
/// struct Scale { factor: Param }
/// let layer = Scale { factor: Param::new(Tensor::full([1], 3.0)) };
/// (&*layer.factor * 2.0).sum().backward();
/// assert_eq!(layer.factor.grad().unwrap().item(), 2.0);
/// ```
#[derive(Clone)]
pub struct Param {
    tensor: Tensor,
    id: u64,
}

impl Param {
    /// A parameter with the elements of `tensor`: the tensor itself if it is a leaf that takes gradients,
    /// else a leaf that shares its elements.
    ///
    /// # Panics
    /// If the elements are not floats.
    #[track_caller]
    pub fn new(tensor: Tensor) -> Param {
        let is_leaf = tensor.is_leaf() && tensor.requires_grad();
        let tensor = if is_leaf { tensor } else { tensor.detach().requires_grad_(true) };
        Param { tensor, id: NEXT_ID.fetch_add(1, Relaxed) }
    }

    /// The tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The elements converted to `dtype`, in the graph. (The method that converts a whole module,
    /// [`Module::to_dtype`], changes it in place.)
    pub fn to_dtype(&self, dtype: DType) -> Tensor {
        self.tensor.to_dtype(dtype)
    }

    /// The tensor on `device`.
    pub fn to_device(&self, device: Device) -> Tensor {
        self.tensor.to_device(device)
    }

    /// Forgets the accumulated gradient.
    pub fn zero_grad(&self) {
        self.tensor.zero_grad();
    }

    /// What is equal for clones only.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn set_requires_grad(&self, on: bool) {
        // The flag belongs to the leaf, which all clones of the tensor share.
        drop(self.tensor.clone().requires_grad_(on));
    }

    /// A new parameter with the elements `f` gives, frozen if this one is.
    pub(super) fn mapped(&self, f: &dyn Fn(&Tensor) -> Tensor) -> Param {
        let new = Param::new(f(&self.tensor.detach()));
        new.set_requires_grad(self.tensor.requires_grad());
        new
    }
}

impl Deref for Param {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.tensor
    }
}

impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Param({} {})", self.tensor.dtype(), self.tensor.shape())
    }
}

impl Module for Param {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.param(self);
    }
    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
        visitor.param(self);
    }
}

/// How a buffer takes part in state dicts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Saving {
    Required,
    Optional,
    Never,
}

/// A tensor that belongs to a module's state but is not trained, such as a running mean. Reads as the
/// [`Tensor`] it holds.
#[derive(Clone)]
pub struct Buffer {
    tensor: Tensor,
    saving: Saving,
}

impl Buffer {
    /// A buffer that state dicts contain.
    pub fn new(tensor: Tensor) -> Buffer {
        Buffer { tensor: tensor.detach(), saving: Saving::Required }
    }

    /// A buffer that state dicts contain, but that keeps its value if one that is loaded lacks it.
    pub fn optional(tensor: Tensor) -> Buffer {
        Buffer { tensor: tensor.detach(), saving: Saving::Optional }
    }

    /// A buffer that is converted and moved with the module but not saved: a constant that can be
    /// computed again (PyTorch's `persistent=False`).
    pub fn transient(tensor: Tensor) -> Buffer {
        Buffer { tensor: tensor.detach(), saving: Saving::Never }
    }

    /// The tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The elements converted to `dtype`.
    pub fn to_dtype(&self, dtype: DType) -> Tensor {
        self.tensor.to_dtype(dtype)
    }

    /// The tensor on `device`.
    pub fn to_device(&self, device: Device) -> Tensor {
        self.tensor.to_device(device)
    }

    pub(super) fn is_saved(&self) -> bool {
        self.saving != Saving::Never
    }

    pub(super) fn is_required(&self) -> bool {
        self.saving == Saving::Required
    }

    pub(super) fn map(&mut self, f: &dyn Fn(&Tensor) -> Tensor) {
        self.tensor = f(&self.tensor);
    }
}

impl Deref for Buffer {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.tensor
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} {})", self.tensor.dtype(), self.tensor.shape())
    }
}

impl Module for Buffer {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.buffer(self);
    }
    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
        visitor.buffer(self);
    }
}

/// Whether a layer is being trained; it is at first. [`Module::train`] and [`Module::eval`] switch it.
#[derive(Debug)]
pub struct Mode(AtomicBool);

impl Mode {
    /// Whether the layer is being trained.
    pub fn is_training(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// Switches the layer.
    pub fn set_training(&self, on: bool) {
        self.0.store(on, Relaxed);
    }
}

impl Default for Mode {
    fn default() -> Mode {
        Mode(AtomicBool::new(true))
    }
}

impl Clone for Mode {
    fn clone(&self) -> Mode {
        Mode(AtomicBool::new(self.is_training()))
    }
}

impl Module for Mode {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.mode(self);
    }
    fn visit_mut(&mut self, _: &mut dyn VisitorMut) {}
}

/// The path of the layer that holds it, for messages. Any visit of the whole model records it.
///
/// ```
/// use gradus_nn::{Forward, Module, Scope};
/// use gradus_tensor::Tensor;
/// #[derive(Module, Default)]
/// struct Gram { scope: Scope }
/// impl Forward for Gram {
///     fn forward(&self, x: &Tensor) -> Tensor {
///         let _scope = self.scope.enter(); // a panic below names this layer
///         x.matmul(&x.t())
///     }
/// }
/// let layers = vec![Gram::default(), Gram::default()];
/// layers.eval();
/// assert_eq!(&*layers[1].scope.path(), "1");
/// ```
#[derive(Default)]
pub struct Scope(RwLock<Option<Arc<str>>>);

impl Scope {
    /// While the result lives, operations on this thread belong to the layer.
    pub fn enter(&self) -> scope::ScopeGuard {
        scope::enter(self.path())
    }

    /// The layer's path, empty before the first visit.
    pub fn path(&self) -> Arc<str> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    /// Notes the layer's path, unless it is already known as part of a larger model.
    pub fn record(&self, path: &str) {
        let known =
            |old: &str| old.ends_with(path) && (path.is_empty() || old[..old.len() - path.len()].ends_with('.'));
        let old = self.path();
        if *old != *path && !known(&old) {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(path.into());
        }
    }
}

impl Clone for Scope {
    fn clone(&self) -> Scope {
        Scope(RwLock::new(Some(self.path())))
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({})", self.path())
    }
}

impl Module for Scope {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.record(visitor.path().parent());
    }
    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
        self.record(visitor.path().parent());
    }
}
