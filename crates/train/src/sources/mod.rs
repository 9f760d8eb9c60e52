//! Where the examples of a recipe come from besides the data sets with names: directories of pictures, tables,
//! time series, texts. Each source is read, split and encoded; the encoding is stored in checkpoints.

pub(crate) mod masks;
pub(crate) mod pictures;
pub(crate) mod series;
mod table;
pub(crate) mod text;

use crate::checkpoint::Preprocess;
use crate::datasets::Splits;
use crate::error::{Result, TrainError};
use crate::recipe::{DataConfig, Recipe};
use gradus_data::text::{Tokenizer, Vocabulary};
use gradus_data::transforms::Compose;
use gradus_data::{Dataset, MissingCells, TableEncoder};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The part of the examples that is kept for the test where a source has no files for it.
const TEST_PART: f64 = 0.2;

/// The sources a recipe may name as `data.name`, beside the data sets of `gradus list`.
pub const SOURCES: [(&str, &str); 5] = [
    ("image-folder", "pictures in one directory a class, through `transforms.train` and `transforms.eval`"),
    ("masks", "pictures in one directory, and in another a mask with the class of every pixel"),
    ("table", "a CSV or TSV file: classes or, with the loss mse, l1 or huber, numbers"),
    ("series", "windows of a time series in a CSV file, and the steps after each"),
    ("text", "a column of texts in a CSV or TSV file as bags of words"),
];

/// Pictures in directories. All names are relative to `data.dir`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FolderConfig {
    /// The directory with one directory a class to learn from.
    pub train: String,
    /// The same for choosing the best epoch; empty to take a part of those to learn from.
    pub validation: String,
    /// The same for the test; empty to take a fifth of those to learn from.
    pub test: String,
    /// 3 for colours, 1 for brightness.
    pub channels: usize,
    /// Whether pictures that cannot be read are left out.
    pub skip_broken: bool,
}

impl Default for FolderConfig {
    fn default() -> Self {
        let (train, test) = ("train".into(), "test".into());
        FolderConfig { train, validation: String::new(), test, channels: 3, skip_broken: false }
    }
}

/// Pictures with masks. `train`, `validation` and `test` are relative to `data.dir`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskConfig {
    /// The directory to learn from, in which `images` and `masks` lie.
    pub train: String,
    /// The same for choosing the best epoch; empty to take a part of those to learn from.
    pub validation: String,
    /// The same for the test; empty to take a fifth of those to learn from.
    pub test: String,
    /// The directory of the pictures.
    pub images: String,
    /// The directory of the masks: PNG files named as the pictures are, whose pixels (palette or grey) are classes.
    pub masks: String,
    /// The names of the classes, in the order of their values from 0.
    pub classes: Vec<String>,
    /// The value of pixels that count nothing; -1 for none.
    pub ignore_index: i64,
    /// 3 for colours, 1 for brightness.
    pub channels: usize,
}

impl Default for MaskConfig {
    fn default() -> Self {
        MaskConfig {
            train: "train".into(),
            validation: String::new(),
            test: "test".into(),
            images: "images".into(),
            masks: "masks".into(),
            classes: vec![],
            ignore_index: 255,
            channels: 3,
        }
    }
}

/// The files of a table or of texts, relative to `data.dir`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableConfig {
    /// The file to learn from.
    pub train: String,
    /// The file for choosing the best epoch; empty to take a part of the rows to learn from.
    pub validation: String,
    /// The file for the test; empty to take a fifth of the rows to learn from.
    pub test: String,
    /// The column that is to be foretold.
    pub target: String,
    /// The columns it is foretold from; empty for all others.
    pub inputs: Vec<String>,
    /// Columns that are left out when `inputs` is empty.
    pub ignore: Vec<String>,
    /// What becomes of empty cells.
    pub missing: MissingCells,
    /// Whether columns of numbers, and a target that is one, are kept as they are instead of being brought to mean 0
    /// and deviation 1.
    pub raw: bool,
}

