//! The innermost loops: mismatches of a register block over a part of K.
//!
//! The activations choose a table, the weights are the index (see `tables`). A step looks one nibble of K up for 16
//! output channels and two pixels.
//!
//! Counting: a byte of a table holds two counts of at most 4, so 3 of them can be added: `s = low + 16 * high` with both
//! at most 12. Sums run in bytes as `raw += s` (mod 256) and `hi += s >> 4`. While both pixel sums stay below 256,
//! `low = raw - 16 * hi` (mod 256) is exact: 60 nibbles give at most 240. Then they are added to 16-bit sums, which
//! hold [`PANEL`] bytes of K.

use core::{arch::wasm32::*, ops::Range};

use super::layout::LANES;
use crate::arch::tables::{TABLES, TABLES_LEN};

/// Bytes of K that one call takes at most: its mismatches fit 16 bits.
pub(super) const PANEL: usize = 1920;

/// Bytes of K (two nibbles each) between two moves from 8-bit to 16-bit sums.
const CHUNK: usize = 30;

/// 16-bit sums of 16 channels, in order.
pub(super) type Narrow = [v128; 2];

/// Per pair and block of channels the sums of the first and the second pixel.
pub(super) type Sums<const Q: usize, const V: usize> = [[[Narrow; 2]; V]; Q];

/// The mismatches of `len` bytes of K, at most [`PANEL`]. `SINGLE`: the offsets are those of the first pixel alone.
///
/// # Safety
/// The offsets are those of tables, at most `TABLES_LEN - 16`.
#[inline(always)]
pub(super) unsafe fn panel_sums<const Q: usize, const V: usize, const SINGLE: bool>(
    len: usize,
    weights: [&[u64]; V],
    offsets: [[&[u16]; 2]; Q],
) -> Sums<Q, V> {
    assert!(len <= PANEL && weights.iter().all(|weights| weights.len() * 8 == len * LANES));
    assert!(offsets.as_flattened().iter().all(|offsets| offsets.len() == len));
    let mut sums = [[[[u16x8_splat(0); 2]; 2]; V]; Q];
    for start in (0..len).step_by(CHUNK) {
        let end = len.min(start + CHUNK);
        // SAFETY: `end <= len`; the slices are that long, as checked above, and the caller answers for the offsets.
        let (raw, hi) = unsafe { chunk::<Q, V, SINGLE>(start..end, weights, offsets) };
        for q in 0..Q {
            for v in 0..V {
                let shifted = v128_and(u16x8_shl(hi[q][v], 4), u8x16_splat(0xf0));
                let bytes = [u8x16_sub(raw[q][v], shifted), hi[q][v]];
                for pixel in 0..if SINGLE { 1 } else { 2 } {
                    let [low, high] = &mut sums[q][v][pixel];
                    *low = u16x8_add(*low, u16x8_extend_low_u8x16(bytes[pixel]));
                    *high = u16x8_add(*high, u16x8_extend_high_u8x16(bytes[pixel]));
                }
            }
        }
    }
    sums
}

/// Sums in bytes: `raw` and `hi` of the module's description, per pair and block of channels.
type Bytes<const Q: usize, const V: usize> = [[v128; V]; Q];

/// Sums of at most [`CHUNK`] bytes of K.
///
/// # Safety
/// `bytes` ends within the offsets, `16 * bytes.end` within the bytes of the weights, and the offsets are at
/// most `TABLES_LEN - 16`.
#[inline(always)]
unsafe fn chunk<const Q: usize, const V: usize, const SINGLE: bool>(
    bytes: Range<usize>,
    weights: [&[u64]; V],
    offsets: [[&[u16]; 2]; Q],
) -> (Bytes<Q, V>, Bytes<Q, V>) {
    let mut sums = ([[u8x16_splat(0); V]; Q], [[u8x16_splat(0); V]; Q]);
    let mut k = bytes.start;
    while k + 3 <= bytes.end {
        // SAFETY: `k + 3 <= bytes.end`; the rest is the caller's.
        unsafe { step::<Q, V, SINGLE, 3>(k, weights, offsets, &mut sums) };
        k += 3;
    }
    while k < bytes.end {
        // SAFETY: `k + 1 <= bytes.end`; the rest is the caller's.
        unsafe { step::<Q, V, SINGLE, 1>(k, weights, offsets, &mut sums) };
        k += 1;
    }
    sums
}

/// `N` bytes of K, at most 3.
///
/// # Safety
/// `k + N` bytes lie within the offsets and, times 16, within the weights; the offsets are at most `TABLES_LEN - 16`.
#[inline(always)]
unsafe fn step<const Q: usize, const V: usize, const SINGLE: bool, const N: usize>(
    k: usize,
    weights: [&[u64]; V],
    offsets: [[&[u16]; 2]; Q],
    (raw, hi): &mut (Bytes<Q, V>, Bytes<Q, V>),
) {
    let mask = u8x16_splat(0x0f);
    let tables = TABLES.0.as_ptr();
    for half in 0..2 {
        let mut s = [[u8x16_splat(0); V]; Q];
        for k in k..k + N {
            let mut nibbles = [mask; V];
            for v in 0..V {
                // SAFETY: the 16 bytes from `16 * k` lie within the weights.
                let w = unsafe { v128_load(weights[v].as_ptr().cast::<v128>().add(k)) };
                nibbles[v] = v128_and(if half == 0 { w } else { u16x8_shr(w, 4) }, mask);
            }
            for q in 0..Q {
                // SAFETY: `k` is an index of the offsets, and an offset of at most `TABLES_LEN - 16` leaves 16 bytes.
                let table = unsafe {
                    let offset = *offsets[q][half].get_unchecked(k) as usize;
                    debug_assert!(offset + 16 <= TABLES_LEN);
                    v128_load(tables.add(offset).cast())
                };
                for v in 0..V {
                    s[q][v] = u8x16_add(s[q][v], u8x16_swizzle(table, nibbles[v]));
                }
            }
        }
        for q in 0..Q {
            for v in 0..V {
                raw[q][v] = u8x16_add(raw[q][v], s[q][v]);
                // A single pixel has no high field.
                if !SINGLE {
                    hi[q][v] = u8x16_add(hi[q][v], v128_and(u16x8_shr(s[q][v], 4), mask));
                }
            }
        }
    }
}
