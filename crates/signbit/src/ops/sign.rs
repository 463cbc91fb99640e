//! Signs of real numbers that nobody else reads: elementwise operators, and a concatenation of channels, run on a few
//! pixels at a time on the way to the bits, and their results are never stored.

use std::ops::Range;

use signbit_kernels::bits;

use crate::plan::{Step, Values};

/// Numbers that are on the way at a time: the most channels that a pixel may have.
pub(crate) const BLOCK: usize = 4096;

/// Makes `rows` of the output.
pub(super) fn run(values: Values<'_>, step: &Step, rows: Range<usize>, out: &mut [u64]) {
    let (isa, shape) = (values.plan.isa, values.plan.types[step.output].shape);
    let (channels, words) = (shape.c, bits::words(shape.c));
    let pixels = rows.start * shape.w..rows.end * shape.w;
    let parts = step.kernel_inputs();
    if let ([x], []) = (parts, &step.stages[..]) {
        return bits::pack_signs(isa, &values.f32(*x)[pixels.start * channels..pixels.end * channels], channels, out);
    }
    let mut buffer = [0.0; BLOCK];
    let at_once = BLOCK / channels;
    for (i, out) in out.chunks_mut(at_once * words).enumerate() {
        let (first, count) = (pixels.start + i * at_once, out.len() / words);
        let buffer = &mut buffer[..count * channels];
        let mut channel = 0;
        for &part in parts {
            let c = values.plan.types[part].shape.c;
            let x = &values.f32(part)[first * c..(first + count) * c];
            for (out, x) in buffer.chunks_exact_mut(channels).zip(x.chunks_exact(c)) {
                out[channel..channel + c].copy_from_slice(x);
            }
            channel += c;
        }
        for stage in &step.stages {
            stage.run(values, step, first * channels, buffer);
        }
        bits::pack_signs(isa, buffer, channels, out);
    }
}
