//! The definitions in plain loops over ±1. Slow and obvious; every other path is tested against these.

use core::ops::Range;

use crate::{
    bits::words,
    conv::Out,
    pool::Pooling,
    real::{LANES, is_depthwise},
    shape::{Conv, Padding},
    sign_gemm::Job as SignJob,
    threshold::Thresholds,
};

/// ±1 of one bit.
fn sign(words: &[u64], bit: usize) -> i32 {
    if words[bit / 64] >> (bit % 64) & 1 == 1 { 1 } else { -1 }
}

pub(crate) fn pack<T: Copy>(x: &[T], channels: usize, out: &mut [u64], is_plus: impl Fn(T) -> bool) {
    out.fill(0);
    for (i, &x) in x.iter().enumerate() {
        let (row, c) = (i / channels, i % channels);
        out[row * words(channels) + c / 64] |= (is_plus(x) as u64) << (c % 64);
    }
}

pub(crate) fn unpack(bits: &[u64], channels: usize, out: &mut [f32]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (row, c) = (i / channels, i % channels);
        *out = sign(&bits[row * words(channels)..], c) as f32;
    }
}

pub(crate) fn threshold(x: &[i32], channels: usize, thresholds: &Thresholds<'_>, out: &mut [u64]) {
    out.fill(0);
    for (i, &x) in x.iter().enumerate() {
        let (row, c) = (i / channels, i % channels);
        out[row * words(channels) + c / 64] |= (thresholds.bit(c, x) as u64) << (c % 64);
    }
}

pub(crate) fn max_bits(conv: &Conv, x: &[u64], out: &mut [u64]) {
    let words = words(conv.c_in);
    for (pixel, out) in out.chunks_exact_mut(words).enumerate() {
        let [n, oy, ox] = conv.locate(pixel);
        out.fill(0);
        for ky in 0..conv.kernel[0] {
            for kx in 0..conv.kernel[1] {
                let (Some(y), Some(x_)) = (conv.in_y(oy, ky), conv.in_x(ox, kx)) else {
                    continue;
                };
                let at = ((n * conv.h + y) * conv.w + x_) * words;
                for (out, x) in out.iter_mut().zip(&x[at..]) {
                    *out |= x;
                }
            }
        }
    }
}

pub(crate) fn pool(conv: &Conv, pooling: Pooling, x: &[f32], row: usize, out: &mut [f32]) {
    for (i, out) in out.iter_mut().enumerate() {
        let (pixel, c) = (row * conv.out_w() + i / conv.c_in, i % conv.c_in);
        let [n, oy, ox] = conv.locate(pixel);
        let (mut max, mut sum, mut taps) = (f32::NEG_INFINITY, 0.0, 0);
        for ky in 0..conv.kernel[0] {
            for kx in 0..conv.kernel[1] {
                let (Some(y), Some(x_)) = (conv.in_y(oy, ky), conv.in_x(ox, kx)) else {
                    continue;
                };
                let x = x[((n * conv.h + y) * conv.w + x_) * conv.c_in + c];
                max = if taps == 0 || x > max { x } else { max };
                (sum, taps) = (sum + x, taps + 1);
            }
        }
        *out = match pooling {
            Pooling::Max => max,
            Pooling::Mean { count } => sum / count.unwrap_or(taps) as f32,
        };
    }
}

pub(crate) fn packed_len(conv: &Conv) -> usize {
    conv.c_out * words(conv.k())
}

pub(crate) fn pack_weights(rows: &[u64], out: &mut [u64]) {
    out.copy_from_slice(rows);
}

pub(crate) fn conv(conv: &Conv, acts: &[u64], weights: &[u64], rows: Range<usize>, mut out: Out<'_>) {
    let first = rows.start * conv.out_w();
    for pixel in first..rows.end * conv.out_w() {
        for o in 0..conv.c_out {
            out.store(conv.c_out, pixel - first, o, dot(conv, acts, weights, conv.locate(pixel), o));
        }
    }
}

