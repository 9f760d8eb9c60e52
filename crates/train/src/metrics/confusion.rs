//! The confusion matrix and what follows from it.

use serde::{Deserialize, Serialize};

/// How the values of classes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// Every class counts the same.
    Macro,
    /// Every example counts the same: counts are added up first.
    Micro,
    /// Every class counts by its examples.
    Weighted,
}

/// Precision, recall and F1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// TP / (TP + FP).
    pub precision: f64,
    /// TP / (TP + FN).
    pub recall: f64,
    /// 2 TP / (2 TP + FP + FN).
    pub f1: f64,
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

    /// Of how many examples `predicted` was said.
    pub fn said(&self, predicted: usize) -> usize {
        (0..self.classes).map(|t| self.count(t, predicted)).sum()
    }

    /// How many examples there were.
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// The matrix, rows true classes, columns predicted ones: scikit-learn's axes.
    pub fn rows(&self) -> Vec<Vec<usize>> {
        self.counts.chunks_exact(self.classes.max(1)).map(<[usize]>::to_vec).collect()
    }

    /// Each row divided by its sum (`normalize="true"`): the identity if every example is recognised. A class
    /// without examples has a row of zeros.
    pub fn normalized(&self) -> Vec<Vec<f64>> {
        let share = |row: Vec<usize>| {
            let sum = row.iter().sum::<usize>().max(1) as f64;
            row.into_iter().map(|c| c as f64 / sum).collect()
        };
        self.rows().into_iter().map(share).collect()
    }

    /// The part of the examples of `truth` that were recognised (recall, sensitivity, true positive rate):
    /// TP / (TP + FN); 0 without examples.
    pub fn recall(&self, truth: usize) -> f64 {
        self.count(truth, truth) as f64 / self.support(truth).max(1) as f64
    }

    /// The part that `class` was said of rightly: TP / (TP + FP); 0 if it was never said.
    pub fn precision(&self, class: usize) -> f64 {
        self.count(class, class) as f64 / self.said(class).max(1) as f64
    }

    /// The part of the examples of other classes of which `class` was not said: TN / (TN + FP); 0 without any.
    pub fn specificity(&self, class: usize) -> f64 {
        let others = self.total() - self.support(class);
        (others - self.type_1_errors(class)) as f64 / others.max(1) as f64
    }

    /// The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN); 0 where that is 0 / 0.
    pub fn f1(&self, class: usize) -> f64 {
        2.0 * self.count(class, class) as f64 / (self.support(class) + self.said(class)).max(1) as f64
    }

    /// Intersection over union of what is `class` and what was taken for it: TP / (TP + FP + FN); nothing if neither
    /// occurs.
    ///
    /// Source: <https://scikit-learn.org/stable/modules/generated/sklearn.metrics.jaccard_score.html>.
    pub fn iou(&self, class: usize) -> Option<f64> {
        let union = self.support(class) + self.said(class) - self.count(class, class);
        (union > 0).then(|| self.count(class, class) as f64 / union as f64)
    }

    /// The mean of [`Confusion::iou`] over the classes that occur (`average="macro"`); 0 without any.
    pub fn mean_iou(&self) -> f64 {
        let all: Vec<f64> = (0..self.classes).filter_map(|c| self.iou(c)).collect();
        all.iter().sum::<f64>() / all.len().max(1) as f64
    }

    /// False positives: examples of other classes that were taken for `class`.
    pub fn type_1_errors(&self, class: usize) -> usize {
        self.said(class) - self.count(class, class)
    }

    /// False negatives: examples of `class` that were taken for others.
    pub fn type_2_errors(&self, class: usize) -> usize {
        self.support(class) - self.count(class, class)
    }

    /// Precision, recall and F1 of all classes as one number each.
    ///
    /// Source: <https://scikit-learn.org/stable/modules/generated/sklearn.metrics.precision_recall_fscore_support.html>
    /// with `zero_division=0`.
    pub fn average(&self, average: Average) -> Scores {
        let all = 0..self.classes;
        let total = self.total().max(1) as f64;
        let weight = |c: usize| match average {
            Average::Macro => 1.0 / self.classes.max(1) as f64,
            Average::Weighted => self.support(c) as f64 / total,
            Average::Micro => 0.0,
        };
        let mean = |of: &dyn Fn(usize) -> f64| all.clone().map(|c| weight(c) * of(c)).sum();
        match average {
            // Every example is one prediction and one truth, so all three are the accuracy.
            Average::Micro => Scores { precision: self.accuracy(), recall: self.accuracy(), f1: self.accuracy() },
            _ => Scores {
                precision: mean(&|c| self.precision(c)),
                recall: mean(&|c| self.recall(c)),
                f1: mean(&|c| self.f1(c)),
            },
        }
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