/// A time series, whose parts follow each other: what is learnt from, validation, test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SeriesConfig {
    /// The file, relative to `data.dir`.
    pub file: String,
    /// The column that is to be foretold.
    pub target: String,
    /// Further columns to foretell it from.
    pub inputs: Vec<String>,
    /// Steps that are seen.
    pub window: usize,
    /// Steps that are foretold.
    pub horizon: usize,
    /// What becomes of empty cells.
    pub missing: MissingCells,
}

impl Default for SeriesConfig {
    fn default() -> Self {
        let (file, target) = (String::new(), String::new());
        SeriesConfig { file, target, inputs: vec![], window: 24, horizon: 1, missing: MissingCells::Refuse }
    }
}

/// Texts with a class each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextConfig {
    /// The file to learn from, relative to `data.dir`.
    pub train: String,
    /// The file for choosing the best epoch; empty to take a part of the texts to learn from.
    pub validation: String,
    /// The file for the test; empty to take a fifth of the texts to learn from.
    pub test: String,
    /// The column of the texts: the first of these that a file has.
    pub text: Vec<String>,
    /// The column of the classes.
    pub target: String,
    /// How many different tokens are known, the most frequent ones.
    pub vocabulary: usize,
    /// How texts are cut.
    pub tokenizer: Tokenizer,
    /// What is said of each token of a text.
    pub weights: BagWeights,
    /// A file of texts without classes, from which the vectors of the first layer are learnt beforehand; the tokens that
    /// are known are then those of its texts too. Empty for none.
    pub vectors: String,
    /// Passes over these texts.
    pub vectors_epochs: usize,
}

impl Default for TextConfig {
    fn default() -> Self {
        TextConfig {
            train: String::new(),
            validation: String::new(),
            test: String::new(),
            text: vec!["text".into()],
            target: "label".into(),
            vocabulary: 5000,
            tokenizer: Tokenizer::Words,
            weights: BagWeights::Presence,
            vectors: String::new(),
            vectors_epochs: 5,
        }
    }
}

/// What a bag of words says of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BagWeights {
    /// Whether it comes.
    Presence,
    /// How often it comes.
    Counts,
    /// How often it comes, as a part of all tokens.
    Frequencies,
}

impl BagWeights {
    /// The bags of some texts, [N, tokens].
    pub(crate) fn of(self, vocabulary: &Vocabulary, texts: &[&str]) -> Tensor {
        match self {
            BagWeights::Presence => vocabulary.presence(texts),
            BagWeights::Counts => vocabulary.counts(texts),
            BagWeights::Frequencies => vocabulary.frequencies(texts),
        }
    }
}

/// The section `transforms` of a recipe: what pictures go through.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transforms {
    /// While learning.
    pub train: Compose,
    /// When measured, and when predicted; stored in checkpoints.
    pub eval: Compose,
}

impl Transforms {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.train.steps().is_empty() && self.eval.steps().is_empty()
    }
}

/// How an input of a run becomes a tensor; a checkpoint stores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Encoding {
    /// Pixels of the model's size, scaled.
    Pixels,
    /// Pictures of any size through transforms.
    Pictures {
        /// 3 for colours, 1 for brightness.
        channels: usize,
        /// The transforms.
        transform: Compose,
    },
    /// Rows of a table.
    Table {
        /// What was learnt about the columns.
        encoder: TableEncoder,
    },
    /// Windows of a series: what was learnt about the columns from the training part.
    Series {
        /// The columns, the target first.
        columns: Vec<String>,
        /// What stands in their gaps.
        fill: Vec<Option<f64>>,
        /// Their means.
        mean: Vec<f64>,
        /// Their deviations.
        std: Vec<f64>,
    },
    /// Bags of words.
    Text {
        /// The tokens that are known.
        vocabulary: Vocabulary,
        /// What is said of each.
        weights: BagWeights,
    },
}

/// A quantity that is foretold, and how the model's outputs become its values: output * std + mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetScale {
    /// The quantity.
    pub name: String,
    /// Its mean over the examples that were learnt from.
    pub mean: f64,
    /// Its deviation.
    pub std: f64,
}

/// The parts of a source, encoded.
pub(crate) struct Parts {
    pub train: Arc<dyn Dataset>,
    pub validation: Arc<dyn Dataset>,
    pub test: Arc<dyn Dataset>,
    pub classes: Vec<String>,
    pub preprocess: Preprocess,
    pub encoding: Encoding,
    pub target: Option<TargetScale>,
}

