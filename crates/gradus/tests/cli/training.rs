//! What a recipe's section `training` and the flags of `gradus train` do, on the real binary.

use super::{Place, QUICK, lines};
use gradus::nn::serialize::{StateDict, load_safetensors};
use serde_json::Value;
use std::fs;

/// The weights of a run.
fn weights(place: &Place, file: &str) -> StateDict {
    load_safetensors(place.path(file)).unwrap().0
}

#[track_caller]
fn same(a: &StateDict, b: &StateDict, name: &str) -> bool {
    a.get(name).unwrap().to_bytes() == b.get(name).unwrap().to_bytes()
}

#[test]
fn a_run_leaves_its_metrics_environment_and_report() {
    let place = Place::new();
    let result = place.quick(&["--json"]).json();
    let dir = place.path("runs/digits-001");
    let csv = fs::read_to_string(dir.join("metrics.csv")).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().map(|l| l.split(',').collect()).collect();
    assert_eq!(rows.len(), 3);
    for (row, line) in rows[1..].iter().zip(lines(&dir.join("metrics.jsonl"))) {
        for (name, value) in rows[0].iter().zip(row) {
            // The JSON reader may be off by the last bit.
            let (here, there) = (value.parse::<f64>().unwrap(), line[name].as_f64().unwrap());
            assert!((here - there).abs() <= 4.0 * f64::EPSILON * there.abs(), "{name}: {here} and {there}");
        }
    }
    let events = fs::read(dir.join("events.out.tfevents.gradus")).unwrap();
    let has = |text: &[u8]| events.windows(text.len()).any(|w| w == text);
    assert!(has(b"brain.Event:2") && has(b"val_accuracy"));
    let environment: Value = serde_json::from_slice(&fs::read(dir.join("environment.json")).unwrap()).unwrap();
    assert_eq!(environment["seed"], "0");
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(page.contains(&format!("{:.2} %", 100.0 * result["test_accuracy"].as_f64().unwrap())));
    assert_eq!(page.matches("<svg").count(), 3);
    assert!(page.contains("batch_size = 32") && page.ends_with("</html>\n"));
    for outside in ["<script", "http-equiv", "src=\"http", "href=\"http", "<link"] {
        assert!(!page.contains(outside), "{outside} in the report");
    }
}

#[test]
fn runs_are_listed_and_drawn_side_by_side() {
    let place = Place::new();
    place.run(&["runs"]).fails(1, &["runs"]);
    place.quick(&["--json"]).json();
    place.quick(&["--json", "--set", "optimizer.lr=0.004"]).json();
    fs::remove_file(place.path("runs/digits-002/summary.json")).unwrap();
    let found = place.run(&["runs", "--json", "--curves", "both.svg"]).json();
    let runs = found["runs"].as_array().unwrap();
    assert_eq!((runs.len(), &runs[0]["state"], &runs[1]["state"]), (2, &"finished".into(), &"cut-off".into()));
    assert_eq!((&runs[1]["lr"], &runs[1]["epochs"]), (&0.004.into(), &2.into()));
    let svg = fs::read_to_string(place.path("both.svg")).unwrap();
    assert!(svg.contains("digits-001") && svg.contains("digits-002") && svg.contains("val_loss"));
    let one = place.run(&["runs", "digits-002"]).stdout;
    assert!(one.contains("cut off") && !one.contains("digits-001"), "{one}");
    place.run(&["runs", "digits-003"]).fails(1, &["digits-003", "did you mean"]);
    place.run(&["runs", "--metric", "loss"]).fails(2, &["`loss`", "val_loss"]);
}

#[test]
fn training_ends_early_or_when_its_budget_is_spent() {
    let place = Place::new();
    // At a rate of next to nothing the validation loss soon stops falling.
    let ran = place.run(
        &[&QUICK[..], &["--json", "--epochs", "50", "--set", "training.patience=2", "--set", "optimizer.lr=0.05"]]
            .concat(),
    );
    let epochs = ran.json()["epochs"].as_u64().unwrap();
    assert!(epochs < 50 && ran.stderr.contains("ends early: no better validation loss for 2 epochs"), "{}", ran.stderr);
    let losses: Vec<f64> =
        lines(&place.path("runs/digits-001/metrics.jsonl")).iter().map(|m| m["val_loss"].as_f64().unwrap()).collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses.iter().position(|l| *l == best).unwrap() as u64 + 3, epochs);

    let steps = place.quick(&["--json", "--set", "training.max_steps=50"]).json();
    assert_eq!((&steps["epochs"], &steps["interrupted"]), (&2.into(), &false.into()));
    assert!(steps["test_accuracy"].is_f64());
    let (_, notes) = load_safetensors(place.path("runs/digits-002/last.safetensors")).unwrap();
    assert_eq!(notes["gradus.step"], "50");
    let minutes = place.quick(&["--json", "--set", "training.max_minutes=1e-6"]).json();
    assert_eq!(minutes["epochs"], 1);
}

