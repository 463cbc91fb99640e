//! From mismatches to what the caller wants: dot products or, by thresholds, bits. Sixteen output channels a register.

use core::{arch::x86_64::*, ops::Range};

use crate::{
    bits::{read_bits, words},
    conv::Out,
};

/// 32-bit lanes of a register.
pub(super) const LANES: usize = 16;

/// Neighbouring output channels of `V` registers, with their thresholds if the output is bits.
#[derive(Clone, Copy)]
pub(super) struct Channels<const V: usize> {
    first: usize,
    /// At least 1, at most those of the registers.
    len: usize,
    t: [__m512i; V],
    flip: u64,
}

impl<const V: usize> Channels<V> {
    /// Some channels, as many as the registers have or fewer.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn of(channels: Range<usize>, out: &Out<'_>) -> Self {
        const { assert!(V * LANES <= 64) };
        let (first, len) = (channels.start, channels.len());
        debug_assert!((1..=V * LANES).contains(&len));
        let mut t = [_mm512_setzero_si512(); V];
        let mut flip = 0;
        if let Out::Bits(_, thresholds) = out {
            flip = read_bits(thresholds.flip, first, len);
            for (numbers, t) in thresholds.t[channels].chunks(LANES).zip(&mut t) {
                // SAFETY: the mask leaves the lanes that are in `numbers`.
                *t = unsafe { _mm512_maskz_loadu_epi32(lanes(numbers.len()), numbers.as_ptr()) };
            }
        }
        Self { first, len, t, flip }
    }

    /// Stores `bits - 2 * counts` of one pixel.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn store(&self, out: &mut Out<'_>, c_out: usize, pixel: usize, bits: i32, counts: &[__m512i; V]) {
        let mut dots = [_mm512_set1_epi32(bits); V];
        for v in 0..V {
            dots[v] = _mm512_sub_epi32(dots[v], _mm512_add_epi32(counts[v], counts[v]));
        }
        let numbers = pixel * c_out + self.first..pixel * c_out + self.first + self.len;
        match out {
            Out::I32(out) => {
                for (out, dots) in out[numbers].chunks_mut(LANES).zip(dots) {
                    // SAFETY: the mask leaves the lanes that are in `out`.
                    unsafe { _mm512_mask_storeu_epi32(out.as_mut_ptr(), lanes(out.len()), dots) };
                }
            }
            Out::F32(out) => {
                for (out, dots) in out[numbers].chunks_mut(LANES).zip(dots) {
                    // SAFETY: as above.
                    unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), lanes(out.len()), _mm512_cvtepi32_ps(dots)) };
                }
            }
            Out::Bits(out, _) => {
                let mut reached = 0;
                for v in 0..V {
                    reached |= u64::from(_mm512_cmpge_epi32_mask(dots[v], self.t[v])) << (v * LANES);
                }
                let bits = (reached ^ self.flip) & (u64::MAX >> (64 - self.len));
                let (word, shift) = (pixel * words(c_out) + self.first / 64, self.first % 64);
                out[word] |= bits << shift;
                // Channels of a group may begin anywhere in a word.
                if shift + self.len > 64 {
                    out[word + 1] |= bits >> (64 - shift);
                }
            }
        }
    }
}

/// The first `len` lanes.
#[inline(always)]
fn lanes(len: usize) -> __mmask16 {
    u16::MAX >> (LANES - len)
}
