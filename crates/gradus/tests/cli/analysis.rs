//! `gradus analyze`: its pictures, its numbers and its errors.

use super::Place;
use std::fs;

#[test]
fn a_trained_model_is_looked_into() {
    let place = Place::new();
    place.quick(&["--json"]).json();
    let args = ["analyze", "digits-001", "--examples", "120"];
    let found = place.run(&[&args[..], &["--json"]].concat()).json();
    let number = |path: &str| found.pointer(path).and_then(|v| v.as_f64()).unwrap_or_else(|| panic!("no {path}"));
    assert!(number("/tsne/numbers/inputs/trustworthiness") > 0.9);
    let ratio = found["pca"]["numbers"]["explained_variance_ratio"].as_array().unwrap();
    assert!(ratio.len() == 10 && ratio[0].as_f64() > ratio[1].as_f64());
    assert!(number("/hessian/numbers/highest") > number("/hessian/numbers/lowest"));
    // The whole picture says more than either half of it.
    assert!(number("/frequencies/numbers/accuracy") >= number("/frequencies/numbers/low"));
    let rows = found["invariance"]["numbers"].as_array().unwrap();
    let at = |change: &str, amount: f64| {
        rows.iter().find(|r| r["change"] == change && r["amount"] == amount).unwrap()["agreement"].as_f64().unwrap()
    };
    assert_eq!((at("rotation", 0.0), at("scale", 1.0), at("translation", 0.0)), (1.0, 1.0, 1.0));
    assert!(at("rotation", 45.0) < 0.9 && at("rotation", 5.0) > at("rotation", 45.0));
    // Layers and what lies between them, though the model is no list of layers.
    let layers = |name: &str| -> Vec<String> {
        found[name]["numbers"].as_array().unwrap().iter().map(|r| r["layer"].as_str().unwrap().to_string()).collect()
    };
    let names = layers("activations");
    assert_eq!(names[..4], ["conv1 Conv2d", "bn1 BatchNorm2d", "relu", "conv2 Conv2d"]);
    assert_eq!(names.last().unwrap(), "fc2 Linear");
    let relu = &found["activations"]["numbers"][2];
    assert!(relu["zeros"].as_f64().unwrap() > 0.1 && relu["mean"].as_f64().unwrap() > 0.0, "{relu}");
    assert_eq!(layers("feature-maps").last().unwrap(), "pool MaxPool2d (2)");
    assert_eq!(found["feature-maps"]["numbers"][0]["shape"], serde_json::json!([8, 8, 8]));
    // The trained weights lie lower than what is around them.
    let losses = found["loss-surface"]["numbers"]["surface"]["losses"].as_array().unwrap();
    let higher = losses.iter().filter(|l| l.as_f64() >= losses[220].as_f64()).count();
    assert!(losses.len() == 441 && higher > 400, "{higher}");

    let names = place.files("runs/digits-001/analysis");
    for name in [
        "tsne-outputs.svg",
        "pca.svg",
        "saliency.svg",
        "filters-conv1.weight.svg",
        "feature-maps.svg",
        "feature-maps-conv1-Conv2d.svg",
        "activations.svg",
        "loss-surface.svg",
        "interpolation.svg",
        "gradients.svg",
        "invariance-rotation.svg",
        "frequencies.svg",
    ] {
        assert!(names.iter().any(|n| n == name), "no {name} in {names:?}");
        let svg = fs::read_to_string(place.path("runs/digits-001/analysis").join(name)).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{name}");
    }
    let again = place.run(&[&args[..], &["--json", "--what", "tsne,hessian,loss-surface"]].concat()).json();
    for name in ["tsne", "hessian", "loss-surface"] {
        assert_eq!(again[name]["numbers"], found[name]["numbers"], "{name} follows from the seed");
    }
    let text = place.run(&[&args[..], &["--what", "hessian", "--out", "elsewhere"]].concat()).stdout;
    assert!(text.contains("hessian: the ends of the spectrum") && text.contains("highest"), "{text}");
}

