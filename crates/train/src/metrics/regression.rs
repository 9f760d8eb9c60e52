//! Metrics of numbers that are predicted.

use serde::{Deserialize, Serialize};

/// True and predicted numbers, `outputs` of them for each example.
///
/// ```
/// use gradus_train::metrics::Regression;
/// let numbers = Regression::new(vec![1.0, 2.0, 3.0], vec![2.0, 2.0, 2.0], 1);
/// assert_eq!((numbers.mae(), numbers.r2()), (2.0 / 3.0, 0.0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Regression {
    truth: Vec<f64>,
    predicted: Vec<f64>,
    outputs: usize,
}

/// The figures of a [`Regression`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegressionScores {
    /// See [`mean_squared_error`].
    pub mse: f64,
    /// See [`mean_absolute_error`].
    pub mae: f64,
    /// See [`r2_score`]; the mean over outputs if there are several.
    pub r2: f64,
}

impl Regression {
    /// Pairs truths with predictions, example by example.
    ///
    /// # Panics
    /// If their numbers differ, or are no multiple of `outputs`.
    #[track_caller]
    pub fn new(truth: Vec<f64>, predicted: Vec<f64>, outputs: usize) -> Regression {
        let (n, m) = (truth.len(), predicted.len());
        assert!(outputs > 0 && n == m && n.is_multiple_of(outputs), "{n} truths, {m} predictions, {outputs} outputs");
        Regression { truth, predicted, outputs }
    }

    /// The truths, example by example.
    pub fn truth(&self) -> &[f64] {
        &self.truth
    }

    /// The predictions, example by example.
    pub fn predicted(&self) -> &[f64] {
        &self.predicted
    }

    /// How many examples there are.
    pub fn examples(&self) -> usize {
        self.truth.len() / self.outputs
    }

    /// Mean squared error of all numbers.
    pub fn mse(&self) -> f64 {
        mean_squared_error(&self.truth, &self.predicted)
    }

    /// Mean absolute error of all numbers.
    pub fn mae(&self) -> f64 {
        mean_absolute_error(&self.truth, &self.predicted)
    }

    /// Coefficient of determination, the mean over outputs.
    pub fn r2(&self) -> f64 {
        let of = |v: &[f64], output: usize| v.iter().skip(output).step_by(self.outputs).copied().collect::<Vec<f64>>();
        let each = (0..self.outputs).map(|o| r2_score(&of(&self.truth, o), &of(&self.predicted, o)));
        each.sum::<f64>() / self.outputs as f64
    }

    /// The three figures.
    pub fn scores(&self) -> RegressionScores {
        RegressionScores { mse: self.mse(), mae: self.mae(), r2: self.r2() }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_outputs_count_alike_whatever_their_unit() {
        // The first output is foretold exactly, the second by its mean: (1 + 0) / 2.
        let truth = vec![1.0, 10.0, 2.0, 20.0, 3.0, 30.0];
        let numbers = Regression::new(truth, vec![1.0, 20.0, 2.0, 20.0, 3.0, 20.0], 2);
        assert_eq!((numbers.examples(), numbers.r2()), (3, 0.5));
        assert!((numbers.mae() - 20.0 / 6.0).abs() < 1e-12 && (numbers.mse() - 200.0 / 6.0).abs() < 1e-12);
    }
}
