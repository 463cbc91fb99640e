//! Signs to bits and back, eight lanes at a time.

use core::arch::x86_64::*;

use crate::{arch::portable, bits::words, threshold::Thresholds};

/// Walks rows word by word: 64 numbers by `whole`, fewer at the end of a row by `part`.
#[inline(always)]
fn rows<T>(
    x: &[T],
    channels: usize,
    out: &mut [u64],
    whole: impl Fn(&[T; 64], usize) -> u64,
    part: impl Fn(&[T], usize) -> u64,
) {
    for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(words(channels))) {
        let (wholes, rest) = x.as_chunks::<64>();
        for (i, (x, out)) in wholes.iter().zip(&mut *out).enumerate() {
            *out = whole(x, i);
        }
        if !rest.is_empty() {
            out[wholes.len()] = part(rest, wholes.len());
        }
    }
}

/// The sign bits of eight lanes.
#[target_feature(enable = "avx2")]
#[inline]
fn movemask(x: __m256i) -> u64 {
    _mm256_movemask_ps(_mm256_castsi256_ps(x)) as u64
}

/// Whether each lane is at least 0; false for NaN.
#[target_feature(enable = "avx2")]
#[inline]
fn at_least_zero(x: &[f32; 8]) -> u64 {
    // SAFETY: `x` has 32 bytes.
    let x = unsafe { _mm256_loadu_ps(x.as_ptr()) };
    _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(x, _mm256_setzero_ps())) as u64
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(x: &[i32; 8]) -> __m256i {
    // SAFETY: `x` has 32 bytes.
    unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
}

/// The bits of up to 64 numbers, eight at a time; the last ones by `one`.
#[inline(always)]
fn word<T>(x: &[T], eight: impl Fn(&[T; 8], usize) -> u64, one: impl Fn(&T, usize) -> bool) -> u64 {
    let (eights, rest) = x.as_chunks::<8>();
    let mut word = 0;
    for (i, x) in eights.iter().enumerate() {
        word |= eight(x, i * 8) << (i * 8);
    }
    for (i, x) in rest.iter().enumerate() {
        let i = eights.len() * 8 + i;
        word |= (one(x, i) as u64) << i;
    }
    word
}

#[target_feature(enable = "avx2")]
pub(super) fn pack_f32(x: &[f32], channels: usize, out: &mut [u64]) {
    let pack = |x: &[f32]| word(x, |x, _| at_least_zero(x), |x, _| *x >= 0.0);
    rows(x, channels, out, |x, _| pack(x), |x, _| pack(x));
}

#[target_feature(enable = "avx2")]
pub(super) fn pack_i32(x: &[i32], channels: usize, out: &mut [u64]) {
    let pack = |x: &[i32]| word(x, |x, _| !movemask(load(x)) & 0xff, |x, _| *x >= 0);
    rows(x, channels, out, |x, _| pack(x), |x, _| pack(x));
}

#[target_feature(enable = "avx2")]
pub(super) fn threshold(x: &[i32], channels: usize, thresholds: &Thresholds<'_>, out: &mut [u64]) {
    let bits = |x: &[i32], i: usize| {
        let t = &thresholds.t[i * 64..][..x.len()];
        // x >= t is not t > x.
        let eight = |x: &[i32; 8], at: usize| {
            let t = t[at..].first_chunk().expect("as many thresholds as numbers");
            !movemask(_mm256_cmpgt_epi32(load(t), load(x))) & 0xff
        };
        let flip = thresholds.flip[i] & (u64::MAX >> (64 - x.len()));
        word(x, eight, |x, at| *x >= t[at]) ^ flip
    };
    rows(x, channels, out, |x, i| bits(x, i), bits);
}

#[target_feature(enable = "avx2")]
pub(super) fn unpack(bits: &[u64], channels: usize, out: &mut [f32]) {
    // Moves bit i of each lane into the sign of lane i.
    let shifts = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
    let (sign, one) = (_mm256_set1_epi32(i32::MIN), _mm256_set1_epi32(1.0f32.to_bits() as i32));
    for (bits, out) in bits.chunks_exact(words(channels)).zip(out.chunks_exact_mut(channels)) {
        for (word, out) in bits.iter().zip(out.chunks_mut(64)) {
            let (eights, rest) = out.as_chunks_mut::<8>();
            for (i, out) in eights.iter_mut().enumerate() {
                let minus = _mm256_sllv_epi32(_mm256_set1_epi32((!word >> (8 * i)) as i32), shifts);
                let x = _mm256_or_si256(_mm256_and_si256(minus, sign), one);
                // SAFETY: `out` has 32 bytes.
                unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), x) };
            }
            let done = eights.len() * 8;
            if !rest.is_empty() {
                portable::unpack(&[word >> done], rest.len(), rest);
            }
        }
    }
}
