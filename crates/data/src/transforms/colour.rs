//! Brightness, contrast, saturation and hue, by Pillow's arithmetic.

use super::{OnImage, Step, ascending, uniform};
use crate::image::luma;
use crate::{Image, Random};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// One channel of brightness, or three equal ones.
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.Grayscale.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grayscale {
    num_output_channels: usize,
}

impl Default for Grayscale {
    fn default() -> Grayscale {
        Grayscale { num_output_channels: 1 }
    }
}

impl Grayscale {
    /// To one channel.
    pub fn new() -> Grayscale {
        Grayscale::default()
    }

    /// 1, or 3 equal ones.
    pub fn num_output_channels(mut self, n: usize) -> Grayscale {
        self.num_output_channels = n;
        self
    }

    pub(super) fn check(&self) -> Step<()> {
        match self.num_output_channels {
            1 | 3 => Ok(()),
            n => Err(format!("num_output_channels is {n}, but must be 1 or 3")),
        }
    }
}

impl OnImage for Grayscale {
    fn on_image(&self, image: &Image, _: &mut Random) -> Step<Image> {
        Ok(image.clone().with_channels(1).with_channels(self.num_output_channels))
    }
}

/// Changes brightness, contrast, saturation and hue at random, in random order.
///
/// Factors of the first three lie between 1 - v and 1 + v; the hue moves by up to v of the colour circle each way.
/// Saturation and hue leave a grey picture as it is.
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.ColorJitter.html>
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColorJitter {
    brightness: f64,
    contrast: f64,
    saturation: f64,
    hue: f64,
}

/// One of the four changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    Brightness(f64),
    Contrast(f64),
    Saturation(f64),
    Hue(f64),
}

impl ColorJitter {
    /// Changes nothing until one of the other methods is called.
    pub fn new() -> ColorJitter {
        ColorJitter::default()
    }

    /// How much the brightness changes.
    pub fn brightness(mut self, v: f64) -> ColorJitter {
        self.brightness = v;
        self
    }

    /// How much the contrast changes.
    pub fn contrast(mut self, v: f64) -> ColorJitter {
        self.contrast = v;
        self
    }

    /// How much the saturation changes.
    pub fn saturation(mut self, v: f64) -> ColorJitter {
        self.saturation = v;
        self
    }

    /// How much the hue changes, up to 0.5.
    pub fn hue(mut self, v: f64) -> ColorJitter {
        self.hue = v;
        self
    }

    pub(super) fn check(&self) -> Step<()> {
        for (what, v) in [("brightness", self.brightness), ("contrast", self.contrast), ("saturation", self.saturation)]
        {
            ascending(what, [0.0, v], 0.0)?;
        }
        match (0.0..=0.5).contains(&self.hue) {
            true => Ok(()),
            false => Err(format!("hue is {}, but must lie between 0 and 0.5", self.hue)),
        }
    }
}

impl Change {
    pub(super) fn apply(self, image: &Image) -> Image {
        let mut out = image.clone();
        let colour = image.channels() == 3;
        match self {
            Change::Brightness(f) => blend(&mut out, f, |_| 0),
            Change::Contrast(f) => {
                let grey = image.clone().with_channels(1);
                let sum: u64 = grey.data().iter().map(|&v| u64::from(v)).sum();
                let mean = (sum as f64 / grey.data().len() as f64 + 0.5) as u8;
                blend(&mut out, f, |_| mean);
            }
            Change::Saturation(f) if colour => blend(&mut out, f, luma),
            Change::Hue(f) if colour => {
                // The shift wraps around as a byte does.
                let shift = (f * 255.0) as i32 as u8;
                out.data_mut().chunks_exact_mut(3).for_each(|p| {
                    let [h, s, v] = to_hsv([p[0], p[1], p[2]]);
                    p.copy_from_slice(&to_rgb([h.wrapping_add(shift), s, v]));
                });
            }
            Change::Saturation(_) | Change::Hue(_) => {}
        }
        out
    }
}

/// Each byte becomes `other + factor (byte - other)`, cut to a byte, with `other` from the pixel.
fn blend(image: &mut Image, factor: f64, other: impl Fn(&[u8]) -> u8) {
    let (factor, c) = (factor as f32, image.channels());
    for pixel in image.data_mut().chunks_exact_mut(c) {
        let from = f32::from(other(pixel));
        for v in pixel {
            *v = (from + factor * (f32::from(*v) - from)) as u8;
        }
    }
}

fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    if max == min {
        return [0, 0, max];
    }
    let range = f32::from(max - min);
    let [rc, gc, bc] = [r, g, b].map(|v| f32::from(max - v) / range);
    let h = match max {
        _ if r == max => bc - gc,
        _ if g == max => 2.0 + rc - bc,
        _ => 4.0 + gc - rc,
    };
    // Pillow keeps each of these in 32 bits.
    let h = (f64::from(h) / 6.0 + 1.0).fract() as f32;
    [(f64::from(h) * 255.0) as u8, (f64::from(range / f32::from(max)) * 255.0) as u8, max]
}

fn to_rgb([h, s, v]: [u8; 3]) -> [u8; 3] {
    if s == 0 {
        return [v; 3];
    }
    let s = (f64::from(s) / 255.0) as f32;
    let sector = f64::from(h) * 6.0 / 255.0;
    let f = sector.fract() as f32;
    let parts = [f64::from(s), f64::from(s * f), f64::from(s) * (1.0 - f64::from(f))];
    let [p, q, t] = parts.map(|k| (f64::from(v) * (1.0 - k)).round() as u8);
    match sector as u8 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

impl OnImage for ColorJitter {
    fn on_image(&self, image: &Image, rng: &mut Random) -> Step<Image> {
        let mut order = [0, 1, 2, 3];
        order.shuffle(rng);
        let mut out = image.clone();
        for kind in order {
            let mut around = |v: f64| uniform(rng, [(1.0 - v).max(0.0), 1.0 + v]);
            let change = match kind {
                0 if self.brightness > 0.0 => Change::Brightness(around(self.brightness)),
                1 if self.contrast > 0.0 => Change::Contrast(around(self.contrast)),
                2 if self.saturation > 0.0 => Change::Saturation(around(self.saturation)),
                3 if self.hue > 0.0 => Change::Hue(uniform(rng, [-self.hue, self.hue])),
                _ => continue,
            };
            out = change.apply(&out);
        }
        Ok(out)
    }
}
