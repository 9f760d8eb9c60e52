//! Pictures through the transforms of a recipe, from directories or from memory.

use super::{Encoding, FolderConfig, Parts, TEST_PART, Transforms, learnt_classes, root};
use crate::checkpoint::Preprocess;
use crate::error::{Result, TrainError};
use crate::recipe::{DataConfig, Recipe, Scaling};
use gradus_data::transforms::{Compose, FiveCrop, Resize, SubtractMean, SubtractMeanImage, ToTensor, Transform};
use gradus_data::{
    DataError, DataLoader, Dataset, Draw, IMAGENET_MEAN, IMAGENET_STD, Image, ImageFolder, Normalize, Subset,
    TensorDataset, stratified_split,
};
use gradus_tensor::{DType, Tensor};
use std::sync::Arc;

/// Pictures that are read when they are asked for.
#[derive(Clone)]
pub(crate) enum Raw {
    /// Some files of a directory.
    Files(ImageFolder, Vec<usize>),
    /// Pixels in [0, 1], [N, C, H, W], with their classes.
    Memory(TensorDataset),
}

impl Raw {
    fn labels(&self) -> Vec<i64> {
        match self {
            Raw::Files(folder, some) => {
                let labels = folder.labels();
                some.iter().map(|&i| labels[i]).collect()
            }
            Raw::Memory(data) => data.targets().to_vec::<i64>(),
        }
    }

    /// The examples through a transform.
    pub(crate) fn through(&self, transform: &Compose) -> Arc<dyn Dataset> {
        match self {
            Raw::Files(folder, some) => {
                Arc::new(Subset::new(folder.clone().transform(transform.clone()), some.clone()))
            }
            Raw::Memory(data) => Arc::new(Transformed { data: data.clone(), transform: transform.clone() }),
        }
    }
}

/// Pictures in memory through a transform.
struct Transformed {
    data: TensorDataset,
    transform: Compose,
}

impl Dataset for Transformed {
    fn len(&self) -> usize {
        self.data.len()
    }

    fn get(&self, indices: &[usize], draw: Draw) -> Result<(Tensor, Tensor), DataError> {
        let (pixels, labels) = self.data.get(indices, draw)?;
        let picture = |(row, &index): (usize, &usize)| {
            self.transform.apply(&Image::from_tensor(&pixels.select(0, row)), &mut draw.rng(index))
        };
        let all = indices.iter().enumerate().map(picture).collect::<Result<Vec<Tensor>, DataError>>()?;
        Ok((Tensor::stack(&all.iter().collect::<Vec<_>>(), 0), labels))
    }
}

pub(super) fn read_folder(recipe: &Recipe, config: &FolderConfig) -> Result<Parts> {
    if recipe.loss.is_regression() {
        return Err(TrainError::Recipe(
            "setting `loss`: pictures in directories have classes; use cross-entropy".into(),
        ));
    }
    let [train, validation, test] = parts(&recipe.data, config)?;
    let classes = match &train {
        Raw::Files(folder, _) => folder.classes().to_vec(),
        Raw::Memory(_) => unreachable!("a directory holds files"),
    };
    if let Raw::Files(folder, some) = &train
        && let Some((path, _)) = some.first().and_then(|&i| folder.files().get(i))
    {
        let first = Image::open(path)?;
        for advice in recipe.transforms.eval.advice(first.height(), first.width()) {
            eprintln!("warning: {advice}");
        }
    }
    prepare(recipe, [train, validation, test], classes, config.channels)
}

pub(super) fn test_of_folder(
    data: &DataConfig,
    config: &FolderConfig,
    classes: &[String],
    transform: &Compose,
) -> Result<Arc<dyn Dataset>> {
    let test = match config.test.is_empty() {
        true => {
            let [_, _, test] = parts(data, config)?;
            test
        }
        false => all(open(data, config, &config.test, Some(classes))?),
    };
    Ok(test.through(transform))
}

