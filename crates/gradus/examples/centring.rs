//! Why inputs are centred: the Hessian of a linear unit has the mean of the inputs in it.
//!
//! For the squared error it is `2 [[E[x x^T], mu], [mu^T, 1]]`, and the second moment `E[x x^T]` is `Cov(x) + mu mu^T`:
//! a mean far from 0 adds one large eigenvalue. The rate of gradient descent is bounded by the largest eigenvalue and
//! its pace by the smallest, so the steps it takes grow with the condition number. Centring takes the mean away,
//! scaling makes the variances equal; what correlation does stays.
//!
//! `cargo run --example centring` prints the table and writes `runs/examples/centring.svg`.

use gradus::prelude::*;
use gradus::train::analysis::{Hessian, Moments};
use gradus::train::plots::Lines;
use std::path::Path;

/// What one way of preparing the inputs leads to.
pub struct Prepared {
    /// How the inputs were prepared.
    pub name: &'static str,
    /// The largest eigenvalue of the Hessian.
    pub top_eigenvalue: f64,
    /// Its condition number.
    pub condition_number: f64,
    /// Steps of gradient descent, at the rate 1 / top eigenvalue, to a loss within 0.000001 of the lowest.
    pub steps: usize,
}

const EXAMPLES: usize = 300;
const MOST: usize = 20_000;
const NEAR: f64 = 1e-6;

/// The squared error of a linear unit with the weights `w` [D, 1] and `b` `[1]` on `x` [N, D] and `y` [N, 1].
fn loss(x: &Tensor, y: &Tensor, w: &Tensor, b: &Tensor) -> Tensor {
    (x.matmul(w) + b - y).square().mean() // (N, D) (D, 1)
}

fn measure(name: &'static str, x: &Tensor, y: &Tensor) -> (Prepared, Vec<(f64, f64)>) {
    let zeros = |shape: [usize; 2]| Tensor::zeros(shape).to_dtype(DType::F64);
    let w = zeros([x.size(1), 1]).requires_grad_(true);
    let b = zeros([1, 1]).requires_grad_(true);
    let hessian = Hessian::new(&loss(x, y, &w, &b), &[w.clone(), b.clone()]);
    let top = hessian.top_eigenvalue(0);
    // The targets are a linear function of the inputs, so the lowest loss is 0.
    let (mut curve, mut steps) = (vec![], MOST);
    for step in 0..MOST {
        w.zero_grad();
        b.zero_grad();
        let l = loss(x, y, &w, &b);
        l.backward();
        if step < 200 {
            curve.push((step as f64, l.item_f64().max(1e-12).log10()));
        }
        if l.item_f64() < NEAR {
            steps = step;
            break;
        }
        no_grad(|| [&w, &b].iter().for_each(|p| p.add_(&p.grad().unwrap(), -1.0 / top)));
    }
    (Prepared { name, top_eigenvalue: top, condition_number: hessian.condition_number(), steps }, curve)
}

/// Measures raw, centred and standardised inputs, draws their losses into `centring.svg`, and returns the numbers.
pub fn run(out: &Path) -> std::io::Result<Vec<Prepared>> {
    manual_seed(2);
    let row = |values: &[f64]| Tensor::from_slice(values, [values.len()]);
    let x = Tensor::randn([EXAMPLES, 3]).to_dtype(DType::F64) * row(&[1.0, 0.6, 1.6]) + row(&[3.0, -2.0, 4.0]);
    let y = x.matmul(&row(&[0.5, -1.0, 0.3]).unsqueeze(1)) + 0.7; // (N, 3) (3, 1)
    let centred = &x - Moments::of(&x).mean;
    let standardised = &centred / x.std_dim([0], 0, true);
    let (mut found, mut series) = (vec![], vec![]);
    for (name, x) in [("raw", &x), ("centred", &centred), ("standardised", &standardised)] {
        let (numbers, curve) = measure(name, x, &y);
        series.push((format!("{name}, condition number {:.1}", numbers.condition_number), curve));
        found.push(numbers);
    }
    let svg = Lines {
        title: "Centring",
        subtitle: "gradient descent on a linear unit, each at its own best safe rate",
        axes: ["step", "log10 of the loss"],
        series,
        ends: None,
        log_x: false,
        diagonal: false,
    };
    std::fs::create_dir_all(out)?;
    std::fs::write(out.join("centring.svg"), svg.svg())?;
    Ok(found)
}

/// Prints the table and writes the picture.
pub fn main() -> std::io::Result<()> {
    let out = Path::new("runs/examples");
    println!(
        "A linear unit on {EXAMPLES} examples:\n\ninputs         top eigenvalue  condition number  steps to {NEAR:e}"
    );
    for p in run(out)? {
        println!("{:<13} {:>15.2} {:>17.1} {:>15}", p.name, p.top_eigenvalue, p.condition_number, p.steps);
    }
    println!("\nPicture: {}", out.join("centring.svg").display());
    Ok(())
}
