//! Variance of activations through thirty layers, by initialiser, activation and whether the data is centred.
//!
//! A preactivation has the variance `n Var(w) E(x^2)` (for independent weights of mean zero). It stays from layer to
//! layer only if the weights are scaled by the number of inputs and made larger by what the activation takes
//! away (`init::calculate_gain`): Xavier for tanh, Kaiming for ReLU. Centring the data alone does not do it; with
//! scaled weights, data that is not centred begins too large by its mean squared.

use gradus::nn::probe::activations;
use gradus::prelude::*;
use plotters::prelude::*;
use std::path::Path;

/// The variance behind each layer, from the data on.
pub struct Curve {
    /// Activation, initialiser, and data.
    pub label: String,
    /// Whether the activation is tanh; else it is ReLU.
    pub tanh: bool,
    /// Variance of the data, then of the preactivations of each layer.
    pub variances: Vec<f64>,
}

/// Layers, and units of each.
pub const DEPTH: usize = 30;
const WIDTH: usize = 128;

type Start = (&'static str, fn(&Tensor));

const STARTS: &[Start] = &[
    ("normal, std 0.01", |w| init::normal_(w, 0.0, 0.01)),
    ("normal, std 0.3", |w| init::normal_(w, 0.0, 0.3)),
    ("even, 1/sqrt(n)", |w| init::uniform_fan_in_(w, w.size(1))),
    ("Xavier", |w| init::xavier_normal_(w, 1.0)),
    ("Kaiming", |w| init::kaiming_normal_(w, init::Fan::In, init::Nonlinearity::ReLU)),
];

fn variances(tanh: bool, begin: fn(&Tensor), x: &Tensor) -> Vec<f64> {
    let mut model = Sequential::new();
    for _ in 0..DEPTH {
        let layer = Linear::new(WIDTH, WIDTH).bias(false);
        begin(&layer.weight);
        model.push(layer);
        if tanh {
            model.push(Tanh);
        } else {
            model.push(ReLU);
        }
    }
    let behind = activations(&model, x).into_iter().filter(|a| a.kind == "Linear").map(|a| a.variance);
    std::iter::once(x.var(0).item_f64()).chain(behind).collect()
}

/// Measures every combination; draws them on a logarithmic scale into `variance_by_init.svg`.
pub fn run(out: &Path) -> std::io::Result<Vec<Curve>> {
    manual_seed(0);
    let centred = Tensor::randn([256, WIDTH]);
    let shifted = &centred + 3.0;
    let mut curves = vec![];
    for tanh in [true, false] {
        let activation = if tanh { "tanh" } else { "ReLU" };
        for &(name, begin) in STARTS {
            let label = format!("{activation}, {name}, centred");
            curves.push(Curve { label, tanh, variances: variances(tanh, begin, &centred) });
        }
        let (name, begin) = STARTS[if tanh { 3 } else { 4 }];
        let label = format!("{activation}, {name}, mean 3");
        curves.push(Curve { label, tanh, variances: variances(tanh, begin, &shifted) });
    }
    std::fs::create_dir_all(out)?;
    draw(&curves, &out.join("variance_by_init.svg")).map_err(std::io::Error::other)?;
    Ok(curves)
}

fn draw(curves: &[Curve], file: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    const COLOURS: [RGBColor; 6] = [RED, BLUE, MAGENTA, GREEN, BLACK, CYAN];
    let area = SVGBackend::new(file, (1100, 460)).into_drawing_area();
    area.fill(&WHITE)?;
    for (panel, tanh) in area.split_evenly((1, 2)).iter().zip([true, false]) {
        let title = if tanh { "tanh" } else { "ReLU" };
        let mut chart = ChartBuilder::on(panel)
            .caption(format!("Variance of preactivations, {title}"), ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(35)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..DEPTH as f64, (1e-12..1e12).log_scale())?;
        chart.configure_mesh().x_desc("layer").y_label_formatter(&|v| format!("{v:.0e}")).draw()?;
        for (curve, colour) in curves.iter().filter(|c| c.tanh == tanh).zip(COLOURS) {
            // What leaves the picture is cut at its edge.
            let line = curve.variances.iter().enumerate().map(|(i, &v)| (i as f64, v.clamp(1e-12, 1e12)));
            let label = curve.label.split_once(", ").map_or("", |(_, rest)| rest);
            let series = LineSeries::new(line, colour.stroke_width(2));
            chart
                .draw_series(series)?
                .label(label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerLeft)
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
    }
    area.present()?;
    Ok(())
}

/// Prints the table.
pub fn main() -> std::io::Result<()> {
    let out = Path::new("runs/examples");
    println!("Variance of the data and of preactivations, {DEPTH} layers of {WIDTH} units:");
    println!("{:<34} {:>10} {:>10} {:>10} {:>10}", "", "data", "layer 1", "layer 10", format!("layer {DEPTH}"));
    for c in run(out)? {
        let v = &c.variances;
        println!("{:<34} {:>10.2e} {:>10.2e} {:>10.2e} {:>10.2e}", c.label, v[0], v[1], v[10], v[DEPTH]);
    }
    println!(
        "It stays, or falls as one over the depth (tanh with Xavier), for weights scaled to the activation alone,"
    );
    println!("and begins at the size of the data only where that is centred.");
    println!("The curves are in {}", out.join("variance_by_init.svg").display());
    Ok(())
}
