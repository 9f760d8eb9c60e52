//! Recipes: everything that decides a training run, as one typed, editable TOML file.

use crate::datasets;
use crate::error::{Result, TrainError, did_you_mean};
use crate::fitting::fitted;
use crate::objective::Objective;
use crate::optimizers::OptimizerConfig;
use crate::pixels;
use crate::practice::{Mixing, Training};
use crate::schedule::Schedule;
use crate::settings;
use crate::sources::{FolderConfig, MaskConfig, SOURCES, SeriesConfig, TableConfig, TextConfig, Transforms};
use gradus_models::{Architecture, Extra, ModelRow, Output, capsule_margin_loss};
use gradus_nn::Forward;
use gradus_nn::losses::{cross_entropy, huber_loss, l1_loss, mse_loss, nll_loss};
use gradus_nn::optim::{Optimizer, ParamGroup};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::path::Path;
use toml::{Table, Value};

/// The recipes that come with Gradus: the name and the text of its file.
pub const RECIPES: [(&str, &str); 10] = [
    ("digits", include_str!("../recipes/digits.toml")),
    ("mnist", include_str!("../recipes/mnist.toml")),
    ("mnist-capsnet", include_str!("../recipes/mnist-capsnet.toml")),
    ("mnist-mlp", include_str!("../recipes/mnist-mlp.toml")),
    ("pictures", include_str!("../recipes/pictures.toml")),
    ("shapes", include_str!("../recipes/shapes.toml")),
    ("masks", include_str!("../recipes/masks.toml")),
    ("housing", include_str!("../recipes/housing.toml")),
    ("temperatures", include_str!("../recipes/temperatures.toml")),
    ("reviews", include_str!("../recipes/reviews.toml")),
];

/// Everything that decides a training run.
///
/// ```
/// let recipe = gradus_train::Recipe::load("digits", &["optimizer.lr=0.001"]).unwrap();
/// assert_eq!(recipe.optimizer.lr(), 0.001);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The name; run directories begin with it.
    pub name: String,
    /// One line for `gradus list`.
    pub description: String,
    /// Passes over the training examples.
    pub epochs: usize,
    /// Examples in one optimiser step.
    pub batch_size: usize,
    /// Seed of initialisation, shuffling and dropout.
    pub seed: u64,
    /// The loss.
    pub loss: Loss,
    /// The model and its configuration.
    pub model: Architecture,
    /// The data set, its split and its preprocessing.
    pub data: DataConfig,
    /// What pictures go through.
    #[serde(default, skip_serializing_if = "Transforms::is_empty")]
    pub transforms: Transforms,
    /// The optimiser and its settings.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// What is added to plain training.
    #[serde(default)]
    pub training: Training,
}

/// What is minimised: for classes (of inputs, or of the pixels of pictures), or for numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Cross-entropy of logits, of the pixels where there are masks.
    CrossEntropy,
    /// Dice loss of masks.
    Dice,
    /// The sum of the two for masks.
    CrossEntropyDice,
    /// Negative log-likelihood of log-probabilities.
    Nll,
    /// Margin loss of capsules' lengths.
    Margin,
    /// Squared error of numbers.
    Mse,
    /// Absolute error of numbers.
    L1,
    /// Squared error of numbers up to 1, absolute beyond.
    Huber,
}

impl Loss {
    /// Whether numbers are foretold, not classes.
    pub fn is_regression(self) -> bool {
        matches!(self, Loss::Mse | Loss::L1 | Loss::Huber)
    }

    /// Outputs as logits, whose softmax are probabilities of the classes: the logarithms of capsules' lengths, anything
    /// else as it is.
    pub(crate) fn logits(self, outputs: &Tensor) -> Tensor {
        match self {
            Loss::Margin => (outputs + 1e-9).log(),
            _ => outputs.clone(),
        }
    }

