//! What every layer and model is: a tree of named parameters and buffers that can be visited.

mod impls;
mod leaf;
mod load;
mod visit;

pub use gradus_derive::Module;
pub use leaf::{Buffer, Mode, Param, Scope};
pub use load::{LoadError, Misshapen, Mistyped};
pub use visit::{Path, Visitor, VisitorMut, visit_field, visit_field_mut};

use crate::StateDict;
use gradus_tensor::{DType, Device, Tensor, fail};
use std::collections::{HashMap, HashSet};
use visit::{Each, EachMut, Leaf, LeafMut};

/// A layer or a model: named parameters, buffers and modules within modules.
///
/// It is derived. The name of a field is the name of what it holds, so that a state dict reads like
/// PyTorch's; everything below is provided.
///
/// ```
/// use gradus_nn::{Forward, Linear, Module};
/// use gradus_tensor::Tensor;
///
/// #[derive(Module)]
/// struct Net {
///     hidden: Linear,
///     heads: Vec<Linear>,
/// }
///
/// impl Forward for Net {
///     fn forward(&self, x: &Tensor) -> Tensor {
///         self.heads[0].forward(&self.hidden.forward(x).relu())
///     }
/// }
///
/// let net = Net { hidden: Linear::new(3, 4), heads: vec![Linear::new(4, 2)] };
/// let names: Vec<String> = net.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["hidden.weight", "hidden.bias", "heads.0.weight", "heads.0.bias"]);
/// assert_eq!(net.forward(&Tensor::ones([5, 3])).shape(), [5, 2]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a module",
    label = "not a module",
    note = "derive it for a type of your own with `#[derive(Module)]`",
    note = "a module holds a tensor as `Param` (trained) or `Buffer` (saved, not trained)",
    note = "a field is left out with `#[module(skip)]`"
)]
pub trait Module: Send + Sync {
    /// Shows every leaf to `visitor`, under its path.
    fn visit(&self, visitor: &mut dyn Visitor);

    /// Shows every leaf to `visitor` for a change, under its path.
    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut);

    /// The parameters in order, each once even where two layers share it.
    fn parameters(&self) -> Vec<Tensor> {
        self.named_parameters().into_iter().map(|(_, p)| p).collect()
    }

    /// The parameters with their paths, each once (under its first path) even where two layers share it.
    fn named_parameters(&self) -> Vec<(String, Tensor)> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        self.visit(&mut Each::new(|path, leaf| {
            if let Leaf::Param(p) = leaf
                && seen.insert(p.id())
            {
                p.set_name(path);
                found.push((path.to_string(), p.tensor().clone()));
            }
        }));
        found
    }

    /// The buffers with their paths, those that are not saved included.
    fn named_buffers(&self) -> Vec<(String, Tensor)> {
        let mut found = Vec::new();
        self.visit(&mut Each::new(|path, leaf| {
            if let Leaf::Buffer(b) = leaf {
                found.push((path.to_string(), b.tensor().clone()));
            }
        }));
        found
    }

    /// Every module of the tree from the root (whose path is empty) downwards: its path and its type's name.
    fn named_modules(&self) -> Vec<(String, &'static str)> {
        let mut found = Vec::new();
        self.visit(&mut Each::new(|path, leaf| {
            if let Leaf::Layer(kind) = leaf {
                found.push((path.to_string(), kind));
            }
        }));
        found
    }

    /// Number of elements of all parameters.
    fn num_parameters(&self) -> usize {
        self.parameters().iter().map(Tensor::numel).sum()
    }

    /// Parameters and buffers by path. The tensors share their elements with the module and are outside
    /// any graph. [`save_safetensors`](crate::serialize::save_safetensors) writes them to a file.
    fn state_dict(&self) -> StateDict {
        let mut state = StateDict::new();
        self.visit(&mut Each::new(|path, leaf| match leaf {
            Leaf::Param(p) => drop(state.insert(path, p.detach())),
            Leaf::Buffer(b) if b.is_saved() => drop(state.insert(path, b.detach())),
            _ => (),
        }));
        state
    }

    /// Copies the entries of `state` into parameters and buffers of the same path. Floats of another
    /// width are converted, and so are integers. [`load_state_file`](crate::serialize::load_state_file) reads a
    /// state from safetensors or PyTorch's files.
    ///
    /// # Errors
    /// If an entry is missing, has no counterpart, or is of another shape or kind. The error lists all
    /// of them, and then nothing was loaded.
    fn load_state_dict(&self, state: &StateDict) -> Result<(), LoadError> {
        let mut plan = load::Plan::new(state);
        self.visit(&mut Each::new(|path, leaf| match leaf {
            Leaf::Param(p) => plan.add(path, p.tensor(), true),
            Leaf::Buffer(b) if b.is_saved() => plan.add(path, b.tensor(), b.is_required()),
            _ => (),
        }));
        plan.carry_out()
    }

    /// Switches layers such as dropout and batch norm to their behaviour in training.
    fn train(&self) {
        set_training(self, true);
    }

    /// Switches layers such as dropout and batch norm to their behaviour in use.
    fn eval(&self) {
        set_training(self, false);
    }

    /// Takes the parameters out of training: they get no gradient any more, and optimisers pass them by.
    fn freeze(&self) {
        set_requires_grad(self, false);
    }

    /// Takes the parameters back into training.
    fn unfreeze(&self) {
        set_requires_grad(self, true);
    }

    /// Forgets the gradients of all parameters.
    fn zero_grad(&self) {
        self.visit(&mut Each::new(|_, leaf| {
            if let Leaf::Param(p) = leaf {
                p.zero_grad();
            }
        }));
    }

    /// Converts parameters and float buffers. The parameters are new tensors afterwards (without
    /// gradients), so make the optimiser after this.
    ///
    /// # Panics
    /// If `dtype` is not a float type.
    #[track_caller]
    fn to_dtype(&mut self, dtype: DType) {
        if !dtype.is_float() {
            fail("to_dtype", format_args!("parameters are floats, they cannot become {dtype}"));
        }
        replace(self, &|t| if t.dtype().is_float() { t.to_dtype(dtype) } else { t.clone() });
    }

    /// Moves parameters and buffers. The parameters are new tensors afterwards where the device is another.
    fn to_device(&mut self, device: Device) {
        replace(self, &|t| t.to_device(device));
    }
}

