//! Networks of other systems, in and out.
//!
//! One reader per system, each to the one graph of [`signbit_model`]. A reader translates its file operator by
//! operator into a [`Draft`], with real weights and unpacked signs wherever the file has them so; what makes a
//! binary network of it ([`passes`]) is the same for all. This crate never prints, and a hostile file is an error.
//!
//! | file | reader |
//! |---|---|
//! | `.tflite` of Larq Compute Engine | [`tflite`] |
//! | `.h5`, `.keras` of Larq and Keras | [`keras`] |
//! | `.onnx`, also QONNX | [`onnx`] |
//! | `.safetensors` of PyTorch | [`torch`] |
//! | BNN-PYNQ parameter folder or `.npz` | [`pynq`] |
//!
//! Out again: [`export`].

#![forbid(unsafe_code)]

pub mod architecture;
mod draft;
mod error;
pub mod export;
mod imported;
pub mod keras;
pub mod onnx;
mod open;
pub mod passes;
pub mod pynq;
pub mod tflite;
pub mod torch;

pub use draft::{Activation, Draft};
pub use error::ConvertError;
pub use imported::{Imported, Warning};
pub use open::{MAX_BYTES, Opened, Target, open};
