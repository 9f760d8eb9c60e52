//! What an output of a stack of convolutions sees, measured by the gradient of one output with respect to the input.
//!
//! Three 3x3 convolutions see 7 x 7 pixels. With dilations 1, 2, 4 the same number of weights and of multiplications
//! sees 15 x 15, and the resolution stays: dilation does not downsample. A stride of 2 before each further layer sees
//! as much, but leaves one output in place of sixteen. Equal dilations 2, 2, 2 see a span of 13 with holes: only
//! every other pixel.

use gradus::prelude::*;
use plotters::prelude::*;
use std::path::Path;

/// One stack.
pub struct Field {
    /// Dilation of each layer.
    pub dilations: [usize; 3],
    /// Stride of each layer.
    pub strides: [usize; 3],
    /// Height and width of the field that was measured.
    pub span: usize,
    /// The span by the formula: 1 + sum of dilation (kernel - 1) times the strides before.
    pub expected: usize,
    /// Number of pixels in it that the output depends on.
    pub seen: usize,
    /// Number of weights.
    pub parameters: usize,
    /// Width of the output for an input of [`SIZE`].
    pub output: usize,
    /// Multiplications for one output map, all layers.
    pub multiplications: usize,
    /// Magnitude of the gradient, pixel by pixel.
    pub gradient: Vec<f32>,
}

/// Height and width of the input.
pub const SIZE: usize = 33;

/// Measures the field of the output in the middle.
fn measure(dilations: [usize; 3], strides: [usize; 3]) -> Field {
    let mut stack = Sequential::new();
    let (mut size, mut multiplications, mut expected, mut jump) = (SIZE, 0, 1, 1);
    for (d, s) in dilations.into_iter().zip(strides) {
        let layer = Conv2d::new(1, 1, 3).dilation(d).padding(d).stride(s).bias(false);
        // Positive weights, so that no two paths cancel out.
        init::uniform_(&layer.weight, 0.1, 1.0);
        stack.push(layer);
        size = (size - 1) / s + 1;
        multiplications += 9 * size * size;
        expected += d * 2 * jump;
        jump *= s;
    }
    let x = Tensor::zeros([1, 1, SIZE, SIZE]).requires_grad_(true);
    let y = stack.forward(&x);
    y.select(3, size / 2).select(2, size / 2).sum().backward();
    let gradient = x.grad().expect("the output depends on the input").to_vec::<f32>();
    let seen: Vec<usize> = (0..SIZE * SIZE).filter(|&i| gradient[i] != 0.0).collect();
    let columns = seen.iter().map(|i| i % SIZE);
    let span = columns.clone().max().unwrap_or(0) - columns.min().unwrap_or(0) + 1;
    let (parameters, output) = (stack.num_parameters(), y.size(3));
    Field { dilations, strides, span, expected, seen: seen.len(), parameters, output, multiplications, gradient }
}

/// Measures the stacks and draws their fields into `dilation.svg`.
pub fn run(out: &Path) -> std::io::Result<Vec<Field>> {
    manual_seed(0);
    let fields = vec![
        measure([1, 1, 1], [1, 1, 1]),
        measure([1, 2, 4], [1, 1, 1]),
        measure([2, 2, 2], [1, 1, 1]),
        measure([1, 1, 1], [2, 2, 1]),
    ];
    std::fs::create_dir_all(out)?;
    draw(&fields, &out.join("dilation.svg")).map_err(std::io::Error::other)?;
    Ok(fields)
}

fn title(field: &Field) -> String {
    let list = |v: [usize; 3]| v.map(|n| n.to_string()).join(", ");
    match field.strides {
        [1, 1, 1] => format!("dilations {}", list(field.dilations)),
        strides => format!("strides {}", list(strides)),
    }
}

fn draw(fields: &[Field], file: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    const CELL: i32 = 7;
    let side = SIZE as i32 * CELL;
    let area =
        SVGBackend::new(file, ((side + 24) as u32 * fields.len() as u32 + 24, side as u32 + 84)).into_drawing_area();
    area.fill(&WHITE)?;
    let heading = ("sans-serif", 16).into_font();
    area.draw(&Text::new("What one output of three 3x3 convolutions sees", (24, 12), heading))?;
    for (k, field) in fields.iter().enumerate() {
        let (left, top) = (24 + k as i32 * (side + 24), 64);
        let words = format!("{}: {} x {}, {} pixels", title(field), field.span, field.span, field.seen);
        area.draw(&Text::new(words, (left, top - 22), ("sans-serif", 13).into_font()))?;
        area.draw(&Rectangle::new([(left, top), (left + side, top + side)], RGBColor(235, 238, 242).filled()))?;
        let largest = field.gradient.iter().fold(0f32, |a, &b| a.max(b));
        for (i, &g) in field.gradient.iter().enumerate().filter(|(_, g)| **g != 0.0) {
            let (x, y) = (left + (i % SIZE) as i32 * CELL, top + (i / SIZE) as i32 * CELL);
            // The square root shows the faint ones too.
            let shade = 1.0 - f64::from(g / largest).sqrt();
            let colour = RGBColor((200.0 * shade) as u8, (60.0 + 150.0 * shade) as u8, (150.0 + 90.0 * shade) as u8);
            area.draw(&Rectangle::new([(x, y), (x + CELL - 1, y + CELL - 1)], colour.filled()))?;
        }
    }
    area.present()?;
    Ok(())
}

/// Prints the table.
pub fn main() -> std::io::Result<()> {
    let out = Path::new("runs/examples");
    println!("What one output of three 3x3 convolutions sees of {SIZE} x {SIZE} pixels, by its gradient:");
    println!(
        "{:<20} {:>6} {:>9} {:>12} {:>8} {:>8} {:>16}",
        "stack", "span", "formula", "pixels seen", "weights", "output", "multiplications"
    );
    for f in run(out)? {
        println!(
            "{:<20} {:>6} {:>9} {:>12} {:>8} {:>8} {:>16}",
            title(&f),
            f.span,
            f.expected,
            f.seen,
            f.parameters,
            f.output,
            f.multiplications
        );
    }
    println!("Dilations 1, 2, 4 see 15 x 15 instead of 7 x 7 with the same weights, work and resolution.");
    println!("The picture is {}", out.join("dilation.svg").display());
    Ok(())
}
