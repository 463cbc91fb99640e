//! The binary convolution with VPOPCNTDQ: XOR and popcount of words, output channels in lanes.
//!
//! A register holds the same 32 bits of K of 16 output channels. Against it goes, broadcast, the word of activations of a
//! pixel: XOR, popcount and addition are 512 terms in three instructions, less than the table of the other kernels takes, and
//! the sums of 16 channels are the 16 lanes. A sum has at most K, which fits.
//!
//! Windows are read where they lie. Output pixels whose windows have the same taps inside go together, whichever columns and
//! rows they are in. So a tap outside needs no mask: with a padding of 0 it is left out, with one of +1 or -1 its mismatches are
//! the same for all of them and are where their sums begin. Blocks of output channels are outside of the loops over pixels,
//! so that their weights stay in the first-level cache.

mod gemv;
mod kernel;
mod layout;

use core::{arch::x86_64::*, ops::Range};

pub(crate) use self::layout::{has_lanes, pack_weights, packed_len};
use self::{
    kernel::{Walk, Weights, constant, count, zero},
    layout::{LANES, MAX_KW, Register, VECTORS, blocks_of, halves, k_words, pixel_words, tap_words},
};
use super::store::Channels;
use crate::{
    conv::Out,
    shape::{Conv, Padding},
    window::Window,
};

/// Pixels of a register block, at most.
const PIXELS: usize = 6;

/// Words of input rows that are read for one block after the other, so that they are in the first-level cache.
const CACHED: usize = 4096;

/// Neighbouring output columns, or rows, whose windows have the same taps inside.
struct Stretch {
    outputs: Range<usize>,
    taps: Range<usize>,
}

/// What is the same for all blocks of output channels of one group.
struct Lines<'a> {
    conv: &'a Conv,
    acts: &'a [u32],
    group: usize,
    rows: Stretch,
    /// Number of the first output pixel of the first row.
    first: usize,
}

#[target_feature(enable = "avx512f,avx512vpopcntdq")]
pub(super) fn conv(conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, mut out: Out<'_>) {
    let (out_h, out_w) = (conv.out_h(), conv.out_w());
    let acts = halves(acts);
    if rows.len() * out_w == 1 && gemv::is_vector(conv) {
        return gemv::conv(conv, &acts[rows.start * pixel_words(conv)..], weights, &mut out);
    }
    // The taps inside change with every column that has some outside, on either side.
    let mut columns = [const { Stretch { outputs: 0..0, taps: 0..0 } }; 2 * MAX_KW + 1];
    let (mut next, mut len) = (0, 0);
    while next < out_w {
        columns[len] = stretch(next..out_w, |x| Window::of(conv, [0, 0, x]).kx());
        next = columns[len].outputs.end;
        len += 1;
    }
    let columns = &columns[..len];
    let group_len = conv.group_out().div_ceil(LANES) * k_words(conv);
    let most = (CACHED / (conv.w * pixel_words(conv))).max(1);
    let mut row = rows.start;
    while row < rows.end {
        let limit = rows.end.min(row + most);
        let part = stretch(row..limit, |row| Window::of(conv, [row / out_h, row % out_h, 0]).ky());
        let first = (row - rows.start) * out_w;
        row = part.outputs.end;
        let mut lines = Lines { conv, acts, group: 0, rows: part, first };
        for (group, weights) in weights.as_chunks().0.chunks_exact(group_len).enumerate() {
            lines.group = group;
            for (vectors, weights) in blocks_of(conv, weights) {
                match vectors.len() {
                    1 => block::<1>(&lines, columns, weights, vectors.start, &mut out),
                    2 => block::<2>(&lines, columns, weights, vectors.start, &mut out),
                    _ => block::<VECTORS>(&lines, columns, weights, vectors.start, &mut out),
                }
            }
        }
    }
}

/// The first of `outputs`, up to where the taps inside change.
fn stretch(outputs: Range<usize>, taps: impl Fn(usize) -> Range<usize>) -> Stretch {
    let inside = taps(outputs.start);
    let end = (outputs.start + 1..outputs.end).find(|&at| taps(at) != inside).unwrap_or(outputs.end);
    Stretch { outputs: outputs.start..end, taps: inside }
}

