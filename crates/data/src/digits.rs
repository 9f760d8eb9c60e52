//! The bundled handwritten digits.

use flate2::read::GzDecoder;
use gradus_tensor::Tensor;

/// E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
/// Repository, 1998, <https://doi.org/10.24432/C50P49>, CC BY 4.0. See `assets/ATTRIBUTION.md`.
static FILE: &[u8] = include_bytes!("../assets/digits.csv.gz");

/// The 1,797 bundled scans of handwritten digits: images [1797, 1, 8, 8] as f32 in [0, 1] (ink is 1),
/// labels `[1797]` as i64.
///
/// They come in the order of the UCI file, which is not shuffled by writer.
///
/// Source: <https://doi.org/10.24432/C50P49>, CC BY 4.0.
///
/// ```
/// let (images, labels) = gradus_data::digits();
/// assert_eq!(images.shape(), [1797, 1, 8, 8]);
/// assert_eq!(labels.at(&[4]), 4.0);
/// ```
pub fn digits() -> (Tensor, Tensor) {
    let mut pixels = Vec::with_capacity(1797 * 64);
    let mut labels = Vec::with_capacity(1797);
    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(GzDecoder::new(FILE));
    for row in rows.deserialize() {
        let row: Vec<u8> = row.expect("the bundled file is whole");
        let (label, ink) = row.split_last().expect("a row of the bundled file holds 65 numbers");
        // Each pixel counts the ink in a 4x4 block of the scan: 0 to 16.
        pixels.extend(ink.iter().map(|&v| f32::from(v) / 16.0));
        labels.push(i64::from(*label));
    }
    let n = labels.len();
    (Tensor::from_vec(pixels, [n, 1, 8, 8]), Tensor::from_vec(labels, [n]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_file_is_the_one_described() {
        let (images, labels) = digits();
        assert_eq!((&*images.shape(), &*labels.shape()), (&[1797, 1, 8, 8][..], &[1797][..]));
        let mut counts = [0; 10];
        labels.to_vec::<i64>().iter().for_each(|&c| counts[c as usize] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        // The first scan, a zero: its first two rows of pixels.
        let first: Vec<f32> = images.to_vec::<f32>()[..16].iter().map(|v| v * 16.0).collect();
        assert_eq!(first, [0., 0., 5., 13., 9., 1., 0., 0., 0., 0., 13., 15., 10., 15., 5., 0.]);
        assert_eq!((images.min().item(), images.max().item()), (0.0, 1.0));
    }
}
