//! Transposed convolutions as ordinary ones.
//!
//! Outputs whose positions leave the same remainder when divided by the stride read the same taps: a phase. Each phase is a
//! convolution of stride 1 with those taps, mirrored, padded with 0; so the kernels of convolutions run it,
//! and its sums have the order that the operator states. The phases' outputs go to scratch, and from there
//! pixel by pixel to their places.

use std::ops::Range;

use signbit_kernels::Isa;
use signbit_kernels::shape::{Conv, Padding};
use signbit_model::{Shape, TransposedGeometry};

use super::binary::Binary;
use super::real::Real;
use crate::plan::{Step, Values, stored_len};
use crate::threads::{Rows, Workers};

/// A layer that computes one phase.
pub(crate) trait Layer: Sync {
    /// The convolution of one sample.
    fn conv(&self) -> &Conv;
    /// Bytes of the packed weights.
    fn bytes(&self, isa: Isa) -> usize;
}

impl Layer for Real {
    fn conv(&self) -> &Conv {
        &self.conv
    }

    fn bytes(&self, isa: Isa) -> usize {
        Self::bytes(self, isa)
    }
}

impl Layer for Binary {
    fn conv(&self) -> &Conv {
        &self.conv
    }

    fn bytes(&self, isa: Isa) -> usize {
        Self::packed_bytes(isa, &self.conv)
    }
}

/// A transposed convolution.
#[derive(Debug)]
pub(crate) struct Transposed<L> {
    output: Shape,
    rows: Axis,
    columns: Axis,
    /// Phases of rows by phases of columns, without those that read nothing.
    phases: Vec<Phase<L>>,
    /// Multiply-accumulates of one sample: each input pixel meets each tap.
    pub(crate) macs: u64,
}

#[derive(Debug)]
struct Phase<L> {
    layer: L,
    /// Pixels of one sample that the phases before it make.
    start: usize,
}

impl<L: Layer> Transposed<L> {
    /// Splits a transposed convolution of `input` to `output`; `layer` makes the layer of a phase of its
    /// convolution and taps. The geometry is one that the model's shape rule has let pass.
    pub(crate) fn new<E>(
        geometry: &TransposedGeometry,
        groups: usize,
        (input, output): (Shape, Shape),
        mut layer: impl FnMut(Conv, &Taps) -> Result<L, E>,
    ) -> Result<Self, E> {
        let rows = Axis::new(geometry, 0, input.h, output.h);
        let columns = Axis::new(geometry, 1, input.w, output.w);
        let (mut phases, mut start) = (Vec::new(), 0_usize);
        for row in rows.phases.iter().flatten() {
            for column in columns.phases.iter().flatten() {
                let conv = Conv {
                    kernel: [row.taps, column.taps],
                    dilation: [row.dilation, column.dilation],
                    pads: [row.before, column.before, row.after, column.after],
                    padding: Padding::Zero,
                    groups,
                    ..Conv::new([1, input.h, input.w, input.c], output.c, [1, 1])
                };
                let taps = Taps { kernel: geometry.kernel, rows: row.taps(), columns: column.taps() };
                let layer = layer(conv, &taps)?;
                phases.push(Phase { layer, start });
                start = start.saturating_add(conv.out_h().saturating_mul(conv.out_w()));
            }
        }
        let k = (geometry.kernel[0] * geometry.kernel[1]).saturating_mul(input.c / groups) as u64;
        let macs = ((input.h * input.w) as u64).saturating_mul(output.c as u64).saturating_mul(k);
        Ok(Self { output, rows, columns, phases, macs })
    }

    /// Pixels of scratch per sample.
    pub(crate) fn scratch_pixels(&self) -> usize {
        self.phases.last().map_or(0, |last| {
            let conv = last.layer.conv();
            last.start.saturating_add(conv.out_h().saturating_mul(conv.out_w()))
        })
    }

    /// Bytes of the packed weights of all phases.
    pub(crate) fn bytes(&self, isa: Isa) -> usize {
        self.phases.iter().map(|phase| phase.layer.bytes(isa)).sum()
    }

    /// Computes every phase into `scratch`; `run` makes some rows of a phase's output.
    pub(super) fn run_phases<T: Send>(
        &self,
        values: Values<'_>,
        workers: &Workers,
        step: &Step,
        mut scratch: &mut [T],
        run: impl Fn(&L, Range<usize>, &mut [T]) + Send + Sync,
    ) {
        let len = self.pixel_len(values, step);
        let nanoseconds = step.nanoseconds(values.plan, values.n) / self.phases.len() as f64;
        for Phase { layer, .. } in &self.phases {
            let row = layer.conv().out_w() * len;
            let (part, rest) = scratch.split_at_mut(values.n * layer.conv().out_h() * row);
            workers.for_rows(part, Rows { len: row, unit: 1, in_cache: false, nanoseconds }, |first, out| {
                run(layer, first..first + out.len() / row, out);
            });
            scratch = rest;
        }
    }

