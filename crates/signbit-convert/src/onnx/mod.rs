//! ONNX and QONNX files.
//!
//! The way through this module: `wire` counts the messages, `proto` decodes them, `live` finds the nodes that lead to the output, `reader`
//! goes through them in order. A node of constants is folded (`fold`); any other one becomes nodes of the draft, by
//! the kind of its operator: `window`, `linear`, `affine`, `activation`, `moving`, `compare`, `quant`. How NCHW axes
//! lie in NHWC memory is `value`'s to know, and `output` brings the last value into the order that the file gives it.

mod activation;
mod affine;
mod compare;
mod constant;
mod dispatch;
mod fold;
mod input;
mod linear;
mod live;
mod moving;
mod node;
mod output;
pub(crate) mod proto;
mod quant;
mod reader;
mod shape;
#[cfg(test)]
mod tests;
mod transposed;
mod value;
mod window;
mod wire;

use prost::Message as _;

use crate::{ConvertError, Imported};

/// Reads an ONNX file of one input and one output, of the operator sets 7 to 21 and of QONNX.
///
/// The input is a vector `[N, C]`, a picture `[N, H, W]` of one channel or a feature map `[N, C, H, W]`, of floats;
/// the batch may be open, the other sizes not. Feature maps come in and go out in NHWC, and so does a vector that the
/// file reshapes to a feature map at once.
///
/// # Errors
/// [`ConvertError::Malformed`] for a file that is not ONNX, [`ConvertError::Unsupported`] for an operator or a layout
/// that the graph cannot express, by the node's name.
pub fn read(bytes: &[u8]) -> Result<Imported, ConvertError> {
    wire::check(bytes)?;
    let model = proto::ModelProto::decode(bytes).map_err(|error| malformed(error.to_string()))?;
    reader::read(&model, bytes.len())
}

fn malformed(what: impl Into<String>) -> ConvertError {
    ConvertError::Malformed { format: "ONNX", what: what.into() }
}
