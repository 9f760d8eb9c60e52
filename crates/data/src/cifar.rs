//! The binary files of CIFAR-10 and CIFAR-100.

use crate::DataError;
use gradus_tensor::Tensor;
use std::path::Path;

/// Bytes of a picture: 3 planes of 32x32.
const PIXELS: usize = 3 * 32 * 32;

/// Reads a binary file of CIFAR-10 (`data_batch_1.bin`): images [N, 3, 32, 32] as f32 in [0, 1] and labels
/// `[N]` as i64 from 0 to 9.
///
/// # Errors
/// If the file cannot be read, does not hold whole records of 3073 bytes, or has a label above 9.
///
/// Source: <https://www.cs.toronto.edu/~kriz/cifar.html>
pub fn read_cifar10(path: impl AsRef<Path>) -> Result<(Tensor, Tensor), DataError> {
    read(path.as_ref(), 1, 10)
}

/// Reads a binary file of CIFAR-100 (`train.bin`): as [`read_cifar10`], with the fine labels from 0 to 99.
///
/// # Errors
/// If the file cannot be read, does not hold whole records of 3074 bytes, or has a label above 99.
///
/// Source: <https://www.cs.toronto.edu/~kriz/cifar.html>
pub fn read_cifar100(path: impl AsRef<Path>) -> Result<(Tensor, Tensor), DataError> {
    read(path.as_ref(), 2, 100)
}

/// Records of `head` bytes, the last of which is the label, and a picture.
fn read(path: &Path, head: usize, classes: u8) -> Result<(Tensor, Tensor), DataError> {
    let bytes = std::fs::read(path).map_err(|e| DataError::io(path, e))?;
    let record = head + PIXELS;
    if bytes.is_empty() || bytes.len() % record != 0 {
        let expected = format!("a multiple of {record}, and some");
        return Err(DataError::malformed(path, "size", format!("{} bytes", bytes.len()), expected));
    }
    let mut labels = Vec::with_capacity(bytes.len() / record);
    let mut pixels = Vec::with_capacity(bytes.len() / record * PIXELS);
    for (i, example) in bytes.chunks_exact(record).enumerate() {
        let label = example[head - 1];
        if label >= classes {
            let expected = format!("0 to {}", classes - 1);
            return Err(DataError::malformed(path, format!("label of example {i}"), label.to_string(), expected));
        }
        labels.push(i64::from(label));
        pixels.extend(example[head..].iter().map(|&v| f32::from(v) / 255.0));
    }
    let n = labels.len();
    Ok((Tensor::from_vec(pixels, [n, 3, 32, 32]), Tensor::from_vec(labels, [n])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("batch.bin");
        let record = |head: &[u8], v: u8| [head, &[v; PIXELS]].concat();
        std::fs::write(&path, [record(&[3], 255), record(&[9], 51)].concat()).unwrap();
        let (x, y) = read_cifar10(&path).unwrap();
        assert_eq!((&*x.shape(), y.to_vec::<i64>()), (&[2, 3, 32, 32][..], vec![3, 9]));
        assert_eq!((x.at(&[0, 2, 31, 31]), x.at(&[1, 0, 0, 0])), (1.0, f64::from(0.2f32)));
        let e = read_cifar100(&path).map(drop).unwrap_err().to_string();
        assert!(e.contains("batch.bin: size: found 6146 bytes, expected a multiple of 3074"), "{e}");
        std::fs::write(&path, record(&[19, 99], 0)).unwrap();
        assert_eq!(read_cifar100(&path).unwrap().1.to_vec::<i64>(), [99]);
        std::fs::write(&path, record(&[10], 0)).unwrap();
        let e = read_cifar10(&path).map(drop).unwrap_err().to_string();
        assert!(e.contains("label of example 0: found 10, expected 0 to 9"), "{e}");
    }
}
