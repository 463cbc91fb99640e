//! Real layers in evaluation mode: the kernels with a fixed order of operations that the packed network uses too.

use rayon::prelude::*;
use signbit_kernels::{Conv, Isa, real};

use crate::tensor::Buffers;

/// `out[n, out_h, out_w, c_out]` of a real convolution (or [`Conv::dense`]) with weights `[c_out, K]`.
pub(super) fn fixed_order(
    isa: Isa,
    buffers: &mut Buffers,
    conv: &Conv,
    x: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    let mut packed = buffers.real(real::pack_len(isa, conv));
    real::pack(isa, conv, weights, &mut packed);
    let row = conv.out_w() * conv.c_out;
    let per_task = (16 * 1024 / row).max(1);
    out.par_chunks_mut(per_task * row).enumerate().for_each(|(i, out)| {
        let first = i * per_task;
        real::conv2d(isa, conv, x, &packed, bias, first..first + out.len() / row, out);
    });
    buffers.give(packed);
}
