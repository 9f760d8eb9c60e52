//! Curvature: the Hessian of a loss by products with vectors, its extreme eigenvalues and its condition number.

use super::{dot, normals, orthonormalize};
use gradus_tensor::autograd::{GradOptions, grad};
use gradus_tensor::{DType, Tensor};

/// The Hessian `H = d^2 loss / d w^2` of a loss at the present weights w, taken as one long vector.
///
/// It is never written down: a product with a vector v is the gradient of `(d loss / d w) . v`, one more backward
/// pass through the recorded first one.
///
/// Source: Pearlmutter, 1994, <https://doi.org/10.1162/neco.1994.6.1.147>.
///
/// ```
/// use gradus_tensor::Tensor;
/// use gradus_train::analysis::Hessian;
/// let w = Tensor::from_slice(&[1.0f64, 2.0], [2]).requires_grad_(true);
/// let loss = (w.square() * Tensor::from_slice(&[1.5f64, 0.5], [2])).sum(); // H = diag(3, 1)
/// let hessian = Hessian::new(&loss, std::slice::from_ref(&w));
/// assert_eq!(hessian.product(&[1.0, 10.0]), [3.0, 10.0]);
/// assert!((hessian.top_eigenvalue(0) - 3.0).abs() < 1e-9 && (hessian.condition_number() - 3.0).abs() < 1e-9);
/// ```
pub struct Hessian {
    parameters: Vec<Tensor>,
    /// The gradients, still in the graph.
    gradients: Vec<Tensor>,
}

/// The ends of a spectrum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extremes {
    /// The lowest eigenvalue: below 0 at a saddle.
    pub lowest: f64,
    /// The highest.
    pub highest: f64,
}

/// Directions after which the ends of a spectrum have long been found.
const LANCZOS: usize = 120;
/// The ends count as found when they change by less than this part of the larger, in f64 and in narrower types.
const TOLERANCE: [f64; 2] = [1e-10, 1e-4];
/// The largest number of weights for which the Hessian is written down.
const EXPLICIT: usize = 2000;

impl Hessian {
    /// The Hessian of `loss`, a scalar computed from `parameters`; those it does not depend on have zero rows.
    ///
    /// # Panics
    /// If the loss is no scalar or depends on no parameter, or an operation on the way has no second derivative.
    #[track_caller]
    pub fn new(loss: &Tensor, parameters: &[Tensor]) -> Hessian {
        let options = GradOptions { create_graph: true, allow_unused: true, ..GradOptions::default() };
        let gradients = grad(&[loss], &parameters.iter().collect::<Vec<_>>(), options);
        Hessian { parameters: parameters.to_vec(), gradients }
    }

    /// How many weights there are.
    pub fn size(&self) -> usize {
        self.parameters.iter().map(Tensor::numel).sum()
    }

    /// The product `H v`.
    ///
    /// # Panics
    /// If `v` has not [`Hessian::size`] numbers.
    #[track_caller]
    pub fn product(&self, v: &[f64]) -> Vec<f64> {
        assert_eq!(v.len(), self.size(), "Hessian: the vector has another length than the weights");
        let mut at = 0;
        let mut along: Option<Tensor> = None;
        for (p, g) in self.parameters.iter().zip(&self.gradients) {
            let part = Tensor::from_slice(&v[at..at + p.numel()], p.shape()).to_dtype(p.dtype());
            at += p.numel();
            if g.requires_grad() {
                let term = (g * part).sum();
                along = Some(along.map_or_else(|| term.clone(), |sum| sum + &term));
            }
        }
        // A gradient that is constant has no derivative: the loss is linear.
        let Some(along) = along else { return vec![0.0; v.len()] };
        let options = GradOptions { retain_graph: true, allow_unused: true, ..GradOptions::default() };
        let products = grad(&[&along], &self.parameters.iter().collect::<Vec<_>>(), options);
        products.iter().flat_map(|p| p.to_dtype(DType::F64).contiguous().to_vec::<f64>()).collect()
    }

