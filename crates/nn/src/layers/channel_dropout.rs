//! Dropout of whole channels.

use crate::module::{Forward, Mode, Module, Scope};
use gradus_tensor::{Tensor, fail};

/// Dropout of channels of `[N, C, L]`; see [`ChannelDropout`].
pub type Dropout1d = ChannelDropout<1>;
/// Dropout of channels of `[N, C, H, W]`; see [`ChannelDropout`].
pub type Dropout2d = ChannelDropout<2>;
/// Dropout of channels of `[N, C, D, H, W]`; see [`ChannelDropout`].
pub type Dropout3d = ChannelDropout<3>;

/// In training, zeroes each whole channel of each sample with probability p and scales the others by 1 / (1 - p); in
/// use, the identity. Neighbours in a picture are alike, so that dropping single elements would drop little.
///
/// # Shapes
/// `[N, C, size...]` -> the same; `Dropout1d` and `Dropout3d` also take one sample `[C, size...]`, and `Dropout2d`
/// takes `[N, C, L]`
///
/// # Panics
/// `forward` panics if the input has another rank.
///
/// Source: Tompson et al., 2014, <https://arxiv.org/abs/1411.4280>.
///
/// ```
/// use gradus_nn::{Dropout2d, Forward, Module};
/// use gradus_tensor::Tensor;
/// let layer = Dropout2d::new(0.5);
/// let y = layer.forward(&Tensor::ones([2, 8, 3, 3])).mean_dim([2, 3], false);
/// assert!(y.to_vec::<f32>().iter().all(|&v| v == 0.0 || v == 2.0));
/// layer.eval();
/// assert_eq!(layer.forward(&Tensor::ones([1, 1, 1, 2])).to_vec::<f32>(), [1.0; 2]);
/// ```
#[derive(Clone, Debug, Module)]
#[module(kind = "Self::KIND")]
pub struct ChannelDropout<const D: usize> {
    p: f64,
    mode: Mode,
    scope: Scope,
}

impl<const D: usize> ChannelDropout<D> {
    /// Zeroes channels with probability `p`.
    ///
    /// # Panics
    /// If `p` is not in 0..=1.
    #[track_caller]
    pub fn new(p: f64) -> Self {
        if !(0.0..=1.0).contains(&p) {
            fail(Self::KIND, format_args!("{p} is not a probability in 0..=1"));
        }
        ChannelDropout { p, mode: Mode::default(), scope: Scope::default() }
    }

    const KIND: &str = match D {
        1 => "Dropout1d",
        2 => "Dropout2d",
        3 => "Dropout3d",
        _ => panic!("dropout of channels has 1, 2 or 3 dimensions"),
    };
}

impl<const D: usize> Forward for ChannelDropout<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        if x.rank() != D + 1 && x.rank() != D + 2 {
            let (found, full) = (x.shape(), D + 2);
            fail(
                Self::KIND,
                format_args!("needs an input [N, C, ...] of {full} dimensions (or one less), got {found}"),
            );
        }
        if !self.mode.is_training() || self.p == 0.0 {
            return x.clone();
        }
        // PyTorch reads three dimensions as [N, C, L] in Dropout2d, but two in Dropout1d as [C, L].
        let kept = if x.rank() == D + 2 || D == 2 { 2 } else { 1 };
        let mut shape = vec![1; x.rank()];
        shape[..kept].copy_from_slice(&x.shape()[..kept]);
        x * Tensor::ones(shape).to_dtype(x.dtype()).dropout(self.p)
    }
}
