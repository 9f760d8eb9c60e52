//! The perceptron rule: it ends without mistakes where a line separates the classes, and never where none does.
//!
//! After each mistake on (x, t) the rule adds lr (t - f(x)) x to the weights. On separable points the number of
//! mistakes is at most (R / m)^2, where R is the largest length of (x, 1) and m the distance of the points from a
//! separating line, as points (x, 1) from a plane through the origin (Novikoff, 1962). On exclusive or it goes round
//! in a circle.
//!
//! `cargo run --example perceptron` prints the numbers and writes `runs/examples/perceptron.svg`.

use gradus::prelude::*;
use plotters::prelude::{
    ChartBuilder, Circle, Color, IntoDrawingArea, PathElement, RGBColor, Rectangle, SVGBackend, WHITE,
};
use std::error::Error;
use std::path::Path;

/// The numbers behind the claim.
pub struct Report {
    /// Mistakes in each pass over separable points, up to the first pass without one.
    pub mistakes: Vec<usize>,
    /// Novikoff's bound on their sum.
    pub bound: f64,
    /// Share of the separable points that are classified rightly in the end.
    pub accuracy: f32,
    /// Mistakes in each of as many passes as were allowed, on exclusive or.
    pub xor_mistakes: Vec<usize>,
}

const PASSES: usize = 40;
const ZERO: RGBColor = RGBColor(0x2f, 0x6f, 0xde);
const ONE: RGBColor = RGBColor(0xe0, 0x7a, 0x1f);
const INK: RGBColor = RGBColor(0x1f, 0x29, 0x33);

/// Points of the square and the side of a line each lies on, at least 0.1 from it; and Novikoff's bound for them.
fn separable() -> (Tensor, Tensor, f64) {
    let x = Tensor::uniform(-1.0, 1.0, [120, 2]);
    let normal = Tensor::from_slice(&[0.8f32, -0.6], [2]);
    let distance = x.matmul(&normal) + 0.2;
    let far = distance.abs().gt_scalar(0.1).nonzero().squeeze(1);
    let (x, distance) = (x.index_select(0, &far), distance.index_select(0, &far));
    // The plane through the origin that (x, 1) is compared with has the normal (0.8, -0.6, 0.2).
    let margin = distance.abs().min().item() as f64 / (1.0f64 + 0.2 * 0.2).sqrt();
    let radius = (x.square().sum_dim(1, false) + 1.0).max().item() as f64;
    let classes = distance.heaviside();
    (x, classes, radius / (margin * margin))
}

/// Passes of the rule until one is without mistakes, at most [`PASSES`].
fn passes(model: &Perceptron, x: &Tensor, classes: &Tensor) -> Vec<usize> {
    let mut mistakes = vec![];
    while mistakes.len() < PASSES && mistakes.last() != Some(&0) {
        mistakes.push(model.learn(x, classes, 0.1));
    }
    mistakes
}

/// Runs the rule on both sets, writes `perceptron.svg` to the directory `out`, and returns the numbers.
pub fn run(out: &Path) -> Result<Report, Box<dyn Error>> {
    manual_seed(2);
    let (x, classes, bound) = separable();
    let model = Perceptron::new(2);
    let mistakes = passes(&model, &x, &classes);
    let accuracy = model.forward(&x).eq(&classes).to_dtype(DType::F32).mean().item();
    let four = Tensor::from_slice(&[0f32, 0., 0., 1., 1., 0., 1., 1.], [4, 2]);
    let xor_mistakes = passes(&Perceptron::new(2), &four, &Tensor::from_slice(&[0f32, 1., 1., 0.], [4]));

    std::fs::create_dir_all(out)?;
    let file = out.join("perceptron.svg");
    draw(&file, &model, (&x, &classes), [&mistakes, &xor_mistakes])?;
    Ok(Report { mistakes, bound, accuracy, xor_mistakes })
}

fn draw(
    file: &Path,
    model: &Perceptron,
    (x, classes): (&Tensor, &Tensor),
    [mistakes, xor]: [&[usize]; 2],
) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(file, (1080, 380)).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = root.split_evenly((1, 3));
    let mut chart = ChartBuilder::on(&panels[0])
        .margin(16)
        .caption("the line it found", ("sans-serif", 18))
        .x_label_area_size(28)
        .y_label_area_size(36)
        .build_cartesian_2d(-1.1..1.1, -1.1..1.1)?;
    chart.configure_mesh().disable_mesh().x_labels(5).y_labels(5).draw()?;
    chart.draw_series((0..x.size(0)).map(|i| {
        let colour = if classes.at(&[i]) == 1.0 { ONE } else { ZERO };
        Circle::new((x.at(&[i, 0]), x.at(&[i, 1])), 4, colour.filled())
    }))?;
    let (w, b) = (model.weight.to_vec::<f32>(), model.bias.item());
    // w0 x + w1 y + b = 0
    let y = |x: f64| -(w[0] as f64 * x + b as f64) / w[1] as f64;
    let ends: Vec<(f64, f64)> =
        (0..=200).map(|i| -1.1 + 0.011 * i as f64).map(|x| (x, y(x))).filter(|p| p.1.abs() <= 1.1).collect();
    chart.draw_series([PathElement::new(ends, INK.stroke_width(2))])?;
    for (area, title, counts) in
        [(&panels[1], "mistakes a pass: separable", mistakes), (&panels[2], "mistakes a pass: exclusive or", xor)]
    {
        let top = *counts.iter().max().unwrap_or(&1) as f64 * 1.1;
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .caption(title, ("sans-serif", 18))
            .x_label_area_size(28)
            .y_label_area_size(36)
            .build_cartesian_2d(0.0..counts.len() as f64, 0.0..top)?;
        chart.configure_mesh().disable_x_mesh().x_labels(5).y_labels(5).draw()?;
        chart.draw_series(
            counts
                .iter()
                .enumerate()
                .map(|(i, &n)| Rectangle::new([(i as f64 + 0.15, 0.0), (i as f64 + 0.85, n as f64)], ZERO.filled())),
        )?;
    }
    root.present()?;
    Ok(())
}

/// Prints the table and writes the picture.
pub fn main() -> Result<(), Box<dyn Error>> {
    let out = Path::new("runs/examples");
    let report = run(out)?;
    println!("Mistakes of the perceptron rule, pass by pass:\n");
    println!("separable points: {:?}", report.mistakes);
    let total: usize = report.mistakes.iter().sum();
    println!("  {total} in all, of at most {:.0}; {:.0} % right at the end", report.bound, 100.0 * report.accuracy);
    println!("exclusive or:     {:?}", report.xor_mistakes);
    println!("\nPicture: {}", out.join("perceptron.svg").display());
    Ok(())
}
