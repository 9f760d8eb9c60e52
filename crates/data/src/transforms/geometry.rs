//! Steps that choose and move pixels: resizing, cropping, flipping.

use super::{OnImage, Step, ascending, probability, uniform};
use crate::{Image, InterpolationMode, Random};
use rand::RngExt;
use serde::{Deserialize, Deserializer, Serialize};

/// One number or two: torchvision's `size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a size is a whole number, or two: [height, width]")]
pub enum Extent {
    /// For [`Resize`] the shorter side, for crops both.
    One(usize),
    /// Height and width.
    Both([usize; 2]),
}

/// Angles as torchvision takes them: one number, for minus to plus it, or both ends.
pub(super) fn degrees<'de, D: Deserializer<'de>>(from: D) -> Result<[f64; 2], D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`degrees` is one number, which stands for minus to plus it, or two: [from, to]")]
    enum Degrees {
        One(f64),
        Two([f64; 2]),
    }
    Degrees::deserialize(from).map(|d| match d {
        Degrees::One(most) => [-most, most],
        Degrees::Two(ends) => ends,
    })
}

impl From<usize> for Extent {
    fn from(size: usize) -> Extent {
        Extent::One(size)
    }
}

impl From<[usize; 2]> for Extent {
    fn from(size: [usize; 2]) -> Extent {
        Extent::Both(size)
    }
}

impl From<(usize, usize)> for Extent {
    fn from((height, width): (usize, usize)) -> Extent {
        Extent::Both([height, width])
    }
}

impl Extent {
    /// Height and width of a crop.
    fn square(self) -> [usize; 2] {
        match self {
            Extent::One(n) => [n, n],
            Extent::Both(size) => size,
        }
    }

    fn check(self) -> Step<()> {
        match self.square() {
            [h, w] if h > 0 && w > 0 => Ok(()),
            [h, w] => Err(format!("a size of {h}x{w} has no pixels")),
        }
    }
}

/// Brings a picture to a size, as Pillow does with antialias.
///
/// With one number the shorter side becomes that long and the proportions are kept; with two they are not.
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.Resize.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    size: Extent,
    #[serde(default)]
    interpolation: InterpolationMode,
}

impl Resize {
    /// To this size, bilinear.
    pub fn new(size: impl Into<Extent>) -> Resize {
        Resize { size: size.into(), interpolation: InterpolationMode::default() }
    }

    /// How values between pixels are found.
    pub fn interpolation(mut self, mode: InterpolationMode) -> Resize {
        self.interpolation = mode;
        self
    }

    pub(super) fn check(&self) -> Step<()> {
        self.size.check()
    }

    /// Height and width of what becomes of a picture.
    pub(super) fn extent(&self, height: usize, width: usize) -> [usize; 2] {
        match self.size {
            Extent::Both(size) => size,
            Extent::One(n) if height <= width => [n, n * width / height],
            Extent::One(n) => [n * height / width, n],
        }
    }
}

impl OnImage for Resize {
    fn on_image(&self, image: &Image, _: &mut Random) -> Step<Image> {
        let [h, w] = self.extent(image.height(), image.width());
        Ok(image.resize(h, w, self.interpolation))
    }
}

/// Cuts out the middle; a picture that is too small gets a black border first.
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.CenterCrop.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CenterCrop {
    size: Extent,
}

impl CenterCrop {
    /// Of this size; one number means a square.
    pub fn new(size: impl Into<Extent>) -> CenterCrop {
        CenterCrop { size: size.into() }
    }

    pub(super) fn check(&self) -> Step<()> {
        self.size.check()
    }

    /// The part of a picture's pixels that is kept.
    pub(super) fn kept(&self, height: usize, width: usize) -> f64 {
        let [h, w] = self.size.square();
        (h.min(height) * w.min(width)) as f64 / (height * width) as f64
    }
}

