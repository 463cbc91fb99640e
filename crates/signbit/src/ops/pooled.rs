//! A real convolution and the pooling that alone reads it, a few rows at a time: the convolution's rows are pooled while
//! they are in the second cache, and never stored as a whole. At the beginning of a network they would be its largest value.

use std::ops::Range;

use signbit_kernels::pool::Pooling;
use signbit_model::Shape;

use super::Part;
use super::real::Real;
use super::stage::{self, Stage};
use super::window::Window;
use crate::plan::{Step, Values};
use crate::threads::{Rows, Workers};

/// Numbers of the convolution that wait for their pooling: few enough for the second cache.
const WAITING: usize = 64 * 1024;

/// A convolution, the stages on its output, and the pooling behind them.
#[derive(Debug)]
pub(crate) struct Pooled {
    pub(crate) real: Real,
    /// Without operands.
    stages: Vec<Stage>,
    window: Window,
    pooling: Pooling,
    /// Rows of the output that are made together.
    at_once: usize,
    /// The convolution's rows that these read at most.
    waiting: usize,
}

impl Pooled {
    /// Rows of the output to make at once, and rows of a convolution's output `conv` that these read at most; `None` where
    /// it would not pay.
    pub(crate) fn rows(conv: Shape, window: &Window) -> Option<[usize; 2]> {
        let at_once = window.outputs_of(WAITING / (conv.w * conv.c)).max(1);
        let waiting = window.inputs_of(at_once);
        (conv.elements() >= 2 * WAITING && waiting <= conv.h / 2).then_some([at_once, waiting])
    }

    /// The pooling of what `real` and then `stages` make, which have no operands; [`Pooled::rows`] at once.
    pub(crate) fn new(
        real: Real,
        stages: Vec<Stage>,
        window: Window,
        pooling: Pooling,
        [at_once, waiting]: [usize; 2],
    ) -> Self {
        Self { real, stages, window, pooling, at_once, waiting }
    }

    /// Numbers of scratch: samples take turns with them.
    pub(crate) fn scratch_len(&self) -> usize {
        (self.waiting + self.real.unit() - 1) * self.real.conv.out_w() * self.real.conv.c_out
    }

    pub(super) fn run(&self, values: Values<'_>, workers: &Workers, step: &Step, scratch: &mut [f32], out: &mut [f32]) {
        let Shape { h, w, c } = values.plan.types[step.output].shape;
        for (sample, out) in out.chunks_exact_mut(h * w * c).enumerate() {
            // The convolution's rows that lie in the scratch.
            let mut made = 0..0;
            for (group, out) in out.chunks_mut(self.at_once * w * c).enumerate() {
                let rows = group * self.at_once..group * self.at_once + out.len() / (w * c);
                made = self.convolve(values, workers, step, sample, made, self.window.inputs(&rows), scratch);
                let x = &scratch[..made.len() * self.real.conv.out_w() * c];
                workers.for_rows(out, self.cut(values, step, w * c), |at, out| {
                    let first = rows.start + at;
                    let rows = first..first + out.len() / (w * c);
                    self.window.pool_of(values.plan.isa, self.pooling, x, made.start, rows, out);
                    stage::run(values, step, &step.stages, (sample * h + first) * w * c, out);
                });
            }
        }
    }

    /// Brings rows `wanted` of a sample's convolution to the beginning of the scratch, where rows `made` are, and those behind
    /// them that are made together with the last. Returns them all.
    fn convolve(
        &self,
        values: Values<'_>,
        workers: &Workers,
        step: &Step,
        sample: usize,
        made: Range<usize>,
        wanted: Range<usize>,
        scratch: &mut [f32],
    ) -> Range<usize> {
        let (conv, unit) = (&self.real.conv, self.real.unit());
        let row = conv.out_w() * conv.c_out;
        // So the next rows begin where a unit does.
        let wanted = wanted.start..wanted.end.next_multiple_of(unit).min(conv.out_h());
        // Neighbouring windows overlap, or leave rows out.
        let kept = wanted.start.clamp(made.start, made.end)..made.end;
        scratch.copy_within((kept.start - made.start) * row..made.len() * row, 0);
        let first = sample * conv.out_h() + wanted.start + kept.len();
        let cut = Rows { unit, ..self.cut(values, step, row) };
        workers.for_rows(&mut scratch[kept.len() * row..wanted.len() * row], cut, |at, out| {
            let rows = first + at..first + at + out.len() / row;
            self.real.run(values, step.inputs[0], &Part::Rows(rows), out);
            stage::run(values, step, &self.stages, 0, out);
        });
        wanted
    }

    fn cut(&self, values: Values<'_>, step: &Step, len: usize) -> Rows {
        Rows { len, unit: 1, in_cache: true, nanoseconds: step.nanoseconds(values.plan, 1) }
    }
}
