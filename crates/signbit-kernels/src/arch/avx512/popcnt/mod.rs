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

use core::{arch::x86_64::*, ops::Range};

pub(crate) use self::layout::{has_lanes, pack_weights, packed_len};
use self::{
    kernel::{count, zero},
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
    // The bits of several parts are gathered anew for each block of output channels, and for fewer pixels.
    let step = if job.len <= PART { PIXELS } else { 2 };
    for start in (0..count).step_by(step) {
        let pixels = step.min(count - start);
        let mut tile = Tile { windows: [Window::of(conv, [0; 3]); PIXELS], start, pixels };
        tile.windows.iter_mut().zip(windows.by_ref().take(pixels)).for_each(|(tile, window)| *tile = window);
        let windows = &tile.windows[..pixels];
        let all = conv.taps() * conv.group_in();
        let masked = windows.iter().any(|window| window.bits(conv) != all as i32);
        for group in 0..conv.groups {
            if job.len <= PART {
                patches.gather(windows, masked, group, 0..job.len);
            }
            match masked {
                false => blocks::<false>(&job, &mut patches, &tile, group, &mut out),
                true => blocks::<true>(&job, &mut patches, &tile, group, &mut out),
            }
        }
    }
}

/// All output channels of one group at all pixels of a tile. `MASKED`: there are bits that do not count.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn blocks<const MASKED: bool>(job: &Job<'_>, patches: &mut Patches<'_>, tile: &Tile, group: usize, out: &mut Out<'_>) {
    let mut vector = 0;
    while vector < job.vectors {
        let run = match (tile.pixels, job.vectors - vector) {
            (1, 1) => block::<1, 1, MASKED>,
            (1, 2 | 3) => block::<1, 2, MASKED>,
            (1, _) => block::<1, 4, MASKED>,
            (2, 1) => block::<2, 1, MASKED>,
            (2, 2 | 3) => block::<2, 2, MASKED>,
            (2, _) => block::<2, 4, MASKED>,
            (_, 1) => block::<PIXELS, 1, MASKED>,
            (_, 2 | 3) => block::<PIXELS, 2, MASKED>,
            (_, _) => block::<PIXELS, 4, MASKED>,
        };
        vector += run(job, patches, tile, group, vector, out);
    }
}

/// `V` registers of output channels from `vector` on at the first `P` pixels of a tile, over all of K. Returns `V`.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn block<const P: usize, const V: usize, const MASKED: bool>(
    job: &Job<'_>,
    patches: &mut Patches<'_>,
    tile: &Tile,
    group: usize,
    vector: usize,
    out: &mut Out<'_>,
) -> usize {
    let conv = job.conv;
    let weights = &job.weights[(group * job.vectors + vector) * job.len..][..V * job.len];
    let rows = |part: Range<usize>| {
        let mut rows: [&[[u64; LANES]]; V] = [&[]; V];
        for v in 0..V {
            rows[v] = &weights[v * job.len..][part.clone()];
        }
        rows
    };
    let mut sums = zero();
    // With all pixels there is one part, see `conv`; the compiler so has one place for the largest of the loops.
    if P == PIXELS || job.len <= PART {
        sums = count::<P, V, MASKED>(sums, rows(0..job.len), patches.acts(job.len), patches.masks(job.len));
    } else {
        for start in (0..job.len).step_by(PART) {
            let part = start..job.len.min(start + PART);
            let len = part.len();
            patches.gather(&tile.windows[..tile.pixels], MASKED, group, part.clone());
            sums = count::<P, V, MASKED>(sums, rows(part), patches.acts(len), patches.masks(len));
        }
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
