//! The loops around the kernel where windows overlap: table offsets are made once per row of the input, and all windows
//! that read it share them.
//!
//! With stride 1, the two pixels of a pair are neighbours: under tap column `kx`, the pair at output column `x` has the
//! input columns `x + kx` and `x + kx + 1`, as has the pair at `x + 1` under `kx - 1`. So the offsets of each two
//! neighbouring columns of the input are made once, in order, and a row of taps is a part of them, its segment. The
//! rows of one window lie in a ring, where going down by a row replaces one. The columns of a strip are as many as fit.

use core::ops::Range;

use super::{
    gather::{ZEROS, offsets, tap_offsets},
    kernel::{add_panel, no_sums},
    layout::{LANES, block_len, panels},
    store::Channels,
    tables::NEITHER,
};
use crate::{
    bits::{copy_bits, words},
    conv::Out,
    shape::{Conv, Padding},
    window::Window,
};

/// Pairs of pixels of a strip, at most.
const PAIRS: usize = 16;

/// Offsets in the ring, at most.
const ROOM: usize = 1 << 13;

/// With more output channels than this, offsets are used often enough, and strips of few rows would read the
/// weights more often than tiles.
const MAX_CHANNELS: usize = 128;

/// The offset of the table of two nibbles 1111.
const ONES: u16 = 0x0ff0;

/// Channels of a pixel that is not whole words, at most, and columns of its taps.
const FEW: [usize; 2] = [256, 9];

/// Words of a strip of such pixels side by side, and some more.
const LINE: usize = (2 * PAIRS + FEW[1]) * FEW[0] / 64 + 4;

/// Pairs of pixels of a strip, if these loops are for the layer: overlapping windows, and rows of taps that are whole bytes
/// of the input and a multiple of 3 of them, which the kernel takes at once.
pub(super) fn pairs(conv: &Conv) -> Option<usize> {
    let [kh, kw] = conv.kernel;
    let steps = conv.stride == [1, 1] && conv.dilation == [1, 1] && kw.is_multiple_of(3);
    let few = conv.groups == 1 && conv.c_in.is_multiple_of(8) && conv.c_in <= FEW[0] && kw <= FEW[1];
    let bytes = (conv.group_in().is_multiple_of(64) || few) && panels(conv).count() == 1;
    // The last pair of an odd row is half empty.
    let width = conv.out_w().is_multiple_of(2) || conv.out_w() >= 15;
    if !(steps && bytes && width && conv.group_out() <= MAX_CHANNELS) {
        return None;
    }
    let columns = ROOM / (kh * 2 * conv.group_in() / 8);
    let pairs = (columns.saturating_sub(kw - 1) / 2).min(PAIRS) & !1;
    (pairs >= 4).then_some(pairs)
}

/// One row of output pixels of a strip.
struct Line<'a> {
    conv: &'a Conv,
    ring: &'a [u16; ROOM],
    /// Offsets of one row of the input: as many of low as of high nibbles.
    half: usize,
    /// Where in the ring the first row of taps is.
    slot: usize,
    /// First pixel, counted from the start of the output.
    start: usize,
    /// Length of the dot product of each.
    bits: &'a [i32],
}

/// The output of a layer that has [`pairs`].
#[target_feature(enable = "avx2")]
pub(super) fn conv(conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, pairs: usize, out: &mut Out<'_>) {
    let [kh, kw] = conv.kernel;
    let (out_h, out_w) = (conv.out_h(), conv.out_w());
    let half = (2 * pairs + kw - 1) * conv.group_in() / 8;
    let group_words = conv.group_out().div_ceil(LANES) * block_len(conv) / 8;
    let mut ring = [0u16; ROOM];
    for (group, weights) in weights.chunks_exact(group_words).enumerate() {
        for column in (0..out_w).step_by(2 * pairs) {
            let pixels = (out_w - column).min(2 * pairs);
            let mut across = [0; 2 * PAIRS];
            for (i, taps) in across[..pixels].iter_mut().enumerate() {
                *taps = counted(conv, Window::of(conv, [0, 0, column + i]).kx().len(), kw);
            }
            let columns = pixels.next_multiple_of(2) + kw - 1;
            let source = Source { conv, acts, group, first: column.wrapping_sub(conv.pads[1]), columns };
            for (i, row) in rows.clone().enumerate() {
                let (n, oy) = (row / out_h, row % out_h);
                let new = if i == 0 || oy == 0 { 0 } else { kh - 1 };
                for ky in new..kh {
                    let (low, high) = ring[(oy + ky) % kh * 2 * half..][..2 * half].split_at_mut(half);
                    source.row(n, (oy + ky).wrapping_sub(conv.pads[0]), low, high);
                }
                let down = counted(conv, Window::of(conv, [n, oy, column]).ky().len(), kh);
                let mut bits = [0; 2 * PAIRS];
                for (bits, taps) in bits.iter_mut().zip(across) {
                    *bits = (taps * down * conv.group_in()) as i32;
                }
                let start = i * out_w + column;
                let line = Line { conv, ring: &ring, half, slot: oy % kh, start, bits: &bits[..pixels] };
                line_group(&line, group, weights, out);
            }
        }
    }
}

