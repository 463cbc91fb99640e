//! Gradients of a real depthwise convolution, over the channels of a pixel at once. One channel at a time as a matrix
//! product, as [`super::im2row`] would have it, is all overhead.

use pulp::Arch;
use signbit_kernels::Conv;

use super::parts::sum_parts;
use super::shapes::geometry_of;
use crate::ranks::{Ranks, per_part};
use crate::tensor::Buffers;

/// Whether every channel has its own filter and nothing else.
pub(super) fn is_depthwise(conv: &Conv) -> bool {
    conv.groups > 1 && conv.group_in() == 1 && conv.group_out() == 1
}

/// Writes the gradients by the weights, `dw` `[c, kh, kw]` (none where it is empty; else `x` is needed), and by the
/// input, `dx` `[n, h, w, c]` (none where it is empty).
pub(super) fn backward(
    ranks: Option<&Ranks>,
    conv: &Conv,
    buffers: &mut Buffers,
    x: Option<&[f32]>,
    weights: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    dx: &mut [f32],
) {
    let (c, taps) = (conv.c_in, conv.taps());
    let (x_len, dy_len) = (conv.h * conv.w * c, conv.out_h() * conv.out_w() * c);
    let per_part = per_part(ranks, conv.n);
    let parts = conv.n.div_ceil(per_part);
    // Taps outermost, so that the channels of a tap lie side by side.
    let turned: Vec<f32> = (0..taps * c).map(|i| weights[i % c * taps + i / c]).collect();
    dx.fill(0.0);
    let dx_parts: Vec<&mut [f32]> = match dx.is_empty() {
        true => (0..parts).map(|_| &mut [][..]).collect(),
        false => dx.chunks_mut(per_part * x_len).collect(),
    };
    let mut total = buffers.real(dw.len());
    let items = dy.chunks(per_part * dy_len).zip(dx_parts).collect();
    sum_parts(ranks, buffers, items, &mut total, |part, (dy, dx), dw| {
        dw.fill(0.0);
        for (i, dy) in dy.chunks_exact(dy_len).enumerate() {
            let dx = if dx.is_empty() { &mut [][..] } else { &mut dx[i * x_len..(i + 1) * x_len] };
            let x = x.map_or(&[][..], |x| &x[(part * per_part + i) * x_len..][..x_len]);
            sample(conv, x, &turned, dy, dw, dx);
        }
    });
    dw.iter_mut().enumerate().for_each(|(i, d)| *d = total[i % taps * c + i / taps]);
    buffers.give(total);
}

/// One sample; `dw` is summed up, taps outermost.
fn sample(conv: &Conv, x: &[f32], weights: &[f32], dy: &[f32], dw: &mut [f32], dx: &mut [f32]) {
    let (geometry, c, [kh, kw]) = (geometry_of(conv), conv.c_in, conv.kernel);
    for (pixel, dy) in dy.chunks_exact(c).enumerate() {
        let (oy, ox) = (pixel / conv.out_w(), pixel % conv.out_w());
        for tap in 0..kh * kw {
            let (Some(y), Some(column)) = (geometry.row(oy, tap / kw, conv.h), geometry.column(ox, tap % kw, conv.w))
            else {
                continue;
            };
            let (at, own) = ((y * conv.w + column) * c, tap * c);
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    if !dx.is_empty() {
                        let factors = dy.iter().zip(&weights[own..own + c]);
                        dx[at..at + c].iter_mut().zip(factors).for_each(|(d, (dy, w))| *d += dy * w);
                    }
                    if !dw.is_empty() {
                        let factors = dy.iter().zip(&x[at..at + c]);
                        dw[own..own + c].iter_mut().zip(factors).for_each(|(d, (dy, x))| *d += dy * x);
                    }
                },
            );
        }
    }
}
