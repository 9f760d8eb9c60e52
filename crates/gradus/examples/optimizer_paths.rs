//! Paths of optimisers on a surface with a local minimum and a ravine, and the noise of small batches.
//!
//! 1. f(x, y) = (x^2 - 1)^2 / 4 + 0.15 x + 4 (y - 0.4 x)^2 has its deepest point near x = -1.07 and another, shallow
//!    minimum near x = 0.91, both in a ravine along y = 0.4 x. All optimisers begin at (2, 1.6), behind the shallow one.
//! 2. Descent without momentum ends in the shallow minimum. With enough momentum it rolls through; with too much it
//!    swings about for longer, so more is not always better. Adam and RMSprop, for all their adaptation, promise
//!    nothing about which minimum they find.
//! 3. The gradient of a batch of size B scatters about the whole gradient with a variance that falls as 1 / B.

use gradus::prelude::*;
use plotters::prelude::*;
use std::path::Path;

const STEPS: usize = 200;
const START: [f64; 2] = [2.0, 1.6];
const RATE: f64 = 0.02;

/// Where an optimiser went.
pub struct Walk {
    /// Its name and what is set.
    pub name: &'static str,
    /// The points, of which the first is the start.
    pub points: Vec<[f64; 2]>,
    /// The surface's height at each.
    pub heights: Vec<f64>,
    /// After how many steps the height stays within 0.01 of the lowest on the surface, if it does.
    pub settled: Option<usize>,
}

/// How the gradient of a batch scatters.
pub struct Scatter {
    /// Examples in a batch.
    pub batch: usize,
    /// Variance of the gradient, summed over the parameters.
    pub variance: f64,
}

/// What was measured.
pub struct Report {
    /// Height of the deepest point.
    pub lowest: f64,
    /// The paths.
    pub walks: Vec<Walk>,
    /// By size of the batch.
    pub scatter: Vec<Scatter>,
}

/// The surface.
fn surface(x: &Tensor, y: &Tensor) -> Tensor {
    (x.square() - 1.0).square() * 0.25 + x * 0.15 + (y - x * 0.4).square() * 4.0
}

fn height(p: &Tensor) -> Tensor {
    surface(&p.select(0, 0), &p.select(0, 1))
}

fn point(at: [f64; 2]) -> Tensor {
    Tensor::from_slice(&at, [2]).requires_grad_(true)
}

/// The lowest height, found from beside the deepest point.
fn lowest() -> f64 {
    let p = point([-1.0, -0.4]);
    let mut newton = Lbfgs::new(vec![p.clone()], 1.0).line_search_fn(LineSearch::StrongWolfe);
    newton.step_with(&mut || height(&p));
    height(&p).item_f64()
}

fn walk(name: &'static str, lowest: f64, make: impl Fn(Vec<Tensor>) -> Box<dyn Optimizer>) -> Walk {
    let p = point(START);
    let mut optimizer = make(vec![p.clone()]);
    let mut points = vec![START];
    let mut heights = vec![];
    for _ in 0..STEPS {
        heights.push(optimizer.step_with(&mut || height(&p)).item_f64());
        points.push([p.at(&[0]), p.at(&[1])]);
    }
    heights.push(height(&p).item_f64());
    let settled = heights.iter().rposition(|h| h - lowest >= 0.01).map_or(0, |last| last + 1);
    Walk { name, points, heights, settled: (settled <= STEPS).then_some(settled) }
}

/// The variance of the gradient of a linear model's error over random batches.
fn scatter(batch: usize) -> Scatter {
    manual_seed(11);
    let (x, model) = (Tensor::randn([2000, 3]), Linear::new(3, 1));
    let y = x.sum_dim(1, true) + Tensor::randn([2000, 1]);
    let gradient = |rows: &Tensor| {
        model.zero_grad();
        mse_loss(&model.forward(&x.index_select(0, rows)), &y.index_select(0, rows)).backward();
        Tensor::cat(&[&model.weight.grad().unwrap().flatten(0, 1), &model.bias.as_ref().unwrap().grad().unwrap()], 0)
    };
    let draws: Vec<Tensor> = (0..1000).map(|_| gradient(&Tensor::randint(0, 2000, [batch]))).collect();
    let all = Tensor::stack(&draws.iter().collect::<Vec<_>>(), 0);
    Scatter { batch, variance: all.var_dim(0, 1, false).sum().item_f64() }
}

/// Measures everything and draws `optimizer_paths.svg` in `out`.
pub fn run(out: &Path) -> std::io::Result<Report> {
    let lowest = lowest();
    let momentum = |m: f64| move |p| -> Box<dyn Optimizer> { Box::new(Sgd::new(p, RATE).momentum(m)) };
    let walks = vec![
        walk("SGD", lowest, momentum(0.0)),
        walk("momentum 0.8", lowest, momentum(0.8)),
        walk("momentum 0.9", lowest, momentum(0.9)),
        walk("momentum 0.98", lowest, momentum(0.98)),
        walk("RMSprop", lowest, |p| Box::new(RMSprop::new(p, RATE))),
        walk("Adam", lowest, |p| Box::new(Adam::new(p, RATE))),
    ];
    let report = Report { lowest, walks, scatter: [1, 4, 16, 64, 256].map(scatter).into() };
    std::fs::create_dir_all(out)?;
    draw(&out.join("optimizer_paths.svg"), &report).map_err(|e| std::io::Error::other(e.to_string()))?;
    Ok(report)
}

