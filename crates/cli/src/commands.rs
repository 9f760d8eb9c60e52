//! What each command does.

use crate::INTERRUPTED;
use crate::args::{EvalArgs, PredictArgs, TrainArgs};
use crate::table::table;
use gradus_train::metrics::{Average, ClassRow};
use gradus_train::{
    Choice, EvaluateOptions, Evaluation, Fit, Measured, MeasuredNumbers, MeasuredPixels, Prediction, Recipe, Result,
    Robustness, TrainError, Trained, compact, did_you_mean, predict_files, run::Summary, run::Watch,
};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub(crate) fn train(args: &TrainArgs) -> Result<ExitCode> {
    if args.find_lr {
        return find_lr(args);
    }
    let watch = || Watch { interrupt: interrupt_flag(), profile: args.profile, hints: !args.no_hints };
    let summary = match (&args.resume, &args.recipe) {
        (Some(run), _) => gradus_train::run::resume(&place_of(run)?, args.data.as_deref(), watch())?,
        (None, recipe) => {
            let recipe = Recipe::load(recipe.as_deref().unwrap_or_default(), &settings(args))?;
            match args.restarts {
                Some(runs) => gradus_train::run::restarts(&recipe, &args.out, runs.into(), &watch())?,
                None => gradus_train::run::train(&recipe, &args.out, watch())?,
            }
        }
    };
    match args.json {
        true => print(&(serde_json::to_string(&summary).expect("a summary is plain values") + "\n")),
        false => print(&closing(&summary)),
    }
    Ok(if summary.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// The learning-rate range test.
fn find_lr(args: &TrainArgs) -> Result<ExitCode> {
    let recipe = Recipe::load(args.recipe.as_deref().unwrap_or_default(), &settings(args))?;
    let sweep = gradus_train::run::find_lr(&recipe)?;
    if args.json {
        print_json(&json!({ "suggestion": sweep.suggestion(), "rates": sweep.rates, "losses": sweep.losses }));
        return Ok(ExitCode::SUCCESS);
    }
    let shown = sweep.rates.len().div_ceil(20).max(1);
    let pairs = sweep.rates.iter().zip(&sweep.losses).step_by(shown);
    let rows: Vec<Vec<String>> = pairs.map(|(r, l)| vec![format!("{r:.2e}"), format!("{l:.4}")]).collect();
    print(&table(&["rate", "loss"], &rows, &[0, 1]));
    match sweep.suggestion() {
        Some(rate) => print(&format!("the loss falls fastest at {rate:.2e}: --set optimizer.lr={rate:.1e}\n")),
        None => print("the loss fell at no rate\n"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The settings of the recipe that are changed.
fn settings(args: &TrainArgs) -> Vec<String> {
    let mut settings = args.settings.clone();
    let overrides = [("epochs", args.epochs.map(|n| n.to_string())), ("seed", args.seed.map(|n| n.to_string()))];
    settings.extend(overrides.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value?))));
    settings.extend(args.init_from.as_ref().map(|file| format!("training.init_from={}", file.display())));
    settings.extend(args.data.as_ref().map(|dir| format!("data.dir={}", dir.display())));
    settings.extend(args.skip_broken.then(|| "data.folder.skip_broken=true".to_string()));
    settings
}

/// A flag that the first Ctrl-C sets; the second ends the process at once.
fn interrupt_flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = flag.clone();
    let installed = ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        eprintln!("Ctrl-C: finishing this step and saving; press again to stop at once");
    });
    if let Err(e) = installed {
        eprintln!("warning: Ctrl-C will end the run without saving ({e})");
    }
    flag
}

fn closing(s: &Summary) -> String {
    let place = s.run_dir.display();
    let Some(loss) = s.test_loss else {
        return format!("interrupted after {} of its epochs; {:.1} s; saved in {place}\n", s.epochs, s.seconds);
    };
    let result = match s.test_errors {
        None if s.test_miou.is_some() => format!(
            "test mIoU {:.4}, pixel accuracy {:.2} %",
            s.test_miou.unwrap_or(f64::NAN),
            100.0 * s.test_accuracy.unwrap_or(f64::NAN)
        ),
        Some(e) => format!("test MSE {}, MAE {}, R2 {:.4}", compact(e.mse), compact(e.mae), e.r2),
        None => format!("test accuracy {:.2} %", 100.0 * s.test_accuracy.unwrap_or(f64::NAN)),
    };
    // A wait that does not show is no news.
    let waited = match s.waited >= 0.05 {
        true => format!(", {:.1} s of them waiting for data", s.waited),
        false => String::new(),
    };
    format!(
        "{result} (loss {loss:.4}, {} examples, weights of epoch {})\n{:.1} s{waited}; saved in {place}\n",
        s.examples[2],
        s.best_epoch.unwrap_or(0),
        s.seconds,
    )
}

