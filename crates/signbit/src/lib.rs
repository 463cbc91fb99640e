//! Runs binary neural networks: networks whose weights and activations are +1 or -1, one bit each.
//!
//! This crate is what an application adds. It takes a [`Model`] (of [`signbit_model`], mostly from a file),
//! plans it once into a [`Session`] (operators fused, weights packed for the CPU, all memory allocated) and
//! runs it with the kernels of [`signbit_kernels`], on one thread or several. Around that stand what
//! programs need next: pictures ([`picture`]), a look at every value on the way
//! ([`Session::run_traced`]), the time of each step ([`Session::profile`]) and the network's twin in
//! f32 ([`f32_twin`]). It does not train, convert, print or write files.
//!
//! From a file to an answer:
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("model.signbit");
//! # {
//! #     use signbit::model::{ModelBuilder, Op, Shape, Tensor, file};
//! #     let mut b = ModelBuilder::new(Shape::vector(3));
//! #     b.tensor("w", Tensor::bits_from_signs([2, 3], &[1, 1, 1, -1, 1, -1])?);
//! #     let bits = b.node("sign", Op::Sign, &[b.input()]);
//! #     let dots = b.node("fc", Op::BinaryDense { weight: "w".into() }, &[bits]);
//! #     b.classes(["cat", "dog"]);
//! #     file::save(&b.finish(dots)?, &path)?;
//! # }
//! use signbit::{Model, Options};
//!
//! let model = Model::load(&path)?; // here: three inputs, two outputs
//! let mut session = model.session(Options::default())?; // plans memory, chooses kernels
//! let input = [0.5, -2.0, 0.0]; // f32, NHWC
//! let scores = session.run(&input, 1)?; // one sample; nothing is allocated
//! assert_eq!(scores, [1.0, -3.0]);
//! let best = if scores[0] >= scores[1] { 0 } else { 1 };
//! assert_eq!(model.data().classes[best], "cat");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A model needs no file. And a session may plan for a batch, for threads or for another instruction set:
//!
//! ```
//! use signbit::model::{ModelBuilder, Op, Shape, Tensor};
//! use signbit::{Isa, Model, Options};
//!
//! let mut b = ModelBuilder::new(Shape::vector(3));
//! b.tensor("w", Tensor::bits_from_signs([2, 3], &[1, 1, 1, -1, 1, -1])?);
//! let bits = b.node("sign", Op::Sign, &[b.input()]);
//! let dots = b.node("fc", Op::BinaryDense { weight: "w".into() }, &[bits]);
//! let model = Model::new(b.finish(dots)?)?;
//!
//! for isa in Isa::all() {
//!     let mut session = model.session(Options { isa, batch: 2, ..Options::default() })?;
//!     assert_eq!(session.run(&[0.5, -2.0, 0.0, -1.0, 1.0, -1.0], 2)?, [1.0, -3.0, -1.0, 3.0]);
//! }
//! # Ok::<(), signbit::Error>(())
//! ```
//!
//! # Features
//! - `rayon` (default): [`Options::threads`] above 1.
//! - `image`: `Session::classify_image`, for pictures of any kind and size.

#![forbid(unsafe_code)]

mod error;
mod loaded;
mod memory;
mod ops;
mod options;
pub mod picture;
mod plan;
mod profile;
mod session;
mod threads;
mod twin;
mod value;

pub use error::Error;
pub use loaded::Model;
pub use options::Options;
pub use picture::{Picture, Prediction};
pub use profile::StepTime;
pub use session::Session;
pub use signbit_kernels::{Isa, isa::IsaError};
pub use signbit_model as model;
pub use twin::f32_twin;
pub use value::ValueView;
