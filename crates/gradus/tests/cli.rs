//! Runs the real binary: what it prints, what it leaves behind, how it fails.

#[path = "cli/analysis.rs"]
mod analysis;
#[path = "cli/evaluation.rs"]
mod evaluation;
#[path = "cli/models.rs"]
mod models;
#[path = "cli/resume.rs"]
mod resume;
#[path = "cli/sources.rs"]
mod sources;
#[path = "cli/training.rs"]
mod training;

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A directory for one test, in which the binary runs.
struct Place {
    dir: TempDir,
}

/// What a run of the binary gave.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn new(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        assert_eq!(self.stdout.lines().count(), 1, "more than one line on stdout: {}", self.stdout);
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Checks for failure with `code` and one message that has every one of `words`.
    #[track_caller]
    fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "stderr: {}", self.stderr);
        assert_eq!(self.stdout, "");
        let errors: Vec<&str> = self.stderr.lines().filter(|l| l.starts_with("error:")).collect();
        assert_eq!(errors.len(), 1, "stderr: {}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "stderr: {}", self.stderr);
        for word in words {
            assert!(errors[0].contains(word), "no `{word}` in: {}", errors[0]);
        }
    }
}

/// A run of `digits` made small: a narrow net.
const QUICK: [&str; 6] = ["train", "digits", "--set", "model.channels=[8,8,8]", "--set", "model.hidden=16"];
/// The same for `mnist` on the idx files of [`Place::write_mnist`].
const QUICK_MNIST: [&str; 10] =
    ["train", "mnist", "--data", "idx", "--epochs", "1", "--set", "model.channels=[2,2]", "--set", "batch_size=16"];

impl Place {
    fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::new(self.command(args).output().unwrap())
    }

    fn quick(&self, more: &[&str]) -> Ran {
        self.run(&[&QUICK[..], &["--epochs", "2"], more].concat())
    }

    fn quick_mnist(&self) -> Ran {
        self.run(&QUICK_MNIST)
    }

    /// A tiny data set in MNIST's four files under `idx/`, pictures of `side` x `side`.
    fn write_mnist(&self, side: usize) {
        fs::create_dir_all(self.path("idx")).unwrap();
        for (part, count) in [("train", 80), ("t10k", 20)] {
            let labels: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
            let pixel = |i: usize| (i * 7 % 251) as u8;
            let images = idx(&[count, side, side], &(0..count * side * side).map(pixel).collect::<Vec<_>>());
            // One pair of files gzipped, the other not: both must be read.
            if part == "train" {
                self.write_gz(&format!("idx/{part}-images-idx3-ubyte.gz"), &images);
                self.write_gz(&format!("idx/{part}-labels-idx1-ubyte.gz"), &idx(&[count], &labels));
            } else {
                fs::write(self.path(&format!("idx/{part}-images-idx3-ubyte")), &images).unwrap();
                fs::write(self.path(&format!("idx/{part}-labels-idx1-ubyte")), idx(&[count], &labels)).unwrap();
            }
        }
    }

    fn write_gz(&self, name: &str, bytes: &[u8]) {
        let file = fs::File::create(self.path(name)).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap();
    }

    fn write_image(&self, name: &str, side: u32) {
        image::GrayImage::from_fn(side, side, |x, _| image::Luma([if x == side / 2 { 255 } else { 0 }]))
            .save(self.path(name))
            .unwrap();
    }

    fn files(&self, dir: &str) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.path(dir)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// An idx file of bytes.
fn idx(shape: &[usize], data: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|&d| out.extend((d as u32).to_be_bytes()));
    out.extend(data);
    out
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn the_digits_recipe_reaches_98_percent() {
    let place = Place::new();
    let result = place.run(&["train", "digits", "--json"]).json();
    assert!(result["test_accuracy"].as_f64().unwrap() >= 0.98, "{result}");
}

