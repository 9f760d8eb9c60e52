//! Steps on floats, after [`ToTensor`].

use super::{Step, ascending, probability, uniform};
use crate::{Image, Normalize, Random};
use gradus_tensor::Tensor;
use rand::RngExt;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

/// The floats of one picture, [C, H, W].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Planes {
    pub(crate) data: Vec<f32>,
    pub(crate) shape: [usize; 3],
}

impl Planes {
    /// Bytes divided by 255, channel by channel.
    pub(crate) fn of(image: &Image) -> Planes {
        let (c, plane) = (image.channels(), image.height() * image.width());
        let mut data = Vec::with_capacity(c * plane);
        for channel in 0..c {
            // [H, W, C] -> [C, H, W]
            data.extend(image.data()[channel..].iter().step_by(c).map(|&v| f32::from(v) / 255.0));
        }
        Planes { data, shape: [c, image.height(), image.width()] }
    }

    pub(crate) fn into_tensor(self) -> Tensor {
        Tensor::from_vec(self.data, self.shape)
    }

    fn channels(&mut self) -> std::slice::ChunksExactMut<'_, f32> {
        let plane = self.shape[1] * self.shape[2];
        self.data.chunks_exact_mut(plane)
    }

    /// Each channel shifted and scaled.
    pub(super) fn normalize(&mut self, scale: &Normalize) -> Step<()> {
        let (mean, std) = (scale.mean(), scale.std());
        if mean.len() != self.shape[0] {
            return Err(format!("{} means for a picture of {} channels", mean.len(), self.shape[0]));
        }
        for (channel, (&m, &s)) in self.channels().zip(mean.iter().zip(std)) {
            let (m, factor) = (m as f32, (1.0 / s) as f32);
            channel.iter_mut().for_each(|v| *v = (*v - m) * factor);
        }
        Ok(())
    }
}

/// Bytes from 0 to 255 as floats in [0, 1], [H, W, C] as [C, H, W].
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.ToTensor.html>
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToTensor {}

impl ToTensor {
    /// The only one there is.
    pub fn new() -> ToTensor {
        ToTensor {}
    }
}

/// Subtracts the mean of each channel, scaling nothing.
///
/// ```
/// use gradus_data::transforms::{Compose, SubtractMean, ToTensor};
/// use gradus_data::{Draw, Image};
/// let steps = Compose::new([ToTensor::new().into(), SubtractMean::new(&[0.25]).into()]);
/// let out = steps.apply(&Image::filled(2, 2, &[255]), &mut Draw::default().rng(0)).unwrap();
/// assert_eq!(out.at(&[0, 1, 1]), 0.75);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubtractMean {
    mean: Vec<f64>,
}

impl SubtractMean {
    /// With the mean of each channel.
    pub fn new(mean: &[f64]) -> SubtractMean {
        SubtractMean { mean: mean.to_vec() }
    }

    /// With the actual channel means of images [N, C, H, W] in [0, 1].
    ///
    /// # Panics
    /// As [`Normalize::of`].
    #[track_caller]
    pub fn of(images: &Tensor) -> SubtractMean {
        SubtractMean { mean: Normalize::of(images).mean().to_vec() }
    }

    /// The mean of each channel.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    pub(super) fn apply(&self, x: &mut Planes) -> Step<()> {
        x.normalize(&Normalize::new(&self.mean, &vec![1.0; self.mean.len()]))
    }
}

/// Subtracts the mean picture of the training examples, pixel by pixel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubtractMeanImage {
    shape: [usize; 3],
    mean: Vec<f32>,
}

impl SubtractMeanImage {
    /// With the mean picture [C, H, W] in [0, 1].
    ///
    /// # Panics
    /// If it has another number of dimensions.
    #[track_caller]
    pub fn new(mean: &Tensor) -> SubtractMeanImage {
        let shape = mean.shape();
        assert!(shape.len() == 3, "SubtractMeanImage: needs an image [C, H, W], got the shape {shape}");
        SubtractMeanImage { shape: [shape[0], shape[1], shape[2]], mean: mean.to_vec() }
    }

