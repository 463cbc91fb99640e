//! Stages: elementwise operators on real numbers, each in place on a piece of the output that a step has just
//! made.

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
        match self {
            Self::MulAdd { mul, add } => {
                for pixel in out.chunks_exact_mut(mul.len()) {
                    for ((x, mul), add) in pixel.iter_mut().zip(mul).zip(add) {
                        *x = *x * mul + add;
                    }
                }
            }
            Self::Affine { mul, add } => out.iter_mut().for_each(|x| *x = *x * mul + add),
            Self::Relu => out.iter_mut().for_each(|x| *x = if *x > 0.0 { *x } else { 0.0 }),
            Self::Sigmoid => out.iter_mut().for_each(|x| *x = math::sigmoid(*x)),
            Self::PRelu { slope } => {
                for pixel in out.chunks_exact_mut(slope.len()) {
                    for (x, slope) in pixel.iter_mut().zip(slope) {
                        *x = if *x > 0.0 { *x } else { slope * *x };
                    }
                }
            }
            Self::RPRelu { shift_in, slope, shift_out } => {
                for pixel in out.chunks_exact_mut(slope.len()) {
                    for (((x, shift_in), slope), shift_out) in pixel.iter_mut().zip(shift_in).zip(slope).zip(shift_out)
                    {
                        let t = *x - shift_in;
                        let bent = if *x > *shift_in { t } else { slope * t };
                        *x = bent + shift_out;
                    }
                }
            }
            Self::Clip { min, max } => out.iter_mut().for_each(|x| *x = clip(*x, *min, *max)),
            Self::Add { operand } => {
                let other = &values.f32(step.inputs[*operand])[range];
                out.iter_mut().zip(other).for_each(|(x, other)| *x += other);
            }
            Self::Mul { operand } => {
                let other = &values.f32(step.inputs[*operand])[range];
                out.iter_mut().zip(other).for_each(|(x, other)| *x *= other);
            }
            Self::MulPixel { operand } => {
                let channels = values.plan.types[step.output].shape.c;
                let factors = &values.f32(step.inputs[*operand])[range.start / channels..];
                for (pixel, factor) in out.chunks_exact_mut(channels).zip(factors) {
                    pixel.iter_mut().for_each(|x| *x *= factor);
                }
            }
            Self::MulChannel { operand } => {
                let Shape { h, w, c } = values.plan.types[step.output].shape;
                let factors = values.f32(step.inputs[*operand]);
                for (i, pixel) in out.chunks_exact_mut(c).enumerate() {
                    let sample = (range.start / c + i) / (h * w);
                    let factors = &factors[sample * c..][..c];
                    pixel.iter_mut().zip(factors).for_each(|(x, factor)| *x *= factor);
                }
            }
        }
    }
}

/// Written as the operator defines it: NaN stays, and a -0.0 at a bound of 0.0 too.
fn clip(x: f32, min: f32, max: f32) -> f32 {
    if x < min {
        min
    } else if x > max {
        max
    } else {
        x
    }
}
