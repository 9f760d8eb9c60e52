//! Group normalisation.

use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{Tensor, fail};

/// Normalises groups of channels of each example to mean 0 and variance 1, then scales and shifts each
/// channel: y = (x - mean) / sqrt(var + eps) * weight + bias.
///
/// Mean and (biased) variance are those of one group of one example, so training and use are the same and the
/// batch may have any size. One group makes it a layer normalisation of all channels, a group a channel an
/// instance normalisation. Where all values of a group are equal, y is the bias.
///
/// Parameters: `weight` `[C]`, ones at first, and `bias` `[C]`, zeros at first.
///
/// # Shapes
/// `[N, C, ...]` -> the same
///
/// # Panics
/// `new` panics if the channels cannot be divided into so many groups; `forward` if the input has another
/// number of channels.
///
/// Source: Wu and He, 2018, <https://arxiv.org/abs/1803.08494>.
///
/// ```
/// use gradus_nn::{Forward, GroupNorm};
/// use gradus_tensor::Tensor;
/// let y = GroupNorm::new(3, 6).forward(&Tensor::rand([1, 6, 8, 8]));
/// assert!(y.reshape([3, -1]).mean_dim(1, false).abs().max().item() < 1e-5);
/// ```
#[derive(Debug, Module)]
pub struct GroupNorm {
    /// `[C]`, unless switched off by [`GroupNorm::affine`].
    pub weight: Option<Param>,
    /// `[C]`, unless switched off by [`GroupNorm::affine`] or [`GroupNorm::bias`].
    pub bias: Option<Param>,
    groups: usize,
    channels: usize,
    eps: f64,
    scope: Scope,
}

impl GroupNorm {
    /// Normalises `num_channels` channels in `num_groups` groups, with eps 1e-5.
    ///
    /// # Panics
    /// If the channels cannot be divided into so many groups.
    #[track_caller]
    pub fn new(num_groups: usize, num_channels: usize) -> GroupNorm {
        if num_groups == 0 || !num_channels.is_multiple_of(num_groups) {
            fail("GroupNorm", format_args!("{num_channels} channels cannot be divided into {num_groups} groups"));
        }
        let (groups, channels) = (num_groups, num_channels);
        GroupNorm { weight: None, bias: None, groups, channels, eps: 1e-5, scope: Scope::default() }.affine(true)
    }

    /// What is added to the variance (1e-5).
    pub fn eps(mut self, eps: f64) -> GroupNorm {
        self.eps = eps;
        self
    }

    /// With or without `weight` and `bias`.
    pub fn affine(mut self, on: bool) -> GroupNorm {
        self.weight = on.then(|| Param::new(Tensor::ones([self.channels])));
        self.bias(on)
    }

    /// With or without `bias`, which there is only beside a `weight`.
    pub fn bias(mut self, on: bool) -> GroupNorm {
        self.bias = (on && self.weight.is_some()).then(|| Param::new(Tensor::zeros([self.channels])));
        self
    }
}

impl Forward for GroupNorm {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let shape = x.shape();
        if shape.len() < 2 || shape[1] != self.channels {
            fail("GroupNorm", format_args!("needs an input [N, C, ...] with C = {}, got {shape}", self.channels));
        }
        x.group_norm(self.groups, self.weight.as_deref(), self.bias.as_deref(), self.eps).0
    }
}
