//! Skip connections that add.

use crate::module::{Forward, Module, Scope};
use gradus_tensor::{Tensor, fail};

/// A skip connection: the layers within only learn what to add, `y = F(x) + x`.
///
/// The gradient of x is that of y, carried over untouched, plus what comes back through F. Where F changes the
/// shape, a shortcut (a convolution of kernel 1) takes the place of x: `y = F(x) + S(x)`.
///
/// Parameters: those of F under `inner`, those of the shortcut under `shortcut`.
///
/// # Shapes
/// as F, whose output must have the shape of its input (or of the shortcut's output)
///
/// # Panics
/// `forward` panics if it has not.
///
/// Source: He et al., 2015, <https://arxiv.org/abs/1512.03385>.
///
/// ```
/// use gradus_nn::{Conv2d, Forward, ReLU, Residual, sequential};
/// use gradus_tensor::Tensor;
/// let block = Residual::new(sequential![Conv2d::new(8, 8, 3).padding(1), ReLU, Conv2d::new(8, 8, 3).padding(1)]);
/// assert_eq!(block.forward(&Tensor::zeros([1, 8, 5, 5])).shape(), [1, 8, 5, 5]);
/// ```
#[derive(Module)]
pub struct Residual {
    inner: Box<dyn Forward>,
    shortcut: Option<Box<dyn Forward>>,
    scope: Scope,
}

impl Residual {
    /// Around `inner`.
    pub fn new(inner: impl Forward + 'static) -> Residual {
        Residual { inner: Box::new(inner), shortcut: None, scope: Scope::default() }
    }

    /// Adds the output of `layer` instead of the input itself.
    pub fn shortcut(mut self, layer: impl Forward + 'static) -> Residual {
        self.shortcut = Some(Box::new(layer));
        self
    }
}

impl Forward for Residual {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let y = self.inner.forward(x);
        let x = self.shortcut.as_ref().map_or_else(|| x.clone(), |s| s.forward(x));
        if x.shape() != y.shape() {
            fail("Residual", format_args!("cannot add the layers' output {} to {}", y.shape(), x.shape()));
        }
        y + x
    }
}
