//! The data sets that can be named in a recipe.

use crate::shapes::{CLASSES, SIDE};
use crate::{DataError, TensorDataset, digits, mnist, read_cifar10, read_cifar100, shapes, stratified_split};
use gradus_tensor::Tensor;
use std::path::{Path, PathBuf};

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
    /// Whether every pixel has a class, and not only every picture.
    pub masks: bool,
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
        masks: false,
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
        name: "shapes",
        description: "1,600 made 64x64 pictures of circles, squares and triangles with a class for every pixel; 100 are the test set",
        shape: [3, SIDE, SIDE],
        classes: CLASSES,
        masks: true,
        source: "made by `gradus data get shapes`, and in memory; no licence is needed",
        files: None,
        load: |_, _| Ok(shapes()),
    },
    DatasetInfo {
        name: "mnist",
        description: "28x28 handwritten digits, 60,000 to train and 10,000 to test, from MNIST's four idx files",
        shape: [1, 28, 28],
        classes: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        masks: false,
        source: "Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits, 1998",
        files: Some(IDX_FILES),
        load: idx_parts,
    },
    DatasetInfo {
        name: "fashion-mnist",
        description: "28x28 pictures of clothes, 60,000 to train and 10,000 to test, in four idx files as MNIST's",
        shape: [1, 28, 28],
        classes: &[
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ],
        masks: false,
        source: "H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, arXiv 1708.07747, 2017, MIT licence",
        files: Some(IDX_FILES),
        load: idx_parts,
    },
    DatasetInfo {
        name: "kmnist",
        description: "28x28 handwritten Kuzushiji, 60,000 to train and 10,000 to test, in four idx files as MNIST's",
        shape: [1, 28, 28],
        classes: &["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
        masks: false,
        source: "T. Clanuwat and others: Deep Learning for Classical Japanese Literature, arXiv 1812.01718, CC BY-SA 4.0",
        files: Some(IDX_FILES),
        load: idx_parts,
    },
    DatasetInfo {
        name: "cifar10",
        description: "32x32 photographs of 10 classes, 50,000 to train and 10,000 to test, from the binary files",
        shape: [3, 32, 32],
        classes: &["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
        masks: false,
        source: "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009",
        files: Some("data_batch_{1,2,3,4,5}.bin and test_batch.bin, or cifar-10-batches-bin with them"),
        load: |dir, _| {
            let dir = inside(dir, "cifar-10-batches-bin");
            let parts = (1..=5).map(|i| read_cifar10(dir.join(format!("data_batch_{i}.bin"))));
            let (x, y): (Vec<Tensor>, Vec<Tensor>) = parts.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
            let join = |t: &[Tensor]| Tensor::cat(&t.iter().collect::<Vec<_>>(), 0);
            let (test_x, test_y) = read_cifar10(dir.join("test_batch.bin"))?;
            Ok((TensorDataset::new(join(&x), join(&y)), TensorDataset::new(test_x, test_y)))
        },
    },
    DatasetInfo {
        name: "cifar100",
        description: "32x32 photographs of 100 classes, 50,000 to train and 10,000 to test, from the binary files",
        shape: [3, 32, 32],
        classes: CIFAR100,
        masks: false,
        source: "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009",
        files: Some("train.bin and test.bin, or cifar-100-binary with them"),
        load: |dir, _| {
            let dir = inside(dir, "cifar-100-binary");
            let part = |file: &str| read_cifar100(dir.join(file)).map(|(x, y)| TensorDataset::new(x, y));
            Ok((part("train.bin")?, part("test.bin")?))
        },
    },
];

/// The files of MNIST and what is made like it.
const IDX_FILES: &str = "{train,t10k}-{images-idx3,labels-idx1}-ubyte, gzipped or not";

fn idx_parts(dir: &Path, _: u64) -> Parts {
    let part = |train| mnist(dir, train).map(|(images, labels)| TensorDataset::new(images, labels));
    Ok((part(true)?, part(false)?))
}

/// The directory that an archive unpacks to, if it is there; else the directory itself.
fn inside(dir: &Path, name: &str) -> PathBuf {
    let inner = dir.join(name);
    if inner.is_dir() { inner } else { dir.to_owned() }
}

/// The fine classes of CIFAR-100 by label.
#[rustfmt::skip]
const CIFAR100: &[&str] = &[
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish",
    "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange",
    "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine",
    "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk",
    "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
    "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale",
    "willow_tree", "wolf", "woman", "worm",
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

    #[test]
    fn cifar_is_found_where_its_archive_unpacks_to() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("cifar-10-batches-bin");
        std::fs::create_dir(&inner).unwrap();
        for (i, name) in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
            .into_iter()
            .enumerate()
        {
            std::fs::write(inner.join(format!("{name}.bin")), [vec![i as u8], vec![0; 3072]].concat()).unwrap();
        }
        let cifar = find_dataset("cifar10").unwrap();
        for place in [dir.path(), &inner] {
            let (train, test) = cifar.load(Some(place), 0).unwrap();
            assert_eq!(train.targets().to_vec::<i64>(), [0, 1, 2, 3, 4]);
            assert_eq!(test.targets().to_vec::<i64>(), [5]);
        }
        assert_eq!(find_dataset("cifar100").unwrap().classes.len(), 100);
    }
}
