//! Rows of a CSV or TSV file.

use super::{Encoding, Parts, Stored, TEST_PART, TableConfig, TargetScale, file, learnt_classes, some_to_learn_from};
use crate::checkpoint::Preprocess;
use crate::error::{Result, TrainError};
use crate::recipe::{DataConfig, Recipe};
use gradus_data::{
    DataError, Dataset, MissingCells, Table, TableEncoder, TensorDataset, random_split, stratified_split,
};
use gradus_tensor::Tensor;
use std::path::Path;
use std::sync::Arc;

pub(super) fn read(recipe: &Recipe, config: &TableConfig) -> Result<Parts> {
    let regression = recipe.loss.is_regression();
    let [train, validation, test] = parts(&recipe.data, config, regression)?;
    some_to_learn_from("table", train.len())?;
    let columns = inputs(config, &train);
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    if columns.is_empty() {
        return Err(TrainError::Recipe("setting `data.table.inputs`: no column is left to foretell from".into()));
    }
    let encoder = TableEncoder::fit(&train, &columns, config.missing, !config.raw)?;
    let (classes, target) = match regression {
        true => (vec![], Some(scale(config, &train)?)),
        false => (train.classes(&config.target)?, None),
    };
    let encode = |table: &Table| encoded(table, config, &encoder, &classes, target.as_ref());
    let [train, validation, test] = [encode(&train)?, encode(&validation)?, encode(&test)?];
    let preprocess = Preprocess { shape: train.inputs().shape()[1..].to_vec(), mean: vec![], std: vec![] };
    if !regression {
        let labels = [&train, &validation, &test].map(|p| p.targets().to_vec::<i64>());
        learnt_classes("table", &classes, &labels[0], [("validation", &labels[1]), ("test", &labels[2])])?;
    }
    Ok(Parts {
        train: Arc::new(train),
        validation: Arc::new(validation),
        test: Arc::new(test),
        classes,
        preprocess,
        encoding: Encoding::Table { encoder },
        target,
    })
}

pub(super) fn test(
    data: &DataConfig,
    config: &TableConfig,
    encoder: &TableEncoder,
    stored: &Stored,
) -> Result<Arc<dyn Dataset>> {
    let [_, _, test] = match config.test.is_empty() {
        true => parts(data, config, stored.target.is_some())?,
        false => {
            let table = whole(&file(data, "table", "test", &config.test)?, config)?;
            [table.clone(), table.clone(), table]
        }
    };
    Ok(Arc::new(encoded(&test, config, encoder, stored.classes, stored.target)?))
}

/// The columns that are foretold from.
fn inputs(config: &TableConfig, table: &Table) -> Vec<String> {
    match config.inputs.is_empty() {
        false => config.inputs.clone(),
        true => {
            let other = |c: &&String| **c != config.target && !config.ignore.contains(c);
            table.columns().iter().filter(other).cloned().collect()
        }
    }
}

/// A file, without the rows that a missing cell takes away.
fn whole(path: &Path, config: &TableConfig) -> Result<Table> {
    let table = Table::open(path)?;
    if config.missing != MissingCells::Drop {
        return Ok(table);
    }
    let columns = inputs(config, &table);
    let columns: Vec<&str> = columns.iter().map(String::as_str).chain([config.target.as_str()]).collect();
    Ok(table.drop_missing(&columns)?)
}

/// The rows to learn from, for validation and for the test.
fn parts(data: &DataConfig, config: &TableConfig, regression: bool) -> Result<[Table; 3]> {
    if config.target.is_empty() {
        return Err(TrainError::Recipe("setting `data.table.target`: a recipe must set it".into()));
    }
    let mut train = whole(&file(data, "table", "train", &config.train)?, config)?;
    let mut aside = |name: &str, key: &str, part: f64, seed: u64| -> Result<Table> {
        if !name.is_empty() {
            return whole(&file(data, "table", key, name)?, config);
        }
        let (stay, aside) = match regression {
            true => random_split(train.len(), part, seed),
            false => stratified_split(&train.labels(&config.target, &train.classes(&config.target)?)?, part, seed),
        };
        let taken = train.subset(&aside);
        train = train.subset(&stay);
        Ok(taken)
    };
    let test = aside(&config.test, "test", TEST_PART, data.split_seed)?;
    let validation = aside(&config.validation, "validation", data.validation, data.split_seed.wrapping_add(1))?;
    Ok([train, validation, test])
}

/// How outputs become values of the target.
fn scale(config: &TableConfig, train: &Table) -> Result<TargetScale> {
    let values = train.numbers(&config.target, MissingCells::Refuse)?;
    let (mean, std) = if config.raw { (0.0, 1.0) } else { mean_and_deviation(&values) };
    Ok(TargetScale { name: config.target.clone(), mean, std })
}

/// Mean and deviation; 1 where all values are equal.
pub(super) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    (mean, if std > 0.0 { std } else { 1.0 })
}

fn encoded(
    table: &Table,
    config: &TableConfig,
    encoder: &TableEncoder,
    classes: &[String],
    target: Option<&TargetScale>,
) -> Result<TensorDataset, DataError> {
    let n = table.len();
    let targets = match target {
        None => Tensor::from_vec(table.labels(&config.target, classes)?, [n]),
        Some(t) => {
            // A target that is missing is not made up.
            let values = table.numbers(&config.target, MissingCells::Refuse)?;
            Tensor::from_vec(values.into_iter().map(|v| ((v - t.mean) / t.std) as f32).collect(), [n, 1])
        }
    };
    Ok(TensorDataset::new(encoder.encode(table)?, targets))
}