/// The pictures to learn from, for validation and for the test.
fn parts(data: &DataConfig, config: &FolderConfig) -> Result<[Raw; 3]> {
    if config.channels != 1 && config.channels != 3 {
        return Err(TrainError::Recipe(format!(
            "setting `data.folder.channels`: must be 1 or 3, got {}",
            config.channels
        )));
    }
    let folder = open(data, config, &config.train, None)?;
    let labels = folder.labels();
    let mut stay: Vec<usize> = (0..labels.len()).collect();
    let mut aside = |name: &str, part: f64, seed: u64| -> Result<Raw> {
        if !name.is_empty() {
            return Ok(all(open(data, config, name, Some(folder.classes()))?));
        }
        let of: Vec<i64> = stay.iter().map(|&i| labels[i]).collect();
        Ok(Raw::Files(folder.clone(), part_off(&mut stay, stratified_split(&of, part, seed))))
    };
    let test = aside(&config.test, TEST_PART, data.split_seed)?;
    let validation = aside(&config.validation, data.validation, data.split_seed.wrapping_add(1))?;
    Ok([Raw::Files(folder, stay), validation, test])
}

/// Takes from the indices that stay those of a split's second part; a split holds places among the indices.
pub(super) fn part_off(stay: &mut Vec<usize>, (keep, take): (Vec<usize>, Vec<usize>)) -> Vec<usize> {
    let taken = take.iter().map(|&i| stay[i]).collect();
    *stay = keep.iter().map(|&i| stay[i]).collect();
    taken
}

fn all(folder: ImageFolder) -> Raw {
    let n = folder.len();
    Raw::Files(folder, (0..n).collect())
}

fn open(data: &DataConfig, config: &FolderConfig, name: &str, classes: Option<&[String]>) -> Result<ImageFolder> {
    let path = root(data)?.join(name);
    let folder = match classes {
        None => ImageFolder::open(path)?,
        Some(classes) => ImageFolder::open_with_classes(path, classes)?,
    };
    let folder = folder.channels(config.channels);
    if !config.skip_broken {
        return Ok(folder);
    }
    let (folder, broken) = folder.skip_broken(data.workers.max(1));
    broken.iter().for_each(|e| eprintln!("skipped: {e}"));
    Ok(folder)
}

/// Scales and splits pictures as a recipe says.
pub(crate) fn prepare(recipe: &Recipe, raw: [Raw; 3], classes: Vec<String>, channels: usize) -> Result<Parts> {
    let [train, validation, test] = raw;
    let labels = [&train, &validation, &test].map(Raw::labels);
    for (part, labels) in ["training", "validation", "test"].into_iter().zip(&labels) {
        if labels.is_empty() {
            return Err(TrainError::Input(format!("source `{}`: there are no {part} examples", recipe.data.name)));
        }
    }
    learnt_classes(&recipe.data.name, &classes, &labels[0], [("validation", &labels[1]), ("test", &labels[2])])?;
    let Transforms { train: steps, eval } = scaled(recipe, train.through(&recipe.transforms.eval), channels)?;
    let (mean, std) = scale_of(&eval, channels);
    // What is broken or of another size is said before anything is learnt.
    for part in [&validation, &test].into_iter().filter(|part| matches!(part, Raw::Files(..))) {
        let pictures = DataLoader::new(part.through(&eval)).batch_size(64).workers(recipe.data.workers);
        pictures.epoch(0).try_for_each(|batch| batch.map(drop))?;
    }
    let (sample, _) = train.through(&eval).get(&[0], Draw::default())?;
    Ok(Parts {
        train: train.through(&steps),
        validation: validation.through(&eval),
        test: test.through(&eval),
        classes,
        preprocess: Preprocess { shape: sample.shape()[1..].to_vec(), mean, std },
        encoding: Encoding::Pictures { channels, transform: eval },
        target: None,
    })
}

