//! Looking into data and models: projections, curvature, maps of what a model sees, its statistics and invariances.

mod boundary;
mod frequency;
mod gates;
mod hessian;
mod invariance;
mod layers;
mod maps;
mod moments;
mod neighbours;
mod pca;
mod quadtree;
mod study;
mod surface;
mod tsne;

pub use boundary::{HiddenCode, decision_boundary_svg, hidden_codes};
pub use frequency::split_frequencies;
pub use gates::{GateTrace, Saturation};
pub use hessian::{Extremes, Hessian};
pub use invariance::{Change, Invariance, invariance, invariance_svgs};
pub use layers::{
    GradientSize, LayerStatistics, LayerWatch, Quantity, activation_statistics, gradient_sizes, gradient_statistics,
};
use maps::overview_svg;
pub use maps::{Occlusion, feature_map_tiles, feature_maps, filter_tiles, maps_svg, saliency};
pub use moments::Moments;
pub use neighbours::trustworthiness;
pub use pca::Pca;
pub use study::{ANALYSES, AnalysisRow, Study, find_analyses};
pub use surface::{Interpolation, Surface, interpolate_loss, loss_surface};
pub use tsne::{Embedding, Init, Method, Tsne};

use gradus_tensor::Tensor;
use gradus_tensor::threads;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Standard normal numbers in f64 that follow from the seed alone; the generator of the tensors is left as it is.
pub(crate) fn normals<const R: usize>(seed: u64, shape: [usize; R]) -> Tensor {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| rng.sample(StandardNormal)).collect();
    Tensor::from_vec(values, shape)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Takes out of `v` what lies along the orthonormal `basis`, twice for the sake of rounding, and brings it to length 1.
/// Returns the length that was left.
fn orthonormalize(v: &mut [f64], basis: &[Vec<f64>]) -> f64 {
    for _ in 0..2 {
        for b in basis {
            let along = dot(v, b);
            v.iter_mut().zip(b).for_each(|(x, b)| *x -= along * b);
        }
    }
    let length = dot(v, v).sqrt();
    if length > 0.0 {
        v.iter_mut().for_each(|x| *x /= length);
    }
    length
}

/// Fills `out`, cut into pieces of `size`, by a function of the piece's number. Each piece is computed alone, so the
/// result does not depend on the number of threads.
fn fill<T: Send>(out: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let pieces = out.len() / size;
    let share = pieces.div_ceil(threads().max(1)).max(1);
    std::thread::scope(|scope| {
        for (t, part) in out.chunks_mut(share * size).enumerate() {
            let f = &f;
            let mut run = move || part.chunks_mut(size).enumerate().for_each(|(i, piece)| f(t * share + i, piece));
            match (t + 1) * share >= pieces {
                true => run(), // the last part on this thread
                false => drop(scope.spawn(run)),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_filled_once_each_by_their_numbers() {
        for (pieces, size) in [(0, 1), (1, 3), (7, 2), (64, 1)] {
            let mut out = vec![0usize; pieces * size];
            fill(&mut out, size, |i, piece| piece.iter_mut().for_each(|x| *x += i + 1));
            assert_eq!(out, (0..pieces * size).map(|k| k / size + 1).collect::<Vec<_>>());
        }
    }

    #[test]
    fn numbers_follow_from_the_seed() {
        let x = normals(1, [100, 100]);
        assert_eq!(x.to_vec::<f64>(), normals(1, [100, 100]).to_vec::<f64>());
        assert_ne!(x.to_vec::<f64>(), normals(2, [100, 100]).to_vec::<f64>());
        assert!(x.mean().item_f64().abs() < 0.05 && (x.std(0).item_f64() - 1.0).abs() < 0.03);
    }
}
