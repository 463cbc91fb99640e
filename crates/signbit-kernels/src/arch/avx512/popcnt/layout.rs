//! How the weights lie: 16 output channels side by side, a register. Per group follow the blocks of output channels, 4 registers
//! each and then 2 and 1 for what is left; per block the words of K, of 32 bits, for each of them the registers of the block.
//!
//! Word `i` of a register belongs to output channel `i` of its 16, and is 0 beyond the last one. K has whole words for each tap,
//! whose bits beyond the last input channel are 0, as those of a pixel are.

use core::ops::Range;

pub(super) use super::super::store::LANES;
use crate::{
    arch::{avx2, generic::spread::is_sliced},
    bits::{read_bits, words},
    shape::Conv,
};

/// Input channels of a word.
const WORD: usize = 32;

/// A register of weights in memory, as the canonical form has its words: two lanes each, the first one below.
pub(super) type Register = [u64; LANES * WORD / 64];

/// Registers of output channels of a block, at most.
pub(super) const VECTORS: usize = 4;

/// Columns of taps, at most.
pub(super) const MAX_KW: usize = 16;

/// Below this many output channels per group most lanes would be empty.
const MIN_OUT: usize = 4;

/// Whether the layout here is used, or else that of AVX2: words of a pixel that belong to one group, and lanes that are
/// not empty.
pub(crate) fn has_lanes(conv: &Conv) -> bool {
    let whole = conv.groups == 1 || conv.group_in().is_multiple_of(WORD);
    whole && conv.group_out() >= MIN_OUT && conv.kernel[1] <= MAX_KW && !is_sliced(conv)
}

/// Words of a tap.
pub(super) fn tap_words(conv: &Conv) -> usize {
    conv.group_in().div_ceil(WORD)
}

/// Words of a pixel, with those that no channel is in.
pub(super) fn pixel_words(conv: &Conv) -> usize {
    words(conv.c_in) * 64 / WORD
}

/// Words of K.
pub(super) fn k_words(conv: &Conv) -> usize {
    conv.taps() * tap_words(conv)
}

/// Activations as words of 32 bits.
pub(super) fn halves(acts: &[u64]) -> &[u32] {
    // SAFETY: the same memory, whose alignment is more than enough; x86-64 has the lower half of a word first.
    unsafe { core::slice::from_raw_parts(acts.as_ptr().cast(), acts.len() * 2) }
}

/// The blocks of output channels of a group, as ranges of registers.
pub(super) fn blocks(conv: &Conv) -> impl Iterator<Item = Range<usize>> {
    let vectors = conv.group_out().div_ceil(LANES);
    let mut next = 0;
    core::iter::from_fn(move || {
        let start = next;
        next += match vectors - start {
            0 => return None,
            1 => 1,
            2 | 3 => 2,
            _ => VECTORS,
        };
        Some(start..next)
    })
}

/// Those blocks with their weights, the first of `weights`.
pub(super) fn blocks_of<'a>(
    conv: &Conv,
    mut weights: &'a [Register],
) -> impl Iterator<Item = (Range<usize>, &'a [Register])> {
    let k = k_words(conv);
    blocks(conv).map(move |block| {
        let (here, behind) = weights.split_at(block.len() * k);
        weights = behind;
        (block, here)
    })
}

pub(crate) fn packed_len(conv: &Conv) -> usize {
    if !has_lanes(conv) {
        return avx2::packed_len(conv);
    }
    conv.groups * conv.group_out().div_ceil(LANES) * k_words(conv) * size_of::<Register>() / size_of::<u64>()
}

pub(crate) fn pack_weights(conv: &Conv, rows: &[u64], out: &mut [u64]) {
    if !has_lanes(conv) {
        return avx2::pack_weights(conv, rows, out);
    }
    out.fill(0);
    let (c, tap_words) = (conv.group_in(), tap_words(conv));
    let row_len = words(conv.k());
    let mut out: &mut [Register] = out.as_chunks_mut().0;
    for group in rows.chunks_exact(conv.group_out() * row_len) {
        for block in blocks(conv) {
            let vectors = block.len();
            let (registers, rest) = out.split_at_mut(vectors * k_words(conv));
            out = rest;
            let channels = block.start * LANES..conv.group_out().min(block.end * LANES);
            for (i, row) in group.chunks_exact(row_len).skip(channels.start).take(channels.len()).enumerate() {
                for (k, registers) in registers.chunks_exact_mut(vectors).enumerate() {
                    let (tap, bit) = (k / tap_words, k % tap_words * WORD);
                    let word = read_bits(row, tap * c + bit, WORD.min(c - bit));
                    registers[i / LANES][i % LANES / 2] |= word << (i % 2 * WORD);
                }
            }
        }
    }
}
