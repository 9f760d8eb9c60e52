//! Kernels that are known without training, for [`FixedConv2d`](super::FixedConv2d).
//!
//! The values of a high-pass kernel add up to zero: it shows where a picture changes, and an even surface gives zero.

use gradus_tensor::Tensor;

/// Sobel's kernels `[2, 3, 3]`: the gradient to the right, then the gradient downwards, each smoothed across.
///
/// The first answers to vertical edges, the second to horizontal ones.
///
/// Source: Sobel and Feldman, 1968; <https://en.wikipedia.org/wiki/Sobel_operator>.
///
/// ```
/// let k = gradus_nn::filters::sobel();
/// assert_eq!(k.select(0, 0).to_vec::<f32>(), [-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0]);
/// ```
pub fn sobel() -> Tensor {
    let right = [-1.0f32, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0];
    let down = [-1.0f32, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0];
    Tensor::from_slice(&[right, down].concat(), [2, 3, 3])
}

/// Laplace's kernel `[1, 3, 3]`: four times the middle less its neighbours above, below and at the sides.
///
/// Source: <https://en.wikipedia.org/wiki/Discrete_Laplace_operator>.
///
/// ```
/// assert_eq!(gradus_nn::filters::laplacian().sum().item(), 0.0);
/// ```
pub fn laplacian() -> Tensor {
    Tensor::from_slice(&[0.0f32, -1.0, 0.0, -1.0, 4.0, -1.0, 0.0, -1.0, 0.0], [1, 3, 3])
}

/// The high-pass kernel `[1, size, size]` of a picture less its mean over the window: 1 - 1 / size^2 in the middle,
/// -1 / size^2 elsewhere.
///
/// # Panics
/// If `size` is even: there is no middle.
///
/// ```
/// let k = gradus_nn::filters::detail(3);
/// assert!((k.at(&[0, 1, 1]) - 8.0 / 9.0).abs() < 1e-6 && k.sum().item().abs() < 1e-6);
/// ```
#[track_caller]
pub fn detail(size: usize) -> Tensor {
    if size.is_multiple_of(2) {
        gradus_tensor::fail("detail", format_args!("a kernel of size {size} has no middle"));
    }
    let n = size * size;
    let value = |i| if i == n / 2 { 1.0 - 1.0 / n as f32 } else { -1.0 / n as f32 };
    Tensor::from_vec((0..n).map(value).collect::<Vec<f32>>(), [1, size, size])
}
