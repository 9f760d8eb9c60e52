//! `gradus eval`: its tables, its JSON, its pictures and the choice of a threshold.

use super::Place;
use serde_json::Value;
use std::fs;

#[test]
fn an_evaluation_is_the_same_as_a_table_as_json_and_as_pictures() {
    let place = Place::new();
    place.quick(&["--json"]).json();
    let e = place.run(&["eval", "digits-001", "--json", "--pictures", "pictures"]).json();
    let rows = e["per_class"].as_array().unwrap();
    assert_eq!(rows.len(), 10);
    let sum = |key: &str| rows.iter().map(|r| r[key].as_u64().unwrap()).sum::<u64>();
    let wrong = (359.0 * (1.0 - e["test_accuracy"].as_f64().unwrap())).round() as u64;
    assert!(wrong > 0, "two epochs of a narrow net make mistakes");
    assert_eq!((sum("support"), sum("type_1_errors"), sum("type_2_errors")), (359, wrong, wrong));
    assert_eq!(e["top_k"][0], e["test_accuracy"]);
    assert!(e["top_k"][4].as_f64() > e["top_k"][0].as_f64() && e["auc"].as_f64() > Some(0.9), "{e}");
    let confusion: Vec<Vec<u64>> = serde_json::from_value(e["confusion"].clone()).unwrap();
    for (c, row) in rows.iter().enumerate() {
        assert_eq!(row["support"], confusion[c].iter().sum::<u64>());
        assert_eq!(row["recall"], e["confusion_normalized"][c][c]);
    }

    let text = place.run(&["eval", "digits-001"]).stdout;
    for word in ["class", "type II errors", "macro", "weighted", "calibration error", "Brier"] {
        assert!(text.contains(word), "no {word} in {text}");
    }
    let names =
        ["calibration.svg", "confusion.svg", "mistakes.svg", "precision-recall.svg", "roc.svg", "specificity.svg"];
    assert_eq!(place.files("pictures"), names);
    for name in names {
        let svg = fs::read_to_string(place.path("pictures").join(name)).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{name}");
    }
    let mistakes = fs::read_to_string(place.path("pictures/mistakes.svg")).unwrap();
    assert_eq!(mistakes.matches("data:image/png").count() as u64, wrong.min(24));
}

#[test]
fn a_threshold_is_chosen_by_sensitivity_or_by_cost() {
    let place = Place::new();
    place.quick(&["--json"]).json();
    let chosen = |more: &[&str]| -> Value {
        let args = [&["eval", "digits-001", "--positive", "8", "--json"], more].concat();
        place.run(&args).json()["threshold"]["chosen"].clone()
    };
    let all = chosen(&["--sensitivity", "1"]);
    assert_eq!((all["sensitivity"].as_f64(), all["false_negatives"].as_u64()), (Some(1.0), Some(0)));
    let dear = chosen(&["--cost", "1", "1000"]);
    assert_eq!(dear["false_negatives"], 0);
    let strict = chosen(&["--cost", "1000", "1"]);
    assert_eq!(strict["false_positives"], 0);
    assert!(strict["threshold"].as_f64() > dear["threshold"].as_f64());
    let text = place.run(&["eval", "digits-001", "--positive", "8", "--sensitivity", "0.9"]).stdout;
    assert!(text.contains("threshold") && text.contains("class `8`"), "{text}");

    place
        .run(&["eval", "digits-001", "--positive", "eight", "--cost", "1", "1"])
        .fails(2, &["no class `eight`", "0, 1"]);
    place.run(&["eval", "digits-001", "--positive", "8", "--sensitivity", "2"]).fails(2, &["--sensitivity", "0 to 1"]);
    assert_eq!(place.run(&["eval", "digits-001", "--positive", "8"]).code, Some(2));
}
