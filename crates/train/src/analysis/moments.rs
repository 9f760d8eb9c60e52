//! Mean, covariance and second moment of examples, and how they hang together.

use gradus_tensor::{DType, Tensor};

/// The first two moments of examples, with the divisor N.
///
/// `cov = E[(x - mu)(x - mu)^T]`, `second = E[x x^T] = cov + mu mu^T`. Where `cov` is `sigma^2 I` (independent
/// coordinates of one variance, and only there), the second moment is `sigma^2 I + mu mu^T`.
///
/// ```
/// use gradus_tensor::Tensor;
/// use gradus_train::analysis::Moments;
/// let m = Moments::of(&Tensor::from_slice(&[1.0f32, 0.0, 3.0, 2.0], [2, 2]));
/// assert_eq!(m.mean.to_vec::<f64>(), [2.0, 1.0]);
/// assert_eq!(m.covariance.to_vec::<f64>(), [1.0, 1.0, 1.0, 1.0]);
/// assert_eq!(m.second.to_vec::<f64>(), [5.0, 3.0, 3.0, 2.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Moments {
    /// The mean mu, `[D]`.
    pub mean: Tensor,
    /// The covariance, `[D, D]`.
    pub covariance: Tensor,
    /// The second moment E[x x^T], `[D, D]`.
    pub second: Tensor,
}

impl Moments {
    /// The moments of the rows of `x`, in f64.
    ///
    /// # Shapes
    /// `x`: [N, D].
    ///
    /// # Panics
    /// If `x` is no matrix or has no rows.
    #[track_caller]
    pub fn of(x: &Tensor) -> Moments {
        assert!(x.rank() == 2 && x.size(0) > 0, "Moments: examples are [N, D] with N > 0, got {}", x.shape());
        let x = x.detach().to_dtype(DType::F64);
        let n = x.size(0) as f64;
        let mean = x.mean_dim([0], false);
        let centred = &x - &mean;
        Moments {
            covariance: centred.t().matmul(&centred) / n, // [D, N] [N, D]
            second: x.t().matmul(&x) / n,                 // [D, N] [N, D]
            mean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::normals;

    fn distance(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().item_f64()
    }

    #[test]
    fn the_second_moment_is_the_covariance_and_the_mean_times_itself() {
        let mixing = Tensor::from_slice(&[1.0f64, 0.5, 0.0, 0.0, 2.0, -1.0, 0.3, 0.0, 0.7], [3, 3]);
        let x = normals(7, [500, 3]).matmul(&mixing) + Tensor::from_slice(&[1.0f64, -2.0, 0.5], [3]); // [500, 3]
        let m = Moments::of(&x);
        let outer = m.mean.unsqueeze(1).matmul(&m.mean.unsqueeze(0)); // [3, 1] [1, 3]
        assert!(distance(&m.second, &(&m.covariance + &outer)) < 1e-12);
        // With correlated coordinates it is not sigma^2 I + mu mu^T for any sigma.
        let variance = m.covariance.trace() / 3.0;
        let isotropic = Tensor::eye(3).to_dtype(DType::F64) * variance.item_f64() + &outer;
        assert!(distance(&m.second, &isotropic) > 1.0);
    }

    #[test]
    fn for_independent_coordinates_of_one_variance_it_is_sigma_squared_on_the_diagonal() {
        let (n, sigma) = (40_000, 1.5);
        let mean = Tensor::from_slice(&[1.0f64, -2.0], [2]);
        let m = Moments::of(&(normals(3, [n, 2]) * sigma + &mean));
        let want = Tensor::eye(2).to_dtype(DType::F64) * (sigma * sigma) + mean.unsqueeze(1).matmul(&mean.unsqueeze(0)); // [2, 1] [1, 2]
        // Five standard errors of the largest entry, E[x_2^2] with variance 2 s^4 + 4 s^2 mu^2.
        let error = ((2.0 * sigma.powi(4) + 4.0 * sigma * sigma * 4.0) / n as f64).sqrt();
        assert!(distance(&m.second, &want) < 5.0 * error, "{}", distance(&m.second, &want));
    }
}
