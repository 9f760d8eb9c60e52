//! The table of models, and building one from its stored description.

use crate::architecture::{Architecture, ModelError};
use crate::common::Needs;
use crate::extra::{Built, Extra, Model, Taught};
use crate::names::did_you_mean;
use crate::{
    AlexNetConfig, CapsNetConfig, DenseNetConfig, DigitsCnnConfig, EncoderDecoderConfig, FcnConfig, GoogLeNetConfig,
    InceptionV2Config, InceptionV3Config, LeNet5Config, MlpConfig, MnistCnnConfig, MnistMlpConfig, MobileNetV2Config,
    PerceptronConfig, ResNetConfig, SegNetConfig, SqueezeNetConfig, UNetConfig, VggConfig,
};
use gradus_nn::Forward;
use gradus_tensor::Tensor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Every model that can be named in a recipe, a checkpoint or on the command line. Names, and the names of parameters,
/// are torchvision's where it has the model.
pub const MODELS: &[ModelRow] = &[
    digits::<DigitsCnnConfig>("digits-cnn", "three convolutions with batch norm for 8x8 digits", &[1, 8, 8]),
    digits::<MnistCnnConfig>("mnist-cnn", "two convolutions and two linear layers for 28x28 digits", &[1, 28, 28]),
    row::<MnistMlpConfig>(
        "mnist-mlp",
        "784-128-64-10 with ReLU and log-softmax for 28x28 digits",
        &[1, 28, 28],
        10,
        Output::LogProbabilities,
    ),
    digits::<PerceptronConfig>("perceptron", "one layer of perceptrons for 28x28 digits, 1958", &[1, 28, 28]),
    digits::<MlpConfig>("mlp", "multilayer perceptron of any depth for 28x28 digits, 1986", &[1, 28, 28]),
    digits::<LeNet5Config>("lenet5", "LeNet-5 for 28x28 digits, 1998", &[1, 28, 28]),
    row::<CapsNetConfig>(
        "capsnet",
        "capsules with dynamic routing for 28x28 digits, 2017",
        &[1, 28, 28],
        10,
        Output::CapsuleLengths,
    ),
    imagenet::<AlexNetConfig>("alexnet", "AlexNet (one column), 2012"),
    imagenet::<VggConfig>("vgg11", "VGG, 11 layers, 2014"),
    imagenet::<VggConfig>("vgg11_bn", "VGG, 11 layers, with batch norm"),
    imagenet::<VggConfig>("vgg13", "VGG, 13 layers"),
    imagenet::<VggConfig>("vgg13_bn", "VGG, 13 layers, with batch norm"),
    imagenet::<VggConfig>("vgg16", "VGG, 16 layers"),
    imagenet::<VggConfig>("vgg16_bn", "VGG, 16 layers, with batch norm"),
    imagenet::<VggConfig>("vgg19", "VGG, 19 layers"),
    imagenet::<VggConfig>("vgg19_bn", "VGG, 19 layers, with batch norm"),
    imagenet::<GoogLeNetConfig>("googlenet", "GoogLeNet (Inception v1) with auxiliary classifiers, 2014"),
    imagenet::<InceptionV2Config>("inception_v2", "Inception v2 (BN-Inception), 2015"),
    row::<InceptionV3Config>(
        "inception_v3",
        "Inception v3: factorised convolutions, for 299x299 pictures, 2015",
        &[3, 299, 299],
        1000,
        Output::Logits,
    ),
    imagenet::<ResNetConfig>("resnet18", "ResNet, 18 layers, basic blocks, 2015"),
    imagenet::<ResNetConfig>("resnet34", "ResNet, 34 layers, basic blocks"),
    imagenet::<ResNetConfig>("resnet50", "ResNet, 50 layers, bottleneck blocks"),
    imagenet::<ResNetConfig>("resnet101", "ResNet, 101 layers, bottleneck blocks"),
    imagenet::<ResNetConfig>("resnet152", "ResNet, 152 layers, bottleneck blocks"),
    imagenet::<ResNetConfig>("wide_resnet50_2", "Wide ResNet: ResNet-50 with twice the inner width, 2016"),
    imagenet::<ResNetConfig>("wide_resnet101_2", "Wide ResNet: ResNet-101 with twice the inner width"),
    imagenet::<ResNetConfig>("resnext50_32x4d", "ResNeXt, 50 layers, 32 paths of width 4, 2016"),
    imagenet::<ResNetConfig>("resnext101_32x8d", "ResNeXt, 101 layers, 32 paths of width 8"),
    imagenet::<ResNetConfig>("resnext101_64x4d", "ResNeXt, 101 layers, 64 paths of width 4"),
    cifar::<ResNetConfig>("resnet18_cifar", "ResNet-18 with a 3x3 stem for 32x32 pictures"),
    cifar::<ResNetConfig>("resnet34_cifar", "ResNet-34 with a 3x3 stem for 32x32 pictures"),
    cifar::<ResNetConfig>("resnet20_cifar", "the paper's CIFAR ResNet, 20 layers"),
    cifar::<ResNetConfig>("resnet32_cifar", "the paper's CIFAR ResNet, 32 layers"),
    cifar::<ResNetConfig>("resnet44_cifar", "the paper's CIFAR ResNet, 44 layers"),
    cifar::<ResNetConfig>("resnet56_cifar", "the paper's CIFAR ResNet, 56 layers"),
    cifar::<ResNetConfig>("resnet110_cifar", "the paper's CIFAR ResNet, 110 layers"),
    cifar::<ResNetConfig>("plain20_cifar", "the CIFAR ResNet of 20 layers without skip connections"),
    cifar::<ResNetConfig>("plain56_cifar", "the CIFAR ResNet of 56 layers without skip connections"),
    imagenet::<DenseNetConfig>("densenet121", "DenseNet-BC, 121 layers, growth rate 32, 2016"),
    imagenet::<DenseNetConfig>("densenet161", "DenseNet-BC, 161 layers, growth rate 48"),
    imagenet::<DenseNetConfig>("densenet169", "DenseNet-BC, 169 layers, growth rate 32"),
    imagenet::<DenseNetConfig>("densenet201", "DenseNet-BC, 201 layers, growth rate 32"),
    cifar::<DenseNetConfig>("densenet100_bc_cifar", "DenseNet-BC, 100 layers, growth rate 12, for 32x32 pictures"),
    cifar::<DenseNetConfig>("densenet190_bc_cifar", "DenseNet-BC, 190 layers, growth rate 40, for 32x32 pictures"),
    pixels::<FcnConfig>("fcn32s", "FCN-32s on VGG-16: a class for every pixel, 2014", 21),
    pixels::<FcnConfig>("fcn16s", "FCN-16s on VGG-16: with scores of stride 16", 21),
    pixels::<FcnConfig>("fcn8s", "FCN-8s on VGG-16: with scores of stride 16 and 8", 21),
    pixels::<SegNetConfig>("segnet", "SegNet: maxima put back where they came from, 2015", 21),
    pixels::<UNetConfig>("unet", "U-Net: encoder and decoder joined at every level, 2015", 2),
    row::<EncoderDecoderConfig>(
        "encoder_decoder",
        "convolutional encoder-decoder from picture to picture",
        &[3, 64, 64],
        3,
        Output::Image,
    ),
    imagenet::<MobileNetV2Config>("mobilenet_v2", "MobileNetV2: inverted residuals, depthwise convolutions, 2018"),
    imagenet::<SqueezeNetConfig>("squeezenet1_0", "SqueezeNet 1.0: fire modules, 2016"),
    imagenet::<SqueezeNetConfig>("squeezenet1_1", "SqueezeNet 1.1: 2.4 times less computation"),
];

