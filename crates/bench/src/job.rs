//! What a workload does: steps of a model on fixed data.

use crate::prelude::*;

/// A model with fixed data and its optimiser.
pub trait Job {
    /// What is trained.
    fn model(&self) -> &dyn Module;

    /// One step of training; the loss before it.
    fn train_step(&mut self) -> f32;

    /// One forward pass without gradients; the sum of the output.
    fn infer_step(&self) -> f32;
}

pub(crate) type Make = fn(Vec<Tensor>) -> Box<dyn Optimizer>;

pub(crate) fn adam(params: Vec<Tensor>) -> Box<dyn Optimizer> {
    Box::new(Adam::new(params, 1e-3))
}

pub(crate) fn adamw(params: Vec<Tensor>) -> Box<dyn Optimizer> {
    Box::new(AdamW::new(params, 3e-4))
}

pub(crate) fn momentum(params: Vec<Tensor>) -> Box<dyn Optimizer> {
    Box::new(Sgd::new(params, 0.01).momentum(0.9).weight_decay(5e-4))
}

/// The labels 0, 7, 14 ... modulo the number of classes.
pub(crate) fn labels(n: usize, classes: i64) -> Tensor {
    indices(n, 7, 0, classes)
}

/// The numbers b, a + b, 2 a + b ... modulo `below`.
pub(crate) fn indices(n: usize, a: i64, b: i64, below: i64) -> Tensor {
    Tensor::from_vec((0..n as i64).map(|i| (i * a + b) % below).collect(), [n])
}

/// A model, its optimiser, and functions of the model: the loss, and the sum of the output.
pub(crate) struct Task<M, L, O> {
    pub(crate) model: M,
    pub(crate) optimizer: Box<dyn Optimizer>,
    pub(crate) loss: L,
    pub(crate) output: O,
}

impl<M: Module, L: Fn(&M) -> Tensor, O: Fn(&M) -> Tensor> Job for Task<M, L, O> {
    fn model(&self) -> &dyn Module {
        &self.model
    }

    fn train_step(&mut self) -> f32 {
        self.optimizer.zero_grad();
        let loss = (self.loss)(&self.model);
        loss.backward();
        self.optimizer.step();
        loss.item()
    }

    fn infer_step(&self) -> f32 {
        no_grad(|| (self.output)(&self.model).item())
    }
}

/// A model of one input whose output goes into `loss`.
pub(crate) fn task<M: Forward + 'static>(
    model: M,
    input: Tensor,
    make: Make,
    loss: impl Fn(&Tensor) -> Tensor + 'static,
) -> Box<dyn Job> {
    let optimizer = make(model.parameters());
    let x = input.clone();
    let loss = move |m: &M| loss(&m.forward(&x));
    Box::new(Task { model, optimizer, loss, output: move |m: &M| m.forward(&input).sum() })
}

/// The cross entropy of logits.
pub(crate) fn classifier(model: impl Forward + 'static, input: Tensor, labels: Tensor, make: Make) -> Box<dyn Job> {
    task(model, input, make, move |logits| cross_entropy(logits, &labels))
}
