//! Real layers in evaluation mode: the kernels with a fixed order of operations that the packed network uses too.

use rayon::prelude::*;
use signbit_kernels::{Conv, real};

use crate::op::Context;

/// `out[n, out_h, out_w, c_out]` of a real convolution (or [`Conv::dense`]) with weights `[c_out, K]`.
pub(super) fn fixed_order(
    cx: &mut Context<'_>,
    conv: &Conv,
    x: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    let mut packed = cx.buffers.real(real::pack_len(cx.isa, conv));
    real::pack(cx.isa, conv, weights, &mut packed);
    let row = conv.out_w() * conv.c_out;
    let per_task = (16 * 1024 / row).max(1);
    let isa = cx.isa;
    out.par_chunks_mut(per_task * row).enumerate().for_each(|(i, out)| {
        let first = i * per_task;
        real::conv2d(isa, conv, x, &packed, bias, first..first + out.len() / row, out);
    });
    cx.buffers.give(packed);
}