    /// The ends of the spectrum by Lanczos' method with full reorthogonalisation, from a random start.
    ///
    /// Source: Golub and Van Loan, Matrix Computations, 4th ed., chapter 10.
    pub fn extremes(&self, seed: u64) -> Extremes {
        let n = self.size();
        let tolerance = TOLERANCE[usize::from(self.parameters.iter().any(|p| p.dtype() != DType::F64))];
        let mut next = normals(seed, [n]).to_vec::<f64>();
        orthonormalize(&mut next, &[]);
        let (mut basis, mut diagonal, mut beside) = (Vec::new(), Vec::new(), Vec::new());
        let mut found = Extremes { lowest: f64::NAN, highest: f64::NAN };
        for _ in 0..n.min(LANCZOS) {
            let mut image = self.product(&next);
            diagonal.push(dot(&image, &next));
            basis.push(next);
            let ends = ends_of_tridiagonal(&diagonal, &beside);
            let scale = ends.lowest.abs().max(ends.highest.abs());
            let change = (ends.lowest - found.lowest).abs().max((ends.highest - found.highest).abs());
            found = ends;
            let left = orthonormalize(&mut image, &basis);
            if left <= 1e-12 * scale || change <= tolerance * scale {
                break;
            }
            beside.push(left);
            next = image;
        }
        found
    }

    /// The eigenvalue of the largest absolute value.
    pub fn top_eigenvalue(&self, seed: u64) -> f64 {
        let ends = self.extremes(seed);
        if ends.highest.abs() >= ends.lowest.abs() { ends.highest } else { ends.lowest }
    }

    /// The whole matrix, column by column; its symmetric part.
    ///
    /// # Shapes
    /// Result: [n, n] f64.
    ///
    /// # Panics
    /// Above 2000 weights.
    #[track_caller]
    pub fn matrix(&self) -> Tensor {
        let n = self.size();
        assert!(n <= EXPLICIT, "Hessian: {n} weights have a matrix of {n} x {n}; it is written down up to {EXPLICIT}");
        let columns: Vec<f64> =
            (0..n).flat_map(|i| self.product(&(0..n).map(|j| f64::from(i == j)).collect::<Vec<f64>>())).collect();
        let matrix = Tensor::from_vec(columns, [n, n]);
        (&matrix + matrix.t()) * 0.5
    }

    /// The condition number `max |lambda| / min |lambda|`, infinite for a singular Hessian; for small problems.
    ///
    /// # Panics
    /// As [`Hessian::matrix`].
    #[track_caller]
    pub fn condition_number(&self) -> f64 {
        let values = self.matrix().eigh().0.abs();
        values.max().item_f64() / values.min().item_f64()
    }
}

