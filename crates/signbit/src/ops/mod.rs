//! What a step computes, one file per family: safe loops around the bit and real kernels of
//! `signbit-kernels`.
//!
//! A kernel makes its output in rows (of the batch's images, or whole samples), any range of them at a
//! time, so that rows can be shared among threads and an epilogue can run while they are in the cache.

pub(crate) mod binary;
pub(crate) mod elementwise;
pub(crate) mod layout;
pub(crate) mod pooled;
pub(crate) mod real;
pub(crate) mod sign;
pub(crate) mod stage;
pub(crate) mod transposed;
pub(crate) mod window;

use std::ops::Range;

use signbit_kernels::pool::Pooling;
use signbit_kernels::shape::Conv;
use signbit_model::{DType, ValueType};

use crate::memory::Memory;
use crate::plan::{Place, Plan, Step, Values};
use crate::threads::{Rows, Workers};
use binary::{Binary, Thresholds};
use layout::Frame;
use pooled::Pooled;
use real::{Real, ScaleMap};
use stage::PerChannel;
use transposed::Transposed;
use window::Window;

/// What a step does, by the type of what it makes.
#[derive(Debug)]
pub(crate) enum Kernel {
    F32(F32Kernel),
    I32(I32Kernel),
    Bits(BitsKernel),
    /// Nothing: the output is the input under another shape.
    Alias,
}

/// Kernels that make real numbers.
#[derive(Debug)]
pub(crate) enum F32Kernel {
    /// The input, for the stages that follow.
    Copy,
    /// Integers as real numbers.
    Convert,
    /// Bits as +1.0 and -1.0.
    Unpack,
    Real(Real),
    /// A real convolution that is pooled as it is made.
    Pooled(Box<Pooled>),
    /// Binary dot products as real numbers.
    Dots(Binary),
    /// With the bias.
    TransposedReal(Transposed<Real>, Option<PerChannel>),
    /// Dot products of a transposed convolution as real numbers.
    TransposedDots(Transposed<Binary>),
    Pool(Window, Pooling),
    Concat,
    /// With the value of the frame.
    Pad(Frame, f32),
    /// From this channel on.
    Slice(usize),
    Softmax,
    ScaleMap(ScaleMap),
}

/// Kernels that make integers.
#[derive(Debug)]
pub(crate) enum I32Kernel {
    /// Binary dot products.
    Dots(Binary),
    TransposedDots(Transposed<Binary>),
    Max(Window),
    Concat,
    /// From this channel on.
    Slice(usize),
}

/// Kernels that make bits.
#[derive(Debug)]
pub(crate) enum BitsKernel {
    /// Binary dot products, compared with thresholds.
    Dots(Binary, Thresholds),
    TransposedDots(Transposed<Binary>, Thresholds),
    /// Signs of real numbers, after the step's stages.
    Sign,
    /// Signs of integers.
    SignI32,
    /// Signs of real numbers from which a shift has been subtracted.
    RSign(PerChannel),
    Threshold(Thresholds),
    Max(Window),
    Concat,
    /// With a frame of +1, or else of -1.
    Pad(Frame, bool),
    /// From this channel on.
    Slice(usize),
    /// Closes the gaps behind each pixel's bits.
    Flatten,
}

/// The part of a step's output that one call makes.
#[derive(Debug)]
pub(crate) enum Part {
    /// Rows of the batch's images, or whole samples.
    Rows(Range<usize>),
    /// Channels of the one pixel that the output has: a dense layer of one sample. They begin at a multiple of 64.
    Channels(Range<usize>),
}

impl Part {
    /// The rows; the one that there is, for channels.
    fn rows(&self) -> Range<usize> {
        match self {
            Self::Rows(rows) => rows.clone(),
            Self::Channels(_) => 0..1,
        }
    }
}

impl Kernel {
    /// Elements of scratch per sample of a `batch`, of the output's type and for outputs of `channels`.
    pub(crate) fn scratch_len(&self, channels: usize, batch: usize) -> Option<usize> {
        match self {
            Self::F32(F32Kernel::ScaleMap(map)) => Some(map.scratch_len()),
            Self::F32(F32Kernel::Pooled(pooled)) => Some(pooled.scratch_len().div_ceil(batch)),
            Self::F32(F32Kernel::TransposedReal(layer, _)) => Some(layer.scratch_pixels().saturating_mul(channels)),
            Self::F32(F32Kernel::TransposedDots(layer)) | Self::I32(I32Kernel::TransposedDots(layer)) => {
                Some(layer.scratch_pixels().saturating_mul(channels))
            }
            Self::Bits(BitsKernel::TransposedDots(layer, _)) => {
                Some(layer.scratch_pixels().saturating_mul(signbit_kernels::bits::words(channels)))
            }
            _ => None,
        }
    }
}

