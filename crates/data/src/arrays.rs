//! Arrays of NumPy as examples.

use crate::{DataError, TensorDataset};
use gradus_tensor::Tensor;
use gradus_tensor::io::{read_npy, read_npz};
use std::path::Path;

/// Examples from two `.npy` files with the examples along the first dimension.
///
/// # Errors
/// If a file cannot be read, or they do not hold as many examples.
pub fn npy_dataset(inputs: impl AsRef<Path>, targets: impl AsRef<Path>) -> Result<TensorDataset, DataError> {
    let targets = targets.as_ref();
    pair(targets, "first dimension", read_npy(inputs)?, read_npy(targets)?)
}

/// Examples from two arrays of one `.npz` file.
///
/// ```
/// use gradus_data::{Dataset, npz_dataset};
/// use gradus_tensor::{Tensor, io::write_npz};
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("toy.npz");
/// let (x, y) = (Tensor::zeros([5, 2]), Tensor::ones([5]));
/// write_npz(&path, [("x", &x), ("y", &y)]).unwrap();
/// assert_eq!(npz_dataset(&path, "x", "y").unwrap().len(), 5);
/// let e = npz_dataset(&path, "x", "labels").map(drop).unwrap_err().to_string();
/// assert!(e.contains("toy.npz: arrays: found no `labels`, expected one of x, y"));
/// ```
///
/// # Errors
/// If the file cannot be read, has no arrays of these names, or they do not hold as many examples.
pub fn npz_dataset(path: impl AsRef<Path>, inputs: &str, targets: &str) -> Result<TensorDataset, DataError> {
    let path = path.as_ref();
    let arrays = read_npz(path)?;
    let find = |name: &str| {
        arrays.iter().find(|(n, _)| n == name).map(|(_, t)| t.clone()).ok_or_else(|| {
            let names: Vec<&str> = arrays.iter().map(|(n, _)| n.as_str()).collect();
            DataError::malformed(path, "arrays", format!("no `{name}`"), format!("one of {}", names.join(", ")))
        })
    };
    pair(path, &format!("first dimension of `{targets}`"), find(inputs)?, find(targets)?)
}

fn pair(path: &Path, field: &str, inputs: Tensor, targets: Tensor) -> Result<TensorDataset, DataError> {
    let examples = |t: &Tensor| t.shape().first().copied();
    match (examples(&inputs), examples(&targets)) {
        (Some(n), Some(m)) if n == m => Ok(TensorDataset::new(inputs, targets)),
        (n, m) => {
            let show = |n: Option<usize>| n.map_or("none, it is a single number".to_string(), |n| n.to_string());
            Err(DataError::malformed(path, field, show(m), format!("as many examples as the inputs have: {}", show(n))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_tensor::io::write_npy;

    #[test]
    fn arrays_of_different_lengths_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a.npy"), dir.path().join("b.npy"));
        write_npy(&a, &Tensor::zeros([4, 2])).unwrap();
        write_npy(&b, &Tensor::zeros([3])).unwrap();
        let e = npy_dataset(&a, &b).map(drop).unwrap_err().to_string();
        assert!(e.contains("b.npy: first dimension: found 3, expected as many examples as the inputs have: 4"), "{e}");
        assert_eq!(npy_dataset(&a, &a).unwrap().targets().shape(), [4, 2]);
        assert!(npy_dataset(dir.path().join("absent.npy"), &b).is_err());
    }
}