    /// With the mean of images [N, C, H, W] in [0, 1].
    ///
    /// # Panics
    /// If they have another number of dimensions.
    #[track_caller]
    pub fn of(images: &Tensor) -> SubtractMeanImage {
        SubtractMeanImage::new(&images.mean_dim(0, false))
    }

    /// The mean of each channel of the mean picture.
    pub fn channel_means(&self) -> Vec<f64> {
        let pixels = (self.shape[1] * self.shape[2]).max(1);
        let mean = |plane: &[f32]| plane.iter().map(|v| f64::from(*v)).sum::<f64>() / pixels as f64;
        self.mean.chunks(pixels).map(mean).collect()
    }

    pub(super) fn check(&self) -> Step<()> {
        match self.shape.iter().product::<usize>() == self.mean.len() {
            true => Ok(()),
            false => Err(format!("{} numbers are not a picture of {:?}", self.mean.len(), self.shape)),
        }
    }

    pub(super) fn apply(&self, x: &mut Planes) -> Step<()> {
        if x.shape != self.shape {
            return Err(format!("the mean picture is {:?}, but the picture {:?}", self.shape, x.shape));
        }
        x.data.iter_mut().zip(&self.mean).for_each(|(v, m)| *v -= m);
        Ok(())
    }
}

/// Adds Gaussian noise; the result is clipped to [0, 1] unless `clip` is false.
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.v2.GaussianNoise.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianNoise {
    mean: f64,
    sigma: f64,
    clip: bool,
}

impl Default for GaussianNoise {
    fn default() -> GaussianNoise {
        GaussianNoise { mean: 0.0, sigma: 0.1, clip: true }
    }
}

impl GaussianNoise {
    /// Of mean 0 and deviation 0.1.
    pub fn new() -> GaussianNoise {
        GaussianNoise::default()
    }

    /// The mean of the noise.
    pub fn mean(mut self, mean: f64) -> GaussianNoise {
        self.mean = mean;
        self
    }

    /// The deviation of the noise.
    pub fn sigma(mut self, sigma: f64) -> GaussianNoise {
        self.sigma = sigma;
        self
    }

    /// Whether the result stays in [0, 1].
    pub fn clip(mut self, clip: bool) -> GaussianNoise {
        self.clip = clip;
        self
    }

    pub(super) fn check(&self) -> Step<()> {
        ascending("sigma", [self.sigma; 2], 0.0)
    }

    pub(super) fn apply(&self, x: &mut Planes, rng: &mut Random) {
        for v in &mut x.data {
            *v += self.mean as f32 + self.sigma as f32 * rng.sample::<f32, _>(StandardNormal);
            if self.clip {
                *v = v.clamp(0.0, 1.0);
            }
        }
    }
}

/// Overwrites a random rectangle now and then.
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomErasing.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomErasing {
    p: f64,
    scale: [f64; 2],
    ratio: [f64; 2],
    value: f32,
}

impl Default for RandomErasing {
    fn default() -> RandomErasing {
        RandomErasing { p: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3], value: 0.0 }
    }
}

impl RandomErasing {
    /// In half of the cases, 2 to 33 % of the area, proportions from 0.3 to 3.3, with zeros.
    pub fn new() -> RandomErasing {
        RandomErasing::default()
    }

    /// How often, between 0 and 1.
    pub fn p(mut self, p: f64) -> RandomErasing {
        self.p = p;
        self
    }

    /// The part of the area, from and to.
    pub fn scale(mut self, from: f64, to: f64) -> RandomErasing {
        self.scale = [from, to];
        self
    }

    /// Height divided by width, from and to.
    pub fn ratio(mut self, from: f64, to: f64) -> RandomErasing {
        self.ratio = [from, to];
        self
    }

    /// What the rectangle is filled with.
    pub fn value(mut self, value: f32) -> RandomErasing {
        self.value = value;
        self
    }

