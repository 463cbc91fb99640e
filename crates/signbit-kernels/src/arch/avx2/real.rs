//! The registers of the real convolution: two for the 16 lanes, or one for half of them.

use core::arch::x86_64::*;

use crate::{
    arch::generic::{
        real::{Matrices, Run},
        registers::{self, Register, Sums, stamped},
    },
    real::LANES,
};

/// A register of 8 numbers. Made by code that has AVX2 only: [`super::real_conv`].
#[derive(Clone, Copy)]
pub(in crate::arch) struct Ymm(__m256);

stamped!(Ymm, Ymm, "avx2");

impl Register for Ymm {
    const LEN: usize = 8;

    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: the caller is compiled into code that has AVX2, here and below.
        Self(unsafe { _mm256_setzero_ps() })
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_set1_ps(x) })
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn load(x: *const f32) -> Self {
        // SAFETY: the caller answers for the numbers; the instructions as above.
        Self(unsafe { _mm256_loadu_ps(x) })
    }

    #[inline(always)]
    unsafe fn store(self, out: *mut f32) {
        // SAFETY: the caller answers for the room; the instructions as above.
        unsafe { _mm256_storeu_ps(out, self.0) }
    }
}
