//! Windows of a time series.

use super::table::mean_and_deviation;
use super::{Encoding, Parts, SeriesConfig, TEST_PART, TargetScale, file};
use crate::checkpoint::Preprocess;
use crate::error::{Result, TrainError};
use crate::recipe::{DataConfig, Recipe};
use gradus_data::{Dataset, Draw, MissingCells, SeriesWindows, Table, TensorDataset};
use gradus_tensor::Tensor;
use std::sync::Arc;

pub(super) fn read(recipe: &Recipe, config: &SeriesConfig) -> Result<Parts> {
    if !recipe.loss.is_regression() {
        return Err(TrainError::Recipe("setting `loss`: a series is foretold as numbers; use mse, l1 or huber".into()));
    }
    let (columns, values) = columns(&recipe.data, config)?;
    let ends = ends(&recipe.data, values[0].len());
    let scales: Vec<(f64, f64)> = values.iter().map(|v| mean_and_deviation(&v[..ends[0]])).collect();
    let (mean, std): (Vec<f64>, Vec<f64>) = scales.into_iter().unzip();
    let part = |from: usize, to: usize| windows(config, &values, from..to, &mean, &std);
    let (train, validation) = (part(0, ends[0])?, part(ends[0], ends[1])?);
    let test = part(ends[1], ends[2])?;
    Ok(Parts {
        train: Arc::new(train),
        validation: Arc::new(validation),
        test: Arc::new(test),
        classes: vec![],
        preprocess: Preprocess { shape: vec![config.window, columns.len()], mean: vec![], std: vec![] },
        target: Some(TargetScale { name: config.target.clone(), mean: mean[0], std: std[0] }),
        encoding: Encoding::Series { columns, mean, std },
    })
}

pub(super) fn test(data: &DataConfig, config: &SeriesConfig, mean: &[f64], std: &[f64]) -> Result<Arc<dyn Dataset>> {
    let (_, values) = columns(data, config)?;
    let [_, from, to] = ends(data, values[0].len());
    Ok(Arc::new(windows(config, &values, from..to, mean, std)?))
}

/// The columns, the target first, and their values.
fn columns(data: &DataConfig, config: &SeriesConfig) -> Result<(Vec<String>, Vec<Vec<f64>>)> {
    let wrong = |key: &str, what: &str| Err(TrainError::Recipe(format!("setting `data.series.{key}`: {what}")));
    if config.window == 0 || config.horizon == 0 {
        return wrong(if config.window == 0 { "window" } else { "horizon" }, "must be at least 1, got 0");
    }
    if config.target.is_empty() {
        return wrong("target", "a recipe must set it");
    }
    if config.missing == MissingCells::Drop {
        return wrong("missing", "rows cannot be dropped from a series, whose steps follow each other; use mean");
    }
    let table = Table::open(file(data, "series", "file", &config.file)?)?;
    let further = config.inputs.iter().filter(|c| **c != config.target);
    let columns: Vec<String> = [&config.target].into_iter().chain(further).cloned().collect();
    let values = columns.iter().map(|c| table.numbers(c, config.missing)).collect::<Result<_, _>>()?;
    Ok((columns, values))
}

/// Where the parts end: what comes later is never learnt from.
fn ends(data: &DataConfig, steps: usize) -> [usize; 3] {
    let test = (steps as f64 * TEST_PART).round() as usize;
    let rest = steps - test;
    let validation = (rest as f64 * data.validation).round() as usize;
    [rest - validation, rest, steps]
}

/// The windows within a part, and the target's steps after each.
fn windows(
    config: &SeriesConfig,
    values: &[Vec<f64>],
    part: std::ops::Range<usize>,
    mean: &[f64],
    std: &[f64],
) -> Result<TensorDataset> {
    let (steps, features) = (part.len(), values.len());
    let row = |t: usize| (0..features).map(move |c| ((values[c][t] - mean[c]) / std[c]) as f32);
    let series = Tensor::from_vec(part.clone().flat_map(row).collect(), [steps, features]);
    let windows = SeriesWindows::new(&series, config.window).horizon(config.horizon);
    if windows.is_empty() {
        return Err(TrainError::Input(format!(
            "source `series`: a part has {steps} steps, too few for a window of {} and a horizon of {}",
            config.window, config.horizon
        )));
    }
    let all: Vec<usize> = (0..windows.len()).collect();
    let (x, y) = windows.get(&all, Draw::default())?;
    Ok(TensorDataset::new(x, y.select(2, 0).contiguous())) // (N, horizon, features) -> (N, horizon)
}