/// Runs one step for `n` samples: reads from `memory` and `input`, writes its output to `memory`.
pub(crate) fn run(plan: &Plan, workers: &Workers, step: &Step, n: usize, input: &[f32], memory: &mut Memory) {
    let Place::Buffer(at) = plan.places.of[step.output] else {
        return;
    };
    // The output's buffer and the scratch leave the memory while they are written to.
    match &step.kernel {
        Kernel::Alias => {}
        Kernel::F32(kernel) => {
            let mut out = std::mem::take(&mut memory.f32[at]);
            let mut scratch = step.scratch.map(|i| std::mem::take(&mut memory.f32[i])).unwrap_or_default();
            let values = Values { plan, n, input, memory };
            run_f32(kernel, values, workers, step, &mut scratch, &mut out[..values.len(step.output)]);
            if let Some(i) = step.scratch {
                memory.f32[i] = scratch;
            }
            memory.f32[at] = out;
        }
        Kernel::I32(kernel) => {
            let mut out = std::mem::take(&mut memory.i32[at]);
            let mut scratch = step.scratch.map(|i| std::mem::take(&mut memory.i32[i])).unwrap_or_default();
            let values = Values { plan, n, input, memory };
            let (out_len, height) = (values.len(step.output), plan.types[step.output].shape.h);
            kernel.prepare(values, workers, step, &mut scratch);
            let run = |part, out: &mut [i32]| kernel.run(values, step, &scratch, part, out);
            values.for_parts(workers, step, height, &mut out[..out_len], run);
            if let Some(i) = step.scratch {
                memory.i32[i] = scratch;
            }
            memory.i32[at] = out;
        }
        Kernel::Bits(kernel) => {
            let mut out = std::mem::take(&mut memory.bits[at]);
            let mut scratch = step.scratch.map(|i| std::mem::take(&mut memory.bits[i])).unwrap_or_default();
            let values = Values { plan, n, input, memory };
            let height = if kernel.wants_whole_samples() { 1 } else { plan.types[step.output].shape.h };
            let out_len = values.len(step.output);
            kernel.prepare(values, workers, step, &mut scratch);
            let run = |part, out: &mut [u64]| kernel.run(values, step, &scratch, part, out);
            values.for_parts(workers, step, height, &mut out[..out_len], run);
            if let Some(i) = step.scratch {
                memory.bits[i] = scratch;
            }
            memory.bits[at] = out;
        }
    }
}

fn run_f32(
    kernel: &F32Kernel,
    values: Values<'_>,
    workers: &Workers,
    step: &Step,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let (x, height) = (step.inputs[0], values.plan.types[step.output].shape.h);
    match kernel {
        F32Kernel::ScaleMap(map) => map.means(values, workers, step, scratch),
        F32Kernel::Pooled(pooled) => return pooled.run(values, workers, step, scratch, out),
        F32Kernel::TransposedReal(layer, _) => {
            layer.run_phases(values, workers, step, scratch, |real, rows, out| {
                real.run(values, x, &Part::Rows(rows), out);
            });
        }
        F32Kernel::TransposedDots(layer) => {
            layer.run_phases(values, workers, step, scratch, |dots, rows, out| {
                dots.dots_f32(values, x, &Part::Rows(rows), out);
            });
        }
        _ => {}
    }
    let scratch = &*scratch;
    if values.by_channels(step) {
        values.for_parts(workers, step, height, out, |part, out| kernel.run(values, step, scratch, part, out));
        return stage::run(values, step, &step.stages, 0, out);
    }
    let rows = values.rows(step, height);
    workers.for_rows(out, rows, |first, out| {
        kernel.run(values, step, scratch, Part::Rows(first..first + out.len() / rows.len), out);
        stage::run(values, step, &step.stages, first * rows.len, out);
    });
}

