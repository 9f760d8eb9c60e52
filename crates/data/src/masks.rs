//! Masks: a class for every pixel of a picture.

use crate::folder::PairedImageFolder;
use crate::transforms::Compose;
use crate::{DataError, Dataset, Draw, Image, TensorDataset};
use gradus_tensor::{Tensor, io::atomic_write};
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

/// The label of a pixel that counts nothing: PyTorch's default `ignore_index`.
pub const IGNORED: i64 = -100;

/// The class of every pixel of a picture, up to 255 classes; pixels may count nothing.
///
/// ```
/// use gradus_data::{IGNORED, Mask};
/// let mask = Mask::new(&[0, 1, IGNORED, 2], 2, 2);
/// assert_eq!(mask.labels().to_vec::<i64>(), [0, 1, -100, 2]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// A byte is the class and one more; 0, which crops and turns put where there was no picture, counts nothing.
    bytes: Image,
}

impl Mask {
    /// A mask from its labels, row by row.
    ///
    /// # Panics
    /// If there are not `height * width` labels, or one is neither [`IGNORED`] nor in 0..255.
    #[track_caller]
    pub fn new(labels: &[i64], height: usize, width: usize) -> Mask {
        let byte = |&label: &i64| match label {
            IGNORED => 0,
            0..255 => label as u8 + 1,
            other => panic!("Mask: {other} is no class in 0..255"),
        };
        Mask { bytes: Image::new(labels.iter().map(byte).collect(), height, width, 1) }
    }

    /// Reads a PNG file of palette or grey pixels, whose values (of a palette the numbers, not the colours) are classes.
    ///
    /// # Errors
    /// A file that cannot be read, has colours or more than eight bits, or holds a value that is neither below `classes` nor `ignore_index`.
    pub fn open(path: impl AsRef<Path>, classes: usize, ignore_index: Option<u8>) -> Result<Mask, DataError> {
        let path = path.as_ref();
        let (values, height, width) = values(path)?;
        let byte = |(i, &value): (usize, &u8)| match value {
            v if Some(v) == ignore_index => Ok(0),
            v if usize::from(v) < classes && v < 255 => Ok(v + 1),
            v => {
                let ignored = ignore_index.map_or(String::new(), |i| format!(", or {i} for what counts nothing"));
                let field = format!("pixel ({}, {}) of the mask", i / width, i % width);
                let expected = format!("a class below {classes}{ignored}");
                Err(DataError::malformed(path, field, format!("the value {v}"), expected))
            }
        };
        let bytes = values.iter().enumerate().map(byte).collect::<Result<Vec<u8>, _>>()?;
        Ok(Mask { bytes: Image::new(bytes, height, width, 1) })
    }

    /// Rows of pixels.
    pub fn height(&self) -> usize {
        self.bytes.height()
    }

    /// Columns of pixels.
    pub fn width(&self) -> usize {
        self.bytes.width()
    }

    /// The labels, `[H, W]` i64; [`IGNORED`] where a pixel counts nothing.
    pub fn labels(&self) -> Tensor {
        let label = |&b: &u8| if b == 0 { IGNORED } else { i64::from(b) - 1 };
        Tensor::from_vec(self.bytes.data().iter().map(label).collect(), [self.height(), self.width()])
    }

    /// Writes a PNG file with a palette, in which [`Mask::open`] finds the same classes; what counts nothing is 255.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_png(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        let path = path.as_ref();
        let palette: Vec<u8> = (0..=255).flat_map(mask_colour).collect();
        let values: Vec<u8> = self.bytes.data().iter().map(|b| b.wrapping_sub(1)).collect();
        let encode = || -> Result<Vec<u8>, png::EncodingError> {
            let mut out = Vec::new();
            let mut encoder = png::Encoder::new(&mut out, self.width() as u32, self.height() as u32);
            encoder.set_color(png::ColorType::Indexed);
            encoder.set_depth(png::BitDepth::Eight);
            encoder.set_palette(palette);
            let mut writer = encoder.write_header()?;
            writer.write_image_data(&values)?;
            writer.finish()?;
            Ok(out)
        };
        let bytes = encode().map_err(|e| DataError::io(path, std::io::Error::other(e)))?;
        atomic_write(path, |file| file.write_all(&bytes)).map_err(|e| DataError::io(path, e))
    }

    pub(crate) fn bytes(&self) -> &Image {
        &self.bytes
    }

    pub(crate) fn from_bytes(bytes: Image) -> Mask {
        Mask { bytes }
    }
}

