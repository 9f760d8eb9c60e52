//! Pictures of circles, squares and triangles on textured ground, with their masks, made here.

use crate::{DataError, Draw, Image, Mask, Random, TensorDataset};
use gradus_tensor::Tensor;
use rand::RngExt;
use std::f32::consts::{FRAC_PI_2, PI};
use std::path::Path;

/// The side of a picture.
pub(crate) const SIDE: usize = 64;
/// How many pictures there are to learn from, and for the test.
const COUNTS: [usize; 2] = [1500, 100];
/// The classes of a pixel.
pub(crate) const CLASSES: &[&str] = &["background", "circle", "square", "triangle"];

/// A figure in a picture.
struct Figure {
    class: usize,
    at: [f32; 2],
    radius: f32,
    turn: f32,
    colour: [f32; 3],
}

impl Figure {
    /// One to four of these lie in a picture; the colour keeps a distance from that of the ground.
    fn draw(rng: &mut Random, ground: [f32; 3]) -> Figure {
        let side = SIDE as f32;
        let mut between = |low: f32, high: f32| low + (high - low) * rng.random::<f32>();
        let (at, radius) = ([between(8.0, side - 8.0), between(8.0, side - 8.0)], between(7.0, 16.0));
        let turn = between(0.0, 2.0 * PI);
        let mut colour = [0.0; 3];
        for _ in 0..20 {
            colour = [between(0.0, 1.0), between(0.0, 1.0), between(0.0, 1.0)];
            if colour.iter().zip(ground).map(|(a, b)| (a - b).abs()).sum::<f32>() > 0.6 {
                break;
            }
        }
        Figure { class: rng.random_range(1..CLASSES.len()), at, radius, turn, colour }
    }

    fn covers(&self, y: usize, x: usize) -> bool {
        let (dy, dx) = (y as f32 + 0.5 - self.at[0], x as f32 + 0.5 - self.at[1]);
        // How far the pixel lies in this direction from the middle.
        let along = |angle: f32| dx * angle.cos() + dy * angle.sin();
        match self.class {
            1 => dx.hypot(dy) <= 0.85 * self.radius,
            2 => [0.0, FRAC_PI_2].iter().all(|a| along(self.turn + a).abs() <= 0.75 * self.radius),
            _ => [0.0, 2.0, 4.0].iter().all(|a| along(self.turn + a * PI / 3.0) <= 0.65 * self.radius),
        }
    }
}

/// A picture and its mask.
fn picture(rng: &mut Random) -> (Image, Mask) {
    let mut three = || [rng.random::<f32>(), rng.random::<f32>(), rng.random::<f32>()];
    let (light, dark) = (three(), three());
    let ground = [0, 1, 2].map(|c| (light[c] + dark[c]) / 2.0);
    let (angle, waves, phase) =
        (PI * rng.random::<f32>(), 0.2 + 0.8 * rng.random::<f32>(), 2.0 * PI * rng.random::<f32>());
    let count = rng.random_range(1..=4);
    let figures: Vec<Figure> = (0..count).map(|_| Figure::draw(rng, ground)).collect();
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (y, x) in (0..SIDE * SIDE).map(|i| (i / SIDE, i % SIDE)) {
        // The later figure lies on top.
        let figure = figures.iter().rev().find(|f| f.covers(y, x));
        labels.push(figure.map_or(0, |f| f.class as i64));
        let wave = 0.5 + 0.5 * (waves * (x as f32 * angle.cos() + y as f32 * angle.sin()) + phase).sin();
        for c in 0..3 {
            let plain = figure.map_or(dark[c] + 0.5 * (light[c] - dark[c]) * (0.5 + wave), |f| f.colour[c]);
            let noise = 0.3 * (rng.random::<f32>() - 0.5);
            pixels.push((255.0 * (plain + noise).clamp(0.0, 1.0)).round() as u8);
        }
    }
    (Image::new(pixels, SIDE, SIDE, 3), Mask::new(&labels, SIDE, SIDE))
}

/// The pictures of the training part (0) or of the test part (1).
fn part(part: usize) -> impl Iterator<Item = (Image, Mask)> {
    let draw = Draw::new(part as u64, 0);
    (0..COUNTS[part]).map(move |i| picture(&mut draw.rng(i)))
}

/// 1,500 pictures to learn from and 100 for the test, `[N, 3, 64, 64]` in [0, 1], and the class of every pixel,
/// `[N, 64, 64]` i64: ground, circle, square, triangle. They are the same on every call.
///
/// ```
/// use gradus_data::Dataset;
/// let (train, test) = gradus_data::shapes();
/// assert_eq!((train.len(), test.len(), test.targets().shape().to_vec()), (1500, 100, vec![100, 64, 64]));
/// ```
pub fn shapes() -> (TensorDataset, TensorDataset) {
    let parts = [0, 1].map(|p| {
        let (images, masks): (Vec<Tensor>, Vec<Tensor>) = part(p).map(|(i, m)| (i.to_tensor(), m.labels())).unzip();
        let stack = |all: &[Tensor]| Tensor::stack(&all.iter().collect::<Vec<_>>(), 0);
        TensorDataset::new(stack(&images), stack(&masks))
    });
    let [train, test] = parts;
    (train, test)
}

/// The same pictures as files: `train/images`, `train/masks`, `test/images` and `test/masks` in `dir`, as the source
/// `masks` of a recipe reads them.
///
/// # Errors
/// If a directory or a file cannot be written.
pub fn write_shapes(dir: impl AsRef<Path>) -> Result<(), DataError> {
    for (p, name) in ["train", "test"].into_iter().enumerate() {
        let [images, masks] = ["images", "masks"].map(|kind| dir.as_ref().join(name).join(kind));
        for place in [&images, &masks] {
            std::fs::create_dir_all(place).map_err(|e| DataError::io(place, e))?;
        }
        for (i, (image, mask)) in part(p).enumerate() {
            image.save_png(images.join(format!("{i:04}.png")))?;
            mask.save_png(masks.join(format!("{i:04}.png")))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, MaskFolder};

    #[test]
    fn files_and_memory_hold_the_same_pictures_of_every_class() {
        let dir = tempfile::tempdir().unwrap();
        write_shapes(dir.path()).unwrap();
        let test = dir.path().join("test");
        let folder = MaskFolder::open(test.join("images"), test.join("masks"), CLASSES.len()).unwrap();
        let (_, memory) = shapes();
        let some = [0, 41, 99];
        let ((fx, fy), (mx, my)) =
            (folder.get(&some, Draw::default()).unwrap(), memory.get(&some, Draw::default()).unwrap());
        assert_eq!((fx.to_vec::<f32>(), fy.to_vec::<i64>()), (mx.to_vec::<f32>(), my.to_vec::<i64>()));
        let all = memory.targets().to_vec::<i64>();
        for class in 0..CLASSES.len() as i64 {
            let share = all.iter().filter(|c| **c == class).count() as f64 / all.len() as f64;
            assert!(share > 0.03, "class {class}: {share}");
        }
    }
}
