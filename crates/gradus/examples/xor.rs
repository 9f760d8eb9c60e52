//! Exclusive or: a linear model cannot learn it, one hidden layer can.
//!
//! No line has (0, 1) and (1, 0) on one side and (0, 0) and (1, 1) on the other, so a linear model is right at most
//! three times of four. Two hidden units map the four points to places that a line separates. The picture shows what
//! both models answer over the plane, and the four points as the hidden units see them.
//!
//! `cargo run --example xor` prints the numbers and writes `runs/examples/xor.svg`.

use gradus::prelude::*;
use plotters::coord::Shift;
use plotters::prelude::{
    ChartBuilder, Circle, Color, DrawingArea, IntoDrawingArea, PathElement, RGBColor, Rectangle, SVGBackend, WHITE,
};
use std::error::Error;
use std::path::Path;

/// What one model has learnt.
pub struct Learnt {
    /// Cross entropy at the end of training (nats).
    pub loss: f32,
    /// Share of the four points it answers rightly.
    pub accuracy: f32,
}

/// The numbers behind the claim.
pub struct Report {
    /// Linear(2, 1).
    pub linear: Learnt,
    /// Linear(2, 2), Tanh, Linear(2, 1).
    pub hidden: Learnt,
    /// Whether a line separates the classes among the outputs of the hidden units.
    pub separable: bool,
}

const STEPS: usize = 600;
const ZERO: RGBColor = RGBColor(0x2f, 0x6f, 0xde);
const ONE: RGBColor = RGBColor(0xe0, 0x7a, 0x1f);
const INK: RGBColor = RGBColor(0x1f, 0x29, 0x33);

/// The four points `[4, 2]` and their classes `[4, 1]`.
fn table() -> (Tensor, Tensor) {
    let x = Tensor::from_slice(&[0f32, 0., 0., 1., 1., 0., 1., 1.], [4, 2]);
    (x, Tensor::from_slice(&[0f32, 1., 1., 0.], [4, 1]))
}

fn train(model: &impl Forward) -> Learnt {
    let (x, y) = table();
    let mut optimizer = Adam::new(model.parameters(), 0.05);
    let mut loss = f32::NAN;
    for _ in 0..STEPS {
        optimizer.zero_grad();
        let l = binary_cross_entropy_with_logits(&model.forward(&x), &y);
        l.backward();
        optimizer.step();
        loss = l.item();
    }
    let right = no_grad(|| model.forward(&x)).heaviside().eq(&y);
    Learnt { loss, accuracy: right.to_dtype(DType::F32).mean().item() }
}

/// Trains both models, writes `xor.svg` to the directory `out`, and returns the numbers.
pub fn run(out: &Path) -> Result<Report, Box<dyn Error>> {
    manual_seed(1);
    let linear = Linear::new(2, 1);
    let model = sequential![Linear::new(2, 2), Tanh, Linear::new(2, 1)];
    let (a, b) = (train(&linear), train(&model));
    let (x, y) = table();
    let hidden = no_grad(|| model.get(1).unwrap().forward(&model.get(0).unwrap().forward(&x)));
    // The perceptron rule ends if and only if a line separates the points.
    let judge = Perceptron::new(2);
    let separable = (0..1000).any(|_| judge.learn(&hidden, &y.squeeze(1), 0.1) == 0);

    std::fs::create_dir_all(out)?;
    let file = out.join("xor.svg");
    let root = SVGBackend::new(&file, (1080, 380)).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = root.split_evenly((1, 3));
    plane(&panels[0], "linear model", &linear, &x, -0.5..1.5)?;
    plane(&panels[1], "one hidden layer of two", &model, &x, -0.5..1.5)?;
    plane(&panels[2], "what the hidden units make of it", model.get(2).unwrap(), &hidden, -1.2..1.2)?;
    root.present()?;
    Ok(Report { linear: a, hidden: b, separable })
}

/// The answers of `model` over the plane as colours, and the points `at` `[4, 2]` in the colours of their classes.
fn plane(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    model: &dyn Forward,
    at: &Tensor,
    range: std::ops::Range<f64>,
) -> Result<(), Box<dyn Error>> {
    const CELLS: usize = 40;
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .caption(title, ("sans-serif", 18))
        .x_label_area_size(28)
        .y_label_area_size(32)
        .build_cartesian_2d(range.clone(), range.clone())?;
    let size = (range.end - range.start) / CELLS as f64;
    let corner = |i: usize| range.start + i as f64 * size;
    let centres: Vec<f64> =
        (0..CELLS * CELLS).flat_map(|i| [corner(i / CELLS) + size / 2.0, corner(i % CELLS) + size / 2.0]).collect();
    let grid = Tensor::from_vec(centres, [CELLS * CELLS, 2]).to_dtype(DType::F32);
    let p = no_grad(|| model.forward(&grid).sigmoid()).to_vec::<f32>();
    let blend = |p: f32| {
        let mix = |a: u8, b: u8| (255.0 - (255.0 - (a as f32 * (1.0 - p) + b as f32 * p)) * 0.45) as u8;
        RGBColor(mix(ZERO.0, ONE.0), mix(ZERO.1, ONE.1), mix(ZERO.2, ONE.2))
    };
    chart.draw_series((0..CELLS * CELLS).map(|i| {
        let (x, y) = (corner(i / CELLS), corner(i % CELLS));
        Rectangle::new([(x, y), (x + size, y + size)], blend(p[i]).filled())
    }))?;
    // The boundary: edges between cells with different answers.
    let side = |i: usize, j: usize| p[i * CELLS + j] >= 0.5;
    for (i, j) in (0..CELLS * CELLS).map(|k| (k / CELLS, k % CELLS)) {
        let (x, y) = (corner(i), corner(j));
        if i > 0 && side(i, j) != side(i - 1, j) {
            chart.draw_series([PathElement::new(vec![(x, y), (x, y + size)], INK.stroke_width(2))])?;
        }
        if j > 0 && side(i, j) != side(i, j - 1) {
            chart.draw_series([PathElement::new(vec![(x, y), (x + size, y)], INK.stroke_width(2))])?;
        }
    }
    chart.configure_mesh().disable_mesh().x_labels(5).y_labels(5).draw()?;
    let classes = table().1.to_vec::<f32>();
    for (i, class) in classes.iter().enumerate() {
        let place = (at.at(&[i, 0]), at.at(&[i, 1]));
        let colour = if *class == 1.0 { ONE } else { ZERO };
        chart.draw_series([Circle::new(place, 8, colour.filled()), Circle::new(place, 8, INK.stroke_width(1))])?;
    }
    Ok(())
}

/// Prints the table and writes the picture.
pub fn main() -> Result<(), Box<dyn Error>> {
    let out = Path::new("runs/examples");
    let report = run(out)?;
    println!("Exclusive or, {STEPS} steps of Adam on its four points (ln 2 = {:.4}):\n", 2f32.ln());
    println!("{:<34} loss    right", "model");
    for (name, m) in [("Linear(2, 1)", &report.linear), ("Linear(2, 2), Tanh, Linear(2, 1)", &report.hidden)] {
        println!("{name:<34} {:.4}  {:>3.0} %", m.loss, 100.0 * m.accuracy);
    }
    println!("\nA line separates the outputs of the hidden units: {}.", report.separable);
    println!("Picture: {}", out.join("xor.svg").display());
    Ok(())
}
