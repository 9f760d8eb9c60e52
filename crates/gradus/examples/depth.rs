//! The effect of depth: plain nets and residual nets of growing depth, trained alike.
//!
//! A deeper net can do all that a shallower one can, if its further layers are the identity. Plain nets do not find
//! that: beyond some depth even their error on the training examples grows. Where the input of every two layers is
//! added to their output, the identity is where they begin, gradients pass untouched, and depth does no harm.
//!
//! `cargo run --release -p gradus --example depth` trains on the bundled digits; with the name or path of a recipe and
//! `key=value` settings after it, on the data of that recipe.
//!
//! Source: He, Zhang, Ren and Sun, 2015, section 4.2, <https://arxiv.org/abs/1512.03385>.

use gradus::train::plots::Lines;
use gradus::train::run::{Watch, train};
use gradus::train::{Recipe, Result, list_runs};
use std::path::Path;

/// One net.
pub struct Net {
    /// Layers with weights: 6 n + 2 for n blocks in each of three stages.
    pub depth: usize,
    /// Whether the input of a block is added to its output.
    pub residual: bool,
    /// Part of the training examples classified wrongly in the last epoch.
    pub train_error: f64,
    /// Part of the test examples classified wrongly.
    pub test_error: f64,
    /// Loss of a training example in the last epoch.
    pub train_loss: f64,
}

/// Trains both kinds at every number of blocks in a stage and draws their errors into `depth.svg`.
///
/// # Errors
/// Those of training.
pub fn run(recipe: &str, settings: &[String], blocks: &[usize], out: &Path) -> Result<Vec<Net>> {
    let mut nets = Vec::new();
    for &n in blocks {
        for (shortcut, residual) in [("none", false), ("padding", true)] {
            let model = ["model.name=resnet20_cifar".to_string(), format!("model.layers=[{n}, {n}, {n}]")];
            let further = [format!("model.shortcut={shortcut}"), format!("name=depth-{}-{shortcut}", 6 * n + 2)];
            let recipe = Recipe::load(recipe, &[&model[..], &further, settings].concat())?;
            let summary = train(&recipe, out, Watch::default())?;
            let name = summary.run_dir.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            let rows = list_runs(out, &[name])?;
            let last = rows[0].history.last().expect("a finished run has epochs");
            nets.push(Net {
                depth: 6 * n + 2,
                residual,
                train_error: 1.0 - last.train_accuracy.unwrap_or(f64::NAN),
                test_error: 1.0 - summary.test_accuracy.unwrap_or(f64::NAN),
                train_loss: last.train_loss,
            });
        }
    }
    std::fs::write(out.join("depth.svg"), svg(&nets))
        .map_err(|e| gradus::train::TrainError::Input(format!("`{}`: {e}", out.join("depth.svg").display())))?;
    Ok(nets)
}

fn svg(nets: &[Net]) -> String {
    let line = |name: &str, residual: bool, of: fn(&Net) -> f64| {
        let points = nets.iter().filter(|net| net.residual == residual).map(|net| (net.depth as f64, 100.0 * of(net)));
        (name.to_string(), points.collect())
    };
    Lines {
        title: "The effect of depth",
        subtitle: "plain nets and residual nets, trained alike",
        axes: ["layers", "error in %"],
        series: vec![
            line("plain, training", false, |n| n.train_error),
            line("plain, test", false, |n| n.test_error),
            line("residual, training", true, |n| n.train_error),
            line("residual, test", true, |n| n.test_error),
        ],
        ends: None,
        log_x: false,
        diagonal: false,
    }
    .svg()
}

/// Trains and prints the table.
pub fn main() -> Result<()> {
    let mut given: Vec<String> = std::env::args().skip(1).collect();
    let recipe = if given.is_empty() { "digits".to_string() } else { given.remove(0) };
    let out = Path::new("runs/examples/depth");
    let nets = run(&recipe, &given, &[1, 2, 3, 5, 9], out)?;
    println!("{:>6} {:<9} {:>14} {:>14} {:>11}", "layers", "kind", "training loss", "training error", "test error");
    for net in nets {
        println!(
            "{:>6} {:<9} {:>14.4} {:>12.2} % {:>9.2} %",
            net.depth,
            if net.residual { "residual" } else { "plain" },
            net.train_loss,
            100.0 * net.train_error,
            100.0 * net.test_error
        );
    }
    println!("The picture is {}", out.join("depth.svg").display());
    Ok(())
}
