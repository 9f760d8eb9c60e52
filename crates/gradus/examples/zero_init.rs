//! Why weights begin at random: units that begin equal stay equal.
//!
//! A network with eight hidden units learns points in the corners of a square, of one class on each diagonal.
//! From a constant (zero or not) all hidden units get the same gradient at every step: they remain one unit,
//! which cannot separate diagonals. From random values the same network learns it.

use gradus::prelude::*;
use plotters::prelude::*;
use std::path::Path;

/// What one run ended with.
pub struct Run {
    /// How the weights began.
    pub start: &'static str,
    /// Loss after each step.
    pub losses: Vec<f64>,
    /// Share of points on the right side.
    pub accuracy: f64,
    /// Largest difference between the weights of two hidden units.
    pub difference: f64,
}

const STEPS: usize = 300;

/// Points around the corners (±1, ±1), and 1 where both coordinates have one sign.
fn corners() -> (Tensor, Tensor) {
    let x = Tensor::randn([64, 2]).sign() + Tensor::randn([64, 2]) * 0.2;
    let y = (x.select(1, 0) * x.select(1, 1)).gt_scalar(0.0).to_dtype(DType::F32).unsqueeze(1);
    (x, y)
}

fn train(start: &'static str, begin: fn(&Tensor), x: &Tensor, y: &Tensor) -> Run {
    let hidden = Linear::new(2, 8);
    let out = Linear::new(8, 1);
    for layer in [&hidden, &out] {
        begin(&layer.weight);
        init::zeros_(layer.bias.as_ref().unwrap());
    }
    let model = sequential![hidden, Tanh, out];
    let mut optimizer = Sgd::new(model.parameters(), 0.5);
    let mut losses = vec![];
    for _ in 0..STEPS {
        optimizer.zero_grad();
        let loss = binary_cross_entropy_with_logits(&model.forward(x), y);
        loss.backward();
        optimizer.step();
        losses.push(loss.item_f64());
    }
    let right = model.forward(x).gt_scalar(0.0).eq(&y.gt_scalar(0.5)).to_dtype(DType::F32);
    let units = model.state_dict().get("0.weight").unwrap().clone();
    let difference = (units.amax(0, false) - units.amin(0, false)).max().item_f64();
    Run { start, losses, accuracy: right.mean().item_f64(), difference }
}

/// Trains from zeros, from a constant and from random values; draws the losses into `zero_init.svg`.
pub fn run(out: &Path) -> std::io::Result<Vec<Run>> {
    manual_seed(0);
    let (x, y) = corners();
    let runs = vec![
        train("zeros", |t| init::zeros_(t), &x, &y),
        train("constant 0.3", |t| init::constant_(t, 0.3), &x, &y),
        train("random (Xavier)", |t| init::xavier_uniform_(t, 1.0), &x, &y),
    ];
    std::fs::create_dir_all(out)?;
    draw(&runs, &out.join("zero_init.svg")).map_err(std::io::Error::other)?;
    Ok(runs)
}

fn draw(runs: &[Run], file: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let area = SVGBackend::new(file, (640, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Loss by the way the weights begin", ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(35)
        .y_label_area_size(45)
        .build_cartesian_2d(0.0..STEPS as f64, 0.0..0.8)?;
    chart.configure_mesh().x_desc("step").y_desc("loss").draw()?;
    for (run, (colour, width)) in runs.iter().zip([(RED, 5), (BLUE, 2), (GREEN, 2)]) {
        let line = run.losses.iter().enumerate().map(|(i, &l)| (i as f64, l));
        let series = LineSeries::new(line, colour.stroke_width(width));
        chart
            .draw_series(series)?
            .label(run.start)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(width)));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}

/// Prints the table.
pub fn main() -> std::io::Result<()> {
    let out = Path::new("runs/examples");
    println!("Eight hidden units, one class on each diagonal of a square, {STEPS} steps:");
    println!("{:<16} {:>8} {:>9} {:>30}", "weights", "loss", "accuracy", "difference of hidden units");
    for r in run(out)? {
        let loss = r.losses.last().copied().unwrap_or(f64::NAN);
        println!("{:<16} {loss:>8.4} {:>9.2} {:>30.4}", r.start, r.accuracy, r.difference);
    }
    println!("Units that begin equal get equal gradients: only random values let them differ, and learn.");
    println!("The curves are in {}", out.join("zero_init.svg").display());
    Ok(())
}
