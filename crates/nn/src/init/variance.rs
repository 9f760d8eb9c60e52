//! How means and variances go through a layer: what the initialisers are derived from.

/// Mean and variance of a random number.
///
/// The rules below need conditions, named at each; where inputs depend on each other (pixels of a picture,
/// outputs of a layer) they hold for the average over random weights, not for each single draw.
///
/// ```
/// use gradus_nn::init::Moments;
/// // 300 inputs of mean 0 and variance 1, weights of variance 1/300: the variance stays.
/// let (x, w) = (Moments { mean: 0.0, variance: 1.0 }, Moments { mean: 0.0, variance: 1.0 / 300.0 });
/// assert!((x.times(w).summed(300).variance - 1.0).abs() < 1e-12);
/// // Data that is not centred: the same weights make it twice as wide.
/// let x = Moments { mean: 1.0, variance: 1.0 };
/// assert!((x.times(w).summed(300).variance - 2.0).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Expected value.
    pub mean: f64,
    /// Expected square of the distance from it.
    pub variance: f64,
}

impl Moments {
    /// The expected square: Var(X) + E(X)^2.
    pub fn mean_square(self) -> f64 {
        self.variance + self.mean * self.mean
    }

    /// Of the product of **independent** numbers X and Y: E(XY) = E(X) E(Y) and
    /// Var(XY) = E(X)^2 Var(Y) + E(Y)^2 Var(X) + Var(X) Var(Y).
    ///
    /// Uncorrelated numbers are enough for the mean, but not for the variance.
    ///
    /// Source: Goodman, 1960, <https://doi.org/10.1080/01621459.1960.10483369>.
    pub fn times(self, other: Moments) -> Moments {
        let (a, b) = (self.mean * self.mean, other.mean * other.mean);
        Moments {
            mean: self.mean * other.mean,
            variance: a * other.variance + b * self.variance + self.variance * other.variance,
        }
    }

    /// Of the sum of `n` numbers with these moments: E(sum) = n E(X), whether they depend on each other or
    /// not, and, if they are **uncorrelated**, Var(sum) = n Var(X).
    ///
    /// Terms `w_i` `x_i` of a preactivation are uncorrelated for independent weights of mean zero, whatever the
    /// inputs are: then its variance is `n Var(w) E(x^2)`. That is 1 for inputs of mean 0 and variance 1 with
    /// `Var(w) = 1 / n`: it takes both the centred data and the scaled weights.
    pub fn summed(self, n: usize) -> Moments {
        Moments { mean: n as f64 * self.mean, variance: n as f64 * self.variance }
    }
}
