//! Distances between examples, and whether a map keeps who is near whom.

use super::fill;
use gradus_tensor::{DType, Tensor};

/// Squared distances between all rows, [N, N] row by row.
pub(super) fn squared_distances(rows: &[f64], n: usize) -> Vec<f64> {
    let d = rows.len() / n.max(1);
    let mut out = vec![0.0; n * n];
    fill(&mut out, n.max(1), |i, row| {
        for (j, to) in row.iter_mut().enumerate() {
            let (a, b) = (&rows[i * d..(i + 1) * d], &rows[j * d..(j + 1) * d]);
            *to = a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum();
        }
    });
    out
}

/// The other examples, nearest first; of equal distances the one that comes first.
pub(super) fn nearest(distances: &[f64], i: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..distances.len()).filter(|&j| j != i).collect();
    order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]).then(a.cmp(&b)));
    order
}

/// How far the neighbours in a map are neighbours in the original space: 1 if all are, 0 at worst.
///
/// `T(k) = 1 - 2 / (N k (2 N - 3 k - 1)) sum_i sum_(j in N_i^k) max(0, r(i, j) - k)`, where `N_i^k` are the k nearest
/// examples of i in the map and `r(i, j)` the rank of j among the neighbours of i in the original space.
///
/// # Shapes
/// `x`: [N, D]; `embedding`: [N, 2] or the like.
///
/// # Panics
/// If the two have different numbers of rows, or `n_neighbors` is not at least 1 and below N / 2.
///
/// Source: Venna and Kaski, 2001;
/// <https://scikit-learn.org/stable/modules/generated/sklearn.manifold.trustworthiness.html>.
///
/// ```
/// use gradus_tensor::Tensor;
/// use gradus_train::analysis::trustworthiness;
/// let x = Tensor::from_slice(&[0.0f32, 1.0, 3.0, 7.0, 15.0, 31.0], [6, 1]);
/// assert_eq!(trustworthiness(&x, &(&x * -2.0), 2), 1.0);
/// ```
#[track_caller]
pub fn trustworthiness(x: &Tensor, embedding: &Tensor, n_neighbors: usize) -> f64 {
    let (n, k) = (x.size(0), n_neighbors);
    assert!(embedding.size(0) == n, "trustworthiness: {n} examples and {} places", embedding.size(0));
    assert!(k > 0 && 2 * k < n, "trustworthiness: n_neighbors must be from 1 to below {n} / 2, got {k}");
    let distances = |t: &Tensor| squared_distances(&t.detach().to_dtype(DType::F64).contiguous().to_vec::<f64>(), n);
    let (original, map) = (distances(x), distances(embedding));
    let mut excess = vec![0usize; n];
    fill(&mut excess, 1, |i, out| {
        let mut rank = vec![0; n];
        nearest(&original[i * n..(i + 1) * n], i).into_iter().enumerate().for_each(|(r, j)| rank[j] = r + 1);
        let near = nearest(&map[i * n..(i + 1) * n], i);
        out[0] = near[..k].iter().map(|&j| rank[j].saturating_sub(k)).sum();
    });
    let (n, k) = (n as f64, k as f64);
    1.0 - excess.iter().sum::<usize>() as f64 * 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0))
}
