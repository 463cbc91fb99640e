//! Runs binary neural networks: networks whose weights and activations are +1 or -1, one bit each.
//!
//! This crate is what an application adds. It takes a [`Model`] (of [`signbit_model`], mostly from a file),
//! plans it once into a [`Session`] (operators fused, weights packed for the CPU, all memory allocated) and
//! runs it with the kernels of [`signbit_kernels`], on one thread or several. Around that stand what
//! programs need next: pictures ([`picture`]), a look at every value on the way
//! ([`Session::run_traced`]), the time of each step ([`Session::profile`]) and the network's twin in
//! f32 ([`f32_twin`]). It does not train, convert, print or write files.
//!
//! ```
//! use signbit::{Model, model::{ModelBuilder, Op, Shape, Tensor, file}};
//!
//! let mut b = ModelBuilder::new(Shape::vector(3));
//! b.tensor("w", Tensor::bits_from_signs([2, 3], &[1, 1, 1, -1, 1, -1])?);
//! let bits = b.node("sign", Op::Sign, &[b.input()]);
//! let dots = b.node("fc", Op::BinaryDense { weight: "w".into() }, &[bits]);
//! let bytes = file::to_bytes(&b.finish(dots)?)?;
//!
//! let model = Model::from_bytes(&bytes)?; // or Model::load("model.signbit")?
//! assert_eq!(model.run(&[0.5, -2.0, 0.0])?, [1.0, -3.0]);
//! # Ok::<(), signbit::Error>(())
//! ```
//!
//! A session of one's own, for a planned batch, threads or another instruction set:
//!
//! ```
//! # use signbit::model::{ModelBuilder, Op, Shape};
//! use signbit::{Model, Options};
//! # let mut b = ModelBuilder::new(Shape::vector(2));
//! # let y = b.node("relu", Op::Relu, &[b.input()]);
//! # let model = Model::new(b.finish(y)?)?;
//! let mut session = model.session(Options { batch: 8, ..Options::default() })?;
//! assert_eq!(session.run(&[-1.0, 2.0, 3.0, -4.0], 2)?, [0.0, 2.0, 3.0, 0.0]);
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