/// Where a crop of `size` begins in the middle of `full`; torchvision pads a side that is too short by half of
/// what is missing, rounded down, in front.
fn middle(full: usize, size: usize) -> isize {
    match size > full {
        true => -(((size - full) / 2) as isize),
        false => ((full - size) as f64 / 2.0).round_ties_even() as isize,
    }
}

impl OnImage for CenterCrop {
    fn on_image(&self, image: &Image, _: &mut Random) -> Step<Image> {
        let [h, w] = self.size.square();
        Ok(image.crop(middle(image.height(), h), middle(image.width(), w), h, w))
    }
}

/// Cuts out the four corners and the middle: every example becomes five.
///
/// The tensor of an example gets a first dimension of 5, in the order top left, top right, bottom left, bottom
/// right, centre; predictions are averaged over it.
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.FiveCrop.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FiveCrop {
    size: Extent,
}

impl FiveCrop {
    /// Of this size; one number means squares.
    pub fn new(size: impl Into<Extent>) -> FiveCrop {
        FiveCrop { size: size.into() }
    }

    pub(super) fn check(&self) -> Step<()> {
        self.size.check()
    }

    pub(super) fn crops(&self, image: &Image) -> Step<Vec<Image>> {
        let [h, w] = self.size.square();
        let (height, width) = (image.height(), image.width());
        if h > height || w > width {
            return Err(format!("crops of {h}x{w} do not fit into a picture of {height}x{width}"));
        }
        let (bottom, right) = ((height - h) as isize, (width - w) as isize);
        let corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (middle(height, h), middle(width, w))];
        Ok(corners.iter().map(|&(top, left)| image.crop(top, left, h, w)).collect())
    }
}

/// What a border is filled with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaddingMode {
    /// One value, `fill`.
    #[default]
    Constant,
    /// The outermost pixels, repeated.
    Edge,
    /// The picture mirrored at its outermost pixels, which come once.
    Reflect,
}

/// The width of a border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a padding is one number, two [left and right, top and bottom], or four from the left")]
pub enum Padding {
    /// On all sides.
    All(usize),
    /// Left and right, then top and bottom.
    Pair([usize; 2]),
    /// Left, top, right, bottom.
    Each([usize; 4]),
}

impl From<usize> for Padding {
    fn from(n: usize) -> Padding {
        Padding::All(n)
    }
}

impl From<[usize; 2]> for Padding {
    fn from(sides: [usize; 2]) -> Padding {
        Padding::Pair(sides)
    }
}

impl From<[usize; 4]> for Padding {
    fn from(sides: [usize; 4]) -> Padding {
        Padding::Each(sides)
    }
}

impl Padding {
    /// Left, top, right, bottom.
    fn sides(self) -> [usize; 4] {
        match self {
            Padding::All(n) => [n; 4],
            Padding::Pair([x, y]) => [x, y, x, y],
            Padding::Each(sides) => sides,
        }
    }
}

/// Cuts out a rectangle at a random place, after adding a border if one is asked for.
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomCrop.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomCrop {
    size: Extent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    padding: Option<Padding>,
    #[serde(default)]
    pad_if_needed: bool,
    #[serde(default)]
    fill: u8,
    #[serde(default)]
    padding_mode: PaddingMode,
}

impl RandomCrop {
    /// Of this size; one number means a square.
    pub fn new(size: impl Into<Extent>) -> RandomCrop {
        RandomCrop {
            size: size.into(),
            padding: None,
            pad_if_needed: false,
            fill: 0,
            padding_mode: PaddingMode::Constant,
        }
    }

    /// The border that is added first.
    pub fn padding(mut self, padding: impl Into<Padding>) -> RandomCrop {
        self.padding = Some(padding.into());
        self
    }

    /// Whether a picture that is too small gets a border.
    pub fn pad_if_needed(mut self, yes: bool) -> RandomCrop {
        self.pad_if_needed = yes;
        self
    }

