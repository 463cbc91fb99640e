//! The innermost loop: mismatches of a register block over a run of bytes of K.
//!
//! One byte of K, 8 input channels, of a pixel goes to all lanes; the weights hold the same byte of 16 output channels.
//! XOR, count the bits of each byte, add: 3 instructions for 128 products, and no sum across lanes. The counts of
//! [`CHUNK`] bytes fit 8 bits; then they are added to 16-bit sums.
//!
//! Why not otherwise:
//! - *Tables of two pixels per byte, as on AVX2*: AVX2 has no count of bits, so a table replaces it. Here `tbl` would
//!   take one nibble of two pixels: `tbl` and `add`, per 3 nibbles `add`, `ushr`, `add`, again 3 instructions for 128
//!   products, and the nibbles of the weights and a load of 16 bytes per table come on top.
//! - *Dot product with ones* (`udot`, ARMv8.2): it takes the place of the addition to bytes and saves the
//!   additions to 16 bits only, 2 of 93 instructions, but needs 4 lanes of 32 bits where 16 bytes are now: 4 times the
//!   sums for the same channels. Its intrinsic is not in stable Rust either.
//! - *Carry-save adders* over several bytes: 3 instructions for an adder to save the 2 of a count and an addition.
//!
//! Four pixels and four blocks are 16 sums, 4 registers of weights and 4 of activations, and leave 8 of 32 for
//! what is between: 8 loads for 48 instructions.

use core::arch::aarch64::*;

use super::layout::LANES;

/// Bytes of K between two moves from 8-bit to 16-bit sums: 31 * 8 mismatches fit a byte.
const CHUNK: usize = 31;

/// 16-bit sums of 16 channels in order.
pub(super) type Narrow = [uint16x8_t; 2];

/// Per pixel and block of channels.
pub(super) type Sums<const P: usize, const V: usize> = [[Narrow; V]; P];

/// No mismatches.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn zero<const P: usize, const V: usize>() -> Sums<P, V> {
    [[[vdupq_n_u16(0); 2]; V]; P]
}

/// Adds the mismatches of a run of bytes of K: those of each pixel with the weights of each block of channels.
///
/// # Panics
/// If the runs are not of one length.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn add<const P: usize, const V: usize>(sums: &mut Sums<P, V>, acts: [&[u8]; P], weights: [&[u64]; V]) {
    let len = acts[0].len();
    assert!(acts.iter().all(|acts| acts.len() == len));
    assert!(weights.iter().all(|weights| weights.len() * 8 == len * LANES));
    let acts = acts.map(<[u8]>::as_ptr);
    let weights = weights.map(|weights| weights.as_ptr().cast::<u8>());
    for start in (0..len).step_by(CHUNK) {
        let mut bytes = [[vdupq_n_u8(0); V]; P];
        for k in start..len.min(start + CHUNK) {
            let mut w = [vdupq_n_u8(0); V];
            for v in 0..V {
                // SAFETY: `k < len`, so the 16 bytes from `16 * k` lie within the weights, as checked above.
                w[v] = unsafe { vld1q_u8(weights[v].add(k * LANES)) };
            }
            for p in 0..P {
                // SAFETY: `k < len`, the length of the activations.
                let act = unsafe { vld1q_dup_u8(acts[p].add(k)) };
                for v in 0..V {
                    bytes[p][v] = vaddq_u8(bytes[p][v], vcntq_u8(veorq_u8(act, w[v])));
                }
            }
        }
        for p in 0..P {
            for v in 0..V {
                let [low, high] = &mut sums[p][v];
                *low = vaddw_u8(*low, vget_low_u8(bytes[p][v]));
                *high = vaddw_high_u8(*high, bytes[p][v]);
            }
        }
    }
}