    /// Makes `rows` of the output of what [`Self::run_phases`] left; `nothing` fills pixels that no input reaches.
    pub(super) fn interleave<T: Copy>(
        &self,
        values: Values<'_>,
        step: &Step,
        scratch: &[T],
        rows: Range<usize>,
        out: &mut [T],
        nothing: impl Fn(&mut [T]),
    ) {
        let len = self.pixel_len(values, step);
        let used = self.columns.phases.iter().flatten().count();
        for (row, out) in rows.zip(out.chunks_exact_mut(self.output.w * len)) {
            let (sample, y) = (row / self.output.h, row % self.output.h);
            let row_phase = &self.rows.phases[y % self.rows.stride];
            for (first, column) in self.columns.phases.iter().enumerate() {
                let pixels = out.chunks_exact_mut(len).skip(first).step_by(self.columns.stride);
                let (Some(row), Some(column)) = (row_phase, column) else {
                    pixels.for_each(&nothing);
                    continue;
                };
                let phase = &self.phases[row.rank * used + column.rank];
                let conv = phase.layer.conv();
                let row = sample * conv.out_h() + row.skip + y / self.rows.stride;
                let from = &scratch[(values.n * phase.start + row * conv.out_w() + column.skip) * len..];
                pixels.zip(from.chunks_exact(len)).for_each(|(pixel, from)| pixel.copy_from_slice(from));
            }
        }
    }

    /// Elements of a pixel of the step's output.
    fn pixel_len(&self, values: Values<'_>, step: &Step) -> usize {
        stored_len(values.plan.types[step.output]) / (self.output.h * self.output.w)
    }
}

/// The taps of one phase.
#[derive(Debug)]
pub(crate) struct Taps {
    /// Of the whole layer.
    kernel: [usize; 2],
    rows: AxisTaps,
    columns: AxisTaps,
}

impl Taps {
    /// The numbers `ky * kw + kx` of the taps, in the order of the phase's kernel.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = usize> {
        let kw = self.kernel[1];
        self.rows.positions().flat_map(move |ky| self.columns.positions().map(move |kx| ky * kw + kx))
    }

    /// Taps of the whole layer.
    pub(crate) fn of_layer(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}

/// Every `step`th kernel position, `count` of them, the last one first.
#[derive(Clone, Copy, Debug)]
struct AxisTaps {
    last: usize,
    step: usize,
    count: usize,
}

impl AxisTaps {
    fn positions(self) -> impl Iterator<Item = usize> {
        (0..self.count).map(move |i| self.last - i * self.step)
    }
}

/// The phases of one axis.
#[derive(Debug)]
struct Axis {
    stride: usize,
    /// By the output's position modulo the stride; `None` where outputs read nothing.
    phases: Vec<Option<AxisPhase>>,
}

/// What a phase reads along one axis.
#[derive(Clone, Copy, Debug)]
struct AxisPhase {
    /// Its number among those that read something.
    rank: usize,
    taps: usize,
    last_tap: usize,
    tap_step: usize,
    dilation: usize,
    before: usize,
    after: usize,
    /// Outputs of the convolution before the first one that is wanted.
    skip: usize,
}

impl AxisPhase {
    fn taps(&self) -> AxisTaps {
        AxisTaps { last: self.last_tap, step: self.tap_step, count: self.taps }
    }
}

impl Axis {
    fn new(geometry: &TransposedGeometry, i: usize, input: usize, output: usize) -> Self {
        let (kernel, stride, dilation) = (geometry.kernel[i], geometry.stride[i], geometry.dilation[i]);
        let divisor = greatest_common_divisor(stride, dilation);
        // A phase has every `tap_step`th tap. By remainder: the first of them.
        let tap_step = stride / divisor;
        let mut first_tap = vec![None; stride];
        for tap in 0..kernel.min(tap_step) {
            first_tap[tap * dilation % stride] = Some(tap);
        }
        let mut rank = 0;
        let phase = |first: usize| {
            let position = first + geometry.pads[i];
            let first_tap = first_tap[position % stride]?;
            let more_taps = (kernel - 1 - first_tap) / tap_step;
            let last_tap = first_tap + more_taps * tap_step;
            let (dilation, reach) = (dilation / divisor, more_taps * (dilation / divisor));
            let outputs = (output - first).div_ceil(stride);
            // The input under the last tap, for the first output.
            let (position, tap) = (position, last_tap * geometry.dilation[i]);
            let (before, skip) = (tap.saturating_sub(position) / stride, position.saturating_sub(tap) / stride);
            // All of it lies behind the input or before it.
            if skip >= input || before >= outputs + reach {
                return None;
            }
            let after = (skip + outputs + reach).saturating_sub(input + before);
            rank += 1;
            let taps = more_taps + 1;
            Some(AxisPhase { rank: rank - 1, taps, last_tap, tap_step, dilation, before, after, skip })
        };
        Self { stride, phases: (0..stride.min(output)).map(phase).collect() }
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
