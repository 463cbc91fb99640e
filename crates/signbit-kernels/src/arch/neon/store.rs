//! From mismatches to what the caller wants: dot products or, by thresholds, bits.

use core::arch::aarch64::*;

use super::{kernel::Narrow, layout::LANES, pack::mask};
use crate::{
    bits::{read_bits, words},
    conv::Out,
    shape::Conv,
    threshold::Thresholds,
};

/// 32-bit numbers of 16 channels in order.
type Lanes = [int32x4_t; 4];

/// 32-bit sums of 16 channels in order.
#[derive(Clone, Copy)]
pub(super) struct Wide([uint32x4_t; 4]);

impl Wide {
    #[target_feature(enable = "neon")]
    #[inline]
    pub(super) fn zero() -> Self {
        Self([vdupq_n_u32(0); 4])
    }

    #[target_feature(enable = "neon")]
    #[inline]
    pub(super) fn add(&mut self, [a, b]: Narrow) {
        let sums = self.0;
        self.0 = [
            vaddw_u16(sums[0], vget_low_u16(a)),
            vaddw_high_u16(sums[1], a),
            vaddw_u16(sums[2], vget_low_u16(b)),
            vaddw_high_u16(sums[3], b),
        ];
    }
}

/// One block of output channels, with its thresholds if the output is bits.
pub(super) struct Channels {
    first: usize,
    /// How many, up to 16.
    len: usize,
    t: Lanes,
    flip: u32,
}

impl Channels {
    #[target_feature(enable = "neon")]
    #[inline]
    pub(super) fn of(conv: &Conv, group: usize, block: usize, out: &Out<'_>) -> Self {
        let (first, len) = (group * conv.group_out() + block * LANES, LANES.min(conv.group_out() - block * LANES));
        let (mut t, mut flip) = ([vdupq_n_s32(0); 4], 0);
        if let Out::Bits(_, thresholds) = out {
            t = load_thresholds(thresholds, first, len);
            flip = read_bits(thresholds.flip, first, len) as u32;
        }
        Self { first, len, t, flip }
    }

    /// Stores `bits - 2 * counts` of one pixel.
    #[target_feature(enable = "neon")]
    #[inline]
    pub(super) fn store(&self, out: &mut Out<'_>, conv: &Conv, pixel: usize, bits: i32, counts: Wide) {
        let bits = vdupq_n_s32(bits);
        let mut dots = [bits; 4];
        for i in 0..4 {
            dots[i] = vsubq_s32(bits, vreinterpretq_s32_u32(vshlq_n_u32::<1>(counts.0[i])));
        }
        let at = pixel * conv.c_out + self.first;
        match out {
            Out::I32(out) => store_part(&mut out[at..][..self.len], |out| store_i32(out, dots)),
            Out::F32(out) => store_part(&mut out[at..][..self.len], |out| store_f32(out, dots)),
            Out::Bits(out, _) => {
                let mut at_least = [vdupq_n_u32(0); 4];
                for i in 0..4 {
                    at_least[i] = vcgeq_s32(dots[i], self.t[i]);
                }
                self.store_bits(out, conv, pixel, mask(at_least));
            }
        }
    }

    /// Stores the bits `dot >= t` with their directions.
    #[inline(always)]
    fn store_bits(&self, out: &mut [u64], conv: &Conv, pixel: usize, at_least: u32) {
        let bits = ((at_least ^ self.flip) & (0xffff >> (LANES - self.len))) as u64;
        let row = &mut out[pixel * words(conv.c_out)..][..words(conv.c_out)];
        let (word, shift) = (self.first / 64, self.first % 64);
        row[word] |= bits << shift;
        if shift + self.len > 64 {
            row[word + 1] |= bits >> (64 - shift);
        }
    }
}

/// Has 16 numbers written, of which `out` takes the first.
#[inline(always)]
fn store_part<T: Copy + Default>(out: &mut [T], store: impl FnOnce(&mut [T; LANES])) {
    match out.as_mut_array() {
        Some(out) => store(out),
        None => {
            let mut all = [T::default(); LANES];
            store(&mut all);
            out.copy_from_slice(&all[..out.len()]);
        }
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn store_i32(out: &mut [i32; LANES], dots: Lanes) {
    for i in 0..4 {
        // SAFETY: `out` has room for four times four lanes.
        unsafe { vst1q_s32(out.as_mut_ptr().add(4 * i), dots[i]) };
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn store_f32(out: &mut [f32; LANES], dots: Lanes) {
    for i in 0..4 {
        // SAFETY: `out` has room for four times four lanes.
        unsafe { vst1q_f32(out.as_mut_ptr().add(4 * i), vcvtq_f32_s32(dots[i])) };
    }
}

/// The thresholds of up to 16 channels in order.
#[target_feature(enable = "neon")]
#[inline]
fn load_thresholds(thresholds: &Thresholds<'_>, first: usize, len: usize) -> Lanes {
    let mut t = [0; LANES];
    t[..len].copy_from_slice(&thresholds.t[first..][..len]);
    let mut out = [vdupq_n_s32(0); 4];
    for i in 0..4 {
        // SAFETY: `t` has four times four lanes.
        out[i] = unsafe { vld1q_s32(t.as_ptr().add(4 * i)) };
    }
    out
}
