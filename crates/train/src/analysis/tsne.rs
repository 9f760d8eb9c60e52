//! t-distributed stochastic neighbour embedding.

use super::neighbours::{nearest, squared_distances};
use super::quadtree::Quadtree;
use super::{Pca, fill, normals};
use gradus_tensor::{DType, Tensor};

/// Up to this many examples every pair counts; beyond, far groups count as one.
const EXACT: usize = 1000;
/// Iterations with exaggerated affinities and little momentum.
const EXPLORATION: usize = 250;
/// Progress is looked at every so many iterations.
const CHECK: usize = 50;
const MIN_GRAD_NORM: f64 = 1e-7;
const WITHOUT_PROGRESS: usize = 300;

/// Where the places of a map begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// The first two principal components, made small.
    Pca,
    /// Small normal numbers.
    Random,
}

/// How repulsion is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Over all pairs, O(N^2).
    Exact,
    /// With a tree of squares, O(N log N), and with the affinities of the nearest neighbours alone.
    BarnesHut,
}

/// A map of examples on a plane in which near ones stay near. It shows structure; it does not cluster, and distances
/// between groups mean little.
///
/// With `p_ij` the affinities of examples at the given perplexity and `q_ij ~ 1 / (1 + |y_i - y_j|^2)`, the places y
/// minimise `KL(P || Q)`. Names and defaults are scikit-learn's. The result follows from data and seed, whatever the
/// number of threads.
///
/// Sources: van der Maaten and Hinton, 2008, <https://jmlr.org/papers/v9/vandermaaten08a.html>; van der Maaten, 2014
/// (the tree), <https://jmlr.org/papers/v15/vandermaaten14a.html>;
/// <https://scikit-learn.org/stable/modules/generated/sklearn.manifold.TSNE.html>.
///
/// ```
/// use gradus_tensor::Tensor;
/// use gradus_train::analysis::Tsne;
/// let x = Tensor::from_slice(&[0.0f32, 0.1, 0.2, 9.0, 9.1, 9.2], [6, 1]);
/// let map = Tsne::new().perplexity(2.0).max_iter(300).fit_transform(&x);
/// assert_eq!(map.embedding.shape(), [6, 2]);
/// ```
#[derive(Clone, Debug)]
pub struct Tsne {
    perplexity: f64,
    early_exaggeration: f64,
    learning_rate: Option<f64>,
    max_iter: usize,
    init: Init,
    method: Option<Method>,
    angle: f64,
    seed: u64,
}

/// What t-SNE found.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// The places, [N, 2] f64.
    pub embedding: Tensor,
    /// KL(P || Q) at the end.
    pub kl_divergence: f64,
    /// Iterations that were made.
    pub n_iter: usize,
}

impl Default for Tsne {
    fn default() -> Tsne {
        Tsne {
            perplexity: 30.0,
            early_exaggeration: 12.0,
            learning_rate: None,
            max_iter: 1000,
            init: Init::Pca,
            method: None,
            angle: 0.5,
            seed: 0,
        }
    }
}

impl Tsne {
    /// scikit-learn's defaults.
    pub fn new() -> Tsne {
        Tsne::default()
    }

    /// How many neighbours an example has in effect (30).
    pub fn perplexity(self, perplexity: f64) -> Tsne {
        Tsne { perplexity, ..self }
    }

    /// The factor of all affinities in the first 250 iterations (12).
    pub fn early_exaggeration(self, early_exaggeration: f64) -> Tsne {
        Tsne { early_exaggeration, ..self }
    }

    /// The step size; "auto" unless set: max(N / early_exaggeration / 4, 50).
    pub fn learning_rate(self, learning_rate: f64) -> Tsne {
        Tsne { learning_rate: Some(learning_rate), ..self }
    }

    /// The most iterations (1000), the first 250 included.
    pub fn max_iter(self, max_iter: usize) -> Tsne {
        Tsne { max_iter, ..self }
    }

    /// Where places begin (the principal components).
    pub fn init(self, init: Init) -> Tsne {
        Tsne { init, ..self }
    }