/// The mean and the deviation that transforms bring to 0 and 1; of a mean picture the mean of each channel.
pub(super) fn scale_of(eval: &Compose, channels: usize) -> (Vec<f64>, Vec<f64>) {
    let scale = eval.steps().iter().rev().find_map(|step| match step {
        Transform::Normalize(n) => Some((n.mean().to_vec(), n.std().to_vec())),
        Transform::SubtractMean(s) => Some((s.mean().to_vec(), vec![1.0; channels])),
        Transform::SubtractMeanImage(s) => Some((s.channel_means(), vec![1.0; channels])),
        _ => None,
    });
    scale.unwrap_or((vec![0.0; channels], vec![1.0; channels]))
}

/// Whether a step shifts or scales.
fn scales(step: &&Transform) -> bool {
    matches!(step, Transform::Normalize(_) | Transform::SubtractMean(_) | Transform::SubtractMeanImage(_))
}

/// The transforms of a recipe with the scaling that its data section asks for, if they have none of their own; `train`
/// are the pictures to learn from through the transforms of evaluation.
pub(super) fn scaled(recipe: &Recipe, train: Arc<dyn Dataset>, channels: usize) -> Result<Transforms> {
    let Transforms { train: steps, eval } = &recipe.transforms;
    let own = |c: &Compose| c.steps().iter().filter(scales).cloned().collect::<Vec<_>>();
    if own(steps) != own(eval) {
        return Err(TrainError::Recipe(
            "settings `transforms.train` and `transforms.eval`: both must shift and scale alike, or neither".into(),
        ));
    }
    for (key, list) in [("train", steps), ("eval", eval)] {
        if list.crops() > 1 {
            return Err(TrainError::Recipe(format!(
                "setting `transforms.{key}`: FiveCrop makes five inputs of one; it is for `gradus eval --five-crop`"
            )));
        }
    }
    if !own(eval).is_empty() {
        return Ok(recipe.transforms.clone());
    }
    let data = &recipe.data;
    let scale: Transform = match data.normalize {
        Scaling::None => return Ok(recipe.transforms.clone()),
        Scaling::Fixed if data.mean.len() == channels && data.std.len() == channels => {
            Normalize::new(&data.mean, &data.std).into()
        }
        Scaling::Imagenet if channels == 3 => Normalize::new(&IMAGENET_MEAN, &IMAGENET_STD).into(),
        Scaling::Imagenet => return Err(not_in_colour(channels)),
        Scaling::Fixed => {
            return Err(TrainError::Recipe(format!(
                "settings `data.mean` and `data.std`: the pictures have {channels} channels, but got {} and {} values",
                data.mean.len(),
                data.std.len()
            )));
        }
        Scaling::Train => measured(train, data.workers)?.into(),
        Scaling::Mean => SubtractMean::new(measured(train, data.workers)?.mean()).into(),
        Scaling::MeanImage => SubtractMeanImage::new(&mean_image(train, data.workers)?).into(),
    };
    Ok(Transforms { train: with(steps, &scale), eval: with(eval, &scale) })
}

/// The error of asking for ImageNet's scaling of pictures with other channels.
pub(crate) fn not_in_colour(channels: usize) -> TrainError {
    TrainError::Recipe(format!(
        "setting `data.normalize`: `imagenet` is for pictures of 3 channels, got {channels}; use `train`"
    ))
}

/// The mean of all pictures, [C, H, W].
fn mean_image(pictures: Arc<dyn Dataset>, workers: usize) -> Result<Tensor> {
    let (mut sum, mut count) = (Tensor::scalar(0.0), 0);
    for batch in DataLoader::new(pictures).batch_size(64).workers(workers).epoch(0) {
        let (x, _) = batch?;
        count += x.size(0);
        sum = x.to_dtype(DType::F64).sum_dim([0], false) + sum; // (N, C, H, W) -> (C, H, W)
    }
    Ok((sum / count as f64).to_dtype(DType::F32))
}

