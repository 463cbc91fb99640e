//! Real convolutions and dense layers, and the activation scale: the kernels with a fixed order of operations.

use std::ops::Range;

use signbit_kernels::shape::Conv;
use signbit_kernels::{Isa, real};

use super::Part;
use crate::memory::Aligned;
use crate::plan::{Step, Values};
use crate::threads::{Rows, Workers};

/// A real convolution or dense layer with its packed weights.
#[derive(Debug)]
pub(crate) struct Real {
    /// The geometry for one sample.
    pub(crate) conv: Conv,
    weights: Aligned<f32>,
    bias: Option<Box<[f32]>>,
}

impl Real {
    /// Bytes of the packed weights; `conv` is valid.
    pub(crate) fn packed_bytes(isa: Isa, conv: &Conv) -> usize {
        real::pack_len(isa, conv) * size_of::<f32>()
    }

    /// Packs weights in OHWI order; `conv` is valid. `None` where there is no memory.
    pub(crate) fn new(isa: Isa, conv: Conv, weights: &[f32], bias: Option<&[f32]>) -> Option<Self> {
        let mut packed = Aligned::zeros(real::pack_len(isa, &conv))?;
        real::pack(isa, &conv, weights, &mut packed);
        Some(Self { conv, weights: packed, bias: bias.map(Into::into) })
    }

    pub(super) fn run(&self, values: Values<'_>, x: usize, part: &Part, out: &mut [f32]) {
        let conv = Conv { n: values.n, ..self.conv };
        let (isa, x, bias) = (values.plan.isa, values.f32(x), self.bias.as_deref());
        match part {
            Part::Rows(rows) => real::conv2d(isa, &conv, x, &self.weights, bias, rows.clone(), out),
            Part::Channels(channels) => {
                let (conv, weights) = real::channels(isa, &conv, &self.weights, channels.clone());
                let bias = bias.map(|bias| &bias[channels.clone()]);
                real::conv2d(isa, &conv, x, weights, bias, 0..1, out);
            }
        }
    }
}

/// XNOR-Net's K.
#[derive(Debug)]
pub(crate) struct ScaleMap {
    /// The geometry for one sample.
    pub(crate) conv: Conv,
}

impl ScaleMap {
    /// Numbers of scratch per sample: one for each pixel of the input.
    pub(crate) fn scratch_len(&self) -> usize {
        self.conv.h * self.conv.w
    }

    /// What comes before the rows: A of all pixels.
    pub(super) fn means(&self, values: Values<'_>, workers: &Workers, step: &Step, scratch: &mut [f32]) {
        let (c, x) = (self.conv.c_in, values.f32(step.inputs[0]));
        let rows = Rows { len: self.conv.w, in_cache: false, nanoseconds: step.nanoseconds(values.plan, values.n) };
        workers.for_rows(&mut scratch[..values.n * self.scratch_len()], rows, |first, out| {
            let x = &x[first * self.conv.w * c..][..out.len() * c];
            real::channel_means(values.plan.isa, c, x, out);
        });
    }

    pub(super) fn run(&self, values: Values<'_>, scratch: &[f32], rows: Range<usize>, out: &mut [f32]) {
        let conv = Conv { n: values.n, ..self.conv };
        real::scale_map(values.plan.isa, &conv, &scratch[..values.n * self.scratch_len()], rows, out);
    }
}
