//! Moving elements between channels and space.

use crate::module::{Forward, Module, Scope};
use gradus_tensor::{Tensor, fail};

/// Leading dimensions, channels, height and width of `[.., C, H, W]`.
fn image(kind: &str, x: &Tensor) -> (Vec<usize>, [usize; 3]) {
    let shape = x.shape().to_vec();
    let Some(at) = shape.len().checked_sub(3) else {
        fail(kind, format_args!("needs [.., C, H, W], got an input {}", x.shape()))
    };
    (shape[..at].to_vec(), [shape[at], shape[at + 1], shape[at + 2]])
}

fn joined(lead: &[usize], rest: &[usize]) -> Vec<usize> {
    [lead, rest].concat()
}

/// Spreads each group of r^2 channels over a block of r x r pixels:
/// `y[c, h r + i, w r + j] = x[c r^2 + i r + j, h, w]`.
///
/// After a convolution it is upsampling by a factor r that is learnt: a convolution of the stride 1 / r.
///
/// # Shapes
/// `[.., C r^2, H, W]` -> `[.., C, H r, W r]`
///
/// # Panics
/// `forward` panics if the input has fewer than three dimensions or its channels cannot be divided by r^2.
///
/// Source: Shi et al., 2016, <https://arxiv.org/abs/1609.05158>; PyTorch,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelShuffle.html>.
///
/// ```
/// use gradus_nn::{Forward, PixelShuffle};
/// use gradus_tensor::Tensor;
/// let y = PixelShuffle::new(2).forward(&Tensor::arange(4).reshape([1, 4, 1, 1]));
/// assert_eq!((y.shape().to_vec(), y.to_vec::<f32>()), (vec![1, 1, 2, 2], vec![0.0, 1.0, 2.0, 3.0]));
/// ```
#[derive(Clone, Debug, Module)]
pub struct PixelShuffle {
    upscale_factor: usize,
    scope: Scope,
}

impl PixelShuffle {
    /// By the factor `upscale_factor` along both dimensions.
    ///
    /// # Panics
    /// If the factor is 0.
    #[track_caller]
    pub fn new(upscale_factor: usize) -> PixelShuffle {
        if upscale_factor == 0 {
            fail("PixelShuffle", "the factor must be positive");
        }
        PixelShuffle { upscale_factor, scope: Scope::default() }
    }
}

impl Forward for PixelShuffle {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let (lead, [c, h, w]) = image("PixelShuffle", x);
        let r = self.upscale_factor;
        if c % (r * r) != 0 {
            fail("PixelShuffle", format_args!("the {c} channels of {} are no multiple of {r}^2", x.shape()));
        }
        let n = lead.iter().product();
        // [n, c, i, j, h, w] -> [n, c, h, i, w, j]
        let y = x.reshape([n, c / (r * r), r, r, h, w]).permute(&[0, 1, 4, 2, 5, 3]);
        y.reshape(joined(&lead, &[c / (r * r), h * r, w * r]))
    }
}

/// Gathers each block of r x r pixels into r^2 channels: the reverse of [`PixelShuffle`].
///
/// # Shapes
/// `[.., C, H r, W r]` -> `[.., C r^2, H, W]`
///
/// # Panics
/// `forward` panics if the input has fewer than three dimensions or height or width cannot be divided by r.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelUnshuffle.html>.
///
/// ```
/// use gradus_nn::{Forward, PixelUnshuffle};
/// use gradus_tensor::Tensor;
/// let y = PixelUnshuffle::new(2).forward(&Tensor::zeros([5, 3, 8, 6]));
/// assert_eq!(y.shape(), [5, 12, 4, 3]);
/// ```
#[derive(Clone, Debug, Module)]
pub struct PixelUnshuffle {
    downscale_factor: usize,
    scope: Scope,
}

impl PixelUnshuffle {
    /// By the factor `downscale_factor` along both dimensions.
    ///
    /// # Panics
    /// If the factor is 0.
    #[track_caller]
    pub fn new(downscale_factor: usize) -> PixelUnshuffle {
        if downscale_factor == 0 {
            fail("PixelUnshuffle", "the factor must be positive");
        }
        PixelUnshuffle { downscale_factor, scope: Scope::default() }
    }
}

impl Forward for PixelUnshuffle {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let (lead, [c, h, w]) = image("PixelUnshuffle", x);
        let r = self.downscale_factor;
        if h % r != 0 || w % r != 0 {
            fail("PixelUnshuffle", format_args!("height and width of {} are no multiples of {r}", x.shape()));
        }
        let n = lead.iter().product();
        // [n, c, h, i, w, j] -> [n, c, i, j, h, w]
        let y = x.reshape([n, c, h / r, r, w / r, r]).permute(&[0, 1, 3, 5, 2, 4]);
        y.reshape(joined(&lead, &[c * r * r, h / r, w / r]))
    }
}

/// Mixes the channels of `groups` groups: the channels, written row by row into a table of `groups` rows, are read
/// column by column. So a grouped convolution that follows sees every group.
///
/// # Shapes
/// `[N, C, ..]` -> the same
///
/// # Panics
/// `forward` panics if the input has fewer than two dimensions or its channels cannot be divided by `groups`.
///
/// Source: Zhang et al., 2017, <https://arxiv.org/abs/1707.01083>; PyTorch,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.ChannelShuffle.html>.
///
/// ```
/// use gradus_nn::{ChannelShuffle, Forward};
/// use gradus_tensor::Tensor;
/// let y = ChannelShuffle::new(2).forward(&Tensor::arange(6).reshape([1, 6, 1]));
/// assert_eq!(y.to_vec::<f32>(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
/// ```
#[derive(Clone, Debug, Module)]
pub struct ChannelShuffle {
    groups: usize,
    scope: Scope,
}

impl ChannelShuffle {
    /// Of so many groups.
    ///
    /// # Panics
    /// If there are none.
    #[track_caller]
    pub fn new(groups: usize) -> ChannelShuffle {
        if groups == 0 {
            fail("ChannelShuffle", "there must be groups");
        }
        ChannelShuffle { groups, scope: Scope::default() }
    }
}

impl Forward for ChannelShuffle {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let (shape, g) = (x.shape(), self.groups);
        if shape.len() < 2 || shape[1] % g != 0 {
            fail("ChannelShuffle", format_args!("needs [N, C, ..] with C a multiple of {g}, got an input {shape}"));
        }
        let rest = shape[2..].iter().product();
        // [n, group, c, rest] -> [n, c, group, rest]
        x.reshape([shape[0], g, shape[1] / g, rest]).transpose(1, 2).reshape(shape)
    }
}
