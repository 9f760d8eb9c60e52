//! Where the data sets with files come from.

/// One file of a data set on the network.
pub struct Download {
    /// Its name there and here.
    pub file: &'static str,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: &'static str,
}

/// The files of a data set, and the address they lie below.
pub struct Downloads {
    /// The data set's name in recipes.
    pub name: &'static str,
    /// The address, with its last slash.
    pub address: &'static str,
    /// The files; those that end in `.tar.gz` are unpacked.
    pub files: &'static [Download],
}

const fn file(file: &'static str, bytes: u64, sha256: &'static str) -> Download {
    Download { file, bytes, sha256 }
}

/// Every data set that can be downloaded. Sizes and sums are those that TensorFlow Datasets keeps
/// (<https://github.com/tensorflow/datasets/tree/master/tensorflow_datasets/url_checksums>).
pub const DOWNLOADS: &[Downloads] = &[
    Downloads {
        name: "mnist",
        address: "https://storage.googleapis.com/cvdf-datasets/mnist/",
        files: &[
            file(
                "train-images-idx3-ubyte.gz",
                9912422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            file(
                "train-labels-idx1-ubyte.gz",
                28881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            file(
                "t10k-images-idx3-ubyte.gz",
                1648877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            file("t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ],
    },
    Downloads {
        name: "fashion-mnist",
        address: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        files: &[
            file(
                "train-images-idx3-ubyte.gz",
                26421880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            file(
                "train-labels-idx1-ubyte.gz",
                29515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            file(
                "t10k-images-idx3-ubyte.gz",
                4422102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            file("t10k-labels-idx1-ubyte.gz", 5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        ],
    },
    Downloads {
        name: "kmnist",
        address: "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        files: &[
            file(
                "train-images-idx3-ubyte.gz",
                18165135,
                "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            ),
            file(
                "train-labels-idx1-ubyte.gz",
                29497,
                "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            ),
            file(
                "t10k-images-idx3-ubyte.gz",
                3041136,
                "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            ),
            file("t10k-labels-idx1-ubyte.gz", 5120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
        ],
    },
    Downloads {
        name: "cifar10",
        address: "https://www.cs.toronto.edu/~kriz/",
        files: &[file(
            "cifar-10-binary.tar.gz",
            170052171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        )],
    },
    Downloads {
        name: "cifar100",
        address: "https://www.cs.toronto.edu/~kriz/",
        files: &[file(
            "cifar-100-binary.tar.gz",
            168513733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        )],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_download_is_a_data_set_with_whole_sums() {
        for d in DOWNLOADS {
            let info = crate::find_dataset(d.name).expect(d.name);
            assert!(info.files.is_some() && d.address.ends_with('/'));
            assert!(d.files.iter().all(|f| f.sha256.len() == 64 && f.bytes > 0));
        }
        assert!(
            crate::DATASETS.iter().filter(|d| d.files.is_some()).all(|d| DOWNLOADS.iter().any(|w| w.name == d.name))
        );
    }
}
