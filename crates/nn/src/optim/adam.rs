//! Adam and AdamW.

use super::rule::{Descent, Rates, Rule, State};
use gradus_tensor::Tensor;
use gradus_tensor::optim_kernels::{AdamStep, adam_step};

/// Adam: steps along the running mean of the gradient, divided by the root of its running square.
///
/// d = g + weight_decay p; m = beta1 m + (1 - beta1) d; v = beta2 v + (1 - beta2) d^2;
/// p -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).
///
/// The divisions by 1 - beta^t take back that m and v began at zero. v estimates the second moment of the gradient,
/// not a second derivative.
///
/// Options, on the page of [`Descent`]: `betas` (0.9, 0.999), `eps` (1e-8), `amsgrad` (no), `weight_decay` (0),
/// `maximize` (no).
///
/// Source: Kingma and Ba, 2014, <https://arxiv.org/abs/1412.6980>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::Adam;
/// let model = Linear::new(4, 2);
/// let optimizer = Adam::new(model.parameters(), 1e-3).betas(0.9, 0.99);
/// ```
pub type Adam = Descent<AdamRule<false>>;

/// [`Adam`] whose weight decay passes the running means by: p is first multiplied by
/// 1 - lr weight_decay, then stepped as in Adam without decay. Options as there; the weight decay begins at 0.01.
///
/// Source: Loshchilov and Hutter, 2017, <https://arxiv.org/abs/1711.05101>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::AdamW;
/// let model = Linear::new(4, 2);
/// let optimizer = AdamW::new(model.parameters(), 1e-3).weight_decay(0.05);
/// ```
pub type AdamW = Descent<AdamRule<true>>;

/// The rule of [`Adam`] and, with a decoupled weight decay, of [`AdamW`].
#[derive(Clone, Copy)]
pub struct AdamRule<const DECOUPLED: bool> {
    betas: (f64, f64),
    eps: f64,
    amsgrad: bool,
}

impl Adam {
    /// With betas 0.9 and 0.999, eps 1e-8 and no weight decay. PyTorch's default of `lr` is 1e-3.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> Adam {
        Descent::begin(params, lr, AdamRule { betas: (0.9, 0.999), eps: 1e-8, amsgrad: false })
    }
}

impl AdamW {
    /// With betas 0.9 and 0.999, eps 1e-8 and weight decay 0.01. PyTorch's default of `lr` is 1e-3.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> AdamW {
        let rule = AdamRule { betas: (0.9, 0.999), eps: 1e-8, amsgrad: false };
        Descent::begin(params, lr, rule).weight_decay(0.01)
    }
}

impl<const DECOUPLED: bool> Descent<AdamRule<DECOUPLED>> {
    /// Decay of the running mean of the gradient (0.9) and of its square (0.999).
    ///
    /// # Panics
    /// If one is not in 0..1.
    #[track_caller]
    pub fn betas(self, beta1: f64, beta2: f64) -> Self {
        let betas = checked_betas(beta1, beta2);
        self.with(|r| r.betas = betas)
    }

    /// What is added to the root of the running square (1e-8).
    pub fn eps(self, eps: f64) -> Self {
        self.with(|r| r.eps = eps)
    }

    /// Whether to divide by the root of the largest v so far (no). Source: Reddi et al., 2018,
    /// <https://arxiv.org/abs/1904.09237>.
    pub fn amsgrad(self, on: bool) -> Self {
        self.with(|r| r.amsgrad = on)
    }
}

impl<const DECOUPLED: bool> Rule for AdamRule<DECOUPLED> {
    const DECAYS: bool = true;

    fn step(&self, rates: Rates, p: &Tensor, g: &Tensor, state: &mut State) {
        let moments = [&state.zeros("exp_avg", p), &state.zeros("exp_avg_sq", p)];
        let peak = self.amsgrad.then(|| state.zeros("max_exp_avg_sq", p));
        let [rest1, rest2] = rests(self.betas, state.steps);
        let step = AdamStep {
            of_mean: rates.lr / rest1,
            scale: 1.0 / rest2.sqrt(),
            eps: self.eps,
            ..decayed_step(self.betas, rates, DECOUPLED)
        };
        adam_step(p, g, moments, peak.as_ref(), &step);
    }

    fn slots(&self) -> Vec<&'static str> {
        let all = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"];
        all[..if self.amsgrad { 3 } else { 2 }].to_vec()
    }

    fn momentum(&mut self) -> Option<&mut f64> {
        Some(&mut self.betas.0)
    }
}

/// 1 - beta^t for both betas: the share of the running means that is not their zero start.
pub(super) fn rests(betas: (f64, f64), t: u64) -> [f64; 2] {
    [1.0 - betas.0.powf(t as f64), 1.0 - betas.1.powf(t as f64)]
}

/// A step that moves the means on and decays the parameter, but goes nowhere yet.
pub(super) fn decayed_step(betas: (f64, f64), rates: Rates, decoupled: bool) -> AdamStep {
    let (decay, shrink) = match decoupled {
        true => (0.0, 1.0 - rates.lr * rates.weight_decay),
        false => (rates.weight_decay, 1.0),
    };
    AdamStep { betas, decay, shrink, of_grad: 0.0, of_mean: 0.0, scale: 0.0, eps: 1.0 }
}

#[track_caller]
pub(super) fn checked_betas(beta1: f64, beta2: f64) -> (f64, f64) {
    for beta in [beta1, beta2] {
        assert!((0.0..1.0).contains(&beta), "betas must be in 0..1, got {beta}");
    }
    (beta1, beta2)
}
