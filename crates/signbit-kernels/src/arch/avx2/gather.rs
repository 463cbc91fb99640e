//! From activations to table offsets: the bits under the windows of two pixels, as the kernel reads them.

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

/// The words of a pixel that has none.
pub(super) static ZEROS: [u64; WORDS] = [0; WORDS];

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
    #[target_feature(enable = "avx2")]
    pub(crate) fn panel(&mut self, panel: &Panel, group: usize, pixels: [Option<&Window>; 2], out: &mut [u16]) {
        let (low, high) = out.split_at_mut(offsets_len(panel.len()) / 2);
        let group_in = self.conv.group_in();
        let words = panel.first_byte / 8..words(group_in).min((panel.first_byte + panel.bytes).div_ceil(8));
        let whole_words = self.conv.groups == 1 || group_in.is_multiple_of(64);
        let source = Source { conv: self.conv, acts: self.acts, group, words: words.clone(), whole_words };
        let kw = self.conv.kernel[1];
        // Division takes its time: most panels begin with the first tap.
        let [mut ky, mut kx] = match panel.first_tap {
            0 => [0, 0],
            tap => [tap / kw, tap % kw],
        };
        let whole = match pixels {
            [Some(a), Some(b)] if whole_words && a.kx() == (0..kw) && b.kx() == (0..kw) => Some([a, b]),
            _ => None,
        };
        let mut tap = 0;
        while tap < panel.taps {
            let taps = (kw - kx).min(panel.taps - tap);
            // A last word may reach into the next tap, which is written afterwards.
            let at = tap * panel.bytes;
            let end = at + (taps - 1) * panel.bytes + words.len() * 8;
            let (low, high) = (&mut low[at..end], &mut high[at..end]);
            match whole {
                Some([a, b]) if a.ky().contains(&ky) && b.ky().contains(&ky) => {
                    source.row([a, b], [ky, kx], taps, panel.bytes, low, high);
                }
                _ => source.taps(pixels, [ky, kx], taps, panel.bytes, &mut self.scratch, low, high),
            }
            tap += taps;
            (ky, kx) = (ky + 1, 0);
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
    /// Neighbouring taps of one row, all inside for both pixels and made of whole words of the input.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn row(
        &self,
        windows: [&Window; 2],
        [ky, kx]: [usize; 2],
        taps: usize,
        bytes: usize,
        low: &mut [u16],
        high: &mut [u16],
    ) {
        let pixel = words(self.conv.c_in);
        let first = self.group * self.conv.group_in() / 64 + self.words.start;
        let [a, b] = windows;
        let a = &self.acts[a.input(self.conv, ky, kx) * pixel + first..];
        let b = &self.acts[b.input(self.conv, ky, kx) * pixel + first..];
        let len = self.words.len();
        // Where nothing lies between the words of two taps, the taps are one.
        if len == pixel && bytes == len * 8 && self.conv.dilation[1] == 1 {
            return offsets(&a[..taps * len], &b[..taps * len], 0, low, high);
        }
        let step = self.conv.dilation[1] * pixel;
        for tap in 0..taps {
            let at = tap * bytes..tap * bytes + len * 8;
            let (a, b) = (&a[tap * step..][..len], &b[tap * step..][..len]);
            offsets(a, b, 0, &mut low[at.clone()], &mut high[at]);
        }
    }

    /// Neighbouring taps of one row, each inside for one pixel, both or none.
    #[target_feature(enable = "avx2")]
    #[inline(never)]
    fn taps(
        &self,
        pixels: [Option<&Window>; 2],
        [ky, kx]: [usize; 2],
        taps: usize,
        bytes: usize,
        [first, second]: &mut [[u64; WORDS]; 2],
        low: &mut [u16],
        high: &mut [u16],
    ) {
        for tap in 0..taps {
            // No closures here: they would not be inlined into code of other instructions.
            let a = match pixels[0] {
                Some(window) => self.tap(window, ky, kx + tap, first),
                None => None,
            };
            let b = match pixels[1] {
                Some(window) => self.tap(window, ky, kx + tap, second),
                None => None,
            };
            let at = tap * bytes..tap * bytes + self.words.len() * 8;
            tap_offsets(a, b, &mut low[at.clone()], &mut high[at]);
        }
    }

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

/// Table offsets of a tap of two pixels, of which those count that there are.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn tap_offsets(a: Option<&[u64]>, b: Option<&[u64]>, low: &mut [u16], high: &mut [u16]) {
    match (a, b) {
        (Some(a), Some(b)) => offsets(a, b, 0, low, high),
        (Some(a), None) => offsets(a, &ZEROS[..a.len()], FIRST_ONLY, low, high),
        (None, Some(b)) => offsets(b, &ZEROS[..b.len()], SECOND_ONLY, low, high),
        (None, None) => {
            low.fill(NEITHER);
            high.fill(NEITHER);
        }
    }
}

