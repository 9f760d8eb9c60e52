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
