//! A class for every pixel: losses, and what is said of a trained model.

use crate::checkpoint::Preprocess;
use crate::error::{Result, TrainError};
use crate::metrics::Confusion;
use crate::plots::{Tile, confusion_svg, grid_svg};
use crate::run_dir::RunDir;
use gradus_data::{Dataset, Draw, IGNORED, Image, Mask, mask_colour};
use gradus_nn::losses::{CrossEntropyOptions, Reduction, cross_entropy_with, dice_loss};
use gradus_tensor::Tensor;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many pictures are shown.
const SHOWN: usize = 12;

/// Mean cross-entropy of the pixels that count; 0 if none does.
///
/// # Shapes
/// `logits`: [N, classes, H, W]; `labels`: [N, H, W] i64; result: `[]`.
#[track_caller]
pub(crate) fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    let counted = labels.to_vec::<i64>().iter().filter(|l| **l != IGNORED).count();
    let options = CrossEntropyOptions { reduction: Reduction::Sum, ..Default::default() };
    cross_entropy_with(logits, labels, options) / counted.max(1) as f64
}

/// Dice loss of the classes' probabilities over the pixels of all pictures of the batch that count: the mean over the
/// classes of `1 - 2 sum_i p_i y_i / (sum_i p_i + sum_i y_i)`.
///
/// # Shapes
/// As [`cross_entropy`].
///
/// Source: Milletari et al., 2016, <https://arxiv.org/abs/1606.04797>, for each class.
#[track_caller]
pub(crate) fn dice(logits: &Tensor, labels: &Tensor) -> Tensor {
    let (classes, truth) = (logits.size(1), labels.to_vec::<i64>());
    let pixels = truth.len();
    let mut masks = vec![0f32; classes * pixels];
    let mut kept = vec![1f32; pixels];
    for (i, &label) in truth.iter().enumerate() {
        match label {
            IGNORED => kept[i] = 0.0,
            class => masks[class as usize * pixels + i] = 1.0,
        }
    }
    // (N, K, H, W) -> (K, N, H, W) -> (1, K, N H W)
    let probabilities = logits.softmax(1).permute(&[1, 0, 2, 3]).reshape([1, classes, pixels]);
    let kept = Tensor::from_vec(kept, [1, 1, pixels]);
    dice_loss(&(probabilities * kept), &Tensor::from_vec(masks, [1, classes, pixels]))
}

/// The class that is decided for at every pixel of [N, classes, H, W], pixel by pixel.
pub(crate) fn decided(outputs: &Tensor) -> Vec<i64> {
    outputs.detach().argmax(1, false).to_vec::<i64>() // (N, K, H, W) -> (N, H, W)
}

/// How many pixels are right, and how many count.
pub(crate) fn correct(decided: &[i64], truth: &[i64]) -> [usize; 2] {
    let counted = decided.iter().zip(truth).filter(|(_, t)| **t != IGNORED);
    counted.fold([0, 0], |[right, all], (d, t)| [right + usize::from(d == t), all + 1])
}

/// Counts the pixels that count.
pub(crate) fn count(confusion: &mut Confusion, decided: &[i64], truth: &[i64]) {
    let counted = decided.iter().zip(truth).filter(|(_, t)| **t != IGNORED);
    counted.for_each(|(d, t)| confusion.add(*t as usize, *d as usize));
}

/// A picture `[C, H, W]` in [0, 1] with its classes in their colours over it; class 0 and what counts nothing stay as
/// they are.
///
/// # Shapes
/// `labels`: H W numbers; result: `[3, H, W]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn overlay(pixels: &Tensor, labels: &[i64]) -> Tensor {
    let [height, width] = [pixels.size(1), pixels.size(2)];
    let plain = pixels.expand([3, height, width]).to_vec::<f32>();
    assert_eq!(labels.len(), height * width, "overlay: {} labels for {height}x{width} pixels", labels.len());
    let mixed = plain.iter().enumerate().map(|(i, &v)| match labels[i % labels.len()] {
        label if label > 0 => 0.4 * v + 0.6 * f32::from(mask_colour(label as u8)[i / labels.len()]) / 255.0,
        _ => v,
    });
    Tensor::from_vec(mixed.collect(), [3, height, width])
}

/// What a model makes of a picture, pixel by pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct Segmented {
    /// The class of every pixel.
    pub mask: Mask,
    /// The picture with the classes in their colours over it.
    pub overlay: Image,
    /// The part of the pixels that each class has.
    pub shares: Vec<f64>,
}

