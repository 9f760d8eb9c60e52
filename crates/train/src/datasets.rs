//! The data of a recipe, split into training, validation and test parts and encoded for a model.

use crate::checkpoint::{Card, Preprocess};
use crate::error::{Result, TrainError, did_you_mean};
use crate::practice::Mixing;
use crate::recipe::{DataConfig, Recipe, Scaling};
use crate::sources::{self, Encoding, Parts, SOURCES, Stored, TargetScale, masks, pictures};
use gradus_data::transforms::{Compose, CutMix, MixUp, ToTensor};
use gradus_data::{
    DATASETS, DataLoader, Dataset, DatasetInfo, IMAGENET_MEAN, IMAGENET_STD, Normalize, TensorDataset, find_dataset,
    random_split, stratified_split,
};
use std::path::Path;
use std::sync::Arc;

/// Examples of a batch when nothing is learnt from it, and the numbers of their inputs at most.
const EVALUATION_BATCH: usize = 256;
const EVALUATION_NUMBERS: usize = 1 << 23;

/// Batches of one part of the data.
pub type Loader = DataLoader<Arc<dyn Dataset>>;

/// The parts of a data set, ready for a model.
pub struct Splits {
    /// What the weights are learnt from, in a new order each epoch.
    pub train: Loader,
    /// What the best epoch is chosen by.
    pub validation: Loader,
    /// What the final numbers come from.
    pub test: Loader,
    /// The names of the classes; none where numbers are foretold.
    pub classes: Vec<String>,
    /// The shape of an input, and how pixels were scaled.
    pub preprocess: Preprocess,
    /// How an input becomes a tensor.
    pub encoding: Encoding,
    /// What is foretold, where it is a number.
    pub target: Option<TargetScale>,
}

/// What `data.name` may be.
pub(crate) fn data_names() -> Vec<&'static str> {
    DATASETS.iter().map(|d| d.name).chain(SOURCES.map(|(name, _)| name)).collect()
}

/// The data set called `name`.
///
/// # Errors
/// If there is none.
pub(crate) fn find(name: &str) -> Result<&'static DatasetInfo> {
    find_dataset(name).ok_or_else(|| {
        let names = data_names();
        let hint = did_you_mean(name, names.iter().copied());
        TrainError::Recipe(format!("no data set is called `{name}`{hint}. Data sets: {}", names.join(", ")))
    })
}

/// Loads, splits and encodes the data of a recipe.
///
/// # Errors
/// Missing, damaged or mislabelled files; a part without examples.
pub fn load(recipe: &Recipe) -> Result<Splits> {
    let parts = match sources::read(recipe) {
        Some(parts) => parts?,
        None => built_in(recipe)?,
    };
    for (part, examples) in [("training", &parts.train), ("validation", &parts.validation), ("test", &parts.test)] {
        if examples.is_empty() {
            return Err(TrainError::Input(format!("data set `{}`: there are no {part} examples", recipe.data.name)));
        }
    }
    let (data, shape) = (&recipe.data, parts.preprocess.shape.clone());
    let mut train = DataLoader::new(parts.train).batch_size(recipe.batch_size).shuffle(true).seed(recipe.seed);
    train = train.workers(workers(data, &parts.encoding));
    if recipe.training.mix == Mixing::Cutmix && shape.len() != 3 {
        return Err(TrainError::Recipe("setting `training.mix`: cutmix is for pictures; use mixup".into()));
    }
    if parts.target.is_none() {
        let (classes, alpha) = (parts.classes.len(), recipe.training.mix_alpha);
        train = match recipe.training.mix {
            Mixing::None => train,
            Mixing::Mixup => train.mix(MixUp::new(classes).alpha(alpha)),
            Mixing::Cutmix => train.mix(CutMix::new(classes).alpha(alpha)),
        };
    }
    Ok(Splits {
        train,
        validation: evaluation(parts.validation, &shape, data, &parts.encoding),
        test: evaluation(parts.test, &shape, data, &parts.encoding),
        classes: parts.classes,
        preprocess: parts.preprocess,
        encoding: parts.encoding,
        target: parts.target,
    })
}

