//! Signs to bits and back, sixteen lanes at a time. A comparison gives the bits themselves; the end of a row is a mask.

use core::arch::x86_64::*;

use crate::{bits::words, threshold::Thresholds};

/// Lanes of a register.
const LANES: usize = 16;

/// The first `len` lanes, at most all.
#[inline(always)]
fn first(len: usize) -> __mmask16 {
    u16::MAX >> (LANES - len.min(LANES))
}

/// Packs rows of `channels` numbers: `sixteen` gives the bits of up to 16 numbers from a channel on.
#[inline(always)]
fn rows<T>(x: &[T], channels: usize, out: &mut [u64], sixteen: impl Fn(&[T], usize) -> __mmask16) {
    for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(words(channels))) {
        for (word, (x, out)) in x.chunks(64).zip(out).enumerate() {
            let parts = x.chunks(LANES).enumerate();
            *out = parts.fold(0, |bits, (i, x)| bits | (sixteen(x, word * 64 + i * LANES) as u64) << (i * LANES));
        }
    }
}

/// Up to 16 integers, 0 in the other lanes.
#[target_feature(enable = "avx512f")]
#[inline]
fn load(x: &[i32]) -> __m512i {
    // SAFETY: the mask leaves the lanes that are in `x`.
    unsafe { _mm512_maskz_loadu_epi32(first(x.len()), x.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
pub(super) fn pack_f32(x: &[f32], channels: usize, out: &mut [u64]) {
    rows(x, channels, out, |x, _| {
        let lanes = first(x.len());
        // SAFETY: the mask leaves the lanes that are in `x`.
        let x = unsafe { _mm512_maskz_loadu_ps(lanes, x.as_ptr()) };
        _mm512_mask_cmp_ps_mask::<_CMP_GE_OQ>(lanes, x, _mm512_setzero_ps())
    });
}

#[target_feature(enable = "avx512f")]
pub(super) fn pack_i32(x: &[i32], channels: usize, out: &mut [u64]) {
    rows(x, channels, out, |x, _| _mm512_mask_cmpge_epi32_mask(first(x.len()), load(x), _mm512_setzero_si512()));
}

#[target_feature(enable = "avx512f")]
pub(super) fn threshold(x: &[i32], channels: usize, thresholds: &Thresholds<'_>, out: &mut [u64]) {
    rows(x, channels, out, |x, channel| {
        let lanes = first(x.len());
        let t = load(&thresholds.t[channel..][..x.len()]);
        let flip = (thresholds.flip[channel / 64] >> (channel % 64)) as __mmask16;
        _mm512_mask_cmpge_epi32_mask(lanes, load(x), t) ^ (flip & lanes)
    });
}

#[target_feature(enable = "avx512f")]
pub(super) fn unpack(bits: &[u64], channels: usize, out: &mut [f32]) {
    let (minus, plus) = (_mm512_set1_ps(-1.0), _mm512_set1_ps(1.0));
    for (bits, out) in bits.chunks_exact(words(channels)).zip(out.chunks_exact_mut(channels)) {
        for (i, out) in out.chunks_mut(LANES).enumerate() {
            let x = _mm512_mask_blend_ps((bits[i / 4] >> (i % 4 * LANES)) as __mmask16, minus, plus);
            // SAFETY: the mask leaves the lanes that are in `out`.
            unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), first(out.len()), x) };
        }
    }
}
