//! Binary convolution and dense layers: XNOR, popcount, and what becomes of the dot product.
//!
//! `rows` is a range of the `n * out_h` output rows (for [`Conv::dense`]: of the batch), so that a caller
//! can split a layer among threads; `out` holds just those rows. Groups, strides, dilation, both
//! paddings and any channel count give the exact dot product. Bits of `acts` behind the last channel have
//! to be 0; if they are not, the results are unspecified.

use core::ops::Range;

use crate::{Isa, arch, bits, shape::Conv, threshold::Thresholds, weights::PackedWeights};

/// Where the dot products of a range of rows go. Pixels count from the start of the range.
pub(crate) enum Out<'a> {
    /// `[pixels, c_out]`.
    I32(&'a mut [i32]),
    /// `[pixels, c_out]`.
    F32(&'a mut [f32]),
    /// `[pixels, words(c_out)]`, all 0 before the first store.
    Bits(&'a mut [u64], Thresholds<'a>),
}

impl Out<'_> {
    /// Where those of some of the pixels go.
    #[inline(always)]
    pub(crate) fn part(&mut self, c_out: usize, pixels: Range<usize>) -> Out<'_> {
        let of = |channels: usize| pixels.start * channels..pixels.end * channels;
        match self {
            Out::I32(out) => Out::I32(&mut out[of(c_out)]),
            Out::F32(out) => Out::F32(&mut out[of(c_out)]),
            Out::Bits(out, thresholds) => Out::Bits(&mut out[of(bits::words(c_out))], *thresholds),
        }
    }

    /// Stores one dot product.
    #[inline(always)]
    pub(crate) fn store(&mut self, c_out: usize, pixel: usize, channel: usize, dot: i32) {
        match self {
            Out::I32(out) => out[pixel * c_out + channel] = dot,
            Out::F32(out) => out[pixel * c_out + channel] = dot as f32,
            Out::Bits(out, thresholds) => {
                let bit = thresholds.bit(channel, dot) as u64;
                out[pixel * bits::words(c_out) + channel / 64] |= bit << (channel % 64);
            }
        }
    }
}

/// The dot products of output `rows`, `[rows, out_w, c_out]`.
///
/// `acts` is the whole input, `[n, h, w, words(c_in)]`.
///
/// # Panics
/// If the geometry is not valid, `rows` lie outside, a length does not fit, or `weights` were packed for
/// another instruction set or another geometry.
pub fn dots(isa: Isa, conv: &Conv, acts: &[u64], weights: &PackedWeights<'_>, rows: Range<usize>, out: &mut [i32]) {
    let len = conv.check_rows(&rows) * conv.c_out;
    assert!(out.len() == len, "{} numbers for {len} dot products", out.len());
    run(isa, conv, acts, weights, rows, Out::I32(out));
}

/// [`dots`], each as `f32`.
///
/// # Panics
/// As [`dots`].
pub fn dots_f32(isa: Isa, conv: &Conv, acts: &[u64], weights: &PackedWeights<'_>, rows: Range<usize>, out: &mut [f32]) {
    let len = conv.check_rows(&rows) * conv.c_out;
    assert!(out.len() == len, "{} numbers for {len} dot products", out.len());
    run(isa, conv, acts, weights, rows, Out::F32(out));
}

/// [`dots`] compared with `thresholds`: the packed input of the next layer, `[rows, out_w, words(c_out)]`, tail bits 0.
///
/// # Panics
/// As [`dots`], and if the thresholds are not `c_out`.
pub fn bits(
    isa: Isa,
    conv: &Conv,
    acts: &[u64],
    weights: &PackedWeights<'_>,
    thresholds: &Thresholds<'_>,
    rows: Range<usize>,
    out: &mut [u64],
) {
    let len = conv.check_rows(&rows) * bits::words(conv.c_out);
    assert!(out.len() == len, "{} words for {len} words of bits", out.len());
    thresholds.check(conv.c_out);
    out.fill(0);
    run(isa, conv, acts, weights, rows, Out::Bits(out, *thresholds));
}

#[track_caller]
fn run(isa: Isa, conv: &Conv, acts: &[u64], weights: &PackedWeights<'_>, rows: Range<usize>, out: Out<'_>) {
    let len = conv.n * conv.h * conv.w * bits::words(conv.c_in);
    assert!(acts.len() == len, "{} activation words for {conv:?}", acts.len());
    let words = weights.words_for(isa, conv);
    match isa {
        Isa::Reference(_) => arch::reference::conv(conv, acts, words, rows, out),
        Isa::Portable(_) => arch::portable::conv(conv, acts, words, rows, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => arch::avx2::conv(token, conv, acts, words, rows, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(token) => arch::avx512::conv_bw(token, conv, acts, words, rows, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(token) => arch::avx512::conv_vpopcnt(token, conv, acts, words, rows, out),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::conv(conv, acts, words, rows, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(token) => arch::neon::conv(token, conv, acts, words, rows, out),
    }
}
