//! Vanishing and exploding gradients of a recurrent network, read off its eigenvalues.
//!
//! 1. Without inputs and activation, h_t = W^t h_0. For a symmetric W = Q^T L Q (rows of Q are eigenvectors, L holds
//!    the eigenvalues) that is h_t = Q^T L^t Q h_0: where the largest |eigenvalue| is below 1 everything goes to 0, and
//!    above 1 to infinity. The sign of an eigenvalue does not matter; it only makes h_t alternate.
//! 2. The gradient of the last state with respect to what went in k steps before is multiplied by W^T at every step on
//!    the way back, so it changes by the largest |eigenvalue| a step. The cell of an LSTM is multiplied by its forget
//!    gate instead, which can stay near 1.
//! 3. Clipping the gradient's norm cures the explosion. It scales all steps alike, so what has vanished against the
//!    newest steps stays vanished; that takes another architecture.

use gradus::prelude::*;
use plotters::prelude::*;
use std::path::Path;

const WIDTH: usize = 16;
const STEPS: usize = 60;
const THRESHOLD: f64 = 5.0;

/// h_t = W^t h_0 for a W of one spectral radius.
pub struct Powers {
    /// The largest absolute eigenvalue.
    pub radius: f64,
    /// The norm of h_t / the norm of h_0, for t from 0.
    pub norms: Vec<f64>,
    /// The largest difference between W^t h_0 and Q^T L^t Q h_0, relative to the norm.
    pub difference: f64,
}

/// The gradient of the last output with respect to the inputs of a network.
pub struct Gradients {
    /// What network.
    pub name: String,
    /// Largest absolute eigenvalue of its recurrent matrix, where the gradient follows it.
    pub radius: Option<f64>,
    /// The norm for the input k steps before the last, for k from 0.
    pub norms: Vec<f64>,
    /// The factor a step, measured over the older half.
    pub rate: f64,
}

/// The gradient over all steps before and after its norm was clipped.
pub struct Clipping {
    /// Largest absolute eigenvalue.
    pub radius: f64,
    /// Norm before.
    pub before: f64,
    /// Norm after.
    pub after: f64,
    /// The oldest step's share of the norm, before and after.
    pub share: [f64; 2],
}

/// What was measured.
pub struct Report {
    /// Part 1.
    pub powers: Vec<Powers>,
    /// Part 2.
    pub gradients: Vec<Gradients>,
    /// Part 3.
    pub clipping: Vec<Clipping>,
}

fn norm(t: &Tensor) -> f64 {
    t.detach().norm().item_f64()
}

/// A symmetric matrix with eigenvalues ±radius/n, ..., ±radius, the sign changing from one to the next.
fn symmetric(radius: f64) -> Tensor {
    let noise = Tensor::randn([WIDTH, WIDTH]).to_dtype(DType::F64);
    let (_, q) = (&noise + noise.t()).eigh();
    let sign = |i: usize| if (WIDTH - i) % 2 == 1 { 1.0 } else { -1.0 };
    let values: Vec<f64> = (0..WIDTH).map(|i| sign(i) * radius * (i + 1) as f64 / WIDTH as f64).collect();
    let w = (&q * Tensor::from_vec(values, [WIDTH])).matmul(&q.t());
    (&w + w.t()) * 0.5
}

fn powers(radius: f64) -> Powers {
    let w = symmetric(radius);
    let (values, vectors) = w.eigh();
    let found = values.abs().max().item_f64();
    let h0 = Tensor::randn([WIDTH]).to_dtype(DType::F64);
    let (mut h, mut norms, mut difference) = (h0.clone(), vec![1.0], 0.0f64);
    for t in 1..=STEPS {
        h = w.matmul(&h);
        let spectral = vectors.matmul(&(values.pow(t as f64) * vectors.t().matmul(&h0)));
        difference = difference.max((&h - spectral).abs().max().item_f64() / norm(&h));
        norms.push(norm(&h) / norm(&h0));
    }
    Powers { radius: found, norms, difference }
}

/// d(v h_T)/dx_t of a layer for a random v, `[T, width]`.
fn gradient<C: RecurrentCell>(layer: &mut Recurrent<C>, inputs: f64) -> Tensor {
    layer.to_dtype(DType::F64);
    let x = (Tensor::randn([STEPS, 1, WIDTH]).to_dtype(DType::F64) * inputs).requires_grad_(true);
    let v = Tensor::randn([1, WIDTH]).to_dtype(DType::F64);
    let (y, _) = layer.forward(&x, None);
    (y.select(0, STEPS - 1) * v).sum().backward();
    x.grad().expect("the input takes a gradient").squeeze(1)
}

fn measured(name: &str, radius: Option<f64>, gradient: &Tensor) -> Gradients {
    let norms: Vec<f64> = (0..STEPS).rev().map(|t| norm(&gradient.select(0, t))).collect();
    let half = STEPS / 2;
    let rate = (norms[STEPS - 1] / norms[half]).powf(1.0 / (STEPS - 1 - half) as f64);
    Gradients { name: name.to_string(), radius, norms, rate }
}

