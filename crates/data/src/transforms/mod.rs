//! Pictures into tensors, with torchvision's transforms by name.
//!
//! A [`Compose`] is a list of steps: first those on an [`Image`], then [`ToTensor`], then those on its floats.
//! It is data (serde): a recipe spells it as TOML, a checkpoint stores it, so what a model is evaluated with is
//! what it was trained for. Random steps draw from the generator they are given, never from a hidden one.

mod affine;
mod blur;
mod colour;
mod compose;
mod geometry;
#[cfg(test)]
mod goldens;
mod mix;
mod planes;

pub use affine::{RandomAffine, RandomRotation};
pub use blur::GaussianBlur;
pub use colour::{ColorJitter, Grayscale};
pub use compose::{Compose, Transform};
pub use geometry::{
    CenterCrop, Extent, FiveCrop, Padding, PaddingMode, RandomCrop, RandomHorizontalFlip, RandomResizedCrop,
    RandomVerticalFlip, Resize,
};
pub use mix::{CutMix, MixUp};
pub use planes::{GaussianNoise, RandomErasing, SubtractMean, SubtractMeanImage, ToTensor};

pub use crate::Normalize;

pub(crate) use planes::Planes;

use crate::{Image, Random};

/// Why a step does not fit a picture.
type Step<T> = Result<T, String>;

/// A step from picture to picture.
trait OnImage {
    /// The picture after this step.
    fn on_image(&self, image: &Image, rng: &mut Random) -> Step<Image>;
}

/// Whether a number is a probability.
fn probability(p: f64) -> Step<()> {
    match (0.0..=1.0).contains(&p) {
        true => Ok(()),
        false => Err(format!("p is {p}, but a probability lies between 0 and 1")),
    }
}

/// Whether a pair is ascending and at least `low`.
fn ascending(what: &str, [a, b]: [f64; 2], low: f64) -> Step<()> {
    match a.is_finite() && b.is_finite() && low <= a && a <= b {
        true => Ok(()),
        false => Err(format!("{what} is [{a}, {b}], but must be two ascending numbers from {low}")),
    }
}

/// Uniform between the two, which may be equal.
fn uniform(rng: &mut Random, [a, b]: [f64; 2]) -> f64 {
    use rand::RngExt;
    a + (b - a) * rng.random::<f64>()
}
