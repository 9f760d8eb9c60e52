//! Lion.

use super::adam::checked_betas;
use super::rule::{Descent, Rates, Rule, State};
use gradus_tensor::Tensor;
use gradus_tensor::optim_kernels::lion_step;

/// Lion: every element steps by the same amount, in the direction of the sign of a mean of gradients.
///
/// p -= lr (sign(beta1 m + (1 - beta1) g) + weight_decay p), then m = beta2 m + (1 - beta2) g.
///
/// Its options are methods of [`Descent`], `weight_decay` and `maximize` among them.
///
/// Source: Chen et al., 2023, <https://arxiv.org/abs/2302.06675>.
///
/// ```
/// use gradus_nn::{Linear, Module};
/// use gradus_nn::optim::Lion;
/// let model = Linear::new(4, 2);
/// let optimizer = Lion::new(model.parameters(), 1e-4).weight_decay(0.1);
/// ```
pub type Lion = Descent<LionRule>;

/// The rule of [`Lion`].
#[derive(Clone, Copy)]
pub struct LionRule {
    betas: (f64, f64),
}

impl Lion {
    /// With betas 0.9 and 0.99 and no weight decay. The paper's `lr` is 1e-4, and a tenth to a third of AdamW's
    /// in general.
    ///
    /// # Panics
    /// If `lr` is negative or not finite.
    #[track_caller]
    pub fn new(params: Vec<Tensor>, lr: f64) -> Lion {
        Descent::begin(params, lr, LionRule { betas: (0.9, 0.99) })
    }

    /// Share of the running mean in a step (0.9), and what of it stays after the step (0.99).
    ///
    /// # Panics
    /// If one is not in 0..1.
    #[track_caller]
    pub fn betas(self, beta1: f64, beta2: f64) -> Lion {
        let betas = checked_betas(beta1, beta2);
        self.with(|r| r.betas = betas)
    }
}

impl Rule for LionRule {
    const DECAYS: bool = true;

    fn step(&self, rates: Rates, p: &Tensor, g: &Tensor, state: &mut State) {
        let mean = state.zeros("exp_avg", p);
        lion_step(p, g, &mean, rates.lr, 1.0 - rates.lr * rates.weight_decay, self.betas);
    }

    fn slots(&self) -> Vec<&'static str> {
        vec!["exp_avg"]
    }

    fn momentum(&mut self) -> Option<&mut f64> {
        Some(&mut self.betas.0)
    }
}
