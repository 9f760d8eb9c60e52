//! Metrics of scores before a threshold is chosen: ROC and precision-recall curves, and the choice itself.

/// Counts of false and true positives at each threshold, from the highest score down.
struct Counts {
    thresholds: Vec<f64>,
    fps: Vec<f64>,
    tps: Vec<f64>,
}

impl Counts {
    /// # Panics
    /// If there are not as many scores as truths, or a score is NaN.
    #[track_caller]
    fn of(truth: &[bool], scores: &[f64]) -> Counts {
        assert_eq!(truth.len(), scores.len(), "one score for each truth");
        assert!(scores.iter().all(|s| !s.is_nan()), "a score is NaN");
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let mut counts = Counts { thresholds: vec![], fps: vec![], tps: vec![] };
        let (mut fp, mut tp) = (0.0, 0.0);
        for (k, &i) in order.iter().enumerate() {
            if truth[i] {
                tp += 1.0
            } else {
                fp += 1.0
            }
            // Equal scores fall on the same side of every threshold.
            if order.get(k + 1).is_none_or(|&next| scores[next] != scores[i]) {
                counts.thresholds.push(scores[i]);
                counts.fps.push(fp);
                counts.tps.push(tp);
            }
        }
        counts
    }
}

/// A receiver operating characteristic: what each threshold would give, from the strictest to the most lenient.
#[derive(Clone, Debug, PartialEq)]
pub struct RocCurve {
    /// False positive rate FP / negatives, which is 1 - specificity.
    pub fpr: Vec<f64>,
    /// True positive rate TP / positives, the sensitivity.
    pub tpr: Vec<f64>,
    /// Scores of at least this count as positive; the first is infinite, so that nothing does.
    pub thresholds: Vec<f64>,
    positives: f64,
    negatives: f64,
}

/// The ROC curve of scores, with every threshold (scikit-learn's `drop_intermediate=False`); nothing if there are
/// only positives or only negatives, of which one of the rates would be 0 / 0.
///
/// # Panics
/// If there are not as many scores as truths, or a score is NaN.
///
/// Source: <https://scikit-learn.org/stable/modules/generated/sklearn.metrics.roc_curve.html>.
///
/// ```
/// use gradus_train::metrics::roc_curve;
/// let curve = roc_curve(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8]).unwrap();
/// assert_eq!(curve.tpr, [0.0, 0.5, 0.5, 1.0, 1.0]);
/// assert_eq!(curve.auc(), 0.75);
/// assert!(roc_curve(&[true, true], &[0.1, 0.4]).is_none());
/// ```
#[track_caller]
pub fn roc_curve(truth: &[bool], scores: &[f64]) -> Option<RocCurve> {
    let counts = Counts::of(truth, scores);
    let (positives, negatives) = (*counts.tps.last()?, *counts.fps.last()?);
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let rates = |counts: Vec<f64>, all: f64| [0.0].into_iter().chain(counts.into_iter().map(|c| c / all)).collect();
    Some(RocCurve {
        fpr: rates(counts.fps, negatives),
        tpr: rates(counts.tps, positives),
        thresholds: [f64::INFINITY].into_iter().chain(counts.thresholds).collect(),
        positives,
        negatives,
    })
}

/// A threshold and what it gives.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Threshold {
    /// Scores of at least this count as positive; nothing stands for "none do".
    #[serde(serialize_with = "finite_or_null")]
    pub threshold: f64,
    /// The true positive rate.
    pub sensitivity: f64,
    /// The true negative rate.
    pub specificity: f64,
    /// Negatives taken for positives, type I errors.
    pub false_positives: usize,
    /// Positives taken for negatives, type II errors.
    pub false_negatives: usize,
}

fn finite_or_null<S: serde::Serializer>(value: &f64, s: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() { s.serialize_some(value) } else { s.serialize_none() }
}

impl RocCurve {
    /// The area under the curve: 1 for a perfect order, 0.5 for a random one, 0 for the reverse.
    pub fn auc(&self) -> f64 {
        auc(&self.fpr, &self.tpr)
    }

    /// The curve seen the other way: specificity 1 - FPR against sensitivity.
    pub fn specificity(&self) -> Vec<f64> {
        self.fpr.iter().map(|f| 1.0 - f).collect()
    }

    /// What threshold number `i` gives.
    ///
    /// # Panics
    /// If there is none of that number.
    pub fn at(&self, i: usize) -> Threshold {
        Threshold {
            threshold: self.thresholds[i],
            sensitivity: self.tpr[i],
            specificity: 1.0 - self.fpr[i],
            false_positives: (self.fpr[i] * self.negatives).round() as usize,
            false_negatives: ((1.0 - self.tpr[i]) * self.positives).round() as usize,
        }
    }

