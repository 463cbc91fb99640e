//! Operators that only move elements: concatenation, slices, frames, and flattening of bits.

use std::ops::Range;

use signbit_kernels::bits::{copy_bits, words};
use signbit_model::Shape;

use crate::plan::{Step, Values};

/// Concatenates the channels of numbers; `read` finds an operand's numbers.
pub(super) fn concat<'a, T: Copy + 'a>(
    values: Values<'a>,
    step: &Step,
    rows: Range<usize>,
    out: &mut [T],
    read: impl Fn(Values<'a>, usize) -> &'a [T],
) {
    let shape = values.plan.types[step.output].shape;
    let mut first = 0;
    for &value in step.kernel_inputs() {
        let channels = values.plan.types[value].shape.c;
        let x = &read(values, value)[rows.start * shape.w * channels..];
        for (out, x) in out.chunks_exact_mut(shape.c).zip(x.chunks_exact(channels)) {
            out[first..first + channels].copy_from_slice(x);
        }
        first += channels;
    }
}

/// Concatenates the channels of bits.
pub(super) fn concat_bits(values: Values<'_>, step: &Step, rows: Range<usize>, out: &mut [u64]) {
    let shape = values.plan.types[step.output].shape;
    out.fill(0);
    let mut first = 0;
    for &value in step.kernel_inputs() {
        let channels = values.plan.types[value].shape.c;
        let x = &values.bits(value)[rows.start * shape.w * words(channels)..];
        for (out, x) in out.chunks_exact_mut(words(shape.c)).zip(x.chunks_exact(words(channels))) {
            copy_bits(x, 0, out, first, channels);
        }
        first += channels;
    }
}

/// The channels of each pixel from `start` on, as many as the output has.
pub(super) fn slice<T: Copy>(x: &[T], channels: [usize; 2], start: usize, pixels: Range<usize>, out: &mut [T]) {
    let [c_in, c_out] = channels;
    let x = &x[pixels.start * c_in..pixels.end * c_in];
    for (out, x) in out.chunks_exact_mut(c_out).zip(x.chunks_exact(c_in)) {
        out.copy_from_slice(&x[start..][..c_out]);
    }
}

/// [`slice`] of bits.
pub(super) fn slice_bits(x: &[u64], channels: [usize; 2], start: usize, pixels: Range<usize>, out: &mut [u64]) {
    let [c_in, c_out] = channels;
    let x = &x[pixels.start * words(c_in)..pixels.end * words(c_in)];
    out.fill(0);
    for (out, x) in out.chunks_exact_mut(words(c_out)).zip(x.chunks_exact(words(c_in))) {
        copy_bits(x, start, out, 0, c_out);
    }
}

/// Where the input lies in the output of a padding.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    pub(crate) top: usize,
    pub(crate) left: usize,
}

impl Frame {
    /// Makes output `rows` of the batch: `x` has `len` elements per pixel, `fill` writes whole pixels of the frame.
    pub(super) fn run<T: Copy>(&self, x: &[T], len: usize, rows: Range<usize>, out: &mut [T], fill: impl Fn(&mut [T])) {
        let row_len = self.input.w * len;
        for (row, out) in rows.zip(out.chunks_exact_mut(self.output.w * len)) {
            let (sample, y) = (row / self.output.h, row % self.output.h);
            let Some(y) = y.checked_sub(self.top).filter(|&y| y < self.input.h) else {
                fill(out);
                continue;
            };
            let (left, rest) = out.split_at_mut(self.left * len);
            let (middle, right) = rest.split_at_mut(row_len);
            fill(left);
            middle.copy_from_slice(&x[(sample * self.input.h + y) * row_len..][..row_len]);
            fill(right);
        }
    }

    /// [`Frame::run`] of bits: the frame is +1 or -1.
    pub(super) fn run_bits(&self, x: &[u64], rows: Range<usize>, out: &mut [u64], plus: bool) {
        let channels = self.input.c;
        let bits = if plus { u64::MAX } else { 0 };
        // The bits behind a pixel's last stay 0.
        let last = bits >> (channels.next_multiple_of(64) - channels);
        self.run(x, words(channels), rows, out, |pixels| {
            for pixel in pixels.chunks_exact_mut(words(channels)) {
                pixel.fill(bits);
                pixel[words(channels) - 1] = last;
            }
        });
    }
}

/// Moves the bits of all pixels of a sample together; `rows` are samples.
pub(super) fn flatten_bits(values: Values<'_>, step: &Step, rows: Range<usize>, out: &mut [u64]) {
    let shape = values.plan.types[step.inputs[0]].shape;
    let (pixels, pixel_words) = (shape.h * shape.w, words(shape.c));
    let x = &values.bits(step.inputs[0])[rows.start * pixels * pixel_words..];
    out.fill(0);
    let samples = x.chunks_exact(pixels * pixel_words).zip(out.chunks_exact_mut(words(pixels * shape.c)));
    for (x, out) in samples {
        for (i, pixel) in x.chunks_exact(pixel_words).enumerate() {
            copy_bits(pixel, 0, out, i * shape.c, shape.c);
        }
    }
}