#[test]
fn frozen_layers_stay_and_layers_have_rates_of_their_own() {
    let place = Place::new();
    place.quick(&["--json", "--set", "training.max_steps=1"]).json();
    let first = weights(&place, "runs/digits-001/best.safetensors");
    place
        .quick(&["--json", "--init-from", "runs/digits-001/last.safetensors", "--set", "training.freeze_to=conv2"])
        .json();
    let later = weights(&place, "runs/digits-002/best.safetensors");
    for name in ["conv1.weight", "bn1.weight", "conv2.weight"] {
        assert!(same(&first, &later, name), "{name} is frozen");
    }
    for name in ["conv3.weight", "fc1.weight", "fc2.bias"] {
        assert!(!same(&first, &later, name), "{name} is trained");
    }
    place
        .quick(&[
            "--json",
            "--init-from",
            "runs/digits-001/best.safetensors",
            "--set",
            "training.layer_rates=[\"fc1=0\"]",
            "--set",
            "optimizer.weight_decay=0",
        ])
        .json();
    let slow = weights(&place, "runs/digits-003/best.safetensors");
    assert!(same(&first, &slow, "fc1.weight") && !same(&first, &slow, "conv1.weight"));
    place.quick(&["--set", "training.freeze=[\"conv9\"]"]).fails(2, &["training.freeze", "`conv9`", "did you mean"]);
    place.quick(&["--set", "training.freeze_to=fc2"]).fails(2, &["no parameter is left"]);
}

#[test]
fn a_head_is_replaced_and_what_does_not_fit_is_named() {
    let place = Place::new();
    place.quick(&["--json"]).json();
    let wider = ["--init-from", "runs/digits-001/best.safetensors", "--set", "model.hidden=24"];
    place.quick(&wider).fails(1, &["best.safetensors", "fc1.weight", "training.new_layers"]);
    let anew = place.quick(&[&wider[..], &["--set", "training.new_layers=[\"fc1\", \"fc2\"]", "--json"]].concat());
    assert_eq!(anew.json()["epochs"], 2);
    place.quick(&["--init-from", "none.pth"]).fails(1, &["none.pth"]);
    let unknown = ["--init-from", "runs/digits-001/best.safetensors", "--set", "training.new_layers=[\"head\"]"];
    place.quick(&unknown).fails(2, &["training.new_layers", "`head`"]);
}

#[test]
fn a_student_learns_from_its_teacher() {
    let place = Place::new();
    place.run(&["train", "digits", "--epochs", "6", "--json"]).json();
    let small = ["--set", "model.channels=[2,2,2]", "--set", "model.hidden=8", "--epochs", "4", "--json"];
    let alone = place.run(&[&["train", "digits"], &small[..]].concat()).json();
    let teacher = ["--set", "training.teacher=runs/digits-001", "--set", "training.teacher_weight=0.9"];
    let taught = place.run(&[&["train", "digits"], &small[..], &teacher].concat()).json();
    assert_ne!(alone["test_loss"], taught["test_loss"]);
    place.run(&["train", "digits", "--set", "training.teacher=runs/none"]).fails(1, &["runs/none"]);
}

#[test]
fn averaged_weights_are_what_is_kept() {
    let place = Place::new();
    place.quick(&["--json", "--set", "training.ema=0.99"]).json();
    let kept = weights(&place, "runs/digits-001/best.safetensors");
    let last = weights(&place, "runs/digits-001/last.safetensors");
    assert!(!same(&kept, &last, "conv1.weight"));
    let averaged = last.get("gradus.resume/average/module.conv1.weight").unwrap();
    assert_eq!(kept.get("conv1.weight").unwrap().to_bytes(), averaged.to_bytes());
}

#[test]
fn rates_are_tried_without_leaving_a_run() {
    let place = Place::new();
    let found = place.run(&[&QUICK[..], &["--find-lr", "--json"]].concat()).json();
    let rate = found["suggestion"].as_f64().unwrap();
    assert!((1e-5..1.0).contains(&rate), "{rate}");
    assert!(found["rates"].as_array().unwrap().len() > 50);
    assert!(!place.path("runs").exists());
    assert!(place.run(&[&QUICK[..], &["--find-lr"]].concat()).stdout.contains("falls fastest"));
}

