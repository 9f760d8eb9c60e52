//! Matrices and kernels with a structure: orthogonal, identity, sparse.

use super::set;
use gradus_tensor::{DType, Tensor, fail, no_grad};

/// A random (semi-)orthogonal matrix times `gain`; dimensions beyond the second count as columns.
///
/// With W as `[rows, cols]`: W W^T = gain^2 I if rows <= cols, else W^T W = gain^2 I, so that the length of a
/// vector stays on its way through the layer. Drawn evenly from all such matrices: normal random columns are
/// made orthogonal one after another (twice each, which is enough in floating point), in f64.
///
/// Source: Saxe, McClelland and Ganguli, 2013, <https://arxiv.org/abs/1312.6120>.
///
/// # Panics
/// If `t` has fewer than two dimensions.
///
/// ```
/// use gradus_nn::init;
/// use gradus_tensor::Tensor;
/// let w = Tensor::zeros([3, 5]);
/// init::orthogonal_(&w, 1.0);
/// assert!((w.matmul(&w.t()) - Tensor::eye(3)).abs().max().item() < 1e-6);
/// ```
#[track_caller]
pub fn orthogonal_(t: &Tensor, gain: f64) {
    if t.rank() < 2 {
        fail("orthogonal_", format_args!("needs a tensor of two dimensions or more, got {}", t.shape()));
    }
    set(t, || {
        let rows = t.size(0);
        let cols = t.numel() / rows;
        let (long, short) = (rows.max(cols), rows.min(cols));
        // `short` vectors of `long` numbers, one after another.
        let mut q = Tensor::randn([short, long]).to_dtype(DType::F64).to_vec::<f64>();
        for i in 0..short {
            let (before, rest) = q.split_at_mut(i * long);
            let v = &mut rest[..long];
            for _ in 0..2 {
                for u in before.chunks_exact(long) {
                    let along: f64 = u.iter().zip(v.iter()).map(|(a, b)| a * b).sum();
                    v.iter_mut().zip(u).for_each(|(b, a)| *b -= along * a);
                }
            }
            let length = v.iter().map(|b| b * b).sum::<f64>().sqrt();
            v.iter_mut().for_each(|b| *b /= length);
        }
        let q = Tensor::from_vec(q, [short, long]) * gain;
        if rows <= cols { q.reshape(t.shape()) } else { q.t().reshape(t.shape()) }
    });
}

/// The identity matrix, cut or filled with zeros where `t` is not square.
///
/// # Panics
/// If `t` is not a matrix.
///
/// ```
/// use gradus_nn::init;
/// use gradus_tensor::Tensor;
/// let w = Tensor::zeros([2, 3]);
/// init::eye_(&w);
/// assert_eq!(w.to_vec::<f32>(), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
/// ```
#[track_caller]
pub fn eye_(t: &Tensor) {
    if t.rank() != 2 {
        fail("eye_", format_args!("needs a matrix, got {}", t.shape()));
    }
    let (rows, cols) = (t.size(0), t.size(1));
    set(t, || Tensor::eye(rows.max(cols)).narrow(0, 0, rows).narrow(1, 0, cols));
}

/// A kernel that leaves channels as they are: 1 in its middle from input channel c to output channel c, for as
/// many channels as both have; in each of `groups` groups of output channels (1 if the convolution has no groups).
///
/// # Panics
/// If `t` is not a kernel `[out, in / groups, ...]` of 1 to 3 spatial dimensions, or its output channels cannot be
/// divided into so many groups.
///
/// ```
/// use gradus_nn::{Conv2d, Forward, init};
/// use gradus_tensor::Tensor;
/// let layer = Conv2d::new(3, 3, 3).padding(1).bias(false);
/// init::dirac_(&layer.weight, 1);
/// let x = Tensor::rand([1, 3, 4, 4]);
/// assert_eq!(layer.forward(&x).to_vec::<f32>(), x.to_vec::<f32>());
/// ```
#[track_caller]
pub fn dirac_(t: &Tensor, groups: usize) {
    let shape = t.shape();
    if !(3..=5).contains(&shape.len()) {
        fail("dirac_", format_args!("needs a kernel [out, in, ...] of 1 to 3 spatial dimensions, got {shape}"));
    }
    if groups == 0 || !shape[0].is_multiple_of(groups) {
        fail("dirac_", format_args!("{} output channels cannot be divided into {groups} groups", shape[0]));
    }
    set(t, || {
        let outputs = shape[0] / groups;
        let size: usize = shape[2..].iter().product();
        let middle = shape[2..].iter().fold(0, |at, n| at * n + n / 2);
        let mut kernel = vec![0.0f64; shape.numel()];
        for g in 0..groups {
            for c in 0..outputs.min(shape[1]) {
                kernel[((g * outputs + c) * shape[1] + c) * size + middle] = 1.0;
            }
        }
        Tensor::from_vec(kernel, shape)
    });
}

/// A normal random matrix, mean 0 and standard deviation `std`, with the share `sparsity` of each column
/// (rounded up to whole elements) set to zero, at random rows.
///
/// Source: Martens, 2010, <https://www.cs.toronto.edu/~jmartens/docs/Deep_HessianFree.pdf>.
///
/// # Panics
/// If `t` is not a matrix or `sparsity` is not in 0..=1.
///
/// ```
/// use gradus_nn::init;
/// use gradus_tensor::Tensor;
/// let w = Tensor::zeros([10, 4]);
/// init::sparse_(&w, 0.75, 0.01);
/// assert!(w.eq_scalar(0.0).to_vec::<bool>().chunks(4).flatten().filter(|&&zero| zero).count() == 4 * 8);
/// ```
#[track_caller]
pub fn sparse_(t: &Tensor, sparsity: f64, std: f64) {
    if t.rank() != 2 || !(0.0..=1.0).contains(&sparsity) {
        let shape = t.shape();
        fail("sparse_", format_args!("needs a matrix and a share in 0..=1, got {shape} and {sparsity}"));
    }
    set(t, || {
        let (rows, cols) = (t.size(0), t.size(1));
        let zeros = (sparsity * rows as f64).ceil() as usize;
        let w = Tensor::normal(0.0, std, [rows, cols]);
        for c in 0..cols {
            for r in &Tensor::randperm(rows).to_vec::<i64>()[..zeros] {
                no_grad(|| w.select(0, *r as usize).select(0, c).zero_());
            }
        }
        w
    });
}
