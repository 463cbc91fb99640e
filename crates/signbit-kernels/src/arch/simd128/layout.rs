//! How the weights lie: 16 output channels side by side.
//!
//! K is cut into bytes of 8 input channels, each tap beginning a new byte. Per group and block of 16 output channels
//! follow the bytes of K, 16 bytes each: byte `i` belongs to output channel `i` of the block. Blocks are filled to 16 channels with 0.

use crate::{
    arch::{generic::spread::is_sliced, portable},
    bits::{read_bits, words},
    shape::Conv,
};

/// Output channels of one block: the bytes of a register.
pub(super) const LANES: usize = 16;

/// Below this many output channels per group most lanes would be empty, and the portable code is faster.
const MIN_CHANNELS: usize = 8;

/// Whether the lane layout is used, or else that of the portable code.
pub(super) fn has_lanes(conv: &Conv) -> bool {
    conv.group_out() >= MIN_CHANNELS && !is_sliced(conv)
}

/// Bytes of K of one tap.
pub(super) fn tap_bytes(conv: &Conv) -> usize {
    conv.group_in().div_ceil(8)
}

/// Length of one block of output channels in words.
pub(super) fn block_words(conv: &Conv) -> usize {
    conv.taps() * tap_bytes(conv) * LANES / 8
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
    out.fill(0);
    let rows_len = words(conv.k());
    let mut blocks = out.chunks_exact_mut(block_words(conv));
    for group in rows.chunks_exact(conv.group_out() * rows_len) {
        for rows in group.chunks(LANES * rows_len) {
            if let Some(block) = blocks.next() {
                rows.chunks_exact(rows_len).enumerate().for_each(|(lane, row)| pack_row(conv, row, lane, block));
            }
        }
    }
}

/// Writes the bytes of K of one output channel into its lane.
fn pack_row(conv: &Conv, row: &[u64], lane: usize, block: &mut [u64]) {
    let (group_in, bytes) = (conv.group_in(), tap_bytes(conv));
    for tap in 0..conv.taps() {
        for byte in 0..bytes {
            let value = read_bits(row, tap * group_in + byte * 8, (group_in - byte * 8).min(8));
            block[(tap * bytes + byte) * (LANES / 8) + lane / 8] |= value << (lane % 8 * 8);
        }
    }
}