/// The colour in which a class is drawn: the bits of its number, dealt out to red, green and blue from the highest bit
/// down, so that neighbours are far apart. 0 is black.
///
/// Source: PASCAL VOC's development kit, <http://host.robots.ox.ac.uk/pascal/VOC/voc2012/#devkit>.
pub fn mask_colour(class: u8) -> [u8; 3] {
    // The third bits of blue would be the ninth of the number.
    let bit = |at: u32| if at < 8 { (class >> at) & 1 } else { 0 };
    [0, 1, 2].map(|channel| (0..3).fold(0, |sum, i| sum | bit(3 * i + channel) << (7 - i)))
}

/// The values of the pixels of a PNG file, its height and its width.
fn values(path: &Path) -> Result<(Vec<u8>, usize, usize), DataError> {
    let wrong = |found: String| DataError::malformed(path, "mask", found, "a PNG file of palette or grey pixels");
    let file = File::open(path).map_err(|e| DataError::io(path, e))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(|e| wrong(e.to_string()))?;
    let (kind, depth) = reader.output_color_type();
    if !matches!(kind, png::ColorType::Indexed | png::ColorType::Grayscale) || depth == png::BitDepth::Sixteen {
        return Err(wrong(format!("{kind:?} pixels of {} bits a channel", depth as u8)));
    }
    let size = reader.output_buffer_size().ok_or_else(|| wrong("more pixels than memory holds".into()))?;
    let mut packed = vec![0; size];
    let info = reader.next_frame(&mut packed).map_err(|e| wrong(e.to_string()))?;
    let (height, width, bits) = (info.height as usize, info.width as usize, depth as usize);
    let value = |row: &[u8], x: usize| {
        let at = x * bits;
        (row[at / 8] >> (8 - bits - at % 8)) & (0xff >> (8 - bits)) as u8
    };
    let rows = packed.chunks_exact(info.line_size).take(height);
    Ok((rows.flat_map(|row| (0..width).map(move |x| value(row, x))).collect(), height, width))
}

/// Pictures in one directory and the masks of the same names in another, read when they are asked for.
///
/// Both go through the same transforms: steps that move pixels move those of the mask alike, by the nearest pixel, and
/// what a border adds counts nothing.
///
/// ```
/// use gradus_data::{Dataset, Draw, Image, Mask, MaskFolder};
/// # let dir = tempfile::tempdir().unwrap();
/// # let root = dir.path();
/// for part in ["images", "masks"] {
///     std::fs::create_dir(root.join(part)).unwrap();
/// }
/// Image::filled(2, 2, &[9, 8, 7]).save_png(root.join("images/1.png")).unwrap();
/// Mask::new(&[0, 1, 1, 0], 2, 2).save_png(root.join("masks/1.png")).unwrap();
/// let folder = MaskFolder::open(root.join("images"), root.join("masks"), 2).unwrap();
/// let (images, labels) = folder.get(&[0], Draw::default()).unwrap();
/// assert_eq!((images.shape().to_vec(), labels.to_vec::<i64>()), (vec![1, 3, 2, 2], vec![0, 1, 1, 0]));
/// ```
#[derive(Clone, Debug)]
pub struct MaskFolder {
    files: Vec<[PathBuf; 2]>,
    classes: usize,
    ignore_index: Option<u8>,
    channels: usize,
    transform: Compose,
}

impl MaskFolder {
    /// The pictures below `images`, each with its mask below `masks`.
    ///
    /// # Errors
    /// If a directory cannot be read or has no pictures, a picture has no mask or a mask no picture, or a mask is no
    /// PNG file.
    pub fn open(images: impl AsRef<Path>, masks: impl AsRef<Path>, classes: usize) -> Result<MaskFolder, DataError> {
        let files = PairedImageFolder::open(images, masks)?.into_files();
        let png = |p: &Path| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
        match files.iter().find(|[_, mask]| !png(mask)) {
            Some([_, mask]) => Err(DataError::Picture {
                path: mask.clone(),
                reason: "a mask must be a PNG file: JPEG does not keep the values of pixels".into(),
            }),
            None => Ok(MaskFolder { files, classes, ignore_index: None, channels: 3, transform: Compose::default() }),
        }
    }

