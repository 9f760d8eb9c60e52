//! The data sets that can be named in a recipe.

use crate::{DataError, TensorDataset, digits, mnist, stratified_split};
use std::path::Path;

/// The training and the test part, or why they cannot be had.
type Parts = Result<(TensorDataset, TensorDataset), DataError>;

/// One data set: what `gradus list` shows, and how it is loaded.
pub struct DatasetInfo {
    /// The name in recipes.
    pub name: &'static str,
    /// One line on what it holds.
    pub description: &'static str,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// The names of the classes.
    pub classes: &'static [&'static str],
    /// Who made it, where it comes from and under which licence.
    pub source: &'static str,
    /// The files its directory must hold, or `None` if it is bundled.
    pub files: Option<&'static str>,
    load: fn(&Path, u64) -> Parts,
}

impl DatasetInfo {
    /// The training and the test part, images as f32 in [0, 1].
    ///
    /// A data set without a test part of its own is split, a stratified fifth, by `split_seed`.
    ///
    /// # Errors
    /// If it lives in files and `dir` is `None`, or the files are missing or damaged.
    pub fn load(&self, dir: Option<&Path>, split_seed: u64) -> Parts {
        match (dir, self.files) {
            (None, Some(files)) => Err(DataError::NoDirectory { name: self.name, files }),
            (dir, _) => (self.load)(dir.unwrap_or(Path::new("")), split_seed),
        }
    }
}

/// Every data set, in the order they are listed.
pub const DATASETS: &[DatasetInfo] = &[
    DatasetInfo {
        name: "digits",
        description: "1,797 bundled 8x8 scans of handwritten digits; a stratified fifth is the test set",
        shape: [1, 8, 8],
        classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        source: "E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI 1998, doi 10.24432/C50P49, CC BY 4.0",
        files: None,
        load: |_, seed| {
            let (images, labels) = digits();
            let (train, test) = stratified_split(&labels.to_vec::<i64>(), 0.2, seed);
            let all = TensorDataset::new(images, labels);
            Ok((all.subset(&train), all.subset(&test)))
        },
    },
    DatasetInfo {
        name: "mnist",
        description: "28x28 handwritten digits, 60,000 to train and 10,000 to test, from MNIST's four idx files",
        shape: [1, 28, 28],
        classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        source: "Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits, 1998",
        files: Some("{train,t10k}-{images-idx3,labels-idx1}-ubyte, gzipped or not"),
        load: |dir, _| {
            let part = |train| mnist(dir, train).map(|(images, labels)| TensorDataset::new(images, labels));
            Ok((part(true)?, part(false)?))
        },
    },
];

/// The data set of this name.
pub fn find_dataset(name: &str) -> Option<&'static DatasetInfo> {
    DATASETS.iter().find(|d| d.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;

    #[test]
    fn the_digits_load_by_name_with_every_class_in_both_parts() {
        let digits = find_dataset("digits").unwrap();
        let (train, test) = digits.load(None, 0).unwrap();
        assert_eq!((train.len(), test.len()), (1438, 359));
        for part in [&train, &test] {
            assert_eq!(part.inputs().shape()[1..], digits.shape);
            let labels = part.targets().to_vec::<i64>();
            let classes = 0..digits.classes.len() as i64;
            assert!(classes.into_iter().all(|c| labels.contains(&c)) && labels.iter().all(|&l| l < 10));
        }
        assert!(find_dataset("digit").is_none());
    }

    #[test]
    fn a_data_set_in_files_asks_for_its_directory() {
        let e = find_dataset("mnist").unwrap().load(None, 0).map(|_| ()).unwrap_err().to_string();
        assert!(e.contains("mnist needs a directory with {train,t10k}-"), "{e}");
    }
}
