//! What a data set is, and going through one in batches.

use crate::{DataError, Draw};
use gradus_tensor::Tensor;
use std::sync::Arc;

/// Examples that can be fetched by position, several at once.
///
/// ```
/// use gradus_data::{Dataset, Draw, Subset, TensorDataset};
/// use gradus_tensor::Tensor;
/// let all = TensorDataset::new(Tensor::arange(10), Tensor::zeros([10]));
/// let some = Subset::new(all, vec![7, 2, 9]);
/// let (inputs, _) = some.get(&[0, 2], Draw::default()).unwrap();
/// assert_eq!((some.len(), inputs.to_vec::<f32>()), (3, vec![7.0, 9.0]));
/// ```
pub trait Dataset: Send + Sync {
    /// Number of examples.
    fn len(&self) -> usize;

    /// Inputs and targets of the given examples, stacked along a first dimension.
    ///
    /// What is random about an example comes from `draw` and its index, so that it is the same in any batch.
    ///
    /// # Errors
    /// If a file cannot be read or used; data in memory gives none.
    ///
    /// # Panics
    /// If an index is not below [`Dataset::len`].
    fn get(&self, indices: &[usize], draw: Draw) -> Result<(Tensor, Tensor), DataError>;

    /// Whether there are no examples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Inputs and targets held in memory as two tensors with the examples along the first dimension.
///
/// ```
/// use gradus_data::TensorDataset;
/// use gradus_tensor::Tensor;
/// let train = TensorDataset::new(Tensor::zeros([150, 4]), Tensor::zeros([150]));
/// assert_eq!(train.num_batches(64), 3);
/// let sizes: Vec<usize> = train.batches(64).map(|(x, _)| x.size(0)).collect();
/// assert_eq!(sizes, [64, 64, 22]);
/// ```
#[derive(Clone)]
pub struct TensorDataset {
    inputs: Tensor,
    targets: Tensor,
}

impl TensorDataset {
    /// Pairs inputs with targets.
    ///
    /// # Panics
    /// If their first dimensions differ.
    #[track_caller]
    pub fn new(inputs: Tensor, targets: Tensor) -> TensorDataset {
        let (n, m) = (inputs.shape(), targets.shape());
        assert!(
            !n.is_empty() && !m.is_empty() && n[0] == m[0],
            "TensorDataset: inputs of shape {n} and targets of shape {m} must have the same first dimension"
        );
        TensorDataset { inputs, targets }
    }

    /// All inputs.
    pub fn inputs(&self) -> &Tensor {
        &self.inputs
    }

    /// All targets.
    pub fn targets(&self) -> &Tensor {
        &self.targets
    }

    /// A data set of copies of the given examples.
    ///
    /// # Panics
    /// If an index is not below [`Dataset::len`].
    pub fn subset(&self, indices: &[usize]) -> TensorDataset {
        let (inputs, targets) = self.pick(indices);
        TensorDataset { inputs, targets }
    }

    /// Number of batches of `size`, the last one perhaps smaller.
    ///
    /// # Panics
    /// If `size` is 0.
    #[track_caller]
    pub fn num_batches(&self, size: usize) -> usize {
        assert!(size > 0, "num_batches: a batch holds at least one example");
        self.len().div_ceil(size)
    }

    /// All examples in order, `size` at a time; the last batch holds what is left.
    ///
    /// For a new order in each epoch, and for examples that are not in memory, use a
    /// [`DataLoader`](crate::DataLoader).
    ///
    /// # Panics
    /// If `size` is 0.
    #[track_caller]
    pub fn batches(&self, size: usize) -> impl ExactSizeIterator<Item = (Tensor, Tensor)> + '_ {
        let (count, n) = (self.num_batches(size), self.len());
        (0..count).map(move |i| self.pick(&(i * size..n.min((i + 1) * size)).collect::<Vec<_>>()))
    }

