//! The innermost loops: mismatches of a register block over a part of K.
//!
//! A step takes one byte of K: XOR of 16 channels' weights with the byte of a pixel in all lanes, `i8x16.popcnt`, add.
//! Nothing is added across lanes.
//!
//! # Why not the tables of AVX2
//! That algorithm (`arch/avx2/tables.rs`), on `i8x16.swizzle`, was written and measured too. Instructions for 128
//! multiplications, in a block of 4 pixels by 32 channels, with loads:
//!
//! | | WebAssembly | ARM | x86-64 |
//! |---|---|---|---|
//! | XOR and popcount | 3.75 | 3.75 (`cnt`) | 12: there is no popcount of bytes; engines make it of two shuffles |
//! | nibble tables | 5.1 | 5.1 | 6: `swizzle` gives 0 where an index is beyond 15, which costs an addition |
//!
//! The tables lose a quarter on ARM. Their gain on x86-64 is not to be had: node 20 gave both the same speed there, within the noise
//! of the measurement, as the tables need more registers than there are and twice the loads; and a quarter less than
//! the popcount for single pixels, which fill half of a table's byte.

use core::arch::wasm32::*;

use super::layout::LANES;

/// Bytes of K that one call takes at most; its mismatches fit 16 bits.
pub(super) const PANEL: usize = 2048;

/// Bytes of K between two moves from 8-bit to 16-bit sums: 31 times 8 mismatches fit a byte.
const CHUNK: usize = 31;

/// 16-bit sums of 16 channels, in order.
pub(super) type Narrow = [v128; 2];

/// The mismatches of `len` bytes of K, at most [`PANEL`], for `P` pixels and `V` blocks of channels.
#[inline(always)]
pub(super) fn panel_sums<const P: usize, const V: usize>(
    len: usize,
    weights: [&[u64]; V],
    acts: [&[u8]; P],
) -> [[Narrow; V]; P] {
    assert!(len <= PANEL && weights.iter().all(|weights| weights.len() * 8 == len * LANES));
    assert!(acts.iter().all(|acts| acts.len() == len));
    let weights: [*const v128; V] = weights.map(|weights| weights.as_ptr().cast());
    let mut sums = [[[u16x8_splat(0); 2]; V]; P];
    for start in (0..len).step_by(CHUNK) {
        let mut bytes = [[u8x16_splat(0); V]; P];
        for k in start..len.min(start + CHUNK) {
            let mut w = [u8x16_splat(0); V];
            for v in 0..V {
                // SAFETY: `k < len`, so the 16 bytes from `16 * k` lie within the weights; no alignment is needed.
                w[v] = unsafe { v128_load(weights[v].add(k)) };
            }
            for p in 0..P {
                // SAFETY: `k < len`, the length of the activations.
                let act = u8x16_splat(unsafe { *acts[p].get_unchecked(k) });
                for v in 0..V {
                    bytes[p][v] = u8x16_add(bytes[p][v], u8x16_popcnt(v128_xor(w[v], act)));
                }
            }
        }
        for p in 0..P {
            for v in 0..V {
                let [low, high] = &mut sums[p][v];
                *low = u16x8_add(*low, u16x8_extend_low_u8x16(bytes[p][v]));
                *high = u16x8_add(*high, u16x8_extend_high_u8x16(bytes[p][v]));
            }
        }
    }
    sums
}
