//! Receptive fields, from the input forwards.

use crate::graph::Vertex;
use crate::window::Window;
use gradus_tensor::autograd::VIEWS;

/// What an element of a result sees of the input, down and across, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reach {
    /// How many pixels it depends on.
    pub field: [f64; 2],
    /// How far apart the fields of two neighbours lie.
    pub stride: [f64; 2],
    /// Whether there are neighbours: whether the last two dimensions are still those of the picture.
    pub spatial: bool,
}

/// What an operation does along one dimension.
enum Step {
    /// A window of so many neighbours, moved by so many.
    Window(usize, f64),
    /// Results that lie closer by this factor, each made of so many neighbours.
    Finer(f64, usize),
}

impl Reach {
    pub const INPUT: Reach = Reach { field: [1.0; 2], stride: [1.0; 2], spatial: true };

    /// The reach of the result of an operation, if its inputs have one. A pooling layer's window is in `window`.
    pub fn of(vertex: &Vertex, graph: &[Vertex], reaches: &[Option<Reach>], window: Option<&Window>) -> Option<Reach> {
        let inputs = vertex.inputs.iter().filter_map(|&i| Some((&graph[i].shape[..], reaches[i]?)));
        let kernel = vertex.inputs.get(1).map_or(&[][..], |&i| graph[i].shape.get(2..).unwrap_or_default());
        let rearranged = VIEWS.contains(&&*vertex.op) && vertex.op != "slice";
        let all = inputs.map(|(shape, mut reach)| {
            if !reach.spatial || *shape == *vertex.shape {
                return reach.after(vertex, shape, kernel, window);
            }
            if vertex.shape.len() == 4 && !rearranged {
                return reach.after(vertex, shape, kernel, window);
            }
            // All places become one vector.
            for d in 0..2 {
                reach.field[d] += (shape[2 + d] - 1) as f64 * reach.stride[d];
            }
            Reach { spatial: false, ..reach }
        });
        all.reduce(|a, b| {
            let larger = |a: [f64; 2], b: [f64; 2]| [a[0].max(b[0]), a[1].max(b[1])];
            let spatial = a.spatial && b.spatial;
            Reach { field: larger(a.field, b.field), stride: larger(a.stride, b.stride), spatial }
        })
    }

    /// The reach behind an operation from `shape` on.
    fn after(mut self, vertex: &Vertex, shape: &[usize], kernel: &[usize], window: Option<&Window>) -> Reach {
        for d in 0..if self.spatial { 2 } else { 0 } {
            let sizes = (shape[2 + d], vertex.shape[2 + d]);
            match step(&vertex.op, sizes, kernel.get(d).copied(), window.map(|w| (w.span[d], w.stride[d]))) {
                Step::Window(span, stride) => {
                    self.field[d] += (span - 1) as f64 * self.stride[d];
                    self.stride[d] *= stride;
                }
                Step::Finer(by, taps) => {
                    self.field[d] += (taps - 1) as f64 * self.stride[d];
                    self.stride[d] /= by;
                }
            }
        }
        self
    }

    /// The reach behind an operation of unpooling: each value is put back where it came from, through a flat plane.
    pub fn unpooled(vertex: &Vertex, graph: &[Vertex], reaches: &[Option<Reach>]) -> Option<Reach> {
        let mut at = *vertex.inputs.first()?;
        while graph[at].shape.len() != 4 {
            at = *graph[at].inputs.first()?;
        }
        let mut reach = reaches[at]?;
        if vertex.shape.len() == 4 {
            for d in 0..2 {
                reach.stride[d] *= graph[at].shape[2 + d] as f64 / vertex.shape[2 + d] as f64;
            }
        }
        Some(reach)
    }
}

fn step(op: &str, (from, to): (usize, usize), kernel: Option<usize>, window: Option<(usize, usize)>) -> Step {
    let ratio = from as f64 / to as f64;
    match (op, kernel, window) {
        ("conv", Some(kernel), _) => Step::Window(kernel, stride(from, to, kernel)),
        ("conv_transpose", Some(kernel), _) => {
            let by = (1.0 / ratio).round().max(1.0);
            Step::Finer(by, (kernel as f64 / by).ceil() as usize)
        }
        (op, _, Some((span, stride))) if op.contains("pool") => Step::Window(span, stride as f64),
        // Adaptive pooling, and sums over places.
        (op, _, _) if op.contains("pool") || to == 1 => Step::Window(from.div_ceil(to), ratio),
        ("interpolate", _, _) => Step::Finer(1.0 / ratio, 1),
        _ => Step::Window(1, 1.0),
    }
}

/// The smallest stride with which a kernel leads from one extent to the other, with padding by at most half of it.
fn stride(from: usize, to: usize, kernel: usize) -> f64 {
    let fits = |s: usize| (0..=kernel / 2 * 2).any(|pad| from + pad >= kernel && (from + pad - kernel) / s + 1 == to);
    (1..=from).find(|s| fits(*s)).map_or(from as f64 / to as f64, |s| s as f64)
}