    pub(super) fn check(&self) -> Step<()> {
        probability(self.p)?;
        ascending("scale", self.scale, f64::MIN_POSITIVE)?;
        ascending("ratio", self.ratio, f64::MIN_POSITIVE)
    }

    pub(super) fn apply(&self, x: &mut Planes, rng: &mut Random) {
        let [_, height, width] = x.shape;
        if rng.random::<f64>() >= self.p {
            return;
        }
        for _ in 0..10 {
            let target = (height * width) as f64 * uniform(rng, self.scale);
            let ratio = uniform(rng, self.ratio.map(f64::ln)).exp();
            let h = (target * ratio).sqrt().round_ties_even() as usize;
            let w = (target / ratio).sqrt().round_ties_even() as usize;
            if h < height && w < width {
                let (top, left) = (rng.random_range(0..=height - h), rng.random_range(0..=width - w));
                for channel in x.channels() {
                    let rows = channel.chunks_exact_mut(width).skip(top).take(h);
                    rows.for_each(|row| row[left..left + w].fill(self.value));
                }
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draw;

    fn flat(h: usize, w: usize) -> Planes {
        Planes { data: vec![0.5; 2 * h * w], shape: [2, h, w] }
    }

    #[test]
    fn noise_has_its_mean_and_deviation() {
        let mut x = flat(100, 100);
        GaussianNoise::new().mean(0.1).sigma(0.05).apply(&mut x, &mut Draw::new(1, 0).rng(0));
        let n = x.data.len() as f32;
        let mean = x.data.iter().sum::<f32>() / n;
        let std = (x.data.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt();
        assert!((mean - 0.6).abs() < 2e-3 && (std - 0.05).abs() < 2e-3, "{mean} {std}");
        let mut x = flat(50, 50);
        GaussianNoise::new().sigma(5.0).apply(&mut x, &mut Draw::new(1, 0).rng(0));
        assert!(x.data.iter().all(|v| (0.0..=1.0).contains(v)) && x.data.contains(&0.0) && x.data.contains(&1.0));
    }

    #[test]
    fn one_rectangle_of_the_right_area_is_erased_in_all_channels() {
        let erase = RandomErasing::new().p(1.0).scale(0.1, 0.2).value(7.0);
        for i in 0..50 {
            let mut x = flat(40, 30);
            erase.apply(&mut x, &mut Draw::new(4, 0).rng(i));
            let gone: Vec<usize> = (0..1200).filter(|&p| x.data[p] == 7.0).collect();
            assert!((0.08..0.22).contains(&(gone.len() as f64 / 1200.0)), "{}", gone.len());
            assert!(gone.iter().all(|p| x.data[1200 + p] == 7.0));
            let (rows, columns): (Vec<usize>, Vec<usize>) = gone.iter().map(|p| (p / 30, p % 30)).unzip();
            let span = |v: &[usize]| v.iter().max().unwrap() - v.iter().min().unwrap() + 1;
            assert_eq!(span(&rows) * span(&columns), gone.len());
        }
        let mut x = flat(8, 8);
        RandomErasing::new().p(0.0).apply(&mut x, &mut Draw::new(4, 0).rng(0));
        assert_eq!(x, flat(8, 8));
    }

    #[test]
    fn means_are_subtracted_by_channel_or_by_pixel() {
        let image = Tensor::from_vec(vec![0.0f32, 0.5, 1.0, 0.5], [2, 1, 1, 2]);
        let mut x = Planes { data: vec![1.0, 1.0], shape: [1, 1, 2] };
        SubtractMeanImage::of(&image).apply(&mut x).unwrap();
        assert_eq!(x.data, [0.5, 0.5]);
        SubtractMean::of(&image).apply(&mut x).unwrap();
        assert_eq!(x.data, [0.0, 0.0]);
        assert!(SubtractMeanImage::of(&image).apply(&mut flat(1, 2)).unwrap_err().contains("[1, 1, 2]"));
        assert!(SubtractMean::of(&image).apply(&mut flat(1, 2)).unwrap_err().contains("1 means"));
    }
}
