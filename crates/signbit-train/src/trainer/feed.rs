//! The batches of an epoch, each made while the step before it runs: by the trainer's threads, wherever the step leaves
//! one of them idle. One batch is ahead at most. What becomes of a picture depends on the seed, the epoch and its index
//! alone, so it does not matter who makes it or when.

use std::iter::{Enumerate, Skip};
use std::ops::Range;
use std::slice::ChunksExact;

use rayon::prelude::*;
use signbit_model::{ModelError, Preprocessing};

use crate::data::{Augmentation, DataSet, Pictures};
use crate::recipe::Recipe;
use crate::tensor::Tensor;

/// Pictures per task.
const TASK: usize = 8;

/// What makes an epoch's batches.
pub(super) struct Loader<'a> {
    pictures: &'a Pictures,
    preprocessing: &'a Preprocessing,
    augmentation: &'a Augmentation,
    seed: u64,
    epoch: u32,
    /// The samples of each batch that are made: this rank's, where ranks share it.
    own: Option<Range<usize>>,
}

/// The samples of a step.
pub(super) struct Batch {
    pub(super) input: Tensor,
    /// The classes of the whole batch.
    pub(super) labels: Vec<u32>,
    /// Share of each sample's own class, where samples are mixed (see [`Augmentation::mix`]).
    pub(super) share: f32,
}

impl<'a> Loader<'a> {
    /// The batches of a recipe's training pictures in an epoch, counted from 0.
    pub(super) fn new(data: &'a DataSet, recipe: &'a Recipe, preprocessing: &'a Preprocessing, epoch: u32) -> Self {
        let (pictures, augmentation) = (&data.train, &recipe.augmentation);
        Self { pictures, preprocessing, augmentation, seed: recipe.seed, epoch, own: None }
    }

    /// As it is, with batches that hold only the samples `own` of each.
    pub(super) fn only(self, own: Option<Range<usize>>) -> Self {
        Self { own, ..self }
    }

    /// How many samples a batch of `whole` has.
    pub(super) fn samples(&self, whole: usize) -> usize {
        self.own.as_ref().map_or(whole, Range::len)
    }

    /// The batch of step `step` of the epoch: these pictures, or those of them that are made here, in `buffer`, which has
    /// room for them; in parallel.
    pub(super) fn load(&self, step: usize, indices: &[usize], mut buffer: Vec<f32>) -> Result<Batch, ModelError> {
        let Self { augmentation, seed, epoch, .. } = *self;
        let shape = self.pictures.shape;
        let share = match self.own.clone() {
            None => {
                self.write(indices, &mut buffer)?;
                augmentation.mix(seed, epoch, step, shape, &mut buffer)
            }
            Some(own) if augmentation.mixup == 0.0 && augmentation.cutmix == 0.0 => {
                self.write(&indices[own], &mut buffer)?;
                1.0
            }
            Some(own) => self.load_mixed(step, indices, own, &mut buffer)?,
        };
        let labels = indices.iter().map(|&i| self.pictures.labels[i]).collect();
        Ok(Batch { input: Tensor::new(self.samples(indices.len()), shape, buffer), labels, share })
    }

    /// The samples `own` of a batch, mixed with their partners, of which some are other ranks': these are made too.
    fn load_mixed(
        &self,
        step: usize,
        indices: &[usize],
        own: Range<usize>,
        buffer: &mut [f32],
    ) -> Result<f32, ModelError> {
        let (n, sample) = (indices.len(), self.pictures.shape.elements());
        let pairs = [&indices[own.clone()], &indices[n - own.end..n - own.start]].concat();
        let mut both = vec![0.0; pairs.len() * sample];
        self.write(&pairs, &mut both)?;
        let share = self.augmentation.mix(self.seed, self.epoch, step, self.pictures.shape, &mut both);
        buffer.copy_from_slice(&both[..buffer.len()]);
        if n % 2 == 1 && own.contains(&(n / 2)) {
            // The middle one is its own partner and stays as it is.
            self.write(&indices[n / 2..=n / 2], &mut buffer[(n / 2 - own.start) * sample..][..sample])?;
        }
        Ok(share)
    }

