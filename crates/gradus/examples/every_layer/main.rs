//! Every layer of the library: built, trained for some steps, saved, and loaded into a new one that then says the
//! same bit for bit. On the way every loss and every optimiser is used.
//!
//! `cargo run --example every_layer` prints a line a layer and leaves the files in `runs/examples/every_layer`.

mod case;
mod criteria;
mod criteria_with;
mod optimizers;
mod plain;
mod sequences;
mod spatial;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use case::{Case, Model};
use criteria::Criterion;
use gradus::nn::serialize::{load_safetensors, save_safetensors};
use gradus::prelude::lr_scheduler::{CosineAnnealingLR, LrScheduler};
use gradus::prelude::*;

/// Steps of training.
const STEPS: usize = 16;

/// What the documentation lists among the layers that has no row of its own, and the row that uses it: types over the
/// number of dimensions, of which the rows are those for 1, 2 and 3, and types of options and masks.
pub const WITHIN: [(&str, &str); 21] = [
    ("AdaptiveAvgPool", "AdaptiveAvgPool2d"),
    ("AdaptiveMaxPool", "AdaptiveMaxPool2d"),
    ("AvgPool", "AvgPool2d"),
    ("BatchNorm", "BatchNorm2d"),
    ("ChannelDropout", "Dropout2d"),
    ("CircularPad", "CircularPad2d"),
    ("ConstantPad", "ConstantPad2d"),
    ("Conv", "Conv2d"),
    ("ConvTranspose", "ConvTranspose2d"),
    ("DepthwiseSeparableConv", "DepthwiseSeparableConv2d"),
    ("InstanceNorm", "InstanceNorm2d"),
    ("LPPool", "LPPool2d"),
    ("MaxPool", "MaxPool2d"),
    ("MaxUnpool", "MaxUnpool2d"),
    ("ReflectionPad", "ReflectionPad2d"),
    ("ReplicationPad", "ReplicationPad2d"),
    ("ZeroPad", "ZeroPad2d"),
    ("TransformerMasks", "Transformer"),
    ("TransformerOptions", "Transformer"),
    ("filters", "filters::laplacian"),
    ("filters::sobel", "FixedConv2d"),
];

/// What became of one layer.
pub struct Row {
    /// The layer's name on the documentation page.
    pub name: &'static str,
    /// What stands before the layer.
    pub how: &'static str,
    /// Number of trained elements.
    pub parameters: usize,
    /// The loss it was trained with.
    pub loss: &'static str,
    /// The optimiser it was trained by.
    pub optimizer: &'static str,
    /// The loss before the first step and after the last, unless the layer is run only.
    pub losses: Option<(f32, f32)>,
}

/// Builds, trains, saves and loads every layer; the files go to `every_layer` in `out`.
pub fn run(out: &Path) -> io::Result<Vec<Row>> {
    let dir = out.join("every_layer");
    fs::create_dir_all(&dir)?;
    manual_seed(0);
    let mut cases = plain::cases();
    cases.extend(spatial::cases());
    cases.extend(sequences::cases());
    let mut rows = vec![perceptron(&dir)?];
    for (i, case) in cases.iter().enumerate() {
        rows.push(row(i, case, &dir)?);
    }
    check(&rows)?;
    Ok(rows)
}

/// What the program promises of its rows: losses fell, and nothing was forgotten.
fn check(rows: &[Row]) -> io::Result<()> {
    let mut wrong = vec![];
    for row in rows {
        if row.losses.is_some_and(|(first, last)| !first.is_finite() || last.is_nan() || last >= first) {
            wrong.push(format!("{}: {} by {}: {:?}", row.name, row.loss, row.optimizer, row.losses));
        }
    }
    let used = |of: fn(&Row) -> &'static str| rows.iter().map(of).collect::<BTreeSet<_>>();
    let (names, losses, optimizers) = (used(|r| r.name), used(|r| r.loss), used(|r| r.optimizer));
    wrong.extend(criteria::all().iter().filter(|c| !losses.contains(c.name)).map(|c| format!("{} unused", c.name)));
    wrong.extend(optimizers::ALL.iter().filter(|(o, _)| !optimizers.contains(o)).map(|(o, _)| format!("{o} unused")));
    wrong.extend(WITHIN.iter().filter(|(_, row)| !names.contains(row)).map(|(n, _)| format!("{n} has no row")));
    if wrong.is_empty() { Ok(()) } else { Err(io::Error::other(wrong.join("\n"))) }
}

