//! Models as `.tflite` files for Larq Compute Engine.
//!
//! Binary layers are the engine's own operators, everything else is TensorFlow Lite's. The file needs an interpreter
//! with Larq Compute Engine's operators (`LceQuantize`, `LceDequantize`, `LceBconv2d`, `LceBMaxPool2d`).
//!
//! * One sample a run: the batch size is 1, for `LceDequantize` has a fixed shape. A vector is `[1, C]` at the graph's
//!   input and output, everything else `[1, H, W, C]`.
//! * A binary dense layer is an `LceBconv2d` of 1x1. A threshold, sign or factor per channel behind a binary layer
//!   becomes part of it. Bits at the graph's output are the numbers +1 and -1, integers F32.
//! * The engine pads as TensorFlow does (`SAME`, `VALID`). Other pads are an explicit `PAD` of the packed bits; where
//!   they must count as 0, the taps in the padding are taken out again by an `ADD` of a constant.
//! * Binary convolutions in groups need a multiple of 32 input channels in each, and an engine with the indirect or
//!   the reference kernels. Of an odd number of channels padded with 0, they need other kernels than the reference.
//!   Dilated max pooling cannot be expressed.
//! * The engine scales `differing bits * -scale + (bias + bits * scale)`, not `dot * scale + bias`: one rounding apart.

mod binary;
mod file;
mod layout;
mod lower;
mod real;
mod window;

use signbit_model::Model;

use crate::ConvertError;

/// The format's name in errors.
const FORMAT: &str = "TFLite";
/// The largest sum of the constants' bytes; a FlatBuffer ends at 2 GB, and grows by doubling.
const MAX_BYTES: usize = 1 << 30;

/// The model as a `.tflite` file for Larq Compute Engine; see the module for what is in it.
///
/// # Errors
/// What [`Model::validate`] finds; [`ConvertError::NotExpressible`] for binary convolutions in groups of other than a
/// multiple of 32 channels, for dilated max pooling, for binary layers with rows of 2^22 bits and more, and for
/// constants of more than 1 GB.
pub fn to_bytes(model: &Model) -> Result<Vec<u8>, ConvertError> {
    let (model, types) = &super::needed(model)?;
    let mut file = lower::lower(model, types)?;
    file.metadata.extend(model.notes.iter().map(|(key, note)| (key.clone(), note.clone().into_bytes())));
    let json = |e: serde_json::Error| ConvertError::Malformed { format: FORMAT, what: e.to_string() };
    if !model.classes.is_empty() {
        file.metadata.push(("signbit.classes".to_owned(), serde_json::to_vec(&model.classes).map_err(json)?));
    }
    if let Some(preprocessing) = &model.preprocessing {
        file.metadata.push(("signbit.preprocessing".to_owned(), serde_json::to_vec(preprocessing).map_err(json)?));
    }
    file.to_bytes()
}