/// A module that makes one tensor of one tensor, as most do: what lists such as
/// [`Sequential`](crate::Sequential), [`Concat`](crate::Concat) and [`Residual`](crate::Residual) hold.
///
/// Layers that take or give more than one tensor have a `forward` of their own instead, and stand in a list
/// through a struct of yours that implements this trait: attention (query, key, value), decoders, layers of two
/// inputs such as [`Bilinear`](crate::Bilinear), unpooling (values and indices). Recurrent layers stand in a list
/// within [`Outputs`](crate::Outputs) (every step) or [`LastStep`](crate::LastStep).
///
/// ```
/// use gradus_nn::{Forward, Linear, ReLU};
/// use gradus_tensor::Tensor;
/// let layers: Vec<Box<dyn Forward>> = vec![Box::new(Linear::new(4, 2)), Box::new(ReLU)];
/// let y = layers.iter().fold(Tensor::ones([1, 4]), |x, layer| layer.forward(&x));
/// assert_eq!(y.shape(), [1, 2]);
/// ```
pub trait Forward: Module {
    /// The module's output for the input `x`.
    ///
    /// # Panics
    /// If the shape or the type of `x` does not fit; the message names the layer's path.
    fn forward(&self, x: &Tensor) -> Tensor;
}

fn set_training<M: Module + ?Sized>(module: &M, on: bool) {
    module.visit(&mut Each::new(|_, leaf| {
        if let Leaf::Mode(m) = leaf {
            m.set_training(on);
        }
    }));
}

fn set_requires_grad<M: Module + ?Sized>(module: &M, on: bool) {
    module.visit(&mut Each::new(|_, leaf| {
        if let Leaf::Param(p) = leaf {
            p.set_requires_grad(on);
        }
    }));
}

/// Replaces the tensor of every parameter and buffer; shared parameters stay shared.
fn replace<M: Module + ?Sized>(module: &mut M, f: &dyn Fn(&Tensor) -> Tensor) {
    let mut done: HashMap<u64, Param> = HashMap::new();
    module.visit_mut(&mut EachMut::new(|leaf| match leaf {
        LeafMut::Param(p) => *p = done.entry(p.id()).or_insert_with(|| p.mapped(f)).clone(),
        LeafMut::Buffer(b) => b.map(f),
    }));
}
