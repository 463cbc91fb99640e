//! How the weights lie: 32 output channels side by side.
//!
//! K is cut into bytes of 8 input channels, each tap beginning a new byte, and into panels of at most
//! [`PANEL`] bytes. Per group and block of 32 output channels follow, panel by panel, the bytes of K, 32 bytes
//! each: byte `i` belongs to output channel `i` of the block. Panels are filled to a multiple of 3
//! bytes, blocks to 32 channels, with 0.

use crate::{
    arch::portable,
    bits::{read_bits, words},
    shape::Conv,
};

/// Output channels of one block: the bytes of a 256-bit register.
pub(super) const LANES: usize = 32;

/// Bytes of K in a panel, at most. Its mismatches fit 16 bits, and it is a multiple of 8 (whole words of activations)
/// and of 30 (see `conv::CHUNK`).
pub(super) const PANEL: usize = 1920;

/// Below this many output channels per group most lanes would be empty, and the portable code is faster.
const MIN_CHANNELS: usize = 8;

/// Whether the lane layout is used, or else that of the portable code.
pub(super) fn has_lanes(conv: &Conv) -> bool {
    conv.group_out() >= MIN_CHANNELS
}

/// A part of K: whole taps, or part of one that is longer than a panel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    pub(super) first_tap: usize,
    pub(super) taps: usize,
    /// First byte of each tap, a multiple of 8.
    pub(super) first_byte: usize,
    /// Bytes of each tap.
    pub(super) bytes: usize,
}

impl Panel {
    /// Bytes of K with the fill.
    pub(super) fn len(&self) -> usize {
        (self.taps * self.bytes).next_multiple_of(3)
    }
}

/// The panels of a convolution, in order.
pub(super) fn panels(conv: &Conv) -> impl Iterator<Item = Panel> + Clone {
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
    panels(conv).map(|panel| panel.len() * LANES).sum()
}

pub(crate) fn packed_len(conv: &Conv) -> usize {
    if !has_lanes(conv) {
        return portable::packed_len(conv);
    }
    conv.groups * conv.group_out().div_ceil(LANES) * block_len(conv) / 8
}

pub(crate) fn pack_weights(conv: &Conv, rows: &[u64], out: &mut [u64]) {
    if !has_lanes(conv) {
        return portable::pack_weights(conv, rows, out);
    }
    out.fill(0);
    let (group_in, group_out) = (conv.group_in(), conv.group_out());
    let blocks = group_out.div_ceil(LANES);
    let block_words = block_len(conv) / 8;
    for (o, row) in rows.chunks_exact(words(conv.k())).enumerate() {
        let (group, lane) = (o / group_out, o % group_out);
        let block = &mut out[(group * blocks + lane / LANES) * block_words..][..block_words];
        let lane = lane % LANES;
        let mut start = 0;
        for panel in panels(conv) {
            for (at, tap, byte) in (0..panel.taps * panel.bytes)
                .map(|at| (at, panel.first_tap + at / panel.bytes, panel.first_byte + at % panel.bytes))
            {
                let len = (group_in - byte * 8).min(8);
                let bits = read_bits(row, tap * group_in + byte * 8, len);
                block[(start + at) * (LANES / 8) + lane / 8] |= bits << (lane % 8 * 8);
            }
            start += panel.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
