//! The binary convolution with VPOPCNTDQ: XOR and popcount of words, output channels in lanes.
//!
//! A register holds the same 64 bits of K of 8 output channels. Against it goes, broadcast, the word of activations of a
//! pixel: XOR, popcount and addition are 512 terms in three instructions, less than the table of the other kernels takes, and
//! the sums of 8 channels are the 8 lanes. Sums of 64 bits never overflow. K is dense: its taps follow each other bit by bit, so
//! that nothing is lost on few input channels. Where a pixel has taps outside of the input that count as 0, one `vpternlogq`
//! with a mask of bits takes the place of the XOR.

mod kernel;
mod layout;
mod patch;

use core::ops::Range;

use core::arch::x86_64::*;

pub(crate) use self::layout::{has_lanes, pack_weights, packed_len};
use self::{
    kernel::{Sums, count, zero},
    layout::LANES,
    patch::{PART, PIXELS, Patches},
};
use super::store::Channels;
use crate::{
    bits::words,
    conv::Out,
    shape::Conv,
    window::{Pixels, Window},
};

/// What is the same for all register blocks of one call.
struct Job<'a> {
    conv: &'a Conv,
    weights: &'a [[u64; LANES]],
    /// Words of K.
    len: usize,
    /// Registers of one group.
    vectors: usize,
}

/// Neighbouring output pixels.
struct Tile {
    windows: [Window; PIXELS],
    /// First pixel, counted from the start of the output, and how many.
    start: usize,
    pixels: usize,
}

#[target_feature(enable = "avx512f,avx512vpopcntdq")]
pub(super) fn conv(conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, mut out: Out<'_>) {
    let count = rows.len() * conv.out_w();
    let vectors = conv.group_out().div_ceil(LANES);
    let job = Job { conv, weights: weights.as_chunks().0, len: words(conv.k()), vectors };
    let mut windows = Pixels::from_row(conv, rows.start);
    let mut patches = Patches::new(conv, acts);
    for start in (0..count).step_by(PIXELS) {
        let pixels = PIXELS.min(count - start);
        let mut tile = Tile { windows: [Window::of(conv, [0; 3]); PIXELS], start, pixels };
        tile.windows.iter_mut().zip(windows.by_ref().take(pixels)).for_each(|(tile, window)| *tile = window);
        for group in 0..conv.groups {
            if job.len <= PART {
                patches.gather(&tile.windows[..pixels], group, 0..job.len);
            }
            let mut vector = 0;
            while vector < vectors {
                let run = match (pixels, vectors - vector) {
                    (1, 1) => block::<1, 1>,
                    (1, 2 | 3) => block::<1, 2>,
                    (1, _) => block::<1, 4>,
                    (2, 1) => block::<2, 1>,
                    (2, 2 | 3) => block::<2, 2>,
                    (2, _) => block::<2, 4>,
                    (_, 1) => block::<PIXELS, 1>,
                    (_, 2 | 3) => block::<PIXELS, 2>,
                    (_, _) => block::<PIXELS, 4>,
                };
                vector += run(&job, &mut patches, &tile, group, vector, &mut out);
            }
        }
    }
}

/// `V` registers of output channels from `vector` on at the first `P` pixels of a tile, over all of K. Returns `V`.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn block<const P: usize, const V: usize>(
    job: &Job<'_>,
    patches: &mut Patches<'_>,
    tile: &Tile,
    group: usize,
    vector: usize,
    out: &mut Out<'_>,
) -> usize {
    let conv = job.conv;
    let weights = &job.weights[(group * job.vectors + vector) * job.len..][..V * job.len];
    let mut sums: Sums<P, V> = zero();
    for start in (0..job.len).step_by(PART) {
        let part = start..job.len.min(start + PART);
        if job.len > PART {
            patches.gather(&tile.windows[..tile.pixels], group, part.clone());
        }
        let mut rows: [&[[u64; LANES]]; V] = [&[]; V];
        for v in 0..V {
            rows[v] = &weights[v * job.len..][part.clone()];
        }
        let (acts, masks) = (patches.acts(part.len()), patches.masks(part.len()));
        sums = match patches.masked() {
            false => count::<P, V, false>(sums, rows, acts, masks),
            true => count::<P, V, true>(sums, rows, acts, masks),
        };
    }
    for v in 0..V {
        let at = (vector + v) * LANES;
        let channels = Channels::of(group * conv.group_out() + at, LANES.min(conv.group_out() - at), out);
        for p in 0..P.min(tile.pixels) {
            let counts = _mm512_castsi256_si512(_mm512_cvtepi64_epi32(sums[p][v]));
            channels.store(out, conv, tile.start + p, tile.windows[p].bits(conv), counts);
        }
    }
    V
}