    /// The value of a constant border.
    pub fn fill(mut self, value: u8) -> RandomCrop {
        self.fill = value;
        self
    }

    /// What the border is made of.
    pub fn padding_mode(mut self, mode: PaddingMode) -> RandomCrop {
        self.padding_mode = mode;
        self
    }

    pub(super) fn check(&self) -> Step<()> {
        self.size.check()
    }

    /// The picture with its border.
    pub(super) fn padded(&self, image: &Image) -> Step<Image> {
        let [h, w] = self.size.square();
        let mut sides = self.padding.map_or([0; 4], Padding::sides);
        if self.pad_if_needed {
            // torchvision adds the whole of what is missing on both sides.
            let short = |size: usize, have: usize| size.saturating_sub(have);
            let x = short(w, image.width() + sides[0] + sides[2]);
            let y = short(h, image.height() + sides[1] + sides[3]);
            sides = [sides[0] + x, sides[1] + y, sides[2] + x, sides[3] + y];
        }
        if sides == [0; 4] {
            return Ok(image.clone());
        }
        pad(image, sides, self.padding_mode, self.fill)
    }
}

/// A border around a picture: left, top, right, bottom.
pub(super) fn pad(image: &Image, [left, top, right, bottom]: [usize; 4], mode: PaddingMode, fill: u8) -> Step<Image> {
    let (h, w, c) = (image.height(), image.width(), image.channels());
    if mode == PaddingMode::Reflect && (left.max(right) >= w || top.max(bottom) >= h) {
        return Err(format!("a border of {} mirrored pixels is wider than a picture of {h}x{w}", left.max(top)));
    }
    // The pixel of the picture that stands at this place of a row or column.
    let from = |at: usize, before: usize, n: usize| -> Option<usize> {
        let i = at as isize - before as isize;
        let last = n as isize - 1;
        match mode {
            _ if (0..=last).contains(&i) => Some(i as usize),
            PaddingMode::Constant => None,
            PaddingMode::Edge => Some(i.clamp(0, last) as usize),
            PaddingMode::Reflect => Some(if i < 0 { -i } else { 2 * last - i } as usize),
        }
    };
    let (height, width) = (h + top + bottom, w + left + right);
    let mut out = Image::filled(height, width, &vec![fill; c]);
    let columns: Vec<Option<usize>> = (0..width).map(|x| from(x, left, w)).collect();
    for (y, row) in out.data_mut().chunks_exact_mut(width * c).enumerate() {
        let Some(y) = from(y, top, h) else { continue };
        if mode == PaddingMode::Constant {
            row[left * c..(left + w) * c].copy_from_slice(&image.data()[y * w * c..(y + 1) * w * c]);
            continue;
        }
        for (pixel, x) in row.chunks_exact_mut(c).zip(&columns) {
            pixel.copy_from_slice(image.pixel(y, x.expect("every place has a pixel")));
        }
    }
    Ok(out)
}

impl OnImage for RandomCrop {
    fn on_image(&self, image: &Image, rng: &mut Random) -> Step<Image> {
        let [h, w] = self.size.square();
        let padded = self.padded(image)?;
        let (height, width) = (padded.height(), padded.width());
        if h > height || w > width {
            return Err(format!(
                "a crop of {h}x{w} does not fit into a picture of {height}x{width}; set pad_if_needed, or resize first"
            ));
        }
        let (top, left) = (rng.random_range(0..=height - h), rng.random_range(0..=width - w));
        Ok(padded.crop(top as isize, left as isize, h, w))
    }
}

/// Cuts out a rectangle of random area and proportions at a random place, and resizes it.
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomResizedCrop.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomResizedCrop {
    size: Extent,
    #[serde(default = "RandomResizedCrop::default_scale")]
    scale: [f64; 2],
    #[serde(default = "RandomResizedCrop::default_ratio")]
    ratio: [f64; 2],
    #[serde(default)]
    interpolation: InterpolationMode,
}