const GRID: [usize; 2] = [44, 33];
const X: [f64; 2] = [-2.4, 2.4];
const Y: [f64; 2] = [-1.4, 1.8];

/// Pieces of the line on which the surface has the height `level`.
fn contour(heights: &[f64], level: f64) -> Vec<[(f64, f64); 2]> {
    let at = |i: usize, j: usize| {
        let along = |range: [f64; 2], k: usize, n: usize| range[0] + (range[1] - range[0]) * k as f64 / (n - 1) as f64;
        (along(X, i, GRID[0]), along(Y, j, GRID[1]), heights[i * GRID[1] + j] - level)
    };
    let mut pieces = vec![];
    for (i, j) in (1..GRID[0]).flat_map(|i| (1..GRID[1]).map(move |j| (i, j))) {
        // Each half of a cell is a triangle, which a level crosses in one straight piece or not at all.
        for third in [(i - 1, j), (i, j - 1)] {
            let corners = [at(i - 1, j - 1), at(i, j), at(third.0, third.1)];
            let crossings: Vec<(f64, f64)> = [(0, 1), (1, 2), (2, 0)]
                .into_iter()
                .map(|(a, b)| (corners[a], corners[b]))
                .filter(|(a, b)| (a.2 < 0.0) != (b.2 < 0.0))
                .map(|(a, b)| {
                    let part = a.2 / (a.2 - b.2);
                    (a.0 + (b.0 - a.0) * part, a.1 + (b.1 - a.1) * part)
                })
                .collect();
            if let [a, b] = crossings[..] {
                pieces.push([a, b]);
            }
        }
    }
    pieces
}

fn draw(file: &Path, report: &Report) -> Result<(), Box<dyn std::error::Error>> {
    let x = Tensor::linspace(X[0], X[1], GRID[0]).unsqueeze(1).expand([GRID[0], GRID[1]]);
    let y = Tensor::linspace(Y[0], Y[1], GRID[1]).unsqueeze(0).expand([GRID[0], GRID[1]]);
    let heights = surface(&x, &y).to_dtype(DType::F64).to_vec::<f64>();
    let root = SVGBackend::new(file, (1080, 760)).into_drawing_area();
    root.fill(&WHITE)?;
    let colors = [RGBColor(107, 119, 133), RGBColor(47, 111, 222), RGBColor(34, 139, 94), RGBColor(214, 64, 69)];
    for (area, walks) in root.split_evenly((2, 3)).iter().zip(report.walks.chunks(1)) {
        let w = &walks[0];
        let end = match w.settled {
            Some(steps) => format!("{}: settled after {steps} steps", w.name),
            None if w.heights[STEPS] > report.lowest + 0.25 => format!("{}: in the shallow minimum", w.name),
            None => format!("{}: still swinging after {STEPS}", w.name),
        };
        let mut chart = ChartBuilder::on(area)
            .caption(end, ("sans-serif", 15))
            .margin(8)
            .x_label_area_size(24)
            .y_label_area_size(32)
            .build_cartesian_2d(X[0]..X[1], Y[0]..Y[1])?;
        chart.configure_mesh().disable_mesh().x_labels(5).y_labels(5).draw()?;
        for level in [-0.14, -0.1, 0.0, 0.15, 0.3, 0.6, 1.2, 2.5, 5.0, 10.0] {
            let line = RGBColor(190, 198, 208).stroke_width(1);
            chart.draw_series(contour(&heights, level).into_iter().map(|piece| PathElement::new(piece, line)))?;
        }
        let points: Vec<(f64, f64)> = w.points.iter().map(|p| (p[0], p[1])).collect();
        let color = colors[if w.settled.is_some() { 2 } else { 3 }];
        chart.draw_series(LineSeries::new(points.iter().copied(), colors[1].stroke_width(2)))?;
        chart.draw_series(points.iter().map(|p| Circle::new(*p, 2, colors[1].filled())))?;
        chart.draw_series([Circle::new(points[0], 4, colors[0].filled())])?;
        chart.draw_series([Circle::new(points[STEPS], 5, color.filled())])?;
    }
    Ok(root.present()?)
}

/// Prints the numbers.
pub fn main() {
    let report = run(Path::new("runs/examples")).expect("the picture is written to runs/examples");
    println!("{STEPS} steps from (2, 1.6) at a rate of {RATE}; the lowest height is {:.3}", report.lowest);
    println!("optimiser            end x    end y   height   settled after");
    for w in &report.walks {
        let [x, y] = w.points[STEPS];
        let settled = w.settled.map_or("-".to_string(), |s| s.to_string());
        println!("{:18}  {x:6.3}   {y:6.3}   {:6.3}   {settled}", w.name, w.heights[STEPS]);
    }
    println!("\nbatch   variance of the gradient   times the batch");
    for s in &report.scatter {
        println!("{:5}   {:24.4}   {:.2}", s.batch, s.variance, s.variance * s.batch as f64);
    }
    println!("\nMomentum can carry descent through a shallow minimum, and too much of it swings past the deep one.");
    println!("Larger batches have less variance: a batch of B has 1 / B of it.");
    println!("Picture: runs/examples/optimizer_paths.svg");
}