/// The lowest and the highest eigenvalue of a symmetric matrix with two bands.
fn ends_of_tridiagonal(diagonal: &[f64], beside: &[f64]) -> Extremes {
    // By bisection on how many eigenvalues lie below x, which the signs of the pivots of T - x tell.
    let below = |x: f64| {
        let mut count = 0;
        let mut pivot = 1.0;
        for (i, d) in diagonal.iter().enumerate() {
            let off = if i == 0 { 0.0 } else { beside[i - 1] * beside[i - 1] / pivot };
            pivot = d - x - off;
            if pivot.abs() < f64::MIN_POSITIVE {
                pivot = f64::MIN_POSITIVE;
            }
            count += usize::from(pivot < 0.0);
        }
        count
    };
    let radius = |i: usize| {
        let left = if i > 0 { beside[i - 1].abs() } else { 0.0 };
        left + beside.get(i).map_or(0.0, |b| b.abs())
    };
    let low = (0..diagonal.len()).map(|i| diagonal[i] - radius(i)).fold(f64::INFINITY, f64::min);
    let high = (0..diagonal.len()).map(|i| diagonal[i] + radius(i)).fold(f64::NEG_INFINITY, f64::max);
    let find = |count: usize| {
        let (mut a, mut b) = (low, high);
        for _ in 0..200 {
            let middle = a + (b - a) / 2.0;
            if middle <= a || middle >= b {
                break;
            }
            (a, b) = if below(middle) >= count { (a, middle) } else { (middle, b) };
        }
        a + (b - a) / 2.0
    };
    Extremes { lowest: find(1), highest: find(diagonal.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Moments;
    use gradus_nn::losses::cross_entropy;
    use gradus_nn::{Forward, Linear, Module, Tanh, sequential};

    /// The Hessian of a small net in f64.
    fn net() -> (Hessian, usize) {
        let mut net = sequential![Linear::new(3, 4), Tanh, Linear::new(4, 2)];
        net.to_dtype(DType::F64);
        for (i, p) in net.parameters().iter().enumerate() {
            gradus_tensor::no_grad(|| p.copy_(&(normals(i as u64, [p.numel()]) * 0.7).reshape(p.shape())));
        }
        let labels = Tensor::from_slice(&[0i64, 1, 1, 0, 1], [5]);
        let loss = cross_entropy(&net.forward(&normals(9, [5, 3])), &labels);
        let hessian = Hessian::new(&loss, &net.parameters());
        let size = net.num_parameters();
        (hessian, size)
    }

    #[test]
    fn products_are_finite_differences_of_the_gradient() {
        let data = normals(9, [5, 3]);
        let gradient = |w: &[f64]| {
            let w = Tensor::from_slice(w, [3]).requires_grad_(true);
            let loss = data.matmul(&w.unsqueeze(1)).tanh().square().sum() + w.exp().sum(); // [5, 3] [3, 1]
            let hessian = Hessian::new(&loss, std::slice::from_ref(&w));
            (hessian.gradients[0].detach().to_vec::<f64>(), hessian)
        };
        let (w, v, h) = ([0.3, -0.5, 0.2], [1.0, 2.0, -0.5], 1e-5);
        let moved = |sign: f64| gradient(&std::array::from_fn::<f64, 3, _>(|i| w[i] + sign * h * v[i])).0;
        let (up, down) = (moved(1.0), moved(-1.0));
        let product = gradient(&w).1.product(&v);
        for i in 0..3 {
            assert!((product[i] - (up[i] - down[i]) / (2.0 * h)).abs() < 1e-7);
        }
    }

    #[test]
    fn the_ends_of_the_spectrum_are_those_of_the_whole_matrix() {
        let (hessian, size) = net();
        let matrix = hessian.matrix();
        assert_eq!(matrix.shape(), [size, size]);
        let values = matrix.eigh().0.to_vec::<f64>();
        let ends = hessian.extremes(1);
        assert!((ends.highest - values[size - 1]).abs() < 1e-8 * values[size - 1], "{ends:?} {values:?}");
        assert!((ends.lowest - values[0]).abs() < 1e-8 * values[size - 1], "{ends:?} {values:?}");
        assert!((hessian.top_eigenvalue(2) - values[size - 1]).abs() < 1e-8);
        let v = normals(4, [size]);
        let explicit = matrix.matmul(&v.unsqueeze(1)).flatten(0, -1).to_vec::<f64>(); // [n, n] [n, 1]
        assert!(hessian.product(&v.to_vec::<f64>()).iter().zip(&explicit).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn a_linear_loss_has_no_curvature() {
        let w = Tensor::from_slice(&[1.0f64, 2.0], [2]).requires_grad_(true);
        assert_eq!(Hessian::new(&w.sum(), std::slice::from_ref(&w)).product(&[1.0, 1.0]), [0.0, 0.0]);
    }

    /// The Hessian of the squared error of a linear unit with a bias, which depends on the inputs alone.
    fn squared_error(x: &Tensor) -> Hessian {
        let w = normals(1, [x.size(1), 1]).requires_grad_(true);
        let b = normals(2, [1]).requires_grad_(true);
        let y = normals(3, [x.size(0), 1]);
        let loss = (x.matmul(&w) + &b - y).square().mean(); // [N, D] [D, 1]
        Hessian::new(&loss, &[w, b])
    }

    #[test]
    fn the_hessian_of_squared_error_has_the_mean_in_it_and_centring_lowers_its_condition_number() {
        let x =
            normals(5, [400, 2]) * Tensor::from_slice(&[1.0f64, 2.0], [2]) + Tensor::from_slice(&[4.0f64, -3.0], [2]);
        let moments = Moments::of(&x);
        let hessian = squared_error(&x).matrix();
        // H = 2 [[E[x x^T], mu], [mu^T, 1]], and E[x x^T] = cov + mu mu^T.
        assert!((hessian.narrow(0, 0, 2).narrow(1, 0, 2) - moments.second * 2.0).abs().max().item_f64() < 1e-12);
        assert!((hessian.narrow(0, 2, 1).narrow(1, 0, 2) - &moments.mean * 2.0).abs().max().item_f64() < 1e-12);
        let centred = &x - &moments.mean;
        let scaled = &centred / x.std_dim([0], 0, true);
        let [raw, centred, scaled] = [&x, &centred, &scaled].map(|x| squared_error(x).condition_number());
        assert!(raw > 50.0 && centred < 5.0 && scaled < 1.3, "{raw} {centred} {scaled}");
    }
}
