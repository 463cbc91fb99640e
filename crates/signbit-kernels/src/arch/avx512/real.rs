//! The register of the real convolution: one for all 16 lanes, and one of AVX2 for half of them.

use core::arch::x86_64::*;

use crate::{
    arch::generic::{
        real::{Matrices, Run},
        registers::{self, Sums, register},
    },
    real::LANES,
};

register!(
    Zmm(__m512; 16),
    crate::arch::avx2::real::Ymm,
    "avx512f",
    [_mm512_setzero_ps, _mm512_set1_ps, _mm512_add_ps, _mm512_mul_ps, _mm512_loadu_ps, _mm512_storeu_ps]
);
