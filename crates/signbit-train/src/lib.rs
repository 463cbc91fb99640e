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
//! | [`ranks`] | one training by several processes |
//! | [`pack`], [`fold`] | to the one graph; batch norm into integer thresholds |
//! | [`verify`] | the trained network against the packed one, bit by bit |
//!
//! An operator or quantizer of your own implements [`op::Operator`] or [`quantizer::Quantizer`] and is added by
//! [`network::NetworkBuilder::add`].
//!
//! A whole training: a network from layers, two epochs on the digits of this crate, and the packed model's accuracy.
//!
//! ```
//! use std::sync::Arc;
//!
//! use signbit_model::interpreter::{self, ValueData};
//! use signbit_train::data::{DataSet, epoch_order};
//! use signbit_train::loss::{Target, classes_of, loss};
//! use signbit_train::network::NetworkBuilder;
//! use signbit_train::op::Mode;
//! use signbit_train::ops::{BatchNormSign, BinaryDense, Dense, Flatten, WeightScale};
//! use signbit_train::optim::{Adam, Optimizer};
//! use signbit_train::quantizer::SteSign;
//! use signbit_train::tensor::Tensor;
//!
//! let data = DataSet::digits()?;
//! let (shape, preprocessing) = (data.train.shape, data.preprocessing());
//! let mut b = NetworkBuilder::new(shape, 1); // the seed of the initial weights
//! let x = b.input();
//! let x = Flatten::add(&mut b, "flatten", x)?;
//! let y = BinaryDense::add(&mut b, "dense1", x, 128, Arc::new(SteSign), WeightScale::None)?;
//! let x = BatchNormSign::add(&mut b, "norm1", y, Arc::new(SteSign))?;
//! Dense::add(&mut b, "dense2", x, data.classes.len(), true)?;
//! let mut network = b.finish()?;
//!
//! let mut adam = Adam::default();
//! for epoch in 0..2 {
//!     for batch in epoch_order(data.train.len(), 1, epoch).chunks_exact(50) {
//!         let mut input = network.input_buffer(batch.len());
//!         data.train.write(batch, &preprocessing, &mut input)?;
//!         let classes: Vec<u32> = batch.iter().map(|&i| data.train.labels[i]).collect();
//!         let output = network.forward(Tensor::new(batch.len(), shape, input), Mode::Train);
//!         let (_, grad) = loss(network.buffers(), &output, Target::Classes(&classes));
//!         network.backward(output, grad);
//!         adam.step(network.params_mut(), 0.01);
//!     }
//! }
//!
//! let model = network.pack()?; // bits and thresholds; `signbit_model::file::save` writes it
//! let test: Vec<usize> = (0..data.test.len()).collect();
//! let mut input = vec![0.0; test.len() * shape.elements()];
//! data.test.write(&test, &preprocessing, &mut input)?;
//! let output = interpreter::run(&model, test.len(), &input)?; // slow and obvious; the crate `signbit` is the fast way
//! let ValueData::F32(scores) = output.data else { panic!("scores are real") };
//! let scores = Tensor::new(test.len(), output.ty.shape, scores);
//! let right = classes_of(&scores).zip(&data.test.labels).filter(|(found, class)| found == *class).count();
//! assert!(right > test.len() * 8 / 10, "{right} of {}", test.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

mod attention;
mod average;
pub mod checkpoint;
pub mod data;
pub mod fold;
pub mod gemm;
mod gradients;
mod latents;
pub mod loss;
pub mod network;
mod objective;
pub mod op;
pub mod ops;
pub mod optim;
pub mod pack;
pub mod params;
pub mod quantizer;
pub mod range;
pub mod ranks;
pub mod recipe;
mod start;
pub mod tensor;
pub mod trainer;
pub mod verify;
pub mod zoo;
