//! A few neighbouring channels as one value, for transforms that are the same for all of them.

pub(super) use signbit_kernels::winograd::{STEP as LANES, V};

/// The numbers of whole [`V`]s.
pub(super) fn in_lanes(numbers: &[f32]) -> &[[f32; LANES]] {
    numbers.as_chunks().0
}

/// The numbers of whole [`V`]s, to be written.
pub(super) fn in_lanes_mut(numbers: &mut [f32]) -> &mut [[f32; LANES]] {
    numbers.as_chunks_mut().0
}
