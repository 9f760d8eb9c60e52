//! What of a picture a model looks at, what its filters are, and what its layers make of a picture.

use crate::plots::{Tile, grid_svg};
use gradus_nn::Forward;
use gradus_nn::probe::layer_outputs;
use gradus_tensor::autograd::{GradOptions, grad};
use gradus_tensor::{DType, Tensor, no_grad};
use std::cell::RefCell;
use std::rc::Rc;

/// Pictures that are shown of one layer at most.
const SHOWN: usize = 64;

/// How strongly the score of a class depends on each pixel: `max_c |d score / d x_c|` over the channels c.
///
/// `forward` goes from pixels to scores before a softmax, with the model in evaluation mode.
///
/// # Shapes
/// `pixels`: [N, C, H, W]; `classes`: `[N]` i64; result: [N, 1, H, W].
///
/// # Panics
/// If the pictures are not [N, C, H, W] or there are not N classes.
///
/// Source: Simonyan et al., 2013, <https://arxiv.org/abs/1312.6034>.
///
/// ```
/// use gradus_tensor::Tensor;
/// use gradus_train::analysis::saliency;
/// let x = Tensor::ones([1, 1, 2, 2]);
/// let weights = Tensor::from_slice(&[0.0f32, -3.0, 1.0, 0.0], [4, 1]);
/// let map = saliency(&|x| x.flatten(1, -1).matmul(&weights), &x, &Tensor::from_slice(&[0i64], [1]));
/// assert_eq!(map.to_vec::<f32>(), [0.0, 3.0, 1.0, 0.0]);
/// ```
#[track_caller]
pub fn saliency(forward: &dyn Fn(&Tensor) -> Tensor, pixels: &Tensor, classes: &Tensor) -> Tensor {
    assert!(
        pixels.rank() == 4 && classes.numel() == pixels.size(0),
        "saliency: pictures are [N, C, H, W] with N classes, got {} and {}",
        pixels.shape(),
        classes.shape()
    );
    let leaf = pixels.detach().requires_grad_(true);
    let scores = forward(&leaf).gather(1, &classes.reshape([pixels.size(0), 1])); // (N, classes) -> (N, 1)
    let gradient = &grad(&[&scores.sum()], &[&leaf], GradOptions::default())[0];
    gradient.abs().amax([1], true) // (N, C, H, W) -> (N, 1, H, W)
}

/// A grey square moved over a picture to see where a class depends on it.
///
/// Source: Zeiler and Fergus, 2013, <https://arxiv.org/abs/1311.2901>.
///
/// ```
/// use gradus_tensor::Tensor;
/// use gradus_train::analysis::Occlusion;
/// let x = Tensor::from_slice(&[0.0f32, 0.0, 0.0, 1.0], [1, 2, 2]);
/// let sees = |x: &Tensor| x.flatten(1, -1).sum_dim([1], true); // the sum of the pixels
/// let map = Occlusion::new(1).fill(0.0).map(&sees, &x, 0);
/// assert_eq!(map.to_vec::<f32>(), [0.0, 0.0, 0.0, 1.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Occlusion {
    patch: usize,
    stride: usize,
    fill: f64,
}

impl Occlusion {
    /// A grey square of `patch` x `patch` pixels that moves pixel by pixel.
    ///
    /// # Panics
    /// If `patch` is 0.
    #[track_caller]
    pub fn new(patch: usize) -> Occlusion {
        assert!(patch > 0, "Occlusion: the square has at least one pixel");
        Occlusion { patch, stride: 1, fill: 0.5 }
    }

    /// How far the square moves each time (1).
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn stride(self, stride: usize) -> Occlusion {
        assert!(stride > 0, "Occlusion: the square moves by at least one pixel");
        Occlusion { stride, ..self }
    }

    /// What is put in place of the pixels (0.5, grey).
    pub fn fill(self, fill: f64) -> Occlusion {
        Occlusion { fill, ..self }
    }

