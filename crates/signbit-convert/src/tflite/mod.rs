//! Larq Compute Engine's `.tflite` files: its four operators, and the TFLite built-ins around them.
//!
//! [`read`] takes the graph operator by operator. What holds bits in the file holds bits in the draft (with the
//! other polarity: 1 is -1 there); a real layer behind an unpacked sign stays real until [`crate::passes`].
//! Quantized tensors (int8) become the real numbers that they stand for.
//!
//! [`operators`] gives each operator as a network of its own, to compare with the engine's intermediate tensors.

mod arithmetic;
mod buffer;
mod codes;
mod constant;
mod conv;
mod flex;
mod fold;
mod lce;
mod packed;
mod pad;
mod pool;
mod reader;
mod schema;
mod shape;
mod single;
mod slice;
mod transposed;

use crate::{ConvertError, Imported};
pub use single::{Operand, Step, operators};

type Result<T> = std::result::Result<T, ConvertError>;

/// Reads a `.tflite` file.
///
/// The network's input is the file's, per sample, in F32; each node has the name of its tensor up to the first `;`.
///
/// # Errors
/// [`ConvertError::Malformed`] for a file that contradicts itself or the format; [`ConvertError::Unsupported`] for an
/// operator, option or shape that the graph cannot express; [`ConvertError::Model`] for a graph over its limits.
/// Nothing is allocated beyond 16 times the file's size and a few MiB.
pub fn read(bytes: &[u8]) -> Result<Imported> {
    reader::read(bytes)
}