    /// These pictures, augmented, each for itself.
    fn write(&self, indices: &[usize], buffer: &mut [f32]) -> Result<(), ModelError> {
        let Self { pictures, preprocessing, augmentation, seed, epoch, .. } = *self;
        let tasks = indices.par_chunks(TASK).zip(buffer.par_chunks_mut(TASK * pictures.shape.elements()));
        tasks.try_for_each(|(indices, out)| {
            pictures.write_augmented(indices, preprocessing, augmentation, seed, epoch, out)
        })
    }
}

/// The batches of an epoch, or of what is left of it.
pub(super) struct Feed<'a> {
    pub(super) loader: Loader<'a>,
    /// The steps and indices of those that are not made yet.
    pub(super) rest: Skip<Enumerate<ChunksExact<'a, usize>>>,
    /// The one that was made ahead.
    pub(super) ready: Option<Batch>,
}

impl<'a> Feed<'a> {
    /// Batches of `batch` samples in the order of `order`, of which `before` are done.
    pub(super) fn new(loader: Loader<'a>, order: &'a [usize], batch: usize, before: usize) -> Self {
        Self { loader, rest: order.chunks_exact(batch).enumerate().skip(before), ready: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_what_its_pictures_are_one_by_one() {
        let data = DataSet::digits().unwrap();
        let augmentation = Augmentation { flip: true, shift: 1, brightness: 0.2, ..Augmentation::default() };
        let preprocessing = &data.preprocessing();
        let pictures = &data.train;
        let loader = Loader { pictures, preprocessing, augmentation: &augmentation, seed: 3, epoch: 2, own: None };
        let (indices, sample) = ([5, 900, 3, 3, 17, 40, 1, 2, 800, 7, 11], pictures.shape.elements());
        let batch = loader.load(0, &indices, vec![f32::NAN; indices.len() * sample]).unwrap();
        for (i, index) in indices.into_iter().enumerate() {
            let mut one = vec![0.0; sample];
            pictures.write_augmented(&[index], preprocessing, &augmentation, 3, 2, &mut one).unwrap();
            assert_eq!(batch.input.data[i * sample..][..sample], one, "picture {index}");
            assert_eq!(batch.labels[i], pictures.labels[index]);
        }
    }

    #[test]
    fn shares_make_up_the_batch() {
        let data = DataSet::digits().unwrap();
        let preprocessing = &data.preprocessing();
        let plain = Augmentation { shift: 1, ..Augmentation::default() };
        let (mixup, cutmix) = (Augmentation { mixup: 0.4, ..plain }, Augmentation { cutmix: 0.8, ..plain });
        for augmentation in [plain, mixup, cutmix] {
            let recipe = Recipe { augmentation, ..Recipe::by_name("mlp").unwrap() };
            let load = |n: usize, own: Option<Range<usize>>| {
                let loader = Loader::new(&data, &recipe, preprocessing, 1).only(own);
                let buffer = vec![f32::NAN; loader.samples(n) * 64];
                let indices: Vec<usize> = (0..n).map(|i| i * 7 % 1000).collect();
                let batch = loader.load(2, &indices, buffer).unwrap();
                (batch.input.data, batch.labels, batch.share.to_bits())
            };
            for n in [10, 15] {
                let whole = load(n, None);
                let shares = [0..6, 6..9, 9..n].map(|own| load(n, Some(own)));
                assert!(shares.iter().all(|share| (&share.1, share.2) == (&whole.1, whole.2)));
                assert_eq!(shares.map(|share| share.0).concat(), whole.0, "{n} {:?}", recipe.augmentation);
            }
        }
    }

    #[test]
    fn pictures_that_do_not_fit_are_an_error() {
        let data = DataSet::digits().unwrap();
        let preprocessing = Preprocessing { height: 9, ..data.preprocessing() };
        let loader = Loader {
            pictures: &data.train,
            preprocessing: &preprocessing,
            augmentation: &Augmentation::default(),
            seed: 0,
            epoch: 0,
            own: None,
        };
        assert!(loader.load(0, &[0, 1], vec![0.0; 128]).is_err());
    }
}
