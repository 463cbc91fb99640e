//! Stages: elementwise operators on real numbers, each in place on a piece of the output that a step has just
//! made.

use std::ops::Range;

use signbit_kernels::{Elementwise, elementwise};
use signbit_model::{Shape, math};

use crate::plan::{Step, Values};

/// One number per channel.
pub(crate) type PerChannel = Box<[f32]>;

/// An elementwise operator; the formulas and their roundings are those of [`signbit_model::Op`]. An
/// `operand` is a place among the step's inputs.
#[derive(Debug)]
pub(crate) enum Stage {
    MulAdd {
        mul: PerChannel,
        add: PerChannel,
    },
    Affine {
        mul: f32,
        add: f32,
    },
    Relu,
    Sigmoid,
    PRelu {
        slope: PerChannel,
    },
    RPRelu {
        shift_in: PerChannel,
        slope: PerChannel,
        shift_out: PerChannel,
    },
    /// One number per position of a sample.
    MulMap {
        map: Box<[f32]>,
    },
    Clip {
        min: f32,
        max: f32,
    },
    Add {
        operand: usize,
    },
    Mul {
        operand: usize,
    },
    /// The operand has one number per pixel.
    MulPixel {
        operand: usize,
    },
    /// The operand has one number per channel and sample.
    MulChannel {
        operand: usize,
    },
}

/// Numbers that all stages change before the next ones: few enough for the first cache.
const AT_ONCE: usize = 2048;

/// Runs `stages` of `step` on `out`, whole pixels of its output from element `first` on.
pub(super) fn run(values: Values<'_>, step: &Step, stages: &[Stage], first: usize, out: &mut [f32]) {
    let channels = values.plan.types[step.output].shape.c;
    let len = match stages.len() {
        0 => return,
        1 => out.len().max(1),
        _ => (AT_ONCE / channels).max(1) * channels,
    };
    for (i, out) in out.chunks_mut(len).enumerate() {
        stages.iter().for_each(|stage| stage.run(values, step, first + i * len, out));
    }
}

impl Stage {
    /// The same stage where `shift` more inputs stand before its operand.
    pub(crate) fn shift_operand(mut self, shift: usize) -> Self {
        if let Self::Add { operand }
        | Self::Mul { operand }
        | Self::MulPixel { operand }
        | Self::MulChannel { operand } = &mut self
        {
            *operand += shift;
        }
        self
    }

    /// Whether it has an operand, one of the step's inputs.
    pub(crate) fn reads_operand(&self) -> bool {
        matches!(self, Self::Add { .. } | Self::Mul { .. } | Self::MulPixel { .. } | Self::MulChannel { .. })
    }

    /// Changes `out`, which holds whole pixels of the step's output from element `first` on.
    pub(super) fn run(&self, values: Values<'_>, step: &Step, first: usize, out: &mut [f32]) {
        let range = first..first + out.len();
        let read = |operand: usize| values.f32(step.inputs[operand]);
        let op = match self {
            Self::MulAdd { mul, add } => Elementwise::MulAdd { mul, add },
            Self::Affine { mul, add } => Elementwise::Affine { mul: *mul, add: *add },
            Self::Relu => Elementwise::Relu,
            Self::Sigmoid => return out.iter_mut().for_each(|x| *x = math::sigmoid(*x)),
            Self::PRelu { slope } => Elementwise::PRelu { slope },
            Self::RPRelu { shift_in, slope, shift_out } => Elementwise::RPRelu { shift_in, slope, shift_out },
            Self::Clip { min, max } => Elementwise::Clip { min: *min, max: *max },
            Self::Add { operand } => Elementwise::Add(&read(*operand)[range]),
            Self::Mul { operand } => Elementwise::Mul(&read(*operand)[range]),
            Self::MulPixel { operand } => {
                let channels = values.plan.types[step.output].shape.c;
                Elementwise::MulPixel(&read(*operand)[range.start / channels..range.end / channels])
            }
            Self::MulMap { map } => return mul_map(values, step, map, first, out),
            Self::MulChannel { operand } => return mul_channel(values, step, read(*operand), range, out),
        };
        elementwise::apply(values.plan.isa, &op, out);
    }
}

/// Multiplies each sample's pixels with factors of its own; `out` is `range` of the step's output.
fn mul_channel(values: Values<'_>, step: &Step, factors: &[f32], range: Range<usize>, mut out: &mut [f32]) {
    let Shape { h, w, c } = values.plan.types[step.output].shape;
    let mut at = range.start;
    while at < range.end {
        let sample = at / (h * w * c);
        let end = range.end.min((sample + 1) * h * w * c);
        let (part, rest) = out.split_at_mut(end - at);
        elementwise::apply(values.plan.isa, &Elementwise::MulChannel(&factors[sample * c..][..c]), part);
        (at, out) = (end, rest);
    }
}

/// Multiplies each pixel with the factor of its position; `out` begins at element `first` of the step's output.
fn mul_map(values: Values<'_>, step: &Step, map: &[f32], first: usize, mut out: &mut [f32]) {
    let channels = values.plan.types[step.output].shape.c;
    let mut at = first / channels % map.len();
    while !out.is_empty() {
        let pixels = (map.len() - at).min(out.len() / channels);
        let (part, rest) = out.split_at_mut(pixels * channels);
        elementwise::apply(values.plan.isa, &Elementwise::MulPixel(&map[at..at + pixels]), part);
        (at, out) = (0, rest);
    }
}
