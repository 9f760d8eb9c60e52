//! Loss curves: cross-entropy of a sigmoid against least squares.
//!
//! For one example of class 1 and the score z: cross-entropy of a sigmoid, `-ln s(z)`, pulls with the force 1 at an
//! answer that is badly wrong; least squares of a sigmoid, `(1 - s(z))^2`, hardly pulls there at all; least squares of
//! z itself also punishes answers that are right beyond doubt.
//!
//! `cargo run --example loss_curves` prints the slopes and writes `runs/examples/loss_curves.svg`.

use gradus::prelude::*;
use gradus::train::plots::Lines;
use std::path::Path;

/// The slopes of cross-entropy, least squares of the sigmoid, and least squares.
pub struct Report {
    /// At the score -6, badly wrong.
    pub wrong: [f64; 3],
    /// At the score 6, right beyond doubt.
    pub right: [f64; 3],
}

const NAMES: [&str; 3] = ["cross-entropy of a sigmoid", "least squares of a sigmoid", "least squares"];

/// The three losses of an example of class 1 at the scores `z`.
fn losses(z: &Tensor) -> [Tensor; 3] {
    let s = z.sigmoid();
    [s.log().neg(), (1.0 - &s).square(), (1.0 - z).square()]
}

fn slopes(z: f64) -> [f64; 3] {
    [0, 1, 2].map(|i| {
        let z = Tensor::from_slice(&[z], [1]).requires_grad_(true);
        losses(&z)[i].sum().backward();
        z.grad().unwrap().item_f64()
    })
}

/// Draws `loss_curves.svg` and returns the slopes.
pub fn run(out: &Path) -> std::io::Result<Report> {
    let z = Tensor::linspace(-6.0, 6.0, 121);
    let line = |(name, y): (&str, Tensor)| {
        let points = z.to_vec::<f32>().into_iter().zip(y.to_vec::<f32>());
        (name.to_string(), points.map(|(a, b)| (f64::from(a), f64::from(b))).collect())
    };
    let curves = Lines {
        title: "What a score costs an example of class 1",
        subtitle: "a score below 0 is wrong, far above 0 it is right beyond doubt",
        axes: ["score", "loss"],
        series: NAMES.into_iter().zip(losses(&z)).map(line).collect(),
        ends: Some([-6.0..6.0, 0.0..50.0]),
        log_x: false,
        diagonal: false,
    };
    std::fs::create_dir_all(out)?;
    std::fs::write(out.join("loss_curves.svg"), curves.svg())?;
    Ok(Report { wrong: slopes(-6.0), right: slopes(6.0) })
}

/// Prints the table and writes the picture.
pub fn main() -> std::io::Result<()> {
    let out = Path::new("runs/examples");
    let report = run(out)?;
    println!("Slopes of the loss of an example of class 1:\n\nloss                         at score -6  at score 6");
    for (i, name) in NAMES.iter().enumerate() {
        println!("{name:<27} {:>12.4} {:>11.4}", report.wrong[i], report.right[i]);
    }
    println!("\nPicture: {}", out.join("loss_curves.svg").display());
    Ok(())
}