#[test]
fn an_analysis_that_is_not_there_is_named() {
    let place = Place::new();
    let list = place.run(&["analyze"]).stdout;
    assert!(list.contains("tsne") && list.contains("frequencies"), "{list}");
    place.run(&["analyze", "--what", "tnse"]).fails(2, &["no analysis `tnse`", "did you mean `tsne`", "loss-surface"]);
    place.quick(&["--json", "--set", "training.max_steps=1"]).json();
    place.run(&["analyze", "digits-001", "--examples", "5"]).fails(1, &["at least 30 examples, got 5"]);
}

#[test]
fn models_of_numbers_texts_and_masks_are_looked_into_by_what_fits_them() {
    let place = Place::new();
    let keys = |run: &str, more: &[&str]| -> Vec<String> {
        let args = [&["analyze", run, "--examples", "40", "--json"], more].concat();
        place.run(&args).json().as_object().unwrap().keys().cloned().collect()
    };
    place.write_waves();
    place.run(&["train", "waves.toml", "--data", "s", "--epochs", "1", "--set", "model.hidden=[4]", "--json"]).json();
    assert_eq!(keys("waves-001", &[]), ["activations", "gradients", "hessian", "loss-surface"]);
    let wrong = place.run(&["analyze", "waves-001", "--what", "saliency"]);
    wrong.fails(1, &["`saliency` is for models that tell classes of pictures apart"]);

    place.write_masks();
    let thirty = ["--set", "data.masks.test=train"];
    place.run(&[&["train", "red.toml", "--data", "m", "--epochs", "1", "--json"], &thirty[..]].concat()).json();
    let all = ["activations", "feature-maps", "filters", "gradients", "hessian", "loss-surface"];
    assert_eq!(keys("red-001", &[]), all);
    place
        .run(&["analyze", "red-001", "--what", "tsne"])
        .fails(1, &["`tsne` is for models that tell classes of inputs"]);

    // Two numbers of a table: the plane with its regions, and the codes of the hidden layer.
    let point = |i: usize| (i * 37 % 101, i * 53 % 97);
    let row = |(x, y): (usize, usize)| format!("{x},{y},{}\n", if (x > 50) == (y > 48) { "same" } else { "other" });
    place.write("t/plane.csv", &("x,y,class\n".to_string() + &(0..400).map(|i| row(point(i))).collect::<String>()));
    place.write(
        "plane.toml",
        "name = 'plane'\nepochs = 40\nbatch_size = 20\n[model]\nname = 'mlp'\nhidden = [4]\n\
        activation = 'tanh'\n[data]\nname = 'table'\n[data.table]\ntrain = 'plane.csv'\ntarget = 'class'\n\
        [optimizer]\nname = 'adamw'\nlr = 0.03\n",
    );
    place.run(&["train", "plane.toml", "--data", "t", "--json"]).json();
    assert_eq!(keys("plane-001", &["--what", "boundary,pca"]), ["boundary", "pca"]);
    let curvature = place.run(&["analyze", "plane-001", "--what", "hessian", "--json"]).json();
    assert!(curvature["hessian"]["numbers"]["condition_number"].as_f64().is_none_or(|c| c > 1.0), "{curvature}");
    assert_eq!(curvature["hessian"]["numbers"]["weights"], 22);
    let found = place.run(&["analyze", "plane-001", "--what", "boundary", "--json"]).json();
    let codes = found["boundary"]["numbers"].as_array().unwrap();
    assert_eq!((codes.len(), &codes[3]["code"]), (16, &"0011".into()));
    let examples = |class: &str| codes.iter().map(|c| c[format!("examples of {class}")].as_u64().unwrap()).sum::<u64>();
    assert_eq!(examples("same") + examples("other"), 80);
    assert!(fs::read_to_string(place.path("runs/plane-001/analysis/boundary.svg")).unwrap().contains("of their class"));
}
