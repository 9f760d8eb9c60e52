//! Principal components.

use super::{Moments, normals};
use gradus_tensor::{DType, Tensor};

/// Above this number of features the components are found by iteration instead of a whole decomposition.
const WHOLE: usize = 256;
/// Directions that are iterated beyond those asked for, which makes the wanted ones converge faster.
const BEYOND: usize = 10;
const ITERATIONS: usize = 500;

/// The directions in which examples vary most.
///
/// The components are the eigenvectors of the covariance (divisor N - 1) with the largest eigenvalues. Values are
/// those of scikit-learn; each component's largest element is positive.
///
/// Source: <https://scikit-learn.org/stable/modules/generated/sklearn.decomposition.PCA.html>.
///
/// ```
/// use gradus_tensor::Tensor;
/// use gradus_train::analysis::Pca;
/// let x = Tensor::from_slice(&[0.0f32, 0.0, 3.0, 4.0, 6.0, 8.0], [3, 2]); // on a line
/// let pca = Pca::fit(&x, 2);
/// assert!((pca.components.at(&[0, 1]) - 0.8).abs() < 1e-12);
/// assert!((pca.explained_variance_ratio[0] - 1.0).abs() < 1e-12);
/// assert!((pca.transform(&x).at(&[2, 0]) - 5.0).abs() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct Pca {
    /// The mean of the examples, `[D]`.
    pub mean: Tensor,
    /// Orthonormal directions, that of the largest variance first, [n_components, D].
    pub components: Tensor,
    /// The variance along each of them.
    pub explained_variance: Vec<f64>,
    /// The same as a part of the whole variance.
    pub explained_variance_ratio: Vec<f64>,
}

impl Pca {
    /// The first `n_components` directions of the rows of `x`, in f64.
    ///
    /// # Shapes
    /// `x`: [N, D].
    ///
    /// # Panics
    /// If there are fewer than two examples, or `n_components` is above D.
    #[track_caller]
    pub fn fit(x: &Tensor, n_components: usize) -> Pca {
        assert!(x.rank() == 2 && x.size(0) > 1, "Pca: examples are [N, D] with N > 1, got {}", x.shape());
        let (n, d) = (x.size(0), x.size(1));
        assert!(n_components <= d, "Pca: {n_components} components of {d} features");
        if d > WHOLE && n_components + BEYOND < n && n < d {
            return Pca::of_few(x, n_components);
        }
        let moments = Moments::of(x);
        let covariance = moments.covariance * (n as f64 / (n - 1) as f64);
        let whole = covariance.trace().item_f64();
        let (values, components) = match d <= WHOLE || n_components + BEYOND >= d {
            true => {
                let (values, vectors) = covariance.eigh(); // ascending; vectors in columns
                (values.flip([0]), vectors.t().flip([0]))
            }
            false => largest(&covariance, n_components),
        };
        let explained_variance = values.narrow(0, 0, n_components).to_vec::<f64>();
        Pca {
            mean: moments.mean,
            components: components.narrow(0, 0, n_components).contiguous(),
            explained_variance_ratio: explained_variance.iter().map(|v| v / whole).collect(),
            explained_variance,
        }
    }

    /// Fewer examples than features: the matrix of products of examples has the eigenvalues of the covariance and is
    /// smaller; its eigenvectors u stand for the components X^T u.
    fn of_few(x: &Tensor, n_components: usize) -> Pca {
        let x = x.detach().to_dtype(DType::F64);
        let (n, mean) = (x.size(0), x.mean_dim([0], false));
        let x = x - &mean;
        let gram = x.matmul(&x.t()) / (n - 1) as f64; // [N, D] [D, N]
        let whole = gram.trace().item_f64();
        let (values, vectors) = largest(&gram, n_components);
        let explained_variance = values.narrow(0, 0, n_components).to_vec::<f64>();
        let along = vectors.matmul(&x); // [n_components, N] [N, D]
        Pca {
            mean,
            components: positive(&orthonormal(&along)).contiguous(),
            explained_variance_ratio: explained_variance.iter().map(|v| v / whole).collect(),
            explained_variance,
        }
    }

    /// Coordinates along the components.
    ///
    /// # Shapes
    /// `x`: [N, D]; result: [N, n_components] f64.
    pub fn transform(&self, x: &Tensor) -> Tensor {
        (x.detach().to_dtype(DType::F64) - &self.mean).matmul(&self.components.t()) // [N, D] [D, n_components]
    }