/// One layer from its first value to the loaded copy. Losses and optimisers take turns.
fn row(i: usize, case: &Case, dir: &Path) -> io::Result<Row> {
    manual_seed(i as u64);
    let model = (case.build)();
    let target = no_grad(|| model.forward(&case.input)).randn_like();
    let (mut loss, mut optimizer, mut losses) = ("none", "none", None);
    if case.trained {
        let criterion = criterion(i, case, &target.shape());
        let mut turn = (0..optimizers::ALL.len()).map(|k| optimizers::ALL[(i + k) % optimizers::ALL.len()]);
        let fits = |name: &str| !(case.noisy && optimizers::wants_exact_loss(name));
        let (name, make) = turn.find(|(name, _)| fits(name)).expect("an optimiser for noisy losses");
        losses = Some(train(&model, &case.input, &target, &criterion, make(model.parameters())));
        (loss, optimizer) = (criterion.name, name);
    }
    manual_seed(1000 + i as u64);
    save_and_load(case.name, &*model, &*(case.build)(), &case.input, dir)?;
    let parameters = model.num_parameters();
    Ok(Row { name: case.name, how: case.how, parameters, loss, optimizer, losses })
}

/// The loss of a row: the one it names, or the next in turn that outputs of this shape have.
fn criterion(i: usize, case: &Case, shape: &[usize]) -> Criterion {
    let mut all = criteria::all();
    let turn = i % all.len();
    all.rotate_left(turn);
    let fits = |c: &Criterion| case.loss.map_or((c.fits)(shape), |name| c.name == name);
    all.into_iter().find(fits).expect("a loss of this name")
}

/// Trains towards a fixed target, at a rate that falls with the cosine. Returns the loss before and after.
fn train(
    model: &Model,
    x: &Tensor,
    target: &Tensor,
    criterion: &Criterion,
    mut optimizer: Box<dyn Optimizer>,
) -> (f32, f32) {
    let parameters = model.parameters();
    let loss = || (criterion.value)(&model.forward(x), target, &parameters);
    // Both are measured with the same random numbers, so that it is the training that makes the difference.
    let measure = || {
        manual_seed(1);
        no_grad(loss).item()
    };
    let first = measure();
    let lowest = optimizer.lr() / 10.0;
    let schedule = CosineAnnealingLR::new(STEPS).eta_min(lowest);
    let mut scheduler = LrScheduler::new(schedule, &mut *optimizer);
    for _ in 0..STEPS {
        optimizer.step_with(&mut || loss());
        scheduler.step(&mut *optimizer);
    }
    (first, measure())
}

/// Writes the state of `model`, reads it into `fresh`, and compares what both say in use.
fn save_and_load(name: &str, model: &dyn Forward, fresh: &dyn Forward, x: &Tensor, dir: &Path) -> io::Result<()> {
    let path = dir.join(format!("{}.safetensors", name.replace([' ', ':'], "_")));
    let notes = [("layer".to_string(), name.to_string())].into();
    save_safetensors(&path, &model.state_dict(), &notes).map_err(io::Error::other)?;
    model.eval();
    fresh.eval();
    let said = |model: &dyn Forward| no_grad(|| model.forward(x)).to_bytes();
    if said(model) == said(fresh) {
        return Err(io::Error::other(format!("{name}: the new layer says the same before anything is loaded")));
    }
    let (state, _) = load_safetensors(&path).map_err(io::Error::other)?;
    fresh.load_state_dict(&state).map_err(io::Error::other)?;
    if said(model) != said(fresh) {
        return Err(io::Error::other(format!("{name}: the loaded layer says something else")));
    }
    Ok(())
}

/// The perceptron, which has no gradient and learns by its own rule; its loss is the number of mistakes in a pass.
fn perceptron(dir: &Path) -> io::Result<Row> {
    let x = Tensor::from_slice(&[0f32, 0., 0., 1., 1., 0., 1., 1.], [4, 2]);
    let nand = Tensor::from_slice(&[1f32, 1., 1., -1.], [4]);
    let build = || Perceptron::new(2).step(StepFunction::Sign);
    let model = build();
    let mistakes: Vec<usize> = (0..20).map(|_| model.learn(&x, &nand, 1.0)).collect();
    save_and_load("Perceptron", &model, &build(), &x, dir)?;
    Ok(Row {
        name: "Perceptron",
        how: "alone",
        parameters: model.num_parameters(),
        loss: "mistakes",
        optimizer: "its own rule",
        losses: Some((mistakes[0] as f32, mistakes[19] as f32)),
    })
}

/// Runs it all and prints a line a layer.
pub fn main() -> io::Result<()> {
    let rows = run(Path::new("runs/examples"))?;
    for Row { name, how, parameters, loss, optimizer, losses } in &rows {
        let losses = match losses {
            Some((first, last)) => format!("{loss} by {optimizer}: {first:.4} -> {last:.4}"),
            None => "not trained".to_string(),
        };
        println!("{name:<32} {how:<24} {parameters:>5} parameters, {losses}, saved and loaded");
    }
    println!("{} layers", rows.len());
    Ok(())
}
