//! Pictures with a class for every pixel, from directories or from memory.

use super::pictures::{part_off, scale_of, scaled};
use super::{Encoding, MaskConfig, Parts, TEST_PART, Transforms, root};
use crate::checkpoint::Preprocess;
use crate::error::{Result, TrainError};
use crate::recipe::{DataConfig, Recipe};
use gradus_data::transforms::Compose;
use gradus_data::{DataLoader, Dataset, Draw, MaskFolder, MaskedPictures, Subset, TensorDataset, random_split};
use std::sync::Arc;

/// Pictures and masks that are read when they are asked for.
pub(crate) enum Raw {
    /// Some files of two directories.
    Files(MaskFolder, Vec<usize>),
    /// Pixels in [0, 1], [N, C, H, W], with their labels, [N, H, W].
    Memory(TensorDataset),
}

impl Raw {
    /// The examples through a transform.
    pub(crate) fn through(&self, transform: &Compose) -> Arc<dyn Dataset> {
        match self {
            Raw::Files(folder, some) => {
                Arc::new(Subset::new(folder.clone().transform(transform.clone()), some.clone()))
            }
            Raw::Memory(data) => Arc::new(MaskedPictures::new(data.clone()).transform(transform.clone())),
        }
    }
}

pub(super) fn read_folder(recipe: &Recipe, config: &MaskConfig) -> Result<Parts> {
    prepare(recipe, parts(&recipe.data, config)?, config.classes.clone(), config.channels)
}

pub(super) fn test_of_folder(data: &DataConfig, config: &MaskConfig, transform: &Compose) -> Result<Arc<dyn Dataset>> {
    let test = match config.test.is_empty() {
        true => {
            let [_, _, test] = parts(data, config)?;
            test
        }
        false => all(open(data, config, &config.test)?),
    };
    Ok(test.through(transform))
}

/// The pictures to learn from, for validation and for the test.
fn parts(data: &DataConfig, config: &MaskConfig) -> Result<[Raw; 3]> {
    let folder = open(data, config, &config.train)?;
    let mut stay: Vec<usize> = (0..folder.len()).collect();
    let mut aside = |name: &str, part: f64, seed: u64| -> Result<Raw> {
        if !name.is_empty() {
            return Ok(all(open(data, config, name)?));
        }
        let split = random_split(stay.len(), part, seed);
        Ok(Raw::Files(folder.clone(), part_off(&mut stay, split)))
    };
    let test = aside(&config.test, TEST_PART, data.split_seed)?;
    let validation = aside(&config.validation, data.validation, data.split_seed.wrapping_add(1))?;
    Ok([Raw::Files(folder, stay), validation, test])
}

fn all(folder: MaskFolder) -> Raw {
    let n = folder.len();
    Raw::Files(folder, (0..n).collect())
}

fn open(data: &DataConfig, config: &MaskConfig, name: &str) -> Result<MaskFolder> {
    let wrong = |key: &str, rule: &str, got: String| {
        Err(TrainError::Recipe(format!("setting `data.masks.{key}`: must be {rule}, got {got}")))
    };
    if config.channels != 1 && config.channels != 3 {
        return wrong("channels", "1 or 3", config.channels.to_string());
    }
    if !(2..=255).contains(&config.classes.len()) {
        return wrong("classes", "the names of 2 to 255 classes", format!("{:?}", config.classes));
    }
    let ignored = match config.ignore_index {
        -1 => None,
        value @ 0..=255 => Some(value as u8),
        other => return wrong("ignore_index", "a value of a pixel from 0 to 255, or -1 for none", other.to_string()),
    };
    let dir = root(data)?.join(name);
    let folder = MaskFolder::open(dir.join(&config.images), dir.join(&config.masks), config.classes.len())?;
    Ok(folder.ignore_index(ignored).channels(config.channels))
}

/// Scales pictures as a recipe says.
pub(crate) fn prepare(recipe: &Recipe, raw: [Raw; 3], classes: Vec<String>, channels: usize) -> Result<Parts> {
    let [train, validation, test] = raw;
    let transforms = scaled(recipe, train.through(&recipe.transforms.eval), channels)?;
    let Transforms { train: steps, eval } = transforms;
    let (mean, std) = scale_of(&eval, channels);
    // What is broken or of another size is said before anything is learnt.
    for part in [&train, &validation, &test].into_iter().filter(|part| matches!(part, Raw::Files(..))) {
        let pictures = DataLoader::new(part.through(&eval)).batch_size(16).workers(recipe.data.workers);
        pictures.epoch(0).try_for_each(|batch| batch.map(drop))?;
    }
    let [train, validation, test] =
        [(train, &steps), (validation, &eval), (test, &eval)].map(|(part, transform)| part.through(transform));
    if test.is_empty() {
        return Err(TrainError::Input(format!("source `{}`: there are no test examples", recipe.data.name)));
    }
    let (sample, _) = test.get(&[0], Draw::default())?;
    Ok(Parts {
        train,
        validation,
        test,
        classes,
        preprocess: Preprocess { shape: sample.shape()[1..].to_vec(), mean, std },
        encoding: Encoding::Pictures { channels, transform: eval },
        target: None,
    })
}
