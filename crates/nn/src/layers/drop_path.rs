//! Stochastic depth.

use crate::module::{Forward, Mode, Module, Scope};
use gradus_tensor::{Tensor, fail};

/// What [`DropPath`] drops at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropPathMode {
    /// The whole batch or nothing of it.
    Batch,
    /// Each sample (row) for itself.
    Row,
}

/// Stochastic depth: in training, zeroes the whole branch with probability p, for each sample or for the batch, and
/// scales what stays by 1 / (1 - p); in use, the identity. Put it at the end of the branch of a residual block.
///
/// # Shapes
/// `[N, ...]` -> the same
///
/// # Panics
/// `forward` panics if the input has no dimension.
///
/// Source: Huang et al., 2016, <https://arxiv.org/abs/1603.09382>; torchvision's `StochasticDepth`,
/// <https://docs.pytorch.org/vision/stable/generated/torchvision.ops.StochasticDepth.html>.
///
/// ```
/// use gradus_nn::{DropPath, DropPathMode, Forward};
/// use gradus_tensor::Tensor;
/// let y = DropPath::new(0.5, DropPathMode::Row).forward(&Tensor::ones([8, 3]));
/// assert!(y.to_vec::<f32>().chunks(3).all(|row| row == [0.0; 3] || row == [2.0; 3]));
/// ```
#[derive(Clone, Debug, Module)]
pub struct DropPath {
    p: f64,
    #[module(skip)]
    drop: DropPathMode,
    mode: Mode,
    scope: Scope,
}

impl DropPath {
    /// Drops samples or the batch, as `mode` says, with probability `p`.
    ///
    /// # Panics
    /// If `p` is not in 0..=1.
    #[track_caller]
    pub fn new(p: f64, mode: DropPathMode) -> DropPath {
        if !(0.0..=1.0).contains(&p) {
            fail("DropPath", format_args!("{p} is not a probability in 0..=1"));
        }
        DropPath { p, drop: mode, mode: Mode::default(), scope: Scope::default() }
    }
}

impl Forward for DropPath {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        if x.rank() == 0 {
            fail("DropPath", "needs an input [N, ...], got a scalar");
        }
        if !self.mode.is_training() || self.p == 0.0 {
            return x.clone();
        }
        let mut shape = vec![1; x.rank()];
        if self.drop == DropPathMode::Row {
            shape[0] = x.size(0);
        }
        x * Tensor::ones(shape).to_dtype(x.dtype()).dropout(self.p)
    }
}
