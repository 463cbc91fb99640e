//! The binary convolution with output channels in lanes: the loops around the kernel.
//!
//! Neighbouring pixels with the same taps inside of the input are a tile, whose table offsets are gathered once; within a
//! tile, register blocks of up to 2 pairs of pixels and 2 blocks of output channels. Taps that do not count are left out.

use core::ops::Range;

use super::{
    gather::{Source, half_len},
    kernel::{PANEL, panel_sums},
    layout::{LANES, block_words, has_lanes, tap_bytes},
    store::{Channels, Wide},
};
use crate::{
    arch::portable,
    conv::Out,
    shape::{Conv, Padding},
    window::{Pixels, Window},
};

/// Pairs of pixels whose offsets are gathered together, at most.
const PAIRS: usize = 16;

/// Room for the offsets of a tile: two pairs of the longest part, or more of shorter ones.
const OFFSETS: usize = 2 * 2 * half_len(PANEL);

/// What is the same for all register blocks of one tile and group.
struct Job<'a> {
    source: Source<'a>,
    tile: &'a Tile,
    weights: &'a [u64],
    /// Length of the offsets of one pair and nibble.
    half: usize,
    /// Whether the offsets of all of K fit the buffer, so that they serve all output channels.
    whole: bool,
}

/// Neighbouring output pixels with the same taps.
struct Tile {
    windows: [Window; 2 * PAIRS],
    len: usize,
    /// First pixel, counted from the start of the output.
    start: usize,
}

impl Tile {
    fn pair(&self, pair: usize) -> [Option<&Window>; 2] {
        [0, 1].map(|i| self.windows[..self.len].get(2 * pair + i))
    }
}

/// The bytes of K that count at a window, in pieces of at most [`PANEL`].
fn parts(conv: &Conv, window: &Window) -> impl Iterator<Item = Range<usize>> {
    let [ky, kx] = match conv.padding {
        Padding::Zero => [window.ky(), window.kx()],
        Padding::One | Padding::MinusOne => [0..conv.kernel[0], 0..conv.kernel[1]],
    };
    let (tap, row) = (tap_bytes(conv), conv.kernel[1] * tap_bytes(conv));
    let (pieces, len) = match kx.len() == conv.kernel[1] {
        true => (1, ky.len() * row),
        false => (ky.len(), kx.len() * tap),
    };
    let first = ky.start * row + kx.start * tap;
    (0..pieces).flat_map(move |i| {
        (0..len).step_by(PANEL).map(move |at| first + i * row + at..first + i * row + len.min(at + PANEL))
    })
}

pub(crate) fn conv(conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, mut out: Out<'_>) {
    if !has_lanes(conv) {
        return portable::conv(conv, acts, weights, rows, out);
    }
    let count = rows.len() * conv.out_w();
    let mut windows = Pixels::from_row(conv, rows.start).take(count).peekable();
    let len = conv.taps() * tap_bytes(conv);
    let whole = len <= PANEL;
    let half = half_len(len.min(PANEL));
    // A tile of a longer K is one register block: its offsets are gathered part by part.
    let pixels = if whole { 2 * (OFFSETS / (2 * half)).min(PAIRS) & !3 } else { 4 };
    let group_words = weights.len() / conv.groups;
    let mut offsets = [0u16; OFFSETS];
    let mut tile = Tile { windows: [Window::of(conv, [0; 3]); 2 * PAIRS], len: 0, start: 0 };
    while let Some(first) = windows.next() {
        (tile.start, tile.len, tile.windows[0]) = (tile.start + tile.len, 1, first);
        let same = |next: &Window| conv.padding != Padding::Zero || next.same_taps(&first);
        while let Some(next) = (tile.len < pixels).then(|| windows.next_if(same)).flatten() {
            tile.windows[tile.len] = next;
            tile.len += 1;
        }
        for group in 0..conv.groups {
            let weights = &weights[group * group_words..][..group_words];
            let job = Job { source: Source { conv, acts, group }, tile: &tile, weights, half, whole };
            job.run(&mut offsets, &mut out);
        }
    }
}