/// A loader of examples that are only measured.
fn evaluation(examples: Arc<dyn Dataset>, shape: &[usize], data: &DataConfig, encoding: &Encoding) -> Loader {
    let fits = EVALUATION_NUMBERS / shape.iter().product::<usize>().max(1);
    DataLoader::new(examples).batch_size(fits.clamp(1, EVALUATION_BATCH)).workers(workers(data, encoding))
}

/// What lies in memory as the model wants it is handed over at once; anything else is made by workers.
fn workers(data: &DataConfig, encoding: &Encoding) -> usize {
    match encoding {
        Encoding::Pictures { .. } | Encoding::Text { .. } => data.workers,
        _ => 0,
    }
}

/// A data set with a name.
fn built_in(recipe: &Recipe) -> Result<Parts> {
    let config = &recipe.data;
    let info = find(&config.name)?;
    let (rest, test) = read(info, config)?;
    // Another seed than the test part's, so that the two choices do not follow from the same numbers.
    let seed = config.split_seed.wrapping_add(1);
    let (train, validation) = match info.masks {
        true => random_split(rest.len(), config.validation, seed),
        false => stratified_split(&rest.targets().to_vec::<i64>(), config.validation, seed),
    };
    let (train, validation) = (rest.subset(&train), rest.subset(&validation));
    let classes = info.classes.iter().map(|c| c.to_string()).collect();
    if info.masks {
        return masks::prepare(recipe, [train, validation, test].map(masks::Raw::Memory), classes, info.shape[0]);
    }
    if !recipe.transforms.is_empty() {
        let raw = [train, validation, test].map(pictures::Raw::Memory);
        return pictures::prepare(recipe, raw, classes, info.shape[0]);
    }
    if train.is_empty() {
        return Err(TrainError::Input(format!("data set `{}`: there are no training examples", info.name)));
    }
    let scale = scaling(config, info, &train)?;
    let scaled = |part: &TensorDataset| -> Arc<dyn Dataset> { Arc::new(scaled(part, &scale)) };
    Ok(Parts {
        train: scaled(&train),
        validation: scaled(&validation),
        test: scaled(&test),
        classes,
        preprocess: Preprocess { shape: info.shape.into(), mean: scale.mean().to_vec(), std: scale.std().to_vec() },
        encoding: Encoding::Pixels,
        target: None,
    })
}

