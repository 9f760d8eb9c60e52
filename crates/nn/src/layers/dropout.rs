//! Dropout.

use crate::module::{Forward, Mode, Module, Scope};
use gradus_tensor::{Tensor, fail};

/// In training, zeroes each element with probability p and scales the others by 1 / (1 - p), so that the
/// expected value stays; in use, the identity.
///
/// The elements are chosen by the generator that [`manual_seed`](gradus_tensor::manual_seed) seeds.
///
/// # Shapes
/// any -> the same
///
/// Source: Srivastava et al., 2014, <https://jmlr.org/papers/v15/srivastava14a.html>.
///
/// ```
/// use gradus_nn::{Dropout, Forward, Module};
/// use gradus_tensor::Tensor;
/// let layer = Dropout::new(0.5);
/// let y = layer.forward(&Tensor::ones([1000]));
/// assert!(y.to_vec::<f32>().iter().all(|&v| v == 0.0 || v == 2.0));
/// layer.eval();
/// assert_eq!(layer.forward(&Tensor::ones([3])).to_vec::<f32>(), [1.0; 3]);
/// ```
#[derive(Debug, Module)]
pub struct Dropout {
    p: f64,
    mode: Mode,
    scope: Scope,
}

impl Dropout {
    /// Zeroes elements with probability `p`.
    ///
    /// # Panics
    /// If `p` is not in 0..=1.
    #[track_caller]
    pub fn new(p: f64) -> Dropout {
        if !(0.0..=1.0).contains(&p) {
            fail("Dropout", format_args!("{p} is not a probability in 0..=1"));
        }
        Dropout { p, mode: Mode::default(), scope: Scope::default() }
    }
}

impl Forward for Dropout {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        if self.mode.is_training() && self.p > 0.0 { x.dropout(self.p) } else { x.clone() }
    }
}
