//! `u64` XOR and `count_ones`, for every CPU. The mismatches of each output channel are counted over the
//! taps inside of the input: `dot = n - 2 * mismatches` with `n` the bits of those taps.

use core::ops::Range;

pub(crate) use super::generic::{channel_means, max_bits};
use super::generic::{counters, spread, winograd::Job};
use crate::{
    bits::{copy_bits, read_bits, words},
    conv::Out,
    real::LANES,
    shape::{Conv, Padding},
    sign_gemm::{Job as SignJob, Tables},
    threshold::Thresholds,
    window::{Pixels, Window},
};

/// Output channels that share each activation word.
const CHANNELS: usize = 4;

#[inline(always)]
pub(crate) fn pack<T: Copy>(x: &[T], channels: usize, out: &mut [u64], is_plus: impl Fn(T) -> bool) {
    for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(words(channels))) {
        for (x, out) in x.chunks(64).zip(out) {
            *out = x.iter().enumerate().fold(0, |word, (i, &x)| word | (is_plus(x) as u64) << i);
        }
    }
}

#[inline(always)]
pub(crate) fn unpack(bits: &[u64], channels: usize, out: &mut [f32]) {
    for (bits, out) in bits.chunks_exact(words(channels)).zip(out.chunks_exact_mut(channels)) {
        for (word, out) in bits.iter().zip(out.chunks_mut(64)) {
            for (i, out) in out.iter_mut().enumerate() {
                // The bit, inverted, is the sign bit.
                *out = f32::from_bits(1.0f32.to_bits() | ((!word >> i) as u32) << 31);
            }
        }
    }
}

#[inline(always)]
pub(crate) fn threshold(x: &[i32], channels: usize, thresholds: &Thresholds<'_>, out: &mut [u64]) {
    for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(words(channels))) {
        let parts = x.chunks(64).zip(thresholds.t.chunks(64)).zip(thresholds.flip);
        for (((x, t), flip), out) in parts.zip(out) {
            let bits = x.iter().zip(t).enumerate().fold(0, |word, (i, (x, t))| word | ((x >= t) as u64) << i);
            *out = bits ^ (flip & (u64::MAX >> (64 - x.len())));
        }
    }
}

/// Each tap of each row in words of its own: `[c_out][taps][words(group_in)]`. Depthwise layers and small groups
/// have their own layout.
pub(crate) fn packed_len(conv: &Conv) -> usize {
    if spread::is_sliced(conv) {
        return spread::packed_len(conv);
    }
    conv.c_out * conv.taps() * words(conv.group_in())
}

pub(crate) fn pack_weights(conv: &Conv, rows: &[u64], out: &mut [u64]) {
    if spread::is_sliced(conv) {
        return spread::pack_weights(conv, rows, out);
    }
    out.fill(0);
    let (group_in, row_words) = (conv.group_in(), words(conv.k()));
    for (i, out) in out.chunks_exact_mut(words(group_in)).enumerate() {
        let (o, tap) = (i / conv.taps(), i % conv.taps());
        copy_bits(&rows[o * row_words..][..row_words], tap * group_in, out, 0, group_in);
    }
}

/// The activations under a tap, for one group.
#[derive(Clone, Copy)]
enum Tap<'a> {
    /// Whole words.
    Words(&'a [u64]),
    /// The words of a pixel in which the group begins at a bit.
    Bits(&'a [u64], usize),
    /// Padding that counts as +1 or -1: all bits of its words.
    Padding(u64),
}

#[inline(always)]
pub(crate) fn conv(conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, mut out: Out<'_>) {
    if spread::is_sliced(conv) {
        return spread::conv::<[u64; counters::LANES]>(conv, acts, weights, rows, out);
    }
    let pixels = rows.len() * conv.out_w();
    let row_words = conv.taps() * words(conv.group_in());
    for (pixel, window) in Pixels::from_row(conv, rows.start).take(pixels).enumerate() {
        let input = Input { conv, acts, window };
        for (o, w) in weights.chunks(CHANNELS * row_words).enumerate() {
            let o = o * CHANNELS;
            // A block that crosses into the next group is done channel by channel.
            let group = o / conv.group_out();
            if w.len() == CHANNELS * row_words && (o + CHANNELS - 1) / conv.group_out() == group {
                let dots = input.dots::<CHANNELS>(group, w);
                (0..CHANNELS).for_each(|i| out.store(conv.c_out, pixel, o + i, dots[i]));
            } else {
                for (i, w) in w.chunks_exact(row_words).enumerate() {
                    let [dot] = input.dots::<1>((o + i) / conv.group_out(), w);
                    out.store(conv.c_out, pixel, o + i, dot);
                }
            }
        }
    }
}

/// The input of one output pixel.
struct Input<'a> {
    conv: &'a Conv,
    acts: &'a [u64],
    window: Window,
}

