//! The activations under a window, side by side in the order of K, as the kernel reads them.

use core::ops::Range;

use super::layout::tap_bytes;
use crate::{
    bits::{read_bits, words},
    shape::{Conv, Padding},
    window::Window,
};

/// Length of the buffer for `len` bytes of K: words are written whole, and the last one may reach beyond.
pub(super) const fn patch_len(len: usize) -> usize {
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
    /// Writes the bytes `part` of K at one pixel, with room as [`patch_len`] says. All taps count: those outside of
    /// the input are padding of +1 or -1.
    pub(super) fn patch(&self, part: Range<usize>, window: &Window, out: &mut [u8]) {
        let (group_in, bytes) = (self.conv.group_in(), tap_bytes(self.conv));
        let (tap, mut first) = (part.start / bytes, part.start % bytes);
        let [mut ky, mut kx] = [tap / self.conv.kernel[1], tap % self.conv.kernel[1]];
        let mut at = 0;
        while at < part.len() {
            let end = bytes.min(first + part.len() - at);
            for byte in (first..end).step_by(8) {
                let word = self.word(window, ky, kx, byte * 8, (group_in - byte * 8).min(64));
                // It may reach into the next tap, which is written afterwards.
                out[at + byte - first..][..8].copy_from_slice(&word.to_le_bytes());
            }
            at += end - first;
            (first, kx) = (0, kx + 1);
            if kx == self.conv.kernel[1] {
                (ky, kx) = (ky + 1, 0);
            }
        }
    }

    /// `len` bits of a tap, from `bit` on, the others 0, as those of the weights.
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