    /// The mean loss of a batch.
    ///
    /// # Shapes
    /// `outputs`: [N, classes] and `labels`: `[N]` i64, or [N, classes] probabilities; of masks [N, classes, H, W] and
    /// [N, H, W] i64; of numbers both [N, outputs]; result: `[]`.
    ///
    /// # Panics
    /// On other shapes.
    #[track_caller]
    pub fn of(self, outputs: &Tensor, labels: &Tensor) -> Tensor {
        match self {
            Loss::Mse => mse_loss(outputs, labels),
            Loss::L1 => l1_loss(outputs, labels),
            Loss::Huber => huber_loss(outputs, labels),
            // Log-probabilities are their own log-softmax, so cross-entropy is right for them too.
            Loss::Nll if labels.dtype().is_float() => cross_entropy(outputs, labels),
            Loss::CrossEntropy if outputs.rank() == 4 => pixels::cross_entropy(outputs, labels),
            Loss::CrossEntropy => cross_entropy(outputs, labels),
            Loss::Margin => capsule_margin_loss(outputs, labels),
            Loss::Dice => pixels::dice(outputs, labels),
            Loss::CrossEntropyDice => pixels::cross_entropy(outputs, labels) + pixels::dice(outputs, labels),
            Loss::Nll => nll_loss(outputs, labels),
        }
    }
}

/// The data set, how it is split and how its pixels are scaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// A data set or a source from `gradus list`.
    pub name: String,
    /// The directory of its files; empty for a bundled set.
    pub dir: String,
    /// Threads that make batches ahead of time, where examples are read or changed on the way.
    pub workers: usize,
    /// The part of the training examples kept, class by class, for choosing the best epoch.
    pub validation: f64,
    /// Seed of every split; apart from `seed` so that the test set stays when the seed changes.
    pub split_seed: u64,
    /// Where mean and deviation come from.
    pub normalize: Scaling,
    /// The mean of each channel when `normalize` is `fixed`.
    pub mean: Vec<f64>,
    /// The deviation of each channel when `normalize` is `fixed`.
    pub std: Vec<f64>,
    /// Of the source `image-folder`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderConfig>,
    /// Of the source `masks`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masks: Option<MaskConfig>,
    /// Of the source `table`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<TableConfig>,
    /// Of the source `series`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesConfig>,
    /// Of the source `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<TextConfig>,
}

impl DataConfig {
    /// The data set or source called `name`, with its settings at their defaults.
    pub fn by_name(name: &str) -> Option<DataConfig> {
        let mut config = DataConfig { name: name.into(), ..DataConfig::default() };
        match name {
            "image-folder" => config.folder = Some(FolderConfig::default()),
            "masks" => config.masks = Some(MaskConfig::default()),
            "table" => config.table = Some(TableConfig::default()),
            "series" => config.series = Some(SeriesConfig::default()),
            "text" => config.text = Some(TextConfig::default()),
            _ => return datasets::find(name).is_ok().then_some(config),
        }
        Some(config)
    }

    /// Whether every pixel has a class, and not only every picture.
    pub fn has_masks(&self) -> bool {
        self.masks.is_some() || datasets::find(&self.name).is_ok_and(|row| row.masks)
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        DataConfig {
            name: String::new(),
            dir: String::new(),
            workers: 2,
            validation: 0.1,
            split_seed: 0,
            normalize: Scaling::Train,
            mean: vec![0.5],
            std: vec![0.5],
            folder: None,
            masks: None,
            table: None,
            series: None,
            text: None,
        }
    }
}

/// Where the mean and deviation of the pixels come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// Measured on the training part.
    Train,
    /// Given in the recipe.
    Fixed,
    /// Those of ImageNet's three channels, as nets that were trained there expect.
    Imagenet,
    /// The mean of each channel alone, measured on the training part; the deviation stays.
    Mean,
    /// The mean picture of the training part, pixel by pixel; the deviation stays.
    MeanImage,
    /// Pixels stay in [0, 1].
    None,
}

