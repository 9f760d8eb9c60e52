//! A picture in memory.

use crate::DataError;
use crate::transforms::Planes;
use fast_image_resize::images::{Image as View, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use gradus_tensor::{Tensor, io::atomic_write};
use image::{DynamicImage, ImageReader};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::io::{Cursor, Write};
use std::path::Path;

/// How values between pixels are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InterpolationMode {
    /// The nearest pixel.
    Nearest,
    /// A triangle, widened when shrinking so that every pixel counts (antialias).
    #[default]
    Bilinear,
    /// A cubic with a = -0.5, widened in the same way.
    Bicubic,
}

/// A picture of bytes, [H, W, C], with one channel (brightness) or three (red, green, blue).
///
/// ```
/// use gradus_data::Image;
/// let image = Image::new(vec![0, 50, 100, 150], 2, 2, 1);
/// assert_eq!(image.hflip().data(), [50, 0, 150, 100]);
/// assert_eq!(image.to_tensor().shape(), [1, 2, 2]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    data: Vec<u8>,
    height: usize,
    width: usize,
    channels: usize,
}

impl Image {
    /// A picture from its bytes, row by row, the channels of a pixel side by side.
    ///
    /// # Panics
    /// If it has no pixels, other than 1 or 3 channels, or another number of bytes.
    #[track_caller]
    pub fn new(data: Vec<u8>, height: usize, width: usize, channels: usize) -> Image {
        assert!(channels == 1 || channels == 3, "Image: 1 or 3 channels, not {channels}");
        assert!(height > 0 && width > 0, "Image: {height}x{width} has no pixels");
        assert!(
            data.len() == height * width * channels,
            "Image: {} bytes are not {height}x{width}x{channels}",
            data.len()
        );
        Image { data, height, width, channels }
    }

    /// A picture of one colour (grey if it has one number).
    ///
    /// # Panics
    /// As [`Image::new`].
    #[track_caller]
    pub fn filled(height: usize, width: usize, colour: &[u8]) -> Image {
        Image::new(colour.repeat(height * width), height, width, colour.len())
    }