    /// The examples with these coordinates, as far as the components describe them.
    ///
    /// # Shapes
    /// `coordinates`: [N, n_components]; result: [N, D] f64.
    pub fn inverse_transform(&self, coordinates: &Tensor) -> Tensor {
        coordinates.to_dtype(DType::F64).matmul(&self.components) + &self.mean // [N, n_components] [n_components, D]
    }
}

/// The largest eigenvalues, descending, and their vectors as rows, by subspace iteration.
///
/// Source: Halko, Martinsson and Tropp, 2011, <https://arxiv.org/abs/0909.4061>, algorithm 4.4.
fn largest(matrix: &Tensor, count: usize) -> (Tensor, Tensor) {
    let d = matrix.size(0);
    let mut basis = orthonormal(&normals(0, [count + BEYOND, d])); // rows
    let mut before = vec![f64::INFINITY; count];
    for i in 0.. {
        let image = basis.matmul(matrix); // [k, D] [D, D]
        let (values, rotation) = image.matmul(&basis.t()).eigh(); // [k, D] [D, k]
        let found = values.flip([0]).to_vec::<f64>();
        let settled = found.iter().zip(&before).all(|(a, b)| (a - b).abs() <= 1e-14 * found[0].abs());
        if settled || i == ITERATIONS {
            let vectors = rotation.t().flip([0]).matmul(&basis).narrow(0, 0, count); // [k, k] [k, D]
            return (values.flip([0]), positive(&vectors));
        }
        before = found;
        before.truncate(count);
        basis = orthonormal(&image);
    }
    unreachable!("the loop ends at the last iteration")
}

/// The rows with the largest element of each made positive.
fn positive(rows: &Tensor) -> Tensor {
    let (most, least) = (rows.amax([1], true), rows.amin([1], true));
    let negative = (&most + &least).lt_scalar(0.0).to_dtype(DType::F64);
    rows * (1.0 - negative * 2.0)
}

/// The rows made orthonormal one after the other, twice for the sake of rounding.
fn orthonormal(rows: &Tensor) -> Tensor {
    let d = rows.size(1);
    let mut rows: Vec<Vec<f64>> = rows.contiguous().to_vec::<f64>().chunks_exact(d).map(<[f64]>::to_vec).collect();
    for i in 0..rows.len() {
        let (done, rest) = rows.split_at_mut(i);
        super::orthonormalize(&mut rest[0], done);
    }
    let k = rows.len();
    Tensor::from_vec(rows.concat(), [k, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iteration_finds_what_the_whole_decomposition_finds() {
        let scales: Vec<f64> = (0..40).map(|i| 3.0 * 0.8f64.powi(i)).collect();
        let x = normals(1, [90, 40]) * Tensor::from_vec(scales, [40]);
        let covariance = Moments::of(&x).covariance;
        let (values, vectors) = largest(&covariance, 4);
        let (all, whole) = covariance.eigh();
        for i in 0..4 {
            assert!((values.at(&[i]) - all.at(&[39 - i])).abs() < 1e-12 * all.at(&[39]));
            let along = (vectors.select(0, i) * whole.select(1, 39 - i)).sum().item_f64();
            assert!((along - 1.0).abs() < 1e-9, "component {i}: {along}");
        }
    }

    #[test]
    fn few_examples_of_many_features_have_the_eigenvectors_of_their_covariance() {
        let x = normals(3, [24, WHOLE + 44]) * 2.0 + 1.0;
        let pca = Pca::fit(&x, 5);
        let covariance = Moments::of(&x).covariance * (24.0 / 23.0);
        let image = pca.components.matmul(&covariance); // [5, D] [D, D]
        let variance = Tensor::from_vec(pca.explained_variance.clone(), [5, 1]);
        assert!((image - &pca.components * variance).abs().max().item_f64() < 1e-6);
        let shares: f64 = pca.explained_variance.iter().sum::<f64>() / covariance.trace().item_f64();
        assert!((pca.explained_variance_ratio.iter().sum::<f64>() - shares).abs() < 1e-12);
        assert!((pca.transform(&x).var_dim([0], 1, false).to_vec::<f64>()[0] - pca.explained_variance[0]).abs() < 1e-9);
    }

    #[test]
    fn all_components_give_the_examples_back() {
        let x = normals(2, [20, 5]);
        let pca = Pca::fit(&x, 5);
        let back = pca.inverse_transform(&pca.transform(&x));
        assert!((back - &x).abs().max().item_f64() < 1e-12);
        assert!((pca.explained_variance_ratio.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