impl Recipe {
    /// A built-in recipe by name, or a recipe file by path, with `key=value` settings applied on top.
    ///
    /// # Errors
    /// An unknown name (with the nearest), an unreadable file, an unknown or mistyped setting.
    pub fn load(name_or_path: &str, settings: &[impl AsRef<str>]) -> Result<Recipe> {
        let builtin = RECIPES.iter().find(|(name, _)| *name == name_or_path);
        match builtin {
            Some((_, text)) => Recipe::parse(text, settings),
            None if name_or_path.ends_with(".toml") => {
                let path = Path::new(name_or_path);
                let text = std::fs::read_to_string(path).map_err(TrainError::io("read the recipe", path))?;
                Recipe::parse(&text, settings).map_err(|e| TrainError::Recipe(format!("{name_or_path}: {e}")))
            }
            None => {
                let names = RECIPES.map(|(name, _)| name);
                Err(TrainError::Recipe(format!(
                    "no recipe is called `{name_or_path}`{}. Recipes: {}; or give the path of a .toml file",
                    did_you_mean(name_or_path, names),
                    names.join(", ")
                )))
            }
        }
    }

    /// A recipe from the text of its file, with `key=value` settings applied on top.
    ///
    /// # Errors
    /// Text that is not TOML, an unknown or mistyped setting, a value out of range.
    pub fn parse(text: &str, settings: &[impl AsRef<str>]) -> Result<Recipe> {
        let given: Table = toml::from_str(text).map_err(|e| TrainError::Recipe(format!("not valid TOML: {e}")))?;
        let mut table = Table::new();
        for key in ["name", "description"] {
            table.insert(key.into(), Value::String(String::new()));
        }
        for (key, default) in [("epochs", 10), ("batch_size", 64), ("seed", 0)] {
            table.insert(key.into(), Value::Integer(default));
        }
        table.insert("loss".into(), Value::String("cross-entropy".into()));
        table.insert("training".into(), Value::try_from(Training::default()).expect("settings are plain values"));
        table.insert("transforms".into(), Value::try_from(Transforms::default()).expect("settings are plain values"));
        let leaves = settings::leaves(&given);
        for (section, fallback) in [("model", ""), ("data", ""), ("optimizer", "adamw"), ("schedule", "constant")] {
            let choice = given.get(section).and_then(|s| s.get("name")).and_then(Value::as_str);
            table.insert(section.into(), Value::Table(section_defaults(section, choice.unwrap_or(fallback))?));
        }
        for (key, value) in leaves {
            settings::set(&mut table, &key, value)?;
            still_a_recipe(&table, &key)?;
        }
        for assignment in settings.iter().map(AsRef::as_ref) {
            apply(&mut table, assignment)?;
        }
        let recipe = still_a_recipe(&table, "name")?;
        recipe.check()?;
        Ok(recipe)
    }

    /// The optimiser over the parameters of `model`, with the rates of its layers.
    ///
    /// # Errors
    /// If a layer is named that the model lacks.
    pub(crate) fn optimizer(&self, model: &dyn Forward) -> Result<Box<dyn Optimizer>> {
        let mut groups = self.training.rates(model)?.into_iter();
        let (_, first) = groups.next().expect("the first group is always there");
        let mut optimizer = self.optimizer.init(first);
        let lr = self.optimizer.lr();
        groups.for_each(|(factor, params)| optimizer.add_param_group(ParamGroup::new(params).lr(lr * factor)));
        Ok(optimizer)
    }

    /// What is minimised while `model` is trained.
    pub(crate) fn objective(&self, model: &dyn Forward) -> Objective {
        let Training { label_smoothing, l1, l2, reconstruction, .. } = self.training;
        let aux_weights = self.training.aux_weights.clone();
        let weights = model.parameters().into_iter().filter(|p| p.rank() > 1 && p.requires_grad()).collect();
        Objective { label_smoothing, l1, l2, weights, aux_weights, reconstruction, ..Objective::new(self.loss) }
    }