/// `V` registers of output channels from `vector` on, at all pixels of the lines.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn block<const V: usize>(
    lines: &Lines<'_>,
    columns: &[Stretch],
    weights: &[Register],
    vector: usize,
    out: &mut Out<'_>,
) {
    let Lines { conv, group, ref rows, .. } = *lines;
    let weights = weights.as_chunks::<V>().0;
    let (start, end) = (vector * LANES, conv.group_out().min((vector + V) * LANES));
    let channels = Channels::of(group * conv.group_out() + start..group * conv.group_out() + end, out);
    let (pixel_words, tap_words) = (pixel_words(conv), tap_words(conv));
    for columns in columns {
        let taps = [&rows.taps, &columns.taps];
        let inside = rows.taps.len() * columns.taps.len();
        let (counted, begin) = match conv.padding {
            Padding::Zero => (inside, zero()),
            _ if inside == conv.taps() => (inside, zero()),
            Padding::One => (conv.taps(), outside(conv, weights, taps, true)),
            Padding::MinusOne => (conv.taps(), outside(conv, weights, taps, false)),
        };
        let bits = (counted * conv.group_in()) as i32;
        // Taps of a row that follow each other in memory are one run.
        let joined = tap_words == pixel_words && conv.dilation[1] == 1;
        let (runs, len) = if joined { (1, columns.taps.len() * tap_words) } else { (columns.taps.len(), tap_words) };
        let walk = Walk {
            rows: rows.taps.len(),
            runs,
            words: len,
            acts: [conv.dilation[0] * conv.w * pixel_words, conv.dilation[1] * pixel_words],
            first: (rows.taps.start * conv.kernel[1] + columns.taps.start) * tap_words,
            weights: [conv.kernel[1] * tap_words, tap_words],
        };
        let mut job = Job { lines, weights, begin, walk, channels, bits, cursor: Cursor::new(lines, columns) };
        let mut left = rows.outputs.len() * columns.outputs.len();
        while left > 0 {
            left -= match left {
                PIXELS.. => job.tile::<PIXELS>(out),
                3.. => job.tile::<3>(out),
                2 => job.tile::<2>(out),
                _ => job.tile::<1>(out),
            };
        }
    }
}

/// The mismatches of the taps outside, all of whose bits are `ones` or 0.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn outside<const V: usize>(
    conv: &Conv,
    weights: &[Weights<V>],
    [ky, kx]: [&Range<usize>; 2],
    ones: bool,
) -> [__m512i; V] {
    let mut sums = zero();
    for (tap, weights) in weights.chunks_exact(tap_words(conv)).enumerate() {
        if !(ky.contains(&(tap / conv.kernel[1])) && kx.contains(&(tap % conv.kernel[1]))) {
            sums = constant(sums, weights, conv.group_in(), ones);
        }
    }
    sums
}

/// Some pixels with the same taps inside, at a block of output channels.
struct Job<'a, const V: usize> {
    lines: &'a Lines<'a>,
    weights: &'a [Weights<V>],
    begin: [__m512i; V],
    walk: Walk,
    channels: Channels<V>,
    /// Length of the dot product.
    bits: i32,
    cursor: Cursor<'a>,
}

impl<const V: usize> Job<'_, V> {
    /// The next `P` pixels. Returns `P`.
    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    fn tile<const P: usize>(&mut self, out: &mut Out<'_>) -> usize {
        let Lines { conv, acts, .. } = *self.lines;
        let (step, out_w) = (conv.stride[1] * pixel_words(conv), conv.out_w());
        let (mut starts, mut pixels) = ([0; P], [0; P]);
        for p in 0..P {
            [starts[p], pixels[p]] = self.cursor.next(step, out_w);
        }
        let sums = count([self.begin; P], self.weights, acts, starts, &self.walk);
        for p in 0..P {
            self.channels.store(out, conv.c_out, pixels[p], self.bits, &sums[p]);
        }
        P
    }
}

/// Goes over the output pixels of some columns in all rows of the lines.
struct Cursor<'a> {
    lines: &'a Lines<'a>,
    columns: &'a Stretch,
    row: usize,
    column: usize,
    /// Where the window of the row's first column begins, which wraps if that is outside.
    start: usize,
}

impl<'a> Cursor<'a> {
    fn new(lines: &'a Lines<'a>, columns: &'a Stretch) -> Self {
        let row = lines.rows.outputs.start;
        let mut cursor = Self { lines, columns, row, column: columns.outputs.start, start: 0 };
        cursor.start = cursor.start_of_row();
        cursor
    }

    fn start_of_row(&self) -> usize {
        let Lines { conv, group, ref rows, .. } = *self.lines;
        let out_h = conv.out_h();
        let y = self.row / out_h * conv.h + self.row % out_h * conv.stride[0] + rows.taps.start * conv.dilation[0];
        let x = (self.columns.taps.start * conv.dilation[1]).wrapping_sub(conv.pads[1]);
        let pixel = y.wrapping_sub(conv.pads[0]).wrapping_mul(conv.w).wrapping_add(x);
        pixel.wrapping_mul(pixel_words(conv)).wrapping_add(group * tap_words(conv))
    }

    /// The word of the first tap inside and the number of the next pixel; windows of a row are `step` words apart.
    #[inline(always)]
    fn next(&mut self, step: usize, out_w: usize) -> [usize; 2] {
        if self.column == self.columns.outputs.end {
            self.column = self.columns.outputs.start;
            self.row += 1;
            self.start = self.start_of_row();
        }
        let pixel = self.lines.first + (self.row - self.lines.rows.outputs.start) * out_w + self.column;
        let word = self.start.wrapping_add(self.column * step);
        self.column += 1;
        [word, pixel]
    }
}
