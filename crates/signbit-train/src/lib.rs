//! Train binary neural networks on a CPU, and pack what was trained.
//!
//! A small reverse-mode engine over real NHWC tensors and packed bits. Forward and backward use the signs of
//! *latent* real weights; the optimiser updates the latent weights (the straight-through estimator of Courbariaux
//! et al. 2016, arXiv 1602.02830). The forward of binary layers runs on the packed kernels of `signbit-kernels`, real
//! matrix products on the `gemm` crate.
//!
//! | room | what stands there |
//! |---|---|
//! | [`tensor`], [`params`] | values between layers; trained numbers, flat |
//! | [`op`], [`ops`] | what an operator owes; the operators, one file each |
//! | [`quantizer`] | sign with its surrogate derivatives |
//! | [`network`] | operators in order: forward, backward, packing |
//! | [`gemm`] | real matrix products (the crate's one file with `unsafe`) |
//! | [`loss`], [`optim`] | losses, optimisers, schedules |
//! | [`recipe`], [`zoo`] | every choice of a run; the networks it can name |
//! | [`data`] | labelled pictures |
//! | [`trainer`], [`checkpoint`] | the loop; a run on disk |
//! | [`pack`], [`fold`] | to the one graph; batch norm into integer thresholds |
//! | [`verify`] | the trained network against the packed one, bit by bit |
//!
//! An operator or quantizer of your own implements [`op::Operator`] or [`quantizer::Quantizer`] and is added by
//! [`network::NetworkBuilder::add`].
//!
//! ```
//! use std::sync::Arc;
//! use signbit_model::Shape;
//! use signbit_train::network::NetworkBuilder;
//! use signbit_train::ops::{BatchNormSign, BinaryDense, Dense, WeightScale};
//! use signbit_train::quantizer::SteSign;
//!
//! let mut builder = NetworkBuilder::new(Shape::vector(64), 1);
//! let x = builder.input();
//! let y = BinaryDense::add(&mut builder, "dense1", x, 128, Arc::new(SteSign), WeightScale::None)?;
//! let x = BatchNormSign::add(&mut builder, "norm1", y, Arc::new(SteSign))?;
//! Dense::add(&mut builder, "dense2", x, 10, true)?;
//! let model = builder.finish()?.pack()?;
//! assert_eq!(model.graph.nodes.len(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

pub mod checkpoint;
pub mod data;
pub mod fold;
pub mod gemm;
mod latents;
pub mod loss;
pub mod network;
pub mod op;
pub mod ops;
pub mod optim;
pub mod pack;
pub mod params;
pub mod quantizer;
pub mod recipe;
pub mod tensor;
pub mod trainer;
pub mod verify;
pub mod zoo;
