//! Models and their registry.
//!
//! A model is a named struct with a typed configuration. [`MODELS`] lists them all; a checkpoint stores an
//! [`Architecture`] (name and configuration) from which [`build`] makes the same model again.

mod alexnet;
mod architecture;
mod capsnet;
mod classic;
mod common;
mod densenet;
mod digits_cnn;
mod draw;
mod extra;
mod fcn;
mod fpn;
mod frozen_batch_norm;
mod googlenet;
mod graph;
mod inception_v2;
mod inception_v3;
mod mixed;
mod mnist_cnn;
mod mnist_mlp;
mod mobilenet;
mod names;
mod reach;
mod registry;
mod resnet;
mod resnet_block;
mod resnet_fpn;
mod segnet;
mod sizes;
mod squeezenet;
mod summary;
mod unet;
mod vgg;
mod window;

pub use alexnet::{AlexNet, AlexNetConfig};
pub use architecture::{Architecture, ModelError};
pub use capsnet::{CapsNet, CapsNetConfig, capsule_margin_loss};
pub use classic::{Activation, LeNet5, LeNet5Config, MlpConfig, PerceptronConfig};
pub use common::Needs;
pub use densenet::{DenseNet, DenseNetConfig};
pub use digits_cnn::{DigitsCnn, DigitsCnnConfig};
pub use extra::{Extra, Model, Taught};
pub use fcn::{Fcn, FcnConfig};
pub use fpn::{ExtraBlocks, FeaturePyramidNetwork};
pub use frozen_batch_norm::FrozenBatchNorm2d;
pub use googlenet::{GoogLeNet, GoogLeNetConfig};
pub use inception_v2::{InceptionV2, InceptionV2Config};
pub use inception_v3::{InceptionV3, InceptionV3Config};
pub use mnist_cnn::{MnistCnn, MnistCnnConfig};
pub use mnist_mlp::MnistMlpConfig;
pub use mobilenet::{MobileNetV2, MobileNetV2Config};
pub use names::did_you_mean;
pub use registry::{MODELS, ModelConfig, ModelRow, Output, build, find};
pub use resnet::{ResNet, ResNetConfig, ResNetStem};
pub use resnet_block::{ResNetBlock, ResNetNorm, ResNetShortcut};
pub use resnet_fpn::{BackboneWithFpn, ResNetFpnConfig, resnet_fpn_backbone};
pub use segnet::{SegNet, SegNetConfig};
pub use squeezenet::{SqueezeNet, SqueezeNetConfig, SqueezeNetVersion};
pub use summary::{LayerRow, Summary, summarize};
pub use unet::{Decoder, EncoderDecoder, EncoderDecoderConfig, UNet, UNetConfig};
pub use vgg::{Vgg, VggConfig};
