//! Splitting a dimension.

use crate::module::{Forward, Module, Scope};
use gradus_tensor::{IntoShape, Tensor, fail};

/// Splits one dimension into several: the reverse of [`Flatten`](super::Flatten).
///
/// # Shapes
/// `[.., a b .., ..]` -> `[.., a, b, .., ..]`
///
/// # Panics
/// `forward` panics if there is no such dimension or its extent is not the product of the sizes.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Unflatten.html>.
///
/// ```
/// use gradus_nn::{Forward, Unflatten};
/// use gradus_tensor::Tensor;
/// assert_eq!(Unflatten::new(1, [8, 7, 7]).forward(&Tensor::zeros([2, 392])).shape(), [2, 8, 7, 7]);
/// ```
#[derive(Clone, Debug, Module)]
pub struct Unflatten {
    dim: isize,
    sizes: Vec<usize>,
    scope: Scope,
}

impl Unflatten {
    /// Splits dimension `dim`, counted from the end if negative, into `unflattened_size`.
    pub fn new(dim: isize, unflattened_size: impl IntoShape) -> Unflatten {
        Unflatten { dim, sizes: unflattened_size.into_shape().to_vec(), scope: Scope::default() }
    }
}

impl Forward for Unflatten {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let (shape, rank) = (x.shape(), x.rank() as isize);
        let at = if self.dim < 0 { self.dim + rank } else { self.dim };
        if !(0..rank).contains(&at) || shape[at as usize] != self.sizes.iter().product::<usize>() {
            fail(
                "Unflatten",
                format_args!("dimension {} of an input {shape} cannot be split into {:?}", self.dim, self.sizes),
            );
        }
        let at = at as usize;
        x.reshape([&shape[..at], &self.sizes, &shape[at + 1..]].concat())
    }
}
