//! Eigenvalues and eigenvectors of symmetric matrices.

use crate::autograd::{is_grad_enabled, record};
use crate::dtype::Element;
use crate::shape::Shape;
use crate::{DType, Tensor, dispatch_float, fail};

/// Sweeps over all pairs after which the rotations have long converged.
const SWEEPS: usize = 60;

/// Diagonalises the symmetric n x n matrix `a` by Jacobi's rotations, row pair by row pair. On return
/// `a`'s diagonal holds the eigenvalues and the columns of `v` the eigenvectors.
fn jacobi(a: &mut [f64], v: &mut [f64], n: usize) {
    v.fill(0.0);
    v.iter_mut().step_by(n + 1).for_each(|x| *x = 1.0);
    let total: f64 = a.iter().map(|x| x * x).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i * n + j].powi(2)).sum();
        if off <= total * f64::EPSILON * f64::EPSILON {
            return;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(a, v, n, p, q);
            }
        }
    }
}

/// The rotation in the plane of p and q that makes a[p][q] zero (Golub and Van Loan, section 8.5).
fn rotate(a: &mut [f64], v: &mut [f64], n: usize, p: usize, q: usize) {
    let apq = a[p * n + q];
    if apq == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
    // The smaller root of t^2 + 2 theta t - 1, of magnitude at most 1.
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..n {
        let (x, y) = (a[p * n + k], a[q * n + k]);
        (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
        let (x, y) = (v[k * n + p], v[k * n + q]);
        (v[k * n + p], v[k * n + q]) = (c * x - s * y, s * x + c * y);
    }
    (a[p * n + q], a[q * n + p]) = (0.0, 0.0);
}

/// Eigenvalues in ascending order and the vectors, each with its largest component positive, of the
/// symmetric part of one matrix.
fn decompose(matrix: &[f64], n: usize, values: &mut [f64], vectors: &mut [f64]) {
    let mut a: Vec<f64> = (0..n * n).map(|i| 0.5 * (matrix[i] + matrix[i % n * n + i / n])).collect();
    let mut v = vec![0.0; n * n];
    jacobi(&mut a, &mut v, n);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[i * n + i].total_cmp(&a[j * n + j]));
    for (to, &from) in order.iter().enumerate() {
        values[to] = a[from * n + from];
        let column = || (0..n).map(|k| v[k * n + from]);
        let largest = column().fold(0.0, |b: f64, x| if x.abs() > b.abs() * (1.0 + 1e-9) { x } else { b });
        let sign = if largest < 0.0 { -1.0 } else { 1.0 };
        column().enumerate().for_each(|(k, x)| vectors[k * n + to] = sign * x);
    }
}

impl Tensor {
    /// Eigenvalues in ascending order and orthonormal eigenvectors (columns) of symmetric matrices:
    /// A = V diag(w) V^T.
    ///
    /// By Jacobi's rotations in f64, for small matrices. Each vector's sign is chosen so that its largest
    /// component is positive. Both results are differentiable, the vectors only where the eigenvalues
    /// are distinct; a gradient is that of the symmetric part of A.
    ///
    /// # Shapes
    /// [.., n, n] -> ([.., n], [.., n, n])
    ///
    /// # Panics
    /// If the matrices are not square or not symmetric, hold NaN or infinity, or are not f32 or f64.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let a = Tensor::from_slice(&[2.0f32, 1.0, 1.0, 2.0], [2, 2]);
    /// let (w, v) = a.eigh();
    /// assert_eq!(w.to_vec::<f32>(), [1.0, 3.0]);
    /// assert!((v.matmul(&w.diag(0)).matmul(&v.t()) - a).abs().max().item() < 1e-6);
    /// ```
    #[track_caller]
    pub fn eigh(&self) -> (Tensor, Tensor) {
        let r = self.rank();
        if r < 2 || self.size(-1) != self.size(-2) {
            fail("eigh", format_args!("needs square matrices [.., n, n], got shape {}", self.shape()));
        }
        let n = self.size(-1);
        let x = self.detach().to_dtype(DType::F64).contiguous_data();
        self.check_symmetric(&x, n);
        let mut short = self.shape();
        short.remove(r - 1);
        let (w, v) = dispatch_float!(self.dtype(), "eigh", T => {
            let src = x.read::<f64>();
            let (mut w, mut v) = (vec![0.0; short.numel()], vec![0.0; src.len()]);
            if n > 0 {
                let outputs = w.chunks_exact_mut(n).zip(v.chunks_exact_mut(n * n));
                src.chunks_exact(n * n).zip(outputs).for_each(|(a, (w, v))| decompose(a, n, w, v));
            }
            let build = |data: Vec<f64>, shape: Shape| {
                Tensor::from_vec(data.into_iter().map(T::from_f64).collect::<Vec<T>>(), shape)
            };
            (build(w, short), build(v, self.shape()))
        });
        let (saved, plain) = (self.save(), (w.clone(), v.clone()));
        // The results as functions of A where derivatives of derivatives are recorded, else as they are.
        let again = move || if is_grad_enabled() { saved.eigh() } else { (plain.0.clone(), plain.1.clone()) };
        let again = std::sync::Arc::new(again);
        let first = again.clone();
        let values = record("eigh_values", w, &[self], move |ctx| {
            ctx.set(0, || {
                let v = first().1;
                (&v * ctx.grad().unsqueeze(-2)).matmul(&v.transpose(-2, -1))
            })
        });
        let vectors = record("eigh_vectors", v, &[self], move |ctx| {
            ctx.set(0, || {
                // V (F * V^T G) V^T with F_ij = 1 / (w_j - w_i), 0 on the diagonal; its symmetric part.
                let (w, v) = again();
                let vt = v.transpose(-2, -1);
                let same = Tensor::eye(n).gt_scalar(0.0);
                let gap = (w.unsqueeze(-2) - w.unsqueeze(-1)).masked_fill(&same, 1.0);
                let inner = (vt.matmul(ctx.grad()) / gap).masked_fill(&same, 0.0);
                let g = v.matmul(&inner).matmul(&vt);
                (&g + g.transpose(-2, -1)) * 0.5
            })
        });
        (values, vectors)
    }

