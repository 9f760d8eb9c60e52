//! Joining dimensions.

use crate::module::{Forward, Module, Scope};
use gradus_tensor::Tensor;

/// Joins neighbouring dimensions into one: all but the first, if nothing else is said.
///
/// # Shapes
/// `[N, d1, d2, ...]` -> `[N, d1 * d2 * ...]`
///
/// # Panics
/// `forward` panics if the input does not have the dimensions.
///
/// ```
/// use gradus_nn::{Flatten, Forward};
/// use gradus_tensor::Tensor;
/// assert_eq!(Flatten::new().forward(&Tensor::zeros([2, 1, 28, 28])).shape(), [2, 784]);
/// ```
#[derive(Clone, Debug, Module)]
pub struct Flatten {
    start: isize,
    end: isize,
    scope: Scope,
}

impl Flatten {
    /// Joins all dimensions but the first.
    pub fn new() -> Flatten {
        Flatten { start: 1, end: -1, scope: Scope::default() }
    }

    /// Joins the dimensions `start..=end`, negative ones counted from the end.
    pub fn dims(mut self, start: isize, end: isize) -> Flatten {
        (self.start, self.end) = (start, end);
        self
    }
}

impl Default for Flatten {
    fn default() -> Flatten {
        Flatten::new()
    }
}

impl Forward for Flatten {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        x.flatten(self.start, self.end)
    }
}
