//! What the models say of pictures they cannot take and of configurations that make no model.

use super::small::all;
use gradus_models::{Needs, build, find};
use gradus_tensor::{Tensor, no_grad};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn panic_of<T>(f: impl FnOnce() -> T) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { panic!("it must panic") };
    payload.downcast_ref::<String>().cloned().expect("a message")
}

#[test]
fn the_smallest_picture_passes_and_a_smaller_one_is_named_with_its_layer() {
    for small in all() {
        let architecture = small.architecture();
        let Some(Needs { channels, smallest, layer }) = find(small.name).unwrap().needs(&architecture.config).unwrap()
        else {
            continue;
        };
        let model = small.build();
        model.eval();
        let of = |c, h, w| no_grad(|| model.forward(&Tensor::zeros([1, c, h, w])));
        assert_eq!(of(channels, smallest, smallest).size(0), 1, "{}", small.name);
        assert!(model.named_modules().iter().any(|(path, _)| *path == layer), "{}: no layer `{layer}`", small.name);
        let other = panic_of(|| of(channels + 1, smallest, smallest));
        assert!(other.contains(&format!("needs pictures of {channels} channels")), "{other}");
        if smallest > 1 {
            let text = panic_of(|| of(channels, smallest - 1, smallest + 9));
            let wanted = format!(
                "needs pictures of at least {smallest}x{smallest}, got {}x{}: layer `{layer}` would have nothing left",
                smallest - 1,
                smallest + 9
            );
            assert!(text.contains(&wanted), "{}: {text}", small.name);
        }
        let flat = panic_of(|| model.forward(&Tensor::zeros([channels, smallest, smallest])));
        assert!(flat.contains(&format!("needs an input [N, {channels}, H, W]")), "{flat}");
    }
}

#[test]
fn the_smallest_sizes_are_torchvisions() {
    let sizes = [
        ("alexnet", 63, "features.12"),
        ("vgg11", 32, "features.20"),
        ("vgg13", 32, "features.24"),
        ("vgg16_bn", 32, "features.43"),
        ("vgg19_bn", 32, "features.52"),
        ("resnet18", 1, "conv1"),
        ("squeezenet1_0", 21, "features.11"),
        ("squeezenet1_1", 17, "features.8"),
        ("mobilenet_v2", 1, "features.0.0"),
        ("densenet121", 29, "features.transition3.pool"),
    ];
    for (name, smallest, layer) in sizes {
        let needs = find(name).unwrap().needs(&Default::default()).unwrap().unwrap();
        assert_eq!((needs.channels, needs.smallest, &*needs.layer), (3, smallest, layer), "{name}");
    }
}

#[test]
fn senseless_configurations_are_errors_that_name_the_field() {
    let cases = [
        (r#"{"name": "resnet18", "layers": [2, 2]}"#, "`layers` must name 3 or 4 stages, got [2, 2]"),
        (r#"{"name": "resnet18", "groups": 32}"#, "`groups` and `width_per_group` need the block `bottleneck`"),
        (r#"{"name": "resnet50", "inplanes": 1, "width_per_group": 4}"#, "`width_per_group` of 4 leaves no channels"),
        (r#"{"name": "resnet50", "block": "dense"}"#, "unknown variant `dense`"),
        (r#"{"name": "vgg16", "stages": [[64], []]}"#, "`stages` must be 1 to 8 lists"),
        (r#"{"name": "vgg16", "num_classes": 0}"#, "`num_classes` must be between 1 and 65536, got 0"),
        (r#"{"name": "alexnet", "width_mult": 0}"#, "`width_mult` must be above 0 and at most 64, got 0"),
        (r#"{"name": "alexnet", "dropout": 1}"#, "`dropout` must be at least 0 and below 1, got 1"),
        (r#"{"name": "densenet121", "block_config": []}"#, "`block_config` must name 1 to 8 blocks"),
        (r#"{"name": "mobilenet_v2", "depth": 3}"#, "unknown field `depth`"),
        (r#"{"name": "resnet19"}"#, "there is no model `resnet19`"),
    ];
    for (json, wanted) in cases {
        let Err(error) = build(&serde_json::from_str(json).unwrap()) else { panic!("{json} is a model") };
        assert!(error.to_string().contains(wanted), "{json}: {error}");
    }
}

#[test]
fn a_preset_keeps_its_fields_where_only_others_are_given() {
    let stored: gradus_models::Architecture =
        serde_json::from_str(r#"{"name": "resnet20_cifar", "num_classes": 4}"#).unwrap();
    let model = build(&stored).unwrap();
    let blocks = model.named_modules().iter().filter(|(_, kind)| *kind == "Block").count();
    assert_eq!(blocks, 9);
    assert_eq!(model.forward(&Tensor::zeros([2, 3, 32, 32])).shape(), [2, 4]);
    let defaults = find("resnet50").unwrap().default_architecture();
    assert_eq!(defaults.config["layers"], Value::from(vec![3, 4, 6, 3]));
}
