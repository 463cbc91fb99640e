//! The binary convolution with output channels in lanes: the loops around the kernel.
//!
//! Pixels go in tiles, whose table offsets are gathered once; within a tile, register blocks of up to 2 pairs
//! of pixels and 2 blocks of output channels. Windows that overlap have loops of their own, in `rows`.

use core::ops::Range;

use super::{
    gather::{Gather, offsets_len},
    gemv,
    kernel::{Sums, add_panel, no_sums},
    layout::{LANES, PANEL, block_len, panels},
    rows,
    store::{Channels, Wide},
};
use crate::{
    conv::Out,
    shape::Conv,
    window::{Pixels, Window},
};

/// Pairs of pixels whose offsets are gathered together, at most.
const PAIRS: usize = 16;

/// Room for the offsets of a tile: two pairs of the longest panel, or more of shorter ones.
const OFFSETS: usize = 2 * offsets_len(PANEL);

/// What is the same for all register blocks of one call.
struct Job<'a> {
    conv: &'a Conv,
    /// Bytes of one block of output channels.
    block_len: usize,
    /// Length of the offsets of one pair.
    stride: usize,
    /// Whether all of K is one panel, so that offsets serve all output channels.
    one_panel: bool,
}

/// Neighbouring output pixels, whose offsets fit the buffer.
struct Tile {
    windows: [Option<Window>; 2 * PAIRS],
    /// First pixel, counted from the start of the output.
    start: usize,
    pairs: usize,
}

impl Tile {
    fn pair(&self, pair: usize) -> [Option<&Window>; 2] {
        [self.windows[2 * pair].as_ref(), self.windows[2 * pair + 1].as_ref()]
    }
}

#[target_feature(enable = "avx2")]
pub(super) fn conv(conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, mut out: Out<'_>) {
    let count = rows.len() * conv.out_w();
    if count == 1 && gemv::is_vector(conv) {
        return gemv::conv(conv, acts, weights, rows.start, &mut out);
    }
    if let Some(pairs) = rows::pairs(conv) {
        return rows::conv(conv, acts, weights, rows, pairs, &mut out);
    }
    let mut windows = Pixels::from_row(conv, rows.start);
    let longest = panels(conv).map(|panel| panel.len()).max().unwrap_or(0);
    let one_panel = panels(conv).count() == 1;
    let job = Job { conv, block_len: block_len(conv), stride: offsets_len(longest), one_panel };
    // A tile of several panels is one register block: its offsets are gathered panel by panel.
    let pairs = if one_panel { (OFFSETS / job.stride).min(PAIRS) & !1 } else { 2 };
    let mut gather = Gather::new(conv, acts);
    let mut offsets = [0u16; OFFSETS];
    let mut tile = Tile { windows: [None; 2 * PAIRS], start: 0, pairs: 0 };
    for start in (0..count).step_by(2 * pairs) {
        let pixels = (count - start).min(2 * pairs);
        (tile.start, tile.pairs) = (start, pixels.div_ceil(2));
        for (i, window) in tile.windows[..2 * pairs].iter_mut().enumerate() {
            *window = if i < pixels { windows.next() } else { None };
        }
        for group in 0..conv.groups {
            tile_group(&job, &mut gather, &tile, group, weights, &mut offsets, &mut out);
        }
    }
}

/// All output channels of one group at all pixels of a tile.
#[target_feature(enable = "avx2")]
fn tile_group(
    job: &Job<'_>,
    gather: &mut Gather<'_>,
    tile: &Tile,
    group: usize,
    weights: &[u64],
    offsets: &mut [u16; OFFSETS],
    out: &mut Out<'_>,
) {
    if job.one_panel {
        for panel in panels(job.conv) {
            for (pair, offsets) in offsets.chunks_exact_mut(job.stride).take(tile.pairs).enumerate() {
                gather.panel(&panel, group, tile.pair(pair), offsets);
            }
        }
    }
    let blocks = job.conv.group_out().div_ceil(LANES);
    for block in (0..blocks).step_by(2) {
        let channels = Channels::two(job.conv, group, block, out);
        for pair in (0..tile.pairs).step_by(2) {
            let single = tile.windows[2 * pair + 1].is_none();
            let (pairs, blocks) = (tile.pairs - pair, blocks - block);
            let run = match (pairs, blocks) {
                (1, 1) if single => register_block::<1, 1, true>,
                (1, _) if single => register_block::<1, 2, true>,
                (1, 1) => register_block::<1, 1, false>,
                (1, _) => register_block::<1, 2, false>,
                (_, 1) => register_block::<2, 1, false>,
                (_, _) => register_block::<2, 2, false>,
            };
            run(job, gather, tile, group, weights, pair, block, offsets, &channels, out);
        }
    }
}

