//! A few neighbouring channels as one value, for transforms that are the same for all of them.

use std::ops::{Add, Mul, Sub};

/// Channels of a [`V`].
pub(super) const LANES: usize = 8;

/// Eight numbers, which the compiler keeps in a register where the CPU has one of that size.
#[derive(Clone, Copy, Debug)]
pub(super) struct V(pub(super) [f32; LANES]);

impl V {
    pub(super) const ZERO: Self = Self([0.0; LANES]);
}

/// The numbers of whole [`V`]s.
pub(super) fn in_lanes(numbers: &[f32]) -> &[[f32; LANES]] {
    numbers.as_chunks().0
}

/// The numbers of whole [`V`]s, to be written.
pub(super) fn in_lanes_mut(numbers: &mut [f32]) -> &mut [[f32; LANES]] {
    numbers.as_chunks_mut().0
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