/// A plain network whose recurrent matrix is symmetric. Its inputs are so small that tanh is nearly the identity.
fn plain(radius: f64) -> Tensor {
    let mut layer = RNN::new(WIDTH, WIDTH).bias(false);
    layer.to_dtype(DType::F64);
    let cell = &layer.cells()[0];
    no_grad(|| {
        cell.weight_ih.copy_(&Tensor::eye(WIDTH));
        cell.weight_hh.copy_(&symmetric(radius));
    });
    gradient(&mut layer, 1e-8)
}

fn clipped(radius: f64, gradient: &Tensor) -> Clipping {
    let before = norm(gradient);
    let clipped = gradient * (THRESHOLD / before).min(1.0);
    let share = |g: &Tensor| norm(&g.select(0, 0)) / norm(g);
    Clipping { radius, before, after: norm(&clipped), share: [share(gradient), share(&clipped)] }
}

/// Measures everything and draws `rnn_spectrum.svg` in `out`.
pub fn run(out: &Path) -> std::io::Result<Report> {
    manual_seed(7);
    let radii = [0.8, 1.0, 1.2];
    let powers = radii.map(powers).into();
    let (mut gradients, mut clipping) = (Vec::new(), Vec::new());
    for radius in radii {
        let g = plain(radius);
        gradients.push(measured(&format!("RNN, |eigenvalue| {radius:.1}"), Some(radius), &g));
        clipping.push(clipped(radius, &g));
    }
    let drawn = gradient(&mut LSTM::new(WIDTH, WIDTH), 1.0);
    gradients.push(measured("LSTM", None, &drawn));
    let open = gradient(&mut LSTM::new(WIDTH, WIDTH).forget_bias(4.0), 1.0);
    gradients.push(measured("LSTM, forget bias 4", None, &open));
    let report = Report { powers, gradients, clipping };
    std::fs::create_dir_all(out)?;
    draw(&out.join("rnn_spectrum.svg"), &report).map_err(std::io::Error::other)?;
    Ok(report)
}

fn draw(file: &Path, report: &Report) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let text = |e: DrawingAreaErrorKind<_>| -> Box<dyn std::error::Error + Send + Sync> { e.to_string().into() };
    let root = SVGBackend::new(file, (980, 430)).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    let (left, right) = root.margin(8, 8, 8, 8).split_horizontally(480);
    let states = report.powers.iter().map(|p| (format!("|eigenvalue| {:.1}", p.radius), &p.norms[..]));
    panel(&left, "|h_t| / |h_0| after t steps of h = W h", "t", states.collect()).map_err(text)?;
    let gradients = report.gradients.iter().map(|g| (g.name.clone(), &g.norms[..]));
    panel(&right, "|gradient| for the input k steps back", "k", gradients.collect()).map_err(text)?;
    root.present().map_err(text)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Kind = DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>;

/// Curves over the number of steps, on a logarithmic scale.
fn panel(area: &Area, title: &str, x: &str, series: Vec<(String, &[f64])>) -> Result<(), Kind> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin_right(12)
        .x_label_area_size(36)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..STEPS as f64, (1e-14..1e8).log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(x)
        .x_label_formatter(&|v| format!("{v:.0}"))
        .y_label_formatter(&|v| format!("{v:.0e}"))
        .draw()?;
    for (i, (name, values)) in series.into_iter().enumerate() {
        let color = [RGBColor(47, 111, 222), RGBColor(107, 119, 133), RGBColor(214, 64, 69), RGBColor(224, 122, 31)]
            .get(i)
            .copied()
            .unwrap_or(RGBColor(34, 139, 94));
        let points = values.iter().enumerate().map(|(t, &v)| (t as f64, v.max(1e-14)));
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    let mut labels = chart.configure_series_labels();
    labels.position(SeriesLabelPosition::UpperLeft).label_font(("sans-serif", 12));
    labels.background_style(WHITE.mix(0.8)).draw()
}

fn short(value: f64) -> String {
    format!("{value:.1e}")
}

/// Prints the numbers.
pub fn main() {
    let report = run(Path::new("runs/examples")).expect("the picture is written to runs/examples");
    println!("h_t = W^t h_0 with a symmetric W\n|eigenvalue|   |h_60| / |h_0|   W^t h_0 against Q^T L^t Q h_0");
    for p in &report.powers {
        println!("{:12.2}   {:15.2e}   {:.0e}", p.radius, p.norms[STEPS], p.difference);
    }
    println!(
        "\nGradient of the last output for the input k steps back\nnetwork                     k = 1     k = 59   factor a step"
    );
    for g in &report.gradients {
        println!("{:22}  {:>8}   {:>8}   {:.3}", g.name, short(g.norms[1]), short(g.norms[STEPS - 1]), g.rate);
    }
    println!(
        "\nClipping the norm at {THRESHOLD}\n|eigenvalue|   before    after   share of the oldest step before and after"
    );
    for c in &report.clipping {
        println!("{:12.2}   {:7.1e}   {:5.2}   {:.1e}   {:.1e}", c.radius, c.before, c.after, c.share[0], c.share[1]);
    }
    println!("\nIf gradients explode, clip their norm. If they vanish, clipping changes nothing: use an LSTM or GRU,");
    println!("whose state passes from step to step through a gate that can stay open.");
    println!("Picture: runs/examples/rnn_spectrum.svg");
}