#[test]
fn a_run_leaves_everything_behind_and_can_be_measured_again() {
    let place = Place::new();
    let ran = place.quick(&["--json"]);
    let result = ran.json();
    assert_eq!(result["run_dir"], "runs/digits-001");
    assert_eq!(result["epochs"], 2);
    for key in ["test_accuracy", "test_loss", "seconds"] {
        assert!(result[key].is_f64(), "{key} in {result}");
    }
    assert_eq!(
        place.files("runs/digits-001"),
        [
            "best.safetensors",
            "config.toml",
            "confusion.svg",
            "curves.svg",
            "environment.json",
            "events.out.tfevents.gradus",
            "last.safetensors",
            "metrics.csv",
            "metrics.jsonl",
            "report.html",
            "summary.json"
        ]
    );
    let epochs = lines(&place.path("runs/digits-001/metrics.jsonl"));
    assert_eq!(epochs.len(), 2);
    assert!(epochs[1]["train_loss"].as_f64() < epochs[0]["train_loss"].as_f64());
    assert!(ran.stderr.contains("epoch 2/2"), "{}", ran.stderr);

    let again = place.run(&["eval", "runs/digits-001", "--json"]).json();
    assert_eq!(again["test_accuracy"], result["test_accuracy"]);
    assert_eq!(again["test_loss"], result["test_loss"]);
    let short = place.run(&["eval", "digits-001"]);
    assert!(short.stdout.contains("test accuracy") && short.stdout.contains("recognised"), "{}", short.stdout);
    place.run(&["eval", "runs/digits-001", "--data", "x"]).fails(2, &["digits", "is bundled", "`x`"]);
    let file = place.run(&["eval", "runs/digits-001/best.safetensors", "--json"]).json();
    assert_eq!(file["test_accuracy"], result["test_accuracy"]);
}

#[test]
fn the_kept_configuration_repeats_the_run() {
    let place = Place::new();
    let first = place.quick(&["--json", "--seed", "7"]).json();
    let second = place.run(&["train", "runs/digits-001/config.toml", "--json"]).json();
    assert_eq!(second["run_dir"], "runs/digits-002");
    assert_eq!(first["test_loss"], second["test_loss"]);
    let losses = |run: &str| -> Vec<Value> {
        lines(&place.path(run).join("metrics.jsonl")).into_iter().map(|m| m["train_loss"].clone()).collect()
    };
    assert_eq!(losses("runs/digits-001"), losses("runs/digits-002"));
}