impl Segmented {
    /// Of the outputs [classes, H, W] for a picture with the pixels [C, H, W] in [0, 1].
    pub(crate) fn new(outputs: &Tensor, pixels: &Tensor) -> Segmented {
        let decided = decided(&outputs.unsqueeze(0));
        let share = |class: i64| decided.iter().filter(|d| **d == class).count() as f64 / decided.len() as f64;
        Segmented {
            mask: Mask::new(&decided, pixels.size(1), pixels.size(2)),
            overlay: Image::from_tensor(&overlay(pixels, &decided)),
            shares: (0..outputs.size(0) as i64).map(share).collect(),
        }
    }
}

/// The measurements on the test pictures of a model that gives every pixel a class.
pub struct MeasuredPixels {
    /// Mean loss of a picture.
    pub loss: f64,
    /// How pixels were classified.
    pub confusion: Confusion,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The examples, as the model saw them.
    pub examples: Arc<dyn Dataset>,
    /// How they were made from pixels.
    pub preprocess: Preprocess,
    /// Some examples: the part of the pixels that was right, and what was decided.
    pub(crate) shown: Vec<Example>,
}

/// An example with what was decided for it.
pub(crate) struct Example {
    pub index: usize,
    pub accuracy: f64,
    pub decided: Vec<i64>,
}

/// Measures batch by batch and keeps the examples with the most mistakes.
pub(crate) struct Measuring {
    pub confusion: Confusion,
    pub worst: Vec<Example>,
    seen: usize,
}

impl Measuring {
    pub fn new(classes: usize) -> Measuring {
        Measuring { confusion: Confusion::new(classes), worst: Vec::new(), seen: 0 }
    }

    /// Adds a batch.
    pub fn add(&mut self, outputs: &Tensor, labels: &Tensor) {
        let (decided, truth) = (decided(outputs), labels.to_vec::<i64>());
        count(&mut self.confusion, &decided, &truth);
        let pixels = truth.len() / labels.size(0);
        for (decided, truth) in decided.chunks_exact(pixels).zip(truth.chunks_exact(pixels)) {
            let [right, all] = correct(decided, truth);
            let accuracy = right as f64 / all.max(1) as f64;
            self.worst.push(Example { index: self.seen, accuracy, decided: decided.to_vec() });
            self.seen += 1;
        }
        self.worst.sort_by(|a, b| a.accuracy.total_cmp(&b.accuracy));
        self.worst.truncate(SHOWN);
    }
}

impl MeasuredPixels {
    /// How many pictures there were.
    pub fn examples(&self) -> usize {
        self.examples.len()
    }

    /// Mean intersection over union of the classes that occur.
    pub fn mean_iou(&self) -> f64 {
        self.confusion.mean_iou()
    }

    /// Part of the pixels classified rightly.
    pub fn pixel_accuracy(&self) -> f64 {
        self.confusion.accuracy()
    }

    /// Everything as one JSON object.
    pub fn to_json(&self) -> Value {
        let c = &self.confusion;
        let row = |i: usize| {
            json!({
                "class": self.classes[i], "pixels": c.support(i), "iou": c.iou(i), "recall": c.recall(i),
                "precision": c.precision(i), "f1": c.f1(i),
            })
        };
        json!({
            "test_miou": self.mean_iou(),
            "test_accuracy": self.pixel_accuracy(),
            "test_loss": self.loss,
            "examples": self.examples(),
            "pixels": c.total(),
            "classes": self.classes,
            "per_class": (0..c.classes()).map(row).collect::<Vec<Value>>(),
            "confusion": c.rows(),
        })
    }

