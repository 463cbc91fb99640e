//! The words of the depthwise convolution in one register.

use core::arch::x86_64::*;

use crate::arch::generic::counters::{LANES, Lanes};

/// Four words. Made by code that has AVX2 only: [`super::conv`].
#[derive(Clone, Copy)]
pub(super) struct Words(__m256i);

// SAFETY of all below: the callers are compiled into code that has AVX2.
impl Lanes for Words {
    #[inline(always)]
    fn load(words: &[u64; LANES]) -> Self {
        // SAFETY: as above; there are 32 bytes.
        Self(unsafe { _mm256_loadu_si256(words.as_ptr().cast()) })
    }

    #[inline(always)]
    fn get(self) -> [u64; LANES] {
        let mut words = [0; LANES];
        // SAFETY: as above; there is room for 32 bytes.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self.0) };
        words
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_xor_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_and_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn shift_up(self, bits: usize) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_sll_epi64(self.0, _mm_cvtsi64_si128(bits as i64)) })
    }

    #[inline(always)]
    fn shift_down(self, bits: usize) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_srl_epi64(self.0, _mm_cvtsi64_si128(bits as i64)) })
    }
}
