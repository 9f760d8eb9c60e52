//! `gradus train --resume`: a run that was killed, stopped or robbed of its disk goes on to the same weights.

use super::{Place, QUICK, Ran};
use gradus::nn::serialize::load_safetensors;
use gradus::train::RESUME_PREFIX;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A run that uses all that is random or remembered: dropout, noise, averaged weights, accumulation, momentum.
const BUSY: [&str; 18] = [
    "--epochs",
    "6",
    "--set",
    "training.checkpoint_steps=7",
    "--set",
    "training.ema=0.9",
    "--set",
    "training.accumulate=3",
    "--set",
    "training.input_noise=0.05",
    "--set",
    "training.weight_noise=0.01",
    "--set",
    "training.clip_norm=1",
    "--set",
    "schedule.name=one-cycle",
    "--set",
    "training.label_smoothing=0.1",
];

/// The weights of a checkpoint and all that training goes on from, but for the seconds that epochs took.
fn content(path: &Path) -> Vec<(String, Vec<u8>)> {
    let (state, _) = load_safetensors(path).unwrap();
    let history = format!("{RESUME_PREFIX}history");
    let entry = |(name, t): (&str, &gradus::tensor::Tensor)| {
        let t = if name == history { t.narrow(1, 0, 7).contiguous() } else { t.clone() };
        (name.to_string(), t.to_bytes())
    };
    let mut all: Vec<_> = state.iter().map(entry).collect();
    all.sort();
    all
}

#[track_caller]
fn same_weights(place: &Place, a: &str, b: &str) {
    for file in ["best.safetensors", "last.safetensors"] {
        let [a, b] = [a, b].map(|run| content(&place.path(run).join(file)));
        assert!(!a.is_empty() && a == b, "{file} differs");
    }
}

