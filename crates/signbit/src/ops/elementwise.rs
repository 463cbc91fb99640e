//! Conversion of integers, and softmax.

use signbit_model::math;

/// Integers as real numbers, rounded to nearest even.
pub(crate) fn convert(x: &[i32], out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = x as f32;
    }
}

/// Softmax over the channels of each pixel: subtract the maximum, exponentiate, divide by the sum, which
/// starts at 0.0 and runs over the channels ascending.
pub(crate) fn softmax(x: &[f32], channels: usize, out: &mut [f32]) {
    for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
        let max = x[1..].iter().fold(x[0], |max, &x| if x > max { x } else { max });
        let mut sum = 0.0;
        for (out, x) in out.iter_mut().zip(x) {
            *out = math::exp(x - max);
            sum += *out;
        }
        out.iter_mut().for_each(|out| *out /= sum);
    }
}
