//! From mismatches to what the caller wants: dot products or, by thresholds, bits.

use core::arch::wasm32::*;

use super::{kernel::Narrow, layout::LANES};
use crate::{
    bits::{read_bits, words},
    conv::Out,
    shape::Conv,
};

/// 32-bit sums of 16 channels, in order.
#[derive(Clone, Copy)]
pub(super) struct Wide([v128; 4]);

impl Wide {
    #[inline(always)]
    pub(super) fn zero() -> Self {
        Self([i32x4_splat(0); 4])
    }

    /// Adds unsigned sums.
    #[inline(always)]
    pub(super) fn add(&mut self, [low, high]: Narrow) {
        self.0[0] = i32x4_add(self.0[0], u32x4_extend_low_u16x8(low));
        self.0[1] = i32x4_add(self.0[1], u32x4_extend_high_u16x8(low));
        self.0[2] = i32x4_add(self.0[2], u32x4_extend_low_u16x8(high));
        self.0[3] = i32x4_add(self.0[3], u32x4_extend_high_u16x8(high));
    }
}

/// One bit per lane of four masks, in order.
#[inline(always)]
pub(super) fn bitmask(masks: [v128; 4]) -> u16 {
    // Narrowing keeps -1 and 0. One bitmask instead of four: it takes several instructions on ARM.
    let [a, b, c, d] = masks;
    i8x16_bitmask(i8x16_narrow_i16x8(i16x8_narrow_i32x4(a, b), i16x8_narrow_i32x4(c, d)))
}

/// Sixteen numbers.
#[inline(always)]
pub(super) fn load<T: Copy>(x: &[T; LANES]) -> [v128; 4] {
    const { assert!(size_of::<T>() == 4) };
    let x = x.as_ptr().cast::<v128>();
    // SAFETY: sixteen numbers of 4 bytes are four times 16 bytes; no alignment is needed.
    unsafe { [v128_load(x), v128_load(x.add(1)), v128_load(x.add(2)), v128_load(x.add(3))] }
}

/// Writes as many of sixteen numbers as `out` has room for.
#[inline(always)]
fn store<T: Copy + Default>(out: &mut [T], numbers: [v128; 4]) {
    const { assert!(size_of::<T>() == 4) };
    let write = |out: &mut [T; LANES]| {
        for (i, numbers) in numbers.into_iter().enumerate() {
            // SAFETY: `out` is four times 16 bytes; no alignment is needed.
            unsafe { v128_store(out.as_mut_ptr().cast::<v128>().add(i), numbers) };
        }
    };
    match out.as_mut_array() {
        Some(out) => write(out),
        None => {
            let mut all = [T::default(); LANES];
            write(&mut all);
            out.copy_from_slice(&all[..out.len()]);
        }
    }
}

/// One block of output channels, with its thresholds if the output is bits.
pub(super) struct Channels {
    first: usize,
    /// How many, up to 16.
    len: usize,
    t: [v128; 4],
    flip: u16,
}

impl Channels {
    #[inline(always)]
    pub(super) fn of(conv: &Conv, group: usize, block: usize, out: &Out<'_>) -> Self {
        let (first, len) = (group * conv.group_out() + block * LANES, LANES.min(conv.group_out() - block * LANES));
        let (mut t, mut flip) = ([0; LANES], 0);
        if let Out::Bits(_, thresholds) = out {
            t[..len].copy_from_slice(&thresholds.t[first..][..len]);
            flip = read_bits(thresholds.flip, first, len) as u16;
        }
        Self { first, len, t: load(&t), flip }
    }

    /// Stores `bits - 2 * counts` of one pixel.
    #[inline(always)]
    pub(super) fn store(&self, out: &mut Out<'_>, conv: &Conv, pixel: usize, bits: i32, counts: Wide) {
        let dots = counts.0.map(|counts| i32x4_sub(i32x4_splat(bits), i32x4_shl(counts, 1)));
        let numbers = pixel * conv.c_out + self.first..pixel * conv.c_out + self.first + self.len;
        match out {
            Out::I32(out) => store(&mut out[numbers], dots),
            Out::F32(out) => store(&mut out[numbers], dots.map(|dots| f32x4_convert_i32x4(dots))),
            Out::Bits(out, _) => {
                let [a, b, c, d] = dots;
                let [ta, tb, tc, td] = self.t;
                let ge = bitmask([i32x4_ge(a, ta), i32x4_ge(b, tb), i32x4_ge(c, tc), i32x4_ge(d, td)]);
                let bits = ((ge ^ self.flip) & (u16::MAX >> (LANES - self.len))) as u64;
                let row = &mut out[pixel * words(conv.c_out)..][..words(conv.c_out)];
                let (word, shift) = (self.first / 64, self.first % 64);
                row[word] |= bits << shift;
                if shift + self.len > 64 {
                    row[word + 1] |= bits >> (64 - shift);
                }
            }
        }
    }
}