/// Trains by `args` undisturbed as `<name>-001`, and then as further runs that are killed at moments all over a run, from
/// before its directory is there to its last files; every one must end with the same weights.
fn killed_and_resumed(place: &Place, name: &str, args: &[&str], starts: &[f64]) {
    let began = std::time::Instant::now();
    let plain = place.run(&[args, &["--json"]].concat()).json();
    let whole = began.elapsed();
    for (run, start) in (2..).zip(starts) {
        let dir = format!("runs/{name}-{run:03}");
        let mut kills = 0;
        for k in 0..40 {
            let more = match place.path(&dir).join("config.toml").exists() {
                true => vec!["train", "--resume", dir.as_str()],
                false => {
                    // It may hold a file that was being written aside.
                    let _ = fs::remove_dir_all(place.path(&dir));
                    args.to_vec()
                }
            };
            let mut child = place.command(&more).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let part = (start + 0.137 * f64::from(k)) % 0.7 + 0.01 * f64::from(k);
            std::thread::sleep(whole.mul_f64(part));
            if child.try_wait().unwrap().is_some_and(|status| status.success()) {
                break;
            }
            child.kill().unwrap(); // SIGKILL
            child.wait().unwrap();
            kills += 1;
        }
        assert!(kills >= 1, "the run ended before it could be killed");
        let ended = place.run(&["train", "--resume", &dir, "--json"]).json();
        assert_eq!((&ended["epochs"], &ended["test_loss"]), (&plain["epochs"], &plain["test_loss"]));
        same_weights(place, &format!("runs/{name}-001"), &dir);
    }
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_with_the_same_weights() {
    let place = Place::new();
    killed_and_resumed(&place, "digits", &[&QUICK[..], &BUSY].concat(), &[0.03, 0.21, 0.55]);
}

#[test]
fn a_run_over_files_that_is_killed_again_and_again_ends_with_the_same_weights() {
    // Pictures read by workers, changed at random and mixed; rows of a table; texts; windows of a series.
    let place = Place::new();
    place.write_pictures();
    place.write_houses();
    place.write_texts();
    place.write_waves();
    let steps = ["--no-hints", "--set", "training.checkpoint_steps=2", "--set", "training.ema=0.8"];
    let mixed = ["--epochs", "12", "--set", "data.workers=2", "--set", "training.mix=mixup"];
    let pictures = [&["train", "toy.toml", "--data", "p"], &steps[..], &mixed].concat();
    killed_and_resumed(&place, "toy", &pictures, &[0.11]);
    let search = ["--set", "optimizer.name=lbfgs", "--set", "training.accumulate=3"];
    for (name, dir, more) in [("line", "t", &search[..]), ("words", "x", &[]), ("waves", "s", &[])] {
        let recipe = format!("{name}.toml");
        let args = [&["train", recipe.as_str(), "--data", dir], &steps[..], more].concat();
        killed_and_resumed(&place, name, &args, &[0.4]);
    }
}

#[test]
fn a_run_that_is_stopped_within_an_epoch_goes_on_at_the_next_step() {
    let place = Place::new();
    let plain = place.run(&[&QUICK[..], &["--epochs", "30", "--json"]].concat()).json();
    let child = place
        .command(&[&QUICK[..], &["--epochs", "30", "--json"]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let metrics = place.path("runs/digits-002/metrics.jsonl");
    while !metrics.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let busy = place.run(&["train", "--resume", "runs/digits-002"]);
    let stopped = Ran::new(child.wait_with_output().unwrap());
    assert_eq!(stopped.code, Some(130), "{}", stopped.stderr);
    if busy.code != Some(0) {
        busy.fails(1, &["runs/digits-002", "still going"]);
    }
    let ended = place.run(&["train", "--resume", "runs/digits-002", "--json"]).json();
    assert_eq!((&ended["test_loss"], &ended["interrupted"]), (&plain["test_loss"], &false.into()));
    same_weights(&place, "runs/digits-001", "runs/digits-002");
    // A run that is finished stays as it is.
    let again = place.run(&["train", "--resume", "runs/digits-002", "--json"]);
    assert!(again.stderr.contains("finished already"), "{}", again.stderr);
    assert_eq!(again.json(), ended);
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_checkpoint_before() {
    let place = Place::new();
    let args = [&QUICK[..], &["--epochs", "3", "--json"]].concat();
    let plain = place.run(&args).json();
    // Files may grow to what the weights need, but not to what the optimiser needs beside them.
    let best = fs::metadata(place.path("runs/digits-001/best.safetensors")).unwrap().len();
    let last = fs::metadata(place.path("runs/digits-001/last.safetensors")).unwrap().len();
    let blocks = (best + last) / 2 / 512;
    let args: Vec<String> = args.iter().map(|a| format!("'{a}'")).collect();
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {} {}", env!("CARGO_BIN_EXE_gradus"), args.join(" "));
    let output = Command::new("sh").args(["-c", &script]).current_dir(place.path("")).output().unwrap();
    Ran::new(output).fails(1, &["last.safetensors", "large"]);
    assert!(
        place.files("runs/digits-002").iter().all(|f| !f.ends_with(".tmp")),
        "{:?}",
        place.files("runs/digits-002")
    );
    // The one before is whole, and enough to go on from.
    assert_eq!(place.run(&["eval", "runs/digits-002/last.safetensors"]).code, Some(0));
    let ended = place.run(&["train", "--resume", "runs/digits-002", "--json"]).json();
    assert_eq!(ended["test_loss"], plain["test_loss"]);
    same_weights(&place, "runs/digits-001", "runs/digits-002");
}

#[test]
fn what_cannot_be_continued_is_said() {
    let place = Place::new();
    place.quick(&["--json"]).json();
    place.run(&["train", "--resume", "runs/digits-009"]).fails(1, &["digits-009"]);
    assert_eq!(place.run(&["train"]).code, Some(2));
    assert_eq!(place.run(&["train", "digits", "--resume", "runs/digits-001"]).code, Some(2));
    assert_eq!(place.run(&["train", "--resume", "runs/digits-001", "--epochs", "9"]).code, Some(2));
    let run = place.path("runs/digits-001");
    fs::remove_file(run.join("summary.json")).unwrap();
    fs::copy(run.join("best.safetensors"), run.join("last.safetensors")).unwrap();
    place.run(&["train", "--resume", "runs/digits-001"]).fails(1, &["last.safetensors", "weights alone"]);
    fs::write(run.join("last.safetensors"), "x").unwrap();
    place.run(&["train", "--resume", "runs/digits-001"]).fails(1, &["last.safetensors"]);
    fs::write(run.join("config.toml"), "name = 3").unwrap();
    place.run(&["train", "--resume", "runs/digits-001"]).fails(1, &["config.toml", "name"]);
}
