//! What models give beside their outputs while they are trained.

use crate::ModelConfig;
use gradus_nn::module::{Visitor, VisitorMut};
use gradus_nn::{Forward, Module};
use gradus_tensor::Tensor;

/// What a model gives beside its outputs while it is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Nothing.
    None,
    /// The outputs of auxiliary classifiers.
    Auxiliary {
        /// How many there are.
        heads: usize,
        /// The smallest height and width of a picture that they take.
        smallest: usize,
    },
    /// The input, rebuilt.
    Reconstruction,
}

/// A model's outputs in training with what it gives beside them.
pub struct Taught {
    /// The outputs.
    pub outputs: Tensor,
    /// The outputs of auxiliary classifiers, from deep to early.
    pub auxiliary: Vec<Tensor>,
    /// The input, rebuilt.
    pub reconstruction: Option<Tensor>,
}

impl Taught {
    pub(crate) fn with_auxiliary((outputs, auxiliary): (Tensor, Vec<Tensor>)) -> Taught {
        Taught { outputs, auxiliary, reconstruction: None }
    }
}

/// A model of the registry.
///
/// ```
/// use gradus_models::{Architecture, build};
/// use gradus_tensor::Tensor;
/// let small = r#"{"name": "capsnet", "channels": 8, "primary_capsules": 2, "decoder": [16, 16]}"#;
/// let model = build(&serde_json::from_str::<Architecture>(small).unwrap()).unwrap();
/// let labels = Tensor::from_slice(&[3i64, 7], [2]);
/// let taught = model.forward_taught(&Tensor::rand([2, 1, 28, 28]), &labels);
/// assert_eq!(taught.reconstruction.unwrap().shape(), [2, 1, 28, 28]);
/// ```
pub trait Model: Forward {
    /// The outputs for the inputs `x` with these labels, and what the model gives beside them.
    ///
    /// # Panics
    /// As `forward`; if the labels are no classes, or a picture is too small for an auxiliary classifier.
    fn forward_taught(&self, x: &Tensor, labels: &Tensor) -> Taught;
}

/// A model that knows its configuration's type; its paths are those of the model.
pub(crate) struct Built<C: ModelConfig>(pub C::Model);

impl<C: ModelConfig> Module for Built<C> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.0.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
        self.0.visit_mut(visitor);
    }
}

impl<C: ModelConfig> Forward for Built<C> {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.0.forward(x)
    }
}

impl<C: ModelConfig> Model for Built<C> {
    fn forward_taught(&self, x: &Tensor, labels: &Tensor) -> Taught {
        C::forward_taught(&self.0, x, labels)
    }
}