    /// How much the output `class` of `forward` falls while a pixel is covered, averaged over the places of the
    /// square that cover it.
    ///
    /// # Shapes
    /// `pixels`: [C, H, W]; result: [1, H, W].
    ///
    /// # Panics
    /// If the picture is smaller than the square.
    #[track_caller]
    pub fn map(&self, forward: &dyn Fn(&Tensor) -> Tensor, pixels: &Tensor, class: usize) -> Tensor {
        let shape = pixels.shape();
        let (h, w, side) = (shape[1], shape[2], self.patch);
        assert!(h >= side && w >= side, "Occlusion: a square of {side} does not fit into {h} x {w}");
        let places = |n: usize| {
            let mut starts: Vec<usize> = (0..=n - side).step_by(self.stride).collect();
            starts.extend((starts.last() != Some(&(n - side))).then_some(n - side)); // the border is covered too
            starts
        };
        let score = |x: &Tensor| no_grad(|| forward(x)).select(1, class).to_dtype(DType::F64).to_vec::<f64>();
        let whole = score(&pixels.unsqueeze(0))[0];
        let (mut fall, mut count) = (vec![0.0; h * w], vec![0.0; h * w]);
        for y in places(h) {
            // One row of places goes through the model together.
            let across = places(w);
            let mask = |&x: &usize| {
                let inside = |i: usize| (y..y + side).contains(&(i / w)) && (x..x + side).contains(&(i % w));
                Tensor::from_vec((0..h * w).map(inside).collect::<Vec<bool>>(), [1, h, w])
            };
            let covered: Vec<Tensor> = across.iter().map(|x| pixels.masked_fill(&mask(x), self.fill)).collect();
            let scores = score(&Tensor::stack(&covered.iter().collect::<Vec<_>>(), 0)); // (places, C, H, W)
            for (x, score) in across.into_iter().zip(scores) {
                for i in (0..side * side).map(|k| (y + k / side) * w + x + k % side) {
                    (fall[i], count[i]) = (fall[i] + whole - score, count[i] + 1.0);
                }
            }
        }
        let values = fall.iter().zip(&count).map(|(f, c): (&f64, &f64)| (f / c.max(1.0)) as f32).collect();
        Tensor::from_vec(values, [1, h, w])
    }
}

/// What the layers of `model` make of pictures ([`layer_outputs`]), in evaluation mode: names and maps of those whose
/// outputs still are pictures, of more than one pixel. The model's mode is that afterwards.
///
/// # Shapes
/// `x`: what the model takes, such as [N, C, H, W]; each of the maps: [N, channels, height, width].
pub fn feature_maps(model: &dyn Forward, x: &Tensor) -> Vec<(String, Tensor)> {
    model.eval();
    let maps = Rc::new(RefCell::new(Vec::new()));
    let into = maps.clone();
    layer_outputs(model, x, move |layer| {
        let y = &layer.output;
        if y.rank() == 4 && y.size(2) * y.size(3) > 1 {
            into.borrow_mut().push((layer.name(), y.clone()));
        }
    });
    maps.take()
}

/// Layers that one picture of feature maps shows at most, and maps of each.
const OVERVIEW: [usize; 2] = [24, 8];

/// The first maps of layers from the input on, a row for each layer: all layers, or some evenly taken if there are many.
///
/// # Shapes
/// Each of `maps`: [1, channels, height, width].
pub(crate) fn overview_svg(title: &str, maps: &[(String, Tensor)]) -> String {
    let [most, columns] = OVERVIEW;
    let rows: Vec<usize> = (0..maps.len().min(most)).map(|i| i * maps.len() / maps.len().min(most)).collect();
    let tiles = rows.iter().flat_map(|&i| {
        let (name, output) = &maps[i];
        let mut tiles = feature_map_tiles(output);
        tiles.truncate(columns);
        // A row that is not full goes on in white.
        tiles.resize_with(columns, || Tile { pixels: Tensor::ones([1, 1, 1]), words: vec![String::new()] });
        tiles.iter_mut().enumerate().for_each(|(c, tile)| {
            tile.words.truncate(1);
            tile.words.insert(0, if c == 0 { format!("{name}, {}", output.shape()) } else { String::new() });
        });
        tiles
    });
    let subtitle =
        format!("{} of {} layers, the first {columns} maps of each by its own range", rows.len(), maps.len());
    grid_svg(title, &subtitle, &tiles.collect::<Vec<_>>(), columns)
}

