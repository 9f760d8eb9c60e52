//! The data set of a recipe, split into training, validation and test parts and scaled for a model.

use crate::checkpoint::Preprocess;
use crate::error::{Result, TrainError, did_you_mean};
use crate::recipe::{DataConfig, Scaling};
use gradus_data::{
    DATASETS, DataLoader, Dataset, DatasetInfo, Normalize, TensorDataset, find_dataset, stratified_split,
};
use std::path::Path;

/// Examples of a batch when nothing is learnt from it.
const EVALUATION_BATCH: usize = 256;

/// The parts of a data set, ready for a model.
pub struct Splits {
    /// What the weights are learnt from, in a new order each epoch.
    pub train: DataLoader,
    /// What the best epoch is chosen by.
    pub validation: DataLoader,
    /// What the final numbers come from.
    pub test: DataLoader,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// How pixels were scaled.
    pub preprocess: Preprocess,
}

/// The data set called `name`.
///
/// # Errors
/// If there is none.
pub(crate) fn find(name: &str) -> Result<&'static DatasetInfo> {
    find_dataset(name).ok_or_else(|| {
        let names: Vec<&str> = DATASETS.iter().map(|d| d.name).collect();
        let hint = did_you_mean(name, names.iter().copied());
        TrainError::Recipe(format!("no data set is called `{name}`{hint}. Data sets: {}", names.join(", ")))
    })
}

/// Loads, splits and scales the data set of a recipe.
///
/// # Errors
/// Missing, damaged or mislabelled files; a part without examples.
pub fn load(config: &DataConfig, batch_size: usize, seed: u64) -> Result<Splits> {
    let info = find(&config.name)?;
    let (rest, test) = read(info, config)?;
    let labels = rest.targets().to_vec::<i64>();
    // Another seed than the test part's, so that the two choices do not follow from the same numbers.
    let (train, validation) = stratified_split(&labels, config.validation, config.split_seed.wrapping_add(1));
    let (train, validation) = (rest.subset(&train), rest.subset(&validation));
    for (part, examples) in [("training", &train), ("validation", &validation), ("test", &test)] {
        if examples.is_empty() {
            return Err(TrainError::Input(format!("data set `{}`: there are no {part} examples", info.name)));
        }
    }
    let scale = scaling(config, info, &train)?;
    let preprocess = Preprocess { shape: info.shape, mean: scale.mean().to_vec(), std: scale.std().to_vec() };
    Ok(Splits {
        validation: loader(&validation, &scale, EVALUATION_BATCH),
        test: loader(&test, &scale, EVALUATION_BATCH),
        train: loader(&train, &scale, batch_size).shuffle(true).seed(seed),
        classes: info.classes.iter().map(|c| c.to_string()).collect(),
        preprocess,
    })
}

/// The test part alone, scaled as it was for training.
///
/// # Errors
/// As [`load`].
pub fn load_test(config: &DataConfig, preprocess: &Preprocess) -> Result<DataLoader> {
    let (_, test) = read(find(&config.name)?, config)?;
    Ok(loader(&test, &preprocess.scale(), EVALUATION_BATCH))
}

/// A bundled data set reads no directory; naming one is a mistake that must not pass in silence.
pub(crate) fn check_dir(info: &DatasetInfo, dir: &str) -> Result<()> {
    match info.files.is_none() && !dir.is_empty() {
        true => Err(TrainError::Recipe(format!(
            "data set `{}` is bundled and reads no directory, but got `{dir}`",
            info.name
        ))),
        false => Ok(()),
    }
}

fn read(info: &DatasetInfo, config: &DataConfig) -> Result<(TensorDataset, TensorDataset)> {
    check_dir(info, &config.dir)?;
    let dir = (!config.dir.is_empty()).then_some(Path::new(&config.dir));
    if let (Some(files), Some(path)) = (info.files, dir)
        && !path.is_dir()
    {
        let (name, place) = (info.name, path.display());
        return Err(TrainError::Input(format!(
            "data set `{name}`: no directory `{place}`; give the one with {files} by --data DIR"
        )));
    }
    Ok(info.load(dir, config.split_seed)?)
}

fn loader(examples: &TensorDataset, scale: &Normalize, batch_size: usize) -> DataLoader {
    let scaled = TensorDataset::new(scale.apply(examples.inputs()), examples.targets().clone());
    DataLoader::new(scaled).batch_size(batch_size)
}

fn scaling(config: &DataConfig, info: &DatasetInfo, train: &TensorDataset) -> Result<Normalize> {
    let channels = info.shape[0];
    match config.normalize {
        Scaling::None => Ok(Normalize::new(&vec![0.0; channels], &vec![1.0; channels])),
        Scaling::Train => Ok(Normalize::of(train.inputs())),
        Scaling::Fixed if config.mean.len() == channels && config.std.len() == channels => {
            Ok(Normalize::new(&config.mean, &config.std))
        }
        Scaling::Fixed => Err(TrainError::Recipe(format!(
            "settings `data.mean` and `data.std`: data set `{}` has {channels} channels, but got {} and {} values",
            info.name,
            config.mean.len(),
            config.std.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_tensor::Tensor;

    #[test]
    fn the_digits_are_split_without_overlap_and_scaled_by_the_training_part() {
        let config = DataConfig { name: "digits".into(), ..DataConfig::default() };
        let splits = load(&config, 32, 0).unwrap();
        let parts = [&splits.train, &splits.validation, &splits.test];
        assert_eq!(parts.map(|p| p.dataset().len()), [1294, 144, 359]);
        let train = splits.train.dataset().inputs();
        assert!(train.mean().item().abs() < 1e-4 && (train.std(0).item() - 1.0).abs() < 1e-4);
        let test: Vec<Tensor> =
            load_test(&config, &splits.preprocess).unwrap().epoch(0).map(|b| b.unwrap().0).collect();
        assert_eq!(test[0].to_vec::<f32>(), splits.test.epoch(0).next().unwrap().unwrap().0.to_vec::<f32>());
    }

    #[test]
    fn fixed_scaling_needs_one_value_a_channel() {
        let config = DataConfig {
            name: "digits".into(),
            normalize: Scaling::Fixed,
            mean: vec![0.1, 0.2],
            ..DataConfig::default()
        };
        let error = load(&config, 32, 0).map(drop).unwrap_err().to_string();
        assert!(error.contains("1 channels, but got 2 and 1 values"), "{error}");
    }
}