impl Input<'_> {
    /// The dot products with `C` rows of packed weights of one group.
    #[inline(always)]
    fn dots<const C: usize>(&self, group: usize, w: &[u64]) -> [i32; C] {
        let conv = self.conv;
        let (group_in, words_in) = (conv.group_in(), words(conv.group_in()));
        let row_words = conv.taps() * words_in;
        let [rows_y, rows_x] = match conv.padding {
            Padding::Zero => [self.window.ky(), self.window.kx()],
            Padding::One | Padding::MinusOne => [0..conv.kernel[0], 0..conv.kernel[1]],
        };
        let n = self.window.bits(conv);
        let mut mismatches = [0u32; C];
        for ky in rows_y {
            for kx in rows_x.clone() {
                let at = (ky * conv.kernel[1] + kx) * words_in;
                let w: [&[u64]; C] = core::array::from_fn(|i| &w[i * row_words + at..][..words_in]);
                match self.tap(group, ky, kx) {
                    Tap::Words(acts) => count(&mut mismatches, w, |i| acts[i]),
                    Tap::Bits(acts, bit) => {
                        count(&mut mismatches, w, |i| read_bits(acts, bit + i * 64, (group_in - i * 64).min(64)))
                    }
                    Tap::Padding(bits) => count(&mut mismatches, w, |i| bits >> (64 - (group_in - i * 64).min(64))),
                }
            }
        }
        mismatches.map(|mismatches| n - 2 * mismatches as i32)
    }

    #[inline(always)]
    fn tap(&self, group: usize, ky: usize, kx: usize) -> Tap<'_> {
        if !self.window.contains(ky, kx) {
            return Tap::Padding(if self.conv.padding == Padding::One { u64::MAX } else { 0 });
        }
        let (conv, bit) = (self.conv, group * self.conv.group_in());
        let pixel = &self.acts[self.window.input(conv, ky, kx) * words(conv.c_in)..][..words(conv.c_in)];
        match conv.groups == 1 || conv.group_in().is_multiple_of(64) {
            true => Tap::Words(&pixel[bit / 64..][..words(conv.group_in())]),
            false => Tap::Bits(pixel, bit),
        }
    }
}

/// Adds the bits in which the activations differ from each row of weights.
#[inline(always)]
fn count<const C: usize>(mismatches: &mut [u32; C], w: [&[u64]; C], act: impl Fn(usize) -> u64) {
    for i in 0..w[0].len() {
        let act = act(i);
        for c in 0..C {
            mismatches[c] += (act ^ w[c][i]).count_ones();
        }
    }
}

pub(crate) fn real_conv(conv: &Conv, x: &[f32], w: &[f32], bias: Option<&[f32]>, rows: Range<usize>, out: &mut [f32]) {
    // More pixels need more registers than the smallest sets of vectors have.
    super::generic::real::conv::<[f32; LANES], 1>(conv, x, w, bias, rows, out);
}

pub(crate) fn sign_gemm(job: &SignJob<'_>, tables: &mut Tables, out: &mut [f32]) {
    super::generic::sign_gemm::run::<[f32; LANES], 1>(job, tables, out);
}

pub(crate) fn winograd(job: &Job<'_>, rows: Range<usize>, scratch: &mut [f32], out: &mut [f32]) {
    super::generic::winograd::conv::<[f32; LANES], 1>(job, rows, scratch, out);
}