impl F32Kernel {
    /// Makes a part of the output.
    fn run(&self, values: Values<'_>, step: &Step, scratch: &[f32], part: Part, out: &mut [f32]) {
        let (isa, x) = (values.plan.isa, step.inputs[0]);
        let rows = part.rows();
        match self {
            // In place, the input is there already.
            Self::Copy if step.in_place => {}
            Self::Copy => out.copy_from_slice(same_range(values.f32(x), &rows, out.len())),
            Self::Convert => elementwise::convert(same_range(values.i32(x), &rows, out.len()), out),
            Self::Unpack => {
                let shape = values.plan.types[x].shape;
                let row = shape.w * signbit_kernels::bits::words(shape.c);
                let x = &values.bits(x)[rows.start * row..rows.end * row];
                signbit_kernels::bits::unpack_signs(isa, x, shape.c, out);
            }
            Self::Real(real) => real.run(values, x, &part, out),
            Self::Dots(binary) => binary.dots_f32(values, x, &part, out),
            Self::TransposedReal(layer, bias) => {
                layer.interleave(values, step, scratch, rows, out, |out| match bias {
                    Some(bias) => out.iter_mut().zip(bias).for_each(|(out, bias)| *out = 0.0 + bias),
                    None => out.fill(0.0),
                });
            }
            Self::TransposedDots(layer) => {
                layer.interleave(values, step, scratch, rows, out, |out| out.fill(0.0));
            }
            Self::Pool(window, pooling) => window.pool(isa, values.n, *pooling, values.f32(x), rows, out),
            Self::Concat => {
                layout::concat(values, step, rows, out, |values, value| values.f32(value));
            }
            Self::Pad(frame, value) => frame.run(values.f32(x), frame.input.c, rows, out, |out| out.fill(*value)),
            Self::Slice(start) => {
                let (channels, pixels) = values.channels_and_pixels(step, &rows);
                layout::slice(values.f32(x), channels, *start, pixels, out);
            }
            Self::Softmax => {
                let channels = values.plan.types[x].shape.c;
                elementwise::softmax(same_range(values.f32(x), &rows, out.len()), channels, out);
            }
            Self::ScaleMap(map) => map.run(values, scratch, rows, out),
            // Runs as a whole, and not row by row.
            Self::Pooled(_) => {}
        }
    }
}

impl I32Kernel {
    /// What comes before the rows: fills the scratch.
    fn prepare(&self, values: Values<'_>, workers: &Workers, step: &Step, scratch: &mut [i32]) {
        if let Self::TransposedDots(layer) = self {
            let x = step.inputs[0];
            layer.run_phases(values, workers, step, scratch, |dots, rows, out| {
                dots.dots(values, x, &Part::Rows(rows), out);
            });
        }
    }

    /// Makes a part of the output.
    fn run(&self, values: Values<'_>, step: &Step, scratch: &[i32], part: Part, out: &mut [i32]) {
        let x = step.inputs[0];
        let rows = part.rows();
        match self {
            Self::Dots(binary) => binary.dots(values, x, &part, out),
            Self::TransposedDots(layer) => layer.interleave(values, step, scratch, rows, out, |out| out.fill(0)),
            Self::Max(window) => window.max_i32(values.i32(x), rows, out),
            Self::Concat => {
                layout::concat(values, step, rows, out, |values, value| values.i32(value));
            }
            Self::Slice(start) => {
                let (channels, pixels) = values.channels_and_pixels(step, &rows);
                layout::slice(values.i32(x), channels, *start, pixels, out);
            }
        }
    }
}

impl BitsKernel {
    /// Whether its rows are samples.
    fn wants_whole_samples(&self) -> bool {
        matches!(self, Self::Max(_) | Self::Flatten)
    }

    /// What comes before the rows: fills the scratch.
    fn prepare(&self, values: Values<'_>, workers: &Workers, step: &Step, scratch: &mut [u64]) {
        if let Self::TransposedDots(layer, t) = self {
            let x = step.inputs[0];
            layer.run_phases(values, workers, step, scratch, |dots, rows, out| {
                dots.bits(values, x, t, &Part::Rows(rows), out);
            });
        }
    }

