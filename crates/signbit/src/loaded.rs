//! A model, and the shortest way from a file to a result.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::{Error, Options, Session};

/// Samples that [`Model::run`] plans memory for at most.
const BATCH: usize = 16;

/// A checked model: the network as data, from which sessions are made.
#[derive(Debug)]
pub struct Model {
    data: signbit_model::Model,
    /// The session behind [`Model::run`], made by its first call.
    session: Mutex<Option<Kept>>,
}

/// A session that is kept from one run to the next.
#[derive(Debug)]
struct Kept {
    session: Session,
    /// The batch that was asked for; memory may have sufficed for a smaller one only.
    batch: usize,
}

impl Model {
    /// A model from its data.
    ///
    /// # Errors
    /// [`Error::Model`] with what [`signbit_model::Model::validate`] finds.
    pub fn new(data: signbit_model::Model) -> Result<Self, Error> {
        data.validate()?;
        Ok(Self { data, session: Mutex::new(None) })
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Model`] where the file cannot be read or is not a valid model.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::new(signbit_model::file::load(path)?)
    }

    /// Reads a model from the bytes of a file.
    ///
    /// # Errors
    /// [`Error::Model`] where the bytes are not a valid model.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::new(signbit_model::file::from_bytes(bytes)?)
    }

    /// The network as data: graph, tensors, preprocessing, classes, notes.
    #[must_use]
    pub fn data(&self) -> &signbit_model::Model {
        &self.data
    }

    /// The network as data, by value.
    #[must_use]
    pub fn into_data(self) -> signbit_model::Model {
        self.data
    }

    /// A session: see [`Session::new`]. It is independent of the model, which may be dropped.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn session(&self, options: Options) -> Result<Session, Error> {
        Session::new(&self.data, options)
    }

    /// A session that takes the model over: see [`Session::from_model`].
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn into_session(self, options: Options) -> Result<Session, Error> {
        Session::from_model(self.data, options)
    }

    /// Runs any number of samples, `[n, h, w, c]`, on the caller's thread with the default [`Options`], but a
    /// batch of up to 16 samples, as far as [`Options::memory_limit`] allows.
    ///
    /// The first call plans and keeps a session, as does a later one of more samples than that was planned for;
    /// callers on other threads wait for each other. For several threads or other options, make a [`Session`].
    ///
    /// # Errors
    /// [`Error::InputLength`] where `input` is not a number of whole samples, and those of [`Session::new`].
    pub fn run(&self, input: &[f32]) -> Result<Vec<f32>, Error> {
        let elements = self.data.graph.input.shape.elements().max(1);
        let n = input.len() / elements;
        if !input.len().is_multiple_of(elements) {
            return Err(Error::InputLength { n: n + 1, elements, found: input.len() });
        }
        // Powers of two, so that slowly growing inputs are not planned for each time.
        let batch = n.clamp(1, BATCH).next_power_of_two();
        let mut place = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        // A session that a panic has left without its buffers is made anew.
        let mut kept = match place.take().filter(|kept| kept.batch >= batch) {
            Some(kept) => kept,
            None => Kept { session: self.session_of_at_most(Options { batch, ..Options::default() })?, batch },
        };
        let output = kept.session.run(input, n).map(<[f32]>::to_vec);
        *place = Some(kept);
        output
    }

    /// A session for the batch of `options`, or for as many samples as there is memory for.
    fn session_of_at_most(&self, mut options: Options) -> Result<Session, Error> {
        loop {
            match self.session(options) {
                Err(Error::MemoryLimit { .. } | Error::Memory { .. }) if options.batch > 1 => options.batch /= 2,
                result => return result,
            }
        }
    }
}

impl AsRef<signbit_model::Model> for Model {
    fn as_ref(&self) -> &signbit_model::Model {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::{ModelBuilder, Op, Shape};

    use super::*;

    fn batches(model: &Model) -> (usize, usize) {
        let kept = model.session.lock().unwrap();
        kept.as_ref().map_or((0, 0), |kept| (kept.batch, kept.session.plan.batch))
    }

    #[test]
    fn a_later_run_of_more_samples_is_planned_for() {
        let mut b = ModelBuilder::new(Shape::vector(2));
        let y = b.node("relu", Op::Relu, &[b.input()]);
        let model = Model::new(b.finish(y).unwrap()).unwrap();
        assert_eq!(batches(&model), (0, 0));
        for (n, batch) in [(0, 1), (1, 1), (3, 4), (1, 4), (4, 4), (1000, BATCH), (2, BATCH)] {
            let input: Vec<f32> = (0..2 * n).map(|i| i as f32).collect();
            assert_eq!(model.run(&input).unwrap(), input);
            assert_eq!(batches(&model), (batch, batch), "{n} samples");
        }
    }

    /// A sample takes 8 bytes of input, 8 of the buffer and 8 of output.
    #[test]
    fn a_batch_beyond_the_limit_becomes_a_smaller_one() {
        let mut b = ModelBuilder::new(Shape::vector(2));
        let y = b.node("relu", Op::Relu, &[b.input()]);
        let model = Model::new(b.finish(y).unwrap()).unwrap();
        let batch = |memory_limit| {
            let options = Options { batch: 16, memory_limit, ..Options::default() };
            model.session_of_at_most(options).map(|session| session.plan.batch)
        };
        assert_eq!(batch(16 * 24).unwrap(), 16);
        assert_eq!(batch(16 * 24 - 1).unwrap(), 8);
        assert_eq!(batch(24).unwrap(), 1);
        assert!(matches!(batch(23), Err(Error::MemoryLimit { bytes: 24, limit: 23, .. })));
    }
}
