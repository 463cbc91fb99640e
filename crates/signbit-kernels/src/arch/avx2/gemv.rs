//! The kernel for a single pixel under a 1x1 window: a dense layer at batch 1.
//!
//! Layout and tables are those of the other kernel, but a shuffled byte holds one count of at most 4, so that bytes
//! take the sums of 62 nibbles without further care, and the activations choose the tables as they lie. Each weight is
//! used once, so blocks of channels share the loads of tables. Carry-save adders instead of tables were as fast, and
//! prefetching slower.

use core::arch::x86_64::*;

use super::{
    kernel::Narrow,
    layout::{LANES, PANEL, block_len},
    store::{Channels, Wide},
    tables::{FIRST_ONLY, TABLES},
};
use crate::{bits::words, conv::Out, shape::Conv};

/// Bytes of K (two nibbles each, that count at most 8) between two moves from 8-bit to 16-bit sums.
const CHUNK: usize = 31;

/// Whether the layer is for this kernel where the output is one pixel: its groups are whole words of the one pixel of
/// the input that counts.
pub(super) fn is_vector(conv: &Conv) -> bool {
    let whole_words = conv.groups == 1 || conv.group_in().is_multiple_of(64);
    [conv.h, conv.w] == [1, 1] && conv.kernel == [1, 1] && conv.pads == [0; 4] && whole_words
}

/// The output of image `n` of an [`is_vector`] layer.
#[target_feature(enable = "avx2")]
pub(super) fn conv(conv: &Conv, acts: &[u64], weights: &[u64], n: usize, out: &mut Out<'_>) {
    let (group_words, pixel_words) = (words(conv.group_in()), words(conv.c_in));
    let blocks = conv.group_out().div_ceil(LANES);
    let block_words = block_len(conv) / 8;
    let acts = acts[n * pixel_words..][..pixel_words].chunks_exact(group_words);
    let weights = weights.chunks_exact(blocks * block_words);
    for (group, (acts, weights)) in acts.zip(weights).enumerate() {
        // SAFETY: x86-64 is little-endian: the bytes of the words are those of K in order.
        let acts = &unsafe { acts.align_to::<u8>() }.1[..conv.group_in().div_ceil(8)];
        let mut block = 0;
        while block < blocks {
            let weights = &weights[block * block_words..];
            block += match blocks - block {
                4.. => some_blocks::<4>(conv, acts, weights, group, block, out),
                2.. => some_blocks::<2>(conv, acts, weights, group, block, out),
                _ => some_blocks::<1>(conv, acts, weights, group, block, out),
            };
        }
    }
}

/// `V` blocks of output channels from `block` on, where `weights` begin. Returns `V`.
#[target_feature(enable = "avx2")]
fn some_blocks<const V: usize>(
    conv: &Conv,
    acts: &[u8],
    weights: &[u64],
    group: usize,
    block: usize,
    out: &mut Out<'_>,
) -> usize {
    let block_words = block_len(conv) / 8;
    let mut block_weights: [&[[u64; LANES / 8]]; V] = [&[]; V];
    for v in 0..V {
        block_weights[v] = &weights[v * block_words..][..block_words].as_chunks().0[..acts.len()];
    }
    let bits = conv.group_in() as i32;
    if acts.len() <= PANEL {
        let sums = sums(acts, block_weights);
        for v in 0..V {
            Channels::of(conv, group, block + v, out).store_narrow(out, conv, 0, bits, sums[v]);
        }
        return V;
    }
    let mut counts = [Wide::zero(); V];
    for (i, acts) in acts.chunks(PANEL).enumerate() {
        let mut part = block_weights;
        for v in 0..V {
            part[v] = &block_weights[v][i * PANEL..][..acts.len()];
        }
        let sums = sums(acts, part);
        for v in 0..V {
            counts[v].add(sums[v]);
        }
    }
    for v in 0..V {
        Channels::of(conv, group, block + v, out).store_wide(out, conv, 0, bits, counts[v]);
    }
    V
}

/// The mismatches over at most [`PANEL`] bytes of K.
#[target_feature(enable = "avx2")]
#[inline]
fn sums<const V: usize>(acts: &[u8], weights: [&[[u64; LANES / 8]]; V]) -> [Narrow; V] {
    assert!(weights.iter().all(|weights| weights.len() == acts.len()));
    let zero = _mm256_setzero_si256();
    let mask = _mm256_set1_epi8(0x0f);
    let weights: [*const __m256i; V] = weights.map(|weights| weights.as_ptr().cast());
    let mut sums = [[zero; 2]; V];
    for (i, acts) in acts.chunks(CHUNK).enumerate() {
        let mut bytes = [zero; V];
        for (k, act) in acts.iter().enumerate() {
            let tables = [table(act & 0x0f), table(act >> 4)];
            for v in 0..V {
                // SAFETY: byte `i * CHUNK + k` of K is one of `acts`, for which there are 32 bytes of weights.
                let w = unsafe { _mm256_loadu_si256(weights[v].add(i * CHUNK + k)) };
                let [low, high] = [_mm256_and_si256(w, mask), _mm256_and_si256(_mm256_srli_epi16::<4>(w), mask)];
                let [low, high] = [_mm256_shuffle_epi8(tables[0], low), _mm256_shuffle_epi8(tables[1], high)];
                bytes[v] = _mm256_add_epi8(bytes[v], _mm256_add_epi8(low, high));
            }
        }
        for v in 0..V {
            let [first, second] = &mut sums[v];
            *first = _mm256_add_epi16(*first, _mm256_unpacklo_epi8(bytes[v], zero));
            *second = _mm256_add_epi16(*second, _mm256_unpackhi_epi8(bytes[v], zero));
        }
    }
    sums
}

/// The table of a nibble, in both halves.
#[target_feature(enable = "avx2")]
#[inline]
fn table(nibble: u8) -> __m256i {
    let tables: &[[u8; 16]; 16] =
        const { TABLES.0.as_chunks().0.split_at(FIRST_ONLY as usize / 16).1.first_chunk().unwrap() };
    // SAFETY: a table is 16 bytes long.
    unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(tables[nibble as usize & 15].as_ptr().cast())) }
}
