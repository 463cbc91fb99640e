//! Data sets: labelled pictures as bytes, a training and a test part. Batches come out as real tensors.
//!
//! | file | what it reads or does |
//! |---|---|
//! | `digits`, `idx`, `cifar`, `npz`, `folder` | one kind of data each: built in, MNIST's, CIFAR-10's, NumPy's, pictures |
//! | [`npy`] | one array of NumPy, for `npz` and for a network's input |
//! | `open` | which of them a name or path is |
//! | `split` | the test part, where none is named |
//! | `augment`, `mix` | training pictures changed at random; two of them made one |
//! | `info` | what a set holds, in numbers and as a picture |

mod augment;
mod cifar;
mod colour;
mod digits;
mod error;
mod folder;
mod idx;
mod mix;
pub mod npy;
mod npz;
mod open;
mod options;
mod split;
mod zoom;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use signbit_model::{ModelError, Preprocessing, Resize, ResizeFilter, Shape};

pub use augment::Augmentation;
pub use cifar::parse_records;
pub use error::DataError;
pub use idx::{Idx, parse_idx, read_idx};
pub(crate) use mix::main_classes;
pub use npz::{numbered_arrays, parse_npz};
pub use open::{NAMES, find, nearest};
pub use options::DataOptions;

/// Most bytes of data that are taken in: a hundred times MNIST.
const MAX_BYTES: usize = 5 << 30;
/// Most classes that labels may name.
const MAX_CLASSES: usize = 65_536;
/// How pictures of another size than the set's are resized, where the set's own never were.
const STRETCH: Resize = Resize { filter: ResizeFilter::Bilinear, crop: false };

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

    /// [`Pictures::write`] of pictures that are changed at random before: for training. What becomes of a picture is
    /// decided by `seed`, `epoch` and its index alone.
    ///
    /// # Errors
    /// As [`Pictures::write`].
    ///
    /// # Panics
    /// If there are not that many pictures.
    pub fn write_augmented(
        &self,
        indices: &[usize],
        preprocessing: &Preprocessing,
        augmentation: &Augmentation,
        seed: u64,
        epoch: u32,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        if augmentation.is_none() {
            return self.write(indices, preprocessing, out);
        }
        let mut changed = vec![0; self.shape.elements()];
        indices.iter().zip(out.chunks_exact_mut(changed.len())).try_for_each(|(&i, out)| {
            augmentation.apply(seed, epoch, i, self.shape, self.picture(i), &mut changed);
            preprocessing.apply(&changed, out)
        })
    }

    /// The pictures of these indices, in their order.
    ///
    /// # Panics
    /// If there are not that many pictures.
    fn chosen(&self, indices: &[usize]) -> Self {
        Self {
            shape: self.shape,
            pixels: indices.iter().flat_map(|&i| self.picture(i)).copied().collect(),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
        }
    }
}

/// A training and a test part with the names of the classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSet {
    /// Name or path.
    pub name: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Whether these are names. Files of numbers alone (IDX, `.npz`) do not say what a class is; then they are "0", "1" and so on.
    pub named: bool,
    /// For training.
    pub train: Pictures,
    /// For the accuracy, never trained on.
    pub test: Pictures,
    /// How its pictures were brought to their size, and others are to be.
    pub resize: Resize,
}

impl DataSet {
    /// Pixels 0..255 to -1..1; pictures of another size are resized as those of the set were.
    pub fn preprocessing(&self) -> Preprocessing {
        let Shape { h, w, c } = self.train.shape;
        let (scale, shift) = (vec![2.0 / 255.0; c], vec![-1.0; c]);
        Preprocessing { channels: c, height: h, width: w, resize: Some(self.resize), scale, shift }
    }
}

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
    fn augmented_pictures_are_written_as_the_others_are() {
        let shape = Shape::new(1, 2, 1);
        let pictures = Pictures { shape, pixels: vec![0, 255, 10, 20], labels: vec![0, 1] };
        let preprocessing =
            Preprocessing { channels: 1, height: 1, width: 2, resize: None, scale: vec![1.0], shift: vec![0.0] };
        let written = |augmentation: Augmentation, epoch| {
            let mut out = vec![0.0; 4];
            pictures.write_augmented(&[1, 0], &preprocessing, &augmentation, 3, epoch, &mut out).unwrap();
            out
        };
        assert_eq!(written(Augmentation::default(), 0), [10.0, 20.0, 0.0, 255.0]);
        let flip = Augmentation { flip: true, ..Augmentation::default() };
        let ways: std::collections::BTreeSet<_> =
            (0..50).map(|epoch| written(flip, epoch).iter().map(|x| x.to_bits()).collect::<Vec<_>>()).collect();
        assert_eq!(ways.len(), 4, "both pictures, mirrored or not");
    }
}
