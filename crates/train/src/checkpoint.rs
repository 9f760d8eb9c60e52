//! Checkpoints that explain themselves: weights together with all that is needed to use them again.

use crate::datasets::Splits;
use crate::error::{Result, TrainError};
use crate::fitting::fitted;
use crate::recipe::Recipe;
use crate::snapshot::Snapshot;
use crate::sources::{Encoding, TargetScale};
use gradus_data::Normalize;
use gradus_nn::Forward;
use gradus_nn::serialize::{StateDict, load_safetensors, save_safetensors};
use gradus_tensor::Tensor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What is stored beside the weights, as entries of the file's metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// The resolved recipe; its `model` is the architecture.
    pub recipe: Recipe,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The shape of an input, and what is done to pixels before the model sees them.
    pub preprocess: Preprocess,
    /// How an input becomes a tensor.
    pub encoding: Encoding,
    /// What is foretold, where it is a number.
    pub target: Option<TargetScale>,
    /// Finished epochs.
    pub epoch: usize,
    /// Optimiser steps taken.
    pub step: usize,
}

/// The shape of an input; of pictures also the last step, (pixel in [0, 1] - mean) / std, channel by channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// The shape of one input: channels, height and width of a picture.
    pub shape: Vec<usize>,
    /// The mean of each channel; nothing for what is no picture.
    pub mean: Vec<f64>,
    /// The deviation of each channel; nothing for what is no picture.
    pub std: Vec<f64>,
}

impl Preprocess {
    /// The scaling it stands for.
    pub fn scale(&self) -> Normalize {
        Normalize::new(&self.mean, &self.std)
    }

    /// Whether an input is a picture.
    pub fn is_picture(&self) -> bool {
        self.shape.len() == 3
    }

    /// Inputs without the crops that a transform may make of each picture: the first of them.
    ///
    /// # Shapes
    /// `inputs`: [N, ...] or [N, crops, ...]; result: [N, ...].
    pub fn first_crop(&self, inputs: Tensor) -> Tensor {
        if inputs.rank() == self.shape.len() + 2 { inputs.select(1, 0) } else { inputs }
    }

    /// Inputs `[N, C, H, W]` as pixels in [0, 1] again.
    pub fn to_pixels(&self, inputs: &Tensor) -> Tensor {
        let channel = |v: &[f64]| Tensor::from_vec(v.iter().map(|&x| x as f32).collect(), [v.len(), 1, 1]);
        inputs * channel(&self.std) + channel(&self.mean)
    }
}

impl Card {
    /// The card of a run that is about to begin.
    pub fn new(recipe: &Recipe, splits: &Splits) -> Card {
        Card {
            recipe: recipe.clone(),
            classes: splits.classes.clone(),
            preprocess: splits.preprocess.clone(),
            encoding: splits.encoding.clone(),
            target: splits.target.clone(),
            epoch: 0,
            step: 0,
        }
    }

    fn to_metadata(&self) -> BTreeMap<String, String> {
        fn json(value: &impl Serialize) -> String {
            serde_json::to_string(value).expect("a card is plain values")
        }
        [
            ("format", "pt".to_string()),
            ("gradus.version", env!("CARGO_PKG_VERSION").to_string()),
            ("gradus.architecture", json(&self.recipe.model)),
            ("gradus.recipe", json(&self.recipe)),
            ("gradus.classes", json(&self.classes)),
            ("gradus.preprocess", json(&self.preprocess)),
            ("gradus.encoding", json(&self.encoding)),
            ("gradus.target", json(&self.target)),
            ("gradus.epoch", self.epoch.to_string()),
            ("gradus.step", self.step.to_string()),
        ]
        .map(|(k, v)| (k.to_string(), v))
        .into()
    }

    fn from_metadata(metadata: &BTreeMap<String, String>) -> Result<Card, String> {
        fn entry<T: DeserializeOwned>(metadata: &BTreeMap<String, String>, key: &str) -> Result<T, String> {
            let text = metadata
                .get(key)
                .ok_or_else(|| format!("its metadata has no `{key}`: it was not written by `gradus train`"))?;
            serde_json::from_str(text).map_err(|e| format!("its metadata `{key}` cannot be understood: {e}"))
        }
        let mut recipe: Recipe = entry(metadata, "gradus.recipe")?;
        recipe.model = entry(metadata, "gradus.architecture")?;
        let card = Card {
            recipe,
            classes: entry(metadata, "gradus.classes")?,
            preprocess: entry(metadata, "gradus.preprocess")?,
            encoding: entry(metadata, "gradus.encoding")?,
            target: entry(metadata, "gradus.target")?,
            epoch: entry(metadata, "gradus.epoch")?,
            step: entry(metadata, "gradus.step")?,
        };
        card.check()?;
        Ok(card)
    }

    /// What is read from a file must fit the model it names.
    fn check(&self) -> Result<(), String> {
        let p = &self.preprocess;
        let scaled = p.mean.len() == p.std.len() && p.std.iter().all(|s| *s > 0.0);
        if !scaled || (matches!(self.encoding, Encoding::Pixels) && p.shape.first() != Some(&p.mean.len())) {
            return Err(format!(
                "its scaling (mean {:?}, deviation {:?}) does not fit its shape {:?}",
                p.mean, p.std, p.shape
            ));
        }
        let outputs = match (&self.target, &self.recipe.data.series) {
            (None, _) => self.classes.len(),
            (Some(_), series) => series.as_ref().map_or(1, |s| s.horizon),
        };
        fitted(&self.recipe.model, &p.shape, outputs).map(drop)
    }
}

/// Writes the weights of `model` with its card and further entries; an older file is replaced only by a whole new one.
///
/// # Errors
/// If the file cannot be written.
pub fn save(path: &Path, model: &dyn Forward, card: &Card, further: StateDict) -> Result<()> {
    let mut state = model.state_dict();
    for (name, tensor) in further.iter() {
        state.insert(name, tensor.clone());
    }
    Ok(save_safetensors(path, &state, &card.to_metadata())?)
}

/// Reads a checkpoint: its card, the weights, and where the run stood if it holds that.
///
/// # Errors
/// A missing or damaged file, or one without a card.
pub fn read(path: &Path) -> Result<(Card, StateDict, Option<Snapshot>)> {
    let (mut state, metadata) = load_safetensors(path)?;
    let card = Card::from_metadata(&metadata).map_err(|reason| wrong(path, reason))?;
    let snapshot = Snapshot::take(path.to_path_buf(), &mut state);
    Ok((card, state, snapshot))
}

/// Puts the weights of a checkpoint into a model of the same architecture.
///
/// # Errors
/// A damaged file, or weights of other names or shapes; the model is then as it was.
pub fn load_weights(path: &Path, model: &dyn Forward) -> Result<()> {
    let (_, state, _) = read(path)?;
    model.load_state_dict(&state).map_err(|e| wrong(path, e))
}

fn wrong(path: &Path, reason: impl std::fmt::Display) -> TrainError {
    TrainError::Checkpoint { path: path.to_path_buf(), reason: reason.to_string() }
}
