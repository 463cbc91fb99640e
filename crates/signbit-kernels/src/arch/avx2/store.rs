//! From mismatches to what the caller wants: dot products or, by thresholds, bits.

use core::arch::x86_64::*;

use super::{kernel::Narrow, layout::LANES};
use crate::{
    bits::{read_bits, words},
    conv::Out,
    shape::Conv,
    threshold::Thresholds,
};

/// 32-bit sums of 32 channels, in order.
#[derive(Clone, Copy)]
pub(super) struct Wide([__m256i; 4]);

impl Wide {
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn zero() -> Self {
        Self([_mm256_setzero_si256(); 4])
    }

    /// Adds unsigned sums.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn add(&mut self, sums: Narrow) {
        let eights = eights(sums);
        for i in 0..4 {
            self.0[i] = _mm256_add_epi32(self.0[i], _mm256_cvtepu16_epi32(eights[i]));
        }
    }
}

/// The channels in order, eight each.
#[target_feature(enable = "avx2")]
#[inline]
fn eights([a, b]: Narrow) -> [__m128i; 4] {
    [
        _mm256_castsi256_si128(a),
        _mm256_castsi256_si128(b),
        _mm256_extracti128_si256::<1>(a),
        _mm256_extracti128_si256::<1>(b),
    ]
}

/// One block of output channels, with its thresholds if the output is bits.
pub(super) struct Channels {
    first: usize,
    /// How many, up to 32.
    len: usize,
    t: [__m256i; 4],
    /// The thresholds in 16 bits, in the order of [`Narrow`]. Those beyond are at the end of the range, where
    /// they compare alike with every dot product of one panel.
    t_narrow: Narrow,
    flip: u32,
}

impl Channels {
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn of(conv: &Conv, group: usize, block: usize, out: &Out<'_>) -> Self {
        let (first, len) = (group * conv.group_out() + block * LANES, LANES.min(conv.group_out() - block * LANES));
        let zero = _mm256_setzero_si256();
        match out {
            Out::Bits(_, thresholds) => {
                let t = load_thresholds(thresholds, first, len);
                // In each half: `packs` takes four lanes of the first and four of the second.
                let a = _mm256_packs_epi32(
                    _mm256_permute2x128_si256::<0x20>(t[0], t[2]),
                    _mm256_permute2x128_si256::<0x31>(t[0], t[2]),
                );
                let b = _mm256_packs_epi32(
                    _mm256_permute2x128_si256::<0x20>(t[1], t[3]),
                    _mm256_permute2x128_si256::<0x31>(t[1], t[3]),
                );
                let flip = read_bits(thresholds.flip, first, len) as u32;
                Self { first, len, t, t_narrow: [a, b], flip }
            }
            _ => Self { first, len, t: [zero; 4], t_narrow: [zero; 2], flip: 0 },
        }
    }

