//! A binary neural network as data.
//!
//! This crate holds what every other part of signbit speaks: the graph with its operators
//! ([`Graph`], [`Op`]), the tensors ([`Tensor`]), their checks ([`infer`], [`Model::validate`]), the
//! file format ([`mod@file`]), the size table ([`size`]), the input's preparation ([`preprocessing`]) and
//! the [`interpreter`], a slow and obvious arithmetic in ±1 that *defines* what each operator means.
//! It knows nothing of kernels, threads or training, and it never prints.
//!
//! A small network, built, checked and run:
//!
//! ```
//! use signbit_model::{ModelBuilder, Op, Shape, Tensor, interpreter};
//!
//! let mut b = ModelBuilder::new(Shape::vector(3));
//! let x = b.input();
//! b.tensor("fc.weight", Tensor::bits_from_signs([2, 3], &[1, 1, 1, -1, 1, -1])?);
//! let bits = b.node("sign", Op::Sign, &[x]);
//! let dot = b.node("fc", Op::BinaryDense { weight: "fc.weight".into() }, &[bits]);
//! let model = b.finish(dot)?;
//!
//! // sign([0.5, -2.0, 0.0]) = [+1, -1, +1]; dot products with the two rows: +1 and -3.
//! let out = interpreter::run(&model, 1, &[0.5, -2.0, 0.0])?;
//! assert_eq!(out.data, interpreter::ValueData::I32(vec![1, -3]));
//! # Ok::<(), signbit_model::ModelError>(())
//! ```
//!
//! # Features
//! - `image`: the module `picture`, from a picture's file to the bytes of a network's input.

#![forbid(unsafe_code)]

mod builder;
mod error;
pub mod file;
mod geometry;
mod graph;
mod infer;
pub mod interpreter;
pub mod math;
mod model;
pub mod ops;
#[cfg(feature = "image")]
pub mod picture;
pub mod preprocessing;
pub mod size;
mod tensor;
mod transposed;
mod types;

pub use builder::ModelBuilder;
pub use error::{FileError, GeometryError, ModelError, NodeError, PreprocessingError, TensorError};
pub use geometry::Geometry;
pub use graph::{Graph, Node, ValueId};
pub use infer::{infer, infer_node};
pub use model::Model;
pub use ops::{Op, Padding};
pub use preprocessing::{Preprocessing, Resize, ResizeFilter};
pub use size::SizeTable;
pub use tensor::{Tensor, words};
pub use transposed::TransposedGeometry;
pub use types::{DType, Shape, ValueType};

/// The limits that a graph must keep, whoever made it. They bound what a file can ask for.
pub mod limits {
    /// Most nodes in a graph.
    pub const MAX_NODES: usize = 65_536;
    /// Most elements of one value, per sample, and of one tensor.
    pub const MAX_ELEMENTS: usize = i32::MAX as usize;
    /// Most weights per output channel of a convolution or dense layer, real or binary: so that twice the
    /// popcount of that many bits still fits an `i32`.
    pub const MAX_ROW: usize = i32::MAX as usize / 2;
    /// Longest name of a node or tensor, in bytes.
    pub const MAX_NAME: usize = 256;
    /// Largest kernel size, stride, dilation or pad.
    pub const MAX_GEOMETRY: usize = 32_767;
    /// Most dimensions of a tensor.
    pub const MAX_RANK: usize = 8;
}