/// `V` blocks of output channels at `Q` pairs of pixels, over all of K. `SINGLE`: the last pair is one pixel.
#[target_feature(enable = "avx2")]
fn register_block<const Q: usize, const V: usize, const SINGLE: bool>(
    job: &Job<'_>,
    gather: &mut Gather<'_>,
    tile: &Tile,
    group: usize,
    weights: &[u64],
    pair: usize,
    block: usize,
    offsets: &mut [u16; OFFSETS],
    channels: &[Channels; 2],
    out: &mut Out<'_>,
) {
    let conv = job.conv;
    let blocks = conv.group_out().div_ceil(LANES);
    let block_words = job.block_len / 8;
    let weights = &weights[(group * blocks + block) * block_words..][..V * block_words];
    if job.one_panel {
        let len = job.block_len / LANES;
        let sums = panel::<Q, V, SINGLE>(len, weights, block_words, &offsets[pair * job.stride..], job.stride);
        for v in 0..V {
            for i in 0..2 * Q {
                if let Some(window) = &tile.windows[2 * pair + i] {
                    channels[v].store_narrow(
                        out,
                        conv,
                        tile.start + 2 * pair + i,
                        window.bits(conv),
                        sums[i / 2][v][i % 2],
                    );
                }
            }
        }
        return;
    }
    let mut counts = [[[Wide::zero(); 2]; V]; Q];
    let mut start = 0;
    for part in panels(conv) {
        let len = part.len();
        for (q, offsets) in offsets.chunks_exact_mut(job.stride).take(Q).enumerate() {
            gather.panel(&part, group, tile.pair(pair + q), &mut offsets[..offsets_len(len)]);
        }
        let sums = panel::<Q, V, SINGLE>(len, &weights[start..], block_words, offsets, job.stride);
        for (i, v) in (0..2 * Q).flat_map(|i| (0..V).map(move |v| (i, v))) {
            counts[i / 2][v][i % 2].add(sums[i / 2][v][i % 2]);
        }
        start += len * LANES / 8;
    }
    for v in 0..V {
        for i in 0..2 * Q {
            if let Some(window) = &tile.windows[2 * pair + i] {
                channels[v].store_wide(
                    out,
                    conv,
                    tile.start + 2 * pair + i,
                    window.bits(conv),
                    counts[i / 2][v][i % 2],
                );
            }
        }
    }
}

/// The mismatches of one panel of `len` bytes. The weights of the blocks lie `block_words` apart, the offsets of the pairs,
/// as [`Gather::panel`] wrote them, `stride` apart.
#[target_feature(enable = "avx2")]
#[inline]
fn panel<const Q: usize, const V: usize, const SINGLE: bool>(
    len: usize,
    weights: &[u64],
    block_words: usize,
    offsets: &[u16],
    stride: usize,
) -> Sums<Q, V> {
    let mut block_weights: [&[u64]; V] = [&[]; V];
    for v in 0..V {
        block_weights[v] = &weights[v * block_words..][..len * LANES / 8];
    }
    let mut pair_offsets: [[&[u16]; 2]; Q] = [[&[]; 2]; Q];
    for q in 0..Q {
        let (low, high) = offsets[q * stride..][..offsets_len(len)].split_at(offsets_len(len) / 2);
        pair_offsets[q] = [&low[..len], &high[..len]];
    }
    let mut sums = no_sums();
    // SAFETY: `Gather::panel` writes offsets of tables only, and the buffer held 0, the first table, before.
    unsafe { add_panel::<Q, V, SINGLE>(len, block_weights, pair_offsets, &mut sums) };
    sums
}