/// Mean and deviation of each channel over all pictures.
fn measured(pictures: Arc<dyn Dataset>, workers: usize) -> Result<Normalize> {
    let (mut sums, mut squares, mut count) = (Vec::new(), Vec::new(), 0usize);
    for batch in DataLoader::new(pictures).batch_size(64).workers(workers).epoch(0) {
        let (x, _) = batch?;
        let x = x.to_dtype(DType::F64); // (N, C, H, W)
        count += x.numel() / x.size(1);
        for (total, part) in [(&mut sums, &x), (&mut squares, &x.square())] {
            let part = part.sum_dim([0, 2, 3], false).to_vec::<f64>();
            total.resize(part.len(), 0.0);
            total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
        }
    }
    let n = count as f64;
    let mean: Vec<f64> = sums.iter().map(|s| s / n).collect();
    let std = squares.iter().zip(&mean).map(|(s, m)| (s / n - m * m).max(0.0).sqrt());
    let std: Vec<f64> = std.map(|s| if s > 1e-12 { s } else { 1.0 }).collect();
    Ok(Normalize::new(&mean, &std))
}

/// The steps with a scaling right after `ToTensor`, as is usual.
fn with(steps: &Compose, scale: &Transform) -> Compose {
    let mut list = steps.steps().to_vec();
    let at = list.iter().position(|s| matches!(s, Transform::ToTensor(_))).unwrap_or_else(|| {
        list.push(ToTensor::new().into());
        list.len() - 1
    });
    list.insert(at + 1, scale.clone());
    Compose::new(list)
}

/// The transform that makes of a picture its four corners and its middle: in the place of a last `CenterCrop`, or of
/// the picture made an eighth larger.
pub(crate) fn five_crops(transform: &Compose, [height, width]: [usize; 2]) -> Compose {
    let mut list = transform.steps().to_vec();
    let floats = list.iter().position(|s| matches!(s, Transform::ToTensor(_))).unwrap_or(list.len());
    let crop: Transform = FiveCrop::new([height, width]).into();
    match list[..floats].last() {
        Some(Transform::CenterCrop(_)) => list[floats - 1] = crop,
        _ => {
            list.insert(floats, Resize::new([height * 9 / 8, width * 9 / 8]).into());
            list.insert(floats + 1, crop);
        }
    }
    Compose::new(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_data::transforms::{CenterCrop, RandomErasing};

    fn names(steps: &Compose) -> Vec<&'static str> {
        steps.steps().iter().map(Transform::name).collect()
    }

    #[test]
    fn scaling_follows_the_turn_to_floats() {
        let scale = Normalize::new(&[0.5], &[0.25]).into();
        let erased = Compose::new([CenterCrop::new(8).into(), ToTensor::new().into(), RandomErasing::new().into()]);
        assert_eq!(names(&with(&erased, &scale)), ["CenterCrop", "ToTensor", "Normalize", "RandomErasing"]);
        assert_eq!(names(&with(&Compose::default(), &scale)), ["ToTensor", "Normalize"]);
    }

    #[test]
    fn whatever_shifts_is_known_to_what_shows_pixels_again() {
        let of = |step: Transform| scale_of(&Compose::new([ToTensor::new().into(), step]), 1);
        assert_eq!(of(Normalize::new(&[0.5], &[0.25]).into()), (vec![0.5], vec![0.25]));
        assert_eq!(of(SubtractMean::new(&[0.4]).into()), (vec![0.4], vec![1.0]));
        let mean = Tensor::from_slice(&[0.0f32, 1.0], [1, 1, 2]);
        assert_eq!(of(SubtractMeanImage::new(&mean).into()), (vec![0.5], vec![1.0]));
        assert_eq!(of(RandomErasing::new().into()), (vec![0.0], vec![1.0]));
    }

    #[test]
    fn five_crops_take_the_place_of_a_last_crop_or_of_a_larger_picture() {
        let crop = Compose::new([CenterCrop::new(8).into(), ToTensor::new().into()]);
        assert_eq!(names(&five_crops(&crop, [8, 8])), ["FiveCrop", "ToTensor"]);
        let plain = five_crops(&Compose::new([ToTensor::new().into()]), [16, 8]);
        assert_eq!(names(&plain), ["Resize", "FiveCrop", "ToTensor"]);
        let out = plain.apply(&Image::filled(16, 8, &[1, 2, 3]), &mut Draw::default().rng(0)).unwrap();
        assert_eq!(out.shape(), [5, 3, 16, 8]);
    }
}
