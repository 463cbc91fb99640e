//! From mismatches in lanes of 64 bits to what the caller wants, 8 output channels for each register.

use core::{arch::x86_64::*, ops::Range};

use super::layout::{LANES, VECTORS};
use crate::{
    bits::{read_bits, words},
    conv::Out,
};

/// Up to `V` registers of output channels at windows with the same taps inside.
pub(super) struct Store<const V: usize> {
    /// The first channel, and how many: at most 32.
    first: usize,
    len: usize,
    /// Length of the dot product.
    bits: __m512i,
    /// The most mismatches with which a threshold is reached.
    limits: [__m512i; V],
    flip: u64,
}

impl<const V: usize> Store<V> {
    #[target_feature(enable = "avx512f,avx512vl")]
    pub(super) fn new(channels: Range<usize>, bits: i32, out: &Out<'_>) -> Self {
        let (first, len) = (channels.start, channels.len());
        debug_assert!(len <= V * LANES && V <= VECTORS);
        let bits = _mm512_set1_epi64(bits.into());
        let mut limits = [_mm512_setzero_si512(); V];
        let mut flip = 0;
        if let Out::Bits(_, thresholds) = out {
            flip = read_bits(thresholds.flip, first, len);
            for (t, limit) in thresholds.t[channels].chunks(LANES).zip(&mut limits) {
                // SAFETY: the mask leaves the lanes that are in `t`.
                let t = unsafe { _mm256_maskz_loadu_epi32(lanes(t.len()), t.as_ptr()) };
                // bits - 2 * count >= t
                *limit = _mm512_srai_epi64::<1>(_mm512_sub_epi64(bits, _mm512_cvtepi32_epi64(t)));
            }
        }
        Self { first, len, bits, limits, flip }
    }

    /// Stores the channels of one pixel.
    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    pub(super) fn store(&self, out: &mut Out<'_>, c_out: usize, pixel: usize, counts: &[__m512i; V]) {
        let range = pixel * c_out + self.first..pixel * c_out + self.first + self.len;
        match out {
            Out::I32(out) => self.numbers(&mut out[range], counts, |out, lanes, dots| {
                // SAFETY: the mask leaves the lanes that are in `out`; the caller has AVX-512 VL.
                unsafe { _mm256_mask_storeu_epi32(out.as_mut_ptr(), lanes, dots) }
            }),
            Out::F32(out) => self.numbers(&mut out[range], counts, |out, lanes, dots| {
                // SAFETY: as above.
                unsafe { _mm256_mask_storeu_ps(out.as_mut_ptr(), lanes, _mm256_cvtepi32_ps(dots)) }
            }),
            Out::Bits(out, _) => {
                let mut reached = 0;
                for v in 0..V {
                    let lanes = _mm512_cmple_epi64_mask(counts[v], self.limits[v]);
                    reached |= u64::from(lanes) << (v * LANES);
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

    /// Calls `store` with what it is to fill, the lanes that this has, and the dot products.
    #[target_feature(enable = "avx512f,avx512vl")]
    #[inline]
    fn numbers<T>(&self, out: &mut [T], counts: &[__m512i; V], store: impl Fn(&mut [T], __mmask8, __m256i)) {
        for (out, &count) in out.chunks_mut(LANES).zip(counts) {
            let dots = _mm512_sub_epi64(self.bits, _mm512_add_epi64(count, count));
            store(out, lanes(out.len()), _mm512_cvtepi64_epi32(dots));
        }
    }
}

/// The first `len` lanes.
#[inline(always)]
fn lanes(len: usize) -> __mmask8 {
    u8::MAX >> (LANES - len)
}
