//! The registers of the real convolution: two for the 16 lanes, or one for half of them.

use core::arch::x86_64::*;

use crate::{
    arch::generic::{
        real::{Matrices, Run},
        registers::{self, Sums, register},
    },
    real::LANES,
};

register!(
    Ymm(__m256; 8),
    Ymm,
    "avx2",
    [_mm256_setzero_ps, _mm256_set1_ps, _mm256_add_ps, _mm256_mul_ps, _mm256_loadu_ps, _mm256_storeu_ps]
);
