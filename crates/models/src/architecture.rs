//! How a model is stored without its weights, and why one cannot be built.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The name and configuration of a model: all that is needed to build it again, without its weights.
///
/// ```
/// let architecture = gradus_models::find("mnist-mlp").unwrap().default_architecture();
/// assert_eq!(architecture.to_string(), r#"mnist-mlp {"hidden":[128,64]}"#);
/// let model = gradus_models::build(&architecture).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// The name of a row of [`MODELS`](crate::MODELS).
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
    #[error("there is no model `{name}`{hint}. Models: {known}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The nearest name, if one is near.
        hint: String,
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
