//! The bits under the windows of a few pixels, tap after tap without gaps, as the weights have them.

use core::ops::Range;

use crate::{
    bits::{read_bits, words},
    shape::{Conv, Padding},
    window::Window,
};

/// Pixels that share each load of weights.
pub(super) const PIXELS: usize = 4;

/// Words of K that are gathered at a time, at most.
pub(super) const PART: usize = 256;

/// Bits of a part of K under the windows of up to [`PIXELS`] pixels.
pub(super) struct Patches<'a> {
    conv: &'a Conv,
    input: &'a [u64],
    acts: [[u64; PART]; PIXELS],
    /// 1 where a bit counts.
    masks: [[u64; PART]; PIXELS],
}

impl<'a> Patches<'a> {
    pub(super) fn new(conv: &'a Conv, input: &'a [u64]) -> Self {
        Self { conv, input, acts: [[0; PART]; PIXELS], masks: [[0; PART]; PIXELS] }
    }

    /// Takes the words `part` of K, at most [`PART`], at as many pixels as there are windows, with their masks if `masked`.
    pub(super) fn gather(&mut self, windows: &[Window], masked: bool, group: usize, part: Range<usize>) {
        for (window, out) in windows.iter().zip(&mut self.acts) {
            acts(self.conv, self.input, window, group, &part, out);
        }
        if masked {
            for (window, out) in windows.iter().zip(&mut self.masks) {
                mask(self.conv, window, &part, out);
            }
        }
    }

    /// The first `len` words of the first pixels; those of a pixel that was not gathered are what they are.
    pub(super) fn acts<const P: usize>(&self, len: usize) -> [&[u64]; P] {
        core::array::from_fn(|p| &self.acts[p][..len])
    }

    /// The masks of [`Patches::acts`], which mean nothing if they were not gathered.
    pub(super) fn masks<const P: usize>(&self, len: usize) -> [&[u64]; P] {
        core::array::from_fn(|p| &self.masks[p][..len])
    }
}

/// The bits of one pixel; 0 where a tap does not count.
fn acts(conv: &Conv, input: &[u64], window: &Window, group: usize, part: &Range<usize>, out: &mut [u64]) {
    let start = group * conv.group_in();
    let whole_words = conv.group_in().is_multiple_of(64);
    let mut writer = Writer::new(out);
    for_runs(conv, part, |ky, kx, from, len| {
        if !window.contains(ky, kx) {
            return writer.repeat(conv.padding == Padding::One, len);
        }
        let pixel = &input[window.input(conv, ky, kx) * words(conv.c_in)..][..words(conv.c_in)];
        if whole_words {
            return writer.words(&pixel[(start + from) / 64..][..len / 64]);
        }
        for bit in (0..len).step_by(64) {
            let len = 64.min(len - bit);
            writer.push(read_bits(pixel, start + from + bit, len), len);
        }
    });
    writer.finish();
}

/// 1 where the tap of a bit lies inside.
fn mask(conv: &Conv, window: &Window, part: &Range<usize>, out: &mut [u64]) {
    let mut writer = Writer::new(out);
    for_runs(conv, part, |ky, kx, _, len| writer.repeat(window.contains(ky, kx), len));
    writer.finish();
}

/// Calls `run` with the tap row, the tap column, the first bit in the tap and the number of bits, for all taps of a part.
#[inline(always)]
fn for_runs(conv: &Conv, part: &Range<usize>, mut run: impl FnMut(usize, usize, usize, usize)) {
    let group_in = conv.group_in();
    let (mut bit, end) = (part.start * 64, conv.k().min(part.end * 64));
    let (tap, mut from) = (bit / group_in, bit % group_in);
    let (mut ky, mut kx) = (tap / conv.kernel[1], tap % conv.kernel[1]);
    while bit < end {
        let len = (group_in - from).min(end - bit);
        run(ky, kx, from, len);
        (bit, from, kx) = (bit + len, 0, kx + 1);
        if kx == conv.kernel[1] {
            (kx, ky) = (0, ky + 1);
        }
    }
}

/// Writes bits one after the other.
struct Writer<'a> {
    out: &'a mut [u64],
    /// Whole words in `out`.
    done: usize,
    /// The bits after them and how many, fewer than 64.
    word: u64,
    len: usize,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut [u64]) -> Self {
        Self { out, done: 0, word: 0, len: 0 }
    }

    /// Appends `len` bits (1 to 64) of `value`, whose other bits are 0.
    #[inline(always)]
    fn push(&mut self, value: u64, len: usize) {
        self.word |= value << self.len;
        if self.len + len < 64 {
            self.len += len;
            return;
        }
        self.out[self.done] = self.word;
        self.done += 1;
        // What did not fit; nothing of a word that began empty.
        self.word = value.checked_shr(64 - self.len as u32).unwrap_or(0);
        self.len = self.len + len - 64;
    }

    /// Appends the same bit.
    fn repeat(&mut self, bit: bool, len: usize) {
        for start in (0..len).step_by(64) {
            let len = 64.min(len - start);
            self.push(if bit { u64::MAX >> (64 - len) } else { 0 }, len);
        }
    }

    /// Appends words, between whole words.
    #[inline(always)]
    fn words(&mut self, words: &[u64]) {
        self.out[self.done..self.done + words.len()].copy_from_slice(words);
        self.done += words.len();
    }

    /// Fills the last word with 0.
    fn finish(self) {
        if self.len > 0 {
            self.out[self.done] = self.word;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::write_bits;

    #[test]
    fn bits_follow_each_other() {
        let (mut out, mut expected) = ([u64::MAX; 8], [0; 8]);
        let (mut writer, mut bit) = (Writer::new(&mut out), 0);
        for (i, len) in [64, 1, 62, 1, 64, 37, 27, 5, 64, 60].into_iter().enumerate() {
            let value = (0x9e37_79b9_7f4a_7c15u64.wrapping_mul(i as u64 + 1)) >> (64 - len);
            writer.push(value, len);
            write_bits(&mut expected, bit, len, value);
            bit += len;
        }
        writer.finish();
        let whole = bit.div_ceil(64);
        assert_eq!(out[..whole], expected[..whole]);
        assert!(out[whole..].iter().all(|&word| word == u64::MAX), "only the words that are begun are written");
    }
}
