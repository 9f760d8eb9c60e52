//! The perceptron and its learning rule.

use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{Tensor, fail, no_grad};

/// The step at the end of a [`Perceptron`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepFunction {
    /// 1 for x >= 0, else 0: the classes are 0 and 1. The default.
    #[default]
    Heaviside,
    /// 1 for x > 0, -1 for x < 0, 0 at 0: the classes are -1 and 1.
    Sign,
}

/// A perceptron: f(x) = step(w^T x + b).
///
/// The step has no useful gradient, so that a backward pass through it panics; it learns by the perceptron rule,
/// [`learn`](Perceptron::learn).
///
/// Parameters: `weight` `[1, in]` and `bias` `[1]`, both 0 at first.
///
/// # Shapes
/// `[..., in]` -> `[...]`
///
/// # Panics
/// `forward` panics if the last dimension of `x` is not `in`.
///
/// Source: Rosenblatt, 1958, <https://doi.org/10.1037/h0042519>.
///
/// ```
/// use gradus_nn::{Forward, Perceptron};
/// use gradus_tensor::Tensor;
/// let x = Tensor::from_slice(&[0f32, 0., 0., 1., 1., 0., 1., 1.], [4, 2]);
/// let and = Tensor::from_slice(&[0f32, 0., 0., 1.], [4]);
/// let model = Perceptron::new(2);
/// while model.learn(&x, &and, 1.0) > 0 {}
/// assert_eq!(model.forward(&x).to_vec::<f32>(), [0.0, 0.0, 0.0, 1.0]);
/// ```
#[derive(Debug, Module)]
pub struct Perceptron {
    /// `[1, in]`
    pub weight: Param,
    /// `[1]`
    pub bias: Param,
    #[module(skip)]
    step: StepFunction,
    scope: Scope,
}

impl Perceptron {
    /// A perceptron of `in_features` numbers with the classes 0 and 1.
    pub fn new(in_features: usize) -> Perceptron {
        Perceptron {
            weight: Param::new(Tensor::zeros([1, in_features])),
            bias: Param::new(Tensor::zeros([1])),
            step: StepFunction::default(),
            scope: Scope::default(),
        }
    }

    /// The step, and with it the numbers that stand for the classes (Heaviside: 0 and 1).
    pub fn step(self, step: StepFunction) -> Perceptron {
        Perceptron { step, ..self }
    }

    /// One pass of the perceptron rule over samples `inputs` `[N, in]` of classes `targets` `[N]`, in order: after
    /// each mistake, w += lr (t - f(x)) x and b += lr (t - f(x)). Returns the number of mistakes.
    ///
    /// If a plane separates the classes, some pass makes no mistake after finitely many; otherwise none ever does
    /// (Novikoff, 1962).
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn learn(&self, inputs: &Tensor, targets: &Tensor, lr: f64) -> usize {
        let _scope = self.scope.enter();
        let (found, classes) = (inputs.shape(), targets.shape());
        if inputs.rank() != 2 || targets.rank() != 1 || inputs.size(0) != targets.size(0) {
            fail("Perceptron::learn", format_args!("needs inputs [N, in] and targets [N], got {found} and {classes}"));
        }
        let targets = targets.to_dtype(self.weight.tensor().dtype());
        no_grad(|| {
            let mut mistakes = 0;
            for i in 0..inputs.size(0) {
                let x = inputs.narrow(0, i, 1);
                let error = targets.at(&[i]) - self.forward(&x).at(&[0]);
                if error != 0.0 {
                    self.weight.add_(&x, lr * error);
                    self.bias.add_(&self.bias.ones_like(), lr * error);
                    mistakes += 1;
                }
            }
            mistakes
        })
    }
}

impl Forward for Perceptron {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let inputs = self.weight.size(1);
        if x.shape().last() != Some(&inputs) {
            fail("Perceptron", format_args!("needs an input [..., {inputs}], got {}", x.shape()));
        }
        let z = x.linear(&self.weight, Some(&self.bias)).squeeze(-1);
        match self.step {
            StepFunction::Heaviside => z.heaviside(),
            StepFunction::Sign => z.sign(),
        }
    }
}
