//! Networks out again: ONNX and Larq Compute Engine's `.tflite`.
//!
//! Both exporters take any valid [`Model`], also one that `signbit pack` made. Bits and
//! integers come out exactly; real sums run in the other system's own order, so that real outputs agree to about
//! 1e-6 of their size, and a sign of a real number that lies that close to 0 may differ.

mod names;
pub mod onnx;
pub mod tflite;
mod weights;

use signbit_model::{Model, Node, ValueType};

use crate::ConvertError;

/// What of the model leads to its output, with the types of its values.
fn needed(model: &Model) -> Result<(Model, Vec<ValueType>), ConvertError> {
    model.validate()?;
    let mut model = model.clone();
    crate::passes::prune(&mut model);
    let types = model.validate()?;
    Ok((model, types))
}

/// An error for a node that the format cannot express.
fn refuse(node: &Node, format: &'static str, reason: impl Into<String>) -> ConvertError {
    ConvertError::NotExpressible { node: node.name.clone(), operator: node.op.name(), format, reason: reason.into() }
}

/// An integer of a file, from a size that the model's limits keep below 2^31.
fn int<T: TryFrom<usize>>(value: usize) -> Result<T, ConvertError> {
    T::try_from(value)
        .map_err(|_| ConvertError::Malformed { format: "exported", what: format!("the size {value} is too large") })
}
