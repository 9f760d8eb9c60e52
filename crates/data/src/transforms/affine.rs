//! Rotation, translation, scaling and shearing, by Pillow's pixel arithmetic.

use super::geometry::degrees;
use super::{OnImage, Step, ascending, uniform};
use crate::{Image, InterpolationMode, Random};
use serde::{Deserialize, Serialize};

/// The rows of a map from places of the result to places of the picture: x' = a x + b y + c, y' = d x + e y + f.
type Matrix = [f64; 6];

fn at(m: &Matrix, x: f64, y: f64) -> (f64, f64) {
    (m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5])
}

/// The picture seen through `matrix`, `height` x `width`; what lies outside is `fill`.
fn warp(image: &Image, m: &Matrix, height: usize, width: usize, mode: InterpolationMode, fill: u8) -> Step<Image> {
    let mut out = Image::filled(height, width, &vec![fill; image.channels()]);
    match mode {
        InterpolationMode::Nearest => nearest(image, m, &mut out),
        InterpolationMode::Bilinear => bilinear(image, m, &mut out),
        InterpolationMode::Bicubic => return Err("interpolation is `nearest` or `bilinear` here".into()),
    }
    Ok(out)
}

/// In 16 bits of fraction, as Pillow does, so that the same pixels are chosen.
fn nearest(image: &Image, m: &Matrix, out: &mut Image) {
    let fixed = |v: f64| (v * 65536.0 + 0.5).floor() as i64;
    let (width, c) = (out.width(), out.channels());
    let [a, b, d, e] = [m[0], m[1], m[3], m[4]].map(fixed);
    let mut x0 = fixed(m[2] + m[0] * 0.5 + m[1] * 0.5);
    let mut y0 = fixed(m[5] + m[3] * 0.5 + m[4] * 0.5);
    for row in out.data_mut().chunks_exact_mut(width * c) {
        let (mut x, mut y) = (x0, y0);
        for pixel in row.chunks_exact_mut(c) {
            let (from_x, from_y) = (x >> 16, y >> 16);
            if (0..image.width() as i64).contains(&from_x) && (0..image.height() as i64).contains(&from_y) {
                pixel.copy_from_slice(image.pixel(from_y as usize, from_x as usize));
            }
            x += a;
            y += d;
        }
        x0 += b;
        y0 += e;
    }
}

fn bilinear(image: &Image, m: &Matrix, out: &mut Image) {
    let (h, w) = (image.height(), image.width());
    let (width, c) = (out.width(), out.channels());
    for (y, row) in out.data_mut().chunks_exact_mut(width * c).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(c).enumerate() {
            let (fx, fy) = at(m, x as f64 + 0.5, y as f64 + 0.5);
            if !(0.0..w as f64).contains(&fx) || !(0.0..h as f64).contains(&fy) {
                continue;
            }
            let (fx, fy) = (fx - 0.5, fy - 0.5);
            let (dx, dy) = (fx - fx.floor(), fy - fy.floor());
            let clip = |v: f64, n: usize| v.clamp(0.0, (n - 1) as f64) as usize;
            let (x0, x1) = (clip(fx.floor(), w), clip(fx.floor() + 1.0, w));
            let (y0, y1) = (clip(fy.floor(), h), clip(fy.floor() + 1.0, h));
            for (channel, v) in pixel.iter_mut().enumerate() {
                let p = |y, x| f64::from(image.pixel(y, x)[channel]);
                let top = p(y0, x0) + (p(y0, x1) - p(y0, x0)) * dx;
                let bottom = p(y1, x0) + (p(y1, x1) - p(y1, x0)) * dx;
                *v = (top + (bottom - top) * dy) as u8;
            }
        }
    }
}

/// Turns a picture by a random angle (counter-clockwise, in degrees).
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomRotation.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomRotation {
    #[serde(deserialize_with = "degrees")]
    degrees: [f64; 2],
    #[serde(default = "nearest_mode")]
    interpolation: InterpolationMode,
    #[serde(default)]
    expand: bool,
    #[serde(default)]
    fill: u8,
}

fn nearest_mode() -> InterpolationMode {
    InterpolationMode::Nearest
}

impl RandomRotation {
    /// By an angle between -`degrees` and `degrees`.
    pub fn new(degrees: f64) -> RandomRotation {
        RandomRotation { degrees: [-degrees, degrees], interpolation: nearest_mode(), expand: false, fill: 0 }
    }

    /// By an angle between these two.
    pub fn degrees(mut self, from: f64, to: f64) -> RandomRotation {
        self.degrees = [from, to];
        self
    }

    /// How values between pixels are found: nearest (the default, as torchvision's) or bilinear.
    pub fn interpolation(mut self, mode: InterpolationMode) -> RandomRotation {
        self.interpolation = mode;
        self
    }

    /// Whether the picture grows so that nothing is cut off.
    pub fn expand(mut self, expand: bool) -> RandomRotation {
        self.expand = expand;
        self
    }

    /// The value outside the picture.
    pub fn fill(mut self, value: u8) -> RandomRotation {
        self.fill = value;
        self
    }

    pub(super) fn check(&self) -> Step<()> {
        ascending("degrees", self.degrees, -f64::MAX)
    }

