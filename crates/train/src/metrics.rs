//! What is measured: means weighted by the number of examples, accuracy, the confusion matrix.

use serde::{Deserialize, Serialize};

/// Running loss and accuracy of a pass over examples.
#[derive(Clone, Debug, Default)]
pub struct Running {
    loss_sum: f64,
    batch_loss_sum: f64,
    correct: usize,
    examples: usize,
    batches: usize,
}

impl Running {
    /// Adds a batch: its mean loss, how many it classified rightly, how many examples it had.
    pub fn add(&mut self, mean_loss: f64, correct: usize, examples: usize) {
        self.loss_sum += mean_loss * examples as f64;
        self.batch_loss_sum += mean_loss;
        self.correct += correct;
        self.examples += examples;
        self.batches += 1;
    }

    /// The mean loss of an example: every example counts the same, also those of a short last batch.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.examples as f64
    }

    /// The mean of the batches' mean losses, in which the examples of a short last batch weigh more.
    pub fn batch_mean_loss(&self) -> f64 {
        self.batch_loss_sum / self.batches as f64
    }

    /// The part classified rightly.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.examples as f64
    }

    /// How many examples were seen.
    pub fn examples(&self) -> usize {
        self.examples
    }
}

/// The measurements of one epoch; one line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// Counted from 1.
    pub epoch: usize,
    /// The learning rate of its last step.
    pub lr: f64,
    /// Mean loss of a training example, as seen while training.
    pub train_loss: f64,
    /// Mean of the batches' mean losses.
    pub train_batch_loss: f64,
    /// Part of the training examples classified rightly, as seen while training.
    pub train_accuracy: f64,
    /// Mean loss of a validation example after the epoch.
    pub val_loss: f64,
    /// Part of the validation examples classified rightly after the epoch.
    pub val_accuracy: f64,
    /// Wall time of the epoch.
    pub seconds: f64,
}

/// How often examples of each class were taken for each class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    classes: usize,
    counts: Vec<usize>,
}

impl Confusion {
    /// An empty matrix.
    pub fn new(classes: usize) -> Confusion {
        Confusion { classes, counts: vec![0; classes * classes] }
    }

    /// Counts one example.
    ///
    /// # Panics
    /// If a class is out of range.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        assert!(truth < self.classes && predicted < self.classes, "class {truth} or {predicted} of {}", self.classes);
        self.counts[truth * self.classes + predicted] += 1;
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many examples of `truth` were taken for `predicted`.
    pub fn count(&self, truth: usize, predicted: usize) -> usize {
        self.counts[truth * self.classes + predicted]
    }

    /// How many examples of `truth` there were.
    pub fn support(&self, truth: usize) -> usize {
        (0..self.classes).map(|p| self.count(truth, p)).sum()
    }

    /// The part of the examples of `truth` that were recognised (recall); 0 without examples.
    pub fn recall(&self, truth: usize) -> f64 {
        self.count(truth, truth) as f64 / self.support(truth).max(1) as f64
    }

    /// The part of all examples that were recognised.
    pub fn accuracy(&self) -> f64 {
        let right: usize = (0..self.classes).map(|c| self.count(c, c)).sum();
        right as f64 / self.counts.iter().sum::<usize>().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_weighted_by_examples() {
        let mut r = Running::default();
        r.add(1.0, 3, 3);
        r.add(5.0, 0, 1);
        assert_eq!(r.loss(), 2.0);
        assert_eq!(r.batch_mean_loss(), 3.0);
        assert_eq!(r.accuracy(), 0.75);
        assert_eq!(r.examples(), 4);
    }

    #[test]
    fn the_confusion_matrix_counts_rows_by_truth() {
        let mut c = Confusion::new(2);
        for (truth, predicted) in [(0, 0), (0, 1), (0, 0), (1, 1)] {
            c.add(truth, predicted);
        }
        assert_eq!((c.count(0, 1), c.count(1, 0), c.support(0)), (1, 0, 3));
        assert_eq!(c.recall(0), 2.0 / 3.0);
        assert_eq!(c.accuracy(), 0.75);
    }
}