/// The test part alone, encoded as it was for training; with `five_crop`, a picture becomes five.
///
/// # Errors
/// As [`load`]; if there is nothing to crop.
pub(crate) fn load_test(card: &Card, config: &DataConfig, five_crop: bool) -> Result<Loader> {
    let recipe = Recipe { data: config.clone(), ..card.recipe.clone() };
    let mut encoding = card.encoding.clone();
    if five_crop && config.has_masks() {
        return Err(TrainError::Input("the pixels of five crops are no mask; leave --five-crop out".into()));
    }
    if five_crop {
        let [_, height, width] = card.preprocess.shape[..] else {
            return Err(TrainError::Input("only pictures have corners to crop; leave --five-crop out".into()));
        };
        let transform = match &encoding {
            Encoding::Pictures { transform, .. } => transform.clone(),
            _ => Compose::new([ToTensor::new().into(), card.preprocess.scale().into()]),
        };
        let transform = pictures::five_crops(&transform, [height, width]);
        encoding = Encoding::Pictures { channels: card.preprocess.shape[0], transform };
    }
    let stored = Stored { classes: &card.classes, encoding: &encoding, target: card.target.as_ref() };
    let test: Arc<dyn Dataset> = match sources::read_test(&recipe, &stored) {
        Some(test) => test?,
        None => {
            let (_, test) = read(find(&config.name)?, config)?;
            match &encoding {
                Encoding::Pictures { transform, .. } if config.has_masks() => {
                    masks::Raw::Memory(test).through(transform)
                }
                Encoding::Pictures { transform, .. } => pictures::Raw::Memory(test).through(transform),
                _ => Arc::new(scaled(&test, &card.preprocess.scale())),
            }
        }
    };
    if test.is_empty() {
        return Err(TrainError::Input(format!("data set `{}`: there are no test examples", config.name)));
    }
    Ok(evaluation(test, &card.preprocess.shape, config, &encoding))
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

fn scaled(examples: &TensorDataset, scale: &Normalize) -> TensorDataset {
    TensorDataset::new(scale.apply(examples.inputs()), examples.targets().clone())
}

fn scaling(config: &DataConfig, info: &DatasetInfo, train: &TensorDataset) -> Result<Normalize> {
    let channels = info.shape[0];
    match config.normalize {
        Scaling::None => Ok(Normalize::new(&vec![0.0; channels], &vec![1.0; channels])),
        Scaling::Train => Ok(Normalize::of(train.inputs())),
        Scaling::Mean => Ok(Normalize::new(Normalize::of(train.inputs()).mean(), &vec![1.0; channels])),
        Scaling::Imagenet if channels == 3 => Ok(Normalize::new(&IMAGENET_MEAN, &IMAGENET_STD)),
        Scaling::Imagenet => Err(pictures::not_in_colour(channels)),
        Scaling::MeanImage => Err(TrainError::Recipe(format!(
            "setting `data.normalize`: `mean-image` is for pictures in directories; use `mean` for `{}`",
            info.name
        ))),
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
    use gradus_data::Draw;
    use gradus_tensor::Tensor;

    fn inputs(loader: &Loader) -> Tensor {
        let all: Vec<usize> = (0..loader.dataset().len()).collect();
        loader.dataset().get(&all, Draw::default()).unwrap().0
    }

    #[test]
    fn the_digits_are_split_without_overlap_and_scaled_by_the_training_part() {
        let recipe = Recipe::load("digits", &[] as &[&str]).unwrap();
        let splits = load(&recipe).unwrap();
        let parts = [&splits.train, &splits.validation, &splits.test];
        assert_eq!(parts.map(|p| p.dataset().len()), [1294, 144, 359]);
        let train = inputs(&splits.train);
        assert!(train.mean().item().abs() < 1e-4 && (train.std(0).item() - 1.0).abs() < 1e-4);
        let test = load_test(&Card::new(&recipe, &splits), &recipe.data, false).unwrap();
        assert_eq!(inputs(&test).to_vec::<f32>(), inputs(&splits.test).to_vec::<f32>());
    }

    #[test]
    fn transforms_of_a_data_set_in_memory_change_the_training_part_alone() {
        let settings = ["transforms.train=[{name = 'RandomCrop', size = 8, padding = 2}]"];
        let recipe = Recipe::load("digits", &settings).unwrap();
        let (plain, splits) = (load(&Recipe::load("digits", &[] as &[&str]).unwrap()).unwrap(), load(&recipe).unwrap());
        // Through bytes, whose steps are 1 / 255, and 16 grey levels divided by a deviation of 0.38.
        let differs = |of: fn(&Splits) -> &Loader| (inputs(of(&plain)) - inputs(of(&splits))).abs().max().item();
        assert!(differs(|s| &s.test) < 0.02 && differs(|s| &s.train) > 1.0);
        let epoch = |e| splits.train.epoch(e).next().unwrap().unwrap().0.to_vec::<f32>();
        assert!(epoch(1) == epoch(1) && epoch(1) != epoch(2));
    }

    #[test]
    fn a_mean_alone_is_subtracted_and_what_fits_no_grey_pictures_is_refused() {
        let load_with = |how: &str| load(&Recipe::load("digits", &[format!("data.normalize={how}")]).unwrap());
        let train = inputs(&load_with("mean").unwrap().train);
        let plain = inputs(&load_with("none").unwrap().train);
        assert!(train.mean().item().abs() < 1e-5);
        assert!((train.std(0).item() - plain.std(0).item()).abs() < 1e-5 && plain.mean().item() > 0.2);
        let error = |how: &str| load_with(how).map(drop).unwrap_err().to_string();
        assert!(error("imagenet").contains("3 channels, got 1"), "{}", error("imagenet"));
        assert!(error("mean-image").contains("use `mean` for `digits`"), "{}", error("mean-image"));
    }

    #[test]
    fn fixed_scaling_needs_one_value_a_channel() {
        let settings = ["data.normalize=fixed", "data.mean=[0.1, 0.2]"];
        let error = load(&Recipe::load("digits", &settings).unwrap()).map(drop).unwrap_err().to_string();
        assert!(error.contains("1 channels, but got 2 and 1 values"), "{error}");
    }
}
