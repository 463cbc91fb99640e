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
        let mut v = Self::ZERO;
        v.0.copy_from_slice(&from[..LANES]);
        v
    }

    /// Writes them to the beginning of `to`.
    #[inline(always)]
    pub(super) fn store(self, to: &mut [f32]) {
        to[..LANES].copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Add for V {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
}

impl Sub for V {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
}

impl Mul<f32> for V {
    type Output = Self;

    #[inline(always)]
    fn mul(self, factor: f32) -> Self {
        Self(self.0.map(|a| a * factor))
    }
}