/// The filters of a convolution as pictures: those over three channels in colour, others channel by channel.
///
/// Each is scaled by its own smallest and largest value to [0, 1].
///
/// # Shapes
/// `weight`: [out, in, H, W].
///
/// # Panics
/// If it has not four dimensions.
#[track_caller]
pub fn filter_tiles(weight: &Tensor) -> Vec<Tile> {
    assert!(weight.rank() == 4, "filter_tiles: filters are [out, in, H, W], got {}", weight.shape());
    let weight = weight.detach();
    let (out, channels) = (weight.size(0), weight.size(1));
    let tile = |pixels: Tensor, name: String| {
        let (low, high) = (pixels.min().item(), pixels.max().item());
        Tile { pixels: unit(&pixels), words: vec![name, format!("{low:.2} to {high:.2}")] }
    };
    let whole = |o: usize| vec![tile(weight.select(0, o), format!("filter {o}"))];
    let parts = |o: usize| {
        (0..channels)
            .map(|c| tile(weight.select(0, o).narrow(0, c, 1), format!("filter {o}, channel {c}")))
            .collect::<Vec<_>>()
    };
    (0..out).flat_map(|o| if [1, 3].contains(&channels) { whole(o) } else { parts(o) }).take(SHOWN).collect()
}

/// The maps of a convolutional layer for one picture, each scaled to [0, 1] by its own values.
///
/// # Shapes
/// `output`: [1, C, H, W] or [C, H, W].
///
/// # Panics
/// If it has another number of dimensions, or is of several pictures.
#[track_caller]
pub fn feature_map_tiles(output: &Tensor) -> Vec<Tile> {
    let output = output.detach();
    let maps = if output.rank() == 4 && output.size(0) == 1 { output.select(0, 0) } else { output };
    assert!(maps.rank() == 3, "feature_map_tiles: maps are [C, H, W] of one picture, got {}", maps.shape());
    let tile = |c: usize| {
        let map = maps.narrow(0, c, 1);
        let (low, high) = (map.min().item(), map.max().item());
        Tile { pixels: unit(&map), words: vec![format!("map {c}"), format!("{low:.2} to {high:.2}")] }
    };
    (0..maps.size(0)).take(SHOWN).map(tile).collect()
}

/// Values brought to [0, 1] by the smallest and the largest; all 0.5 where they are equal.
pub(crate) fn unit(x: &Tensor) -> Tensor {
    let (low, high) = (x.min().item_f64(), x.max().item_f64());
    if high > low { (x - low) / (high - low) } else { x.full_like(0.5) }
}