    fn pick(&self, indices: &[usize]) -> (Tensor, Tensor) {
        // Neighbours in order are a view.
        if let (Some(&first), true) = (indices.first(), indices.windows(2).all(|w| w[1] == w[0] + 1)) {
            let n = indices.len();
            return (self.inputs.narrow(0, first, n), self.targets.narrow(0, first, n));
        }
        let index = Tensor::from_vec(indices.iter().map(|&i| i as i64).collect(), [indices.len()]);
        (self.inputs.index_select(0, &index), self.targets.index_select(0, &index))
    }
}

impl Dataset for TensorDataset {
    fn len(&self) -> usize {
        self.inputs.size(0)
    }

    fn get(&self, indices: &[usize], _: Draw) -> Result<(Tensor, Tensor), DataError> {
        Ok(self.pick(indices))
    }
}

/// Some examples of another data set, nothing copied.
#[derive(Clone)]
pub struct Subset<D> {
    dataset: D,
    indices: Vec<usize>,
}

impl<D: Dataset> Subset<D> {
    /// The examples of `dataset` at `indices`, in that order.
    ///
    /// # Panics
    /// If an index is not below the data set's length.
    #[track_caller]
    pub fn new(dataset: D, indices: Vec<usize>) -> Subset<D> {
        let n = dataset.len();
        if let Some(bad) = indices.iter().find(|&&i| i >= n) {
            panic!("Subset: index {bad} is out of range for {n} examples");
        }
        Subset { dataset, indices }
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn get(&self, indices: &[usize], draw: Draw) -> Result<(Tensor, Tensor), DataError> {
        self.dataset.get(&indices.iter().map(|&i| self.indices[i]).collect::<Vec<_>>(), draw)
    }
}

macro_rules! pointer {
    ($($t:ty),*) => {$(
        impl<D: Dataset + ?Sized> Dataset for $t {
            fn len(&self) -> usize {
                (**self).len()
            }
            fn get(&self, indices: &[usize], draw: Draw) -> Result<(Tensor, Tensor), DataError> {
                (**self).get(indices, draw)
            }
        }
    )*};
}
pointer!(&D, Box<D>, Arc<D>);

#[cfg(test)]
mod tests {
    use super::*;

    fn ten() -> TensorDataset {
        TensorDataset::new(Tensor::arange(20).reshape([10, 2]), Tensor::from_vec((0..10i64).collect(), [10]))
    }

    #[test]
    fn batches_keep_the_order_and_the_partial_tail() {
        let train = ten();
        let mut seen = Vec::new();
        for (inputs, labels) in train.batches(4) {
            let labels = labels.to_vec::<i64>();
            assert_eq!(inputs.to_vec::<f32>()[0], labels[0] as f32 * 2.0);
            assert_eq!(inputs.shape(), [labels.len(), 2]);
            seen.push(labels);
        }
        assert_eq!(seen, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
        assert_eq!((train.num_batches(4), train.batches(4).len()), (3, 3));
        assert_eq!((train.num_batches(5), train.num_batches(11)), (2, 1));
        let none = TensorDataset::new(Tensor::zeros([0, 2]), Tensor::zeros([0]));
        assert!(none.is_empty() && none.batches(3).next().is_none());
    }

    #[test]
    fn subsets_and_pointers_reach_the_same_examples() {
        let some = Subset::new(ten(), vec![7, 2, 9]);
        let (x, y) = some.get(&[2, 0], Draw::default()).unwrap();
        assert_eq!((x.to_vec::<f32>(), y.to_vec::<i64>()), (vec![18.0, 19.0, 14.0, 15.0], vec![9, 7]));
        let boxed: Box<dyn Dataset> = Box::new(some);
        assert_eq!(boxed.get(&[1], Draw::default()).unwrap().1.to_vec::<i64>(), [2]);
        assert_eq!(ten().subset(&[3, 1]).targets().to_vec::<i64>(), [3, 1]);
    }

    #[test]
    #[should_panic(expected = "same first dimension")]
    fn inputs_and_targets_must_pair() {
        TensorDataset::new(Tensor::zeros([3, 2]), Tensor::zeros([2]));
    }

    #[test]
    #[should_panic(expected = "index 10 is out of range for 10 examples")]
    fn a_subset_lies_within() {
        Subset::new(ten(), vec![10]);
    }
}