/// The dot product of one window with the weights of output channel `o`.
fn dot(conv: &Conv, acts: &[u64], weights: &[u64], [n, oy, ox]: [usize; 3], o: usize) -> i32 {
    let row = &weights[o * words(conv.k())..];
    let group = o / conv.group_out();
    let mut sum = 0;
    for ky in 0..conv.kernel[0] {
        for kx in 0..conv.kernel[1] {
            for c in 0..conv.group_in() {
                let act = match (conv.in_y(oy, ky), conv.in_x(ox, kx), conv.padding) {
                    (Some(y), Some(x), _) => {
                        let pixel = &acts[((n * conv.h + y) * conv.w + x) * words(conv.c_in)..];
                        sign(pixel, group * conv.group_in() + c)
                    }
                    (_, _, Padding::Zero) => 0,
                    (_, _, Padding::One) => 1,
                    (_, _, Padding::MinusOne) => -1,
                };
                sum += act * sign(row, (ky * conv.kernel[1] + kx) * conv.group_in() + c);
            }
        }
    }
    sum
}

pub(crate) fn real_conv(conv: &Conv, x: &[f32], w: &[f32], bias: Option<&[f32]>, rows: Range<usize>, out: &mut [f32]) {
    let first = rows.start * conv.out_w();
    for (i, out) in out.iter_mut().enumerate() {
        let (pixel, o) = (first + i / conv.c_out, i % conv.c_out);
        let sum = real_dot(conv, x, w, conv.locate(pixel), o);
        *out = bias.map_or(sum, |bias| sum + bias[o]);
    }
}

fn real_dot(conv: &Conv, x: &[f32], w: &[f32], [n, oy, ox]: [usize; 3], o: usize) -> f32 {
    let group = o / conv.group_out();
    // The layout of `real::pack`: blocks of output channels, within a group or (depthwise) over all.
    let lane = if is_depthwise(conv) { o } else { o % conv.group_out() };
    let blocks = if is_depthwise(conv) { 0 } else { group * conv.group_out().div_ceil(LANES) };
    let block = &w[(blocks + lane / LANES) * conv.k() * LANES..];
    let mut sum = 0.0;
    for ky in 0..conv.kernel[0] {
        for kx in 0..conv.kernel[1] {
            let (Some(y), Some(x_)) = (conv.in_y(oy, ky), conv.in_x(ox, kx)) else {
                continue;
            };
            for c in 0..conv.group_in() {
                let k = (ky * conv.kernel[1] + kx) * conv.group_in() + c;
                let at = ((n * conv.h + y) * conv.w + x_) * conv.c_in + group * conv.group_in() + c;
                sum += x[at] * block[k * LANES + lane % LANES];
            }
        }
    }
    sum
}

pub(crate) fn sign_gemm(job: &SignJob<'_>, out: &mut [f32]) {
    let words = words(job.k);
    for word in 0..words {
        for (part, start) in job.places.starts.iter().enumerate() {
            for row in 0..job.rows {
                let signs = &job.signs[(part * job.rows + row) * words..];
                for column in 0..LANES {
                    let product = |i: usize| job.b.get(i).map_or(0.0, |b| sign(signs, i) as f32 * b[column]);
                    let fours = (word * 64..job.k.min(word * 64 + 64)).step_by(4);
                    let sum = fours
                        .fold(0.0, |sum, i| sum + ((product(i) + product(i + 1)) + (product(i + 2) + product(i + 3))));
                    let out = &mut out[start + row * job.places.step + column];
                    *out = if job.add || word > 0 { *out + sum } else { sum };
                }
            }
        }
    }
}

pub(crate) fn channel_means(channels: usize, x: &[f32], out: &mut [f32]) {
    for (mean, x) in out.iter_mut().zip(x.chunks_exact(channels)) {
        let mut p = [0.0f32; 8];
        for (c, x) in x.iter().enumerate() {
            p[c % 8] += x.abs();
        }
        *mean = (((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))) * (1.0 / channels as f32);
    }
}

pub(crate) fn scale_map(conv: &Conv, a: &[f32], rows: Range<usize>, out: &mut [f32]) {
    let first = rows.start * conv.out_w();
    for (pixel, out) in out.iter_mut().enumerate() {
        let [n, oy, ox] = conv.locate(first + pixel);
        let mut sum = 0.0;
        for ky in 0..conv.kernel[0] {
            for kx in 0..conv.kernel[1] {
                let (Some(y), Some(x)) = (conv.in_y(oy, ky), conv.in_x(ox, kx)) else {
                    continue;
                };
                sum += a[(n * conv.h + y) * conv.w + x];
            }
        }
        *out = sum * (1.0 / conv.taps() as f32);
    }
}
