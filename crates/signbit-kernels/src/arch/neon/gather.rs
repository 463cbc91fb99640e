//! From activations to the bytes of K that the kernel reads: the bits under the window of one pixel, each tap
//! beginning a new byte.

use super::layout::Piece;
use crate::{
    bits::{read_bits, words},
    shape::{Conv, Padding},
    window::Window,
};

/// The input of one group.
pub(super) struct Source<'a> {
    conv: &'a Conv,
    acts: &'a [u64],
    group: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(conv: &'a Conv, acts: &'a [u64], group: usize) -> Self {
        Self { conv, acts, group }
    }

    /// Writes the bytes of a piece, `piece.len()`.
    pub(super) fn gather(&self, piece: &Piece, window: &Window, out: &mut [u8]) {
        let width = self.conv.kernel[1];
        let [mut ky, mut kx] = [piece.first_tap / width, piece.first_tap % width];
        for out in out.chunks_exact_mut(piece.bytes) {
            self.tap(piece.first_byte, window, ky, kx, out);
            kx += 1;
            if kx == width {
                (kx, ky) = (0, ky + 1);
            }
        }
    }

    #[inline(always)]
    fn tap(&self, first_byte: usize, window: &Window, ky: usize, kx: usize, out: &mut [u8]) {
        let conv = self.conv;
        let group_in = conv.group_in();
        let first = first_byte * 8;
        // The other bits of the last byte stay 0, as those of the weights.
        let len = |word: usize| (group_in - first - word * 64).min(64);
        if !window.contains(ky, kx) {
            // Taps that do not count at all are not asked for.
            let bits = if conv.padding == Padding::One { u64::MAX } else { 0 };
            return fill(out, |word| bits >> (64 - len(word)));
        }
        let pixel = &self.acts[window.input(conv, ky, kx) * words(conv.c_in)..][..words(conv.c_in)];
        let start = self.group * group_in + first;
        if conv.groups == 1 || group_in.is_multiple_of(64) {
            let pixel = &pixel[start / 64..];
            fill(out, |word| pixel[word]);
        } else {
            fill(out, |word| read_bits(pixel, start + word * 64, len(word)));
        }
    }
}

/// Writes words as bytes, the last one as far as there is room.
#[inline(always)]
fn fill(out: &mut [u8], word: impl Fn(usize) -> u64) {
    let (eights, rest) = out.as_chunks_mut::<8>();
    for (i, out) in eights.iter_mut().enumerate() {
        *out = word(i).to_le_bytes();
    }
    if !rest.is_empty() {
        let last = word(eights.len()).to_le_bytes();
        rest.iter_mut().zip(last).for_each(|(out, byte)| *out = byte);
    }
}
