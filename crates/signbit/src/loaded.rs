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
    session: Mutex<Option<Session>>,
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

    /// Runs any number of samples, `[n, h, w, c]`, on the caller's thread with the default [`Options`].
    ///
    /// The first call plans and keeps a session; callers on other threads wait for each other. For several
    /// threads or other options, make a [`Session`].
    ///
    /// # Errors
    /// [`Error::InputLength`] where `input` is not a number of whole samples, and those of [`Session::new`].
    pub fn run(&self, input: &[f32]) -> Result<Vec<f32>, Error> {
        let elements = self.data.graph.input.shape.elements().max(1);
        let n = input.len() / elements;
        if !input.len().is_multiple_of(elements) {
            return Err(Error::InputLength { n: n + 1, elements, found: input.len() });
        }
        let mut kept = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        // A session that a panic has left without its buffers is made anew.
        let mut session = match kept.take() {
            Some(session) => session,
            None => self.session(Options { batch: n.clamp(1, BATCH), ..Options::default() })?,
        };
        let output = session.run(input, n).map(<[f32]>::to_vec);
        *kept = Some(session);
        output
    }
}

impl AsRef<signbit_model::Model> for Model {
    fn as_ref(&self) -> &signbit_model::Model {
        &self.data
    }
}
