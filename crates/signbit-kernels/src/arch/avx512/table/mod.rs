//! The binary convolution with AVX-512 BW: the tables of AVX2, looked up for 64 output channels at once. Two pairs of pixels
//! share the weights; their table offsets are gathered once for all output channels, if K is one panel.

mod kernel;

use core::{arch::x86_64::*, ops::Range};

use self::kernel::{Sums, panel_sums};
use super::store::Channels;
use crate::{
    arch::avx2::{
        self,
        gather::{Gather, offsets_len},
        layout::{self, PANEL, Panel, panels},
    },
    conv::Out,
    shape::Conv,
    window::{Pixels, Window},
};

/// Output channels of one block: the bytes of a register.
const LANES: usize = 64;

/// Pairs of pixels of a register block.
const PAIRS: usize = 2;

/// Up to this many output channels per group half of the lanes would be empty.
const FEW_CHANNELS: usize = 32;

/// Whether the layout of 64 lanes is used, or else that of AVX2.
pub(crate) fn has_lanes(conv: &Conv) -> bool {
    conv.group_out() > FEW_CHANNELS
}

pub(crate) fn packed_len(conv: &Conv) -> usize {
    if !has_lanes(conv) {
        return avx2::packed_len(conv);
    }
    layout::packed_blocks_len::<LANES>(conv)
}

pub(crate) fn pack_weights(conv: &Conv, rows: &[u64], out: &mut [u64]) {
    if !has_lanes(conv) {
        return avx2::pack_weights(conv, rows, out);
    }
    layout::pack_blocks::<LANES>(conv, rows, out);
}

/// What is the same for all register blocks of one call.
struct Job<'a> {
    conv: &'a Conv,
    weights: &'a [u64],
    /// Words of one block of output channels.
    block_words: usize,
    /// Blocks of one group.
    blocks: usize,
    /// Length of the offsets of one pair.
    stride: usize,
    one_panel: bool,
}

/// Neighbouring output pixels and the offsets of a panel.
struct Tile<'a> {
    gather: Gather<'a>,
    offsets: [u16; PAIRS * offsets_len(PANEL)],
    windows: [Option<Window>; 2 * PAIRS],
    /// First pixel, counted from the start of the output, and how many.
    start: usize,
    pixels: usize,
}

