//! The data sets that can be fetched: their files with length and SHA-256, and where they are published.

use signbit_train::data;

use crate::failure::Failure;

/// A file of a set, uncompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataFile {
    /// Its name in the folder of the set.
    pub(crate) name: &'static str,
    /// Length in bytes.
    pub(crate) bytes: u64,
    /// SHA-256 in hexadecimal digits. It decides, wherever the file comes from.
    pub(crate) sha256: &'static str,
}

/// A data set.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) files: &'static [DataFile],
    /// Where it is published: folders that hold the files, or archives; tried in this order.
    pub(crate) homes: &'static [&'static str],
    /// Archive in which some mirrors keep all files.
    pub(crate) archive: Option<&'static str>,
}

impl Set {
    /// The set of this name.
    pub(super) fn by_name(name: &str) -> Result<&'static Self, Failure> {
        SETS.iter().find(|set| set.name == name).ok_or_else(|| {
            let names: Vec<&str> = SETS.iter().map(|set| set.name).collect();
            let near = data::nearest(name, names.iter().copied());
            let meant = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            let names = names.join(", ");
            Failure::input(format!("there is no data set {name:?} to fetch (there are {names}){meant}"))
        })
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// All sets.
pub(crate) const SETS: [Set; 3] = [
    Set {
        name: "mnist",
        files: &[
            DataFile {
                name: "train-images-idx3-ubyte",
                bytes: 47_040_016,
                sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            },
            DataFile {
                name: "train-labels-idx1-ubyte",
                bytes: 60_008,
                sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            },
            DataFile {
                name: "t10k-images-idx3-ubyte",
                bytes: 7_840_016,
                sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            },
            DataFile {
                name: "t10k-labels-idx1-ubyte",
                bytes: 10_008,
                sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            },
        ],
        homes: &[
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ],
        archive: None,
    },
    Set {
        name: "fashion-mnist",
        files: &[
            DataFile {
                name: "train-images-idx3-ubyte",
                bytes: 47_040_016,
                sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            },
            DataFile {
                name: "train-labels-idx1-ubyte",
                bytes: 60_008,
                sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            },
            DataFile {
                name: "t10k-images-idx3-ubyte",
                bytes: 7_840_016,
                sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            },
            DataFile {
                name: "t10k-labels-idx1-ubyte",
                bytes: 10_008,
                sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            },
        ],
        homes: &[
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ],
        archive: None,
    },
    Set {
        name: "cifar10",
        files: &[
            DataFile {
                name: "data_batch_1.bin",
                bytes: 30_730_000,
                sha256: "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            },
            DataFile {
                name: "data_batch_2.bin",
                bytes: 30_730_000,
                sha256: "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            },
            DataFile {
                name: "data_batch_3.bin",
                bytes: 30_730_000,
                sha256: "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            },
            DataFile {
                name: "data_batch_4.bin",
                bytes: 30_730_000,
                sha256: "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            },
            DataFile {
                name: "data_batch_5.bin",
                bytes: 30_730_000,
                sha256: "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            },
            DataFile {
                name: "test_batch.bin",
                bytes: 30_730_000,
                sha256: "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            },
            DataFile {
                name: CIFAR10_NAMES,
                bytes: CIFAR10_CLASSES.len() as u64,
                sha256: "558e74b5e208382e186da55784b4bac2cd52e558448e1b5800990fdb28ed8033",
            },
        ],
        homes: &[
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/cifar-10-binary.tar.gz",
        ],
        archive: Some("cifar-10-binary.tar.gz"),
    },
];

/// The file with the names of CIFAR-10's classes. Not every mirror has it, so it is written from here.
pub(super) const CIFAR10_NAMES: &str = "batches.meta.txt";

/// What is in it.
pub(super) const CIFAR10_CLASSES: &str = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::fetch::place::hex;
    use sha2::{Digest, Sha256};

    #[test]
    fn sums_are_whole_and_each_has_one_file() {
        let files = SETS.iter().flat_map(|set| set.files);
        let sums: HashSet<&str> = files.clone().map(|file| file.sha256).collect();
        assert_eq!(sums.len(), files.clone().count());
        assert!(sums.iter().all(|sum| sum.len() == 64 && sum.chars().all(|c| c.is_ascii_hexdigit())));
        let names = SETS[2].files.iter().find(|file| file.name == CIFAR10_NAMES).unwrap();
        assert_eq!(hex(&Sha256::digest(CIFAR10_CLASSES)), names.sha256);
    }

    #[test]
    fn a_slip_is_met_with_the_nearest_name() {
        let cases = [("mnits", "mean mnist?"), ("CIFAR-10", "mean cifar10?"), ("fashion", "mean fashion-mnist?")];
        for (name, expected) in cases {
            let Err(Failure::Input(line)) = Set::by_name(name) else { panic!("{name} is known") };
            assert!(line.contains(expected), "{line}");
        }
        let Err(Failure::Input(line)) = Set::by_name("zebra") else { panic!("zebra is known") };
        assert!(line.contains("mnist, fashion-mnist, cifar10") && !line.contains("mean"), "{line}");
    }
}
