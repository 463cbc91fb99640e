//! From activations to table offsets: the bits under the windows of two pixels, as the kernel reads them.

use core::{arch::wasm32::*, ops::Range};

use super::layout::tap_bytes;
use crate::{
    arch::tables::FIRST_ONLY,
    bits::{read_bits, words},
    shape::{Conv, Padding},
    window::Window,
};

/// Length of the offsets of `len` bytes of K for one half of the nibbles: words are written whole, and the last one
/// may reach beyond.
pub(super) const fn half_len(len: usize) -> usize {
    len + 8
}

/// The input, as seen by one group.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) conv: &'a Conv,
    pub(super) acts: &'a [u64],
    pub(super) group: usize,
}

impl Source<'_> {
    /// Writes the table offsets of the bytes `part` of K for one or two pixels: from the low nibbles, from the high
    /// nibbles. All taps count: those outside of the input are padding of +1 or -1.
    pub(super) fn offsets(&self, part: Range<usize>, pixels: [Option<&Window>; 2], out: [&mut [u16]; 2]) {
        let (group_in, bytes) = (self.conv.group_in(), tap_bytes(self.conv));
        let base = if pixels[1].is_none() { FIRST_ONLY } else { 0 };
        let [low, high] = out;
        let mut k = part.start;
        while k < part.end {
            let (tap, first) = (k / bytes, k % bytes);
            let [ky, kx] = [tap / self.conv.kernel[1], tap % self.conv.kernel[1]];
            let end = bytes.min(first + part.end - k);
            for byte in (first..end).step_by(8) {
                let len = (group_in - byte * 8).min(64);
                let [a, b] = pixels.map(|window| window.map_or(0, |window| self.word(window, ky, kx, byte * 8, len)));
                // The word may reach into the next tap, which is written afterwards.
                let at = k - part.start + byte - first;
                let [low, high] = [&mut *low, &mut *high].map(|half| half[at..].first_chunk_mut().expect("half_len"));
                word_offsets(a, b, base, low, high);
            }
            k += end - first;
        }
    }

    /// `len` bits of a tap, from `bit` on.
    #[inline(always)]
    fn word(&self, window: &Window, ky: usize, kx: usize, bit: usize, len: usize) -> u64 {
        let conv = self.conv;
        if !window.contains(ky, kx) {
            return if conv.padding == Padding::One { u64::MAX >> (64 - len) } else { 0 };
        }
        let pixel = &self.acts[window.input(conv, ky, kx) * words(conv.c_in)..][..words(conv.c_in)];
        read_bits(pixel, self.group * conv.group_in() + bit, len)
    }
}

/// Table offsets of a word of two pixels, from `base` on.
#[inline(always)]
fn word_offsets(a: u64, b: u64, base: u16, low: &mut [u16; 8], high: &mut [u16; 8]) {
    let base = u16x8_splat(base);
    // Each 16-bit lane: bits 0-7 from `a`, 8-15 from `b`. The offset of nibbles (x, y) is 16 * x + 256 * y.
    let pair = u64x2(a, b);
    let pair = i8x16_shuffle::<0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15>(pair, pair);
    let low_a = u16x8_shl(v128_and(pair, u16x8_splat(0x000f)), 4);
    let low_b = v128_and(pair, u16x8_splat(0x0f00));
    let high_a = v128_and(pair, u16x8_splat(0x00f0));
    let high_b = u16x8_shl(u16x8_shr(pair, 12), 8);
    // SAFETY: both arrays are 16 bytes long.
    unsafe {
        v128_store(low.as_mut_ptr().cast(), u16x8_add(base, v128_or(low_a, low_b)));
        v128_store(high.as_mut_ptr().cast(), u16x8_add(base, v128_or(high_a, high_b)));
    }
}
