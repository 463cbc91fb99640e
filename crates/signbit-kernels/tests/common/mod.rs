//! A naive oracle in ±1 integers, a source of pseudo-random numbers and the shapes worth trying.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part of this module.

use proptest::prelude::*;
use signbit_kernels::shape::{Conv, Padding};

/// Channel counts around the widths of words, registers and register blocks.
pub const PADDINGS: [Padding; 3] = [Padding::Zero, Padding::One, Padding::MinusOne];

pub const SIZES: [usize; 16] = [1, 2, 3, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100, 127, 128, 130];

/// Knuth's 64-bit linear congruential generator.
pub struct Rng(pub u64);

impl Rng {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 32
    }

    pub fn sign(&mut self) -> i32 {
        if self.bits() & 1 == 1 { 1 } else { -1 }
    }

    pub fn signs(&mut self, len: usize) -> Vec<i32> {
        (0..len).map(|_| self.sign()).collect()
    }

    pub fn float(&mut self) -> f32 {
        self.bits() as f32 / (1u64 << 31) as f32 - 1.0
    }

    pub fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.float()).collect()
    }
}

/// Rows of ±1 as words, one bit at a time.
pub fn pack_rows(signs: &[i32], channels: usize) -> Vec<u64> {
    let mut out = Vec::new();
    for row in signs.chunks(channels) {
        for part in row.chunks(64) {
            out.push((0..part.len()).filter(|&i| part[i] > 0).map(|i| 1u64 << i).sum());
        }
    }
    out
}

/// The input value under one tap: `None` where the tap is padding.
fn tap<T: Copy>(conv: &Conv, x: &[T], n: usize, o: [usize; 2], k: [usize; 2], c: usize) -> Option<T> {
    let y = (o[0] * conv.stride[0] + k[0] * conv.dilation[0]) as isize - conv.pads[0] as isize;
    let x_ = (o[1] * conv.stride[1] + k[1] * conv.dilation[1]) as isize - conv.pads[1] as isize;
    let inside = (0..conv.h as isize).contains(&y) && (0..conv.w as isize).contains(&x_);
    inside.then(|| x[((n * conv.h + y as usize) * conv.w + x_ as usize) * conv.c_in + c])
}

/// Calls `each` with every output position and channel, and every tap and input channel of it, in order.
fn walk(conv: &Conv, mut each: impl FnMut(usize, usize, [usize; 2], [usize; 2], usize, usize)) {
    let (group_in, group_out) = (conv.c_in / conv.groups, conv.c_out / conv.groups);
    let mut out = 0;
    for n in 0..conv.n {
        for oy in 0..conv.out_h() {
            for ox in 0..conv.out_w() {
                for o in 0..conv.c_out {
                    let mut k = o * conv.kernel[0] * conv.kernel[1] * group_in;
                    for ky in 0..conv.kernel[0] {
                        for kx in 0..conv.kernel[1] {
                            for c in 0..group_in {
                                each(out, n, [oy, ox], [ky, kx], o / group_out * group_in + c, k);
                                k += 1;
                            }
                        }
                    }
                    out += 1;
                }
            }
        }
    }
}

/// Dot products of ±1 by the definition. `w` is `[c_out][k]`.
pub fn naive_dots(conv: &Conv, x: &[i32], w: &[i32]) -> Vec<i32> {
    let mut out = vec![0; conv.n * conv.out_h() * conv.out_w() * conv.c_out];
    let pad = match conv.padding {
        Padding::Zero => 0,
        Padding::One => 1,
        Padding::MinusOne => -1,
    };
    walk(conv, |i, n, o, k_at, c, k| out[i] += tap(conv, x, n, o, k_at, c).unwrap_or(pad) * w[k]);
    out
}

/// Real convolution by the definition.
pub fn naive_real(conv: &Conv, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let mut out = vec![0.0f32; conv.n * conv.out_h() * conv.out_w() * conv.c_out];
    walk(conv, |i, n, o, k_at, c, k| {
        if let Some(x) = tap(conv, x, n, o, k_at, c) {
            let product = x * w[k];
            out[i] += product;
        }
    });
    if let Some(bias) = bias {
        out.iter_mut().enumerate().for_each(|(i, out)| *out += bias[i % conv.c_out]);
    }
    out
}

/// Valid geometries with groups, strides, dilation, uneven padding of every kind.
pub fn convs() -> impl Strategy<Value = Conv> {
    let size = 1..8usize;
    let image = (0..3usize, size.clone(), size.clone(), 1..4usize);
    let channels = (
        prop_oneof![1..40usize, prop::sample::select(&SIZES[..])],
        prop_oneof![1..40usize, prop::sample::select(&SIZES[..])],
    );
    let windows =
        ([1..4usize, 1..4usize], [1..3usize, 1..3usize], [1..3usize, 1..3usize], [0..3usize, 0..3, 0..3, 0..3]);
    (image, channels, windows, prop::sample::select(&PADDINGS[..])).prop_filter_map(
        "window does not fit",
        |(image, channels, windows, padding)| {
            let ((n, h, w, groups), (group_in, group_out)) = (image, channels);
            let (kernel, stride, dilation, pads) = windows;
            let (c_in, c_out) = (groups * group_in, groups * group_out);
            let conv = Conv { n, h, w, c_in, c_out, kernel, stride, dilation, pads, padding, groups };
            conv.validate().ok().map(|()| conv)
        },
    )
}
