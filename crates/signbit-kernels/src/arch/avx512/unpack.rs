//! Bits to signs, sixteen lanes at a time. The other way, AVX2 is faster: what it gives needs no way out of mask registers.

use core::arch::x86_64::*;

use crate::bits::words;

/// Lanes of a register.
const LANES: usize = 16;

#[target_feature(enable = "avx512f")]
pub(super) fn unpack(bits: &[u64], channels: usize, out: &mut [f32]) {
    let (minus, plus) = (_mm512_set1_ps(-1.0), _mm512_set1_ps(1.0));
    for (bits, out) in bits.chunks_exact(words(channels)).zip(out.chunks_exact_mut(channels)) {
        for (i, out) in out.chunks_mut(LANES).enumerate() {
            let x = _mm512_mask_blend_ps((bits[i / 4] >> (i % 4 * LANES)) as __mmask16, minus, plus);
            let first = u16::MAX >> (LANES - out.len());
            // SAFETY: the mask leaves the lanes that are in `out`.
            unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), first, x) };
        }
    }
}
