//! Batches in a new order each epoch, made ahead of time by workers.

use crate::prefetch::Prefetch;
use crate::transforms::{CutMix, MixUp};
use crate::{DataError, Dataset, Draw, TensorDataset};
use gradus_tensor::{Tensor, profiler::record_function};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Inputs and targets of one batch, or why they could not be read.
pub type Batch = Result<(Tensor, Tensor), DataError>;

/// How the examples of a batch are mixed with each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name")]
pub enum Mix {
    /// See [`MixUp`](struct@MixUp).
    MixUp(MixUp),
    /// See [`CutMix`](struct@CutMix).
    CutMix(CutMix),
}

impl From<MixUp> for Mix {
    fn from(mix: MixUp) -> Mix {
        Mix::MixUp(mix)
    }
}

impl From<CutMix> for Mix {
    fn from(mix: CutMix) -> Mix {
        Mix::CutMix(mix)
    }
}

/// Goes through a data set in batches, epoch by epoch.
///
/// The order of an epoch and all that is random about its examples depend on the seed and the epoch's number
/// alone, never on the workers; so a run that is continued at epoch 3, or at batch 70 of it, sees what it would
/// have seen. The last batch holds what is left unless `drop_last` is set.
///
/// ```
/// use gradus_data::{DataLoader, TensorDataset};
/// use gradus_tensor::Tensor;
/// let data = TensorDataset::new(Tensor::arange(10), Tensor::arange(10));
/// let loader = DataLoader::new(data).batch_size(4).shuffle(true).seed(1).workers(2);
/// assert_eq!(loader.num_batches(), 3);
/// for epoch in 0..2 {
///     for batch in loader.epoch(epoch) {
///         let (inputs, targets) = batch.unwrap();
///         assert_eq!(inputs.to_vec::<f32>(), targets.to_vec::<f32>());
///     }
/// }
/// println!("training waited {:?} for data", loader.waited());
/// ```
pub struct DataLoader<D = TensorDataset> {
    dataset: Arc<D>,
    batch_size: usize,
    shuffle: bool,
    drop_last: bool,
    seed: u64,
    workers: usize,
    prefetch: usize,
    mix: Option<Mix>,
    waited: Arc<AtomicU64>,
}

impl<D> Clone for DataLoader<D> {
    /// Another loader of the same data set, whose waiting is counted apart.
    fn clone(&self) -> DataLoader<D> {
        DataLoader { dataset: self.dataset.clone(), mix: self.mix.clone(), waited: Arc::default(), ..*self }
    }
}

impl<D: Dataset + 'static> DataLoader<D> {
    /// A loader of single examples in order; the other methods change that.
    pub fn new(dataset: D) -> DataLoader<D> {
        DataLoader {
            dataset: Arc::new(dataset),
            batch_size: 1,
            shuffle: false,
            drop_last: false,
            seed: 0,
            workers: 0,
            prefetch: 2,
            mix: None,
            waited: Arc::default(),
        }
    }

    /// How many examples a batch holds.
    ///
    /// # Panics
    /// If `size` is 0.
    #[track_caller]
    pub fn batch_size(mut self, size: usize) -> Self {
        assert!(size > 0, "DataLoader: a batch holds at least one example");
        self.batch_size = size;
        self
    }

    /// Whether each epoch has a new order.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// Whether a last batch that is not full is left out.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// What the orders and the random transforms follow from.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many threads make batches ahead of time; 0 makes each when it is asked for.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many batches may be ready or in the making for each worker (2 unless set).
    ///
    /// # Panics
    /// If `batches` is 0.
    #[track_caller]
    pub fn prefetch(mut self, batches: usize) -> Self {
        assert!(batches > 0, "DataLoader: a worker makes at least one batch ahead");
        self.prefetch = batches;
        self
    }

    /// Mixes the examples of each batch; targets become rows of class weights.
    pub fn mix(mut self, mix: impl Into<Mix>) -> Self {
        self.mix = Some(mix.into());
        self
    }

    /// The data set.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// Batches in an epoch.
    pub fn num_batches(&self) -> usize {
        let n = self.dataset.len();
        if self.drop_last { n / self.batch_size } else { n.div_ceil(self.batch_size) }
    }

    /// How long the consumers of all epochs so far have waited for batches.
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Relaxed))
    }

    /// The batches of one epoch.
    pub fn epoch(&self, epoch: usize) -> Batches {
        self.epoch_from(epoch, 0)
    }

    /// The batches of one epoch from batch `first` on, counted from 0, without reading those before it.
    pub fn epoch_from(&self, epoch: usize, first: usize) -> Batches {
        let mut order: Vec<usize> = (0..self.dataset.len()).collect();
        if self.shuffle {
            // The epoch is mixed with a hash of the seed, so that seed 1, epoch 0 is not seed 0, epoch 1.
            let key: u64 = Xoshiro256PlusPlus::seed_from_u64(self.seed).random();
            order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(key ^ epoch as u64));
        }
        let (size, draw, mix) = (self.batch_size, Draw::new(self.seed, epoch), self.mix.clone());
        let dataset = self.dataset.clone();
        let make = move |i: usize| {
            let (x, y) = dataset.get(&order[i * size..order.len().min((i + 1) * size)], draw)?;
            let mut rng = draw.aside(MIXING).rng(i);
            Ok(match &mix {
                None => (x, y),
                Some(Mix::MixUp(m)) => m.apply(&x, &y, &mut rng),
                Some(Mix::CutMix(m)) => m.apply(&x, &y, &mut rng),
            })
        };
        let left = first.min(self.num_batches())..self.num_batches();
        let source = match self.workers.min(left.len()) {
            0 => Source::Here(Box::new(make)),
            workers => Source::Workers(Prefetch::start(left.clone(), workers, workers * self.prefetch, make)),
        };
        Batches { source, left, waited: self.waited.clone() }
    }
}