/// Pictures and maps of what matters in them, side by side.
///
/// # Shapes
/// `pixels`: [N, C, H, W] in [0, 1]; each of `maps`: its name and [N, 1, H, W].
pub fn maps_svg(title: &str, subtitle: &str, pixels: &Tensor, maps: &[(&str, Tensor)], names: &[String]) -> String {
    let row = |i: usize| {
        let picture = Tile { pixels: pixels.select(0, i), words: vec![names[i].clone()] };
        let map =
            |(name, map): &(&str, Tensor)| Tile { pixels: unit(&map.select(0, i)), words: vec![name.to_string()] };
        std::iter::once(picture).chain(maps.iter().map(map)).collect::<Vec<_>>()
    };
    let tiles: Vec<Tile> = (0..pixels.size(0)).flat_map(row).collect();
    let columns = (1 + maps.len()) * (6 / (1 + maps.len())).max(1);
    grid_svg(title, subtitle, &tiles, columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_nn::{Conv2d, Flatten, Linear, MaxPool2d, Module, Residual, sequential};

    #[test]
    fn saliency_of_a_linear_model_is_the_size_of_its_weights() {
        let net = sequential![Flatten::new(), Linear::new(12, 3)]; // [N, 3, 2, 2]
        let weight = net.parameters()[0].detach(); // [3, 12]
        let classes = Tensor::from_slice(&[2i64, 0], [2]);
        let map = saliency(&|x| net.forward(x), &Tensor::rand([2, 3, 2, 2]), &classes);
        assert_eq!(map.shape(), [2, 1, 2, 2]);
        for (i, class) in [2, 0].into_iter().enumerate() {
            let want = weight.select(0, class).reshape([3, 2, 2]).abs().amax([0], true); // (12) -> (3, 2, 2)
            assert_eq!(map.select(0, i).to_vec::<f32>(), want.to_vec::<f32>());
        }
    }

    #[test]
    fn occlusion_finds_the_pixels_that_count_and_covers_the_border() {
        let corner = |x: &Tensor| x.narrow(2, 3, 2).narrow(3, 3, 2).flatten(1, -1).sum_dim([1], true);
        let x = Tensor::ones([1, 5, 5]);
        let map = Occlusion::new(2).stride(2).fill(0.0).map(&corner, &x, 0);
        let values = map.to_vec::<f32>();
        assert_eq!(map.shape(), [1, 5, 5]);
        // Squares begin at 0, 2 and 3: only the last, at (3, 3), covers all four pixels that count.
        assert_eq!((values[0], values[2 * 5 + 1], values[4 * 5 + 4]), (0.0, 0.0, 4.0));
        // Row 3 lies in squares from 2 and from 3: with column 4, 2 and 4 pixels are covered.
        assert_eq!(values[3 * 5 + 4], 3.0);
    }

    #[test]
    fn layers_show_their_outputs_as_pictures() {
        // A residual block of a convolution that doubles: 2x + x.
        let net = sequential![
            Residual::new(Conv2d::new(1, 1, 1).bias(false)),
            MaxPool2d::new(2),
            Flatten::new(),
            Linear::new(4, 2)
        ];
        let kernel = &net.parameters()[0];
        no_grad(|| kernel.copy_(&Tensor::full([1, 1, 1, 1], 2.0)));
        let x = Tensor::from_vec((0..16).map(|i| i as f32).collect(), [1, 1, 4, 4]);
        let found = feature_maps(&net, &x);
        let names: Vec<&str> = found.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["0.inner Conv2d", "0 add", "1 MaxPool2d"]);
        assert_eq!(found[1].1.to_vec::<f32>(), (0..16).map(|i| 3.0 * i as f32).collect::<Vec<_>>());
        assert_eq!(found[2].1.to_vec::<f32>(), [15.0, 21.0, 39.0, 45.0]);
        let maps = feature_map_tiles(&found[2].1);
        assert_eq!(maps[0].words, ["map 0", "15.00 to 45.00"]);
        assert_eq!(maps[0].pixels.to_vec::<f32>(), [0.0, 0.2, 0.8, 1.0]);
        let overview = overview_svg("a", &found);
        assert_eq!(overview.matches("base64").count(), 3 * 8);
        assert!(overview.contains("1 MaxPool2d, [1, 1, 2, 2]") && overview.contains("3 of 3 layers"));
        let many: Vec<(String, Tensor)> =
            (0..100).map(|i| (format!("layer {i}"), Tensor::rand([1, 9, 2, 2]))).collect();
        let overview = overview_svg("a", &many);
        assert!(
            overview.contains("layer 0,") && overview.contains("layer 95,") && overview.contains("24 of 100 layers")
        );
    }

    #[test]
    fn filters_and_maps_of_what_matters_are_drawn() {
        let net = Conv2d::new(1, 4, 3);
        let x = Tensor::rand([1, 1, 4, 4]);
        let filters = filter_tiles(&net.parameters()[0]);
        assert!(filters.iter().all(|t| t.pixels.min().item() == 0.0 && t.pixels.max().item() == 1.0));
        assert_eq!(filter_tiles(&Tensor::rand([2, 3, 5, 5])).len(), 2); // in colour
        assert_eq!(filter_tiles(&Tensor::rand([2, 4, 5, 5])).len(), 8); // channel by channel
        let svg = maps_svg("a", "b", &x, &[("saliency", x.clone())], &["seven".into()]);
        assert!(svg.contains("seven") && svg.contains("saliency") && svg.matches("base64").count() == 2);
    }

    #[test]
    fn equal_values_are_grey() {
        assert_eq!(unit(&Tensor::full([2], 7.0)).to_vec::<f32>(), [0.5, 0.5]);
    }
}
