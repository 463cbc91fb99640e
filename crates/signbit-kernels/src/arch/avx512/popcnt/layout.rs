//! How the weights lie: 8 output channels side by side, each with its dense words of K. Per group and 8 channels follow the words
//! of K, 8 each: word `i` belongs to output channel `i` of the 8, and is 0 beyond the last one.

use crate::{
    arch::{avx2, generic::spread::is_sliced},
    bits::{read_bits, words},
    shape::Conv,
};

/// Output channels of a register.
pub(super) const LANES: usize = 8;

/// Below this many output channels per group most lanes would be empty.
const MIN_CHANNELS: usize = 4;

/// Whether the layout here is used, or else that of AVX2.
pub(crate) fn has_lanes(conv: &Conv) -> bool {
    conv.group_out() >= MIN_CHANNELS && !is_sliced(conv)
}

pub(crate) fn packed_len(conv: &Conv) -> usize {
    if !has_lanes(conv) {
        return avx2::packed_len(conv);
    }
    conv.groups * conv.group_out().div_ceil(LANES) * words(conv.k()) * LANES
}

pub(crate) fn pack_weights(conv: &Conv, rows: &[u64], out: &mut [u64]) {
    if !has_lanes(conv) {
        return avx2::pack_weights(conv, rows, out);
    }
    out.fill(0);
    let (k, len) = (conv.k(), words(conv.k()));
    let mut registers = out.as_chunks_mut::<LANES>().0.chunks_exact_mut(len);
    for group in rows.chunks_exact(conv.group_out() * len) {
        for (rows, out) in group.chunks(LANES * len).zip(&mut registers) {
            for (lane, row) in rows.chunks_exact(len).enumerate() {
                for (i, out) in out.iter_mut().enumerate() {
                    out[lane] = read_bits(row, i * 64, 64.min(k - i * 64));
                }
            }
        }
    }
}
