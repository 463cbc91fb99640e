//! The lanes of the real convolution in two registers.

use core::arch::x86_64::*;

use crate::{arch::generic::real::Lanes, real::LANES};

/// The sums of 16 output channels. Made by code that has AVX2 only: [`super::real_conv`].
#[derive(Clone, Copy)]
pub(super) struct Sums([__m256; 2]);

/// Two registers of numbers.
#[inline(always)]
fn load(x: &[f32; LANES]) -> [__m256; 2] {
    // SAFETY: `x` has two times eight lanes; the callers are compiled into code that has AVX2.
    unsafe { [_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(8))] }
}

impl Lanes for Sums {
    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: the caller is compiled into code that has AVX2.
        Self(unsafe { [_mm256_setzero_ps(); 2] })
    }

    /// Half by half: one register of weights at a time leaves enough for twelve sums.
    #[inline(always)]
    fn add<const P: usize>(sums: &mut [Self; P], x: [f32; P], w: &[f32; LANES]) {
        let w = load(w);
        for half in 0..2 {
            for p in 0..P {
                // SAFETY: the caller is compiled into code that has AVX2.
                sums[p].0[half] =
                    unsafe { _mm256_add_ps(sums[p].0[half], _mm256_mul_ps(_mm256_set1_ps(x[p]), w[half])) };
            }
        }
    }

    #[inline(always)]
    fn add_each(self, x: &[f32; LANES], w: &[f32; LANES]) -> Self {
        let (x, w) = (load(x), load(w));
        // SAFETY: the caller is compiled into code that has AVX2.
        Self(unsafe {
            [_mm256_add_ps(self.0[0], _mm256_mul_ps(x[0], w[0])), _mm256_add_ps(self.0[1], _mm256_mul_ps(x[1], w[1]))]
        })
    }

    #[inline(always)]
    fn get(self) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        // SAFETY: `out` has two times eight lanes; the caller is compiled into code that has AVX2.
        unsafe {
            _mm256_storeu_ps(out.as_mut_ptr(), self.0[0]);
            _mm256_storeu_ps(out.as_mut_ptr().add(8), self.0[1]);
        }
        out
    }
}
