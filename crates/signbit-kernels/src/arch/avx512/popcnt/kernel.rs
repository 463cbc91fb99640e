//! The innermost loop: mismatches of a register block.

use core::arch::x86_64::*;

use super::layout::LANES;

/// Mismatches per pixel and register of output channels, in lanes of 64 bits.
pub(super) type Sums<const P: usize, const V: usize> = [[__m512i; V]; P];

#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn zero<const P: usize, const V: usize>() -> Sums<P, V> {
    [[_mm512_setzero_si512(); V]; P]
}

/// Adds the mismatches of words of K. With `MASKED`, only those at the bits of the masks.
#[target_feature(enable = "avx512f,avx512vpopcntdq")]
#[inline]
pub(super) fn count<const P: usize, const V: usize, const MASKED: bool>(
    mut sums: Sums<P, V>,
    weights: [&[[u64; LANES]]; V],
    acts: [&[u64]; P],
    masks: [&[u64]; P],
) -> Sums<P, V> {
    let len = acts[0].len();
    assert!(weights.iter().all(|weights| weights.len() == len));
    assert!(acts.iter().chain(&masks).all(|words| words.len() == len));
    for k in 0..len {
        let mut w = [_mm512_setzero_si512(); V];
        for v in 0..V {
            // SAFETY: `k < len`, the length of all slices as checked above, and an element has 64 bytes.
            w[v] = unsafe { _mm512_loadu_si512(weights[v].as_ptr().add(k).cast()) };
        }
        for p in 0..P {
            // SAFETY: `k < len`, the length of all slices as checked above.
            let (act, mask) = unsafe { (*acts[p].get_unchecked(k), *masks[p].get_unchecked(k)) };
            let act = _mm512_set1_epi64(act as i64);
            for v in 0..V {
                let mismatches = match MASKED {
                    false => _mm512_xor_si512(act, w[v]),
                    // Bit `4a + 2w + m` of the table is `(a ^ w) & m`.
                    true => _mm512_ternarylogic_epi64::<0b0010_1000>(act, w[v], _mm512_set1_epi64(mask as i64)),
                };
                sums[p][v] = _mm512_add_epi64(sums[p][v], _mm512_popcnt_epi64(mismatches));
            }
        }
    }
    sums
}