/// The purpose of the random choices of [`Mix`].
const MIXING: u64 = 1;

enum Source {
    Here(Box<dyn Fn(usize) -> Batch + Send>),
    Workers(Prefetch<Batch>),
}

/// An iterator over the batches of an epoch; it ends after an error.
pub struct Batches {
    source: Source,
    left: Range<usize>,
    waited: Arc<AtomicU64>,
}

impl Iterator for Batches {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let at = self.left.next()?;
        let _span = record_function("data");
        let start = Instant::now();
        let batch = match &mut self.source {
            Source::Here(make) => make(at),
            Source::Workers(ready) => ready.take(at),
        };
        self.waited.fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
        if batch.is_err() {
            self.left = 0..0;
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl ExactSizeIterator for Batches {}

#[cfg(test)]
mod tests {
    use super::*;

    fn loader(n: usize) -> DataLoader {
        let targets = Tensor::from_vec((0..n as i64).collect(), [n]);
        DataLoader::new(TensorDataset::new(Tensor::arange(n), targets)).batch_size(8)
    }

    fn order(l: &DataLoader, epoch: usize) -> Vec<i64> {
        l.epoch(epoch)
            .flat_map(|batch| {
                let (x, y) = batch.unwrap();
                let y = y.to_vec::<i64>();
                assert_eq!(x.to_vec::<f32>(), y.iter().map(|&v| v as f32).collect::<Vec<_>>(), "pairs stay together");
                y
            })
            .collect()
    }

    #[test]
    fn the_order_follows_from_seed_and_epoch_alone() {
        let l = loader(50).shuffle(true).seed(3);
        let first = order(&l, 0);
        assert_eq!(order(&l, 1), order(&loader(50).shuffle(true).seed(3), 1));
        let others = [order(&l, 1), order(&l.clone().seed(4), 0), (0..50).collect()];
        assert!(others.iter().all(|o| *o != first));
        assert_ne!(order(&l.clone().seed(0), 1), order(&l.clone().seed(1), 0));
        for workers in 1..5 {
            assert_eq!(order(&l.clone().workers(workers).prefetch(1), 0), first, "{workers} workers");
        }
        let rest: Vec<i64> = l.epoch_from(0, 4).flat_map(|b| b.unwrap().1.to_vec::<i64>()).collect();
        assert_eq!(rest, first[32..]);
        assert_eq!(l.epoch_from(0, 99).count(), 0);
        let mut sorted = first;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<i64>>(), "every example comes once");
    }

    #[test]
    fn the_tail_is_kept_unless_it_is_dropped() {
        for workers in [0, 2] {
            let kept = loader(50).workers(workers);
            assert_eq!((kept.num_batches(), kept.epoch(0).len(), order(&kept, 5).len()), (7, 7, 50));
            let dropped = kept.drop_last(true);
            assert_eq!((dropped.num_batches(), dropped.epoch(0).len(), order(&dropped, 0).len()), (6, 6, 48));
            assert_eq!(loader(48).drop_last(true).num_batches(), 6);
            assert_eq!(loader(3).drop_last(true).workers(workers).epoch(0).count(), 0);
        }
    }

    /// Fails at one example, and is slow.
    struct Faulty(usize);

    impl Dataset for Faulty {
        fn len(&self) -> usize {
            40
        }

        fn get(&self, indices: &[usize], _: Draw) -> Batch {
            std::thread::sleep(Duration::from_millis(2));
            match indices.contains(&self.0) {
                true => Err(DataError::Transform { transform: "Crop", reason: format!("example {}", self.0) }),
                false => Ok((Tensor::zeros([indices.len()]), Tensor::zeros([indices.len()]))),
            }
        }
    }

    #[test]
    fn an_error_comes_in_its_place_and_ends_the_epoch() {
        for workers in [0, 3] {
            let l = DataLoader::new(Faulty(21)).batch_size(4).workers(workers);
            let seen: Vec<Result<(), String>> = l.epoch(0).map(|b| b.map(drop).map_err(|e| e.to_string())).collect();
            assert_eq!(seen.len(), 6, "{workers} workers");
            assert!(seen[..5].iter().all(Result::is_ok) && seen[5] == Err("Crop: example 21".into()));
        }
        let l = DataLoader::new(Faulty(99)).batch_size(4);
        assert!(l.epoch(0).all(|b| b.is_ok()) && l.waited() >= Duration::from_millis(20));
    }

    #[test]
    fn batches_are_mixed_the_same_by_any_worker() {
        let l = loader(32).mix(MixUp::new(32).alpha(0.5)).seed(5);
        let all = |l: &DataLoader, e| l.epoch(e).flat_map(|b| b.unwrap().0.to_vec::<f32>()).collect::<Vec<_>>();
        assert_eq!(all(&l, 0), all(&l.clone().workers(2), 0));
        assert_ne!(all(&l, 0), all(&l, 1));
        assert_eq!(l.epoch(0).next().unwrap().unwrap().1.shape(), [8, 32]);
    }
}