impl RandomResizedCrop {
    fn default_scale() -> [f64; 2] {
        [0.08, 1.0]
    }

    fn default_ratio() -> [f64; 2] {
        [3.0 / 4.0, 4.0 / 3.0]
    }

    /// To this size (one number means a square), from 8 to 100 % of the area, proportions from 3:4 to 4:3.
    pub fn new(size: impl Into<Extent>) -> RandomResizedCrop {
        RandomResizedCrop {
            size: size.into(),
            scale: Self::default_scale(),
            ratio: Self::default_ratio(),
            interpolation: InterpolationMode::default(),
        }
    }

    /// The part of the area that is cut out, from and to.
    pub fn scale(mut self, from: f64, to: f64) -> RandomResizedCrop {
        self.scale = [from, to];
        self
    }

    /// Width divided by height, from and to.
    pub fn ratio(mut self, from: f64, to: f64) -> RandomResizedCrop {
        self.ratio = [from, to];
        self
    }

    /// How values between pixels are found.
    pub fn interpolation(mut self, mode: InterpolationMode) -> RandomResizedCrop {
        self.interpolation = mode;
        self
    }

    pub(super) fn check(&self) -> Step<()> {
        self.size.check()?;
        ascending("scale", self.scale, f64::MIN_POSITIVE)?;
        ascending("ratio", self.ratio, f64::MIN_POSITIVE)
    }

    /// Top, left, height and width of the rectangle.
    pub(super) fn place(&self, height: usize, width: usize, rng: &mut Random) -> [usize; 4] {
        let area = (height * width) as f64;
        for _ in 0..10 {
            let target = area * uniform(rng, self.scale);
            let ratio = uniform(rng, self.ratio.map(f64::ln)).exp();
            let (w, h) = ((target * ratio).sqrt().round_ties_even(), (target / ratio).sqrt().round_ties_even());
            let (w, h) = (w as usize, h as usize);
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                return [rng.random_range(0..=height - h), rng.random_range(0..=width - w), h, w];
            }
        }
        // No rectangle was found: the largest in the middle with proportions within the bounds.
        let (full, [low, high]) = (width as f64 / height as f64, self.ratio);
        let (h, w) = match () {
            _ if full < low => (((width as f64 / low).round_ties_even() as usize).clamp(1, height), width),
            _ if full > high => (height, ((height as f64 * high).round_ties_even() as usize).clamp(1, width)),
            _ => (height, width),
        };
        [(height - h) / 2, (width - w) / 2, h, w]
    }
}

impl OnImage for RandomResizedCrop {
    fn on_image(&self, image: &Image, rng: &mut Random) -> Step<Image> {
        let [top, left, h, w] = self.place(image.height(), image.width(), rng);
        let [height, width] = self.size.square();
        Ok(image.crop(top as isize, left as isize, h, w).resize(height, width, self.interpolation))
    }
}