impl Job<'_> {
    /// All output channels of one group at all pixels of a tile.
    fn run(&self, offsets: &mut [u16; OFFSETS], out: &mut Out<'_>) {
        let (conv, pairs) = (self.source.conv, self.tile.len.div_ceil(2));
        if self.whole {
            let mut at = 0;
            for part in parts(conv, &self.tile.windows[0]) {
                for pair in 0..pairs {
                    self.gather(part.clone(), pair, at, &mut offsets[pair * 2 * self.half..]);
                }
                at += part.len();
            }
        }
        let blocks = conv.group_out().div_ceil(LANES);
        for block in (0..blocks).step_by(2) {
            for pair in (0..pairs).step_by(2) {
                let single = self.tile.pair(pair)[1].is_none();
                // A pixel alone beside a whole pair is computed apart.
                let whole_pairs = if self.tile.pair(pair + 1)[1].is_some() { 2 } else { 1 };
                match (whole_pairs, blocks - block) {
                    (1, 1) if single => self.block::<1, 1, true>(pair, block, offsets, out),
                    (1, _) if single => self.block::<1, 2, true>(pair, block, offsets, out),
                    (1, 1) => self.block::<1, 1, false>(pair, block, offsets, out),
                    (1, _) => self.block::<1, 2, false>(pair, block, offsets, out),
                    (_, 1) => self.block::<2, 1, false>(pair, block, offsets, out),
                    (_, _) => self.block::<2, 2, false>(pair, block, offsets, out),
                }
                if whole_pairs == 1 && self.tile.pair(pair + 1)[0].is_some() {
                    match blocks - block {
                        1 => self.block::<1, 1, true>(pair + 1, block, offsets, out),
                        _ => self.block::<1, 2, true>(pair + 1, block, offsets, out),
                    }
                }
            }
        }
    }

    /// The offsets of one part and pair, which begin at `at` in each half.
    fn gather(&self, part: Range<usize>, pair: usize, at: usize, offsets: &mut [u16]) {
        let (low, high) = offsets[..2 * self.half].split_at_mut(self.half);
        self.source.offsets(part, self.tile.pair(pair), [&mut low[at..], &mut high[at..]]);
    }

    /// `V` blocks of output channels at `Q` pairs of pixels, over all of K. `SINGLE`: the pair is one pixel.
    #[inline(never)]
    fn block<const Q: usize, const V: usize, const SINGLE: bool>(
        &self,
        pair: usize,
        block: usize,
        offsets: &mut [u16; OFFSETS],
        out: &mut Out<'_>,
    ) {
        let conv = self.source.conv;
        let block_words = block_words(conv);
        let mut counts = [[[Wide::zero(); 2]; V]; Q];
        let mut at = 0;
        for part in parts(conv, &self.tile.windows[0]) {
            let len = part.len();
            let first = if self.whole { pair } else { 0 };
            if !self.whole {
                (0..Q).for_each(|q| self.gather(part.clone(), pair + q, 0, &mut offsets[q * 2 * self.half..]));
            }
            let weights = core::array::from_fn(|v| {
                let block = &self.weights[(block + v) * block_words..][..block_words];
                &block[part.start * LANES / 8..part.end * LANES / 8]
            });
            let pairs = core::array::from_fn(|q| {
                let offsets = &offsets[(first + q) * 2 * self.half..][..2 * self.half];
                [&offsets[at..][..len], &offsets[self.half + at..][..len]]
            });
            // SAFETY: `Source::offsets` writes offsets of tables only, and the buffer held 0, the first table, before.
            let sums = unsafe { panel_sums::<Q, V, SINGLE>(len, weights, pairs) };
            for (q, v) in (0..Q).flat_map(|q| (0..V).map(move |v| (q, v))) {
                (0..2).for_each(|i| counts[q][v][i].add(sums[q][v][i]));
            }
            at += if self.whole { len } else { 0 };
        }
        for v in 0..V {
            let channels = Channels::of(conv, self.source.group, block + v, out);
            for i in 0..if SINGLE { 1 } else { 2 * Q } {
                let pixel = 2 * pair + i;
                let bits = self.tile.windows[pixel].bits(conv);
                channels.store(out, conv, self.tile.start + pixel, bits, counts[i / 2][v][i % 2]);
            }
        }
    }
}
