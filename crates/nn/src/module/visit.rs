//! Walking the tree of a module.

use super::{Buffer, Mode, Module, Param};

/// The names from the root to where a visitor is, joined by dots.
#[derive(Clone, Debug, Default)]
pub struct Path {
    text: String,
    /// Length of `text` before each name.
    ends: Vec<usize>,
}

impl Path {
    /// The path of the root: empty.
    pub fn new() -> Path {
        Path::default()
    }

    /// Goes down to `name`.
    pub fn push(&mut self, name: &str) {
        self.ends.push(self.text.len());
        if !self.text.is_empty() {
            self.text.push('.');
        }
        self.text.push_str(name);
    }

    /// Goes back up.
    pub fn pop(&mut self) {
        self.text.truncate(self.ends.pop().unwrap_or(0));
    }

    /// The path, such as `layer3.1.conv2`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path without its last name.
    pub fn parent(&self) -> &str {
        &self.text[..self.ends.last().copied().unwrap_or(0)]
    }
}

/// What [`Module::visit`] shows the leaves of a tree to.
///
/// ```
/// use gradus_nn::module::{Path, Visitor};
/// use gradus_nn::{Linear, Module, Param, ReLU, sequential};
///
/// /// Counts the matrices.
/// #[derive(Default)]
/// struct Count { path: Path, matrices: usize }
/// impl Visitor for Count {
///     fn path(&mut self) -> &mut Path { &mut self.path }
///     fn param(&mut self, p: &Param) { self.matrices += (p.rank() == 2) as usize }
/// }
///
/// let mut count = Count::default();
/// sequential![Linear::new(2, 3), ReLU, Linear::new(3, 1)].visit(&mut count);
/// assert_eq!(count.matrices, 2);
/// ```
pub trait Visitor {
    /// Where the visitor is; kept by those who lead it.
    fn path(&mut self) -> &mut Path;

    /// A module of the type named `kind` begins at the current path.
    fn layer(&mut self, kind: &'static str) {
        let _ = kind;
    }

    /// The parameter at the current path.
    fn param(&mut self, param: &Param) {
        let _ = param;
    }

    /// The buffer at the current path.
    fn buffer(&mut self, buffer: &Buffer) {
        let _ = buffer;
    }

    /// The training flag of a layer.
    fn mode(&mut self, mode: &Mode) {
        let _ = mode;
    }
}

/// What [`Module::visit_mut`] shows the leaves of a tree to.
pub trait VisitorMut {
    /// Where the visitor is; kept by those who lead it.
    fn path(&mut self) -> &mut Path;

    /// The parameter at the current path.
    fn param(&mut self, param: &mut Param) {
        let _ = param;
    }

    /// The buffer at the current path.
    fn buffer(&mut self, buffer: &mut Buffer) {
        let _ = buffer;
    }
}

/// Visits `module` as the part called `name` of the module where the visitor is.
pub fn visit_field<M: Module + ?Sized>(visitor: &mut dyn Visitor, name: &str, module: &M) {
    visitor.path().push(name);
    module.visit(visitor);
    visitor.path().pop();
}

/// Visits `module` for a change as the part called `name` of the module where the visitor is.
pub fn visit_field_mut<M: Module + ?Sized>(visitor: &mut dyn VisitorMut, name: &str, module: &mut M) {
    visitor.path().push(name);
    module.visit_mut(visitor);
    visitor.path().pop();
}

/// What there is to see on a visit.
pub(super) enum Leaf<'a> {
    Layer(&'static str),
    Param(&'a Param),
    Buffer(&'a Buffer),
    Mode(&'a Mode),
}

/// Calls a function with the path of every leaf.
pub(super) struct Each<F> {
    path: Path,
    f: F,
}

impl<F: FnMut(&str, Leaf)> Each<F> {
    pub fn new(f: F) -> Self {
        Each { path: Path::new(), f }
    }
}

impl<F: FnMut(&str, Leaf)> Visitor for Each<F> {
    fn path(&mut self) -> &mut Path {
        &mut self.path
    }
    fn layer(&mut self, kind: &'static str) {
        (self.f)(self.path.as_str(), Leaf::Layer(kind));
    }
    fn param(&mut self, param: &Param) {
        (self.f)(self.path.as_str(), Leaf::Param(param));
    }
    fn buffer(&mut self, buffer: &Buffer) {
        (self.f)(self.path.as_str(), Leaf::Buffer(buffer));
    }
    fn mode(&mut self, mode: &Mode) {
        (self.f)(self.path.as_str(), Leaf::Mode(mode));
    }
}

/// What can be changed on a visit.
pub(super) enum LeafMut<'a> {
    Param(&'a mut Param),
    Buffer(&'a mut Buffer),
}

/// Calls a function with every leaf.
pub(super) struct EachMut<F> {
    path: Path,
    f: F,
}

impl<F: FnMut(LeafMut)> EachMut<F> {
    pub fn new(f: F) -> Self {
        EachMut { path: Path::new(), f }
    }
}

impl<F: FnMut(LeafMut)> VisitorMut for EachMut<F> {
    fn path(&mut self) -> &mut Path {
        &mut self.path
    }
    fn param(&mut self, param: &mut Param) {
        (self.f)(LeafMut::Param(param));
    }
    fn buffer(&mut self, buffer: &mut Buffer) {
        (self.f)(LeafMut::Buffer(buffer));
    }
}
