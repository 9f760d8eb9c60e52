//! A loss of several named and weighted terms.

use gradus_tensor::{Tensor, fail};
use std::fmt;

/// A weighted sum of named losses, sum_k weight_k loss_k, which remembers what each of them was.
///
/// ```
/// use gradus_nn::losses::{LossTerms, mse_loss};
/// use gradus_tensor::Tensor;
/// let (x, y) = (Tensor::ones([2]), Tensor::zeros([2]));
/// let loss = LossTerms::new().add("adversarial", 1.0, &mse_loss(&x, &y)).add("cycle", 10.0, &mse_loss(&x, &x));
/// assert_eq!(loss.total().item(), 1.0);
/// assert_eq!(loss.value("cycle"), Some(0.0));
/// assert_eq!(loss.to_string(), "1.000000 = 1 adversarial 1.000000 + 10 cycle 0.000000");
/// ```
#[derive(Clone, Debug, Default)]
pub struct LossTerms {
    terms: Vec<(String, f64, Tensor)>,
}

impl LossTerms {
    /// No terms yet.
    pub fn new() -> LossTerms {
        LossTerms::default()
    }

    /// Adds a loss (a scalar) under a name.
    ///
    /// # Panics
    /// If the loss is not a scalar, if the weight is not finite, or if the name was given before.
    #[track_caller]
    pub fn add(mut self, name: &str, weight: f64, loss: &Tensor) -> LossTerms {
        if loss.rank() != 0 {
            fail(OP, format_args!("term `{name}` must be a scalar, got {}; reduce it first", loss.shape()));
        }
        if !weight.is_finite() {
            fail(OP, format_args!("term `{name}` has the weight {weight}"));
        }
        if self.terms.iter().any(|t| t.0 == name) {
            fail(OP, format_args!("there are two terms `{name}`"));
        }
        self.terms.push((name.to_string(), weight, loss.clone()));
        self
    }

    /// The weighted sum, in the graph.
    ///
    /// # Panics
    /// If there are no terms.
    #[track_caller]
    pub fn total(&self) -> Tensor {
        let weighted = self.terms.iter().map(|(_, weight, loss)| loss * *weight);
        weighted.reduce(|a, b| a + b).unwrap_or_else(|| fail(OP, "there are no terms to add"))
    }

    /// Name, weight and value (before weighing) of each term, in order.
    pub fn values(&self) -> Vec<(&str, f64, f64)> {
        self.terms.iter().map(|(name, weight, loss)| (name.as_str(), *weight, loss.item_f64())).collect()
    }

    /// The value of a term, before weighing.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.terms.iter().find(|t| t.0 == name).map(|t| t.2.item_f64())
    }
}

const OP: &str = "LossTerms";

/// The total and what it is made of.
impl fmt::Display for LossTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values();
        write!(f, "{:.6}", values.iter().map(|(_, weight, value)| weight * value).sum::<f64>())?;
        for (k, (name, weight, value)) in values.into_iter().enumerate() {
            write!(f, " {} {weight} {name} {value:.6}", if k == 0 { '=' } else { '+' })?;
        }
        Ok(())
    }
}