    /// The resolved recipe as TOML; it can be run again as a recipe file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a recipe holds only plain values")
    }

    /// Values that have the right type and still make no sense.
    fn check(&self) -> Result<()> {
        let wrong = |key: &str, rule: &str, got: &dyn std::fmt::Display| {
            Err(TrainError::Recipe(format!("setting `{key}`: must be {rule}, got {got}")))
        };
        if self.name.is_empty() || !self.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            return wrong("name", "letters, digits, `-`, `_` and `.` only", &format!("\"{}\"", self.name));
        }
        if self.epochs == 0 {
            return wrong("epochs", "at least 1", &self.epochs);
        }
        if self.batch_size == 0 {
            return wrong("batch_size", "at least 1", &self.batch_size);
        }
        let parts = self.optimizer.check().and_then(|()| self.schedule.check()).and_then(|()| self.training.check());
        parts.map_err(TrainError::Recipe)?;
        if !(self.data.validation > 0.0 && self.data.validation < 1.0) {
            return wrong("data.validation", "between 0 and 1", &self.data.validation);
        }
        if !self.data.mean.iter().all(|m| m.is_finite()) {
            return wrong("data.mean", "finite", &format!("{:?}", self.data.mean));
        }
        if !self.data.std.iter().all(|s| *s > 0.0 && s.is_finite()) {
            return wrong("data.std", "above 0 and finite", &format!("{:?}", self.data.std));
        }
        let model = gradus_models::find(&self.model.name).map_err(|e| TrainError::Recipe(e.to_string()))?;
        if let Err(e) = model.check(&self.model.config) {
            // The setting that is wrong even when all others are at their defaults.
            let culprit = self.model.config.iter().find(|(key, value)| {
                let mut alone = model.default_architecture().config;
                alone.insert((*key).clone(), (*value).clone());
                model.check(&alone).is_err()
            });
            let place = culprit.map_or_else(String::new, |(key, _)| format!("setting `model.{key}`: "));
            return Err(TrainError::Recipe(format!("{place}{e}")));
        }
        self.check_loss(model)?;
        self.check_taught(model)?;
        self.check_search()?;
        if SOURCES.iter().any(|(name, _)| *name == self.data.name) {
            let pictures = self.data.folder.is_some() || self.data.masks.is_some();
            return match pictures || self.transforms.is_empty() {
                true => Ok(()),
                false => Err(TrainError::Recipe(format!(
                    "settings `transforms.train` and `transforms.eval`: `{}` has no pictures",
                    self.data.name
                ))),
            };
        }
        let row = datasets::find(&self.data.name)?;
        datasets::check_dir(row, &self.data.dir)?;
        if self.loss.is_regression() {
            let name = row.name;
            return Err(TrainError::Recipe(format!(
                "setting `loss`: data set `{name}` has classes; use cross-entropy"
            )));
        }
        if !self.transforms.is_empty() {
            return Ok(()); // they may change the size
        }
        let fits = fitted(&self.model, &row.shape, row.classes.len()).map(drop);
        fits.map_err(|e| TrainError::Recipe(format!("data set `{}`: {e}", row.name)))
    }

    /// What is added to training and does not go with an optimiser that evaluates the loss several times in a step.
    fn check_search(&self) -> Result<()> {
        let t = &self.training;
        let between = [
            ("clip_norm", t.clip_norm > 0.0),
            ("clip_value", t.clip_value > 0.0),
            ("weight_noise", t.weight_noise > 0.0),
            ("layer_rates", !t.layer_rates.is_empty()),
            ("layer_decay", t.layer_decay < 1.0),
        ];
        match between.into_iter().find(|(_, on)| self.optimizer.searches() && *on) {
            None => Ok(()),
            Some((key, _)) => Err(TrainError::Recipe(format!(
                "setting `training.{key}`: lbfgs steps all weights together along gradients that it takes itself; leave \
                 it out, or choose another optimizer.name"
            ))),
        }
    }

    /// A loss that the model, or what is added to training, does not go with.
    fn check_loss(&self, model: &ModelRow) -> Result<()> {
        let (loss, training) = (self.loss, &self.training);
        let wrong = |text: String| Err(TrainError::Recipe(text));
        if self.data.has_masks() {
            return self.check_masks(model);
        }
        if let Loss::Dice | Loss::CrossEntropyDice = loss {
            return wrong(format!("setting `loss`: it is for masks, and data `{}` has none", self.data.name));
        }
        match model.output {
            Output::CapsuleLengths if loss != Loss::Margin => {
                wrong(format!("setting `loss`: model `{}` gives lengths of capsules; use `margin`", model.name))
            }
            Output::Logits | Output::LogProbabilities if loss == Loss::Margin => wrong(format!(
                "setting `loss`: `margin` needs lengths of capsules, but model `{}` gives none; use `cross-entropy`",
                model.name
            )),
            Output::Logits if loss == Loss::Nll => wrong(format!(
                "setting `loss`: `nll` needs log-probabilities, but model `{}` gives logits; use `cross-entropy`",
                model.name
            )),
            Output::LogProbabilities if loss.is_regression() => {
                wrong(format!("setting `loss`: model `{}` gives log-probabilities, not numbers", model.name))
            }
            Output::Logits | Output::LogProbabilities | Output::CapsuleLengths => {
                let classes_alone = [
                    ("label_smoothing", training.label_smoothing > 0.0),
                    ("teacher", !training.teacher.is_empty()),
                    ("mix", training.mix != Mixing::None),
                ];
                let given =
                    classes_alone.iter().find(|(_, set)| *set && (loss.is_regression() || loss == Loss::Margin));
                match given {
                    Some((key, _)) if loss == Loss::Margin => {
                        wrong(format!("setting `training.{key}`: it does not go with the loss `margin`"))
                    }
                    Some((key, _)) => wrong(format!("setting `training.{key}`: it is for classes, not for numbers")),
                    None => Ok(()),
                }
            }
            _ => wrong(format!("setting `model.name`: `{}` gives neither classes nor numbers", model.name)),
        }
    }

    /// What is asked for beside the loss must be there.
    fn check_taught(&self, model: &ModelRow) -> Result<()> {
        let wrong = |text: String| Err(TrainError::Recipe(text));
        let extra = model.extra(&self.model.config).map_err(|e| TrainError::Recipe(e.to_string()))?;
        let (t, name) = (&self.training, model.name);
        let heads = if let Extra::Auxiliary { heads, .. } = extra { heads } else { 0 };
        match t.aux_weights.len() {
            0 | 1 if heads > 0 || t.aux_weights.is_empty() => (),
            n if n == heads => (),
            _ if heads == 0 => {
                return wrong(format!("setting `training.aux_weights`: model `{name}` has no auxiliary classifiers"));
            }
            n => {
                return wrong(format!(
                    "setting `training.aux_weights`: model `{name}` has {heads} auxiliary classifiers, got {n} numbers"
                ));
            }
        }
        match t.reconstruction > 0.0 && extra != Extra::Reconstruction {
            true => wrong(format!("setting `training.reconstruction`: model `{name}` does not rebuild its input")),
            false => Ok(()),
        }
    }

    /// What does not go with a class for every pixel.
    fn check_masks(&self, model: &ModelRow) -> Result<()> {
        let wrong = |text: String| Err(TrainError::Recipe(text));
        if !matches!(model.output, Output::PixelLogits | Output::Image) {
            return wrong(format!(
                "setting `model.name`: data `{}` has a class for every pixel, but `{}` gives one for a picture; use a \
                 model such as `unet`",
                self.data.name, model.name
            ));
        }
        if !matches!(self.loss, Loss::CrossEntropy | Loss::Dice | Loss::CrossEntropyDice) {
            return wrong("setting `loss`: for masks it is `cross-entropy`, `dice` or `cross-entropy-dice`".into());
        }
        let t = &self.training;
        let set = [
            ("label_smoothing", t.label_smoothing > 0.0),
            ("teacher", !t.teacher.is_empty()),
            ("mix", t.mix != Mixing::None),
        ];
        match set.iter().find(|(_, set)| *set) {
            Some((key, _)) => wrong(format!("setting `training.{key}`: it is for classes of pictures, not of pixels")),
            None => Ok(()),
        }
    }
}