    /// How repulsion is computed; over all pairs up to 1000 examples, with a tree beyond, unless set.
    pub fn method(self, method: Method) -> Tsne {
        Tsne { method: Some(method), ..self }
    }

    /// How coarsely the tree is read (0.5).
    pub fn angle(self, angle: f64) -> Tsne {
        Tsne { angle, ..self }
    }

    /// The seed of the random beginning (0).
    pub fn seed(self, seed: u64) -> Tsne {
        Tsne { seed, ..self }
    }

    /// The map of the rows of `x`.
    ///
    /// # Shapes
    /// `x`: [N, D]; the embedding: [N, 2].
    ///
    /// # Panics
    /// If `x` is no matrix, or N is not above the perplexity.
    #[track_caller]
    pub fn fit_transform(&self, x: &Tensor) -> Embedding {
        assert!(x.rank() == 2, "t-SNE: examples are [N, D], got {}", x.shape());
        let n = x.size(0);
        assert!(
            self.perplexity >= 1.0 && self.perplexity < n as f64,
            "t-SNE: the perplexity must be from 1 to below the number of examples, {n}; got {}",
            self.perplexity
        );
        let x = x.detach().to_dtype(DType::F64).contiguous();
        let method = self.method.unwrap_or(if n > EXACT { Method::BarnesHut } else { Method::Exact });
        let neighbours = match method {
            Method::Exact => n - 1,
            Method::BarnesHut => (n - 1).min((3.0 * self.perplexity + 1.0) as usize),
        };
        let affinities = Affinities::new(&x.to_vec::<f64>(), n, neighbours, self.perplexity);
        let start = match self.init {
            Init::Random => normals(self.seed, [n, 2]) * 1e-4,
            Init::Pca => {
                let plane = Pca::fit(&x, 2.min(x.size(1))).transform(&x);
                let plane = if plane.size(1) < 2 { Tensor::cat(&[&plane, &plane.zeros_like()], 1) } else { plane };
                let deviation = plane.select(1, 0).std(0).item_f64();
                plane * (1e-4 / if deviation > 0.0 { deviation } else { 1.0 })
            }
        };
        self.descend(&affinities, start.contiguous().to_vec::<f64>(), method)
    }

    /// Gradient descent with momentum and a gain for each coordinate, as in the reference implementation.
    fn descend(&self, affinities: &Affinities, mut y: Vec<f64>, method: Method) -> Embedding {
        let n = y.len() / 2;
        let rate = self.learning_rate.unwrap_or_else(|| (n as f64 / self.early_exaggeration / 4.0).max(50.0));
        let (mut update, mut gains) = (vec![0.0; 2 * n], vec![1.0f64; 2 * n]);
        let mut gradient = vec![0.0; 2 * n];
        let (mut best, mut best_at, mut error, mut done) = (f64::INFINITY, 0, f64::NAN, 0);
        for i in 0..self.max_iter {
            let early = i < EXPLORATION;
            let (momentum, exaggeration) = if early { (0.5, self.early_exaggeration) } else { (0.8, 1.0) };
            if i == EXPLORATION {
                // The second phase begins anew, as in scikit-learn.
                (best, best_at) = (f64::INFINITY, i);
                update.fill(0.0);
                gains.fill(1.0);
            }
            let look = (i + 1).is_multiple_of(CHECK) || i + 1 == self.max_iter;
            let kl = affinities.gradient(&y, exaggeration, method, self.angle, look, &mut gradient);
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            for k in 0..2 * n {
                let turned = update[k] * gradient[k] < 0.0;
                gains[k] = (if turned { gains[k] + 0.2 } else { gains[k] * 0.8 }).max(0.01);
                update[k] = momentum * update[k] - rate * gains[k] * gradient[k];
                y[k] += update[k];
            }
            done = i + 1;
            if look {
                error = kl;
                (best, best_at) = if error < best { (error, i) } else { (best, best_at) };
                let patience = if early { EXPLORATION } else { WITHOUT_PROGRESS };
                if !early && (i - best_at > patience || norm <= MIN_GRAD_NORM) {
                    break;
                }
            }
        }
        Embedding { embedding: Tensor::from_vec(y, [n, 2]), kl_divergence: error, n_iter: done }
    }
}

