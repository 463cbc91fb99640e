//! From mismatches in lanes of 32 bits to what the caller wants, 16 output channels for each register.

use core::{arch::x86_64::*, ops::Range};

use super::layout::{LANES, VECTORS};
use crate::{
    bits::{read_bits, words},
    conv::Out,
};

/// Up to `V` registers of output channels at windows with the same taps inside.
pub(super) struct Store<const V: usize> {
    /// The first channel, and how many: at most 64.
    first: usize,
    len: usize,
    /// Length of the dot product.
    bits: __m512i,
    /// The most mismatches with which a threshold is reached.
    limits: [__m512i; V],
    flip: u64,
}

impl<const V: usize> Store<V> {
    #[target_feature(enable = "avx512f")]
    pub(super) fn new(channels: Range<usize>, bits: i32, out: &Out<'_>) -> Self {
        let (first, len) = (channels.start, channels.len());
        debug_assert!(len <= V * LANES && V <= VECTORS);
        // Thresholds that are never or always reached, without overflow below.
        let (least, most) = (_mm512_set1_epi32(-bits - 1), _mm512_set1_epi32(bits + 1));
        let bits = _mm512_set1_epi32(bits);
        let mut limits = [_mm512_setzero_si512(); V];
        let mut flip = 0;
        if let Out::Bits(_, thresholds) = out {
            flip = read_bits(thresholds.flip, first, len);
            for (t, limit) in thresholds.t[channels].chunks(LANES).zip(&mut limits) {
                // SAFETY: the mask leaves the lanes that are in `t`.
                let t = unsafe { _mm512_maskz_loadu_epi32(lanes(t.len()), t.as_ptr()) };
                let t = _mm512_min_epi32(_mm512_max_epi32(t, least), most);
                // bits - 2 * count >= t
                *limit = _mm512_srai_epi32::<1>(_mm512_sub_epi32(bits, t));
            }
        }
        Self { first, len, bits, limits, flip }
    }

    /// Stores the channels of one pixel.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn store(&self, out: &mut Out<'_>, c_out: usize, pixel: usize, counts: &[__m512i; V]) {
        let range = pixel * c_out + self.first..pixel * c_out + self.first + self.len;
        match out {
            Out::I32(out) => self.numbers(&mut out[range], counts, |out, lanes, dots| {
                // SAFETY: the mask leaves the lanes that are in `out`; the caller has AVX-512 F.
                unsafe { _mm512_mask_storeu_epi32(out.as_mut_ptr(), lanes, dots) }
            }),
            Out::F32(out) => self.numbers(&mut out[range], counts, |out, lanes, dots| {
                // SAFETY: as above.
                unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), lanes, _mm512_cvtepi32_ps(dots)) }
            }),
            Out::Bits(out, _) => {
                let mut reached = 0;
                for v in 0..V {
                    let lanes = _mm512_cmple_epi32_mask(counts[v], self.limits[v]);
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
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn numbers<T>(&self, out: &mut [T], counts: &[__m512i; V], store: impl Fn(&mut [T], __mmask16, __m512i)) {
        for (out, &count) in out.chunks_mut(LANES).zip(counts) {
            store(out, lanes(out.len()), _mm512_sub_epi32(self.bits, _mm512_add_epi32(count, count)));
        }
    }
}

/// The first `len` lanes.
#[inline(always)]
fn lanes(len: usize) -> __mmask16 {
    u16::MAX >> (LANES - len)
}
