//! How the weights lie: 32 output channels side by side (64 with AVX-512, which has the rest in common).
//!
//! K is cut into bytes of 8 input channels, each tap beginning a new byte, and into panels of at most
//! [`PANEL`] bytes. Per group and block of 32 output channels follow, panel by panel, the bytes of K, 32 bytes
//! each: byte `i` belongs to output channel `i` of the block. Panels are filled to a multiple of 3
//! bytes, blocks to 32 channels, with 0.

use crate::{
    arch::{generic::spread::is_sliced, portable},
    bits::{read_bits, words},
    shape::Conv,
};

/// Output channels of one block: the bytes of a 256-bit register.
pub(super) const LANES: usize = 32;

/// Bytes of K in a panel, at most. Its mismatches fit 16 bits, and it is a multiple of 8 (whole words of activations)
/// and of 30 (see `kernel::CHUNK`).
pub(crate) const PANEL: usize = 1920;

/// Below this many output channels per group most lanes would be empty, and the portable code is faster.
const MIN_CHANNELS: usize = 8;

/// Whether the lane layout is used, or else that of the portable code.
pub(super) fn has_lanes(conv: &Conv) -> bool {
    conv.group_out() >= MIN_CHANNELS && !is_sliced(conv)
}

/// A part of K: whole taps, or part of one that is longer than a panel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel {
    pub(super) first_tap: usize,
    pub(super) taps: usize,
    /// First byte of each tap, a multiple of 8.
    pub(super) first_byte: usize,
    /// Bytes of each tap.
    pub(super) bytes: usize,
}

impl Panel {
    /// Bytes of K with the fill.
    pub(crate) fn len(&self) -> usize {
        (self.taps * self.bytes).next_multiple_of(3)
    }
}

/// The panels of a convolution, in order.
pub(crate) fn panels(conv: &Conv) -> impl Iterator<Item = Panel> + Clone {
    let tap_bytes = conv.group_in().div_ceil(8);
    let taps = conv.taps();
    let (taps_each, bytes_each) = ((PANEL / tap_bytes).max(1), tap_bytes.min(PANEL));
    (0..taps).step_by(taps_each).flat_map(move |first_tap| {
        (0..tap_bytes).step_by(bytes_each).map(move |first_byte| Panel {
            first_tap,
            taps: taps_each.min(taps - first_tap),
            first_byte,
            bytes: bytes_each.min(tap_bytes - first_byte),
        })
    })
}

/// Length of one block of output channels in bytes.
pub(super) fn block_len(conv: &Conv) -> usize {
    lanes_block_len::<LANES>(conv)
}

/// Length of one block of `N` output channels in bytes.
pub(crate) fn lanes_block_len<const N: usize>(conv: &Conv) -> usize {
    panels(conv).map(|panel| panel.len() * N).sum()
}

/// Length of all blocks of `N` output channels in words.
pub(crate) fn packed_blocks_len<const N: usize>(conv: &Conv) -> usize {
    conv.groups * conv.group_out().div_ceil(N) * lanes_block_len::<N>(conv) / 8
}

pub(crate) fn packed_len(conv: &Conv) -> usize {
    if !has_lanes(conv) {
        return portable::packed_len(conv);
    }
    packed_blocks_len::<LANES>(conv)
}

pub(crate) fn pack_weights(conv: &Conv, rows: &[u64], out: &mut [u64]) {
    if !has_lanes(conv) {
        return portable::pack_weights(conv, rows, out);
    }
    pack_blocks::<LANES>(conv, rows, out);
}

/// All blocks of `N` output channels.
pub(crate) fn pack_blocks<const N: usize>(conv: &Conv, rows: &[u64], out: &mut [u64]) {
    out.fill(0);
    let group_out = conv.group_out();
    let rows_len = words(conv.k());
    let mut blocks = out.chunks_exact_mut(lanes_block_len::<N>(conv) / 8);
    for group in rows.chunks_exact(group_out * rows_len) {
        for rows in group.chunks(N * rows_len) {
            if let Some(block) = blocks.next() {
                pack_block::<N>(conv, rows, block);
            }
        }
    }
}

/// One block: up to `N` rows of K bits become, per byte of K, `N` bytes side by side. Eight rows by eight bytes are
/// turned at a time.
fn pack_block<const N: usize>(conv: &Conv, rows: &[u64], block: &mut [u64]) {
    let group_in = conv.group_in();
    let rows_len = words(conv.k());
    let mut start = 0;
    for panel in panels(conv) {
        for tap in 0..panel.taps {
            for byte in (0..panel.bytes).step_by(8) {
                let first = (panel.first_byte + byte) * 8;
                let bit = (panel.first_tap + tap) * group_in + first;
                let bytes = (panel.bytes - byte).min(8);
                let len = (group_in - first).min(64);
                let at = start + tap * panel.bytes + byte;
                for (eight, rows) in rows.chunks(8 * rows_len).enumerate() {
                    let mut square = [0; 8];
                    for (word, row) in square.iter_mut().zip(rows.chunks_exact(rows_len)) {
                        *word = read_bits(row, bit, len);
                    }
                    for (i, word) in transpose(square).into_iter().take(bytes).enumerate() {
                        block[(at + i) * (N / 8) + eight] = word;
                    }
                }
            }
        }
        start += panel.len();
    }
}

/// Byte `i` of word `j` becomes byte `j` of word `i`: squares of 4x4, 2x2 and single bytes change places in turn.
fn transpose(mut words: [u64; 8]) -> [u64; 8] {
    for (distance, mask) in [(4, 0x0000_0000_FFFF_FFFF), (2, 0x0000_FFFF_0000_FFFF), (1, 0x00FF_00FF_00FF_00FF)] {
        for low in (0..8).filter(|i| i & distance == 0) {
            let high = low + distance;
            let change = ((words[low] >> (8 * distance)) ^ words[high]) & mask;
            words[low] ^= change << (8 * distance);
            words[high] ^= change;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_of_bytes_is_turned() {
        let words = core::array::from_fn(|j| u64::from_le_bytes(core::array::from_fn(|i| (8 * j + i) as u8)));
        let turned = core::array::from_fn(|j| u64::from_le_bytes(core::array::from_fn(|i| (8 * i + j) as u8)));
        assert_eq!(transpose(words), turned);
    }

    /// Panels take every byte of K once and in order, none is longer than the kernel's sums allow, and a part of a
    /// tap begins at a whole word.
    #[test]
    fn panels_cover_k() {
        for (c_in, kernel) in
            [(1, [1, 1]), (9, [3, 3]), (512, [3, 3]), (2000, [3, 3]), (16_000, [1, 2]), (40_001, [1, 1])]
        {
            let conv = Conv::new([1, 9, 9, c_in], 32, kernel);
            let tap_bytes = c_in.div_ceil(8);
            let mut next = 0;
            for panel in panels(&conv) {
                assert!(panel.len() <= PANEL && panel.first_byte.is_multiple_of(8), "{panel:?} of {conv:?}");
                assert!(panel.taps == 1 || panel.bytes == tap_bytes, "{panel:?} of {conv:?}");
                assert_eq!(panel.first_tap * tap_bytes + panel.first_byte, next, "{panel:?} of {conv:?}");
                next += panel.taps * panel.bytes;
            }
            assert_eq!(next, conv.taps() * tap_bytes, "{conv:?}");
        }
    }
}