/// How many of the taps of an axis count, of which some are `inside`.
fn counted(conv: &Conv, inside: usize, all: usize) -> usize {
    match conv.padding {
        Padding::Zero => inside,
        Padding::One | Padding::MinusOne => all,
    }
}

/// Where the rows of a strip come from.
struct Source<'a> {
    conv: &'a Conv,
    acts: &'a [u64],
    group: usize,
    /// The first input column, which wraps where it is outside, and how many.
    first: usize,
    columns: usize,
}

impl Source<'_> {
    /// Writes the offsets of all pairs of neighbouring columns of row `y` of image `n`, which may be outside.
    #[target_feature(enable = "avx2")]
    fn row(&self, n: usize, y: usize, low: &mut [u16], high: &mut [u16]) {
        let (conv, columns) = (self.conv, self.columns);
        let (bytes, len) = (conv.group_in() / 8, words(conv.group_in()));
        let whole = len * 8 == bytes;
        let (low, high) = (&mut low[..columns * bytes], &mut high[..columns * bytes]);
        if y >= conv.h {
            let offset = match conv.padding {
                Padding::Zero => NEITHER,
                Padding::One => ONES,
                Padding::MinusOne => 0,
            };
            low.fill(offset);
            high.fill(offset);
            return;
        }
        let row = (n * conv.h + y) * conv.w;
        // Where both columns of a pair are inside and nothing lies between the words of two pixels, all pairs are one.
        let start = if self.first < conv.w { 0 } else { self.first.wrapping_neg().min(columns) };
        let end = (conv.w - 1).saturating_sub(self.first.wrapping_add(start)).min(columns - start) + start;
        let joined = if conv.groups == 1 { start..end } else { 0..0 };
        let others = (0..joined.start).chain(joined.end..columns);
        if !joined.is_empty() {
            let a = &self.acts[(row + self.first.wrapping_add(start)) * len..][..(joined.len() + 1) * len];
            let at = start * bytes..end * bytes;
            let (low, high) = (&mut low[at.clone()], &mut high[at]);
            match whole {
                true => offsets(&a[..joined.len() * len], &a[len..], 0, low, high),
                false => few_channels(conv.c_in, a, low, high),
            }
        }
        for column in others {
            let x = self.first.wrapping_add(column);
            let at = column * bytes..(column + 1) * bytes;
            let (low, high) = (&mut low[at.clone()], &mut high[at]);
            let (a, b) = (self.pixel(row, x), self.pixel(row, x.wrapping_add(1)));
            if whole {
                tap_offsets(a, b, low, high);
            } else {
                let mut all = [[0; FEW[0] / 8]; 2];
                let [all_low, all_high] = &mut all;
                tap_offsets(a, b, &mut all_low[..len * 8], &mut all_high[..len * 8]);
                low.copy_from_slice(&all_low[..bytes]);
                high.copy_from_slice(&all_high[..bytes]);
            }
        }
    }

    /// The words of a pixel, or nothing where it does not count.
    #[inline(always)]
    fn pixel(&self, row: usize, x: usize) -> Option<&[u64]> {
        /// The words of a pixel of ones.
        static ONES: [u64; ZEROS.len()] = [u64::MAX; ZEROS.len()];
        let len = words(self.conv.group_in());
        if x < self.conv.w {
            return Some(&self.acts[(row + x) * words(self.conv.c_in) + self.group * len..][..len]);
        }
        match self.conv.padding {
            Padding::Zero => None,
            Padding::One => Some(&ONES[..len]),
            Padding::MinusOne => Some(&ZEROS[..len]),
        }
    }
}

