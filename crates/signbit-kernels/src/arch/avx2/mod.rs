//! AVX2 and POPCNT. The functions here take the token [`Avx2`], which proves that the CPU has them, and enter
//! the code that uses them.

pub(crate) mod gather;
pub(crate) mod layout;
pub(crate) mod tables;

mod conv;
mod depthwise;
mod gemv;
mod kernel;
mod pack;
pub(super) mod real;
mod rows;
mod store;

use core::ops::Range;

pub(crate) use self::layout::{pack_weights, packed_len};
use super::generic::{registers::Sums, winograd::Job};
use crate::{
    conv::Out,
    elementwise::Elementwise,
    isa::Avx2,
    pool::Pooling,
    shape::Conv,
    sign_gemm::{Job as SignJob, Tables},
    threshold::Thresholds,
};

pub(crate) fn pack_f32(_: Avx2, x: &[f32], channels: usize, out: &mut [u64]) {
    // SAFETY: the token proves that the CPU has AVX2.
    unsafe { pack::pack_f32(x, channels, out) }
}

pub(crate) fn pack_i32(_: Avx2, x: &[i32], channels: usize, out: &mut [u64]) {
    // SAFETY: the token proves that the CPU has AVX2.
    unsafe { pack::pack_i32(x, channels, out) }
}

pub(crate) fn unpack(_: Avx2, bits: &[u64], channels: usize, out: &mut [f32]) {
    // SAFETY: the token proves that the CPU has AVX2.
    unsafe { pack::unpack(bits, channels, out) }
}

pub(crate) fn threshold(_: Avx2, x: &[i32], channels: usize, thresholds: &Thresholds<'_>, out: &mut [u64]) {
    // SAFETY: the token proves that the CPU has AVX2.
    unsafe { pack::threshold(x, channels, thresholds, out) }
}

pub(crate) fn max_bits(_: Avx2, conv: &Conv, x: &[u64], out: &mut [u64]) {
    #[target_feature(enable = "avx2")]
    fn stamped(conv: &Conv, x: &[u64], out: &mut [u64]) {
        super::generic::max_bits(conv, x, out);
    }
    // SAFETY: the token proves that the CPU has AVX2.
    unsafe { stamped(conv, x, out) }
}

pub(crate) fn pool(_: Avx2, conv: &Conv, pooling: Pooling, x: &[f32], row: usize, out: &mut [f32]) {
    #[target_feature(enable = "avx2")]
    fn stamped(conv: &Conv, pooling: Pooling, x: &[f32], row: usize, out: &mut [f32]) {
        super::generic::pool::pool(conv, pooling, x, row, out);
    }
    // SAFETY: the token proves that the CPU has AVX2.
    unsafe { stamped(conv, pooling, x, row, out) }
}

pub(crate) fn conv(_: Avx2, conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, out: Out<'_>) {
    #[target_feature(enable = "avx2,popcnt")]
    fn stamped(conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, out: Out<'_>) {
        super::portable::conv(conv, acts, weights, rows, out);
    }
    #[target_feature(enable = "avx2")]
    fn sliced(conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, out: Out<'_>) {
        super::generic::spread::conv::<depthwise::Words>(conv, acts, weights, rows, out);
    }
    if super::generic::spread::is_sliced(conv) {
        // SAFETY: the token proves that the CPU has AVX2.
        unsafe { sliced(conv, acts, weights, rows, out) }
    } else if layout::has_lanes(conv) {
        // SAFETY: the token proves that the CPU has AVX2.
        unsafe { conv::conv(conv, acts, weights, rows, out) }
    } else {
        // SAFETY: the token proves that the CPU has AVX2 and POPCNT.
        unsafe { stamped(conv, acts, weights, rows, out) }
    }
}

pub(crate) fn real_conv(
    _: Avx2,
    conv: &Conv,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    rows: Range<usize>,
    out: &mut [f32],
) {
    #[target_feature(enable = "avx2")]
    fn stamped(conv: &Conv, x: &[f32], w: &[f32], bias: Option<&[f32]>, rows: Range<usize>, out: &mut [f32]) {
        // Five pixels of 16 lanes are ten of the sixteen registers; with six, the compiler runs out of them.
        super::generic::real::conv::<Sums<real::Ymm, 2>, 5>(conv, x, w, bias, rows, out);
    }
    // SAFETY: the token proves that the CPU has AVX2.
    unsafe { stamped(conv, x, w, bias, rows, out) }
}

pub(crate) fn sign_gemm(_: Avx2, job: &SignJob<'_>, tables: &mut Tables, out: &mut [f32]) {
    #[target_feature(enable = "avx2")]
    fn stamped(job: &SignJob<'_>, tables: &mut Tables, out: &mut [f32]) {
        // Eight sums, enough to hide the latency of the additions.
        super::generic::sign_gemm::run::<Sums<real::Ymm, 2>, 4>(job, tables, out);
    }
    // SAFETY: the token proves that the CPU has AVX2.
    unsafe { stamped(job, tables, out) }
}

pub(crate) fn winograd(_: Avx2, job: &Job<'_>, rows: Range<usize>, scratch: &mut [f32], out: &mut [f32]) {
    #[target_feature(enable = "avx2")]
    fn stamped(job: &Job<'_>, rows: Range<usize>, scratch: &mut [f32], out: &mut [f32]) {
        super::generic::winograd::conv::<Sums<real::Ymm, 2>, 5>(job, rows, scratch, out);
    }
    // SAFETY: the token proves that the CPU has AVX2.
    unsafe { stamped(job, rows, scratch, out) }
}

pub(crate) fn channel_means(_: Avx2, c: usize, x: &[f32], out: &mut [f32]) {
    #[target_feature(enable = "avx2")]
    fn stamped(c: usize, x: &[f32], out: &mut [f32]) {
        super::generic::channel_means(c, x, out);
    }
    // SAFETY: the token proves that the CPU has AVX2.
    unsafe { stamped(c, x, out) }
}

pub(crate) fn elementwise(_: Avx2, op: &Elementwise<'_>, x: &mut [f32]) {
    #[target_feature(enable = "avx2")]
    fn stamped(op: &Elementwise<'_>, x: &mut [f32]) {
        super::generic::elementwise::apply(op, x);
    }
    // SAFETY: the token proves that the CPU has AVX2.
    unsafe { stamped(op, x) }
}
