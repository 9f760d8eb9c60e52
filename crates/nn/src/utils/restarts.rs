//! Training again from other starting points.

use gradus_tensor::manual_seed;

/// The best of several runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Restart<T> {
    /// The seed it began with.
    pub seed: u64,
    /// Its loss.
    pub loss: f64,
    /// What it gave beside the loss, such as a model.
    pub value: T,
}

/// Runs `run` once for each seed, with the random streams set to it, and keeps the result with the smallest loss: a
/// way out of local minima. The first of equals stays; a loss that is NaN loses to every number.
///
/// # Panics
/// If there is no seed.
///
/// ```
/// use gradus_nn::{optim::{Optimizer, Sgd}, utils::random_restarts};
/// use gradus_tensor::Tensor;
/// // Minima near -1 and 1, of which the left one is deeper.
/// let loss = |x: &Tensor| (x.square() - 1.0).square() + x * 0.3;
/// let best = random_restarts(0..5, |_seed| {
///     let x = Tensor::uniform(-2.0, 2.0, ()).requires_grad_(true);
///     let mut optimizer = Sgd::new(vec![x.clone()], 0.02);
///     (0..200).for_each(|_| drop(optimizer.step_with(&mut || loss(&x))));
///     (loss(&x).item_f64(), x.item())
/// });
/// assert!(best.value < -1.0);
/// ```
#[track_caller]
pub fn random_restarts<T>(seeds: impl IntoIterator<Item = u64>, mut run: impl FnMut(u64) -> (f64, T)) -> Restart<T> {
    let mut best: Option<Restart<T>> = None;
    for seed in seeds {
        manual_seed(seed);
        let (loss, value) = run(seed);
        if best.as_ref().is_none_or(|b| loss < b.loss || (b.loss.is_nan() && !loss.is_nan())) {
            best = Some(Restart { seed, loss, value });
        }
    }
    best.expect("random_restarts needs at least one seed")
}
