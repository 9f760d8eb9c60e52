//! Every family of [`MODELS`] at a reduced width: what the tests train, save and load.

use gradus_models::{Architecture, MODELS, build};
use gradus_nn::Forward;
use serde_json::{Map, Value, json};

/// A model, small enough for a test, and the shape of a batch for it.
pub struct Small {
    pub name: &'static str,
    pub config: Value,
    pub input: [usize; 4],
    /// Rate of the optimiser that overfits a batch.
    pub lr: f64,
}

impl Small {
    pub fn architecture(&self) -> Architecture {
        let Value::Object(config) = self.config.clone() else { panic!("a configuration is an object") };
        Architecture { name: self.name.into(), config }
    }

    pub fn build(&self) -> Box<dyn Forward> {
        build(&self.architecture()).unwrap_or_else(|e| panic!("{e}"))
    }
}

fn small(name: &'static str, input: [usize; 4], config: Value) -> Small {
    let lr = match name {
        "vgg11" => 0.001,
        "alexnet" => 0.006,
        "segnet" => 0.02,
        "capsnet" | "mnist-cnn" | "squeezenet1_0" | "squeezenet1_1" => 0.003,
        _ => 0.01,
    };
    Small { name, config, input, lr }
}

/// One of each family and kind of block.
pub fn all() -> Vec<Small> {
    let digits = [8, 1, 28, 28];
    let picture = [8, 3, 32, 32];
    let larger = [8, 3, 64, 64];
    // Nets without normalisation take longer to learn more.
    let pair = [2, 3, 64, 64];
    let stages = json!([[8], [16], [32], [32], [32]]);
    let scenes = [2, 3, 32, 32];
    vec![
        small("fcn8s", scenes, json!({"stages": stages, "hidden": 32, "dropout": 0.0, "num_classes": 10})),
        small("segnet", scenes, json!({"stages": [[16], [32, 32]], "num_classes": 10})),
        small("unet", scenes, json!({"channels": [8, 16, 32], "num_classes": 10})),
        small("encoder_decoder", scenes, json!({"channels": [16, 32], "decoder": "nearest"})),
        small("digits-cnn", [8, 1, 8, 8], json!({"dropout": 0.0})),
        small("mnist-cnn", digits, json!({"channels": [8, 8], "hidden": 32})),
        small("mnist-mlp", digits, json!({"hidden": [32, 32]})),
        small("perceptron", digits, json!({})),
        small("mlp", digits, json!({"hidden": [32, 32, 32], "activation": "gelu"})),
        small("lenet5", digits, json!({})),
        small("capsnet", digits, json!({"channels": 16, "primary_capsules": 4, "decoder": [16, 16]})),
        small("googlenet", larger, json!({"width_mult": 0.25, "dropout": 0.0, "dropout_aux": 0.0, "num_classes": 10})),
        small("inception_v2", larger, json!({"width_mult": 0.25, "num_classes": 10})),
        small("inception_v3", [4, 3, 107, 107], json!({"width_mult": 0.125, "dropout": 0.0, "num_classes": 10})),
        small("alexnet", pair, json!({"width_mult": 0.25, "dropout": 0.0, "num_classes": 10})),
        small("vgg11", picture, json!({"stages": stages, "hidden": 1024, "dropout": 0.0, "num_classes": 10})),
        small(
            "vgg11_bn",
            larger,
            json!({"stages": stages, "hidden": 64, "pool": 2, "dropout": 0.0, "num_classes": 10}),
        ),
        small("resnet18", larger, json!({"inplanes": 8, "num_classes": 10})),
        small("resnet50", larger, json!({"inplanes": 8, "layers": [1, 1, 1, 1], "num_classes": 10})),
        small("wide_resnet50_2", larger, json!({"inplanes": 8, "layers": [1, 1, 1, 1], "num_classes": 10})),
        small(
            "resnext50_32x4d",
            larger,
            json!({"inplanes": 8, "layers": [1, 1, 1, 1], "groups": 4, "width_per_group": 16, "num_classes": 10}),
        ),
        small("resnet18_cifar", picture, json!({"inplanes": 8, "zero_init_residual": true})),
        small("resnet20_cifar", picture, json!({"inplanes": 8})),
        small("plain20_cifar", picture, json!({"inplanes": 8, "layers": [1, 1, 1]})),
        small(
            "densenet121",
            larger,
            json!({"growth_rate": 8, "block_config": [2, 2, 2, 2], "num_init_features": 16, "num_classes": 10}),
        ),
        small("densenet100_bc_cifar", picture, json!({"block_config": [2, 2, 2]})),
        small("mobilenet_v2", larger, json!({"width_mult": 0.25, "dropout": 0.0, "num_classes": 10})),
        small("squeezenet1_0", pair, json!({"width_mult": 0.5, "dropout": 0.0, "num_classes": 10})),
        small("squeezenet1_1", pair, json!({"width_mult": 0.5, "dropout": 0.0, "num_classes": 10})),
    ]
}

/// The fields by which configurations of one family differ only in size.
fn fields(config: &Map<String, Value>) -> Vec<&String> {
    config.keys().collect()
}

#[test]
fn every_family_has_a_small_model() {
    let known: Vec<_> = all().iter().map(|s| gradus_models::find(s.name).unwrap().default_architecture()).collect();
    for row in MODELS {
        let own = row.default_architecture();
        assert!(known.iter().any(|k| fields(&k.config) == fields(&own.config)), "{} has none in `all`", row.name);
    }
}