    /// The value of pixels that count nothing.
    pub fn ignore_index(mut self, value: Option<u8>) -> MaskFolder {
        self.ignore_index = value;
        self
    }

    /// 3 for colours, 1 for brightness.
    ///
    /// # Panics
    /// If it is neither.
    #[track_caller]
    pub fn channels(mut self, channels: usize) -> MaskFolder {
        assert!(channels == 1 || channels == 3, "MaskFolder: 1 or 3 channels, not {channels}");
        self.channels = channels;
        self
    }

    /// What a picture and its mask go through when they are read.
    pub fn transform(mut self, transform: Compose) -> MaskFolder {
        self.transform = transform;
        self
    }

    /// Each picture and its mask.
    pub fn files(&self) -> &[[PathBuf; 2]] {
        &self.files
    }

    fn read(&self, [image_path, mask_path]: &[PathBuf; 2]) -> Result<(Image, Mask), DataError> {
        let image = Image::open(image_path)?.with_channels(self.channels);
        let mask = Mask::open(mask_path, self.classes, self.ignore_index)?;
        let [h, w] = [image.height(), image.width()];
        match (mask.height(), mask.width()) == (h, w) {
            true => Ok((image, mask)),
            false => Err(DataError::Picture {
                path: mask_path.clone(),
                reason: format!("the mask is {}x{}, its picture {h}x{w}", mask.height(), mask.width()),
            }),
        }
    }
}

impl Dataset for MaskFolder {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn get(&self, indices: &[usize], draw: Draw) -> Result<(Tensor, Tensor), DataError> {
        let one = |&i: &usize| {
            let (image, mask) = self.read(&self.files[i])?;
            let unfit = |reason| DataError::Picture { path: self.files[i][0].clone(), reason };
            self.transform
                .apply_with_mask(&image, &mask, &mut draw.rng(i))
                .map_err(|e| unfit(e.to_string()))
                .map(|(x, y)| (i, x, y))
        };
        stacked(indices.iter().map(one), |i, reason| DataError::Picture { path: self.files[i][0].clone(), reason })
    }
}

/// Pictures in memory with their masks: `[N, C, H, W]` pixels in [0, 1] and `[N, H, W]` labels, through transforms.
#[derive(Clone)]
pub struct MaskedPictures {
    data: TensorDataset,
    transform: Compose,
}

impl MaskedPictures {
    /// These, with no transform but `ToTensor`.
    pub fn new(data: TensorDataset) -> MaskedPictures {
        MaskedPictures { data, transform: Compose::default() }
    }

    /// What a picture and its mask go through when they are read.
    pub fn transform(mut self, transform: Compose) -> MaskedPictures {
        self.transform = transform;
        self
    }
}

impl Dataset for MaskedPictures {
    fn len(&self) -> usize {
        self.data.len()
    }

    fn get(&self, indices: &[usize], draw: Draw) -> Result<(Tensor, Tensor), DataError> {
        let (pixels, labels) = self.data.get(indices, draw)?;
        let [height, width] = [labels.size(1), labels.size(2)];
        let one = |(row, &i): (usize, &usize)| {
            let image = Image::from_tensor(&pixels.select(0, row));
            let mask = Mask::new(&labels.select(0, row).to_vec::<i64>(), height, width);
            self.transform.apply_with_mask(&image, &mask, &mut draw.rng(i)).map(|(x, y)| (i, x, y))
        };
        let unfit = |_, reason| DataError::Transform { transform: "transforms", reason };
        stacked(indices.iter().enumerate().map(one), unfit)
    }
}