const fn digits<C: ModelConfig>(name: &'static str, description: &'static str, input: &'static [usize]) -> ModelRow {
    row::<C>(name, description, input, 10, Output::Logits)
}

const fn imagenet<C: ModelConfig>(name: &'static str, description: &'static str) -> ModelRow {
    row::<C>(name, description, &[3, 224, 224], 1000, Output::Logits)
}

const fn pixels<C: ModelConfig>(name: &'static str, description: &'static str, classes: usize) -> ModelRow {
    row::<C>(name, description, &[3, 224, 224], classes, Output::PixelLogits)
}

const fn cifar<C: ModelConfig>(name: &'static str, description: &'static str) -> ModelRow {
    row::<C>(name, description, &[3, 32, 32], 10, Output::Logits)
}

/// What a model's outputs mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Unnormalised scores.
    Logits,
    /// Logarithms of probabilities.
    LogProbabilities,
    /// Lengths of capsules in [0, 1), one a class.
    CapsuleLengths,
    /// Unnormalised scores for every pixel, `[N, classes, H, W]`.
    PixelLogits,
    /// A picture, `[N, channels, H, W]`.
    Image,
}

/// The typed configuration of a model: what is stored of it, and how it becomes a model.
pub trait ModelConfig: Serialize + DeserializeOwned + Default + 'static {
    /// The model.
    type Model: Forward + 'static;

    /// The configuration behind the row called `name`, for a family with several rows.
    fn preset(name: &str) -> Option<Self> {
        let _ = name;
        None
    }

    /// What pictures the model takes, where that is more than one shape.
    fn needs(&self) -> Option<Needs> {
        None
    }

    /// What the model gives beside its outputs while it is trained.
    fn extra(&self) -> Extra {
        Extra::None
    }

    /// The outputs for the inputs `x` with these labels, and what the model gives beside them.
    fn forward_taught(model: &Self::Model, x: &Tensor, labels: &Tensor) -> Taught {
        let _ = labels;
        Taught::with_auxiliary((model.forward(x), vec![]))
    }

    /// Whether the numbers make a model.
    ///
    /// # Errors
    /// What is wrong, naming the field.
    fn check(&self) -> Result<(), String>;

    /// A model with fresh random weights.
    fn init(&self) -> Self::Model;
}