    /// Reads a PNG or JPEG file; where it is transparent it is white.
    ///
    /// # Errors
    /// If the file cannot be read or is not a whole picture.
    pub fn open(path: impl AsRef<Path>) -> Result<Image, DataError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| DataError::io(path, e))?;
        Image::decode(&bytes, path)
    }

    /// Decodes the content of a PNG or JPEG file; `path` is for the message.
    ///
    /// # Errors
    /// If it is not a whole picture.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Image, DataError> {
        let wrong = |found: String| DataError::malformed(path, "picture", found, "a whole PNG or JPEG file");
        // By the first bytes: a wrong extension does not matter.
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| DataError::io(path, e))?;
        let image = reader.decode().map_err(|e| wrong(e.to_string()))?;
        if bytes.starts_with(&[0xff, 0xd8]) && is_cut(bytes) {
            return Err(wrong(format!("a JPEG that breaks off after {} bytes", bytes.len())));
        }
        if image.width() == 0 || image.height() == 0 {
            return Err(wrong("no pixels".into()));
        }
        let (height, width) = (image.height() as usize, image.width() as usize);
        let image = on_white(image);
        Ok(match image.color().has_color() {
            true => Image::new(image.into_rgb8().into_raw(), height, width, 3),
            false => Image::new(image.into_luma8().into_raw(), height, width, 1),
        })
    }

    /// Writes a PNG file, aside first and then renamed.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_png(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        let path = path.as_ref();
        let (w, h) = (self.width as u32, self.height as u32);
        let colour = if self.channels == 3 { image::ColorType::Rgb8 } else { image::ColorType::L8 };
        let mut png = Vec::new();
        image::write_buffer_with_format(&mut Cursor::new(&mut png), &self.data, w, h, colour, image::ImageFormat::Png)
            .map_err(|e| DataError::io(path, std::io::Error::other(e)))?;
        atomic_write(path, |file| file.write_all(&png)).map_err(|e| DataError::io(path, e))
    }

    /// Rows of pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns of pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// 1 or 3.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The bytes, [H, W, C].
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// The channels of the pixel in row `y`, column `x`.
    ///
    /// # Panics
    /// If there is no such pixel.
    pub fn pixel(&self, y: usize, x: usize) -> &[u8] {
        &self.data[(y * self.width + x) * self.channels..][..self.channels]
    }

    /// With one channel (the brightness 0.299 R + 0.587 G + 0.114 B, rounded as Pillow does) or three (equal,
    /// if there was one).
    ///
    /// # Panics
    /// If `channels` is neither 1 nor 3.
    #[track_caller]
    pub fn with_channels(self, channels: usize) -> Image {
        let data = match (self.channels, channels) {
            (a, b) if a == b => return self,
            (3, 1) => self.data.chunks_exact(3).map(luma).collect(),
            (1, 3) => self.data.iter().flat_map(|&v| [v; 3]).collect(),
            _ => panic!("an image has 1 or 3 channels, not {channels}"),
        };
        Image { data, channels, ..self }
    }

    /// The rectangle with its first pixel at (`top`, `left`); what lies outside the picture is black.
    ///
    /// # Panics
    /// If it has no pixels.
    pub fn crop(&self, top: isize, left: isize, height: usize, width: usize) -> Image {
        let mut out = Image::filled(height, width, &vec![0; self.channels]);
        let (c, row) = (self.channels, width * self.channels);
        // The columns that both have.
        let first = (-left).clamp(0, width as isize) as usize;
        let last = (self.width as isize - left).clamp(first as isize, width as isize) as usize;
        for y in 0..height {
            let from = top + y as isize;
            if (0..self.height as isize).contains(&from) && last > first {
                let start = (from as usize * self.width).wrapping_add_signed(left + first as isize) * c;
                out.data[y * row + first * c..y * row + last * c]
                    .copy_from_slice(&self.data[start..start + (last - first) * c]);
            }
        }
        out
    }

    /// Left and right swapped.
    pub fn hflip(&self) -> Image {
        let mut out = self.clone();
        let row = self.width * self.channels;
        for (to, from) in out.data.chunks_exact_mut(row).zip(self.data.chunks_exact(row)) {
            for (a, b) in to.chunks_exact_mut(self.channels).zip(from.chunks_exact(self.channels).rev()) {
                a.copy_from_slice(b);
            }
        }
        out
    }

    /// Top and bottom swapped.
    pub fn vflip(&self) -> Image {
        let rows = self.data.chunks_exact(self.width * self.channels);
        Image { data: rows.rev().flatten().copied().collect(), ..*self }
    }

    /// Brought to `height` x `width`, as Pillow resizes.
    ///
    /// # Panics
    /// If an extent is 0.
    #[track_caller]
    pub fn resize(&self, height: usize, width: usize, mode: InterpolationMode) -> Image {
        assert!(height > 0 && width > 0, "resize: an image of {height}x{width} has no pixels");
        if (height, width) == (self.height, self.width) {
            return self.clone();
        }
        thread_local!(static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new()));
        let algorithm = match mode {
            InterpolationMode::Nearest => ResizeAlg::Nearest,
            InterpolationMode::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
            InterpolationMode::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        };
        let options = ResizeOptions::new().resize_alg(algorithm).use_alpha(false);
        // The resizer is compiled for pixels of four bytes alone: all its kinds of pixels would be 3 MB of program.
        let (kind, c) = (PixelType::U8x4, self.channels);
        let mut wide = vec![0; self.width * self.height * 4];
        wide.chunks_exact_mut(4).zip(self.data.chunks_exact(c)).for_each(|(to, pixel)| to[..c].copy_from_slice(pixel));
        let from = ImageRef::new(self.width as u32, self.height as u32, &wide, kind).expect("extents fit the bytes");
        let mut to = View::new(width as u32, height as u32, kind);
        RESIZER.with_borrow_mut(|r| r.resize(&from, &mut to, &options)).expect("both have pixels of one kind");
        let data = to.buffer().chunks_exact(4).flat_map(|pixel| &pixel[..c]).copied().collect();
        Image { data, height, width, channels: c }
    }

    /// As f32 in [0, 1], [C, H, W].
    pub fn to_tensor(&self) -> Tensor {
        Planes::of(self).into_tensor()
    }

    /// The bytes of a tensor [C, H, W] in [0, 1], rounded; what lies outside is clipped.
    ///
    /// # Panics
    /// If it does not have three dimensions with 1 or 3 channels.
    #[track_caller]
    pub fn from_tensor(pixels: &Tensor) -> Image {
        let shape = pixels.shape();
        assert!(shape.len() == 3, "Image: needs a tensor [C, H, W], got the shape {shape}");
        let (c, plane) = (shape[0], shape[1] * shape[2]);
        let v = pixels.to_dtype(gradus_tensor::DType::F32).to_vec::<f32>();
        // [C, H, W] -> [H, W, C]
        let data = (0..plane * c).map(|i| byte(v[i % c * plane + i / c] * 255.0)).collect();
        Image::new(data, shape[1], shape[2], c)
    }
}

/// Rounded and clipped to a byte.
pub(crate) fn byte(v: f32) -> u8 {
    v.round_ties_even() as u8
}

/// The brightness of a colour, ITU-R 601-2 in 16 bits of fraction.
pub(crate) fn luma(rgb: &[u8]) -> u8 {
    let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
    ((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16) as u8
}

/// Whether a JPEG has no end marker after its last scan; decoders fill what is missing with grey.
fn is_cut(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|w| w == [0xff, marker]);
    last(0xd9) < last(0xda)
}

/// Lays a picture with transparency on white.
fn on_white(image: DynamicImage) -> DynamicImage {
    if !image.color().has_alpha() {
        return image;
    }
    let grey = !image.color().has_color();
    let mut rgba = image.into_rgba8();
    for p in rgba.pixels_mut() {
        let a = u32::from(p.0[3]);
        for c in 0..3 {
            p.0[c] = ((u32::from(p.0[c]) * a + 255 * (255 - a) + 127) / 255) as u8;
        }
        p.0[3] = 255;
    }
    match grey {
        true => DynamicImage::ImageLuma8(DynamicImage::ImageRgba8(rgba).into_luma8()),
        false => DynamicImage::ImageRgba8(rgba),
    }
}
