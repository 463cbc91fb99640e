//! The register of the real convolution: one for all 16 lanes, and one of AVX2 for half of them.

use core::arch::x86_64::*;

use crate::{
    arch::generic::{
        real::{Matrices, Run},
        registers::{self, Register, Sums, stamped},
    },
    real::LANES,
};

/// A register of 16 numbers. Made by code that has AVX-512 F only: [`super::real_conv`].
#[derive(Clone, Copy)]
pub(super) struct Zmm(__m512);

stamped!(Zmm, crate::arch::avx2::real::Ymm, "avx512f");

impl Register for Zmm {
    const LEN: usize = 16;

    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: the caller is compiled into code that has AVX-512 F, here and below.
        Self(unsafe { _mm512_setzero_ps() })
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_set1_ps(x) })
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn load(x: *const f32) -> Self {
        // SAFETY: the caller answers for the numbers; the instructions as above.
        Self(unsafe { _mm512_loadu_ps(x) })
    }

    #[inline(always)]
    unsafe fn store(self, out: *mut f32) {
        // SAFETY: the caller answers for the room; the instructions as above.
        unsafe { _mm512_storeu_ps(out, self.0) }
    }
}
