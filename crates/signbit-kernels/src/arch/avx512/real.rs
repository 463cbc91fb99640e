//! The lanes of the real convolution in one register.

use core::arch::x86_64::*;

use crate::{arch::generic::real::Lanes, real::LANES};

/// The sums of 16 output channels. Made by code that has AVX-512 F only: [`super::real_conv`].
#[derive(Clone, Copy)]
pub(super) struct Sums(__m512);

/// A register of numbers.
#[inline(always)]
fn load(x: &[f32; LANES]) -> __m512 {
    // SAFETY: `x` has 16 lanes; the callers are compiled into code that has AVX-512 F.
    unsafe { _mm512_loadu_ps(x.as_ptr()) }
}

/// `sum + x * w` with two roundings.
#[inline(always)]
fn add(sum: __m512, x: __m512, w: __m512) -> __m512 {
    // SAFETY: the callers are compiled into code that has AVX-512 F.
    unsafe { _mm512_add_ps(sum, _mm512_mul_ps(x, w)) }
}

impl Lanes for Sums {
    type Half = Self;
    const HALF: bool = false;

    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: the caller is compiled into code that has AVX-512 F.
        Self(unsafe { _mm512_setzero_ps() })
    }

    #[inline(always)]
    fn add<const P: usize>(sums: &mut [Self; P], x: [f32; P], w: &[f32; LANES]) {
        let w = load(w);
        for p in 0..P {
            // SAFETY: the caller is compiled into code that has AVX-512 F.
            sums[p].0 = add(sums[p].0, unsafe { _mm512_set1_ps(x[p]) }, w);
        }
    }

    #[inline(always)]
    fn add_each(self, x: &[f32; LANES], w: &[f32; LANES]) -> Self {
        Self(add(self.0, load(x), load(w)))
    }

    #[inline(always)]
    fn get(self) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        // SAFETY: `out` has 16 lanes; the caller is compiled into code that has AVX-512 F.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), self.0) };
        out
    }
}
