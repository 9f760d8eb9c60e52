//! Pictures in files.

use crate::{DataError, Image, InterpolationMode};
use gradus_tensor::Tensor;
use std::path::Path;

/// Reads a PNG or JPEG file as a tensor [channels, H, W] of f32 in [0, 1].
///
/// One channel is the brightness, three are red, green and blue. Where the picture is transparent it is white.
///
/// # Errors
/// If the file cannot be read or is not a whole PNG or JPEG picture.
///
/// # Panics
/// If `channels` is neither 1 nor 3.
#[track_caller]
pub fn read_image(path: impl AsRef<Path>, channels: usize) -> Result<Tensor, DataError> {
    Ok(Image::open(path)?.with_channels(channels).to_tensor())
}

/// As [`read_image`], brought to [channels, height, width] by a triangle (bilinear) filter that takes
/// every pixel into account when it shrinks. The picture's proportions are not kept.
///
/// # Errors
/// As [`read_image`].
///
/// # Panics
/// If `channels` is neither 1 nor 3, or an extent is 0.
#[track_caller]
pub fn read_image_resized(
    path: impl AsRef<Path>,
    channels: usize,
    height: usize,
    width: usize,
) -> Result<Tensor, DataError> {
    assert!(height > 0 && width > 0, "read_image_resized: an image of {height}x{width} has no pixels");
    let image = Image::open(path)?.resize(height, width, InterpolationMode::Bilinear);
    Ok(image.with_channels(channels).to_tensor())
}

/// Whether the border of an image [C, H, W] in [0, 1] is rather white than black: a digit photographed on
/// paper, where the models for MNIST expect ink as 1 on a ground of 0 and need `1.0 - image`.
///
/// # Panics
/// If the image does not have three dimensions, or is empty.
#[track_caller]
pub fn has_light_background(image: &Tensor) -> bool {
    let shape = image.shape();
    assert!(shape.len() == 3 && shape.numel() > 0, "has_light_background: needs an image [C, H, W], got {shape}");
    let (height, width) = (shape[1], shape[2]);
    let pixels = image.to_vec::<f32>();
    let border = pixels.iter().enumerate().filter(|(i, _)| {
        let (y, x) = (i / width % height, i % width);
        y == 0 || x == 0 || y == height - 1 || x == width - 1
    });
    let (sum, count) = border.fold((0.0, 0), |(sum, count), (_, v)| (sum + v, count + 1));
    sum / count as f32 > 0.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};

    fn saved(image: impl Into<DynamicImage>, name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        image.into().save(&path).unwrap();
        (dir, path)
    }

    #[test]
    fn grey_and_colour_are_laid_out_by_channel() {
        let (_d, path) = saved(GrayImage::from_fn(3, 2, |x, y| Luma([(x * 51 + y * 102) as u8])), "g.png");
        let t = read_image(&path, 1).unwrap();
        assert_eq!((&*t.shape(), t.at(&[0, 1, 2])), (&[1, 2, 3][..], f64::from(0.8f32)));
        let grey = read_image(&path, 3).unwrap();
        assert_eq!(grey.at(&[0, 1, 1]), grey.at(&[2, 1, 1]));
        let (_d, path) = saved(RgbImage::from_fn(2, 1, |x, _| Rgb([255, 0, x as u8 * 255])), "c.png");
        let t = read_image(&path, 3).unwrap();
        assert_eq!(t.shape(), [3, 1, 2]);
        assert_eq!(t.to_vec::<f32>(), [1.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        let (_d, path) = saved(GrayImage::from_pixel(8, 8, Luma([128])), "j.jpg");
        assert!((read_image(&path, 1).unwrap().mean().item() - 128.0 / 255.0).abs() < 0.01);
    }

    #[test]
    fn shrinking_averages_and_transparency_is_white() {
        let (_d, path) = saved(GrayImage::from_fn(16, 16, |x, _| Luma([if x % 2 == 0 { 0 } else { 255 }])), "s.png");
        let t = read_image_resized(&path, 1, 4, 4).unwrap();
        assert_eq!(t.shape(), [1, 4, 4]);
        assert!((t.at(&[0, 2, 2]) - 0.5).abs() < 0.1, "stripes must blend, got {t}");
        assert_eq!(
            read_image_resized(&path, 1, 16, 16).unwrap().to_vec::<f32>(),
            read_image(&path, 1).unwrap().to_vec::<f32>()
        );
        let (_d, path) = saved(RgbaImage::from_fn(2, 1, |x, _| Rgba([0, 0, 0, x as u8 * 255])), "a.png");
        assert_eq!(read_image(&path, 1).unwrap().to_vec::<f32>(), [1.0, 0.0]);
    }

    #[test]
    fn ink_on_paper_is_noticed() {
        let mut image = vec![1.0f32; 25];
        image[12] = 0.0;
        let paper = Tensor::from_vec(image, [1, 5, 5]);
        assert!(has_light_background(&paper) && !has_light_background(&(1.0 - &paper)));
    }

    #[test]
    fn a_file_that_is_no_picture_is_an_error() {
        let (dir, path) = saved(GrayImage::new(20, 20), "cut.png");
        let good = std::fs::read(&path).unwrap();
        for n in 0..good.len() - 12 {
            std::fs::write(&path, &good[..n]).unwrap();
            let e = read_image(&path, 1).map(|_| ()).unwrap_err();
            assert!(matches!(&e, DataError::Malformed { .. }) && e.to_string().contains("cut.png"), "{n}: {e:?}");
        }
        for i in 0..good.len() {
            let mut f = good.clone();
            f[i] ^= 0xff;
            std::fs::write(&path, &f).unwrap();
            let _ = read_image(&path, 3);
        }
        assert!(matches!(read_image(dir.path().join("absent.png"), 1), Err(DataError::Io { .. })));
        let (_d, path) = saved(RgbImage::from_fn(40, 40, |x, y| Rgb([(x * y) as u8, y as u8, 90])), "cut.jpg");
        let good = std::fs::read(&path).unwrap();
        for n in 0..good.len() {
            std::fs::write(&path, &good[..n]).unwrap();
            let e = read_image(&path, 3).map(|_| ()).unwrap_err();
            assert!(e.to_string().contains("cut.jpg: picture: found"), "{n}: {e:?}");
        }
    }
}