    /// The threshold with the least cost, `fp_cost` for each false positive and `fn_cost` for each false negative;
    /// the strictest of equals.
    pub fn by_cost(&self, fp_cost: f64, fn_cost: f64) -> Threshold {
        let cost = |i: usize| fp_cost * self.fpr[i] * self.negatives + fn_cost * (1.0 - self.tpr[i]) * self.positives;
        let best = (0..self.tpr.len()).reduce(|best, i| if cost(i) < cost(best) - 1e-9 { i } else { best });
        self.at(best.expect("a curve has its first point"))
    }

    /// The strictest threshold whose sensitivity is at least `target`.
    pub fn by_sensitivity(&self, target: f64) -> Threshold {
        self.at(self.tpr.iter().position(|&t| t >= target).unwrap_or(self.tpr.len() - 1))
    }
}

/// The area under a curve by the trapezoidal rule.
///
/// Source: <https://scikit-learn.org/stable/modules/generated/sklearn.metrics.auc.html>.
pub fn auc(x: &[f64], y: &[f64]) -> f64 {
    x.windows(2).zip(y.windows(2)).map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0).sum()
}

/// The area under the ROC curve; nothing if there are only positives or only negatives.
///
/// # Panics
/// As [`roc_curve`].
///
/// Source: <https://scikit-learn.org/stable/modules/generated/sklearn.metrics.roc_auc_score.html>.
#[track_caller]
pub fn roc_auc_score(truth: &[bool], scores: &[f64]) -> Option<f64> {
    roc_curve(truth, scores).map(|curve| curve.auc())
}

/// Precision and recall at each threshold, from the most lenient to the strictest.
#[derive(Clone, Debug, PartialEq)]
pub struct PrecisionRecallCurve {
    /// TP / (TP + FP); a last 1 stands for "nothing is positive".
    pub precision: Vec<f64>,
    /// TP / positives; a last 0 belongs to it.
    pub recall: Vec<f64>,
    /// Scores of at least this count as positive; one fewer than the points.
    pub thresholds: Vec<f64>,
}

impl PrecisionRecallCurve {
    /// The mean of the precisions, weighted by the increase of recall: `sum_n (R_n - R_(n-1)) P_n`.
    ///
    /// Source: <https://scikit-learn.org/stable/modules/generated/sklearn.metrics.average_precision_score.html>.
    pub fn average_precision(&self) -> f64 {
        self.recall.windows(2).zip(&self.precision).map(|(r, p)| (r[0] - r[1]) * p).sum()
    }
}

/// The precision-recall curve of scores; nothing without positives.
///
/// # Panics
/// If there are not as many scores as truths, or a score is NaN.
///
/// Source: <https://scikit-learn.org/stable/modules/generated/sklearn.metrics.precision_recall_curve.html>.
#[track_caller]
pub fn precision_recall_curve(truth: &[bool], scores: &[f64]) -> Option<PrecisionRecallCurve> {
    let counts = Counts::of(truth, scores);
    let positives = *counts.tps.last()?;
    if positives == 0.0 {
        return None;
    }
    let precision = counts.tps.iter().zip(&counts.fps).rev().map(|(tp, fp)| tp / (tp + fp));
    Some(PrecisionRecallCurve {
        precision: precision.chain([1.0]).collect(),
        recall: counts.tps.iter().rev().map(|tp| tp / positives).chain([0.0]).collect(),
        thresholds: counts.thresholds.into_iter().rev().collect(),
    })
}

/// The part of examples whose class is among the `k` with the highest scores; of equal scores the class with the
/// lower number comes first.
///
/// # Panics
/// If `scores` are not `classes` for each truth.
///
/// Source: <https://scikit-learn.org/stable/modules/generated/sklearn.metrics.top_k_accuracy_score.html>.
#[track_caller]
pub fn top_k_accuracy_score(truth: &[usize], scores: &[f64], classes: usize, k: usize) -> f64 {
    assert_eq!(truth.len() * classes, scores.len(), "{classes} scores for each truth");
    let among = |(&t, row): (&usize, &[f64])| {
        let before = row.iter().enumerate().filter(|&(c, s)| *s > row[t] || (*s == row[t] && c < t));
        before.count() < k
    };
    truth.iter().zip(scores.chunks_exact(classes.max(1))).filter(|&pair| among(pair)).count() as f64
        / truth.len() as f64
}
