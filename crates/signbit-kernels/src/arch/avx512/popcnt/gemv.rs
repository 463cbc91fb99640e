//! One sample of a dense layer: every weight is read once, and what comes beside the counting has to be little.

use super::{
    Channels,
    kernel::{Weights, one, zero},
    layout::{LANES, VECTORS, blocks_of},
};
use crate::{conv::Out, shape::Conv};

/// Whether an output pixel depends on its input pixel alone.
pub(super) fn is_vector(conv: &Conv) -> bool {
    conv.taps() == 1 && conv.groups == 1 && conv.pads == [0; 4] && [conv.h, conv.w] == [1, 1]
}

/// The output of one input pixel.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
pub(super) fn conv(conv: &Conv, acts: &[u32], weights: &[u64], out: &mut Out<'_>) {
    for (vectors, weights) in blocks_of(conv, weights.as_chunks().0) {
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
    let mut sums = zero();
    for (weights, &act) in weights.iter().zip(acts) {
        sums = one(sums, weights, act);
    }
    let channels = first..conv.c_out.min(first + V * LANES);
    Channels::<V>::of(channels, out).store(out, conv.c_out, 0, conv.c_in as i32, &sums);
}
