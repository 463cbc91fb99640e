//! A few neighbouring channels as one value, for transforms that are the same for all of them.

use std::ops::{Add, Mul, Sub};

/// Channels of a [`V`].
pub(super) const LANES: usize = 8;

/// Eight numbers, which the compiler keeps in a register where the CPU has one of that size.
#[derive(Clone, Copy, Debug)]
pub(super) struct V([f32; LANES]);

impl V {
    pub(super) const ZERO: Self = Self([0.0; LANES]);

    /// The first numbers of `from`.
    #[inline(always)]
    pub(super) fn load(from: &[f32]) -> Self {
        Self(*from.first_chunk().expect("eight numbers"))
    }

    /// Writes them to the beginning of `to`.
    #[inline(always)]
    pub(super) fn store(self, to: &mut [f32]) {
        *to.first_chunk_mut().expect("room for eight numbers") = self.0;
    }
}

impl Add for V {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let mut sum = self.0;
        for (a, b) in sum.iter_mut().zip(other.0) {
            *a += b;
        }
        Self(sum)
    }
}

impl Sub for V {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let mut difference = self.0;
        for (a, b) in difference.iter_mut().zip(other.0) {
            *a -= b;
        }
        Self(difference)
    }
}

impl Mul<f32> for V {
    type Output = Self;

    #[inline(always)]
    fn mul(self, factor: f32) -> Self {
        let mut product = self.0;
        for a in &mut product {
            *a *= factor;
        }
        Self(product)
    }
}
