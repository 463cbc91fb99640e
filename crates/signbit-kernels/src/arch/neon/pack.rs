//! Signs and comparisons to bits, sixteen numbers at a time. NEON has no instruction that collects the bits of a mask: each
//! lane keeps its bit's weight, and the lanes are added.

use core::arch::aarch64::*;

use crate::{bits::words, threshold::Thresholds};

/// Bit `i` of each lane `i` of two times eight.
static WEIGHTS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

/// One bit per lane of four times four, which are all ones or all zeros.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn mask(lanes: [uint32x4_t; 4]) -> u32 {
    let low = vmovn_high_u32(vmovn_u32(lanes[0]), lanes[1]);
    let high = vmovn_high_u32(vmovn_u32(lanes[2]), lanes[3]);
    let bytes = vmovn_high_u16(vmovn_u16(low), high);
    // SAFETY: the static is 16 bytes long.
    let bits = vandq_u8(bytes, unsafe { vld1q_u8(WEIGHTS.as_ptr()) });
    vaddv_u8(vget_low_u8(bits)) as u32 | (vaddv_u8(vget_high_u8(bits)) as u32) << 8
}

/// Walks rows word by word: `word` gets up to 64 numbers and the index of their word in the row.
#[inline(always)]
fn rows<T>(x: &[T], channels: usize, out: &mut [u64], word: impl Fn(&[T], usize) -> u64) {
    for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(words(channels))) {
        for (i, (x, out)) in x.chunks(64).zip(out).enumerate() {
            *out = word(x, i);
        }
    }
}

/// The bits of up to 64 numbers, sixteen at a time; the last ones by `one`.
#[inline(always)]
fn word<T>(x: &[T], sixteen: impl Fn(&[T; 16], usize) -> u32, one: impl Fn(&T, usize) -> bool) -> u64 {
    let (sixteens, rest) = x.as_chunks::<16>();
    let mut word = 0;
    for (i, x) in sixteens.iter().enumerate() {
        word |= (sixteen(x, i * 16) as u64) << (i * 16);
    }
    for (i, x) in rest.iter().enumerate() {
        let i = sixteens.len() * 16 + i;
        word |= (one(x, i) as u64) << i;
    }
    word
}

/// Whether each lane is at least 0; false for NaN.
#[target_feature(enable = "neon")]
#[inline]
fn signs_f32(x: &[f32; 16]) -> u32 {
    let mut plus = [vdupq_n_u32(0); 4];
    for i in 0..4 {
        // SAFETY: `x` has four times four lanes.
        plus[i] = vcgezq_f32(unsafe { vld1q_f32(x.as_ptr().add(4 * i)) });
    }
    mask(plus)
}

#[target_feature(enable = "neon")]
#[inline]
fn load(x: &[i32; 16]) -> [int32x4_t; 4] {
    let mut lanes = [vdupq_n_s32(0); 4];
    for i in 0..4 {
        // SAFETY: `x` has four times four lanes.
        lanes[i] = unsafe { vld1q_s32(x.as_ptr().add(4 * i)) };
    }
    lanes
}

/// Whether each lane of `x` is at least that of `t`.
#[target_feature(enable = "neon")]
#[inline]
fn at_least(x: &[i32; 16], t: &[i32; 16]) -> u32 {
    let (x, t) = (load(x), load(t));
    let mut at_least = [vdupq_n_u32(0); 4];
    for i in 0..4 {
        at_least[i] = vcgeq_s32(x[i], t[i]);
    }
    mask(at_least)
}

#[target_feature(enable = "neon")]
pub(super) fn pack_f32(x: &[f32], channels: usize, out: &mut [u64]) {
    rows(x, channels, out, |x, _| word(x, |x, _| signs_f32(x), |x, _| *x >= 0.0));
}

#[target_feature(enable = "neon")]
pub(super) fn pack_i32(x: &[i32], channels: usize, out: &mut [u64]) {
    rows(x, channels, out, |x, _| word(x, |x, _| at_least(x, &[0; 16]), |x, _| *x >= 0));
}

#[target_feature(enable = "neon")]
pub(super) fn threshold(x: &[i32], channels: usize, thresholds: &Thresholds<'_>, out: &mut [u64]) {
    rows(x, channels, out, |x, i| {
        let t = &thresholds.t[i * 64..][..x.len()];
        let sixteen = |x: &[i32; 16], at: usize| {
            let t = t[at..].first_chunk().expect("as many thresholds as numbers");
            at_least(x, t)
        };
        word(x, sixteen, |x, at| *x >= t[at]) ^ (thresholds.flip[i] & (u64::MAX >> (64 - x.len())))
    });
}