    /// The pictures with the most mistakes: themselves, their masks, and what was decided.
    ///
    /// # Errors
    /// If a picture cannot be read.
    fn overlays_svg(&self, title: &str) -> Result<String> {
        let mut tiles = Vec::new();
        for example in &self.shown {
            let (x, y) = self.examples.get(&[example.index], Draw::default())?;
            let pixels = self.preprocess.to_pixels(&x).select(0, 0); // (1, C, H, W) -> (C, H, W)
            let truth = overlay(&pixels, &y.to_vec::<i64>());
            let decided = overlay(&pixels, &example.decided);
            let right = format!("{:.1} % right", 100.0 * example.accuracy);
            let words = [format!("example {}", example.index), "mask".into(), right];
            tiles.extend(
                [pixels, truth, decided].into_iter().zip(words).map(|(pixels, w)| Tile { pixels, words: vec![w] }),
            );
        }
        let legend: Vec<String> = self
            .classes
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let [r, g, b] = mask_colour(i as u8);
                if i == 0 { format!("{name} as it is") } else { format!("{name} #{r:02x}{g:02x}{b:02x}") }
            })
            .collect();
        let subtitle = format!("those with the most mistakes: picture, mask, what was decided; {}", legend.join(", "));
        Ok(grid_svg(&format!("{title}: {} of {} pictures", self.shown.len(), self.examples()), &subtitle, &tiles, 6))
    }

    /// File names, captions and pictures: the confusion matrix of the pixels, and the most mistakes.
    ///
    /// # Errors
    /// If a picture cannot be read.
    pub(crate) fn drawn(&self, title: &str) -> Result<[(&'static str, &'static str, String); 2]> {
        let confusion = format!("{title}, pixels of the test pictures");
        Ok([
            ("confusion.svg", "Pixels", confusion_svg(&confusion, &self.confusion, &self.classes)),
            ("overlays.svg", "Most mistakes", self.overlays_svg(title)?),
        ])
    }

    /// Draws the confusion matrix and the overlays into `dir`, and says which files there are.
    ///
    /// # Errors
    /// If the directory or a file cannot be written.
    pub fn pictures(&self, title: &str, dir: &Path) -> Result<Vec<PathBuf>> {
        std::fs::create_dir_all(dir).map_err(TrainError::io("create the directory", dir))?;
        let dir = RunDir::open(dir)?;
        let files = self.drawn(title)?;
        files.iter().try_for_each(|(name, _, svg)| dir.write(name, svg))?;
        Ok(files.iter().map(|(name, ..)| dir.file(name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits [1, 3, 2, 2] and labels, the last of which counts nothing.
    fn batch() -> (Tensor, Tensor) {
        let logits = [2.0f32, 0.0, 1.0, 0.0, 0.0, 3.0, 1.5, 0.0, 0.0, 0.0, 0.0, 9.0];
        (Tensor::from_slice(&logits, [1, 3, 2, 2]), Tensor::from_slice(&[0i64, 1, 0, IGNORED], [1, 2, 2]))
    }

    #[test]
    fn losses_are_over_the_pixels_that_count() {
        let (x, y) = batch();
        let p = |pixel: usize, class: usize| {
            let z: Vec<f64> = (0..3).map(|k| f64::from(x.to_vec::<f32>()[4 * k + pixel]).exp()).collect();
            z[class] / z.iter().sum::<f64>()
        };
        let want = -(p(0, 0).ln() + p(1, 1).ln() + p(2, 0).ln()) / 3.0;
        assert!((cross_entropy(&x, &y).item_f64() - want).abs() < 1e-6);
        let sum = |class: usize| (0..3).map(|i| p(i, class)).sum::<f64>();
        let terms = [2.0 * (p(0, 0) + p(2, 0)) / (sum(0) + 2.0), 2.0 * p(1, 1) / (sum(1) + 1.0), 0.0];
        let want = 1.0 - terms.iter().sum::<f64>() / 3.0;
        assert!((dice(&x, &y).item_f64() - want).abs() < 1e-4, "{} {want}", dice(&x, &y).item_f64());
        let none = Tensor::from_slice(&[IGNORED; 4], [1, 2, 2]);
        assert_eq!(cross_entropy(&x, &none).item(), 0.0);
    }

    #[test]
    fn pixels_are_counted_by_class_and_the_worst_examples_kept() {
        let (x, y) = batch();
        let mut measuring = Measuring::new(3);
        measuring
            .add(&Tensor::cat(&[&x, &x], 0), &Tensor::cat(&[&y, &Tensor::from_slice(&[0i64, 1, 1, 2], [1, 2, 2])], 0));
        // Decided: 0 1 1 2, against 0 1 0 - and 0 1 1 2.
        let c = &measuring.confusion;
        assert_eq!((c.total(), c.count(0, 1), c.count(2, 2)), (7, 1, 1));
        assert_eq!([0, 1, 2].map(|k| c.iou(k).unwrap()), [2.0 / 3.0, 3.0 / 4.0, 1.0]);
        assert_eq!(measuring.worst.iter().map(|e| e.index).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(measuring.worst[0].accuracy, 2.0 / 3.0);
    }

    #[test]
    fn an_overlay_colours_the_pixels_of_all_classes_but_the_first() {
        let grey = Tensor::full([1, 1, 3], 0.5);
        let out = overlay(&grey, &[0, 1, IGNORED]).to_vec::<f32>();
        let red = 0.2 + 0.6 * 128.0 / 255.0;
        for (got, want) in out.iter().zip([0.5, red, 0.5, 0.5, 0.2, 0.5, 0.5, 0.2, 0.5]) {
            assert!((got - want).abs() < 1e-6, "{out:?}");
        }
    }
}