    /// Refuses matrices with an element that is far from its mirror image, or no number.
    #[track_caller]
    fn check_symmetric(&self, x: &Tensor, n: usize) {
        let a = x.read::<f64>();
        if let Some(bad) = a.iter().find(|v| !v.is_finite()) {
            fail("eigh", format_args!("a matrix of {} holds {bad}", self.shape()));
        }
        let largest = a.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        for i in 0..a.len() {
            let (matrix, row, col) = (i / (n * n), i / n % n, i % n);
            let mirror = a[matrix * n * n + col * n + row];
            if (a[i] - mirror).abs() > 1e-4 * largest {
                fail(
                    "eigh",
                    format_args!(
                        "needs symmetric matrices: element [{row}, {col}] is {}, [{col}, {row}] is {mirror}",
                        a[i]
                    ),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{gradcheck, gradgradcheck};

    fn symmetric(n: usize) -> Tensor {
        let a = Tensor::from_vec::<f64>((0..n * n).map(|i| (2.3 * i as f64 + 0.5).sin()).collect(), [n, n]);
        &a + a.t()
    }

    fn largest(t: Tensor) -> f64 {
        t.abs().max().item_f64()
    }

    #[test]
    fn the_parts_make_the_whole() {
        for n in [1, 2, 5, 24] {
            let a = symmetric(n);
            let (w, v) = a.eigh();
            assert!(largest(v.matmul(&w.diag(0)).matmul(&v.t()) - &a) < 1e-12 * n as f64);
            assert!(largest(v.t().matmul(&v) - Tensor::eye(n)) < 1e-13 * n as f64);
            let w = w.to_vec::<f64>();
            assert!(w.windows(2).all(|p| p[0] <= p[1]));
        }
        let (w, v) = Tensor::eye(3).eigh();
        assert_eq!((w.to_vec::<f32>(), v.to_vec::<f32>()), (vec![1.0; 3], Tensor::eye(3).to_vec::<f32>()));
        assert_eq!(Tensor::zeros([0, 0]).eigh().0.shape(), [0]);
        let batch = Tensor::stack(&[&symmetric(3), &(symmetric(3) * 2.0)], 0);
        assert!(largest(batch.eigh().0.select(0, 1) - symmetric(3).eigh().0 * 2.0) < 1e-12);
    }

    #[test]
    fn values_and_vectors_differentiate_twice() {
        let a = [symmetric(3)];
        gradcheck(|x| x[0].eigh().0, &a).unwrap();
        gradgradcheck(|x| x[0].eigh().0.square(), &a).unwrap();
        gradcheck(|x| x[0].eigh().1, &a).unwrap();
        gradgradcheck(|x| x[0].eigh().1.square(), &a).unwrap();
        let batch = Tensor::stack(&[&symmetric(2), &(symmetric(2) * 1.5)], 0);
        gradcheck(
            |x| {
                let (w, v) = x[0].eigh();
                w.exp().unsqueeze(-2) * v
            },
            &[batch],
        )
        .unwrap();
    }

    #[test]
    #[should_panic(expected = "eigh: needs symmetric matrices: element [0, 1] is 1, [1, 0] is 0")]
    fn other_matrices_are_refused() {
        Tensor::eye(2).triu(0).add(&Tensor::ones([2, 2]).triu(1)).eigh();
    }
}