    /// Makes a part of the output.
    fn run(&self, values: Values<'_>, step: &Step, scratch: &[u64], part: Part, out: &mut [u64]) {
        let x = step.inputs[0];
        let rows = part.rows();
        let (isa, channels) = (values.plan.isa, values.plan.types[x].shape.c);
        // The numbers whose bits the rows are.
        let numbers = values.rows_of(step, &rows);
        match self {
            Self::Dots(binary, thresholds) => binary.bits(values, x, thresholds, &part, out),
            Self::TransposedDots(layer, thresholds) => {
                layer.interleave(values, step, scratch, rows, out, |out| thresholds.of_nothing(out));
            }
            Self::Sign => sign::run(values, step, rows, out),
            Self::SignI32 => {
                signbit_kernels::bits::pack_signs_i32(isa, &values.i32(x)[numbers], channels, out);
            }
            Self::RSign(shift) => binary::rsign(isa, &values.f32(x)[numbers], shift, out),
            Self::Threshold(thresholds) => {
                let x = &values.i32(x)[numbers];
                signbit_kernels::threshold::apply_i32(isa, x, channels, &thresholds.view(&part), out);
            }
            Self::Max(window) => window.max_bits(isa, values.bits(x), rows, out),
            Self::Concat => layout::concat_bits(values, step, rows, out),
            Self::Pad(frame, plus) => frame.run_bits(values.bits(x), rows, out, *plus),
            Self::Slice(start) => {
                let (channels, pixels) = values.channels_and_pixels(step, &rows);
                layout::slice_bits(values.bits(x), channels, *start, pixels, out);
            }
            Self::Flatten => layout::flatten_bits(values, step, rows, out),
        }
    }
}

/// The part of `x` that belongs to `rows`, for kernels whose input has the output's shape.
fn same_range<'a, T>(x: &'a [T], rows: &Range<usize>, out_len: usize) -> &'a [T] {
    let row_len = out_len / rows.len();
    &x[rows.start * row_len..rows.end * row_len]
}

impl Kernel {
    /// The convolution, or dense layer, of one sample.
    pub(crate) fn conv(&self) -> Option<&Conv> {
        match self {
            Self::F32(F32Kernel::Real(real)) => Some(&real.conv),
            Self::F32(F32Kernel::Pooled(pooled)) => Some(&pooled.real.conv),
            Self::F32(F32Kernel::Dots(binary))
            | Self::I32(I32Kernel::Dots(binary))
            | Self::Bits(BitsKernel::Dots(binary, _)) => Some(&binary.conv),
            _ => None,
        }
    }
}

impl Values<'_> {
    /// Whether the output of `step` is one pixel whose channels can be made in parts.
    fn by_channels(&self, step: &Step) -> bool {
        self.n == 1 && step.kernel.conv().is_some_and(|conv| conv.groups == 1 && conv.out_h() * conv.out_w() == 1)
    }

    /// Calls `f` for all parts of `out`, the output of `step`, for samples of `height` rows.
    fn for_parts<T: Send>(
        self,
        workers: &Workers,
        step: &Step,
        height: usize,
        out: &mut [T],
        f: impl Fn(Part, &mut [T]) + Send + Sync,
    ) {
        if !self.by_channels(step) {
            let rows = self.rows(step, height);
            let len = rows.len;
            return workers.for_rows(out, rows, |first, out| f(Part::Rows(first..first + out.len() / len), out));
        }
        let ValueType { shape, dtype } = self.plan.types[step.output];
        // 64 channels are a word of bits.
        let unit = if dtype == DType::Bits { 1 } else { 64 };
        workers.for_channels(out, [shape.c / 64, unit], step.nanoseconds(self.plan, self.n), |first, out| {
            let start = first / unit * 64;
            f(Part::Channels(start..(start + out.len().div_ceil(unit) * 64).min(shape.c)), out);
        });
    }

    /// How the output of `step` may be cut, for samples of `height` rows.
    fn rows(&self, step: &Step, height: usize) -> Rows {
        let len = crate::plan::stored_len(self.plan.types[step.output]) / height;
        let unit = match &step.kernel {
            Kernel::F32(F32Kernel::Real(real)) => real.unit(),
            _ => 1,
        };
        Rows { len, unit, in_cache: !step.stages.is_empty(), nanoseconds: step.nanoseconds(self.plan, self.n) }
    }

    /// The channels of the first input and of the output, and the pixels in `rows`, for kernels whose output has
    /// the input's height and width.
    fn channels_and_pixels(&self, step: &Step, rows: &Range<usize>) -> ([usize; 2], Range<usize>) {
        let shape = self.plan.types[step.inputs[0]].shape;
        ([shape.c, self.plan.types[step.output].shape.c], rows.start * shape.w..rows.end * shape.w)
    }

    /// Elements of the first input in `rows`, for kernels whose output has the input's shape.
    fn rows_of(&self, step: &Step, rows: &Range<usize>) -> Range<usize> {
        let shape = self.plan.types[step.inputs[0]].shape;
        let len = shape.w * shape.c;
        rows.start * len..rows.end * len
    }
}
