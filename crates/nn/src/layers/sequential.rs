//! Layers one after another.

use crate::module::{Forward, Module, Path, Scope, Visitor, VisitorMut};
use gradus_tensor::Tensor;
use std::fmt;

/// Layers one after another, each fed with the output of the one before.
///
/// Layers are named by their index, "0", "1", ..., unless they were put in under a name. The macro
/// [`sequential!`](crate::sequential) writes it as a list.
///
/// ```
/// use gradus_nn::{Forward, Linear, LogSoftmax, Module, ReLU, sequential};
/// use gradus_tensor::Tensor;
/// let model = sequential![Linear::new(784, 128), ReLU, Linear::new(128, 10), LogSoftmax::new(1)];
/// assert_eq!(model.forward(&Tensor::zeros([2, 784])).shape(), [2, 10]);
/// assert_eq!(model.state_dict().names().next(), Some("0.weight"));
/// ```
#[derive(Default)]
pub struct Sequential {
    layers: Vec<Entry>,
}

struct Entry {
    name: String,
    /// Names the layer in messages, also one that has no scope of its own.
    scope: Scope,
    layer: Box<dyn Forward>,
}

impl Sequential {
    /// No layers: the identity.
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// Puts a layer at the end, named by its index.
    pub fn push(&mut self, layer: impl Forward + 'static) {
        self.push_named(&self.layers.len().to_string(), layer);
    }

    /// Puts a layer at the end under a name of its own.
    ///
    /// # Panics
    /// If there is a layer of that name.
    #[track_caller]
    pub fn push_named(&mut self, name: &str, layer: impl Forward + 'static) {
        assert!(self.layers.iter().all(|e| e.name != name), "Sequential: there is a layer `{name}` already");
        self.layers.push(Entry { name: name.to_string(), scope: Scope::default(), layer: Box::new(layer) });
    }

    /// Number of layers.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there are no layers.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The layer at `index`.
    pub fn get(&self, index: usize) -> Option<&dyn Forward> {
        self.layers.get(index).map(|e| &*e.layer)
    }

    /// The layers with their names, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &dyn Forward)> {
        self.layers.iter().map(|e| (e.name.as_str(), &*e.layer))
    }

    /// Tells the layers their names, so that messages have them before the model is visited as a whole.
    fn introduce(self) -> Sequential {
        struct Tour(Path);
        impl Visitor for Tour {
            fn path(&mut self) -> &mut Path {
                &mut self.0
            }
        }
        self.visit(&mut Tour(Path::new()));
        self
    }
}

impl FromIterator<Box<dyn Forward>> for Sequential {
    fn from_iter<I: IntoIterator<Item = Box<dyn Forward>>>(layers: I) -> Sequential {
        let entry = |(i, layer): (usize, _)| Entry { name: i.to_string(), scope: Scope::default(), layer };
        Sequential { layers: layers.into_iter().enumerate().map(entry).collect() }.introduce()
    }
}

impl Module for Sequential {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.layer("Sequential");
        for e in &self.layers {
            visitor.path().push(&e.name);
            e.scope.record(visitor.path().as_str());
            e.layer.visit(visitor);
            visitor.path().pop();
        }
    }
    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
        for e in &mut self.layers {
            visitor.path().push(&e.name);
            e.scope.record(visitor.path().as_str());
            e.layer.visit_mut(visitor);
            visitor.path().pop();
        }
    }
}

impl Forward for Sequential {
    fn forward(&self, x: &Tensor) -> Tensor {
        let mut x = x.clone();
        for e in &self.layers {
            let _scope = e.scope.enter();
            x = e.layer.forward(&x);
        }
        x
    }
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |e: &Entry| e.layer.named_modules().first().map_or("?", |(_, kind)| *kind);
        f.debug_map().entries(self.layers.iter().map(|e| (&e.name, kind(e)))).finish()
    }
}

/// A [`Sequential`] of the layers listed.
///
/// ```
/// use gradus_nn::{Linear, ReLU, sequential};
/// let model = sequential![Linear::new(4, 8), ReLU, Linear::new(8, 2)];
/// assert_eq!(model.len(), 3);
/// ```
#[macro_export]
macro_rules! sequential {
    ($($layer:expr),* $(,)?) => {{
        let layers: ::std::vec::Vec<::std::boxed::Box<dyn $crate::Forward>> =
            ::std::vec![$(::std::boxed::Box::new($layer)),*];
        <$crate::Sequential as ::std::iter::FromIterator<_>>::from_iter(layers)
    }};
}
