//! Arithmetic on bits for binary neural networks.
//!
//! This crate packs signs into words, multiplies them (binary dense and convolution layers, as
//! XNOR and popcount), compares the results with integer thresholds and pools the bits. Beside that
//! stand the few real-valued steps of such a network whose order of operations has to be fixed. It
//! knows nothing of networks, files or threads: every function takes slices, a shape and an
//! [`Isa`], and writes into a slice of the caller. It is `no_std`, allocates nothing and
//! depends on nothing.
//!
//! # Conventions
//! - `sign(x)` is +1 where `x >= 0` (so for -0.0 as well) and -1 elsewhere (so for NaN). +1 is stored
//!   as bit 1, -1 as bit 0, in `u64` words, least significant bit first, along the channels.
//! - Activations are NHWC. The `C` channels of a pixel take [`bits::words`]`(C)` words; the bits
//!   behind the last channel are 0.
//! - Binary weights are OHWI. Row `o` holds the `K = kh * kw * c_in / groups` bits of output
//!   channel `o`, bit `k = (ky * kw + kx) * (c_in / groups) + c`, in `bits::words(K)` words. This is the
//!   canonical form; [`weights::pack`] brings it into the private layout of an instruction set.
//! - The dot product of `n` bits is `2 * popcount(xnor(a, w)) - n`.
//! - Every instruction set computes the same bits, integers and floats. A test forces each of them.
//!
//! # Instruction sets
//! [`Isa::best`] picks the fastest one of this CPU. With the feature `std` (on by default) it asks the
//! CPU at run time; without it, it goes by what the compiler was allowed to use.
//!
//! # Example
//! A dense layer of 3 inputs and 2 outputs:
//! ```
//! use signbit_kernels::{Conv, Isa, PackedWeights, bits, conv, weights};
//!
//! let isa = Isa::best();
//! let layer = Conv::dense(1, 3, 2);
//! layer.validate()?;
//!
//! // Activations (+1, -1, +1) from real numbers.
//! let mut acts = [0u64; 1];
//! bits::pack_signs(isa, &[0.3, -2.0, 0.0], 3, &mut acts);
//! assert_eq!(acts[0], 0b101);
//!
//! // Weight rows (+1, -1, +1) and (-1, -1, -1).
//! let rows = [0b101u64, 0b000];
//! let mut storage = vec![0u64; weights::packed_len(isa, &layer)];
//! weights::pack(isa, &layer, &rows, &mut storage);
//! let packed = PackedWeights::new(isa, &layer, &storage);
//!
//! let mut dots = [0i32; 2];
//! conv::dots(isa, &layer, &acts, &packed, 0..1, &mut dots);
//! assert_eq!(dots, [3, -1]);
//! # Ok::<(), signbit_kernels::shape::ShapeError>(())
//! ```
#![no_std]

#[cfg(feature = "std")]
extern crate std;

mod arch;
pub mod bits;
pub mod conv;
pub mod elementwise;
pub mod isa;
pub mod pool;
pub mod real;
pub mod shape;
pub mod sign_gemm;
pub mod threshold;
pub mod weights;
mod window;
pub mod winograd;

pub use elementwise::Elementwise;
pub use isa::Isa;
pub use shape::{Conv, Padding, Pool};
pub use threshold::Thresholds;
pub use weights::PackedWeights;