pub(crate) fn eval(args: &EvalArgs) -> Result<ExitCode> {
    let start = Instant::now();
    let trained = open(&args.run)?;
    let options = EvaluateOptions { data: args.data.clone(), five_crop: args.five_crop, skip_broken: args.skip_broken };
    let measured = match trained.evaluate(&options)? {
        Evaluation::Classes(measured) => measured,
        Evaluation::Pixels(measured) => return eval_pixels(args, &trained, &measured, start),
        Evaluation::Numbers(measured) => return eval_numbers(args, &trained, &measured, start),
    };
    let choice = args.cost.as_ref().map(|c| Choice::Cost(c[0], c[1])).or(args.sensitivity.map(Choice::Sensitivity));
    let threshold = match (&args.positive, choice) {
        (Some(class), Some(choice)) => Some((class, measured.threshold(class, choice)?)),
        _ => None,
    };
    let title = title(&trained);
    let mut pictures =
        args.pictures.as_deref().map(|dir| measured.pictures(&title, dir)).transpose()?.unwrap_or_default();
    let attacked = trained.robustness(&measured, &args.adversarial, args.attack_steps, args.attacked)?;
    if let (Some(dir), false) = (&args.pictures, attacked.rows.is_empty()) {
        pictures.extend(attacked.pictures(&title, dir)?);
    }
    let object = || {
        let mut object = measured.to_json();
        object["adversarial"] = json!(attacked.rows);
        if let Some((class, threshold)) = threshold {
            object["threshold"] = json!({ "class": class, "chosen": threshold });
        }
        object
    };
    let text = || {
        let mut text = evaluation_text(&measured);
        if let Some((class, t)) = threshold {
            text += &format!(
                "threshold {:.6} for class `{class}`: sensitivity {:.4}, specificity {:.4}, {} false positives, {} false negatives\n",
                t.threshold, t.sensitivity, t.specificity, t.false_positives, t.false_negatives
            );
        }
        if !attacked.rows.is_empty() {
            let row = |r: &Robustness| {
                vec![r.attack.name().to_string(), r.epsilon.to_string(), format!("{:.2} %", 100.0 * r.accuracy)]
            };
            let rows: Vec<Vec<String>> = attacked.rows.iter().map(row).collect();
            text += &format!("\n{}", table(&["attack", "epsilon", "accuracy"], &rows, &[1, 2]));
        }
        text
    };
    Ok(show(args, &trained, start, &pictures, object, text))
}

/// `gradus eval` of a model that gives every pixel a class.
fn eval_pixels(args: &EvalArgs, trained: &Trained, measured: &MeasuredPixels, start: Instant) -> Result<ExitCode> {
    if args.positive.is_some() || !args.adversarial.is_empty() {
        return Err(TrainError::Input("thresholds and attacks are for classes of inputs, not of pixels".into()));
    }
    let draw = |dir| measured.pictures(&title(trained), dir);
    let pictures = args.pictures.as_deref().map(draw).transpose()?.unwrap_or_default();
    let text = || {
        let c = &measured.confusion;
        let share = |x: f64| format!("{:.2} %", 100.0 * x);
        let row = |(i, name): (usize, &String)| {
            let iou = c.iou(i).map_or_else(|| "-".to_string(), |x| format!("{x:.4}"));
            vec![name.clone(), c.support(i).to_string(), iou, share(c.recall(i)), share(c.precision(i)), share(c.f1(i))]
        };
        let rows: Vec<Vec<String>> = measured.classes.iter().enumerate().map(row).collect();
        format!(
            "{}\ntest mIoU {:.4}, pixel accuracy {} (loss {:.4}, {} examples)\n",
            table(&["class", "pixels", "IoU", "recognised", "precision", "F1 (Dice)"], &rows, &[1, 2, 3, 4, 5]),
            measured.mean_iou(),
            share(measured.pixel_accuracy()),
            measured.loss,
            measured.examples()
        )
    };
    Ok(show(args, trained, start, &pictures, || measured.to_json(), text))
}

