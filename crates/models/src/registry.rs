//! The table of models, and building one from its stored description.

use crate::{DigitsCnnConfig, MnistCnnConfig, MnistMlpConfig};
use gradus_nn::Forward;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Every model that can be named in a recipe, a checkpoint or on the command line.
pub const MODELS: &[ModelRow] = &[
    row::<DigitsCnnConfig>(
        "digits-cnn",
        "three convolutions with batch norm for 8x8 digits",
        &[1, 8, 8],
        10,
        Output::Logits,
    ),
    row::<MnistCnnConfig>(
        "mnist-cnn",
        "two convolutions and two linear layers for 28x28 digits",
        &[1, 28, 28],
        10,
        Output::Logits,
    ),
    row::<MnistMlpConfig>(
        "mnist-mlp",
        "784-128-64-10 with ReLU and log-softmax for 28x28 digits",
        &[1, 28, 28],
        10,
        Output::LogProbabilities,
    ),
];

/// What a classifier's outputs mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Unnormalised scores.
    Logits,
    /// Logarithms of probabilities.
    LogProbabilities,
}

/// The typed configuration of a model: what is stored of it, and how it becomes a model.
pub trait ModelConfig: Serialize + DeserializeOwned + Default {
    /// The model.
    type Model: Forward + 'static;

    /// Whether the numbers make a model.
    ///
    /// # Errors
    /// What is wrong, naming the field.
    fn check(&self) -> Result<(), String>;

    /// A model with fresh random weights.
    fn init(&self) -> Self::Model;
}

/// A model with fresh weights, or what is wrong with its configuration.
type Built = Result<Box<dyn Forward>, String>;

/// One row of [`MODELS`].
pub struct ModelRow {
    /// The name in recipes and checkpoints.
    pub name: &'static str,
    /// One line for `gradus list`.
    pub description: &'static str,
    /// The shape of one input, without the batch dimension.
    pub input: &'static [usize],
    /// How many classes it tells apart.
    pub classes: usize,
    /// What its outputs mean.
    pub output: Output,
    defaults: fn() -> Map<String, Value>,
    check: fn(&Map<String, Value>) -> Result<(), String>,
    build: fn(&Map<String, Value>) -> Built,
}

const fn row<C: ModelConfig>(
    name: &'static str,
    description: &'static str,
    input: &'static [usize],
    classes: usize,
    output: Output,
) -> ModelRow {
    ModelRow {
        name,
        description,
        input,
        classes,
        output,
        defaults: || match serde_json::to_value(C::default()) {
            Ok(Value::Object(map)) => map,
            other => unreachable!("a model configuration is a struct, not {other:?}"),
        },
        check: |config| parse::<C>(config).map(drop),
        build: |config| Ok(Box::new(parse::<C>(config)?.init())),
    }
}

fn parse<C: ModelConfig>(config: &Map<String, Value>) -> Result<C, String> {
    let typed: C = serde_json::from_value(Value::Object(config.clone())).map_err(|e| e.to_string())?;
    typed.check()?;
    Ok(typed)
}

/// Channels or units of a layer: at least one, and no more than any machine could hold.
pub(crate) fn check_width(field: &str, widths: &[usize]) -> Result<(), String> {
    match widths.iter().find(|w| !(1..=65_536).contains(*w)) {
        Some(wrong) => Err(format!("`{field}` must be between 1 and 65536, got {wrong}")),
        None => Ok(()),
    }
}

impl ModelRow {
    /// The architecture with every setting at its default.
    pub fn default_architecture(&self) -> Architecture {
        Architecture { name: self.name.into(), config: (self.defaults)() }
    }

    /// Whether `config` describes such a model.
    ///
    /// # Errors
    /// An unknown, missing or senseless field.
    pub fn check(&self, config: &Map<String, Value>) -> Result<(), ModelError> {
        (self.check)(config).map_err(|reason| self.error(reason))
    }

    /// A model with fresh random weights.
    ///
    /// # Errors
    /// Those of [`ModelRow::check`].
    pub fn build(&self, config: &Map<String, Value>) -> Result<Box<dyn Forward>, ModelError> {
        (self.build)(config).map_err(|reason| self.error(reason))
    }

    fn error(&self, reason: String) -> ModelError {
        ModelError::Config { model: self.name.into(), reason }
    }
}

/// The name and configuration of a model: all that is needed to build it again, without its weights.
///
/// ```
/// let architecture = gradus_models::find("mnist-mlp").unwrap().default_architecture();
/// assert_eq!(architecture.to_string(), r#"mnist-mlp {"hidden":[128,64]}"#);
/// let model = gradus_models::build(&architecture).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// The name of a row of [`MODELS`].
    pub name: String,
    /// The fields of its configuration.
    #[serde(flatten)]
    pub config: Map<String, Value>,
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} {}", self.name, Value::Object(self.config.clone()))
    }
}

/// Why a model cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No row has this name.
    #[error("there is no model `{name}`. Models: {known}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// The configuration does not fit the model.
    #[error("model `{model}`: {reason}")]
    Config {
        /// The model.
        model: String,
        /// What is wrong.
        reason: String,
    },
}

/// The row called `name`.
///
/// # Errors
/// If there is none.
pub fn find(name: &str) -> Result<&'static ModelRow, ModelError> {
    MODELS.iter().find(|row| row.name == name).ok_or_else(|| ModelError::Unknown {
        name: name.into(),
        known: MODELS.iter().map(|row| row.name).collect::<Vec<_>>().join(", "),
    })
}

/// The model an architecture describes, with fresh random weights.
///
/// # Errors
/// An unknown name or a configuration that does not fit.
pub fn build(architecture: &Architecture) -> Result<Box<dyn Forward>, ModelError> {
    find(&architecture.name)?.build(&architecture.config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_tensor::Tensor;

    #[test]
    fn every_model_is_built_from_its_stored_architecture_and_gives_its_classes() {
        for row in MODELS {
            let stored = serde_json::to_string(&row.default_architecture()).unwrap();
            let model = build(&serde_json::from_str(&stored).unwrap()).unwrap();
            let batch: Vec<usize> = [3].iter().chain(row.input).copied().collect();
            let output = model.forward(&Tensor::rand(batch));
            assert_eq!(output.shape(), [3, row.classes], "{}", row.name);
            let sum = output.exp().sum_dim([1], false).to_vec::<f32>();
            let normalised = sum.iter().all(|s| (s - 1.0).abs() < 1e-4);
            assert_eq!(normalised, row.output == Output::LogProbabilities, "{}", row.name);
        }
    }

    #[test]
    fn names_are_unique_and_sizes_as_published() {
        let mut names: Vec<&str> = MODELS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MODELS.len());
        for (name, parameters) in [("mnist-mlp", 109_386), ("mnist-cnn", 421_642)] {
            assert_eq!(build(&find(name).unwrap().default_architecture()).unwrap().num_parameters(), parameters);
        }
    }

    #[test]
    fn a_wrong_architecture_is_an_error() {
        let wrong = |json: &str| build(&serde_json::from_str(json).unwrap()).map(drop).unwrap_err().to_string();
        assert!(wrong(r#"{"name": "vgg"}"#).starts_with("there is no model `vgg`. Models: digits-cnn"));
        assert!(wrong(r#"{"name": "mnist-mlp", "width": 3}"#).contains("unknown field `width`"));
        assert!(
            wrong(r#"{"name": "mnist-mlp", "hidden": [128, 0]}"#)
                .contains("`hidden` must be between 1 and 65536, got 0")
        );
    }
}
