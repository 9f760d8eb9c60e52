//! MNIST and the data sets that come in its four files.

use crate::{DataError, normalize, read_idx};
use gradus_tensor::{DType, Tensor};
use std::path::{Path, PathBuf};

/// Reads the training or the test part of MNIST from its idx files: images [N, 1, 28, 28] as f32 in
/// [0, 1] (ink is 1), labels `[N]` as i64 from 0 to 9.
///
/// The files may be gzipped, and named `train-images-idx3-ubyte` or `train-images.idx3-ubyte`.
///
/// # Errors
/// If a file is missing, truncated or mislabelled, or the two do not hold the same number of examples.
///
/// Source: Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits", 1998.
pub fn mnist(dir: impl AsRef<Path>, train: bool) -> Result<(Tensor, Tensor), DataError> {
    let dir = dir.as_ref();
    let part = if train { "train" } else { "t10k" };
    let images_path = find(dir, &format!("{part}-images"), "idx3-ubyte")?;
    let labels_path = find(dir, &format!("{part}-labels"), "idx1-ubyte")?;
    let images = bytes(&images_path, 3, "images")?;
    let labels = bytes(&labels_path, 1, "labels")?;
    if images.shape()[1..] != [28, 28] {
        let found = format!("{}x{}", images.size(1), images.size(2));
        return Err(DataError::malformed(&images_path, "image size", found, "28x28"));
    }
    let n = images.size(0);
    if labels.size(0) != n {
        let expected = format!("{n}, as there are images in {}", images_path.display());
        return Err(DataError::malformed(&labels_path, "number of labels", labels.size(0).to_string(), expected));
    }
    let classes = labels.to_vec::<u8>();
    if let Some(at) = classes.iter().position(|&c| c > 9) {
        let found = format!("{} at position {at}", classes[at]);
        return Err(DataError::malformed(&labels_path, "labels", found, "classes from 0 to 9"));
    }
    let images = normalize::to_unit(&images).reshape([n, 1, 28, 28]);
    Ok((images, labels.to_dtype(DType::I64)))
}

/// The first name that exists: plain before gzipped, with a dash before with a dot.
fn find(dir: &Path, stem: &str, kind: &str) -> Result<PathBuf, DataError> {
    std::fs::read_dir(dir).map_err(|e| DataError::io(dir, e))?;
    let names: Vec<String> =
        ["", ".gz"].iter().flat_map(|gz| ["-", "."].map(|dot| format!("{stem}{dot}{kind}{gz}"))).collect();
    match names.iter().map(|n| dir.join(n)).find(|p| p.is_file()) {
        Some(path) => Ok(path),
        None => Err(DataError::Missing { dir: dir.to_owned(), names }),
    }
}

/// A file of bytes with the given number of dimensions.
fn bytes(path: &Path, rank: usize, what: &str) -> Result<Tensor, DataError> {
    let t = read_idx(path)?;
    if t.dtype() == DType::U8 && t.rank() == rank {
        return Ok(t);
    }
    let found = match (t.dtype(), t.rank()) {
        (DType::U8, 1) => "a file of labels (1 dimension of bytes)".into(),
        (DType::U8, 3) => "a file of images (3 dimensions of bytes)".into(),
        (d, r) => format!("{r} dimensions of {d}"),
    };
    let expected =
        format!("{what}: {rank} dimension{} of bytes (magic number 00 00 08 0{rank})", if rank > 1 { "s" } else { "" });
    Err(DataError::malformed(path, "content", found, expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn images(n: u8, side: u8) -> Vec<u8> {
        let mut f = vec![0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, side, 0, 0, 0, side];
        f.extend((0..u32::from(n) * u32::from(side) * u32::from(side)).map(|i| (i % 256) as u8));
        f
    }

    fn labels(classes: &[u8]) -> Vec<u8> {
        [&[0, 0, 8, 1, 0, 0, 0, classes.len() as u8], classes].concat()
    }

    /// The error for a directory with these two files.
    fn wrong(images: &[u8], labels: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("train-images-idx3-ubyte"), images).unwrap();
        fs::write(dir.path().join("train-labels-idx1-ubyte"), labels).unwrap();
        mnist(dir.path(), true).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn both_parts_load_under_either_spelling() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("train-images-idx3-ubyte"), images(3, 28)).unwrap();
        fs::write(dir.path().join("train-labels.idx1-ubyte"), labels(&[5, 0, 9])).unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, &images(2, 28)).unwrap();
        fs::write(dir.path().join("t10k-images.idx3-ubyte.gz"), gz.finish().unwrap()).unwrap();
        fs::write(dir.path().join("t10k-labels-idx1-ubyte"), labels(&[1, 2])).unwrap();
        let (x, y) = mnist(dir.path(), true).unwrap();
        assert_eq!((&*x.shape(), x.dtype()), (&[3, 1, 28, 28][..], DType::F32));
        assert_eq!((x.at(&[0, 0, 0, 0]), x.at(&[0, 0, 9, 3])), (0.0, 1.0));
        assert_eq!(y.to_vec::<i64>(), [5, 0, 9]);
        assert_eq!(mnist(dir.path(), false).unwrap().0.shape(), [2, 1, 28, 28]);
    }

    #[test]
    fn files_that_do_not_fit_are_named() {
        let (good, three) = (images(3, 28), labels(&[1, 2, 3]));
        for (e, says) in [
            (
                wrong(&three, &three),
                "images-idx3-ubyte: content: found a file of labels (1 dimension of bytes), expected images: 3 dimensions",
            ),
            (wrong(&good, &good), "labels-idx1-ubyte: content: found a file of images"),
            (wrong(&images(3, 8), &three), "image size: found 8x8, expected 28x28"),
            (wrong(&good, &labels(&[1, 2])), "number of labels: found 2, expected 3, as there are images in"),
            (wrong(&good, &labels(&[1, 2, 10])), "labels: found 10 at position 2, expected classes from 0 to 9"),
            (wrong(&good[..2000], &three), "elements: found only 1984 bytes, expected 2352 bytes"),
            (wrong(b"<html>", &three), "magic number: found 3c 68 74 6d"),
        ] {
            assert!(e.contains(says), "{e:?} should say {says:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let e = mnist(dir.path(), false).map(|_| ()).unwrap_err().to_string();
        assert!(
            e.contains("found none of t10k-images-idx3-ubyte, t10k-images.idx3-ubyte, t10k-images-idx3-ubyte.gz"),
            "{e}"
        );
        assert!(matches!(mnist(dir.path().join("absent"), true), Err(DataError::Io { .. })));
    }
}