/// `gradus eval` of a model that foretells numbers.
fn eval_numbers(args: &EvalArgs, trained: &Trained, measured: &MeasuredNumbers, start: Instant) -> Result<ExitCode> {
    if args.positive.is_some() || !args.adversarial.is_empty() {
        let target = &measured.target;
        return Err(TrainError::Input(format!("`{target}` is a number: it has no classes to choose or to attack")));
    }
    let draw = |dir| measured.pictures(&title(trained), dir);
    let pictures = args.pictures.as_deref().map(draw).transpose()?.unwrap_or_default();
    let text = || {
        let s = measured.numbers.scores();
        format!(
            "test of `{}`: MSE {}, MAE {}, R2 {:.4} (loss {:.4}, {} examples)\n",
            measured.target,
            compact(s.mse),
            compact(s.mae),
            s.r2,
            measured.loss,
            measured.numbers.examples()
        )
    };
    Ok(show(args, trained, start, &pictures, || measured.to_json(), text))
}

/// What stands above the pictures of an evaluation.
fn title(trained: &Trained) -> String {
    format!("{}: {}", trained.card.recipe.name, trained.card.recipe.model.name)
}

/// Prints an evaluation: as JSON, with what was measured, how long it took and what was drawn, or as text.
fn show(
    args: &EvalArgs,
    trained: &Trained,
    start: Instant,
    pictures: &[PathBuf],
    object: impl FnOnce() -> Value,
    text: impl FnOnce() -> String,
) -> ExitCode {
    if args.json {
        let mut object = object();
        object["epochs"] = json!(trained.card.epoch);
        object["seconds"] = json!(start.elapsed().as_secs_f64());
        object["run_dir"] = json!(trained.checkpoint.parent());
        object["checkpoint"] = json!(trained.checkpoint);
        object["pictures"] = json!(pictures);
        print_json(&object);
    } else {
        print(&text());
        pictures.iter().for_each(|picture| print(&format!("drew {}\n", picture.display())));
    }
    ExitCode::SUCCESS
}

/// The tables of an evaluation.
fn evaluation_text(measured: &Measured) -> String {
    let c = &measured.classification;
    let share = |x: f64| format!("{:.2} %", 100.0 * x);
    let area = |x: Option<f64>| x.map_or_else(|| "-".to_string(), |x| format!("{x:.4}"));
    let row = |r: ClassRow| {
        vec![
            r.class,
            r.support.to_string(),
            share(r.recall),
            share(r.precision),
            share(r.f1),
            share(r.specificity),
            area(r.auc),
            r.type_1_errors.to_string(),
            r.type_2_errors.to_string(),
        ]
    };
    let header =
        ["class", "examples", "recognised", "precision", "F1", "specificity", "AUC", "type I errors", "type II errors"];
    let mut rows: Vec<Vec<String>> = c.table(&measured.classes).into_iter().map(row).collect();
    for (name, average) in [("macro", Average::Macro), ("weighted", Average::Weighted)] {
        let s = c.average(average);
        let shares = [s.recall, s.precision, s.f1].map(share);
        let cells = [name.to_string(), c.truth().len().to_string()].into_iter().chain(shares);
        rows.push(cells.chain(std::iter::repeat_n(String::new(), 4)).collect());
    }
    format!(
        "{}\ntest accuracy {:.2} % (loss {:.4}, {} examples), top 2 {:.2} %; AUC {}; calibration error {:.4}; Brier score {:.4}\n",
        table(&header, &rows, &[1, 2, 3, 4, 5, 6, 7, 8]),
        100.0 * measured.accuracy(),
        measured.loss,
        measured.examples(),
        100.0 * c.top_k(2),
        area(c.auc()),
        c.ece(),
        c.brier(),
    )
}

