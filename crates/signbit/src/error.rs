//! The crate's error.

use signbit_kernels::shape::ShapeError;
use signbit_model::{ModelError, Shape};

/// Everything that can go wrong between a file and a prediction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model or its file is wrong.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A layer is too large for the kernels.
    #[error("layer `{layer}`: {source}")]
    Layer {
        /// The layer's name.
        layer: String,
        /// What the kernels object to.
        source: ShapeError,
    },
    /// A layer's buffer cannot be allocated.
    #[error("layer `{layer}`: there is no memory for {bytes} bytes")]
    Memory {
        /// The layer's name.
        layer: String,
        /// The size of the buffer.
        bytes: usize,
    },
    /// A session would take more memory than [`crate::Options::memory_limit`].
    #[error("with layer `{layer}` the session takes {bytes} bytes of memory, the limit is {limit}")]
    MemoryLimit {
        /// The layer that goes beyond the limit; `input` and `output` for those of the network.
        layer: String,
        /// Bytes of all that has been planned so far, with this layer.
        bytes: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// A session for batches of 0 samples was asked for.
    #[error("a session needs a batch of at least 1")]
    Batch,
    /// A session on 0 threads was asked for.
    #[error("a session needs at least 1 thread")]
    NoThreads,
    /// More than one thread, in a program built without threads.
    #[error("{threads} threads need the feature `rayon`, which this program was built without")]
    ThreadsFeature {
        /// The number asked for.
        threads: usize,
    },
    /// The operating system gave no threads.
    #[error("cannot start the threads: {0}")]
    ThreadPool(String),
    /// The input's length is not samples times elements.
    #[error("the input has {found} numbers, {n} samples of {elements} were expected")]
    InputLength {
        /// Samples.
        n: usize,
        /// Numbers per sample.
        elements: usize,
        /// Numbers given.
        found: usize,
    },
    /// A caller's output slice has the wrong length.
    #[error("the output takes {expected} numbers, there is room for {found}")]
    OutputLength {
        /// Numbers needed.
        expected: usize,
        /// Numbers that fit.
        found: usize,
    },
    /// The model does not say how a picture becomes its input.
    #[error("the model does not take pictures: it has no preprocessing")]
    NoPreprocessing,
    /// A picture of another size than the model's.
    #[error("the picture is {found}, the model takes {expected} (height x width x channels)")]
    PictureSize {
        /// What the model takes.
        expected: Shape,
        /// What the picture is.
        found: Shape,
    },
    /// A picture with a number of channels that is neither 1 nor 3.
    #[error("the picture has {found} channels, it must have 1 (grey) or 3 (red, green, blue)")]
    PictureChannels {
        /// The picture's channels.
        found: usize,
    },
    /// A picture whose bytes do not fit its size.
    #[error("a picture of {size} has {found} bytes")]
    PictureLength {
        /// The picture's size.
        size: Shape,
        /// The bytes that it has.
        found: usize,
    },
}
