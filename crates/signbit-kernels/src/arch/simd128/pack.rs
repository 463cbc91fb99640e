//! Signs and comparisons to bits, sixteen numbers at a time.

use core::arch::wasm32::*;

use super::{
    layout::LANES,
    store::{bitmask, load},
};
use crate::{bits::words, threshold::Thresholds};

/// Packs rows: the bits of 16 numbers, which begin at a channel, by `sixteen`, of those at the end of a row by `one`.
#[inline(always)]
fn rows<T: Copy>(
    x: &[T],
    channels: usize,
    out: &mut [u64],
    sixteen: impl Fn(&[T; LANES], usize) -> u16,
    one: impl Fn(T, usize) -> bool,
) {
    for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(words(channels))) {
        for (i, (x, out)) in x.chunks(64).zip(out).enumerate() {
            let (sixteens, rest) = x.as_chunks();
            let done = sixteens.len() * LANES;
            let mut word = 0;
            for (j, x) in sixteens.iter().enumerate() {
                word |= (sixteen(x, i * 64 + j * LANES) as u64) << (j * LANES);
            }
            for (j, &x) in rest.iter().enumerate() {
                word |= (one(x, i * 64 + done + j) as u64) << (done + j);
            }
            *out = word;
        }
    }
}

pub(crate) fn pack_f32(x: &[f32], channels: usize, out: &mut [u64]) {
    // NaN compares as false.
    let sixteen = |x: &[f32; LANES], _| bitmask(load(x).map(|x| f32x4_ge(x, f32x4_splat(0.0))));
    rows(x, channels, out, sixteen, |x, _| x >= 0.0);
}

pub(crate) fn pack_i32(x: &[i32], channels: usize, out: &mut [u64]) {
    let sixteen = |x: &[i32; LANES], _| bitmask(load(x).map(|x| i32x4_ge(x, i32x4_splat(0))));
    rows(x, channels, out, sixteen, |x, _| x >= 0);
}

pub(crate) fn threshold(x: &[i32], channels: usize, thresholds: &Thresholds<'_>, out: &mut [u64]) {
    let flip = |c: usize| thresholds.flip[c / 64] >> (c % 64);
    let sixteen = |x: &[i32; LANES], c: usize| {
        let t = thresholds.t[c..].first_chunk().expect("as many thresholds as numbers");
        let ([a, b, c_, d], [ta, tb, tc, td]) = (load(x), load(t));
        bitmask([i32x4_ge(a, ta), i32x4_ge(b, tb), i32x4_ge(c_, tc), i32x4_ge(d, td)]) ^ flip(c) as u16
    };
    rows(x, channels, out, sixteen, |x, c| thresholds.bit(c, x));
}