/// Pictures and labels along a new first dimension; `unfit` says that an example has another size than the first.
fn stacked(
    examples: impl Iterator<Item = Result<(usize, Tensor, Tensor), DataError>>,
    unfit: impl Fn(usize, String) -> DataError,
) -> Result<(Tensor, Tensor), DataError> {
    let (mut images, mut labels): (Vec<Tensor>, Vec<Tensor>) = (Vec::new(), Vec::new());
    for example in examples {
        let (i, image, label) = example?;
        if let Some(first) = images.first().filter(|first| first.shape() != image.shape()) {
            let ([h, w], [eh, ew]) = ([image.size(1), image.size(2)], [first.size(1), first.size(2)]);
            return Err(unfit(
                i,
                format!(
                    "is {h}x{w} after its transforms, where the batch began with {eh}x{ew}; add a Resize to \
                     [height, width] or a crop"
                ),
            ));
        }
        images.push(image);
        labels.push(label);
    }
    let stack = |all: &[Tensor]| Tensor::stack(&all.iter().collect::<Vec<_>>(), 0);
    Ok((stack(&images), stack(&labels)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transforms::{
        CenterCrop, ColorJitter, RandomAffine, RandomCrop, RandomHorizontalFlip, RandomResizedCrop,
    };
    use crate::transforms::{RandomRotation, RandomVerticalFlip, Resize};

    /// A PNG of one row of bytes as they are.
    fn png_of(path: &Path, kind: png::ColorType, depth: png::BitDepth, width: u32, bytes: &[u8]) {
        let mut encoder = png::Encoder::new(File::create(path).unwrap(), width, 1);
        encoder.set_color(kind);
        encoder.set_depth(depth);
        if kind == png::ColorType::Indexed {
            encoder.set_palette(vec![7; 3 * 16]);
        }
        encoder.write_header().unwrap().write_image_data(bytes).unwrap();
    }

    #[test]
    fn values_of_pixels_are_classes_at_any_depth() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.png");
        let (grey, palette) = (png::ColorType::Grayscale, png::ColorType::Indexed);
        for (kind, depth, bytes) in [
            (grey, png::BitDepth::Eight, &[2u8, 0, 1][..]),
            (palette, png::BitDepth::Four, &[0x20, 0x10]),
            (grey, png::BitDepth::Two, &[0b10_00_01_00]),
        ] {
            png_of(&path, kind, depth, 3, bytes);
            assert_eq!(Mask::open(&path, 3, None).unwrap().labels().to_vec::<i64>(), [2, 0, 1], "{kind:?} {depth:?}");
        }
        let ignored = Mask::open(&path, 2, Some(2)).unwrap();
        assert_eq!(ignored.labels().to_vec::<i64>(), [IGNORED, 0, 1]);
        ignored.save_png(&path).unwrap();
        assert_eq!(Mask::open(&path, 2, Some(255)).unwrap(), ignored);
    }

    #[test]
    fn a_value_that_is_no_class_and_a_file_that_is_no_mask_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.png");
        png_of(&path, png::ColorType::Grayscale, png::BitDepth::Eight, 3, &[0, 1, 7]);
        let e = Mask::open(&path, 3, Some(255)).unwrap_err().to_string();
        assert!(
            e.contains("m.png: pixel (0, 2) of the mask: found the value 7, expected a class below 3, or 255"),
            "{e}"
        );
        png_of(&path, png::ColorType::Rgb, png::BitDepth::Eight, 1, &[0, 1, 7]);
        let e = Mask::open(&path, 3, None).unwrap_err().to_string();
        assert!(e.contains("m.png: mask: found Rgb pixels of 8 bits a channel, expected a PNG file of palette"), "{e}");
        std::fs::write(&path, "words").unwrap();
        assert!(Mask::open(&path, 3, None).unwrap_err().to_string().contains("m.png: mask: found"));
    }

    #[test]
    fn pictures_and_masks_belong_together_by_name_and_size() {
        let dir = tempfile::tempdir().unwrap();
        let (images, masks) = (dir.path().join("images"), dir.path().join("masks"));
        for dir in [&images, &masks] {
            std::fs::create_dir(dir).unwrap();
        }
        Image::filled(2, 3, &[9]).save_png(images.join("a.png")).unwrap();
        Mask::new(&[0; 6], 3, 2).save_png(masks.join("a.png")).unwrap();
        let open = || MaskFolder::open(&images, &masks, 2);
        let e = open().unwrap().get(&[0], Draw::default()).map(drop).unwrap_err().to_string();
        assert!(e.contains("masks/a.png: the mask is 3x2, its picture 2x3"), "{e}");
        Image::filled(2, 3, &[9]).save_png(images.join("b.png")).unwrap();
        let e = open().map(drop).unwrap_err().to_string();
        assert!(e.contains("images/b.png: has no partner in") && e.contains("masks"), "{e}");
        std::fs::write(masks.join("b.jpg"), "x").unwrap();
        assert!(open().map(drop).unwrap_err().to_string().contains("b.jpg: a mask must be a PNG file"));
        std::fs::remove_file(masks.join("b.jpg")).unwrap();
        Mask::new(&[0; 20], 4, 5).save_png(masks.join("b.png")).unwrap();
        Image::filled(4, 5, &[9]).save_png(images.join("b.png")).unwrap();
        Mask::new(&[0; 6], 2, 3).save_png(masks.join("a.png")).unwrap();
        let e = open().unwrap().get(&[0, 1], Draw::default()).map(drop).unwrap_err().to_string();
        assert!(e.contains("b.png: is 4x5 after its transforms, where the batch began with 2x3"), "{e}");
    }

    #[test]
    fn a_mask_follows_its_picture_through_every_step() {
        // A picture whose brightness is its mask: 40 for class 0, 200 for class 1, and 0 where there is nothing.
        let labels: Vec<i64> = (0..24 * 24).map(|i| i64::from((i / 24 > 7) && (i % 24 > 11))).collect();
        let mask = Mask::new(&labels, 24, 24);
        let image = Image::new(labels.iter().map(|&l| if l == 1 { 200 } else { 40 }).collect(), 24, 24, 1);
        let nearest = crate::InterpolationMode::Nearest;
        let steps: [(&str, crate::transforms::Transform, f64); 8] = [
            ("flip", RandomHorizontalFlip::new().into(), 0.0),
            ("flip", RandomVerticalFlip::new().into(), 0.0),
            ("crop", RandomCrop::new(20).padding(6).into(), 0.0),
            ("middle", CenterCrop::new(30).into(), 0.0),
            ("turn", RandomRotation::new(40.0).interpolation(nearest).fill(0).into(), 0.0),
            ("affine", RandomAffine::new(20.0).translate(0.2, 0.2).into(), 0.0),
            ("resize", Resize::new([48, 36]).into(), 0.06),
            ("resized crop", RandomResizedCrop::new(24).into(), 0.2),
        ];
        for (name, step, allowed) in steps {
            let jitter = ColorJitter::new().hue(0.1).into();
            let transform = Compose::new([jitter, step]);
            let mut ignored = 0;
            for i in 0..20 {
                let (x, y) = transform.apply_with_mask(&image, &mask, &mut Draw::new(3, 1).rng(i)).unwrap();
                let (x, y) = (x.to_vec::<f32>(), y.to_vec::<i64>());
                assert_eq!(x.len(), y.len());
                let truth = |v: f32| if v < 0.05 { IGNORED } else { i64::from(v > 0.45) };
                let other = x.iter().zip(&y).filter(|(v, l)| truth(**v) != **l).count();
                ignored += y.iter().filter(|l| **l == IGNORED).count();
                assert!(other as f64 <= allowed * y.len() as f64, "{name}: {other} of {} pixels", y.len());
            }
            let outside = ["crop", "middle", "turn", "affine"].contains(&name);
            assert_eq!(ignored > 0, outside, "{name}: {ignored}");
        }
        let five = Compose::new([crate::transforms::FiveCrop::new(8).into()]);
        let e = five.apply_with_mask(&image, &mask, &mut Draw::new(3, 1).rng(0)).map(drop).unwrap_err().to_string();
        assert!(e.contains("FiveCrop: a mask goes through steps that make one picture of one"), "{e}");
    }

    #[test]
    fn colours_are_those_of_the_development_kit() {
        let want = [(0, [0, 0, 0]), (1, [128, 0, 0]), (2, [0, 128, 0]), (3, [128, 128, 0]), (4, [0, 0, 128])];
        for (class, colour) in want.into_iter().chain([(8, [64, 0, 0]), (20, [0, 64, 128]), (255, [224, 224, 192])]) {
            assert_eq!(mask_colour(class), colour, "{class}");
        }
    }
}
