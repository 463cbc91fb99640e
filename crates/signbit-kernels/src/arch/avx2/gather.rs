//! From activations to table offsets: the bits under the windows of two pixels, as the kernel reads them.
//! It needs no more than the SSE2 of every x86-64.

use core::{arch::x86_64::*, ops::Range};

use super::{
    layout::{PANEL, Panel},
    tables::{FIRST_ONLY, NEITHER, SECOND_ONLY},
};
use crate::{
    bits::{read_bits, words},
    shape::{Conv, Padding},
    window::Window,
};

/// Words of a tap in one panel, at most.
const WORDS: usize = PANEL / 8;

/// Offsets that a panel of `len` bytes takes: per byte of K one for the low and one for the high nibble,
/// and room for the rest of the last word.
pub(crate) const fn offsets_len(len: usize) -> usize {
    2 * (len + 8)
}

/// Room for a tap that is not whole words in the input.
pub(crate) struct Gather<'a> {
    conv: &'a Conv,
    acts: &'a [u64],
    scratch: [[u64; WORDS]; 2],
}

impl<'a> Gather<'a> {
    pub(crate) fn new(conv: &'a Conv, acts: &'a [u64]) -> Self {
        Self { conv, acts, scratch: [[0; WORDS]; 2] }
    }

    /// Writes the table offsets of a panel for two pixels: `offsets_len(panel.len()) / 2` of the low nibbles, then as
    /// many of the high nibbles.
    pub(crate) fn panel(&mut self, panel: &Panel, group: usize, pixels: [Option<&Window>; 2], out: &mut [u16]) {
        let (low, high) = out.split_at_mut(offsets_len(panel.len()) / 2);
        let group_in = self.conv.group_in();
        let words = panel.first_byte / 8..words(group_in).min((panel.first_byte + panel.bytes).div_ceil(8));
        let whole_words = self.conv.groups == 1 || group_in.is_multiple_of(64);
        let source = Source { conv: self.conv, acts: self.acts, group, words: words.clone(), whole_words };
        let [first, second] = &mut self.scratch;
        let [mut ky, mut kx] = [panel.first_tap / self.conv.kernel[1], panel.first_tap % self.conv.kernel[1]];
        for i in 0..panel.taps {
            let a = pixels[0].and_then(|window| source.tap(window, ky, kx, first));
            let b = pixels[1].and_then(|window| source.tap(window, ky, kx, second));
            kx += 1;
            if kx == self.conv.kernel[1] {
                (kx, ky) = (0, ky + 1);
            }
            // The last word may reach into the next tap, which is written afterwards.
            let at = i * panel.bytes..i * panel.bytes + words.len() * 8;
            let (low, high) = (&mut low[at.clone()], &mut high[at]);
            let (low, high) = (low.as_chunks_mut::<8>().0, high.as_chunks_mut::<8>().0);
            match (a, b) {
                (Some(a), Some(b)) => offsets(a.iter().zip(b).map(|(a, b)| (*a, *b)), 0, low, high),
                (Some(a), None) => offsets(a.iter().map(|a| (*a, 0)), FIRST_ONLY, low, high),
                (None, Some(b)) => offsets(b.iter().map(|b| (*b, 0)), SECOND_ONLY, low, high),
                (None, None) => offsets(words.clone().map(|_| (0, 0)), NEITHER, low, high),
            }
        }
        // The weights of the fill are 0.
        low[panel.taps * panel.bytes..panel.len()].fill(NEITHER);
        high[panel.taps * panel.bytes..panel.len()].fill(NEITHER);
    }
}

/// What is the same for all taps of a panel.
struct Source<'a> {
    conv: &'a Conv,
    acts: &'a [u64],
    group: usize,
    /// Words of each tap.
    words: Range<usize>,
    /// Whether the words of a tap are words of the input.
    whole_words: bool,
}

impl Source<'_> {
    /// The words of one tap, or nothing where it does not count.
    #[inline(always)]
    fn tap<'s>(&'s self, window: &Window, ky: usize, kx: usize, scratch: &'s mut [u64; WORDS]) -> Option<&'s [u64]> {
        let (conv, range) = (self.conv, self.words.clone());
        let group_in = conv.group_in();
        // The other bits of the last word stay 0, as those of the weights.
        let len = |word: usize| (group_in - word * 64).min(64);
        if !window.contains(ky, kx) {
            let bits = match conv.padding {
                Padding::Zero => return None,
                Padding::One => u64::MAX,
                Padding::MinusOne => 0,
            };
            let scratch = &mut scratch[..range.len()];
            range.zip(&mut *scratch).for_each(|(word, out)| *out = bits >> (64 - len(word)));
            return Some(scratch);
        }
        let pixel = &self.acts[window.input(conv, ky, kx) * words(conv.c_in)..][..words(conv.c_in)];
        let start = self.group * group_in;
        if self.whole_words {
            return Some(&pixel[start / 64..][range]);
        }
        let scratch = &mut scratch[..range.len()];
        range.zip(&mut *scratch).for_each(|(word, out)| *out = read_bits(pixel, start + word * 64, len(word)));
        Some(scratch)
    }
}

/// Table offsets of words of two pixels, from `base` on.
#[inline(always)]
fn offsets(words: impl Iterator<Item = (u64, u64)>, base: u16, low: &mut [[u16; 8]], high: &mut [[u16; 8]]) {
    for (((a, b), low), high) in words.zip(low).zip(high) {
        // SAFETY: every x86-64 has SSE2.
        unsafe { word_offsets(a, b, base, low, high) };
    }
}

#[target_feature(enable = "sse2")]
#[inline]
fn word_offsets(a: u64, b: u64, base: u16, low: &mut [u16; 8], high: &mut [u16; 8]) {
    let base = _mm_set1_epi16(base as i16);
    // Each 16-bit lane: bits 0-7 from `a`, 8-15 from `b`. The offset of nibbles (x, y) is 16 * x + 256 * y.
    let pair = _mm_unpacklo_epi8(_mm_cvtsi64_si128(a as i64), _mm_cvtsi64_si128(b as i64));
    let low_a = _mm_slli_epi16::<4>(_mm_and_si128(pair, _mm_set1_epi16(0x000f)));
    let low_b = _mm_and_si128(pair, _mm_set1_epi16(0x0f00));
    let high_a = _mm_and_si128(pair, _mm_set1_epi16(0x00f0));
    let high_b = _mm_slli_epi16::<8>(_mm_srli_epi16::<12>(pair));
    let low_offset = _mm_add_epi16(base, _mm_or_si128(low_a, low_b));
    let high_offset = _mm_add_epi16(base, _mm_or_si128(high_a, high_b));
    // SAFETY: both arrays are 16 bytes long.
    unsafe {
        _mm_storeu_si128(low.as_mut_ptr().cast(), low_offset);
        _mm_storeu_si128(high.as_mut_ptr().cast(), high_offset);
    }
}
