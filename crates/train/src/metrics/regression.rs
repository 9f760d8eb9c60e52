//! Metrics of numbers that are predicted.

/// The mean over pairs.
#[track_caller]
fn mean(truth: &[f64], predicted: &[f64], of: impl Fn(f64, f64) -> f64) -> f64 {
    assert_eq!(truth.len(), predicted.len(), "one prediction for each truth");
    truth.iter().zip(predicted).map(|(t, p)| of(*t, *p)).sum::<f64>() / truth.len() as f64
}

/// Mean squared error: the mean of (y - p)^2.
///
/// # Panics
/// If the numbers of truths and predictions differ.
///
/// Source: <https://scikit-learn.org/stable/modules/generated/sklearn.metrics.mean_squared_error.html>.
#[track_caller]
pub fn mean_squared_error(truth: &[f64], predicted: &[f64]) -> f64 {
    mean(truth, predicted, |t, p| (t - p).powi(2))
}

/// Mean absolute error: the mean of |y - p|.
///
/// # Panics
/// If the numbers of truths and predictions differ.
///
/// Source: <https://scikit-learn.org/stable/modules/generated/sklearn.metrics.mean_absolute_error.html>.
#[track_caller]
pub fn mean_absolute_error(truth: &[f64], predicted: &[f64]) -> f64 {
    mean(truth, predicted, |t, p| (t - p).abs())
}

/// Coefficient of determination: 1 - sum (y - p)^2 / sum (y - mean y)^2. Of truths that are all equal it is 1 if
/// every prediction is right and 0 if not, as scikit-learn has it.
///
/// # Panics
/// If the numbers of truths and predictions differ.
///
/// Source: <https://scikit-learn.org/stable/modules/generated/sklearn.metrics.r2_score.html>.
///
/// ```
/// use gradus_train::metrics::r2_score;
/// assert_eq!(r2_score(&[1.0, 2.0, 3.0], &[2.0, 2.0, 2.0]), 0.0);
/// ```
#[track_caller]
pub fn r2_score(truth: &[f64], predicted: &[f64]) -> f64 {
    let middle = truth.iter().sum::<f64>() / truth.len() as f64;
    let (left, all) = (mean_squared_error(truth, predicted), mean(truth, truth, |t, _| (t - middle).powi(2)));
    match (left == 0.0, all == 0.0) {
        (true, _) => 1.0,
        (false, true) => 0.0,
        (false, false) => 1.0 - left / all,
    }
}