/// Writes the offsets of all pairs of neighbouring `pixels`, one fewer than there are pixels, of `c` channels that are
/// whole bytes and not whole words.
#[target_feature(enable = "avx2")]
fn few_channels(c: usize, pixels: &[u64], low: &mut [u16], high: &mut [u16]) {
    // The bytes of all pixels side by side, and once more from the second pixel on.
    let (mut first, mut second) = ([0; LINE], [0; LINE]);
    if c == 32 {
        for (word, pixels) in first.iter_mut().zip(pixels.chunks(2)) {
            *word = pixels[0] | pixels.get(1).copied().unwrap_or(0) << 32;
        }
    } else {
        for (i, pixel) in pixels.chunks_exact(words(c)).enumerate() {
            copy_bits(pixel, 0, &mut first, i * c, c);
        }
    }
    let len = low.len().div_ceil(8);
    let (skip, shift) = (c / 64, c % 64);
    for (i, word) in second[..len].iter_mut().enumerate() {
        *word = first[i + skip] >> shift | first[i + skip + 1] << (64 - shift);
    }
    let (mut all_low, mut all_high) = ([0; 8 * LINE], [0; 8 * LINE]);
    offsets(&first[..len], &second[..len], 0, &mut all_low[..8 * len], &mut all_high[..8 * len]);
    low.copy_from_slice(&all_low[..low.len()]);
    high.copy_from_slice(&all_high[..high.len()]);
}

/// All output channels of one group in one line.
#[target_feature(enable = "avx2")]
fn line_group(line: &Line<'_>, group: usize, weights: &[u64], out: &mut Out<'_>) {
    let blocks = line.conv.group_out().div_ceil(LANES);
    let pairs = line.bits.len().div_ceil(2);
    let block_words = block_len(line.conv) / 8;
    for block in (0..blocks).step_by(2) {
        let channels = Channels::two(line.conv, group, block, out);
        let weights = &weights[block * block_words..];
        for pair in (0..pairs).step_by(2) {
            let run = match (pairs - pair, blocks - block) {
                (1, 1) => register_block::<1, 1>,
                (1, _) => register_block::<1, 2>,
                (_, 1) => register_block::<2, 1>,
                (_, _) => register_block::<2, 2>,
            };
            run(line, weights, pair, &channels, out);
        }
    }
}

/// `V` blocks of output channels at `Q` pairs of pixels, over all of K.
#[target_feature(enable = "avx2")]
fn register_block<const Q: usize, const V: usize>(
    line: &Line<'_>,
    weights: &[u64],
    pair: usize,
    channels: &[Channels; 2],
    out: &mut Out<'_>,
) {
    let conv = line.conv;
    let [kh, kw] = conv.kernel;
    let bytes = conv.group_in() / 8;
    let segment = kw * bytes;
    let mut sums = no_sums::<Q, V>();
    let mut slot = line.slot;
    for ky in 0..kh {
        let mut block_weights: [&[u64]; V] = [&[]; V];
        for v in 0..V {
            block_weights[v] = &weights[(v * kh + ky) * segment * LANES / 8..][..segment * LANES / 8];
        }
        let (low, high) = line.ring[slot * 2 * line.half..][..2 * line.half].split_at(line.half);
        let mut pair_offsets: [[&[u16]; 2]; Q] = [[&[]; 2]; Q];
        for q in 0..Q {
            let at = 2 * (pair + q) * bytes;
            pair_offsets[q] = [&low[at..][..segment], &high[at..][..segment]];
        }
        // SAFETY: the ring holds offsets of tables only, and 0, the first table, before.
        unsafe { add_panel::<Q, V, false>(segment, block_weights, pair_offsets, &mut sums) };
        slot = if slot + 1 == kh { 0 } else { slot + 1 };
    }
    for i in 0..2 * Q {
        let pixel = 2 * pair + i;
        if let Some(&bits) = line.bits.get(pixel) {
            for v in 0..V {
                channels[v].store_narrow(out, conv, line.start + pixel, bits, sums[i / 2][v][i % 2]);
            }
        }
    }
}
