//! One sample of a dense layer: every weight is read once, and what comes beside the counting has to be little.

use core::arch::x86_64::*;

use super::{
    kernel::{Weights, one},
    layout::{LANES, Register, VECTORS, blocks, k_words},
    store::Store,
};
use crate::{conv::Out, shape::Conv};

/// Whether an output pixel depends on its input pixel alone.
pub(super) fn is_vector(conv: &Conv) -> bool {
    conv.taps() == 1 && conv.groups == 1 && conv.pads == [0; 4] && [conv.h, conv.w] == [1, 1]
}

/// The output of one input pixel.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
pub(super) fn conv(conv: &Conv, acts: &[u32], weights: &[u64], out: &mut Out<'_>) {
    let mut rest: &[Register] = weights.as_chunks().0;
    for vectors in blocks(conv) {
        let (weights, behind) = rest.split_at(vectors.len() * k_words(conv));
        rest = behind;
        let first = vectors.start * LANES;
        match vectors.len() {
            1 => block::<1>(conv, acts, weights.as_chunks().0, first, out),
            2 => block::<2>(conv, acts, weights.as_chunks().0, first, out),
            _ => block::<VECTORS>(conv, acts, weights.as_chunks().0, first, out),
        }
    }
}

#[target_feature(enable = "avx512f,avx512vpopcntdq")]
#[inline]
fn block<const V: usize>(conv: &Conv, acts: &[u32], weights: &[Weights<V>], first: usize, out: &mut Out<'_>) {
    let mut sums = [_mm512_setzero_si512(); V];
    for (weights, &act) in weights.iter().zip(acts) {
        sums = one(sums, weights, act);
    }
    let channels = first..conv.c_out.min(first + V * LANES);
    Store::<V>::new(channels, conv.c_in as i32, out).store(out, conv.c_out, 0, &sums);
}