pub(crate) fn predict(args: &PredictArgs) -> Result<ExitCode> {
    let trained = open(&args.run)?;
    let predictions = predict_files(&trained, &args.inputs, Fit { resize: args.resize, invert: args.invert })?;
    let classes = &trained.card.classes;
    if trained.card.recipe.data.has_masks() {
        return predict_masks(args, &trained, &predictions);
    }
    if let Some(target) = &trained.card.target {
        if args.json {
            let list: Vec<Value> = predictions
                .iter()
                .map(|p| json!({ "input": p.input, "target": target.name, "values": p.numbers }))
                .collect();
            print_json(&json!({ "checkpoint": trained.checkpoint, "predictions": list }));
            return Ok(ExitCode::SUCCESS);
        }
        let values = |v: &[f64]| v.iter().map(|x| format!("{x:.6}")).collect::<Vec<_>>().join(" ");
        let rows: Vec<Vec<String>> = predictions.iter().map(|p| vec![p.input.clone(), values(&p.numbers)]).collect();
        print(&table(&["input", &target.name], &rows, &[1]));
        return Ok(ExitCode::SUCCESS);
    }
    if args.json {
        let list: Vec<Value> = predictions
            .iter()
            .map(|p| {
                let all: serde_json::Map<String, Value> =
                    classes.iter().cloned().zip(p.probabilities.iter().map(|&x| json!(x))).collect();
                let best = p.best();
                json!({
                    "input": p.input,
                    "class": classes[best],
                    "probability": p.probabilities[best],
                    "probabilities": all,
                })
            })
            .collect();
        print_json(&json!({ "checkpoint": trained.checkpoint, "predictions": list }));
        return Ok(ExitCode::SUCCESS);
    }
    let header: Vec<&str> = ["input", "class"].into_iter().chain(classes.iter().map(String::as_str)).collect();
    let rows: Vec<Vec<String>> = predictions
        .iter()
        .map(|p| {
            let shares = p.probabilities.iter().map(|x| format!("{:.2} %", 100.0 * x));
            [p.input.clone(), classes[p.best()].clone()].into_iter().chain(shares).collect()
        })
        .collect();
    let right: Vec<usize> = (2..header.len()).collect();
    print(&table(&header, &rows, &right));
    Ok(ExitCode::SUCCESS)
}

/// `gradus predict` of a model that gives every pixel a class: writes a mask and an overlay of each picture.
fn predict_masks(args: &PredictArgs, trained: &Trained, predictions: &[Prediction]) -> Result<ExitCode> {
    let (dir, classes) = (&args.pictures, &trained.card.classes);
    std::fs::create_dir_all(dir).map_err(TrainError::io("create the directory", dir))?;
    let (mut rows, mut list, mut taken) = (Vec::new(), Vec::new(), std::collections::HashSet::new());
    for (i, prediction) in predictions.iter().enumerate() {
        let Some(said) = &prediction.mask else { continue };
        let stem = Path::new(&prediction.input).file_stem().map_or_else(String::new, |s| s.to_string_lossy().into());
        // Pictures of one name from several directories, or of one array, are told apart by their place.
        let stem = if taken.insert(stem.clone()) { stem } else { format!("{stem}-{i}") };
        let [mask, overlay] = ["mask", "overlay"].map(|kind| dir.join(format!("{stem}-{kind}.png")));
        said.mask.save_png(&mask)?;
        said.overlay.save_png(&overlay)?;
        let shares: serde_json::Map<String, Value> =
            classes.iter().cloned().zip(said.shares.iter().map(|&x| json!(x))).collect();
        list.push(json!({ "input": prediction.input, "mask": mask, "overlay": overlay, "shares": shares }));
        let cells = [prediction.input.clone(), mask.display().to_string(), overlay.display().to_string()];
        rows.push(
            cells.into_iter().chain(said.shares.iter().map(|x| format!("{:.2} %", 100.0 * x))).collect::<Vec<_>>(),
        );
    }
    if args.json {
        print_json(&json!({ "checkpoint": trained.checkpoint, "predictions": list }));
        return Ok(ExitCode::SUCCESS);
    }
    let header: Vec<&str> =
        ["input", "mask", "overlay"].into_iter().chain(classes.iter().map(String::as_str)).collect();
    let right: Vec<usize> = (3..header.len()).collect();
    print(&table(&header, &rows, &right));
    Ok(ExitCode::SUCCESS)
}

/// A trained model by the path of its run, or by the run's name within `runs`.
pub(crate) fn open(run: &Path) -> Result<Trained> {
    Trained::open(&place_of(run)?)
}

/// Where a run is, given by its path, or by its name within `runs`.
fn place_of(run: &Path) -> Result<PathBuf> {
    let inside = Path::new("runs").join(run);
    match run.exists() {
        false if inside.exists() => Ok(inside),
        true => Ok(run.to_path_buf()),
        false => {
            let names = std::fs::read_dir("runs").into_iter().flatten().flatten();
            let names: Vec<String> = names.filter_map(|e| e.file_name().into_string().ok()).collect();
            let wanted = run.file_name().and_then(|n| n.to_str()).unwrap_or("");
            let hint = did_you_mean(wanted, names.iter().map(String::as_str));
            Err(TrainError::Input(format!("no run `{}`{hint}", run.display())))
        }
    }
}

pub(crate) fn print_json(value: &Value) {
    print(&format!("{value}\n"));
}

/// Writes to standard output; a reader that went away is no failure.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
