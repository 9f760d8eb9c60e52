//! Instance normalisation.

use super::channels::{blend, in_use};
use crate::module::{Buffer, Forward, Mode, Module, Param, Scope};
use gradus_tensor::{DType, Tensor, fail, no_grad};

/// Instance normalisation of `[N, C, L]`; see [`InstanceNorm`].
pub type InstanceNorm1d = InstanceNorm<1>;
/// Instance normalisation of `[N, C, H, W]`; see [`InstanceNorm`].
pub type InstanceNorm2d = InstanceNorm<2>;
/// Instance normalisation of `[N, C, D, H, W]`; see [`InstanceNorm`].
pub type InstanceNorm3d = InstanceNorm<3>;

/// Normalises each channel of each example to mean 0 and variance 1:
/// y = (x - mean) / sqrt(var + eps) * weight + bias.
///
/// Mean and (biased) variance are those of one channel of one example, in training and in use; there are
/// neither parameters nor buffers. [`InstanceNorm::affine`] adds scale and shift;
/// [`InstanceNorm::track_running_stats`] keeps running averages of the examples' means and unbiased
/// variances, running = (1 - momentum) running + momentum batch, which then serve in use.
///
/// Parameters, if asked for: `weight` `[C]`, ones at first, and `bias` `[C]`, zeros at first. Buffers, if asked
/// for: `running_mean` `[C]`, `running_var` `[C]`, `num_batches_tracked` (which PyTorch leaves at 0).
///
/// # Shapes
/// `[N, C, L]` for [`InstanceNorm1d`], `[N, C, H, W]` for [`InstanceNorm2d`], `[N, C, D, H, W]` for
/// [`InstanceNorm3d`] -> the same; also without N
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels, or if it is to be normalised by its
/// own variance and there is only one value a channel.
///
/// Source: Ulyanov, Vedaldi and Lempitsky, 2016, <https://arxiv.org/abs/1607.08022>.
///
/// ```
/// use gradus_nn::{Forward, InstanceNorm2d};
/// use gradus_tensor::Tensor;
/// let y = InstanceNorm2d::new(3).forward(&Tensor::rand([2, 3, 8, 8]));
/// assert!(y.mean_dim([2, 3], false).abs().max().item() < 1e-5);
/// ```
#[derive(Debug, Module)]
#[module(kind = "Self::KIND")]
pub struct InstanceNorm<const D: usize> {
    /// `[C]`, if switched on by [`InstanceNorm::affine`].
    pub weight: Option<Param>,
    /// `[C]`, if switched on by [`InstanceNorm::affine`].
    pub bias: Option<Param>,
    /// `[C]`, if switched on by [`InstanceNorm::track_running_stats`].
    pub running_mean: Option<Buffer>,
    /// `[C]`, if switched on by [`InstanceNorm::track_running_stats`].
    pub running_var: Option<Buffer>,
    /// Scalar of i64, if switched on by [`InstanceNorm::track_running_stats`].
    pub num_batches_tracked: Option<Buffer>,
    features: usize,
    eps: f64,
    momentum: f64,
    mode: Mode,
    scope: Scope,
}

impl<const D: usize> InstanceNorm<D> {
    /// Normalises `num_features` channels, with eps 1e-5.
    pub fn new(num_features: usize) -> Self {
        InstanceNorm {
            weight: None,
            bias: None,
            running_mean: None,
            running_var: None,
            num_batches_tracked: None,
            features: num_features,
            eps: 1e-5,
            momentum: 0.1,
            mode: Mode::default(),
            scope: Scope::default(),
        }
    }

    /// What is added to the variance (1e-5).
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// The share of the newest batch in the running averages (0.1).
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// With or without `weight` and `bias`.
    pub fn affine(mut self, on: bool) -> Self {
        self.weight = on.then(|| Param::new(Tensor::ones([self.features])));
        self.bias(on)
    }

    /// With or without `bias`, which there is only beside a `weight`.
    pub fn bias(mut self, on: bool) -> Self {
        self.bias = (on && self.weight.is_some()).then(|| Param::new(Tensor::zeros([self.features])));
        self
    }

    /// With running averages, which then serve in use.
    pub fn track_running_stats(mut self, on: bool) -> Self {
        self.running_mean = on.then(|| Buffer::new(Tensor::zeros([self.features])));
        self.running_var = on.then(|| Buffer::new(Tensor::ones([self.features])));
        self.num_batches_tracked = on.then(|| Buffer::optional(Tensor::full_of((), 0.0, DType::I64)));
        self
    }

    #[track_caller]
    fn check(&self, x: &Tensor) {
        let layout = match D {
            1 => "[N, C, L] or [C, L]",
            2 => "[N, C, H, W] or [C, H, W]",
            _ => "[N, C, D, H, W] or [C, D, H, W]",
        };
        let fits = (x.rank() == D + 1 || x.rank() == D + 2) && x.size(-(D as isize) - 1) == self.features;
        if !fits {
            fail(Self::KIND, format_args!("needs an input {layout} with C = {}, got {}", self.features, x.shape()));
        }
    }

    const KIND: &str = match D {
        1 => "InstanceNorm1d",
        2 => "InstanceNorm2d",
        3 => "InstanceNorm3d",
        _ => panic!("instance normalisation is for 1, 2 or 3 dimensions beside batch and channels"),
    };

    /// Takes the examples' means and biased variances, `[N, C]` over `n` values each, into the running averages.
    fn track(&self, mean: &Tensor, var: &Tensor, n: usize) {
        let (Some(running_mean), Some(running_var)) = (&self.running_mean, &self.running_var) else { return };
        if mean.numel() == 0 {
            return;
        }
        let [mean, var] = [mean, var].map(|t| no_grad(|| t.mean_dim(0, false)));
        blend((running_mean, running_var), (&mean, &var), n, self.momentum);
    }
}

impl<const D: usize> Forward for InstanceNorm<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.check(x);
        if x.rank() == D + 1 {
            return self.forward(&x.unsqueeze(0)).squeeze(0);
        }
        let (weight, bias) = (self.weight.as_deref(), self.bias.as_deref());
        if let (false, Some(mean), Some(var)) = (self.mode.is_training(), &self.running_mean, &self.running_var) {
            return in_use(x, (mean, var), weight, bias, self.eps);
        }
        let n: usize = x.shape()[2..].iter().product();
        if n == 1 {
            fail(Self::KIND, format_args!("needs more than one value a channel, got {}", x.shape()));
        }
        let (y, mean, var) = x.group_norm(self.features, weight, bias, self.eps);
        if self.mode.is_training() {
            self.track(&mean, &var, n);
        }
        y
    }
}
