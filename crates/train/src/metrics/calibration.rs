//! Whether probabilities are as often right as they say.

use serde::Serialize;

/// One bin of a reliability curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// The mean probability that was given.
    pub mean: f64,
    /// The part of the examples that came true.
    pub share: f64,
    /// How many examples there are.
    pub count: usize,
}

/// The reliability curve: probabilities in `bins` bins of equal width, each with the part that came true. Empty bins
/// are left out.
///
/// # Panics
/// If there are not as many probabilities as truths, or no bins.
///
/// Source: <https://scikit-learn.org/stable/modules/generated/sklearn.calibration.calibration_curve.html>.
///
/// ```
/// use gradus_train::metrics::calibration_curve;
/// let curve = calibration_curve(&[false, true, true], &[0.2, 0.6, 0.8], 2);
/// assert_eq!(curve.len(), 2);
/// assert_eq!((curve[1].share, curve[1].count), (1.0, 2));
/// ```
#[track_caller]
pub fn calibration_curve(truth: &[bool], probabilities: &[f64], bins: usize) -> Vec<Bin> {
    assert_eq!(truth.len(), probabilities.len(), "one probability for each truth");
    assert!(bins > 0, "at least one bin");
    let mut sums = vec![(0.0, 0usize, 0usize); bins];
    for (&t, &p) in truth.iter().zip(probabilities) {
        // A probability at an edge belongs to the bin below it.
        let at = (1..bins).filter(|&b| p > b as f64 / bins as f64).count();
        sums[at].0 += p;
        sums[at].1 += usize::from(t);
        sums[at].2 += 1;
    }
    let bin =
        |(sum, right, n): (f64, usize, usize)| Bin { mean: sum / n as f64, share: right as f64 / n as f64, count: n };
    sums.into_iter().filter(|s| s.2 > 0).map(bin).collect()
}

/// Expected calibration error: `sum_b n_b / n |share_b - mean_b|` over the bins of a reliability curve.
///
/// Source: Naeini et al., 2015, <https://doi.org/10.1609/aaai.v29i1.9602>.
pub fn expected_calibration_error(curve: &[Bin]) -> f64 {
    let n: usize = curve.iter().map(|b| b.count).sum();
    curve.iter().map(|b| b.count as f64 / n as f64 * (b.share - b.mean).abs()).sum()
}

/// Brier score of one event: the mean of (p - y)^2.
///
/// # Panics
/// If there are not as many probabilities as truths.
///
/// Source: <https://scikit-learn.org/stable/modules/generated/sklearn.metrics.brier_score_loss.html>.
#[track_caller]
pub fn brier_score_loss(truth: &[bool], probabilities: &[f64]) -> f64 {
    assert_eq!(truth.len(), probabilities.len(), "one probability for each truth");
    let square = |(&t, p): (&bool, &f64)| (p - f64::from(u8::from(t))).powi(2);
    truth.iter().zip(probabilities).map(square).sum::<f64>() / truth.len() as f64
}

/// Brier score of several classes: the mean over examples of the sum over classes of (p - y)^2, from 0 to 2
/// (scikit-learn's `scale_by_half=False`).
///
/// # Panics
/// If `probabilities` are not `classes` for each truth.
#[track_caller]
pub fn multiclass_brier_score(truth: &[usize], probabilities: &[f64], classes: usize) -> f64 {
    assert_eq!(truth.len() * classes, probabilities.len(), "{classes} probabilities for each truth");
    let row = |(&t, row): (&usize, &[f64])| -> f64 {
        row.iter().enumerate().map(|(c, p)| (p - if c == t { 1.0 } else { 0.0 }).powi(2)).sum()
    };
    truth.iter().zip(probabilities.chunks_exact(classes.max(1))).map(row).sum::<f64>() / truth.len() as f64
}
