//! The 128-bit vectors of WebAssembly. They are a property of the whole module, not of the machine that runs it, so all
//! of the crate is compiled with them: what has no function of its own here is the code of every CPU, vectorised by the compiler.

mod conv;
mod gather;
mod kernel;
mod layout;
mod pack;
mod store;

use core::ops::Range;

pub(crate) use self::{
    conv::conv,
    layout::{pack_weights, packed_len},
    pack::{pack_f32, pack_i32, threshold},
};
pub(crate) use super::{
    generic::{channel_means, elementwise::apply as elementwise, max_bits},
    portable::unpack,
};
use crate::{
    real::LANES,
    shape::Conv,
    sign_gemm::{Job as SignJob, Tables},
};

pub(crate) fn real_conv(conv: &Conv, x: &[f32], w: &[f32], bias: Option<&[f32]>, rows: Range<usize>, out: &mut [f32]) {
    // Two pixels of 16 lanes are eight of the sixteen registers of the smaller hosts.
    super::generic::real::conv::<[f32; LANES], 2>(conv, x, w, bias, rows, out);
}

pub(crate) fn sign_gemm(job: &SignJob<'_>, tables: &mut Tables, out: &mut [f32]) {
    super::generic::sign_gemm::run::<[f32; LANES], 2>(job, tables, out);
}

pub(crate) fn winograd(
    job: &super::generic::winograd::Job<'_>,
    rows: Range<usize>,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    super::generic::winograd::conv::<[f32; LANES], 2>(job, rows, scratch, out);
}
