//! Dropout that keeps mean and variance of self-normalising networks.

use super::activations::{SELU_ALPHA, SELU_SCALE};
use crate::module::{Forward, Mode, Module, Scope};
use gradus_tensor::{Tensor, fail};

macro_rules! alpha_dropout {
    ($($(#[$doc:meta])* $name:ident ($what:literal) |$x:ident| $shape:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Module)]
        pub struct $name {
            p: f64,
            mode: Mode,
            scope: Scope,
        }

        impl $name {
            #[doc = concat!("Drops ", $what, " with probability `p`.")]
            ///
            /// # Panics
            /// If `p` is not in 0..=1.
            #[track_caller]
            pub fn new(p: f64) -> $name {
                if !(0.0..=1.0).contains(&p) {
                    fail(stringify!($name), format_args!("{p} is not a probability in 0..=1"));
                }
                $name { p, mode: Mode::default(), scope: Scope::default() }
            }
        }

        impl Forward for $name {
            fn forward(&self, $x: &Tensor) -> Tensor {
                let _scope = self.scope.enter();
                if !self.mode.is_training() || self.p == 0.0 {
                    return $x.clone();
                }
                let shape: Vec<usize> = $shape;
                saturate($x, self.p, &shape)
            }
        }
    )* };
}

alpha_dropout! {
    /// In training, sets each element with probability p to a' = -1.7581, the limit of [`SELU`](crate::SELU) far
    /// below zero, and maps all by y -> a y + b so that mean 0 and variance 1 stay; in use, the identity.
    ///
    /// a = ((1 - p) (1 + p a'^2))^-1/2, b = -a p a'.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: Klambauer et al., 2017, <https://arxiv.org/abs/1706.02515>.
    ///
    /// ```
    /// use gradus_nn::{AlphaDropout, Forward};
    /// use gradus_tensor::{Tensor, manual_seed};
    /// manual_seed(0);
    /// let y = AlphaDropout::new(0.3).forward(&Tensor::randn([100_000]));
    /// assert!(y.mean().item().abs() < 0.02 && (y.var(0).item() - 1.0).abs() < 0.02);
    /// ```
    AlphaDropout ("elements") |x| x.shape().to_vec();
    /// [`AlphaDropout`] of whole channels: in training, each channel of each sample is set to the limit of
    /// [`SELU`](crate::SELU) with probability p, and all are mapped so that mean 0 and variance 1 stay; in use, the
    /// identity.
    ///
    /// # Shapes
    /// `[N, C, ...]` -> the same
    ///
    /// # Panics
    /// `forward` panics if the input has fewer than two dimensions.
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.FeatureAlphaDropout.html>.
    ///
    /// ```
    /// use gradus_nn::{FeatureAlphaDropout, Forward};
    /// use gradus_tensor::Tensor;
    /// let y = FeatureAlphaDropout::new(0.5).forward(&Tensor::ones([2, 3, 4]));
    /// assert_eq!(y.amax([2], false).to_vec::<f32>(), y.amin([2], false).to_vec::<f32>());
    /// ```
    FeatureAlphaDropout ("channels") |x| {
        if x.rank() < 2 {
            fail("FeatureAlphaDropout", format_args!("needs an input [N, C, ...], got {}", x.shape()));
        }
        let mut shape = vec![1; x.rank()];
        shape[..2].copy_from_slice(&x.shape()[..2]);
        shape
    };
}

/// `x` with what a mask of `shape` picks (with probability `p`) at the limit of SELU, then rescaled.
fn saturate(x: &Tensor, p: f64, shape: &[usize]) -> Tensor {
    if p == 1.0 {
        return x * 0.0;
    }
    let limit = -SELU_ALPHA * SELU_SCALE;
    let a = 1.0 / ((1.0 - p) * (1.0 + p * limit * limit)).sqrt();
    let keep = Tensor::bernoulli(1.0 - p, shape).to_dtype(x.dtype());
    let shift = (1.0 - &keep) * (a * limit) - a * p * limit;
    x * (keep * a) + shift
}
