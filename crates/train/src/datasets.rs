//! Data sets by name, split into training, validation and test parts and scaled for a model.

use crate::checkpoint::Preprocess;
use crate::error::{Result, TrainError, did_you_mean};
use crate::recipe::{DataConfig, Normalize};
use gradus_data::{DataLoader, TensorDataset};
use gradus_tensor::Tensor;
use std::path::Path;

/// Every data set a recipe can name.
pub const DATASETS: &[DatasetRow] = &[
    DatasetRow {
        name: "digits",
        description: "1,797 bundled 8x8 scans of handwritten digits (UCI, CC BY 4.0); a stratified fifth is the test set",
        shape: &[1, 8, 8],
        classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        needs_dir: false,
        load: |_, seed| {
            let (images, labels) = gradus_data::digits();
            let all = Examples { images, labels };
            let (rest, test) = all.stratified(0.2, seed);
            Ok((rest, test))
        },
    },
    DatasetRow {
        name: "mnist",
        description: "28x28 handwritten digits in MNIST's four idx files, gzipped or not (--data DIR)",
        shape: &[1, 28, 28],
        classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        needs_dir: true,
        load: |dir, _| {
            let part = |train| -> Result<Examples> {
                let (images, labels) = gradus_data::mnist(dir, train)?;
                Ok(Examples { images, labels })
            };
            Ok((part(true)?, part(false)?))
        },
    },
];

/// One row of [`DATASETS`].
pub struct DatasetRow {
    /// The name in recipes.
    pub name: &'static str,
    /// One line for `gradus list`.
    pub description: &'static str,
    /// Channels, height and width of an image.
    pub shape: &'static [usize],
    /// The names of the classes.
    pub classes: &'static [&'static str],
    /// Whether it is read from a directory of the user's.
    pub needs_dir: bool,
    load: fn(&Path, u64) -> Result<(Examples, Examples)>,
}

/// Images [N, C, H, W] with pixels in [0, 1], and their classes [N].
struct Examples {
    images: Tensor,
    labels: Tensor,
}

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

/// Examples of a batch when nothing is learnt from it.
const EVALUATION_BATCH: usize = 256;

/// The row called `name`.
///
/// # Errors
/// If there is none.
pub fn find(name: &str) -> Result<&'static DatasetRow> {
    DATASETS.iter().find(|row| row.name == name).ok_or_else(|| {
        let names = DATASETS.iter().map(|row| row.name);
        let hint = did_you_mean(name, names.clone());
        TrainError::Recipe(format!("no data set is called `{name}`{hint}. Data sets: {}", names.collect::<Vec<_>>().join(", ")))
    })
}

/// Loads, splits and scales the data set of a recipe.
///
/// # Errors
/// Missing, damaged or mislabelled files.
pub fn load(config: &DataConfig, batch_size: usize, seed: u64) -> Result<Splits> {
    let row = find(&config.name)?;
    let (rest, test) = row.read(config)?;
    let (train, validation) = rest.stratified(config.validation, config.split_seed.wrapping_add(1));
    for (part, examples) in [("training", &train), ("validation", &validation), ("test", &test)] {
        if examples.len() == 0 {
            return Err(TrainError::Input(format!("data set `{}`: there are no {part} examples", row.name)));
        }
    }
    let preprocess = scaling(config, row, &train.images)?;
    let evaluation = |examples: Examples| examples.loader(&preprocess, EVALUATION_BATCH);
    Ok(Splits {
        validation: evaluation(validation),
        test: evaluation(test),
        train: train.loader(&preprocess, batch_size).shuffle(true).seed(seed),
        classes: row.classes.iter().map(|c| c.to_string()).collect(),
        preprocess,
    })
}

/// The test part alone, scaled as it was for training.
///
/// # Errors
/// As [`load`].
pub fn load_test(config: &DataConfig, preprocess: &Preprocess) -> Result<DataLoader> {
    let (_, test) = find(&config.name)?.read(config)?;
    Ok(test.loader(preprocess, EVALUATION_BATCH))
}

impl DatasetRow {
    fn read(&self, config: &DataConfig) -> Result<(Examples, Examples)> {
        let (train, test) = (self.load)(Path::new(&config.dir), config.split_seed)?;
        for part in [&train, &test] {
            if part.images.shape()[1..] != *self.shape {
                return Err(TrainError::Input(format!(
                    "`{}`: its images are {}, but data set `{}` has {}",
                    config.dir,
                    size(&part.images.shape()[1..]),
                    self.name,
                    size(self.shape)
                )));
            }
        }
        Ok((train, test))
    }
}

/// "28x28" for [1, 28, 28], "3x32x32" for [3, 32, 32].
pub(crate) fn size(shape: &[usize]) -> String {
    let dims = if shape.first() == Some(&1) { &shape[1..] } else { shape };
    dims.iter().map(|d| d.to_string()).collect::<Vec<_>>().join("x")
}

