//! The file `model.signbit`: a safetensors file with the graph in its metadata.
//!
//! The layout, version 1 (all numbers little-endian):
//!
//! - 8 bytes: the length of the header, a `u64`.
//! - The header: JSON, padded with spaces to a multiple of 8 bytes. It begins with `__metadata__`, which
//!   holds exactly three strings, in this order:
//!   - `signbit_crc32`: eight lower-case hexadecimal digits, the CRC-32 (ISO-HDLC, as in zip and PNG)
//!     of the whole file with these eight digits replaced by zeros. The digits therefore always stand at
//!     the same place of the file.
//!   - `signbit_format`: `1`.
//!   - `signbit_model`: JSON of the graph, the logical shapes of the packed tensors, the preprocessing, the
//!     class names and the notes. A real number stands there as the `f64` of the same value.
//!
//!   Then one entry per tensor: `dtype`, `shape`, `data_offsets`, as safetensors specifies them.
//! - The tensors' bytes, without gaps: those of type `F32`, then `I32`, then `U8`, each by name.
//!
//! A bit tensor of `rows` x `bits` is `U8 [rows, ceil(bits / 8)]`: bit `k` of a row is bit `k % 8` (0 is the
//! least significant) of byte `k / 8`; the bits behind the last are 0. A file does not depend on an
//! instruction set: the kernels repack when they load.
//!
//! Reading trusts nothing. Lengths and offsets are checked with checked arithmetic before anything is
//! allocated, a tensor takes at most eight times its bytes in the file, and a model that
//! [`crate::Model::validate`] refuses is not returned. [`load`] reads a file piece by piece; what is no regular file, and a file with anything
//! wrong, it reads into memory as far as the header announces and one byte further, so that a source without end is no danger. The checksum finds damage, it does not prove who wrote the file.
//!
//! Writing is deterministic: the same model gives the same bytes, and so does reading and writing it again.

mod header;
mod read;
mod replace;
mod write;

pub use read::{from_bytes, from_bytes_unverified, load};
pub use replace::replace;
pub(crate) use write::header_len;
pub use write::{save, to_bytes};

/// The version of the format that this crate writes and reads.
pub const FORMAT_VERSION: &str = "1";

/// Longest header, in bytes.
pub const MAX_HEADER: usize = 16 << 20;
