//! One row of the table: what is built, what goes in, and how it is trained.

use gradus::prelude::*;

/// Whatever makes one tensor of one tensor.
pub type Model = Box<dyn Forward>;

/// A layer, or a small network around it.
pub struct Case {
    /// The layer's name on the documentation page.
    pub name: &'static str,
    /// What stands before the layer.
    pub how: &'static str,
    pub build: Box<dyn Fn() -> Model>,
    pub input: Tensor,
    /// The loss, if it cannot be just any.
    pub loss: Option<&'static str>,
    /// Whether it draws random numbers in training: no place for methods that want exact gradients.
    pub noisy: bool,
    /// Whether its output has a gradient.
    pub trained: bool,
}

impl Case {
    fn new<L: Forward + 'static>(
        name: &'static str,
        how: &'static str,
        build: impl Fn() -> L + 'static,
        input: Tensor,
    ) -> Case {
        let build = Box::new(move || Box::new(build()) as Model);
        Case { name, how, build, input, loss: None, noisy: false, trained: true }
    }

    /// Trained with this loss.
    pub fn loss(self, name: &'static str) -> Case {
        Case { loss: Some(name), ..self }
    }

    /// Random in training.
    pub fn noisy(self) -> Case {
        Case { noisy: true, ..self }
    }

    /// Built, saved and loaded, but not trained: the output has no gradient.
    pub fn run_only(self) -> Case {
        Case { trained: false, how: "behind Linear, run only", ..self }
    }
}

/// A layer with parameters of its own.
pub fn alone<L: Forward + 'static>(name: &'static str, build: impl Fn() -> L + 'static, input: Tensor) -> Case {
    Case::new(name, "alone", build, input)
}

/// A layer behind a linear one that gives it `[8, 6]`.
pub fn after_linear<L: Forward + 'static>(name: &'static str, build: impl Fn() -> L + 'static) -> Case {
    let model = move || sequential![Linear::new(5, 6), build()];
    Case::new(name, "behind Linear", model, Tensor::randn([8, 5]))
}

/// A layer behind a convolution that gives it `[3, 4, 8]`.
pub fn after_conv1d<L: Forward + 'static>(name: &'static str, build: impl Fn() -> L + 'static) -> Case {
    let model = move || sequential![Conv1d::new(2, 4, 3).padding(1), build()];
    Case::new(name, "behind Conv1d", model, Tensor::randn([3, 2, 8]))
}

/// A layer behind a convolution that gives it `[3, 4, 6, 6]`.
pub fn after_conv2d<L: Forward + 'static>(name: &'static str, build: impl Fn() -> L + 'static) -> Case {
    let model = move || sequential![Conv2d::new(2, 4, 3).padding(1), build()];
    Case::new(name, "behind Conv2d", model, Tensor::randn([3, 2, 6, 6]))
}

/// A layer behind a convolution that gives it `[2, 4, 4, 4, 4]`.
pub fn after_conv3d<L: Forward + 'static>(name: &'static str, build: impl Fn() -> L + 'static) -> Case {
    let model = move || sequential![Conv3d::new(2, 4, 3).padding(1), build()];
    Case::new(name, "behind Conv3d", model, Tensor::randn([2, 2, 4, 4, 4]))
}

/// A layer behind a linear one of width 4 that keeps the other dimensions, for inputs `[3, 5, 4]`.
pub fn after_projection<L: Forward + 'static>(name: &'static str, build: impl Fn() -> L + 'static) -> Case {
    let model = move || sequential![Linear::new(4, 4), build()];
    Case::new(name, "behind Linear", model, Tensor::randn([3, 5, 4]))
}

/// A layer whose forward pass takes or gives more than one tensor, with the way it is called.
#[derive(Module)]
pub struct With<L> {
    layer: L,
    #[module(skip)]
    call: fn(&L, &Tensor) -> Tensor,
}

impl<L: Module> Forward for With<L> {
    fn forward(&self, x: &Tensor) -> Tensor {
        (self.call)(&self.layer, x)
    }
}

/// A layer that is called in its own way.
pub fn with<L: Module + 'static>(
    name: &'static str,
    build: impl Fn() -> L + 'static,
    call: fn(&L, &Tensor) -> Tensor,
    input: Tensor,
) -> Case {
    Case::new(name, "alone", move || With { layer: build(), call }, input)
}
