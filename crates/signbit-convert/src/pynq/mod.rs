//! BNN-PYNQ: the parameter folder that its hardware loads, and the `.npz` that its training wrote.
//!
//! | file | what it reads |
//! |---|---|
//! | `folder` | `{layer}-{pe}-weights.bin` and `-thres.bin`, into one bit matrix per layer |
//! | `networks` | what the layers are: LFC (four dense ones, 28x28 grey), CNV (six convolutions, three dense, 32x32 colour) |
//! | `npz` | real weights and batch norm, `arr_0`, `arr_1` ... |
//!
//! The hardware counts ones: a bit is `popcount(xnor) > threshold`. With `n` columns the dot product of ±1 is
//! `2 * popcount - n`, so that the same bit is `dot >= 2 * (threshold + 1) - n`.

mod folder;
mod networks;
mod npz;

pub use folder::read_folder;
pub use npz::read_npz;

use crate::ConvertError;

/// The format's name in messages.
const FORMAT: &str = "BNN-PYNQ";

fn malformed(what: impl Into<String>) -> ConvertError {
    ConvertError::Malformed { format: FORMAT, what: what.into() }
}
