//! The batches of an epoch, each made while the step before it runs: by the trainer's threads, wherever the step leaves
//! one of them idle. One batch is ahead at most. What becomes of a picture depends on the seed, the epoch and its index
//! alone, so it does not matter who makes it or when.

use std::iter::{Enumerate, Skip};
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
}

/// The samples of a step.
pub(super) struct Batch {
    pub(super) input: Tensor,
    /// Their classes.
    pub(super) labels: Vec<u32>,
    /// Share of each sample's own class, where samples are mixed (see [`Augmentation::mix`]).
    pub(super) share: f32,
}

impl<'a> Loader<'a> {
    /// The batches of a recipe's training pictures in an epoch, counted from 0.
    pub(super) fn new(data: &'a DataSet, recipe: &'a Recipe, preprocessing: &'a Preprocessing, epoch: u32) -> Self {
        Self { pictures: &data.train, preprocessing, augmentation: &recipe.augmentation, seed: recipe.seed, epoch }
    }

    /// The batch of step `step` of the epoch: these pictures in `buffer`, which has room for them; in parallel.
    pub(super) fn load(&self, step: usize, indices: &[usize], mut buffer: Vec<f32>) -> Result<Batch, ModelError> {
        let Self { pictures, preprocessing, augmentation, seed, epoch } = *self;
        let sample = pictures.shape.elements();
        let tasks = indices.par_chunks(TASK).zip(buffer.par_chunks_mut(TASK * sample));
        tasks.try_for_each(|(indices, out)| {
            pictures.write_augmented(indices, preprocessing, augmentation, seed, epoch, out)
        })?;
        let share = augmentation.mix(seed, epoch, step, pictures.shape, &mut buffer);
        let labels = indices.iter().map(|&i| pictures.labels[i]).collect();
        Ok(Batch { input: Tensor::new(indices.len(), pictures.shape, buffer), labels, share })
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
        let loader = Loader { pictures, preprocessing, augmentation: &augmentation, seed: 3, epoch: 2 };
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
    fn pictures_that_do_not_fit_are_an_error() {
        let data = DataSet::digits().unwrap();
        let preprocessing = Preprocessing { height: 9, ..data.preprocessing() };
        let loader = Loader {
            pictures: &data.train,
            preprocessing: &preprocessing,
            augmentation: &Augmentation::default(),
            seed: 0,
            epoch: 0,
        };
        assert!(loader.load(0, &[0, 1], vec![0.0; 128]).is_err());
    }
}
