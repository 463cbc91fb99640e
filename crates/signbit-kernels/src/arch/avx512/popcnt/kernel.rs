//! The innermost loop: mismatches of a register block.

use core::arch::x86_64::*;

use super::layout::Register;

/// Mismatches per pixel and register of output channels, in lanes of 32 bits.
pub(super) type Sums<const P: usize, const V: usize> = [[__m512i; V]; P];

/// For a word of K, the weights of `V` registers of output channels.
pub(super) type Weights<const V: usize> = [Register; V];

/// The words of K under a window: rows of taps, runs of taps that follow each other in memory, and the words of a run.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    pub(super) rows: usize,
    pub(super) runs: usize,
    pub(super) words: usize,
    /// Words of activations from one row to the next, and from one run to the next.
    pub(super) acts: [usize; 2],
    /// The first word of K, and words of K from one row to the next and from one run to the next.
    pub(super) first: usize,
    pub(super) weights: [usize; 2],
}

impl Walk {
    /// One more than the last word of K, and than the last word of activations, counted from the window's first.
    #[inline(always)]
    fn ends(&self) -> [usize; 2] {
        let [rows, runs] = [self.rows - 1, self.runs - 1];
        [
            self.first + rows * self.weights[0] + runs * self.weights[1] + self.words,
            rows * self.acts[0] + runs * self.acts[1] + self.words,
        ]
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn zero<const V: usize>() -> [__m512i; V] {
    [_mm512_setzero_si512(); V]
}

/// The register `v` of a word of K.
#[target_feature(enable = "avx512f")]
#[inline]
fn load<const V: usize>(weights: &Weights<V>, v: usize) -> __m512i {
    // SAFETY: an element has 64 bytes.
    unsafe { _mm512_loadu_si512(weights[v].as_ptr().cast()) }
}

/// Adds the mismatches at windows that begin at `starts`, all of which have the words of `walk`.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
#[inline]
pub(super) fn count<const P: usize, const V: usize>(
    mut sums: Sums<P, V>,
    weights: &[Weights<V>],
    acts: &[u32],
    starts: [usize; P],
    walk: &Walk,
) -> Sums<P, V> {
    if walk.rows == 0 || walk.runs == 0 || walk.words == 0 {
        return sums;
    }
    let [k_end, end] = walk.ends();
    assert!(k_end <= weights.len() && starts.iter().all(|start| *start < acts.len() && end <= acts.len() - start));
    for row in 0..walk.rows {
        for run in 0..walk.runs {
            let at = row * walk.acts[0] + run * walk.acts[1];
            let first = walk.first + row * walk.weights[0] + run * walk.weights[1];
            for k in 0..walk.words {
                // SAFETY: below `k_end`, which was checked above.
                let weights = unsafe { weights.get_unchecked(first + k) };
                let mut w = [_mm512_setzero_si512(); V];
                for v in 0..V {
                    w[v] = load(weights, v);
                }
                for p in 0..P {
                    // SAFETY: below `starts[p] + end`, which was checked above.
                    let act = _mm512_set1_epi32(unsafe { *acts.get_unchecked(starts[p] + at + k) } as i32);
                    for v in 0..V {
                        let mismatches = _mm512_popcnt_epi32(_mm512_xor_si512(act, w[v]));
                        sums[p][v] = _mm512_add_epi32(sums[p][v], mismatches);
                    }
                }
            }
        }
    }
    sums
}

/// Adds the mismatches of one word of activations.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
#[inline]
pub(super) fn one<const V: usize>(mut sums: [__m512i; V], weights: &Weights<V>, act: u32) -> [__m512i; V] {
    let act = _mm512_set1_epi32(act as i32);
    for v in 0..V {
        let mismatches = _mm512_popcnt_epi32(_mm512_xor_si512(act, load(weights, v)));
        sums[v] = _mm512_add_epi32(sums[v], mismatches);
    }
    sums
}

/// Adds the mismatches of the words of one tap, given all 0 or all 1 for `channels` bits.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
#[inline]
pub(super) fn constant<const V: usize>(
    mut sums: [__m512i; V],
    weights: &[Weights<V>],
    channels: usize,
    ones: bool,
) -> [__m512i; V] {
    for (k, weights) in weights.iter().enumerate() {
        sums = one(sums, weights, if ones { u32::MAX >> (32 - 32.min(channels - k * 32)) } else { 0 });
    }
    sums
}