/// A model with fresh weights, or what is wrong with its configuration.
type Made = Result<Box<dyn Model>, String>;

/// What pictures a model takes, or what is wrong with its configuration.
type Needed = Result<Option<Needs>, String>;

/// One row of [`MODELS`].
pub struct ModelRow {
    /// The name in recipes and checkpoints.
    pub name: &'static str,
    /// One line for `gradus list`.
    pub description: &'static str,
    /// The shape of one input, without the batch dimension.
    pub input: &'static [usize],
    /// How many classes it tells apart, or channels its picture has.
    pub classes: usize,
    /// What its outputs mean.
    pub output: Output,
    defaults: fn(&str) -> Map<String, Value>,
    needs: fn(&str, &Map<String, Value>) -> Needed,
    extra: fn(&str, &Map<String, Value>) -> Result<Extra, String>,
    build: fn(&str, &Map<String, Value>) -> Made,
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
        defaults: defaults::<C>,
        needs: |name, config| Ok(parse::<C>(name, config)?.needs()),
        extra: |name, config| Ok(parse::<C>(name, config)?.extra()),
        build: |name, config| Ok(Box::new(Built::<C>(parse::<C>(name, config)?.init()))),
    }
}

fn defaults<C: ModelConfig>(name: &str) -> Map<String, Value> {
    match serde_json::to_value(C::preset(name).unwrap_or_default()) {
        Ok(Value::Object(map)) => map,
        other => unreachable!("a model configuration is a struct, not {other:?}"),
    }
}

/// The row's configuration with the fields of `config` in the place of its own.
fn parse<C: ModelConfig>(name: &str, config: &Map<String, Value>) -> Result<C, String> {
    let mut all = defaults::<C>(name);
    all.extend(config.iter().map(|(field, value)| (field.clone(), value.clone())));
    let typed: C = serde_json::from_value(Value::Object(all)).map_err(|e| e.to_string())?;
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
        Architecture { name: self.name.into(), config: (self.defaults)(self.name) }
    }

    /// Whether `config` describes such a model.
    ///
    /// # Errors
    /// An unknown, missing or senseless field.
    pub fn check(&self, config: &Map<String, Value>) -> Result<(), ModelError> {
        self.needs(config).map(drop)
    }

    /// What pictures the model that `config` describes takes; `None` if they have the shape [`ModelRow::input`].
    ///
    /// # Errors
    /// Those of [`ModelRow::check`].
    pub fn needs(&self, config: &Map<String, Value>) -> Result<Option<Needs>, ModelError> {
        (self.needs)(self.name, config).map_err(|reason| self.error(reason))
    }

    /// What the model that `config` describes gives beside its outputs while it is trained.
    ///
    /// # Errors
    /// Those of [`ModelRow::check`].
    pub fn extra(&self, config: &Map<String, Value>) -> Result<Extra, ModelError> {
        (self.extra)(self.name, config).map_err(|reason| self.error(reason))
    }

    /// A model with fresh random weights.
    ///
    /// # Errors
    /// Those of [`ModelRow::check`].
    pub fn build(&self, config: &Map<String, Value>) -> Result<Box<dyn Model>, ModelError> {
        (self.build)(self.name, config).map_err(|reason| self.error(reason))
    }

    fn error(&self, reason: String) -> ModelError {
        ModelError::Config { model: self.name.into(), reason }
    }
}

/// The row called `name`.
///
/// # Errors
/// If there is none.
pub fn find(name: &str) -> Result<&'static ModelRow, ModelError> {
    MODELS.iter().find(|row| row.name == name).ok_or_else(|| ModelError::Unknown {
        name: name.into(),
        hint: did_you_mean(name, MODELS.iter().map(|row| row.name)),
        known: MODELS.iter().map(|row| row.name).collect::<Vec<_>>().join(", "),
    })
}

/// The model an architecture describes, with fresh random weights.
///
/// # Errors
/// An unknown name or a configuration that does not fit.
pub fn build(architecture: &Architecture) -> Result<Box<dyn Model>, ModelError> {
    find(&architecture.name)?.build(&architecture.config)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(wrong(r#"{"name": "zzz"}"#).starts_with("there is no model `zzz`. Models: digits-cnn"));
        assert!(
            wrong(r#"{"name": "resnet05"}"#).starts_with("there is no model `resnet05` (did you mean `resnet50`?)")
        );
        assert!(wrong(r#"{"name": "mnist-mlp", "width": 3}"#).contains("unknown field `width`"));
        assert!(
            wrong(r#"{"name": "mnist-mlp", "hidden": [128, 0]}"#)
                .contains("`hidden` must be between 1 and 65536, got 0")
        );
    }
}
