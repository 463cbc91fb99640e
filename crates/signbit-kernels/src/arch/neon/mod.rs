//! NEON, the 128-bit vectors of every 64-bit ARM processor. The functions here take the token [`Neon`], which proves that
//! the CPU has it, and enter the code that uses it.

mod conv;
mod gather;
mod kernel;
mod layout;
mod pack;
mod store;

use core::ops::Range;

pub(crate) use self::layout::{pack_weights, packed_len};
use super::generic::winograd::Job;
use crate::{
    conv::Out,
    elementwise::Elementwise,
    isa::Neon,
    real::LANES,
    shape::Conv,
    sign_gemm::{Job as SignJob, Tables},
    threshold::Thresholds,
};

pub(crate) fn pack_f32(_: Neon, x: &[f32], channels: usize, out: &mut [u64]) {
    // SAFETY: the token proves that the CPU has NEON.
    unsafe { pack::pack_f32(x, channels, out) }
}

pub(crate) fn pack_i32(_: Neon, x: &[i32], channels: usize, out: &mut [u64]) {
    // SAFETY: the token proves that the CPU has NEON.
    unsafe { pack::pack_i32(x, channels, out) }
}

pub(crate) fn unpack(_: Neon, bits: &[u64], channels: usize, out: &mut [f32]) {
    #[target_feature(enable = "neon")]
    fn stamped(bits: &[u64], channels: usize, out: &mut [f32]) {
        super::portable::unpack(bits, channels, out);
    }
    // SAFETY: the token proves that the CPU has NEON.
    unsafe { stamped(bits, channels, out) }
}

pub(crate) fn threshold(_: Neon, x: &[i32], channels: usize, thresholds: &Thresholds<'_>, out: &mut [u64]) {
    // SAFETY: the token proves that the CPU has NEON.
    unsafe { pack::threshold(x, channels, thresholds, out) }
}

pub(crate) fn max_bits(_: Neon, conv: &Conv, x: &[u64], out: &mut [u64]) {
    #[target_feature(enable = "neon")]
    fn stamped(conv: &Conv, x: &[u64], out: &mut [u64]) {
        super::generic::max_bits(conv, x, out);
    }
    // SAFETY: the token proves that the CPU has NEON.
    unsafe { stamped(conv, x, out) }
}

pub(crate) fn conv(_: Neon, conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, out: Out<'_>) {
    #[target_feature(enable = "neon")]
    fn stamped(conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, out: Out<'_>) {
        super::portable::conv(conv, acts, weights, rows, out);
    }
    if layout::has_lanes(conv) {
        // SAFETY: the token proves that the CPU has NEON.
        unsafe { conv::conv(conv, acts, weights, rows, out) }
    } else {
        // SAFETY: the token proves that the CPU has NEON.
        unsafe { stamped(conv, acts, weights, rows, out) }
    }
}

pub(crate) fn real_conv(
    _: Neon,
    conv: &Conv,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    rows: Range<usize>,
    out: &mut [f32],
) {
    #[target_feature(enable = "neon")]
    fn stamped(conv: &Conv, x: &[f32], w: &[f32], bias: Option<&[f32]>, rows: Range<usize>, out: &mut [f32]) {
        // Four pixels of 16 lanes are sixteen of the 32 registers, enough chains of additions to hide their latency.
        super::generic::real::conv::<[f32; LANES], 4>(conv, x, w, bias, rows, out);
    }
    // SAFETY: the token proves that the CPU has NEON.
    unsafe { stamped(conv, x, w, bias, rows, out) }
}

pub(crate) fn sign_gemm(_: Neon, job: &SignJob<'_>, tables: &mut Tables, out: &mut [f32]) {
    #[target_feature(enable = "neon")]
    fn stamped(job: &SignJob<'_>, tables: &mut Tables, out: &mut [f32]) {
        // Four rows of 16 lanes are sixteen of the 32 registers.
        super::generic::sign_gemm::run::<[f32; LANES], 4>(job, tables, out);
    }
    // SAFETY: the token proves that the CPU has NEON.
    unsafe { stamped(job, tables, out) }
}

pub(crate) fn winograd(_: Neon, job: &Job<'_>, rows: Range<usize>, scratch: &mut [f32], out: &mut [f32]) {
    #[target_feature(enable = "neon")]
    fn stamped(job: &Job<'_>, rows: Range<usize>, scratch: &mut [f32], out: &mut [f32]) {
        super::generic::winograd::conv::<[f32; LANES], 4>(job, rows, scratch, out);
    }
    // SAFETY: the token proves that the CPU has NEON.
    unsafe { stamped(job, rows, scratch, out) }
}

pub(crate) fn channel_means(_: Neon, c: usize, x: &[f32], out: &mut [f32]) {
    #[target_feature(enable = "neon")]
    fn stamped(c: usize, x: &[f32], out: &mut [f32]) {
        super::generic::channel_means(c, x, out);
    }
    // SAFETY: the token proves that the CPU has NEON.
    unsafe { stamped(c, x, out) }
}

pub(crate) fn elementwise(_: Neon, op: &Elementwise<'_>, x: &mut [f32]) {
    #[target_feature(enable = "neon")]
    fn stamped(op: &Elementwise<'_>, x: &mut [f32]) {
        super::generic::elementwise::apply(op, x);
    }
    // SAFETY: the token proves that the CPU has NEON.
    unsafe { stamped(op, x) }
}
