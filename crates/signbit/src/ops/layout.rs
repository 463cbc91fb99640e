//! Operators that only move elements: concatenation, and flattening of bits.

use std::ops::Range;

use signbit_kernels::bits::{copy_bits, words};

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