/// The symmetric affinities P of examples, row by row.
struct Affinities {
    /// Of each example, the others it has an affinity with.
    rows: Vec<Vec<(u32, f64)>>,
}

impl Affinities {
    fn new(x: &[f64], n: usize, neighbours: usize, perplexity: f64) -> Affinities {
        let distances = squared_distances(x, n);
        let mut rows: Vec<Vec<(u32, f64)>> = vec![vec![]; n];
        fill(&mut rows, 1, |i, out| {
            let row = &distances[i * n..(i + 1) * n];
            let mut near: Vec<usize> = match neighbours + 1 < n {
                true => nearest(row, i),
                false => (0..n).filter(|&j| j != i).collect(),
            };
            near.truncate(neighbours);
            let shares = conditional(&near.iter().map(|&j| row[j]).collect::<Vec<f64>>(), perplexity);
            out[0] = near.iter().map(|&j| j as u32).zip(shares).collect();
        });
        let mut joint: Vec<Vec<(u32, f64)>> = rows.clone();
        for (i, row) in rows.iter().enumerate() {
            row.iter().for_each(|&(j, p)| joint[j as usize].push((i as u32, p)));
        }
        let whole: f64 = 2.0 * rows.iter().flatten().map(|(_, p)| p).sum::<f64>();
        for row in &mut joint {
            row.sort_by_key(|(j, _)| *j);
            // p(j | i) and p(i | j), where both are there, become one.
            row.dedup_by(|second, first| {
                second.0 == first.0 && {
                    first.1 += second.1;
                    true
                }
            });
            row.iter_mut().for_each(|(_, p)| *p = (*p / whole).max(f64::EPSILON));
        }
        Affinities { rows: joint }
    }

    /// Writes the gradient of KL(P || Q), P taken `exaggeration` times, and returns the divergence if asked.
    fn gradient(
        &self,
        y: &[f64],
        exaggeration: f64,
        method: Method,
        angle: f64,
        divergence: bool,
        out: &mut [f64],
    ) -> f64 {
        let n = self.rows.len();
        let q = |i: usize, j: usize| {
            let (dx, dy) = (y[2 * i] - y[2 * j], y[2 * i + 1] - y[2 * j + 1]);
            (1.0 / (1.0 + dx * dx + dy * dy), dx, dy)
        };
        let tree = (method == Method::BarnesHut).then(|| Quadtree::new(y));
        // Of each example: the attraction (2), the repulsion (2), its part of the normaliser.
        let mut forces = vec![0.0; 5 * n];
        fill(&mut forces, 5, |i, f| {
            for &(j, p) in &self.rows[i] {
                let (q, dx, dy) = q(i, j as usize);
                f[0] += exaggeration * p * q * dx;
                f[1] += exaggeration * p * q * dy;
            }
            match &tree {
                Some(tree) => {
                    let (force, sum) = tree.repulsion([y[2 * i], y[2 * i + 1]], angle, &mut Vec::with_capacity(64));
                    f[2..5].copy_from_slice(&[force[0], force[1], sum]);
                }
                None => {
                    for j in (0..n).filter(|&j| j != i) {
                        let (q, dx, dy) = q(i, j);
                        (f[2], f[3], f[4]) = (f[2] + q * q * dx, f[3] + q * q * dy, f[4] + q);
                    }
                }
            }
        });
        let normaliser: f64 = forces.chunks_exact(5).map(|f| f[4]).sum();
        for (g, f) in out.chunks_exact_mut(2).zip(forces.chunks_exact(5)) {
            (g[0], g[1]) = (4.0 * (f[0] - f[2] / normaliser), 4.0 * (f[1] - f[3] / normaliser));
        }
        if !divergence {
            return f64::NAN;
        }
        let term = |i: usize, &(j, p): &(u32, f64)| {
            let p = exaggeration * p;
            p * (p / (q(i, j as usize).0 / normaliser).max(f64::EPSILON)).ln()
        };
        self.rows.iter().enumerate().flat_map(|(i, row)| row.iter().map(move |e| (i, e))).map(|(i, e)| term(i, e)).sum()
    }
}

