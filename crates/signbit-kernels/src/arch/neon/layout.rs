//! How the weights lie: 16 output channels side by side.
//!
//! K is cut into bytes of 8 input channels, each tap beginning a new byte. Per group and block of 16 output channels
//! follow the bytes of K, 16 bytes each: byte `i` belongs to output channel `i` of the block. Blocks are filled to
//! 16 channels with 0.

use core::ops::Range;

use crate::{
    arch::portable,
    bits::{read_bits, words},
    shape::Conv,
};

/// Output channels of one block: the bytes of a 128-bit register.
pub(super) const LANES: usize = 16;

/// Bytes of K that are counted in 16 bits, at most: 32768 mismatches. A multiple of 8, whole words of activations.
pub(super) const PANEL: usize = 4096;

/// Below this many output channels per group most lanes would be empty, and the portable code is faster.
const MIN_CHANNELS: usize = 4;

/// Whether the lane layout is used, or else that of the portable code.
pub(super) fn has_lanes(conv: &Conv) -> bool {
    conv.group_out() >= MIN_CHANNELS
}

/// Bytes of one tap.
pub(super) fn tap_bytes(conv: &Conv) -> usize {
    conv.group_in().div_ceil(8)
}

/// Words of one block of output channels.
pub(super) fn block_words(conv: &Conv) -> usize {
    conv.taps() * tap_bytes(conv) * LANES / 8
}

/// A run of bytes of K, at most [`PANEL`]: whole taps, or part of one that is longer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) first_tap: usize,
    pub(super) taps: usize,
    /// First byte of each tap, a multiple of 8.
    pub(super) first_byte: usize,
    /// Bytes of each tap.
    pub(super) bytes: usize,
}

impl Piece {
    pub(super) fn len(&self) -> usize {
        self.taps * self.bytes
    }

    /// Where its weights begin in a block, in words.
    pub(super) fn first_word(&self, conv: &Conv) -> usize {
        (self.first_tap * tap_bytes(conv) + self.first_byte) * LANES / 8
    }
}

/// The pieces of the taps in rows `ky` and columns `kx` of a window, in order.
pub(super) fn pieces(conv: &Conv, ky: Range<usize>, kx: Range<usize>) -> impl Iterator<Item = Piece> {
    let (tap_bytes, width) = (tap_bytes(conv), conv.kernel[1]);
    let (taps_each, bytes_each) = ((PANEL / tap_bytes).max(1), tap_bytes.min(PANEL));
    // Whole rows of taps follow one another.
    let rows = if kx.len() == width { 1.min(ky.len()) } else { ky.len() };
    let row_taps = if kx.len() == width { ky.len() * width } else { kx.len() };
    (0..rows).flat_map(move |row| {
        let start = (ky.start + row) * width + kx.start;
        (0..row_taps).step_by(taps_each).flat_map(move |tap| {
            (0..tap_bytes).step_by(bytes_each).map(move |first_byte| Piece {
                first_tap: start + tap,
                taps: taps_each.min(row_taps - tap),
                first_byte,
                bytes: bytes_each.min(tap_bytes - first_byte),
            })
        })
    })
}

pub(crate) fn packed_len(conv: &Conv) -> usize {
    if !has_lanes(conv) {
        return portable::packed_len(conv);
    }
    conv.groups * conv.group_out().div_ceil(LANES) * block_words(conv)
}

pub(crate) fn pack_weights(conv: &Conv, rows: &[u64], out: &mut [u64]) {
    if !has_lanes(conv) {
        return portable::pack_weights(conv, rows, out);
    }
    let (group_in, row_words) = (conv.group_in(), words(conv.k()));
    let mut blocks = out.chunks_exact_mut(block_words(conv));
    for group in rows.chunks_exact(conv.group_out() * row_words) {
        for (rows, block) in group.chunks(LANES * row_words).zip(&mut blocks) {
            for (i, lanes) in block.chunks_exact_mut(LANES / 8).enumerate() {
                let (tap, first) = (i / tap_bytes(conv), i % tap_bytes(conv) * 8);
                let len = (group_in - first).min(8);
                let mut bytes = [0; LANES];
                for (byte, row) in bytes.iter_mut().zip(rows.chunks_exact(row_words)) {
                    *byte = read_bits(row, tap * group_in + first, len) as u8;
                }
                for (word, bytes) in lanes.iter_mut().zip(bytes.as_chunks::<8>().0) {
                    *word = u64::from_le_bytes(*bytes);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces take every byte of the taps inside once and in order, none is longer than the kernel's sums allow, and a
    /// part of a tap begins at a whole word.
    #[test]
    fn pieces_cover_the_taps_inside() {
        for (c_in, kernel) in [(1, [1, 1]), (9, [3, 3]), (512, [3, 3]), (9000, [3, 5]), (40_001, [2, 2])] {
            let conv = Conv::new([1, 9, 9, c_in], 16, kernel);
            for (ky, kx) in [(0..kernel[0], 0..kernel[1]), (1..kernel[0], 0..kernel[1]), (0..kernel[0], 1..kernel[1])] {
                let bytes = |tap: usize| (0..tap_bytes(&conv)).map(move |byte| (tap, byte));
                let taps = ky.clone().flat_map(|y| kx.clone().map(move |x| (y, x))).map(|(y, x)| y * kernel[1] + x);
                let mut expected = taps.flat_map(bytes);
                for piece in pieces(&conv, ky.clone(), kx.clone()) {
                    assert!(piece.len() <= PANEL && piece.first_byte.is_multiple_of(8), "{piece:?} of {conv:?}");
                    for tap in piece.first_tap..piece.first_tap + piece.taps {
                        for byte in piece.first_byte..piece.first_byte + piece.bytes {
                            assert_eq!(expected.next(), Some((tap, byte)), "{piece:?} of {conv:?}");
                        }
                    }
                }
                assert_eq!(expected.next(), None, "{conv:?}");
            }
        }
    }
}