/// Table offsets of as many words of two pixels, from `base` on.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn offsets(a: &[u64], b: &[u64], base: u16, low: &mut [u16], high: &mut [u16]) {
    let base = _mm256_set1_epi16(base as i16);
    let (low, high) = (low.as_chunks_mut::<8>().0, high.as_chunks_mut::<8>().0);
    let (b, low, high) = (&b[..a.len()], &mut low[..a.len()], &mut high[..a.len()]);
    let (pairs_a, rest_a) = a.as_chunks::<2>();
    let (pairs_b, rest_b) = b.as_chunks::<2>();
    let (pairs_low, rest_low) = low.as_chunks_mut::<2>();
    let (pairs_high, rest_high) = high.as_chunks_mut::<2>();
    for i in 0..pairs_a.len() {
        let (low, high) = (pairs_low[i].as_flattened_mut(), pairs_high[i].as_flattened_mut());
        // SAFETY: two words are 16 bytes, two times eight offsets 32.
        unsafe {
            let a = _mm_loadu_si128(pairs_a[i].as_ptr().cast());
            let b = _mm_loadu_si128(pairs_b[i].as_ptr().cast());
            let (l, h) = pair_offsets(_mm256_set_m128i(_mm_unpackhi_epi8(a, b), _mm_unpacklo_epi8(a, b)), base);
            _mm256_storeu_si256(low.as_mut_ptr().cast(), l);
            _mm256_storeu_si256(high.as_mut_ptr().cast(), h);
        }
    }
    if let ([a], [b], [low], [high]) = (rest_a, rest_b, rest_low, rest_high) {
        let pair = _mm_unpacklo_epi8(_mm_cvtsi64_si128(*a as i64), _mm_cvtsi64_si128(*b as i64));
        let (l, h) = pair_offsets(_mm256_castsi128_si256(pair), base);
        // SAFETY: eight offsets are 16 bytes.
        unsafe {
            _mm_storeu_si128(low.as_mut_ptr().cast(), _mm256_castsi256_si128(l));
            _mm_storeu_si128(high.as_mut_ptr().cast(), _mm256_castsi256_si128(h));
        }
    }
}

/// The offsets of the low and of the high nibbles. Each 16-bit lane of `pair` has a byte of the first pixel in bits 0-7,
/// one of the second in bits 8-15; the offset of nibbles (x, y) is `16 * x + 256 * y`.
#[target_feature(enable = "avx2")]
#[inline]
fn pair_offsets(pair: __m256i, base: __m256i) -> (__m256i, __m256i) {
    let low_a = _mm256_slli_epi16::<4>(_mm256_and_si256(pair, _mm256_set1_epi16(0x000f)));
    let low_b = _mm256_and_si256(pair, _mm256_set1_epi16(0x0f00));
    let high_a = _mm256_and_si256(pair, _mm256_set1_epi16(0x00f0));
    let high_b = _mm256_and_si256(_mm256_srli_epi16::<4>(pair), _mm256_set1_epi16(0x0f00));
    (_mm256_add_epi16(base, _mm256_or_si256(low_a, low_b)), _mm256_add_epi16(base, _mm256_or_si256(high_a, high_b)))
}