/// Applies one `key=value` of the command line.
fn apply(table: &mut Table, assignment: &str) -> Result<()> {
    let (key, text) = settings::split_assignment(assignment)?;
    match key.strip_suffix(".name") {
        // Another model, optimiser or schedule has other settings: start from its defaults.
        Some(section @ ("model" | "data" | "optimizer" | "schedule")) => {
            let choice = text.trim_matches('"');
            table.insert(section.into(), Value::Table(section_defaults(section, choice)?));
        }
        _ => settings::set_from_text(table, assignment)?,
    }
    still_a_recipe(table, key).map(drop)
}

/// The typed recipe of a table of settings; an error names `key`, the setting that was changed last.
fn still_a_recipe(table: &Table, key: &str) -> Result<Recipe> {
    let typed: Result<Recipe, _> = Value::Table(table.clone()).try_into();
    typed.map_err(|e| TrainError::Recipe(format!("setting `{key}`: {}", e.message())))
}

/// The settings of a section's choice (`model`, `data`, `optimizer`, `schedule`), all at their defaults.
fn section_defaults(section: &str, choice: &str) -> Result<Table> {
    let unknown = |names: &[&str]| {
        let problem = match choice {
            "" => "a recipe must set it".to_string(),
            _ => format!("there is no {section} `{choice}`{}", did_you_mean(choice, names.iter().copied())),
        };
        TrainError::Recipe(format!("setting `{section}.name`: {problem}. Choices: {}", names.join(", ")))
    };
    let value = match section {
        "model" => {
            let row = gradus_models::find(choice)
                .map_err(|_| unknown(&gradus_models::MODELS.iter().map(|m| m.name).collect::<Vec<_>>()))?;
            Value::try_from(row.default_architecture())
        }
        "data" => Value::try_from(DataConfig::by_name(choice).ok_or_else(|| unknown(&datasets::data_names()))?),
        "optimizer" => {
            Value::try_from(OptimizerConfig::by_name(choice).ok_or_else(|| unknown(OptimizerConfig::NAMES))?)
        }
        _ => Value::try_from(Schedule::by_name(choice).ok_or_else(|| unknown(&Schedule::NAMES))?),
    };
    match value {
        Ok(Value::Table(table)) => Ok(table),
        other => unreachable!("the defaults of a section are a table, not {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::optimizers::SgdConfig;

    const NONE: &[&str] = &[];

    #[test]
    fn every_built_in_recipe_is_valid_and_survives_being_written() {
        for (name, _) in RECIPES {
            let recipe = Recipe::load(name, NONE).unwrap();
            assert_eq!(recipe.name, name);
            assert!(!recipe.description.is_empty());
            assert_eq!(Recipe::parse(&recipe.to_toml(), NONE).unwrap(), recipe);
        }
    }

    #[test]
    fn choosing_another_optimizer_or_schedule_starts_from_its_defaults() {
        let recipe =
            Recipe::load("digits", &["optimizer.name=sgd", "optimizer.momentum=0.9", "schedule.name=step"]).unwrap();
        assert_eq!(recipe.optimizer, OptimizerConfig::Sgd(SgdConfig { momentum: 0.9, ..SgdConfig::default() }));
        assert_eq!(recipe.schedule, Schedule::by_name("step").unwrap());
        let error = Recipe::load("digits", &["optimizer.momentum=0.9"]).unwrap_err().to_string();
        assert!(error.starts_with("unknown setting `optimizer.momentum`"), "{error}");
    }

    #[test]
    fn parts_that_do_not_fit_each_other_are_refused() {
        let error = |settings: &[&str]| Recipe::load("digits", settings).unwrap_err().to_string();
        for (setting, says) in [
            ("loss=nll", "`nll` needs log-probabilities"),
            ("data.dir=x", "is bundled and reads no directory"),
            ("data.name=mnist", "takes [1, 8, 8]"),
            ("loss=mse", "has classes; use cross-entropy"),
            ("training.mix=shake", "training.mix"),
            ("transforms.eval=[{name = 'Rezise', size = 3}]", "Rezise"),
            ("model.name=unet", "gives neither classes nor numbers"),
            ("model.name=capsnet", "gives lengths of capsules; use `margin`"),
            ("loss=margin", "`margin` needs lengths of capsules"),
            ("loss=dice", "it is for masks, and data `digits` has none"),
            ("data.name=shapes", "`digits-cnn` gives one for a picture; use a model such as `unet`"),
            ("training.aux_weights=[0.3]", "`digits-cnn` has no auxiliary classifiers"),
            ("training.reconstruction=0.1", "`digits-cnn` does not rebuild its input"),
            ("model.dropout=1.5", "`dropout` must be"),
            ("model.channels=[1, 2]", "setting `model.channels`: model `digits-cnn`: invalid length 2"),
            ("name=a/b", "setting `name`"),
            ("data.validation=1", "between 0 and 1"),
            ("data.mean=[nan]", "`data.mean`: must be finite"),
            ("seed=-1", "setting `seed`"),
            ("optimizer.lr=inf", "`optimizer.lr`: must be above 0 and finite"),
            ("optimizer.betas=[0.9, 1]", "`optimizer.betas`: must be at least 0 and below 1, got 1"),
            ("training.ema=1", "`training.ema`: must be at least 0 and below 1"),
            ("training.clip_norm=-1", "`training.clip_norm`: must be at least 0"),
            ("training.layer_rates=[\"fc1\"]", "`training.layer_rates`: must be a list such as"),
            ("schedule.floor=-1", "`schedule.floor`: must be"),
        ] {
            assert!(error(&[setting]).contains(says), "{setting}: {}", error(&[setting]));
        }
    }

    #[test]
    fn masks_and_further_losses_take_what_fits_them() {
        let error = |recipe: &str, settings: &[&str]| Recipe::load(recipe, settings).unwrap_err().to_string();
        for (recipe, setting, says) in [
            ("shapes", "loss=mse", "for masks it is `cross-entropy`, `dice` or `cross-entropy-dice`"),
            ("shapes", "training.mix=mixup", "it is for classes of pictures, not of pixels"),
            ("shapes", "model.name=lenet5", "has a class for every pixel"),
            ("mnist-capsnet", "training.label_smoothing=0.1", "does not go with the loss `margin`"),
            ("mnist-capsnet", "training.reconstruction=-1", "`training.reconstruction`: must be at least 0"),
        ] {
            assert!(error(recipe, &[setting]).contains(says), "{setting}: {}", error(recipe, &[setting]));
        }
        for model in ["fcn8s", "fcn16s", "fcn32s", "segnet", "unet", "encoder_decoder"] {
            Recipe::load("shapes", &[format!("model.name={model}")]).unwrap();
        }
        let google = ["model.name=googlenet", "training.aux_weights=[0.3]"];
        Recipe::load("pictures", &google).unwrap();
        let three = ["model.name=googlenet", "training.aux_weights=[0.3, 0.2, 0.1]"];
        assert!(error("pictures", &three).contains("has 2 auxiliary classifiers, got 3 numbers"));
    }

    #[test]
    fn a_recipe_needs_a_model_and_a_data_set_and_defaults_the_rest() {
        let error = Recipe::parse("name = \"x\"", NONE).unwrap_err().to_string();
        assert!(error.starts_with("setting `model.name`: a recipe must set it. Choices: digits-cnn"), "{error}");
        let short = "name = \"x\"\n[model]\nname = \"digits-cnn\"\n[data]\nname = \"digits\"";
        let recipe = Recipe::parse(short, NONE).unwrap();
        assert_eq!((recipe.epochs, recipe.loss), (10, Loss::CrossEntropy));
        assert_eq!(recipe.optimizer, OptimizerConfig::by_name("adamw").unwrap());
    }
}
