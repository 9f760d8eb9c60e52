//! Kernels that need no training: Sobel's find edges, and high-pass kernels keep what changes.
//!
//! One gray channel goes in, Sobel's two kernels give two outputs: how fast the picture gets brighter to the right and
//! downwards. The values of a high-pass kernel add up to zero, so an even surface becomes zero, whatever its
//! brightness; a kernel that adds up to 1.5 makes every surface half as bright again.
//!
//! Shown on a picture it draws, or on the picture named as the argument: `--example edges -- PICTURE.png`.

use gradus::prelude::*;
use image::GrayImage;
use std::io;
use std::path::{Path, PathBuf};

/// One filtered picture.
pub struct Response {
    /// The kernel's name, which is also its file's.
    pub name: &'static str,
    /// Sum of the kernel's values.
    pub kernel_sum: f64,
    /// Mean of the output.
    pub mean: f64,
    /// Largest magnitude of the output.
    pub largest: f64,
    /// Largest magnitude where the picture is even all over the kernel, if there is such a place.
    pub on_even_surface: Option<f64>,
}

/// What was found.
pub struct Report {
    /// Number of outputs of Sobel's layer for one channel.
    pub sobel_outputs: usize,
    /// Mean brightness of the picture.
    pub mean: f64,
    /// The filtered pictures.
    pub responses: Vec<Response>,
    /// Share of the pixels with a neighbour of another brightness that have a gradient above a tenth.
    pub edges_found: f64,
    /// Number of pixels without such a neighbour that have one.
    pub false_edges: usize,
    /// The pictures written.
    pub files: Vec<PathBuf>,
}

/// A house in front of a sky, a sun and a meadow: surfaces of even brightness.
pub fn drawing() -> GrayImage {
    GrayImage::from_fn(160, 120, |x, y| {
        let (x, y) = (x as i32, y as i32);
        let sun = (x - 128).pow(2) + (y - 26).pow(2) < 256;
        let roof = (24..48).contains(&y) && (x - 60).abs() <= y - 22;
        let wall = (40..81).contains(&x) && (48..94).contains(&y);
        let window = wall && (46..58).contains(&x) && (56..68).contains(&y);
        let door = wall && (64..76).contains(&x) && y >= 66;
        let value = match () {
            () if window => 235,
            () if door => 40,
            () if wall => 190,
            () if roof => 70,
            () if sun => 250,
            () if y >= 88 => 105,
            () => 150,
        };
        image::Luma([value])
    })
}

/// `[1, 1, height, width]` in 0..=1.
fn tensor(picture: &GrayImage) -> Tensor {
    let values: Vec<f32> = picture.as_raw().iter().map(|&v| f32::from(v) / 255.0).collect();
    Tensor::from_vec(values, [1, 1, picture.height() as usize, picture.width() as usize])
}

/// Writes a plane, `black` and what is below as black, `white` and what is above as white.
fn write(plane: &Tensor, (black, white): (f32, f32), file: &Path) -> io::Result<()> {
    let shape = plane.shape();
    let (height, width) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    let level = |v: f32| (255.0 * (v - black) / (white - black).max(1e-12)).round().clamp(0.0, 255.0) as u8;
    let bytes = plane.to_vec::<f32>().into_iter().map(level).collect();
    let picture = GrayImage::from_raw(width as u32, height as u32, bytes).expect("one byte a pixel");
    picture.save(file).map_err(io::Error::other)
}

/// One everywhere where the picture is even over a window of `size`.
fn even(x: &Tensor, size: usize) -> Tensor {
    let largest = MaxPool2d::new(size).stride(1);
    let range = largest.forward(x) + largest.forward(&-x);
    range.eq_scalar(0.0)
}