#[test]
fn hints_are_said_once_with_their_figures_and_can_be_silenced() {
    let place = Place::new();
    let odd = ["--set", "batch_size=8", "--set", "data.normalize=none"];
    let said = place.quick(&odd).stderr;
    assert_eq!(said.matches("hint T3: batch_size is 8").count(), 1, "{said}");
    assert!(said.contains("hint T4") && said.contains("1606.02228"), "{said}");
    assert!(fs::read_to_string(place.path("runs/digits-001/report.html")).unwrap().contains("hint T3"));
    let silent = place.quick(&[&odd[..], &["--no-hints"]].concat()).stderr;
    assert!(!silent.contains("hint"), "{silent}");
}

#[test]
fn attacks_lower_the_accuracy_with_their_size() {
    let place = Place::new();
    place.run(&["train", "digits", "--epochs", "4", "--json"]).json();
    let args = ["eval", "digits-001", "--adversarial", "0,0.1,0.3", "--pictures", "p", "--json"];
    let found = place.run(&args).json();
    let accuracy = |attack: &str| -> Vec<f64> {
        let rows = found["adversarial"].as_array().unwrap().iter().filter(|r| r["attack"] == attack);
        rows.map(|r| r["accuracy"].as_f64().unwrap()).collect()
    };
    for attack in ["fgsm", "pgd", "least-likely"] {
        let a = accuracy(attack);
        assert_eq!(a[0], found["test_accuracy"].as_f64().unwrap(), "{attack}: nothing changed");
        assert!(a.len() == 3 && a[1] < a[0] && a[2] < a[1], "{attack}: {a:?}");
    }
    assert!(accuracy("pgd")[1] <= accuracy("fgsm")[1]);
    assert!(place.path("p/robustness.svg").exists() && place.path("p/adversarial.svg").exists());
    assert!(place.run(&["eval", "digits-001", "--adversarial", "0.1"]).stdout.contains("least-likely"));
    place.run(&["eval", "digits-001", "--adversarial=-1"]).fails(2, &["epsilon", "-1"]);
}

#[test]
fn restarts_keep_every_run_and_report_the_best() {
    let place = Place::new();
    let best = place.quick(&["--json", "--restarts", "3", "--seed", "5"]).json();
    let runs = place.run(&["runs", "--json"]).json()["runs"].clone();
    let accuracies: Vec<f64> = runs.as_array().unwrap().iter().map(|r| r["val_accuracy"].as_f64().unwrap()).collect();
    let highest = accuracies.iter().copied().fold(0.0, f64::max);
    assert_eq!((accuracies.len(), best["val_accuracy"].as_f64()), (3, Some(highest)));
    assert!((5..8).contains(&best["seed"].as_u64().unwrap()), "{best}");
    let single = place.quick(&["--json", "--seed", "6"]).json();
    let second = fs::read_to_string(place.path("runs/digits-002/summary.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&second).unwrap()["test_loss"], single["test_loss"]);
    assert_eq!(place.quick(&["--restarts", "0"]).code, Some(2));
}

#[test]
fn layers_are_watched_over_time_without_changing_the_run() {
    let place = Place::new();
    let plain = place.quick(&["--json"]).json();
    let watched = place.quick(&["--json", "--set", "training.watch_layers=5"]).json();
    assert_eq!(plain["test_loss"], watched["test_loss"]);
    let table = fs::read_to_string(place.path("runs/digits-002/layers.csv")).unwrap();
    let looks = |what: &str| table.lines().filter(|l| l.contains(what)).count();
    // 41 steps an epoch.
    assert_eq!(looks(",gradient,conv1.weight,"), 17, "{table}");
    // What the layers put out is looked at as often, and a ReLU has zeros where the normalisation before it has none.
    assert_eq!(looks(",activation,conv1 Conv2d,"), 17, "{table}");
    let zeros = |layer: &str| -> f64 {
        let row = table.lines().find(|l| l.contains(layer)).unwrap();
        row.split(',').rev().nth(1).unwrap().parse().unwrap()
    };
    assert!(zeros(",activation,relu,") > 0.2 && zeros(",activation,bn1 BatchNorm2d,") == 0.0, "{table}");
    let page = fs::read_to_string(place.path("runs/digits-002/report.html")).unwrap();
    assert!(page.contains("Activations over depth") && page.contains("Dead units over time"));
    assert!(page.contains("Gradients over time") && page.contains("fc2.weight"));
    assert!(!place.path("runs/digits-001/layers.csv").exists());
}