/// The source of a recipe, read; nothing if it is a data set with a name.
pub(crate) fn read(recipe: &Recipe) -> Option<Result<Parts>> {
    let data = &recipe.data;
    Some(match data {
        DataConfig { folder: Some(folder), .. } => pictures::read_folder(recipe, folder),
        DataConfig { masks: Some(masks), .. } => masks::read_folder(recipe, masks),
        DataConfig { table: Some(table), .. } => table::read(recipe, table),
        DataConfig { series: Some(series), .. } => series::read(recipe, series),
        DataConfig { text: Some(text), .. } => text::read(recipe, text),
        _ => return None,
    })
}

/// The test part of a source, encoded as a checkpoint says; nothing if it is a data set with a name.
pub(crate) fn read_test(recipe: &Recipe, splits: &Stored) -> Option<Result<Arc<dyn Dataset>>> {
    let data = &recipe.data;
    Some(match (data, splits.encoding) {
        (DataConfig { folder: Some(folder), .. }, Encoding::Pictures { transform, .. }) => {
            pictures::test_of_folder(data, folder, splits.classes, transform)
        }
        (DataConfig { masks: Some(masks), .. }, Encoding::Pictures { transform, .. }) => {
            masks::test_of_folder(data, masks, transform)
        }
        (DataConfig { table: Some(table), .. }, Encoding::Table { encoder }) => {
            table::test(data, table, encoder, splits)
        }
        (DataConfig { series: Some(series), .. }, Encoding::Series { fill, mean, std, .. }) => {
            series::test(data, series, fill, mean, std)
        }
        (DataConfig { text: Some(text), .. }, Encoding::Text { vocabulary, weights }) => {
            text::test(data, text, vocabulary, *weights, splits.classes)
        }
        _ => return None,
    })
}

/// What a checkpoint says of its data.
pub(crate) struct Stored<'a> {
    pub classes: &'a [String],
    pub encoding: &'a Encoding,
    pub target: Option<&'a TargetScale>,
}

/// The directory of the data, which must be given.
fn root(data: &DataConfig) -> Result<&Path> {
    let dir = Path::new(&data.dir);
    match dir.is_dir() {
        true => Ok(dir),
        false if data.dir.is_empty() => Err(TrainError::Input(format!(
            "the source `{}` reads files: give their directory by --data DIR or `data.dir`",
            data.name
        ))),
        false => Err(TrainError::Input(format!("source `{}`: no directory `{}`", data.name, data.dir))),
    }
}

/// A file in the directory of the data, which must be named.
fn file(data: &DataConfig, section: &str, key: &str, name: &str) -> Result<PathBuf> {
    match name.is_empty() {
        true => Err(TrainError::Recipe(format!("setting `data.{section}.{key}`: a recipe must set it"))),
        false => Ok(root(data)?.join(name)),
    }
}

/// There must be examples before anything is learnt about their columns.
fn some_to_learn_from(source: &str, count: usize) -> Result<()> {
    match count {
        0 => Err(TrainError::Input(format!("source `{source}`: there are no training examples"))),
        _ => Ok(()),
    }
}

/// Every class of the other parts must have examples to learn from.
fn learnt_classes(source: &str, classes: &[String], train: &[i64], others: [(&str, &[i64]); 2]) -> Result<()> {
    for (part, labels) in others {
        if let Some(label) = labels.iter().find(|l| !train.contains(l)) {
            return Err(TrainError::Input(format!(
                "source `{source}`: class `{}` has {part} examples and none to learn from",
                classes[*label as usize]
            )));
        }
    }
    Ok(())
}

impl Splits {
    /// How many numbers the model has to give: one a class, or those that are foretold.
    pub(crate) fn outputs(&self) -> Result<usize> {
        match self.target {
            None => Ok(self.classes.len()),
            Some(_) => {
                let (_, target) = self.validation.dataset().get(&[0], gradus_data::Draw::default())?;
                Ok(target.numel())
            }
        }
    }
}