/// Filters the picture (the drawing, if none is given) and writes the results as PNG files.
pub fn run(out: &Path, picture: Option<&Path>) -> io::Result<Report> {
    std::fs::create_dir_all(out)?;
    let gray = match picture {
        Some(file) => image::open(file).map_err(io::Error::other)?.to_luma8(),
        None => drawing(),
    };
    let x = tensor(&gray);
    if x.size(2) < 5 || x.size(3) < 5 {
        return Err(io::Error::other("the picture must have at least 5 x 5 pixels"));
    }
    let input = out.join("edges_input.png");
    gray.save(&input).map_err(io::Error::other)?;
    let (mut responses, mut files) = (vec![], vec![input]);

    // Inside the picture only, so that no border has to be invented.
    let gradients = FixedConv2d::sobel().forward(&x);
    let too_bright = Tensor::full([1, 3, 3], 1.5 / 9.0);
    let detail = filters::detail(5);
    let outputs = [
        ("sobel_right", filters::sobel().narrow(0, 0, 1), gradients.narrow(1, 0, 1)),
        ("sobel_down", filters::sobel().narrow(0, 1, 1), gradients.narrow(1, 1, 1)),
        ("laplacian", filters::laplacian(), FixedConv2d::high_pass(filters::laplacian()).forward(&x)),
        ("detail", detail.clone(), FixedConv2d::high_pass(detail).forward(&x)),
        ("sum_of_1.5", too_bright.clone(), FixedConv2d::new(too_bright).forward(&x)),
    ];
    for (name, kernel, y) in outputs {
        let file = out.join(format!("edges_{name}.png"));
        let kernel_sum = kernel.sum().item_f64();
        // What a high-pass kernel gives has signs: zero becomes a middle gray.
        let peak = y.abs().max().item().max(1e-12);
        write(&y, if kernel_sum.abs() < 1e-5 { (-peak, peak) } else { (0.0, 1.0) }, &file)?;
        let flat = even(&x, kernel.size(1)).where_(&y.abs(), &Tensor::scalar(-1.0)).max().item_f64();
        let on_even_surface = (flat >= 0.0).then_some(flat);
        let (mean, largest) = (y.mean().item_f64(), y.abs().max().item_f64());
        responses.push(Response { name, kernel_sum, mean, largest, on_even_surface });
        files.push(file);
    }

    let magnitude = gradients.norm_dim(2.0, 1, true);
    let file = out.join("edges_magnitude.png");
    write(&magnitude, (0.0, magnitude.max().item()), &file)?;
    files.push(file);
    let strong = magnitude.gt_scalar(0.1);
    let smooth = even(&x, 3);
    let count = |t: Tensor| t.to_dtype(DType::F64).sum().item_f64();
    let rough = smooth.logical_not();
    let edges_found = count(strong.logical_and(&rough)) / count(rough).max(1.0);
    let false_edges = count(strong.logical_and(&smooth)) as usize;
    let (sobel_outputs, mean) = (gradients.size(1), x.mean().item_f64());
    Ok(Report { sobel_outputs, mean, responses, edges_found, false_edges, files })
}

/// Prints the table.
pub fn main() -> io::Result<()> {
    let picture = std::env::args().nth(1).map(PathBuf::from);
    let report = run(Path::new("runs/examples"), picture.as_deref())?;
    println!(
        "One channel through Sobel's layer: {} outputs. Mean brightness {:.3}.",
        report.sobel_outputs, report.mean
    );
    println!("{:<12} {:>6} {:>9} {:>9} {:>16}", "kernel", "sum", "mean", "largest", "on even surface");
    for r in &report.responses {
        let even = r.on_even_surface.map_or("none there".to_string(), |v| format!("{v:.6}"));
        println!("{:<12} {:>6.2} {:>9.4} {:>9.4} {even:>16}", r.name, r.kernel_sum, r.mean, r.largest);
    }
    println!("{:.1} % of the edge pixels found, {} false ones.", 100.0 * report.edges_found, report.false_edges);
    println!(
        "A kernel whose values add up to zero leaves nothing of an even surface; one that adds up to 1.5 brightens it."
    );
    for file in &report.files {
        println!("wrote {}", file.display());
    }
    Ok(())
}