/// The affinities `p_j ~ exp(-beta d_j)` with the precision beta that gives them this perplexity.
fn conditional(distances: &[f64], perplexity: f64) -> Vec<f64> {
    let wanted = perplexity.ln();
    let nearest = distances.iter().copied().fold(f64::INFINITY, f64::min);
    let (mut beta, mut low, mut high) = (1.0, f64::NEG_INFINITY, f64::INFINITY);
    let mut shares = vec![0.0; distances.len()];
    for _ in 0..100 {
        // The nearest distance is taken off all, which changes no share and keeps the largest at 1.
        shares.iter_mut().zip(distances).for_each(|(p, d)| *p = (-beta * (d - nearest)).exp());
        let sum: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|p| *p /= sum);
        let mean: f64 = shares.iter().zip(distances).map(|(p, d)| p * (d - nearest)).sum();
        let entropy = sum.ln() + beta * mean;
        if (entropy - wanted).abs() <= 1e-5 {
            break;
        }
        if entropy > wanted {
            low = beta;
            beta = if high.is_finite() { (beta + high) / 2.0 } else { beta * 2.0 };
        } else {
            high = beta;
            beta = if low.is_finite() { (beta + low) / 2.0 } else { beta / 2.0 };
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinities_have_the_perplexity_and_add_up_to_one() {
        let x = normals(1, [60, 4]).to_vec::<f64>();
        let distances = squared_distances(&x, 60);
        let shares = conditional(&nearest(&distances[..60], 0).iter().map(|&j| distances[j]).collect::<Vec<_>>(), 12.0);
        let entropy: f64 = shares.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
        assert!((entropy.exp() - 12.0).abs() < 1e-3);
        for neighbours in [59, 37] {
            let p = Affinities::new(&x, 60, neighbours, 12.0);
            let all: f64 = p.rows.iter().flatten().map(|(_, p)| p).sum();
            assert!((all - 1.0).abs() < 1e-9, "{all}");
            let of = |i: usize, j: usize| p.rows[i].iter().find(|e| e.0 as usize == j).map(|e| e.1);
            assert!((0..60).all(|i| (0..60).all(|j| of(i, j) == of(j, i))));
        }
    }

    #[test]
    fn the_gradient_is_that_of_the_divergence() {
        let x = normals(2, [20, 3]).to_vec::<f64>();
        let p = Affinities::new(&x, 20, 19, 5.0);
        let y = normals(3, [20, 2]).to_vec::<f64>();
        let (mut g, mut unused) = (vec![0.0; 40], vec![0.0; 40]);
        p.gradient(&y, 1.0, Method::Exact, 0.5, false, &mut g);
        for k in [0, 7, 23, 39] {
            let at = |h: f64, out: &mut [f64]| {
                let moved: Vec<f64> = y.iter().enumerate().map(|(i, v)| if i == k { v + h } else { *v }).collect();
                p.gradient(&moved, 1.0, Method::Exact, 0.5, true, out)
            };
            let slope = (at(1e-5, &mut unused) - at(-1e-5, &mut unused)) / 2e-5;
            assert!((slope - g[k]).abs() < 1e-7, "{slope} {}", g[k]);
        }
        let mut tree = vec![0.0; 40];
        p.gradient(&y, 1.0, Method::BarnesHut, 0.0, false, &mut tree);
        assert!(g.iter().zip(&tree).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn a_seed_gives_one_map_whatever_the_number_of_threads() {
        let x = normals(4, [40, 5]);
        let map = |seed: u64, method: Method| {
            let tsne = Tsne::new().perplexity(8.0).max_iter(60).init(Init::Random).method(method);
            tsne.seed(seed).fit_transform(&x).embedding.to_vec::<f64>()
        };
        for method in [Method::Exact, Method::BarnesHut] {
            let threads = gradus_tensor::threads();
            gradus_tensor::set_threads(1);
            let one = map(1, method);
            gradus_tensor::set_threads(3);
            assert_eq!(one, map(1, method));
            gradus_tensor::set_threads(threads);
            assert_ne!(one, map(2, method));
        }
    }
}
