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
    let (table, columns) = open(&recipe.data, config)?;
    let ends = ends(&recipe.data, table.len());
    // Gaps are filled from the steps that are learnt from alone, as means and deviations are.
    let rows: Vec<usize> = (0..ends[0]).collect();
    let early = table.subset(&rows);
    let fill = columns.iter().map(|c| early.fill(c, config.missing)).collect::<Result<Vec<_>, _>>()?;
    let values = filled(&table, &columns, &fill)?;
    let scales: Vec<(f64, f64)> = values.iter().map(|v| mean_and_deviation(&v[..ends[0]])).collect();
    let (mean, std): (Vec<f64>, Vec<f64>) = scales.into_iter().unzip();
    let part = |name: &str, from: usize, to: usize| windows(config, name, &values, from..to, &mean, &std);
    let (train, validation) = (part("training", 0, ends[0])?, part("validation", ends[0], ends[1])?);
    let test = part("test", ends[1], ends[2])?;
    Ok(Parts {
        train: Arc::new(train),
        validation: Arc::new(validation),
        test: Arc::new(test),
        classes: vec![],
        preprocess: Preprocess { shape: vec![config.window, columns.len()], mean: vec![], std: vec![] },
        target: Some(TargetScale { name: config.target.clone(), mean: mean[0], std: std[0] }),
        encoding: Encoding::Series { columns, fill, mean, std },
    })
}

pub(super) fn test(
    data: &DataConfig,
    config: &SeriesConfig,
    fill: &[Option<f64>],
    mean: &[f64],
    std: &[f64],
) -> Result<Arc<dyn Dataset>> {
    let (table, columns) = open(data, config)?;
    let values = filled(&table, &columns, fill)?;
    let [_, from, to] = ends(data, table.len());
    Ok(Arc::new(windows(config, "test", &values, from..to, mean, std)?))
}

/// The file and the columns that are used, the target first.
fn open(data: &DataConfig, config: &SeriesConfig) -> Result<(Table, Vec<String>)> {
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
    let columns = [&config.target].into_iter().chain(further).cloned().collect();
    Ok((table, columns))
}

/// The values of the columns, their gaps filled.
pub(crate) fn filled(table: &Table, columns: &[String], fill: &[Option<f64>]) -> Result<Vec<Vec<f64>>> {
    Ok(columns.iter().zip(fill).map(|(c, fill)| table.filled(c, *fill)).collect::<Result<_, _>>()?)
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
    name: &str,
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
            "source `series`: the {name} part has {steps} steps, too few for a window of {} and a horizon of {}",
            config.window, config.horizon
        )));
    }
    let all: Vec<usize> = (0..windows.len()).collect();
    let (x, y) = windows.get(&all, Draw::default())?;
    Ok(TensorDataset::new(x, y.select(2, 0).contiguous())) // (N, horizon, features) -> (N, horizon)
}
