//! AVX-512: one set of entries for both tokens, but for the convolution. With VPOPCNTDQ, lanes are words of 32 bits that
//! are counted at once (`popcnt`); with BW alone, the tables of AVX2 are looked up for 64 output channels (`table`). What
//! would leave most lanes empty goes the way of AVX2, and so does what waits for memory more than for the arithmetic: elementwise
//! operators, pooling, packing.

pub(crate) mod popcnt;
pub(crate) mod table;

mod real;
mod store;
mod unpack;

use core::ops::Range;

use super::avx2;
use super::generic::{registers::Sums, winograd::Job};
use crate::{
    conv::Out,
    isa::{Avx512Bw, Avx512Vpopcnt},
    shape::Conv,
    sign_gemm::{Job as SignJob, Tables},
};

pub(crate) fn unpack(_: Avx512Bw, bits: &[u64], channels: usize, out: &mut [f32]) {
    // SAFETY: the token proves that the CPU has AVX-512 F.
    unsafe { unpack::unpack(bits, channels, out) }
}

/// With the tables.
pub(crate) fn conv_bw(token: Avx512Bw, conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, out: Out<'_>) {
    if table::has_lanes(conv) {
        // SAFETY: the token proves that the CPU has AVX-512 F and BW.
        unsafe { table::conv(conv, acts, weights, rows, out) }
    } else {
        avx2::conv(token.into(), conv, acts, weights, rows, out);
    }
}

/// With VPOPCNTDQ.
pub(crate) fn conv_vpopcnt(
    token: Avx512Vpopcnt,
    conv: &Conv,
    acts: &[u64],
    weights: &[u64],
    rows: Range<usize>,
    out: Out<'_>,
) {
    if popcnt::has_lanes(conv) {
        // SAFETY: the token proves that the CPU has AVX-512 F and VPOPCNTDQ.
        unsafe { popcnt::conv(conv, acts, weights, rows, out) }
    } else {
        avx2::conv(token.into(), conv, acts, weights, rows, out);
    }
}

pub(crate) fn real_conv(
    _: Avx512Bw,
    conv: &Conv,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    rows: Range<usize>,
    out: &mut [f32],
) {
    #[target_feature(enable = "avx512f")]
    fn stamped(conv: &Conv, x: &[f32], w: &[f32], bias: Option<&[f32]>, rows: Range<usize>, out: &mut [f32]) {
        // Eight pixels are enough to hide the latency of the additions, and few are left over in a row of 8, 16 or 56.
        super::generic::real::conv::<Sums<real::Zmm, 1>, 8>(conv, x, w, bias, rows, out);
    }
    // SAFETY: the token proves that the CPU has AVX-512 F.
    unsafe { stamped(conv, x, w, bias, rows, out) }
}

pub(crate) fn sign_gemm(_: Avx512Bw, job: &SignJob<'_>, tables: &mut Tables, out: &mut [f32]) {
    #[target_feature(enable = "avx512f")]
    fn stamped(job: &SignJob<'_>, tables: &mut Tables, out: &mut [f32]) {
        // Eight sums, enough to hide the latency of the additions.
        super::generic::sign_gemm::run::<Sums<real::Zmm, 1>, 8>(job, tables, out);
    }
    // SAFETY: the token proves that the CPU has AVX-512 F.
    unsafe { stamped(job, tables, out) }
}

pub(crate) fn winograd(_: Avx512Bw, job: &Job<'_>, rows: Range<usize>, scratch: &mut [f32], out: &mut [f32]) {
    #[target_feature(enable = "avx512f")]
    fn stamped(job: &Job<'_>, rows: Range<usize>, scratch: &mut [f32], out: &mut [f32]) {
        super::generic::winograd::conv::<Sums<real::Zmm, 1>, 8>(job, rows, scratch, out);
    }
    // SAFETY: the token proves that the CPU has AVX-512 F.
    unsafe { stamped(job, rows, scratch, out) }
}
