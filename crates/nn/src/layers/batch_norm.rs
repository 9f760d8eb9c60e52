//! Batch normalisation.

use super::channels::{blend, in_use};
use crate::module::{Buffer, Forward, Mode, Module, Param, Scope};
use gradus_tensor::{DType, Tensor, fail};

/// Batch normalisation of `[N, C]` or `[N, C, L]`; see [`BatchNorm`].
pub type BatchNorm1d = BatchNorm<1>;
/// Batch normalisation of `[N, C, H, W]`; see [`BatchNorm`].
pub type BatchNorm2d = BatchNorm<2>;
/// Batch normalisation of `[N, C, D, H, W]`; see [`BatchNorm`].
pub type BatchNorm3d = BatchNorm<3>;

/// Normalises each channel to mean 0 and variance 1, then scales and shifts it:
/// y = (x - mean) / sqrt(var + eps) * weight + bias.
///
/// In training, mean and (biased) variance are those of the batch over all dimensions but the channels',
/// and running averages are kept: running = (1 - momentum) running + momentum batch, of the unbiased
/// variance; without a momentum, the plain average of all batches. In use, the running averages serve. A batch
/// without elements leaves them as they are.
///
/// `eps` only keeps the division finite; that the batch's variance is smaller than the population's is made up
/// for by the factor n / (n - 1) in the running average. A bias in the layer before is taken out again with the
/// mean, so that layer needs none. Training becomes faster, bears higher rates and less careful initial values,
/// and is slightly regularised by the noise of the batches. The reason first given, less "internal covariate
/// shift", has been disputed (Santurkar et al., 2018, <https://arxiv.org/abs/1805.11604>, find a smoother loss);
/// what is certain is that better conditioned problems converge in fewer steps, not that minima are escaped.
///
/// Parameters: `weight` `[C]`, ones at first, and `bias` `[C]`, zeros at first. Buffers: `running_mean` `[C]`,
/// `running_var` `[C]`, `num_batches_tracked` (i64).
///
/// # Shapes
/// `[N, C]` or `[N, C, L]` for [`BatchNorm1d`], `[N, C, H, W]` for [`BatchNorm2d`], `[N, C, D, H, W]` for
/// [`BatchNorm3d`] -> the same
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels, and in training if there is
/// only one value a channel.
///
/// Source: Ioffe and Szegedy, 2015, <https://arxiv.org/abs/1502.03167>.
///
/// ```
/// use gradus_nn::{BatchNorm2d, Forward};
/// use gradus_tensor::Tensor;
/// let y = BatchNorm2d::new(3).forward(&Tensor::rand([8, 3, 4, 4]));
/// assert!(y.mean().item().abs() < 1e-5 && (y.std(0).item() - 1.0).abs() < 1e-3);
/// ```
#[derive(Debug, Module)]
#[module(kind = "Self::KIND")]
pub struct BatchNorm<const D: usize> {
    /// `[C]`, unless switched off by [`BatchNorm::affine`].
    pub weight: Option<Param>,
    /// `[C]`, unless switched off by [`BatchNorm::affine`] or [`BatchNorm::bias`].
    pub bias: Option<Param>,
    /// `[C]`, unless switched off by [`BatchNorm::track_running_stats`].
    pub running_mean: Option<Buffer>,
    /// `[C]`, unless switched off by [`BatchNorm::track_running_stats`].
    pub running_var: Option<Buffer>,
    /// Scalar of i64, unless switched off by [`BatchNorm::track_running_stats`].
    pub num_batches_tracked: Option<Buffer>,
    features: usize,
    eps: f64,
    momentum: Option<f64>,
    mode: Mode,
    scope: Scope,
}

impl<const D: usize> BatchNorm<D> {
    /// Normalises `num_features` channels, with eps 1e-5 and momentum 0.1.
    pub fn new(num_features: usize) -> Self {
        BatchNorm {
            weight: None,
            bias: None,
            running_mean: None,
            running_var: None,
            num_batches_tracked: None,
            features: num_features,
            eps: 1e-5,
            momentum: Some(0.1),
            mode: Mode::default(),
            scope: Scope::default(),
        }
        .affine(true)
        .track_running_stats(true)
    }

    /// What is added to the variance (1e-5).
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// The share of the newest batch in the running averages (0.1); `None` for the average of all batches.
    pub fn momentum(mut self, momentum: impl Into<Option<f64>>) -> Self {
        self.momentum = momentum.into();
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

    /// With running averages, or with the batch's own mean and variance also in use.
    pub fn track_running_stats(mut self, on: bool) -> Self {
        self.running_mean = on.then(|| Buffer::new(Tensor::zeros([self.features])));
        self.running_var = on.then(|| Buffer::new(Tensor::ones([self.features])));
        // Files older than PyTorch 0.4.1 lack it.
        self.num_batches_tracked = on.then(|| Buffer::optional(Tensor::full_of((), 0.0, DType::I64)));
        self
    }

    #[track_caller]
    fn check(&self, x: &Tensor) {
        let (rank_fits, layout) = match D {
            1 => (x.rank() == 2 || x.rank() == 3, "[N, C] or [N, C, L]"),
            2 => (x.rank() == 4, "[N, C, H, W]"),
            _ => (x.rank() == D + 2, "[N, C, D, H, W]"),
        };
        if !rank_fits || x.size(1) != self.features {
            let message = format_args!("needs an input {layout} with C = {}, got {}", self.features, x.shape());
            fail(Self::KIND, message);
        }
    }

    const KIND: &str = match D {
        1 => "BatchNorm1d",
        2 => "BatchNorm2d",
        3 => "BatchNorm3d",
        _ => panic!("batch normalisation is for 1, 2 or 3 dimensions beside batch and channels"),
    };

    /// Takes a batch's mean and biased variance over `n` values a channel into the running averages.
    fn track(&self, mean: &Tensor, var: &Tensor, n: usize) {
        let (Some(running_mean), Some(running_var), Some(count)) =
            (&self.running_mean, &self.running_var, &self.num_batches_tracked)
        else {
            return;
        };
        let batches = count.item_i64() + 1;
        count.copy_(&Tensor::from_slice(&[batches], ()));
        if n > 0 {
            let share = self.momentum.unwrap_or(1.0 / batches as f64);
            blend((running_mean, running_var), (mean, var), n, share);
        }
    }
}

impl<const D: usize> Forward for BatchNorm<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        self.check(x);
        let (weight, bias) = (self.weight.as_deref(), self.bias.as_deref());
        if let (false, Some(mean), Some(var)) = (self.mode.is_training(), &self.running_mean, &self.running_var) {
            return in_use(x, (mean, var), weight, bias, self.eps);
        }
        let n = x.numel() / self.features.max(1);
        if n == 1 && self.mode.is_training() {
            let message = format_args!("needs more than one value a channel in training, got {}", x.shape());
            fail(Self::KIND, message);
        }
        let (y, mean, var) = x.batch_norm(weight, bias, self.eps);
        if self.mode.is_training() {
            self.track(&mean, &var, n);
        }
        y
    }
}
