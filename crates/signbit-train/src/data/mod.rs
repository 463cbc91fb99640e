//! Data sets: labelled pictures as bytes, a training and a test part. From the digits inside the crate or from
//! IDX files; batches come out as real tensors.

mod augment;
mod digits;
mod idx;
mod options;

use std::path::{Path, PathBuf};

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use signbit_model::{ModelError, Preprocessing, Resize, ResizeFilter, Shape};

pub use augment::Augmentation;
pub use idx::{Idx, parse_idx, read_idx};
pub use options::DataOptions;

/// Data that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Nothing of this name or path.
    #[error("there is no data set {0:?}; give digits, mnist, fashion-mnist, or a folder with the four IDX files")]
    Unknown(String),
    /// The data set is known but not on this machine.
    #[error("{name} is not on this machine: looked for {} (scripts/get-data {name} gets it; SIGNBIT_DATA names another folder)", path.display())]
    Missing {
        /// The data set.
        name: String,
        /// Where it was looked for.
        path: PathBuf,
    },
}

/// Labelled pictures of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// Height, width, channels.
    pub shape: Shape,
    /// `[n, h, w, c]`, 0 to 255.
    pub pixels: Vec<u8>,
    /// Class of each picture.
    pub labels: Vec<u32>,
}

impl Pictures {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Pixels of picture `i`.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn picture(&self, i: usize) -> &[u8] {
        &self.pixels[i * self.shape.elements()..][..self.shape.elements()]
    }

    /// Writes pictures `indices`, preprocessed, into `out` `[indices.len(), h, w, c]`.
    ///
    /// # Errors
    /// Where the preprocessing is for pictures of another size.
    ///
    /// # Panics
    /// If there are not that many pictures.
    pub fn write(&self, indices: &[usize], preprocessing: &Preprocessing, out: &mut [f32]) -> Result<(), ModelError> {
        let sample = self.shape.elements();
        indices
            .iter()
            .zip(out.chunks_exact_mut(sample))
            .try_for_each(|(&i, out)| preprocessing.apply(self.picture(i), out))
    }
}

/// A training and a test part with the names of the classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSet {
    /// Name or path.
    pub name: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// For training.
    pub train: Pictures,
    /// For the accuracy, never trained on.
    pub test: Pictures,
}

impl DataSet {
    /// Pixels 0..255 to -1..1.
    pub fn preprocessing(&self) -> Preprocessing {
        let Shape { h, w, c } = self.train.shape;
        let resize = Some(Resize { filter: ResizeFilter::Bilinear });
        let (scale, shift) = (vec![2.0 / 255.0; c], vec![-1.0; c]);
        Preprocessing { channels: c, height: h, width: w, resize, scale, shift }
    }

    /// A data set by name (`digits`, `mnist`, `fashion-mnist`) or by the path of a folder with IDX files.
    ///
    /// Named sets other than `digits` are looked for in the folder `SIGNBIT_DATA`, else in `data`, under their name.
    ///
    /// # Errors
    /// Where nothing is found, or a file is not what it should be.
    pub fn open(name: &str) -> Result<Self, DataError> {
        match name {
            "digits" => digits::load(),
            "mnist" | "fashion-mnist" => {
                let root = std::env::var_os("SIGNBIT_DATA").map_or_else(|| "data".into(), PathBuf::from);
                let path = root.join(name);
                if !path.is_dir() {
                    return Err(DataError::Missing { name: name.into(), path });
                }
                let classes = if name == "mnist" { numbered(10) } else { FASHION.map(String::from).to_vec() };
                idx::load_folder(name, &path, Some(classes))
            }
            _ if Path::new(name).is_dir() => idx::load_folder(name, Path::new(name), None),
            _ => Err(DataError::Unknown(name.into())),
        }
    }
}

/// The classes of Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747, table 2).
const FASHION: [&str; 10] =
    ["T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

/// Classes named by their numbers.
fn numbered(n: u32) -> Vec<String> {
    (0..n).map(|c| c.to_string()).collect()
}

/// The order of `n` samples in an epoch: decided by the seed and the epoch's number alone.
pub fn epoch_order(n: usize, seed: u64, epoch: u32) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(epoch) + 1);
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut rng);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_epoch_has_its_own_order_of_all_samples() {
        let (first, again, second) = (epoch_order(100, 7, 0), epoch_order(100, 7, 0), epoch_order(100, 7, 1));
        assert_eq!(first, again);
        assert_ne!(first, second);
        let mut sorted = second;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = DataSet::open("mnits").unwrap_err().to_string();
        assert!(message.contains("mnist") && message.contains("digits"), "{message}");
    }
}
