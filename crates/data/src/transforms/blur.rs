//! Blurring.

use super::{OnImage, Step, ascending, uniform};
use crate::image::byte;
use crate::{Image, Random};
use serde::{Deserialize, Deserializer, Serialize};

/// Blurs by a Gaussian of random width; the borders are mirrored.
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.GaussianBlur.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianBlur {
    kernel_size: usize,
    #[serde(default = "default_sigma", deserialize_with = "sigma")]
    sigma: [f64; 2],
}

/// One number, or both ends.
fn sigma<'de, D: Deserializer<'de>>(from: D) -> Result<[f64; 2], D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`sigma` is one number, or two: [from, to]")]
    enum Sigma {
        One(f64),
        Two([f64; 2]),
    }
    Sigma::deserialize(from).map(|s| match s {
        Sigma::One(one) => [one, one],
        Sigma::Two(ends) => ends,
    })
}

fn default_sigma() -> [f64; 2] {
    [0.1, 2.0]
}

impl GaussianBlur {
    /// With an odd number of taps each way, and a deviation between 0.1 and 2 pixels.
    pub fn new(kernel_size: usize) -> GaussianBlur {
        GaussianBlur { kernel_size, sigma: default_sigma() }
    }

    /// The deviation in pixels, from and to.
    pub fn sigma(mut self, from: f64, to: f64) -> GaussianBlur {
        self.sigma = [from, to];
        self
    }

    pub(super) fn check(&self) -> Step<()> {
        if self.kernel_size.is_multiple_of(2) {
            return Err(format!("kernel_size is {}, but must be odd", self.kernel_size));
        }
        ascending("sigma", self.sigma, f64::MIN_POSITIVE)
    }

    /// Blurred with this deviation.
    pub(super) fn blur(&self, image: &Image, sigma: f64) -> Step<Image> {
        let (h, w, c) = (image.height(), image.width(), image.channels());
        let radius = self.kernel_size / 2;
        if radius >= h || radius >= w {
            return Err(format!("a kernel of {} is too wide for a picture of {h}x{w}", self.kernel_size));
        }
        let taps: Vec<f32> =
            (0..self.kernel_size).map(|i| (-0.5 * ((i as f64 - radius as f64) / sigma).powi(2)).exp() as f32).collect();
        let sum: f32 = taps.iter().sum();
        let taps: Vec<f32> = taps.iter().map(|t| t / sum).collect();
        // Mirrored at the first and the last pixel.
        let place = |at: usize, tap: usize, n: usize| {
            let i = (at + tap) as isize - radius as isize;
            let last = n as isize - 1;
            (if i < 0 {
                -i
            } else if i > last {
                2 * last - i
            } else {
                i
            }) as usize
        };
        let mut rows = vec![0.0f32; h * w * c];
        for (i, v) in rows.iter_mut().enumerate() {
            let (y, x, k) = (i / (w * c), i / c % w, i % c);
            *v = taps.iter().enumerate().map(|(t, tap)| tap * f32::from(image.pixel(y, place(x, t, w))[k])).sum();
        }
        let column = |i: usize| {
            let (y, rest) = (i / (w * c), i % (w * c));
            byte(taps.iter().enumerate().map(|(t, tap)| tap * rows[place(y, t, h) * w * c + rest]).sum())
        };
        Ok(Image::new((0..h * w * c).map(column).collect(), h, w, c))
    }
}

impl OnImage for GaussianBlur {
    fn on_image(&self, image: &Image, rng: &mut Random) -> Step<Image> {
        self.blur(image, uniform(rng, self.sigma))
    }
}
