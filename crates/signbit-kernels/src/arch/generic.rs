//! Pooling and the scale map: the same code for every instruction set, compiled once for each. The
//! real convolution is in [`real`], its lanes in registers of x86-64 in `registers`, the epilogues are in [`elementwise`], the
//! pooling of real numbers in [`pool`], the binary convolutions of small groups are
//! in [`spread`] and [`depthwise`].

pub(crate) mod counters;
mod depthwise;
pub(crate) mod elementwise;
pub(crate) mod pool;
pub(crate) mod real;
#[cfg(target_arch = "x86_64")]
pub(crate) mod registers;
pub(crate) mod sign_gemm;
pub(crate) mod spread;
pub(crate) mod winograd;

use core::ops::Range;

use crate::{bits::words, shape::Conv, window::Pixels};

#[inline(always)]
pub(crate) fn max_bits(conv: &Conv, x: &[u64], out: &mut [u64]) {
    let words = words(conv.c_in);
    for (window, out) in Pixels::from_row(conv, 0).zip(out.chunks_exact_mut(words)) {
        out.fill(0);
        for ky in window.ky() {
            for kx in window.kx() {
                let at = window.input(conv, ky, kx) * words;
                for (out, x) in out.iter_mut().zip(&x[at..at + words]) {
                    *out |= x;
                }
            }
        }
    }
}

#[inline(always)]
pub(crate) fn channel_means(c: usize, x: &[f32], out: &mut [f32]) {
    let scale = 1.0 / c as f32;
    for (mean, x) in out.iter_mut().zip(x.chunks_exact(c)) {
        let mut p = [0.0f32; 8];
        let (eights, rest) = x.as_chunks::<8>();
        for x in eights {
            for (p, x) in p.iter_mut().zip(x) {
                *p += x.abs();
            }
        }
        for (p, x) in p.iter_mut().zip(rest) {
            *p += x.abs();
        }
        *mean = (((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))) * scale;
    }
}

pub(crate) fn scale_map(conv: &Conv, a: &[f32], rows: Range<usize>, out: &mut [f32]) {
    let scale = 1.0 / conv.taps() as f32;
    for (window, out) in Pixels::from_row(conv, rows.start).zip(out) {
        let mut sum = 0.0;
        for ky in window.ky() {
            for kx in window.kx() {
                sum += a[window.input(conv, ky, kx)];
            }
        }
        *out = sum * scale;
    }
}