    /// Two blocks, from `block` on; if it is the last one, that one twice.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn two(conv: &Conv, group: usize, block: usize, out: &Out<'_>) -> [Self; 2] {
        let last = conv.group_out().div_ceil(LANES) - 1;
        [Self::of(conv, group, block, out), Self::of(conv, group, last.min(block + 1), out)]
    }

    /// Stores `bits - 2 * counts` of one pixel, all within 16 bits.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn store_narrow(&self, out: &mut Out<'_>, conv: &Conv, pixel: usize, bits: i32, counts: Narrow) {
        let bits = _mm256_set1_epi16(bits as i16);
        let [a, b] = counts;
        let dots = [_mm256_sub_epi16(bits, _mm256_add_epi16(a, a)), _mm256_sub_epi16(bits, _mm256_add_epi16(b, b))];
        match out {
            Out::I32(out) => self.store_i32(out, conv, pixel, widen(dots)),
            Out::F32(out) => self.store_f32(out, conv, pixel, widen(dots)),
            Out::Bits(out, _) => {
                // The masks of channels 0-7 and 16-23, 8-15 and 24-31 are packed half by half: in order.
                let less_a = _mm256_cmpgt_epi16(self.t_narrow[0], dots[0]);
                let less_b = _mm256_cmpgt_epi16(self.t_narrow[1], dots[1]);
                let less = _mm256_movemask_epi8(_mm256_packs_epi16(less_a, less_b)) as u32;
                self.store_bits(out, conv, pixel, less);
            }
        }
    }

    /// Stores `bits - 2 * counts` of one pixel.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn store_wide(&self, out: &mut Out<'_>, conv: &Conv, pixel: usize, bits: i32, counts: Wide) {
        let bits = _mm256_set1_epi32(bits);
        let mut dots = counts.0;
        for dots in &mut dots {
            *dots = _mm256_sub_epi32(bits, _mm256_add_epi32(*dots, *dots));
        }
        match out {
            Out::I32(out) => self.store_i32(out, conv, pixel, dots),
            Out::F32(out) => self.store_f32(out, conv, pixel, dots),
            Out::Bits(out, _) => {
                let mut less = 0;
                for i in 0..4 {
                    let mask = _mm256_castsi256_ps(_mm256_cmpgt_epi32(self.t[i], dots[i]));
                    less |= (_mm256_movemask_ps(mask) as u32) << (8 * i);
                }
                self.store_bits(out, conv, pixel, less);
            }
        }
    }

    /// Stores the bits `dot >= t`, which is not `t > dot`, with their directions.
    #[inline(always)]
    fn store_bits(&self, out: &mut [u64], conv: &Conv, pixel: usize, less: u32) {
        let bits = ((!less ^ self.flip) & (u32::MAX >> (LANES - self.len))) as u64;
        let row = &mut out[pixel * words(conv.c_out)..][..words(conv.c_out)];
        let (word, shift) = (self.first / 64, self.first % 64);
        row[word] |= bits << shift;
        if shift + self.len > 64 {
            row[word + 1] |= bits >> (64 - shift);
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn store_i32(&self, out: &mut [i32], conv: &Conv, pixel: usize, dots: [__m256i; 4]) {
        let out = &mut out[pixel * conv.c_out + self.first..][..self.len];
        match out.as_mut_array() {
            Some(out) => store_array(out, dots),
            None => {
                let mut all = [0; LANES];
                store_array(&mut all, dots);
                out.copy_from_slice(&all[..self.len]);
            }
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn store_f32(&self, out: &mut [f32], conv: &Conv, pixel: usize, dots: [__m256i; 4]) {
        let out = &mut out[pixel * conv.c_out + self.first..][..self.len];
        match out.as_mut_array() {
            Some(out) => store_array_f32(out, dots),
            None => {
                let mut all = [0.0; LANES];
                store_array_f32(&mut all, dots);
                out.copy_from_slice(&all[..self.len]);
            }
        }
    }
}

/// Signed sums in 32 bits.
#[target_feature(enable = "avx2")]
#[inline]
fn widen(sums: Narrow) -> [__m256i; 4] {
    let eights = eights(sums);
    let mut wide = [_mm256_setzero_si256(); 4];
    for i in 0..4 {
        wide[i] = _mm256_cvtepi16_epi32(eights[i]);
    }
    wide
}

#[target_feature(enable = "avx2")]
#[inline]
fn store_array(out: &mut [i32; LANES], dots: [__m256i; 4]) {
    for i in 0..4 {
        // SAFETY: `out` has room for four times eight lanes.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().add(8 * i).cast(), dots[i]) };
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store_array_f32(out: &mut [f32; LANES], dots: [__m256i; 4]) {
    for i in 0..4 {
        // SAFETY: `out` has room for four times eight lanes.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr().add(8 * i), _mm256_cvtepi32_ps(dots[i])) };
    }
}

/// The thresholds of up to 32 channels in order.
#[target_feature(enable = "avx2")]
#[inline]
fn load_thresholds(thresholds: &Thresholds<'_>, first: usize, len: usize) -> [__m256i; 4] {
    let t = &thresholds.t[first..][..len];
    let mut filled = [0; LANES];
    let t: &[i32; LANES] = match t.as_array() {
        Some(t) => t,
        None => {
            filled[..len].copy_from_slice(t);
            &filled
        }
    };
    let mut out = [_mm256_setzero_si256(); 4];
    for i in 0..4 {
        // SAFETY: `t` has four times eight lanes.
        out[i] = unsafe { _mm256_loadu_si256(t.as_ptr().add(8 * i).cast()) };
    }
    out
}
