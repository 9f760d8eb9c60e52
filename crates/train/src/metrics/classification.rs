//! Everything that is said of a classifier, from its probabilities.

use super::{
    Average, Bin, Confusion, RocCurve, Scores, calibration_curve, expected_calibration_error, multiclass_brier_score,
    precision_recall_curve, roc_auc_score, roc_curve, top_k_accuracy_score,
};
use serde::Serialize;

/// Bins of a reliability curve.
const BINS: usize = 10;

/// True classes, and the probabilities that a classifier gave.
///
/// ```
/// use gradus_train::metrics::Classification;
/// let c = Classification::new(vec![0, 1, 1], vec![0.9, 0.1, 0.2, 0.8, 0.7, 0.3], 2);
/// assert_eq!(c.confusion().rows(), [[1, 0], [1, 1]]);
/// assert_eq!(c.roc(1).unwrap().auc(), 1.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    truth: Vec<usize>,
    probabilities: Vec<f64>,
    classes: usize,
}

/// What is said of one class against all others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassRow {
    /// Its name.
    pub class: String,
    /// How many examples it has.
    pub support: usize,
    /// TP / (TP + FP).
    pub precision: f64,
    /// TP / (TP + FN): the sensitivity.
    pub recall: f64,
    /// TN / (TN + FP).
    pub specificity: f64,
    /// 2 TP / (2 TP + FP + FN).
    pub f1: f64,
    /// The area under its ROC curve; nothing if all examples are of this class, or none.
    pub auc: Option<f64>,
    /// The average precision; nothing without examples.
    pub average_precision: Option<f64>,
    /// False positives.
    pub type_1_errors: usize,
    /// False negatives.
    pub type_2_errors: usize,
}

impl Classification {
    /// Of true classes and probabilities [n, classes], row by row.
    ///
    /// # Panics
    /// If there are not `classes` probabilities for each truth, or a truth is no class.
    #[track_caller]
    pub fn new(truth: Vec<usize>, probabilities: Vec<f64>, classes: usize) -> Classification {
        assert_eq!(truth.len() * classes, probabilities.len(), "{classes} probabilities for each truth");
        assert!(truth.iter().all(|&t| t < classes), "a true class is not below {classes}");
        Classification { truth, probabilities, classes }
    }

    /// The true classes.
    pub fn truth(&self) -> &[usize] {
        &self.truth
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The probabilities of example `i`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.probabilities[i * self.classes..(i + 1) * self.classes]
    }

    /// The most probable class of each example, the first of equals.
    pub fn predicted(&self) -> Vec<usize> {
        let best =
            |row: &[f64]| (0..row.len()).reduce(|best, c| if row[c] > row[best] { c } else { best }).unwrap_or(0);
        (0..self.truth.len()).map(|i| best(self.row(i))).collect()
    }

    /// Who was taken for whom.
    pub fn confusion(&self) -> Confusion {
        let mut confusion = Confusion::new(self.classes);
        self.truth.iter().zip(self.predicted()).for_each(|(&t, p)| confusion.add(t, p));
        confusion
    }

    /// Whether each example is of `class`, and the probability of it.
    pub fn against_rest(&self, class: usize) -> (Vec<bool>, Vec<f64>) {
        (self.truth.iter().map(|&t| t == class).collect(), (0..self.truth.len()).map(|i| self.row(i)[class]).collect())
    }

    /// The ROC curve of one class against all others; nothing if all examples are of it, or none.
    pub fn roc(&self, class: usize) -> Option<RocCurve> {
        let (truth, scores) = self.against_rest(class);
        roc_curve(&truth, &scores)
    }

    /// The part of the examples whose class is among the `k` most probable.
    pub fn top_k(&self, k: usize) -> f64 {
        top_k_accuracy_score(&self.truth, &self.probabilities, self.classes, k)
    }

    /// The mean over the classes of the area under the ROC curve of one against all others, as scikit-learn's
    /// `multi_class="ovr"`; nothing if a class has no examples.
    pub fn auc(&self) -> Option<f64> {
        let areas = (0..self.classes).map(|c| self.roc(c).map(|curve| curve.auc()));
        Some(areas.collect::<Option<Vec<f64>>>()?.iter().sum::<f64>() / self.classes as f64)
    }

    /// The reliability curve of the highest probabilities: how often the most probable class was right.
    pub fn calibration(&self) -> Vec<Bin> {
        let predicted = self.predicted();
        let right: Vec<bool> = self.truth.iter().zip(&predicted).map(|(t, p)| t == p).collect();
        let confidence: Vec<f64> = predicted.iter().enumerate().map(|(i, &p)| self.row(i)[p]).collect();
        calibration_curve(&right, &confidence, BINS)
    }

    /// Expected calibration error over ten bins.
    pub fn ece(&self) -> f64 {
        expected_calibration_error(&self.calibration())
    }

    /// The Brier score, from 0 to 2.
    pub fn brier(&self) -> f64 {
        multiclass_brier_score(&self.truth, &self.probabilities, self.classes)
    }

    /// Precision, recall and F1 over all classes.
    pub fn average(&self, average: Average) -> Scores {
        self.confusion().average(average)
    }

    /// One row for each class.
    ///
    /// # Panics
    /// If there are not as many names as classes.
    #[track_caller]
    pub fn table(&self, names: &[String]) -> Vec<ClassRow> {
        assert_eq!(names.len(), self.classes, "one name for each class");
        let confusion = self.confusion();
        let row = |(c, name): (usize, &String)| {
            let (truth, scores) = self.against_rest(c);
            ClassRow {
                class: name.clone(),
                support: confusion.support(c),
                precision: confusion.precision(c),
                recall: confusion.recall(c),
                specificity: confusion.specificity(c),
                f1: confusion.f1(c),
                auc: roc_auc_score(&truth, &scores),
                average_precision: precision_recall_curve(&truth, &scores).map(|curve| curve.average_precision()),
                type_1_errors: confusion.type_1_errors(c),
                type_2_errors: confusion.type_2_errors(c),
            }
        };
        names.iter().enumerate().map(row).collect()
    }

    /// The examples that were got wrong, those with the least probability of their true class first.
    pub fn worst(&self, most: usize) -> Vec<usize> {
        let predicted = self.predicted();
        let mut wrong: Vec<usize> = (0..self.truth.len()).filter(|&i| predicted[i] != self.truth[i]).collect();
        wrong.sort_by(|&a, &b| self.row(a)[self.truth[a]].total_cmp(&self.row(b)[self.truth[b]]));
        wrong.truncate(most);
        wrong
    }
}
