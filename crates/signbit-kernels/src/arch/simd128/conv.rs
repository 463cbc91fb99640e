//! The binary convolution with output channels in lanes: the loops around the kernel.
//!
//! Neighbouring pixels with the same taps inside of the input are a tile, whose activations are gathered once; within a
//! tile, register blocks of up to 4 pixels and 2 blocks of output channels. Taps that do not count are left out.

use core::ops::Range;

use super::{
    gather::{Source, patch_len},
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

/// Pixels of a register block, at most.
const BLOCK: usize = 4;

/// Pixels of a tile, at most.
const PIXELS: usize = 32;

/// Room for the activations of a tile: one register block over the longest part, or more pixels with a shorter one.
const PATCHES: usize = BLOCK * patch_len(PANEL);

/// What is the same for all register blocks of one tile and group.
struct Job<'a> {
    source: Source<'a>,
    tile: &'a Tile,
    weights: &'a [u64],
    /// Room for the activations of one pixel.
    patch: usize,
    /// Whether the activations over all of K fit the buffer, so that they serve all output channels.
    whole: bool,
}

/// Neighbouring output pixels with the same taps.
struct Tile {
    windows: [Window; PIXELS],
    len: usize,
    /// First pixel, counted from the start of the output.
    start: usize,
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
    let mut windows = Pixels::from_row(conv, rows.start).take(rows.len() * conv.out_w()).peekable();
    let len = conv.taps() * tap_bytes(conv);
    let (whole, patch) = (len <= PANEL, patch_len(len.min(PANEL)));
    // A tile of a longer K is one register block: its activations are gathered part by part.
    let pixels = if whole { (PATCHES / patch).min(PIXELS) / BLOCK * BLOCK } else { BLOCK };
    let group_words = weights.len() / conv.groups;
    let mut patches = [0; PATCHES];
    let mut tile = Tile { windows: [Window::of(conv, [0; 3]); PIXELS], len: 0, start: 0 };
    while let Some(first) = windows.next() {
        (tile.start, tile.len, tile.windows[0]) = (tile.start + tile.len, 1, first);
        let taps = |window: &Window| (window.ky(), window.kx());
        let same = |next: &Window| conv.padding != Padding::Zero || taps(next) == taps(&first);
        while let Some(next) = (tile.len < pixels).then(|| windows.next_if(same)).flatten() {
            tile.windows[tile.len] = next;
            tile.len += 1;
        }
        for group in 0..conv.groups {
            let weights = &weights[group * group_words..][..group_words];
            let job = Job { source: Source { conv, acts, group }, tile: &tile, weights, patch, whole };
            job.run(&mut patches, &mut out);
        }
    }
}

impl Job<'_> {
    /// All output channels of one group at all pixels of a tile.
    fn run(&self, patches: &mut [u8; PATCHES], out: &mut Out<'_>) {
        let conv = self.source.conv;
        if self.whole {
            for (window, patch) in self.tile.windows[..self.tile.len].iter().zip(patches.chunks_exact_mut(self.patch)) {
                let mut at = 0;
                for part in parts(conv, window) {
                    self.source.patch(part.clone(), window, &mut patch[at..]);
                    at += part.len();
                }
            }
        }
        let blocks = conv.group_out().div_ceil(LANES);
        for block in (0..blocks).step_by(2) {
            for pixel in (0..self.tile.len).step_by(BLOCK) {
                match (self.tile.len - pixel, blocks - block) {
                    (1, 1) => self.block::<1, 1>(pixel, block, patches, out),
                    (1, _) => self.block::<1, 2>(pixel, block, patches, out),
                    (2, 1) => self.block::<2, 1>(pixel, block, patches, out),
                    (2, _) => self.block::<2, 2>(pixel, block, patches, out),
                    (3, 1) => self.block::<3, 1>(pixel, block, patches, out),
                    (3, _) => self.block::<3, 2>(pixel, block, patches, out),
                    (_, 1) => self.block::<BLOCK, 1>(pixel, block, patches, out),
                    (_, _) => self.block::<BLOCK, 2>(pixel, block, patches, out),
                }
            }
        }
    }

    /// `V` blocks of output channels at `P` pixels, over all of K.
    #[inline(never)]
    fn block<const P: usize, const V: usize>(
        &self,
        pixel: usize,
        block: usize,
        patches: &mut [u8; PATCHES],
        out: &mut Out<'_>,
    ) {
        let conv = self.source.conv;
        let windows = &self.tile.windows[pixel..][..P];
        let words = block_words(conv);
        let first = if self.whole { pixel } else { 0 };
        let mut counts = [[Wide::zero(); V]; P];
        let mut at = 0;
        for part in parts(conv, &windows[0]) {
            let len = part.len();
            if !self.whole {
                for (window, patch) in windows.iter().zip(patches.chunks_exact_mut(self.patch)) {
                    self.source.patch(part.clone(), window, patch);
                }
            }
            let weights = core::array::from_fn(|v| {
                &self.weights[(block + v) * words..][..words][part.start * LANES / 8..part.end * LANES / 8]
            });
            let acts = core::array::from_fn(|p| &patches[(first + p) * self.patch + at..][..len]);
            let sums = panel_sums::<P, V>(len, weights, acts);
            for (p, v) in (0..P).flat_map(|p| (0..V).map(move |v| (p, v))) {
                counts[p][v].add(sums[p][v]);
            }
            at += if self.whole { len } else { 0 };
        }
        for v in 0..V {
            let channels = Channels::of(conv, self.source.group, block + v, out);
            for p in 0..P {
                channels.store(out, conv, self.tile.start + pixel + p, windows[p].bits(conv), counts[p][v]);
            }
        }
    }
}
