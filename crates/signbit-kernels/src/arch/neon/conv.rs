//! The binary convolution with output channels in lanes: the loops around the kernel.
//!
//! Neighbouring pixels whose windows have the same taps inside of the input go side by side, up to four. The bytes of
//! those taps are gathered once, then the register blocks of 1, 2 or 4 blocks of output channels walk over them.
//! Taps outside that count as 0 are so left out, and no others have to be masked.

use core::ops::Range;

use super::{
    gather::Source,
    kernel::{add, zero},
    layout::{LANES, PANEL, Piece, block_words, pieces, tap_bytes},
    store::{Channels, Wide},
};
use crate::{
    conv::Out,
    shape::{Conv, Padding},
    window::{Pixels, Window},
};

/// Pixels side by side, at most.
const PIXELS: usize = 4;

/// What is the same for all register blocks of one call.
struct Job<'a> {
    conv: &'a Conv,
    acts: &'a [u64],
    weights: &'a [u64],
}

impl Job<'_> {
    /// The taps of a window that count.
    fn pieces(&self, window: Window) -> impl Iterator<Item = Piece> {
        let [ky, kx] = match self.conv.padding {
            Padding::Zero => [window.ky(), window.kx()],
            Padding::One | Padding::MinusOne => [0..self.conv.kernel[0], 0..self.conv.kernel[1]],
        };
        pieces(self.conv, ky, kx)
    }

    /// Whether the same taps count for both windows.
    fn alike(&self, a: &Window, b: &Window) -> bool {
        self.conv.padding != Padding::Zero || (a.ky() == b.ky() && a.kx() == b.kx())
    }
}

/// Neighbouring output pixels with the same taps, and the bytes of these.
struct Tile {
    windows: [Window; PIXELS],
    len: usize,
    /// First pixel, counted from the start of the output.
    start: usize,
    bytes: [[u8; PANEL]; PIXELS],
    /// Whether all taps fit `bytes`, which then serve all output channels.
    fits: bool,
}

#[target_feature(enable = "neon")]
pub(super) fn conv(conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, mut out: Out<'_>) {
    let count = rows.len() * conv.out_w();
    let job = Job { conv, acts, weights };
    let mut pixels = Pixels::from_row(conv, rows.start).take(count).peekable();
    let fits = conv.taps() * tap_bytes(conv) <= PANEL;
    let none = Window::of(conv, [0; 3]);
    let mut tile = Tile { windows: [none; PIXELS], len: 0, start: 0, bytes: [[0; PANEL]; PIXELS], fits };
    while let Some(first) = pixels.next() {
        (tile.start, tile.len, tile.windows[0]) = (tile.start + tile.len, 1, first);
        while let Some(next) = pixels.next_if(|next| tile.len < PIXELS && job.alike(&first, next)) {
            tile.windows[tile.len] = next;
            tile.len += 1;
        }
        for group in 0..conv.groups {
            let source = Source::new(conv, acts, group);
            if tile.fits {
                let mut at = 0;
                for piece in job.pieces(first) {
                    gather(&source, &piece, &mut tile, at);
                    at += piece.len();
                }
            }
            match tile.len {
                1 => group_blocks::<1>(&job, &mut tile, group, &mut out),
                2 => group_blocks::<2>(&job, &mut tile, group, &mut out),
                3 => group_blocks::<3>(&job, &mut tile, group, &mut out),
                _ => group_blocks::<PIXELS>(&job, &mut tile, group, &mut out),
            }
        }
    }
}

/// Writes the bytes of a piece of all pixels from `at` on.
fn gather(source: &Source<'_>, piece: &Piece, tile: &mut Tile, at: usize) {
    for (window, bytes) in tile.windows.iter().zip(&mut tile.bytes).take(tile.len) {
        source.gather(piece, window, &mut bytes[at..][..piece.len()]);
    }
}

/// All output channels of one group at all pixels of a tile.
#[target_feature(enable = "neon")]
fn group_blocks<const P: usize>(job: &Job<'_>, tile: &mut Tile, group: usize, out: &mut Out<'_>) {
    let blocks = job.conv.group_out().div_ceil(LANES);
    let mut block = 0;
    while block < blocks {
        match blocks - block {
            1 => register_block::<P, 1>(job, tile, group, block, out),
            2 | 3 => register_block::<P, 2>(job, tile, group, block, out),
            _ => register_block::<P, 4>(job, tile, group, block, out),
        }
        block += match blocks - block {
            1 => 1,
            2 | 3 => 2,
            _ => 4,
        };
    }
}

/// `V` blocks of output channels at `P` pixels, over all taps that count.
#[target_feature(enable = "neon")]
fn register_block<const P: usize, const V: usize>(
    job: &Job<'_>,
    tile: &mut Tile,
    group: usize,
    block: usize,
    out: &mut Out<'_>,
) {
    let conv = job.conv;
    let first = (group * conv.group_out().div_ceil(LANES) + block) * block_words(conv);
    let weights = &job.weights[first..][..V * block_words(conv)];
    let source = Source::new(conv, job.acts, group);
    let mut counts = [[Wide::zero(); V]; P];
    let mut sums = zero::<P, V>();
    let mut at = 0;
    for piece in job.pieces(tile.windows[0]) {
        if !tile.fits {
            gather(&source, &piece, tile, 0);
        }
        let mut acts: [&[u8]; P] = [&[]; P];
        for p in 0..P {
            acts[p] = &tile.bytes[p][at..][..piece.len()];
        }
        let mut block_weights: [&[u64]; V] = [&[]; V];
        for v in 0..V {
            block_weights[v] = &weights[v * block_words(conv) + piece.first_word(conv)..][..piece.len() * LANES / 8];
        }
        add(&mut sums, acts, block_weights);
        if tile.fits {
            at += piece.len();
        } else {
            widen(&mut counts, &sums);
            sums = zero();
        }
    }
    widen(&mut counts, &sums);
    for v in 0..V {
        let channels = Channels::of(conv, group, block + v, out);
        for p in 0..P {
            channels.store(out, conv, tile.start + p, tile.windows[p].bits(conv), counts[p][v]);
        }
    }
}

/// Adds 16-bit sums, of at most a panel, to 32-bit sums.
#[target_feature(enable = "neon")]
#[inline]
fn widen<const P: usize, const V: usize>(counts: &mut [[Wide; V]; P], sums: &super::kernel::Sums<P, V>) {
    for p in 0..P {
        for v in 0..V {
            counts[p][v].add(sums[p][v]);
        }
    }
}
