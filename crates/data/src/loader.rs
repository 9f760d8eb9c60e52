//! Batches in a new order each epoch.

use crate::{Batches, Dataset, TensorDataset};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Goes through a data set in batches, epoch by epoch.
///
/// The order of an epoch depends on the seed and the epoch's number alone, so a run that is continued
/// at epoch 3 sees what it would have seen. The last batch holds what is left unless `drop_last` is set.
///
/// ```
/// use gradus_data::{DataLoader, TensorDataset};
/// use gradus_tensor::Tensor;
/// let data = TensorDataset::new(Tensor::arange(10), Tensor::arange(10));
/// let loader = DataLoader::new(data).batch_size(4).shuffle(true).seed(1);
/// assert_eq!(loader.num_batches(), 3);
/// for epoch in 0..2 {
///     for (inputs, targets) in loader.epoch(epoch) {
///         assert_eq!(inputs.to_vec::<f32>(), targets.to_vec::<f32>());
///     }
/// }
/// ```
#[derive(Clone)]
pub struct DataLoader<D = TensorDataset> {
    dataset: D,
    batch_size: usize,
    shuffle: bool,
    drop_last: bool,
    seed: u64,
}

impl<D: Dataset> DataLoader<D> {
    /// A loader of single examples in order; the other methods change that.
    pub fn new(dataset: D) -> DataLoader<D> {
        DataLoader { dataset, batch_size: 1, shuffle: false, drop_last: false, seed: 0 }
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

    /// What the orders follow from.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
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

    /// The batches of one epoch.
    pub fn epoch(&self, epoch: usize) -> Batches<'_> {
        let mut order: Vec<usize> = (0..self.dataset.len()).collect();
        if self.shuffle {
            // The epoch is mixed with a hash of the seed, so that seed 1, epoch 0 is not seed 0, epoch 1.
            let key: u64 = Xoshiro256PlusPlus::seed_from_u64(self.seed).random();
            order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(key ^ epoch as u64));
        }
        Batches::new(&self.dataset, order, self.batch_size, self.drop_last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_tensor::Tensor;

    fn loader(n: usize) -> DataLoader {
        let targets = Tensor::from_vec((0..n as i64).collect(), [n]);
        DataLoader::new(TensorDataset::new(Tensor::arange(n), targets)).batch_size(8)
    }

    fn order(l: &DataLoader, epoch: usize) -> Vec<i64> {
        l.epoch(epoch)
            .flat_map(|(x, y)| {
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
        let mut sorted = first;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<i64>>(), "every example comes once");
    }

    #[test]
    fn the_tail_is_kept_unless_it_is_dropped() {
        let kept = loader(50);
        assert_eq!((kept.num_batches(), kept.epoch(0).len(), order(&kept, 5).len()), (7, 7, 50));
        let dropped = loader(50).drop_last(true);
        assert_eq!((dropped.num_batches(), dropped.epoch(0).len(), order(&dropped, 0).len()), (6, 6, 48));
        assert_eq!(loader(48).drop_last(true).num_batches(), 6);
        assert_eq!(loader(3).drop_last(true).epoch(0).count(), 0);
    }
}