impl Tile<'_> {
    #[target_feature(enable = "avx512f,avx512bw")]
    fn gather(&mut self, job: &Job<'_>, panel: &Panel, group: usize) {
        let pairs = self.windows.as_chunks::<2>().0.iter().take(self.pixels.div_ceil(2));
        for ([first, second], offsets) in pairs.zip(self.offsets.chunks_exact_mut(job.stride)) {
            let offsets = &mut offsets[..offsets_len(panel.len())];
            self.gather.panel(panel, group, [first.as_ref(), second.as_ref()], offsets);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn conv(conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, mut out: Out<'_>) {
    let count = rows.len() * conv.out_w();
    let longest = panels(conv).map(|panel| panel.len()).max().unwrap_or(0);
    let job = Job {
        conv,
        weights,
        block_words: layout::lanes_block_len::<LANES>(conv) / 8,
        blocks: conv.group_out().div_ceil(LANES),
        stride: offsets_len(longest),
        one_panel: panels(conv).count() == 1,
    };
    let mut windows = Pixels::from_row(conv, rows.start);
    let mut tile = Tile {
        gather: Gather::new(conv, acts),
        offsets: [0; PAIRS * offsets_len(PANEL)],
        windows: [None; 2 * PAIRS],
        start: 0,
        pixels: 0,
    };
    for start in (0..count).step_by(2 * PAIRS) {
        (tile.start, tile.pixels) = (start, (count - start).min(2 * PAIRS));
        for (i, window) in tile.windows.iter_mut().enumerate() {
            *window = if i < tile.pixels { windows.next() } else { None };
        }
        for group in 0..conv.groups {
            if job.one_panel {
                panels(conv).for_each(|panel| tile.gather(&job, &panel, group));
            }
            for block in (0..job.blocks).step_by(2) {
                let run = match (tile.pixels, job.blocks - block) {
                    (1, 1) => register_block::<1, 1, true>,
                    (1, _) => register_block::<1, 2, true>,
                    (2, 1) => register_block::<1, 1, false>,
                    (2, _) => register_block::<1, 2, false>,
                    (_, 1) => register_block::<PAIRS, 1, false>,
                    (_, _) => register_block::<PAIRS, 2, false>,
                };
                run(&job, &mut tile, group, block, &mut out);
            }
        }
    }
}

/// `V` blocks of output channels at the first `Q` pairs of a tile, over all of K. `SINGLE`: there is one pixel.
#[target_feature(enable = "avx512f,avx512bw")]
fn register_block<const Q: usize, const V: usize, const SINGLE: bool>(
    job: &Job<'_>,
    tile: &mut Tile<'_>,
    group: usize,
    block: usize,
    out: &mut Out<'_>,
) {
    let conv = job.conv;
    let weights = &job.weights[(group * job.blocks + block) * job.block_words..][..V * job.block_words];
    let mut counts = [[[[_mm512_setzero_si512(); 4]; 2]; V]; Q];
    let mut start = 0;
    for part in panels(conv) {
        let len = part.len();
        if !job.one_panel {
            tile.gather(job, &part, group);
        }
        let sums = panel::<Q, V, SINGLE>(job, len, &weights[start..], &tile.offsets);
        for (q, v, pixel) in (0..Q).flat_map(|q| (0..V).flat_map(move |v| [(q, v, 0), (q, v, 1)])) {
            add_wide(&mut counts[q][v][pixel], sums[q][v][pixel]);
        }
        start += len * LANES / 8;
    }
    for v in 0..V {
        let (start, end) = ((block + v) * LANES, conv.group_out().min((block + v + 1) * LANES));
        let channels = Channels::of(group * conv.group_out() + start..group * conv.group_out() + end, out);
        for (pixel, window) in tile.windows[..2 * Q].iter().flatten().enumerate() {
            let counts = &counts[pixel / 2][v][pixel % 2];
            channels.store(out, conv.c_out, tile.start + pixel, window.bits(conv), counts);
        }
    }
}

/// The mismatches of one panel of `len` bytes.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn panel<const Q: usize, const V: usize, const SINGLE: bool>(
    job: &Job<'_>,
    len: usize,
    weights: &[u64],
    offsets: &[u16],
) -> Sums<Q, V> {
    let mut block_weights: [&[u64]; V] = [&[]; V];
    for v in 0..V {
        block_weights[v] = &weights[v * job.block_words..][..len * LANES / 8];
    }
    let mut pair_offsets: [[&[u16]; 2]; Q] = [[&[]; 2]; Q];
    for q in 0..Q {
        let (low, high) = offsets[q * job.stride..][..offsets_len(len)].split_at(offsets_len(len) / 2);
        pair_offsets[q] = [&low[..len], &high[..len]];
    }
    // SAFETY: `Gather::panel` writes offsets of tables only, and the buffer held 0, the first table, before.
    unsafe { panel_sums::<Q, V, SINGLE>(len, block_weights, pair_offsets) }
}

/// Adds the sums of a panel, brought into order, to those in 32 bits.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn add_wide(counts: &mut [__m512i; 4], [a, b]: kernel::Narrow) {
    // `a` has every other eight channels, `b` those between.
    let low = _mm512_permutex2var_epi64(a, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), b);
    let high = _mm512_permutex2var_epi64(a, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), b);
    let sixteens = [
        _mm512_castsi512_si256(low),
        _mm512_extracti64x4_epi64::<1>(low),
        _mm512_castsi512_si256(high),
        _mm512_extracti64x4_epi64::<1>(high),
    ];
    for i in 0..4 {
        counts[i] = _mm512_add_epi32(counts[i], _mm512_cvtepu16_epi32(sixteens[i]));
    }
}
