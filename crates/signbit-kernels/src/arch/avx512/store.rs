//! From mismatches to what the caller wants: dot products or, by thresholds, bits. Sixteen output channels at a time.

use core::arch::x86_64::*;

use crate::{
    bits::{read_bits, words},
    conv::Out,
    shape::Conv,
    threshold::Thresholds,
};

/// 32-bit lanes of a register.
pub(super) const LANES: usize = 16;

/// Up to 16 neighbouring output channels, with their thresholds if the output is bits.
#[derive(Clone, Copy)]
pub(super) struct Channels {
    first: usize,
    lanes: __mmask16,
    t: __m512i,
    flip: __mmask16,
}

impl Channels {
    /// The `len` channels from `first` on, which may be none.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn of(first: usize, len: usize, out: &Out<'_>) -> Self {
        debug_assert!(len <= LANES);
        let lanes = ((1u32 << len) - 1) as __mmask16;
        let (t, flip) = match out {
            Out::Bits(_, thresholds) if len > 0 => load_thresholds(thresholds, first, len, lanes),
            _ => (_mm512_setzero_si512(), 0),
        };
        Self { first, lanes, t, flip }
    }

    /// Stores `bits - 2 * counts` of one pixel.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn store(&self, out: &mut Out<'_>, conv: &Conv, pixel: usize, bits: i32, counts: __m512i) {
        let dots = _mm512_sub_epi32(_mm512_set1_epi32(bits), _mm512_add_epi32(counts, counts));
        let len = self.lanes.count_ones() as usize;
        if len == 0 {
            return;
        }
        match out {
            Out::I32(out) => {
                let out = &mut out[pixel * conv.c_out + self.first..][..len];
                // SAFETY: the mask leaves the lanes that are in `out`.
                unsafe { _mm512_mask_storeu_epi32(out.as_mut_ptr(), self.lanes, dots) };
            }
            Out::F32(out) => {
                let out = &mut out[pixel * conv.c_out + self.first..][..len];
                // SAFETY: the mask leaves the lanes that are in `out`.
                unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), self.lanes, _mm512_cvtepi32_ps(dots)) };
            }
            Out::Bits(out, _) => {
                let bits = (_mm512_mask_cmpge_epi32_mask(self.lanes, dots, self.t) ^ self.flip) as u64;
                let row = &mut out[pixel * words(conv.c_out)..][..words(conv.c_out)];
                let (word, shift) = (self.first / 64, self.first % 64);
                row[word] |= bits << shift;
                if shift + len > 64 {
                    row[word + 1] |= bits >> (64 - shift);
                }
            }
        }
    }
}

/// Thresholds and directions, 0 in the lanes beyond.
#[target_feature(enable = "avx512f")]
#[inline]
fn load_thresholds(thresholds: &Thresholds<'_>, first: usize, len: usize, lanes: __mmask16) -> (__m512i, __mmask16) {
    let t = &thresholds.t[first..][..len];
    // SAFETY: the mask leaves the lanes that are in `t`.
    let t = unsafe { _mm512_maskz_loadu_epi32(lanes, t.as_ptr()) };
    (t, read_bits(thresholds.flip, first, len) as __mmask16)
}
