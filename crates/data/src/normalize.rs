//! From pixels to what a network likes to see.

use gradus_tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

/// The mean of ImageNet's red, green and blue, for pixels in [0, 1].
pub const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
/// The standard deviation of ImageNet's red, green and blue, for pixels in [0, 1].
pub const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];

/// Pixels as f32 in [0, 1]: bytes are divided by 255, floats are taken to be in [0, 1] already.
///
/// # Panics
/// For other element types, whose range is not known.
#[track_caller]
pub fn to_unit(pixels: &Tensor) -> Tensor {
    match pixels.dtype() {
        DType::U8 => pixels.to_dtype(DType::F32) / 255.0,
        d if d.is_float() => pixels.to_dtype(DType::F32),
        d => panic!("to_unit: the range of {d} pixels is not known; give u8 (0 to 255) or floats (0 to 1)"),
    }
}

/// Shifts and scales each channel: (x - mean) / std.
///
/// ```
/// use gradus_data::{Normalize, digits};
/// let (images, _) = digits();
/// let scale = Normalize::of(&images);
/// let x = scale.apply(&images);
/// assert!(x.mean().item().abs() < 1e-4 && (x.std(0).item() - 1.0).abs() < 1e-4);
/// ```
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.Normalize.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Normalize {
    /// With the given values for each channel.
    ///
    /// # Panics
    /// If there are not as many means as deviations, or a deviation is not above 0.
    #[track_caller]
    pub fn new(mean: &[f64], std: &[f64]) -> Normalize {
        let scale = Normalize { mean: mean.to_vec(), std: std.to_vec() };
        if let Err(e) = scale.check() {
            panic!("Normalize: {e}");
        }
        scale
    }

    /// Whether what was read makes sense.
    pub(crate) fn check(&self) -> Result<(), String> {
        match (self.mean.len(), self.std.len()) {
            (m, s) if m != s => Err(format!("{m} means and {s} deviations")),
            _ if self.std.iter().any(|&s| s.is_nan() || s <= 0.0) => {
                Err(format!("the deviations {:?} must be above 0", self.std))
            }
            _ => Ok(()),
        }
    }

    /// With the actual mean and (population) deviation of these images, computed in f64.
    /// A channel that is the same everywhere is only shifted.
    ///
    /// # Shapes
    /// `images`: [N, C, H, W], not empty.
    ///
    /// # Panics
    /// For another rank or no images.
    #[track_caller]
    pub fn of(images: &Tensor) -> Normalize {
        let shape = images.shape();
        assert!(shape.len() == 4 && shape.numel() > 0, "Normalize: needs images [N, C, H, W], got the shape {shape}");
        let (n, channels, plane) = (shape[0], shape[1], shape[2] * shape[3]);
        let average = |c: usize, f: &dyn Fn(&[f32]) -> f64| {
            // In pieces of about a megabyte.
            let pieces = images.select(1, c).split((1 << 18) / plane + 1, 0);
            let sums = pieces.iter().map(|piece| f(&piece.to_dtype(DType::F32).to_vec::<f32>()));
            sums.sum::<f64>() / (n * plane) as f64
        };
        let mean: Vec<f64> = (0..channels).map(|c| average(c, &|p| total(p, |v| v))).collect();
        let variance = mean.iter().enumerate().map(|(c, &m)| average(c, &|p| total(p, |v| (v - m) * (v - m))));
        let std = variance.map(f64::sqrt);
        Normalize { std: std.map(|s| if s > 0.0 { s } else { 1.0 }).collect(), mean }
    }

    /// The mean of each channel.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The deviation of each channel.
    pub fn std(&self) -> &[f64] {
        &self.std
    }

    /// The images shifted and scaled.
    ///
    /// # Shapes
    /// `images`: [N, C, H, W] or [C, H, W]; result: the same.
    ///
    /// # Panics
    /// If the channels are not as many as the means.
    #[track_caller]
    pub fn apply(&self, images: &Tensor) -> Tensor {
        let shape = images.shape();
        let channels = self.mean.len();
        assert!(
            shape.len() >= 3 && shape[shape.len() - 3] == channels,
            "Normalize: images of the shape {shape} do not have {channels} channels"
        );
        let per_channel = |v: Vec<f32>| Tensor::from_vec(v, [channels, 1, 1]);
        let factor = per_channel(self.std.iter().map(|s| (1.0 / s) as f32).collect());
        let mean = per_channel(self.mean.iter().map(|&m| m as f32).collect());
        (images - mean) * factor
    }
}

/// The sum of f over the values, in eight strands so that it vectorises.
fn total(values: &[f32], f: impl Fn(f64) -> f64) -> f64 {
    let (blocks, rest) = values.as_chunks::<8>();
    let mut strands = [0.0; 8];
    for block in blocks {
        for (s, &v) in strands.iter_mut().zip(block) {
            *s += f(f64::from(v));
        }
    }
    strands.iter().sum::<f64>() + rest.iter().map(|&v| f(f64::from(v))).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bytes_are_divided() {
        assert_eq!(to_unit(&Tensor::from_vec(vec![0u8, 51, 255], [3])).to_vec::<f32>(), [0.0, 0.2, 1.0]);
        assert_eq!(to_unit(&Tensor::from_vec(vec![0.5f64], [1])).to_vec::<f32>(), [0.5]);
    }

    #[test]
    #[should_panic(expected = "range of i32")]
    fn integers_of_unknown_range_are_refused() {
        to_unit(&Tensor::from_vec(vec![3i32], [1]));
    }

    #[test]
    fn each_channel_has_its_own_scale() {
        // Channel 0 is 0, 2, 4, 6 over two images; channel 1 is 5 everywhere.
        let x = Tensor::from_vec(vec![0.0f32, 2.0, 5.0, 5.0, 4.0, 6.0, 5.0, 5.0], [2, 2, 1, 2]);
        let n = Normalize::of(&x);
        assert_eq!((n.mean(), n.std()), (&[3.0, 5.0][..], &[5f64.sqrt(), 1.0][..]));
        let y = n.apply(&x).to_vec::<f32>();
        let s = 5f32.sqrt();
        for (got, want) in y.iter().zip([-3.0 / s, -1.0 / s, 0.0, 0.0, 1.0 / s, 3.0 / s, 0.0, 0.0]) {
            assert!((got - want).abs() < 1e-6, "{y:?}");
        }
        assert_eq!(n.apply(&x.select(0, 1)).shape(), [2, 1, 2]);
        let imagenet = Normalize::new(&IMAGENET_MEAN, &IMAGENET_STD);
        assert!((imagenet.apply(&Tensor::ones([3, 1, 1])).at(&[0, 0, 0]) - 0.515 / 0.229).abs() < 1e-5);
    }

    #[test]
    #[should_panic(expected = "do not have 3 channels")]
    fn channels_must_agree() {
        Normalize::new(&IMAGENET_MEAN, &IMAGENET_STD).apply(&Tensor::ones([1, 1, 2, 2]));
    }
}
