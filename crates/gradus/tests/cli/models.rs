//! Models by name: their graphs and comparisons, and what is wrong with a picture, a name or a checkpoint.

use super::Place;
use std::fs;

const RECIPE: &str = "name = 'net'\nepochs = 1\nbatch_size = 4\n[model]\nname = 'resnet20_cifar'\n\
    [data]\nname = 'image-folder'\nvalidation = 0.25\n[transforms]\ntrain = [{ name = 'Resize', size = [20, 20] }]\n\
    eval = [{ name = 'Resize', size = [20, 20] }]\n[optimizer]\nname = 'sgd'\nlr = 0.01\n";

/// Pictures of 20x20 pixels and two classes, and a recipe for them.
fn with_pictures() -> Place {
    let place = Place::new();
    for (part, count) in [("train", 8), ("test", 2)] {
        for class in ["a", "b"] {
            fs::create_dir_all(place.path(&format!("p/{part}/{class}"))).unwrap();
            (0..count).for_each(|i| place.write_image(&format!("p/{part}/{class}/{i}.png"), 20));
        }
    }
    fs::write(place.path("net.toml"), RECIPE).unwrap();
    place
}

#[test]
fn a_picture_too_small_and_an_unknown_model_are_said_before_training() {
    let place = with_pictures();
    let train = |more: &[&str]| place.run(&[&["train", "net.toml", "--data", "p"], more].concat());
    train(&["--set", "model.name=alexnet"])
        .fails(2, &["`alexnet`", "at least 63x63, got 20x20", "`features.12` would have nothing left"]);
    train(&["--set", "model.name=inception_v3"]).fails(2, &["`inception_v3`", "at least 75x75"]);
    train(&["--set", "model.name=resnet05"]).fails(2, &["`resnet05`", "did you mean `resnet50`?"]);
    train(&["--set", "model.inplanes=0"]).fails(2, &["`inplanes` must be between 1 and 65536, got 0"]);
    assert!(!place.path("runs").exists());
}

#[test]
fn every_mismatch_of_a_checkpoint_of_another_width_is_named() {
    let place = with_pictures();
    let train = |more: &[&str]| place.run(&[&["train", "net.toml", "--data", "p", "--no-hints"], more].concat());
    assert_eq!(train(&["--set", "model.inplanes=4"]).code, Some(0));
    let wider = train(&["--set", "model.inplanes=8", "--init-from", "runs/net-001/best.safetensors"]);
    wider.fails(1, &["best.safetensors", "shape of conv1.weight: expected [8, 3, 3, 3], found [4, 3, 3, 3]"]);
    // 19 convolutions and as many norms of four tensors, and the weight of the classifier.
    assert_eq!(wider.stderr.matches("expected [").count(), 19 * 5 + 1, "{}", wider.stderr);
}

#[test]
fn models_are_compared_side_by_side_and_drawn() {
    let place = Place::new();
    let several = place.run(&["summary", "mlp", "lenet5", "resnet20_cifar"]).stdout;
    let line = |name: &str| several.lines().find(|l| l.contains(name)).unwrap_or_else(|| panic!("{name}: {several}"));
    assert!(line("lenet5").contains("61,706") && line("mlp").contains("269,322"), "{several}");
    let draw = |form: &str| place.run(&["summary", "resnet20_cifar", "--graph", form]);
    let (dot, svg, text) = (draw("dot"), draw("svg"), draw("text"));
    assert!(dot.stdout.starts_with("digraph") && dot.stdout.trim_end().ends_with('}'), "{}", dot.stdout);
    assert!(svg.stdout.starts_with("<svg") && svg.stdout.trim_end().ends_with("</svg>"), "{}", svg.stdout);
    // Each drawing has every convolution, and the nine sums of the blocks.
    for (form, drawn) in [("dot", &dot.stdout), ("svg", &svg.stdout), ("text", &text.stdout)] {
        for layer in ["conv1", "layer1.0.conv1", "layer3.2.conv2", "fc"] {
            assert!(drawn.contains(layer), "{form}: no {layer} in {drawn}");
        }
    }
    let boxes = text.stdout.lines().count();
    assert_eq!(dot.stdout.matches("[label=").count(), boxes);
    assert_eq!(dot.stdout.matches("->").count(), svg.stdout.matches("<path").count());
    place.run(&["summary", "resnet05"]).fails(2, &["did you mean `resnet50`?"]);
    place.run(&["summary", "mlp", "resnet05"]).fails(2, &["did you mean `resnet50`?"]);
    place.run(&["summary", "lenet5", "--graph", "png"]).fails(2, &["png"]);
}