    /// Turned by this angle.
    pub(super) fn rotate(&self, image: &Image, degrees: f64) -> Step<Image> {
        let (h, w) = (image.height() as f64, image.width() as f64);
        // Rounded as Pillow does, so that quarter turns are exact.
        let round = |v: f64| (v * 1e15).round_ties_even() / 1e15;
        let angle = -degrees.rem_euclid(360.0).to_radians();
        let (cos, sin) = (round(angle.cos()), round(angle.sin()));
        let mut m = [cos, sin, 0.0, -sin, cos, 0.0];
        let (x, y) = at(&m, -w / 2.0, -h / 2.0);
        (m[2], m[5]) = (x + w / 2.0, y + h / 2.0);
        let (mut height, mut width) = (image.height(), image.width());
        if self.expand {
            let corners = [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)].map(|(x, y)| at(&m, x, y));
            let span = |v: [f64; 4]| {
                let (low, high) = v.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
                high.ceil() - low.floor()
            };
            let (new_w, new_h) = (span(corners.map(|p| p.0)), span(corners.map(|p| p.1)));
            (m[2], m[5]) = at(&m, -(new_w - w) / 2.0, -(new_h - h) / 2.0);
            (height, width) = (new_h as usize, new_w as usize);
        }
        warp(image, &m, height, width, self.interpolation, self.fill)
    }
}

impl OnImage for RandomRotation {
    fn on_image(&self, image: &Image, rng: &mut Random) -> Step<Image> {
        self.rotate(image, uniform(rng, self.degrees))
    }
}

/// Turns (clockwise), moves, scales and shears a picture at random, keeping its middle.
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomAffine.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomAffine {
    #[serde(deserialize_with = "degrees")]
    degrees: [f64; 2],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    translate: Option<[f64; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scale: Option<[f64; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shear: Option<[f64; 4]>,
    #[serde(default = "nearest_mode")]
    interpolation: InterpolationMode,
    #[serde(default)]
    fill: u8,
}

/// One choice of an affine map: angle and shears in degrees, translation in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine {
    pub(super) angle: f64,
    pub(super) translate: [f64; 2],
    pub(super) scale: f64,
    pub(super) shear: [f64; 2],
}

impl Affine {
    /// The inverse of T C R(angle) Shear Scale C^-1 with the centre C of the picture and the translation T.
    fn inverse(&self, height: usize, width: usize) -> Matrix {
        let (rot, sx, sy) = (self.angle.to_radians(), self.shear[0].to_radians(), self.shear[1].to_radians());
        let (cx, cy) = (width as f64 * 0.5, height as f64 * 0.5);
        let [tx, ty] = self.translate;
        let a = (rot - sy).cos() / sy.cos();
        let b = -(rot - sy).cos() * sx.tan() / sy.cos() - rot.sin();
        let c = (rot - sy).sin() / sy.cos();
        let d = -(rot - sy).sin() * sx.tan() / sy.cos() + rot.cos();
        let [m0, m1, m3, m4] = [d, -b, -c, a].map(|v| v / self.scale);
        [m0, m1, m0 * (-cx - tx) + m1 * (-cy - ty) + cx, m3, m4, m3 * (-cx - tx) + m4 * (-cy - ty) + cy]
    }
}

impl RandomAffine {
    /// By an angle between -`degrees` and `degrees`, nothing else.
    pub fn new(degrees: f64) -> RandomAffine {
        RandomAffine {
            degrees: [-degrees, degrees],
            translate: None,
            scale: None,
            shear: None,
            interpolation: nearest_mode(),
            fill: 0,
        }
    }

    /// By at most these parts of width and height, each way.
    pub fn translate(mut self, horizontal: f64, vertical: f64) -> RandomAffine {
        self.translate = Some([horizontal, vertical]);
        self
    }

    /// By a factor between these two.
    pub fn scale(mut self, from: f64, to: f64) -> RandomAffine {
        self.scale = Some([from, to]);
        self
    }

    /// By horizontal angles between `x[0]` and `x[1]`, and vertical ones between `y[0]` and `y[1]`, in degrees.
    pub fn shear(mut self, x: [f64; 2], y: [f64; 2]) -> RandomAffine {
        self.shear = Some([x[0], x[1], y[0], y[1]]);
        self
    }

    /// How values between pixels are found: nearest (the default, as torchvision's) or bilinear.
    pub fn interpolation(mut self, mode: InterpolationMode) -> RandomAffine {
        self.interpolation = mode;
        self
    }

    /// The value outside the picture.
    pub fn fill(mut self, value: u8) -> RandomAffine {
        self.fill = value;
        self
    }

    pub(super) fn check(&self) -> Step<()> {
        ascending("degrees", self.degrees, -f64::MAX)?;
        if let Some([x, y]) = self.translate
            && !((0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y))
        {
            return Err(format!("translate is [{x}, {y}], but names parts of width and height, from 0 to 1"));
        }
        self.scale.map_or(Ok(()), |s| ascending("scale", s, f64::MIN_POSITIVE))?;
        let [x0, x1, y0, y1] = self.shear.unwrap_or_default();
        ascending("shear", [x0, x1], -89.0).and(ascending("shear", [y0, y1], -89.0))
    }

    pub(super) fn map(&self, image: &Image, affine: Affine) -> Step<Image> {
        let (h, w) = (image.height(), image.width());
        warp(image, &affine.inverse(h, w), h, w, self.interpolation, self.fill)
    }
}

impl OnImage for RandomAffine {
    fn on_image(&self, image: &Image, rng: &mut Random) -> Step<Image> {
        let angle = uniform(rng, self.degrees);
        let [tx, ty] = self.translate.unwrap_or_default();
        let mut move_by = |part: f64, size: usize| {
            let most = part * size as f64;
            uniform(rng, [-most, most]).round_ties_even()
        };
        let translate = [move_by(tx, image.width()), move_by(ty, image.height())];
        let scale = uniform(rng, self.scale.unwrap_or([1.0; 2]));
        let [x0, x1, y0, y1] = self.shear.unwrap_or_default();
        let shear = [uniform(rng, [x0, x1]), uniform(rng, [y0, y1])];
        self.map(image, Affine { angle, translate, scale, shear })
    }
}
