//! Universal approximation: one hidden layer comes as near to a smooth function as one likes, given enough units.
//!
//! The theorem says that units exist, not that training finds them. Here the hidden layer is drawn at random and only
//! the output layer is fitted, by least squares, so that width alone is at work: the largest error over the interval
//! falls with every widening.
//!
//! Sources: Cybenko, 1989, <https://doi.org/10.1007/BF02551274>; Hornik et al., 1989,
//! <https://doi.org/10.1016/0893-6080(89)90020-8>.
//!
//! `cargo run --example universal_approximation` prints the table and writes
//! `runs/examples/universal_approximation.svg`.

use gradus::prelude::*;
use gradus::train::plots::Lines;
use std::path::Path;

/// How near a net of some width comes.
pub struct Fit {
    /// Hidden units.
    pub width: usize,
    /// The largest error at places between those that were fitted.
    pub error: f64,
}

/// Hidden units of the nets.
pub const WIDTHS: [usize; 5] = [2, 4, 8, 16, 64];
const PLACES: usize = 200;

/// The function on [-3, 3] that is approximated.
fn function(x: &Tensor) -> Tensor {
    (x * 2.0).sin() + x.square() * 0.1 - (x - 1.0).square().neg().exp()
}

/// Places on [-3, 3], `[n, 1]` in f64.
fn places(n: usize) -> Tensor {
    let x = (0..n).map(|i| -3.0 + 6.0 * (i as f64 + 0.5) / n as f64);
    Tensor::from_vec(x.collect::<Vec<f64>>(), [n, 1])
}

/// A net whose hidden layer is random and whose output layer is the best for it.
fn fit(width: usize) -> Sequential {
    let (mut hidden, mut output) = (Linear::new(1, width), Linear::new(width, 1).bias(false));
    hidden.to_dtype(DType::F64);
    output.to_dtype(DType::F64);
    let (slopes, bends) = (Tensor::randn([width, 1]) * 2.0, Tensor::rand([width, 1]) * 6.0 - 3.0);
    // tanh(a (x - c)): each unit bends at a place c of its own.
    let biases = (&slopes * bends).neg().flatten(0, -1); // (width, 1) -> (width)
    let x = places(PLACES);
    no_grad(|| {
        hidden.weight.copy_(&slopes.to_dtype(DType::F64));
        hidden.bias.as_ref().unwrap().copy_(&biases.to_dtype(DType::F64));
        let h = hidden.forward(&x).tanh(); // (places, width)
        // The normal equations by eigenvalues: (H^T H)^-1 H^T y, without directions that rounding made.
        let (values, vectors) = h.t().matmul(&h).eigh(); // (width, width)
        let keep = values.ge_scalar(1e-10 * values.max().item_f64()).to_dtype(DType::F64);
        let inverse = &keep / (&values + (1.0 - &keep));
        let projected = vectors.t().matmul(&h.t().matmul(&function(&x))); // (width, 1)
        output.weight.copy_(&vectors.matmul(&(projected * inverse.unsqueeze(1))).t()); // (1, width)
    });
    sequential![hidden, Tanh, output]
}

/// Fits a net of every width, draws some of them into `universal_approximation.svg`, and returns the errors.
pub fn run(out: &Path) -> std::io::Result<Vec<Fit>> {
    manual_seed(4);
    let x = places(3 * PLACES + 1);
    let line = |name: String, y: &Tensor| (name, x.to_vec::<f64>().into_iter().zip(y.to_vec::<f64>()).collect());
    let mut series = vec![line("the function".into(), &function(&x))];
    let mut fits = vec![];
    for width in WIDTHS {
        let y = no_grad(|| fit(width).forward(&x));
        let error = (&y - function(&x)).abs().max().item_f64();
        if width <= 16 {
            series.push(line(format!("{width} units"), &y));
        }
        fits.push(Fit { width, error });
    }
    let svg = Lines {
        title: "One hidden layer of tanh",
        subtitle: "random hidden units, the output layer by least squares",
        axes: ["x", "f(x)"],
        series,
        ends: Some([-3.0..3.0, -2.5..2.5]),
        log_x: false,
        diagonal: false,
    };
    std::fs::create_dir_all(out)?;
    std::fs::write(out.join("universal_approximation.svg"), svg.svg())?;
    Ok(fits)
}

/// Prints the table and writes the picture.
pub fn main() -> std::io::Result<()> {
    let out = Path::new("runs/examples");
    println!("sin 2x + x^2/10 - exp(-(x-1)^2) on [-3, 3] by one hidden layer:\n\nunits  largest error");
    for f in run(out)? {
        println!("{:>5}  {:.2e}", f.width, f.error);
    }
    println!("\nPicture: {}", out.join("universal_approximation.svg").display());
    Ok(())
}
