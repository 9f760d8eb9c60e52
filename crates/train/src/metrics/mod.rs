//! What is measured. Names and values are scikit-learn's, <https://scikit-learn.org/stable/api/sklearn.metrics.html>.

mod calibration;
mod classification;
mod confusion;
mod ranking;
mod regression;

pub use calibration::{Bin, brier_score_loss, calibration_curve, expected_calibration_error, multiclass_brier_score};
pub use classification::{ClassRow, Classification};
pub use confusion::{Average, Confusion, Scores};
pub use ranking::{
    PrecisionRecallCurve, RocCurve, Threshold, auc, precision_recall_curve, roc_auc_score, roc_curve,
    top_k_accuracy_score,
};
pub use regression::{Regression, RegressionScores, mean_absolute_error, mean_squared_error, r2_score};

use serde::{Deserialize, Serialize};

/// Running loss and accuracy of a pass over examples.
#[derive(Clone, Debug, Default)]
pub struct Running {
    loss_sum: f64,
    batch_loss_sum: f64,
    correct: usize,
    /// What was classified: examples, or pixels.
    judged: usize,
    examples: usize,
    batches: usize,
}

impl Running {
    /// Adds a batch: its mean loss, how many it classified rightly, how many examples it had.
    pub fn add(&mut self, mean_loss: f64, correct: usize, examples: usize) {
        self.add_pixels(mean_loss, [correct, examples], examples);
    }

    /// Adds a batch with its mean loss, how many pixels it classified rightly and of how many, and its examples.
    pub fn add_pixels(&mut self, mean_loss: f64, [correct, judged]: [usize; 2], examples: usize) {
        self.judged += judged;
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

    /// The part of the examples, or of the pixels, classified rightly.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.judged as f64
    }

    /// What was added up: losses by example and by batch, what was right, examples, batches, what was classified.
    pub(crate) fn sums(&self) -> [f64; 6] {
        let counts = [self.correct, self.examples, self.batches, self.judged].map(|n| n as f64);
        [self.loss_sum, self.batch_loss_sum, counts[0], counts[1], counts[2], counts[3]]
    }

    /// A pass that goes on from what [`Running::sums`] gave.
    pub(crate) fn from_sums([loss_sum, batch_loss_sum, correct, examples, batches, judged]: [f64; 6]) -> Running {
        let [correct, examples, batches, judged] = [correct, examples, batches, judged].map(|n| n as usize);
        Running { loss_sum, batch_loss_sum, correct, judged, examples, batches }
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
    /// Part of the training examples classified rightly, as seen while training; nothing where numbers are predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_accuracy: Option<f64>,
    /// Mean loss of a validation example after the epoch.
    pub val_loss: f64,
    /// Part of the validation examples classified rightly after the epoch; nothing where numbers are predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_accuracy: Option<f64>,
    /// Mean intersection over union on the validation examples, where every pixel has a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_miou: Option<f64>,
    /// Errors on the validation examples, in the unit of the target, where numbers are predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_errors: Option<RegressionScores>,
    /// Wall time of the epoch.
    pub seconds: f64,
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
}