macro_rules! flip {
    ($name:ident, $method:ident, $what:literal, $url:literal) => {
        #[doc = $what]
        ///
        #[doc = concat!("Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.", $url, ".html>")]
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            p: f64,
        }

        impl Default for $name {
            fn default() -> $name {
                $name { p: 0.5 }
            }
        }

        impl $name {
            /// In half of the cases.
            pub fn new() -> $name {
                $name::default()
            }

            /// How often, between 0 and 1.
            pub fn p(mut self, p: f64) -> $name {
                self.p = p;
                self
            }

            pub(super) fn check(&self) -> Step<()> {
                probability(self.p)
            }
        }

        impl OnImage for $name {
            fn on_image(&self, image: &Image, rng: &mut Random) -> Step<Image> {
                Ok(if rng.random::<f64>() < self.p { image.$method() } else { image.clone() })
            }
        }
    };
}
flip!(RandomHorizontalFlip, hflip, "Swaps left and right now and then.", "RandomHorizontalFlip");
flip!(RandomVerticalFlip, vflip, "Swaps top and bottom now and then.", "RandomVerticalFlip");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draw;

    fn counting(h: usize, w: usize) -> Image {
        Image::new((0..h * w).map(|i| i as u8).collect(), h, w, 1)
    }

    #[test]
    fn borders_are_constant_repeated_or_mirrored() {
        let image = counting(2, 3);
        let with = |mode| pad(&image, [2, 1, 1, 0], mode, 9).unwrap();
        assert_eq!(with(PaddingMode::Constant).data(), [9, 9, 9, 9, 9, 9, 9, 9, 0, 1, 2, 9, 9, 9, 3, 4, 5, 9]);
        assert_eq!(with(PaddingMode::Edge).data(), [0, 0, 0, 1, 2, 2, 0, 0, 0, 1, 2, 2, 3, 3, 3, 4, 5, 5]);
        assert_eq!(with(PaddingMode::Reflect).data(), [5, 4, 3, 4, 5, 4, 2, 1, 0, 1, 2, 1, 5, 4, 3, 4, 5, 4]);
        assert!(pad(&image, [3, 0, 0, 0], PaddingMode::Reflect, 0).unwrap_err().contains("wider than"));
    }

    #[test]
    fn a_random_crop_reaches_every_place_and_no_other() {
        let (crop, image) = (RandomCrop::new([2, 3]), counting(4, 5));
        let mut seen = [[0; 3]; 3];
        for i in 0..400 {
            let out = crop.on_image(&image, &mut Draw::new(1, 0).rng(i)).unwrap();
            let at = usize::from(out.data()[0]);
            seen[at / 5][at % 5] += 1;
        }
        assert!(seen.iter().flatten().all(|&n| (20..80).contains(&n)), "{seen:?}");
        let e = RandomCrop::new(6).on_image(&image, &mut Draw::new(1, 0).rng(0)).unwrap_err();
        assert!(e.contains("6x6 does not fit into a picture of 4x5"), "{e}");
        let out = RandomCrop::new(6).pad_if_needed(true).on_image(&image, &mut Draw::new(1, 0).rng(0)).unwrap();
        assert_eq!((out.height(), out.width()), (6, 6));
    }

    #[test]
    fn a_resized_crop_keeps_to_its_area_and_proportions() {
        let crop = RandomResizedCrop::new(8).scale(0.2, 0.5).ratio(0.5, 2.0);
        let places: Vec<[usize; 4]> = (0..300).map(|i| crop.place(60, 80, &mut Draw::new(2, 0).rng(i))).collect();
        for &[top, left, h, w] in &places {
            let (area, ratio) = ((h * w) as f64 / 4800.0, w as f64 / h as f64);
            assert!(top + h <= 60 && left + w <= 80 && (0.18..0.52).contains(&area) && (0.47..2.1).contains(&ratio));
        }
        let mean = places.iter().map(|p| (p[2] * p[3]) as f64 / 4800.0).sum::<f64>() / 300.0;
        assert!((mean - 0.35).abs() < 0.03, "{mean}");
        // A strip has no rectangle of these proportions: the middle is taken.
        let strip = RandomResizedCrop::new(8).scale(1.0, 1.0);
        assert_eq!(strip.place(10, 100, &mut Draw::new(2, 0).rng(0)), [0, 43, 10, 13]);
    }

    #[test]
    fn flips_happen_as_often_as_said() {
        let image = counting(2, 2);
        let flipped = |p| {
            let flip = RandomHorizontalFlip::new().p(p);
            (0..500).filter(|&i| flip.on_image(&image, &mut Draw::new(3, 0).rng(i)).unwrap() != image).count()
        };
        assert_eq!((flipped(0.0), flipped(1.0)), (0, 500));
        assert!((200..300).contains(&flipped(0.5)));
        assert_eq!(image.vflip().data(), [2, 3, 0, 1]);
    }
}
