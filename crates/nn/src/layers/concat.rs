//! Parallel branches.

use crate::module::{Forward, Module, Scope};
use gradus_tensor::{Tensor, fail};

/// Branches that run side by side on one input, their outputs joined: `y = [B_0(x), B_1(x), ...]` along a dimension,
/// the channels if nothing else is said.
///
/// With an [`Identity`](super::Identity) among the branches it is a skip connection that joins instead of adding.
/// Parameters: those of the branches under `branches.0`, `branches.1`, ...
///
/// # Shapes
/// the outputs must agree in all other dimensions
///
/// # Panics
/// `forward` panics if they do not, or if there are no branches.
///
/// Source: Szegedy et al., 2014 (Inception), <https://arxiv.org/abs/1409.4842>.
///
/// ```
/// use gradus_nn::{Concat, Conv2d, Forward, MaxPool2d};
/// use gradus_tensor::Tensor;
/// let block = Concat::new()
///     .branch(Conv2d::new(8, 4, 1))
///     .branch(Conv2d::new(8, 6, 3).padding(1))
///     .branch(MaxPool2d::new(3).stride(1).padding(1));
/// assert_eq!(block.forward(&Tensor::zeros([2, 8, 5, 5])).shape(), [2, 4 + 6 + 8, 5, 5]);
/// ```
#[derive(Module)]
pub struct Concat {
    branches: Vec<Box<dyn Forward>>,
    dim: isize,
    scope: Scope,
}

impl Concat {
    /// No branches yet, joined along dimension 1.
    pub fn new() -> Concat {
        Concat { branches: Vec::new(), dim: 1, scope: Scope::default() }
    }

    /// With one more branch.
    pub fn branch(mut self, layer: impl Forward + 'static) -> Concat {
        self.branches.push(Box::new(layer));
        self
    }

    /// Joined along this dimension, counted from the end if negative (1).
    pub fn dim(mut self, dim: isize) -> Concat {
        self.dim = dim;
        self
    }
}

impl Default for Concat {
    fn default() -> Concat {
        Concat::new()
    }
}

impl Forward for Concat {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let outputs: Vec<Tensor> = self.branches.iter().map(|b| b.forward(x)).collect();
        let Some(first) = outputs.first() else { fail("Concat", "has no branches") };
        let (shape, rank) = (first.shape(), first.rank() as isize);
        let at = if self.dim < 0 { self.dim + rank } else { self.dim };
        for (i, y) in outputs.iter().enumerate() {
            let same = |d: usize| d as isize == at || y.shape()[d] == shape[d];
            if y.rank() != first.rank() || !(0..y.rank()).all(same) {
                let other = y.shape();
                fail(
                    "Concat",
                    format_args!("branch 0 gives {shape}, branch {i} {other}: only dimension {} may differ", self.dim),
                );
            }
        }
        Tensor::cat(&outputs.iter().collect::<Vec<_>>(), self.dim)
    }
}