fn scaling(config: &DataConfig, row: &DatasetRow, train: &Tensor) -> Result<Preprocess> {
    let channels = row.shape[0];
    let (mean, std) = match config.normalize {
        Normalize::None => (vec![0.0; channels], vec![1.0; channels]),
        Normalize::Fixed => (config.mean.clone(), config.std.clone()),
        Normalize::Train => {
            let values = |t: Tensor| t.to_vec::<f32>().into_iter().map(f64::from).collect::<Vec<_>>();
            let mean = values(train.mean_dim([0, 2, 3], false));
            // A channel that is the same everywhere is only shifted.
            let std = values(train.std_dim([0, 2, 3], 0, false)).into_iter().map(|s| if s > 0.0 { s } else { 1.0 });
            (mean, std.collect())
        }
    };
    if mean.len() != channels || std.len() != channels {
        return Err(TrainError::Recipe(format!(
            "settings `data.mean` and `data.std`: data set `{}` has {channels} channels, but got {} and {} values",
            row.name,
            mean.len(),
            std.len()
        )));
    }
    Ok(Preprocess { shape: [row.shape[0], row.shape[1], row.shape[2]], mean, std })
}

impl Examples {
    fn len(&self) -> usize {
        self.labels.size(0)
    }

    /// The examples without and with a part taken class by class, at random by `seed`.
    fn stratified(&self, part: f64, seed: u64) -> (Examples, Examples) {
        let (rest, taken) = stratified(&self.labels.to_vec::<i64>(), part, seed);
        (self.pick(&rest), self.pick(&taken))
    }

    fn pick(&self, indices: &[i64]) -> Examples {
        let indices = Tensor::from_slice(indices, [indices.len()]);
        Examples { images: self.images.index_select(0, &indices), labels: self.labels.index_select(0, &indices) }
    }

    fn loader(self, preprocess: &Preprocess, batch_size: usize) -> DataLoader {
        DataLoader::new(TensorDataset::new(preprocess.apply(&self.images), self.labels), batch_size)
    }
}

/// Splits 0..labels.len() in two: of each class, the nearest whole number to `part` goes to the second list.
fn stratified(labels: &[i64], part: f64, seed: u64) -> (Vec<i64>, Vec<i64>) {
    let mut random = Random(seed);
    let (mut rest, mut taken) = (Vec::new(), Vec::new());
    for class in 0..=labels.iter().copied().max().unwrap_or(-1) {
        let mut members: Vec<i64> = (0..labels.len()).filter(|&i| labels[i] == class).map(|i| i as i64).collect();
        for i in (1..members.len()).rev() {
            members.swap(i, random.below(i as u64 + 1) as usize);
        }
        let count = (members.len() as f64 * part).round() as usize;
        taken.extend_from_slice(&members[..count]);
        rest.extend_from_slice(&members[count..]);
    }
    rest.sort_unstable();
    taken.sort_unstable();
    (rest, taken)
}

/// SplitMix64 (Steele, Lea & Flood 2014): a split must not depend on, or move, the tensors' generator.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * u128::from(n)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stratified_part_has_its_share_of_every_class_and_each_example_once() {
        let labels: Vec<i64> = (0..200).map(|i| if i % 4 == 0 { 0 } else { 1 + i % 2 }).collect();
        let (rest, taken) = stratified(&labels, 0.2, 3);
        for class in 0..3 {
            let share = |list: &[i64]| list.iter().filter(|&&i| labels[i as usize] == class).count() as f64;
            assert_eq!(share(&taken), (0.2 * (share(&taken) + share(&rest))).round(), "class {class}");
        }
        let mut all = [rest, taken.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<i64>>());
        assert_eq!(stratified(&labels, 0.2, 3).1, taken);
        assert_ne!(stratified(&labels, 0.2, 4).1, taken);
    }

    #[test]
    fn the_digits_are_split_without_overlap_and_scaled_by_the_training_part() {
        let config = DataConfig { name: "digits".into(), ..DataConfig::default() };
        let splits = load(&config, 32, 0).unwrap();
        let sizes = [splits.train.len(), splits.validation.len(), splits.test.len()];
        assert_eq!(sizes.iter().sum::<usize>(), 1797);
        assert!((358..=361).contains(&sizes[2]) && (142..=146).contains(&sizes[1]), "{sizes:?}");
        let images: Vec<Tensor> = splits.train.batches().map(|(x, _)| x).collect();
        let all = Tensor::cat(&images.iter().collect::<Vec<_>>(), 0);
        assert!(all.mean().item().abs() < 1e-4 && (all.std(0).item() - 1.0).abs() < 1e-4);
    }
}