#[test]
fn one_thread_and_two_give_the_same_curve() {
    let place = Place::new();
    let args = [&QUICK[..], &["--epochs", "2", "--json"]].concat();
    let curve = |threads: &str| {
        let output = place.command(&args).env("GRADUS_THREADS", threads).output().unwrap();
        let run = Ran::new(output).json()["run_dir"].as_str().unwrap().to_string();
        let metrics = lines(&place.path(&run).join("metrics.jsonl"));
        metrics.into_iter().map(|m| (m["train_loss"].clone(), m["val_loss"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(curve("1"), curve("2"));
}

/// The spans of a trace, by thread and beginning, each checked to lie within the one around it.
fn spans(path: &Path) -> Vec<Value> {
    let trace: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let spans: Vec<Value> = events.iter().filter(|e| e["ph"] == "X").cloned().collect();
    let mut open: Vec<&Value> = Vec::new();
    for span in &spans {
        while open.last().is_some_and(|o| o["tid"] != span["tid"] || end(o) <= span["ts"].as_f64().unwrap() + 1e-4) {
            open.pop();
        }
        if let Some(parent) = open.last() {
            assert!(end(span) <= end(parent) + 1e-4, "{span} sticks out of {parent}");
            assert!(span["ts"].as_f64() >= parent["ts"].as_f64());
        }
        open.push(span);
    }
    spans
}

/// The end of a span in microseconds.
fn end(span: &Value) -> f64 {
    span["ts"].as_f64().unwrap() + span["dur"].as_f64().unwrap()
}

#[test]
fn a_profile_shows_layers_and_operations_forwards_and_backwards() {
    let place = Place::new();
    let plain = place.quick(&["--json"]).json();
    let ran = place.quick(&["--json", "--profile"]);
    assert_eq!(ran.json()["test_loss"], plain["test_loss"], "the run is the same");
    let files = place.files("runs/digits-002");
    assert_eq!(files.iter().filter(|f| f.starts_with("profile")).collect::<Vec<_>>(), ["profile.json", "profile.txt"]);
    assert!(!place.path("runs/digits-001/profile.json").exists());

    let spans = spans(&place.path("runs/digits-002/profile.json"));
    let of = |category: &str| spans.iter().filter(|e| e["cat"] == category).cloned().collect::<Vec<_>>();
    let steps: Vec<Value> = of("function").into_iter().filter(|e| e["name"] == "step").collect();
    assert_eq!(steps.len(), 10);
    for layer in ["conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "fc1", "fc2"] {
        assert_eq!(of("layer").iter().filter(|e| e["name"] == layer).count(), 10, "forward passes of {layer}");
        let rules = of("backward").into_iter().filter(|e| e["args"]["layer"] == layer).count();
        assert!(rules >= 10, "{rules} backward rules of {layer}");
    }
    for name in ["data", "zero_grad", "forward", "loss", "backward", "optimizer.step"] {
        assert_eq!(of("function").iter().filter(|e| e["name"] == name).count(), 10, "{name}");
    }
    for step in &steps {
        let inside =
            |e: &&Value| e["tid"] == step["tid"] && e["ts"].as_f64() >= step["ts"].as_f64() && end(e) <= end(step);
        let time = |pass: &str| -> f64 {
            let functions = of("function").into_iter().filter(|e| e["name"] == pass);
            functions.collect::<Vec<_>>().iter().filter(inside).map(|e| e["dur"].as_f64().unwrap()).sum()
        };
        let parts = ["data", "forward", "loss", "backward", "optimizer.step"].map(time);
        assert!(parts.iter().all(|&t| t > 0.0), "{parts:?}");
        assert!(parts.iter().sum::<f64>() <= step["dur"].as_f64().unwrap(), "{parts:?} in {step}");
    }

    let tables = fs::read_to_string(place.path("runs/digits-002/profile.txt")).unwrap();
    assert!(tables.starts_with("profile of steps 3 to 12: "), "{tables}");
    assert!(of("backward").iter().any(|e| e["name"] == "conv backward"), "the backward rule of a convolution");
    // short operations may fall below the rows that are shown: only the costliest ones are looked for
    for word in ["conv_weight_grad", "batch_norm", "(model)", "bn3", "Linear", "self ms", "forward ms"] {
        assert!(tables.contains(word), "no {word} in {tables}");
    }
    assert!(ran.stderr.contains("conv_weight_grad") && ran.stderr.contains("profile.json"), "{}", ran.stderr);
    let shares = |table: &str, column: usize| -> f64 {
        let rows = table.lines().skip(2).take_while(|l| !l.is_empty());
        rows.filter_map(|l| l.split("  ").filter(|c| !c.is_empty()).nth(column)?.trim().parse::<f64>().ok()).sum()
    };
    let operations = tables.split_once("\n\n").unwrap().1;
    let others = operations.lines().find(|l| l.contains(" more with ")).map_or(0.0, |l| {
        let words: Vec<&str> = l.split_whitespace().collect();
        words[4].parse::<f64>().unwrap()
    });
    // 26 figures, each rounded to a tenth
    assert!((shares(operations, 4) + others - 100.0).abs() < 1.5, "{operations}");
}

#[test]
fn a_profile_may_be_longer_than_an_epoch_or_the_run() {
    let place = Place::new();
    let count = |run: &str, name: &str| {
        spans(&place.path(&format!("runs/{run}/profile.json"))).iter().filter(|e| e["name"] == name).count()
    };
    assert_eq!(place.quick(&["--profile", "50"]).code, Some(0));
    assert_eq!((count("digits-001", "step"), count("digits-001", "optimizer.step")), (50, 50));
    assert_eq!(count("digits-001", "data"), 50, "validation is left out");
    let ran = place.quick(&["--profile=5000", "--json"]);
    assert_eq!(ran.json()["epochs"], 2);
    let steps = count("digits-002", "step");
    assert!((60..200).contains(&steps), "{steps} steps");
    let short = place.quick(&["--profile", "--set", "batch_size=10000"]);
    assert!(short.stderr.contains("nothing was profiled: the run ended before the end of step 3"), "{}", short.stderr);
    assert!(!place.path("runs/digits-003/profile.json").exists());
}

#[test]
fn a_wrong_number_of_profiled_steps_is_a_usage_error() {
    let place = Place::new();
    place.quick(&["--profile", "0"]).fails(2, &["--profile", "at least one step"]);
    place.quick(&["--profile=-3"]).fails(2, &["--profile", "a number of steps"]);
    place.run(&["train", "--profile", "digits"]).fails(2, &["'digits'", "the recipe comes before --profile"]);
    assert!(!place.path("runs").exists());
}

#[test]
fn predict_prints_the_probabilities_of_images() {
    let place = Place::new();
    place.quick(&["--json"]).json();
    place.write_image("one.png", 8);
    let result = place.run(&["predict", "runs/digits-001", "one.png", "one.png", "--json"]).json();
    let predictions = result["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 2);
    assert_eq!(predictions[0], predictions[1]);
    let shares = predictions[0]["probabilities"].as_object().unwrap();
    assert_eq!(shares.len(), 10);
    assert!((shares.values().map(|v| v.as_f64().unwrap()).sum::<f64>() - 1.0).abs() < 1e-5);
    let text = place.run(&["predict", "runs/digits-001", "one.png"]);
    assert_eq!(text.code, Some(0));
    assert!(text.stdout.contains("one.png") && text.stdout.contains('%'), "{}", text.stdout);

    let paper = image::GrayImage::from_pixel(8, 8, image::Luma([250]));
    paper.save(place.path("paper.png")).unwrap();
    assert!(place.run(&["predict", "runs/digits-001", "paper.png"]).stderr.contains("--invert"));
    assert_eq!(place.run(&["predict", "runs/digits-001", "paper.png", "--invert"]).stderr, "");

    place.write_image("big.png", 30);
    assert_eq!(place.run(&["predict", "runs/digits-001", "big.png", "--resize"]).code, Some(0));
    place.run(&["predict", "runs/digits-001", "one.png", "big.png"]).fails(1, &["big.png", "30x30", "8x8"]);
    fs::write(place.path("text.png"), "no image").unwrap();
    place.run(&["predict", "runs/digits-001", "text.png"]).fails(1, &["text.png"]);
    place.run(&["predict", "runs/digits-001", "none.png"]).fails(1, &["none.png"]);
}

#[test]
fn mnist_is_read_from_idx_files_gzipped_or_not() {
    let place = Place::new();
    place.write_mnist(28);
    assert_eq!(place.run(&[&QUICK_MNIST[..], &["--json"]].concat()).json()["epochs"], 1);
    let mlp = place.run(&["train", "mnist-mlp", "--data", "idx", "--epochs", "1", "--json"]).json();
    assert_eq!(mlp["model"], "mnist-mlp");
}

#[test]
fn list_and_summary_come_from_the_registries() {
    let place = Place::new();
    let list = place.run(&["list"]);
    for name in ["digits", "mnist", "mnist-mlp", "digits-cnn", "mnist-cnn"] {
        assert!(list.stdout.contains(name), "no {name} in {}", list.stdout);
    }
    let summary = place.run(&["summary", "mnist-cnn"]);
    assert_eq!(summary.code, Some(0), "{}", summary.stderr);
    for word in ["conv1", "[1, 32, 28, 28]", "fc2", "421,642"] {
        assert!(summary.stdout.contains(word), "no {word} in {}", summary.stdout);
    }
    place.run(&["summary", "mnist-cn"]).fails(2, &["did you mean `mnist-cnn`?"]);
}

#[test]
fn a_summary_counts_what_layers_cost_and_compares_models() {
    let place = Place::new();
    let json = place.run(&["summary", "lenet5", "--json"]).json();
    let conv = &json["layers"][1];
    assert_eq!((&conv["layer"], &conv["weights"], &conv["biases"]), (&"features.0".into(), &150.into(), &6.into()));
    assert_eq!(conv["macs"], 25 * 6 * 28 * 28);
    assert_eq!(conv["receptive_field"], serde_json::json!([5.0, 5.0]));
    assert_eq!(json["flops"].as_u64(), json["macs"].as_u64().map(|n| 2 * n));
    let other = place.run(&["summary", "resnet20_cifar", "--input", "3x64x48"]);
    assert!(other.stdout.contains("[1, 64, 16, 12]") && other.stdout.contains('*'), "{}", other.stdout);
    let several = place.run(&["summary", "resnet20_cifar", "resnet56_cifar"]);
    assert!(several.stdout.contains("853,018") && several.stdout.contains("269,722"), "{}", several.stdout);
    let dot = place.run(&["summary", "lenet5", "--graph", "dot"]);
    assert!(dot.stdout.starts_with("digraph"), "{}", dot.stdout);
    place.run(&["summary", "alexnet", "--input", "3x32x32"]).fails(2, &["alexnet", "at least 63x63", "features.12"]);
    place.run(&["summary", "alexnet", "--input", "1x64x64"]).fails(2, &["3 channels"]);
    place.run(&["summary", "lenet5", "--input", "28"]).fails(2, &["lenet5"]);
    place.run(&["summary", "lenet5", "--input", "3 224"]).fails(2, &["3x224x224"]);
    let list = place.run(&["list", "models"]);
    assert!(list.stdout.contains("25.6 M") && !list.stdout.contains("recipes\n"), "{}", list.stdout);
    let models = place.run(&["list", "models", "--json"]).json();
    let resnet = models["models"].as_array().unwrap().iter().find(|m| m["name"] == "resnet50").unwrap().clone();
    assert_eq!((&resnet["parameters"], &resnet["macs"]), (&25_557_032.into(), &4_089_184_256u64.into()));
}

#[test]
fn an_unknown_recipe_is_a_usage_error_with_the_nearest_name() {
    let place = Place::new();
    place.run(&["train", "digit"]).fails(2, &["`digit`", "did you mean `digits`?", "mnist-mlp"]);
    place.run(&["train", "none.toml"]).fails(1, &["cannot read the recipe `none.toml`"]);
    assert!(!place.path("runs").exists());
}

#[test]
fn a_wrong_setting_names_the_key_and_what_it_takes() {
    let place = Place::new();
    place.quick(&["--set", "optimizer.learning_rate=1"]).fails(2, &["optimizer.learning_rate", "optimizer.lr"]);
    place.quick(&["--set", "lr=1"]).fails(2, &["did you mean `optimizer.lr`?"]);
    place.quick(&["--set", "optimizer.lr=fast"]).fails(2, &["optimizer.lr", "a number", "\"fast\""]);
    place.quick(&["--set", "epochs=1.5"]).fails(2, &["epochs", "whole number", "1.5"]);
    place.quick(&["--set", "optimizer.name=sdg"]).fails(2, &["optimizer.name", "did you mean `sgd`?"]);
    place.quick(&["--set", "loss=hinge"]).fails(2, &["loss", "hinge", "cross-entropy"]);
    place.quick(&["--set", "model.name=mnist-cnn"]).fails(2, &["mnist-cnn", "digits"]);
    place.quick(&["--set", "batch_size=0"]).fails(2, &["batch_size", "at least 1"]);
    assert!(!place.path("runs").exists());
}

#[test]
fn a_wrong_recipe_file_is_named_with_its_mistake() {
    let place = Place::new();
    fs::write(
        place.path("mine.toml"),
        "name = \"mine\"\nepoch = 3\n[model]\nname = \"digits-cnn\"\n[data]\nname = \"digits\"\n",
    )
    .unwrap();
    place.run(&["train", "mine.toml"]).fails(2, &["mine.toml", "epoch", "did you mean `epochs`?"]);
    fs::write(place.path("mine.toml"), "name = ").unwrap();
    place.run(&["train", "mine.toml"]).fails(2, &["mine.toml", "not valid TOML"]);
}

#[test]
fn missing_truncated_and_mislabelled_data_are_told_apart() {
    let place = Place::new();
    place.quick_mnist().fails(1, &["idx"]);
    place.write_mnist(28);
    let labels = place.path("idx/t10k-labels-idx1-ubyte");
    let images = place.path("idx/t10k-images-idx3-ubyte");
    let (good_labels, good_images) = (fs::read(&labels).unwrap(), fs::read(&images).unwrap());

    fs::remove_file(&labels).unwrap();
    place.quick_mnist().fails(1, &["t10k-labels-idx1-ubyte"]);
    fs::write(&labels, &good_images).unwrap();
    place.quick_mnist().fails(1, &["t10k-labels-idx1-ubyte"]);
    fs::write(&labels, &good_labels[..good_labels.len() - 3]).unwrap();
    place.quick_mnist().fails(1, &["t10k-labels-idx1-ubyte", "17"]);
    fs::write(&labels, idx(&[19], &[0; 19])).unwrap();
    place.quick_mnist().fails(1, &["19", "20"]);
    fs::write(&labels, idx(&[20], &[77; 20])).unwrap();
    place.quick_mnist().fails(1, &["t10k-labels-idx1-ubyte", "77"]);
    fs::write(&labels, &good_labels).unwrap();
    fs::write(&images, &good_images[..good_images.len() / 2]).unwrap();
    place.quick_mnist().fails(1, &["t10k-images-idx3-ubyte"]);
    fs::write(&images, "hello").unwrap();
    place.quick_mnist().fails(1, &["t10k-images-idx3-ubyte"]);
    fs::write(&images, &good_images).unwrap();
    let train = place.path("idx/train-images-idx3-ubyte.gz");
    let packed = fs::read(&train).unwrap();
    fs::write(&train, &packed[..packed.len() / 2]).unwrap();
    place.quick_mnist().fails(1, &["train-images-idx3-ubyte.gz"]);
    assert!(!place.path("runs").exists());
}

#[test]
fn images_of_another_size_are_refused() {
    let place = Place::new();
    place.write_mnist(14);
    place.quick_mnist().fails(1, &["14", "28"]);
}

#[test]
fn a_checkpoint_of_another_architecture_is_refused() {
    let place = Place::new();
    place.quick(&["--json"]).json();
    place.quick(&["--json", "--set", "model.hidden=32"]).json();
    let (first, second) = (place.path("runs/digits-001"), place.path("runs/digits-002"));
    fs::copy(second.join("best.safetensors"), first.join("best.safetensors")).unwrap();
    for command in [&["eval", "runs/digits-001"][..], &["predict", "runs/digits-001", "x.png"]] {
        place.run(command).fails(1, &["best.safetensors", "another architecture", "32", "16"]);
    }
    let bytes = fs::read(second.join("best.safetensors")).unwrap();
    fs::write(second.join("best.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    place.run(&["eval", "runs/digits-002"]).fails(1, &["best.safetensors"]);
    place.run(&["eval", "runs/digits-003"]).fails(1, &["runs/digits-003", "did you mean"]);
}

#[test]
fn a_run_directory_that_cannot_be_made_is_one_message() {
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    place.quick(&["--out", "file/runs"]).fails(1, &["cannot create the run directory", "file/runs"]);
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_names_the_layer() {
    let place = Place::new();
    let ran = place.quick(&["--set", "optimizer.lr=1e30"]);
    ran.fails(1, &["the loss became", "in the layer `", "last.safetensors"]);
    // The checkpoint of the last good state is whole and usable.
    place.write_image("one.png", 8);
    assert_eq!(place.run(&["predict", "runs/digits-001", "one.png"]).code, Some(0));
}

#[test]
fn two_runs_started_at_once_get_different_directories() {
    let place = Place::new();
    let args = [&QUICK[..], &["--json", "--epochs", "1"]].concat();
    let start = || place.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (a, b) = (start(), start());
    let dirs = [a, b].map(|c| Ran::new(c.wait_with_output().unwrap()).json()["run_dir"].clone());
    assert_ne!(dirs[0], dirs[1]);
    assert_eq!(place.files("runs").len(), 2);
}

#[cfg(unix)]
#[test]
fn ctrl_c_finishes_the_step_saves_and_exits_with_130() {
    let place = Place::new();
    let child = place
        .command(&["train", "digits", "--json", "--epochs", "100000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let metrics = place.path("runs/digits-001/metrics.jsonl");
    let started = Instant::now();
    while !metrics.exists() {
        assert!(started.elapsed() < Duration::from_secs(120), "no epoch was finished");
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let ran = Ran::new(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    let result: Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    assert_eq!(result["interrupted"], true);
    assert!(result["epochs"].as_u64().unwrap() >= 1);
    assert_eq!(lines(&metrics).len() as u64, result["epochs"].as_u64().unwrap());
    assert_eq!(place.run(&["eval", "runs/digits-001"]).code, Some(0));
    assert_eq!(place.run(&["eval", "runs/digits-001/last.safetensors"]).code, Some(0));
}

/// The smallest workload, timed for a moment.
const QUICK_BENCH: [&str; 4] = ["bench", "w01", "--seconds", "0.05"];

#[test]
fn bench_times_a_workload_and_compares_it_with_what_was_kept() {
    let place = Place::new();
    let result = place.run(&[&QUICK_BENCH[..], &["--save", "before.json", "--json"]].concat()).json();
    let readings = result["readings"].as_array().unwrap();
    let phases: Vec<&Value> = readings.iter().map(|r| &r["phase"]).collect();
    assert_eq!(phases, ["infer", "train"]);
    for r in readings {
        assert_eq!(r["workload"], "w01_mlp_b64");
        assert_eq!(r["params"], 109_386);
        assert!(r["ms_median"].as_f64() >= r["ms_min"].as_f64() && r["ms_min"].as_f64() > Some(0.0), "{r}");
        assert!(r["n"].as_u64() >= Some(10) && r["gflop_s"].as_f64() > Some(0.0), "{r}");
    }
    assert!(result["machine"]["threads"].as_u64() >= Some(1), "{result}");

    let args = [&QUICK_BENCH[..], &["--phase", "train", "--baseline", "before.json"]].concat();
    let shown = place.run(&args);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    let table: Vec<&str> = shown.stdout.lines().collect();
    assert!(table[0].contains("median ms") && table[0].contains("against the baseline"), "{}", shown.stdout);
    assert!(table[2].starts_with("w01_mlp_b64") && !shown.stdout.contains("infer"), "{}", shown.stdout);
    assert!(["faster", "slower", "within noise"].iter().any(|word| table[2].ends_with(word)), "{}", shown.stdout);
    let again = place.run(&[&args[..], &["--json"]].concat()).json();
    assert!(again["readings"][0]["ratio_to_baseline"].as_f64() > Some(0.0), "{again}");

    // Another number of threads is said, and so is what the baseline lacks.
    let threads = if result["machine"]["threads"] == 1 { "2" } else { "1" };
    let output = place.command(&args).env("GRADUS_THREADS", threads).output().unwrap();
    let warned = Ran::new(output).stderr;
    assert!(warned.contains("other conditions") && warned.contains(&format!("now {threads}")), "{warned}");
    // Several workloads, each in a process of its own.
    let other = place.run(&["bench", "w01", "m11", "--seconds", "0.05", "--baseline", "before.json"]).stdout;
    assert_eq!(other.lines().filter(|l| l.starts_with("w01") || l.starts_with("m11")).count(), 4, "{other}");
    assert_eq!(other.matches("not in it").count(), 2, "{other}");
}

#[test]
fn bench_says_what_it_cannot_do() {
    let place = Place::new();
    fs::write(place.path("broken.json"), "{\"gradus\": 1}").unwrap();
    place
        .run(&["bench", "w5_resnet18_cifar"])
        .fails(2, &["w5_resnet18_cifar", "did you mean `w05_resnet18_cifar_b16`?"]);
    place.run(&["bench", "w01", "--seconds", "0"]).fails(2, &["--seconds", "positive"]);
    place.run(&["bench", "w01", "--baseline", "none.json"]).fails(1, &["cannot read the baseline", "none.json"]);
    place.run(&["bench", "w01", "--baseline", "broken.json"]).fails(1, &["broken.json", "is no baseline"]);
    let missing = place.run(&[&QUICK_BENCH[..], &["--save", "no/where.json"]].concat());
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("cannot write the baseline `no/where.json`"), "{}", missing.stderr);
    assert!(missing.stdout.contains("w01_mlp_b64"), "{}", missing.stdout);

    let listed = place.run(&["bench", "--list"]).stdout;
    assert!(listed.contains("m13_gpt_b4") && listed.contains("core"), "{listed}");
    let listed = place.run(&["bench", "--list", "--json"]).json();
    assert!(listed["workloads"].as_array().unwrap().len() > 30, "{listed}");
}
