//! Real convolutions and dense layers, and the activation scale: the kernels with a fixed order of operations, and those
//! by minimal filtering for who allows it.

use std::cell::RefCell;
use std::ops::Range;

use signbit_kernels::shape::Conv;
use signbit_kernels::{Isa, real, winograd};

use super::Part;
use crate::memory::Aligned;
use crate::plan::{Step, Values};
use crate::threads::{Rows, Workers};

thread_local! {
    /// Scratch of this thread for minimal filtering. It stays as long as the largest layer has wanted it.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// How a real convolution is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// In the order of the interpreter.
    FixedOrder,
    /// By minimal filtering.
    Winograd,
}

impl Method {
    /// The way for `conv`, which is valid.
    pub(crate) fn of(conv: &Conv, winograd: bool) -> Self {
        if winograd && winograd::pays(conv) { Self::Winograd } else { Self::FixedOrder }
    }

    /// Numbers of the packed weights.
    fn packed_len(self, isa: Isa, conv: &Conv) -> usize {
        match self {
            Self::FixedOrder => real::pack_len(isa, conv),
            Self::Winograd => winograd::pack_len(conv),
        }
    }

    /// Bytes of scratch of each thread.
    pub(crate) fn scratch_bytes(self, conv: &Conv) -> usize {
        match self {
            Self::FixedOrder => 0,
            Self::Winograd => winograd::scratch_len(conv).saturating_mul(size_of::<f32>()),
        }
    }

    /// Bytes of the packed weights; `conv` is valid.
    pub(crate) fn packed_bytes(self, isa: Isa, conv: &Conv) -> usize {
        self.packed_len(isa, conv).saturating_mul(size_of::<f32>())
    }
}

/// A real convolution or dense layer with its packed weights.
#[derive(Debug)]
pub(crate) struct Real {
    /// The geometry for one sample.
    pub(crate) conv: Conv,
    method: Method,
    weights: Aligned<f32>,
    bias: Option<Box<[f32]>>,
}

impl Real {
    /// Packs weights in OHWI order; `conv` is valid. `None` where there is no memory.
    pub(crate) fn new(isa: Isa, conv: Conv, method: Method, weights: &[f32], bias: Option<&[f32]>) -> Option<Self> {
        let mut packed = Aligned::zeros(method.packed_len(isa, &conv))?;
        match method {
            Method::FixedOrder => real::pack(isa, &conv, weights, &mut packed),
            Method::Winograd => winograd::pack(&conv, weights, &mut packed),
        }
        Some(Self { conv, method, weights: packed, bias: bias.map(Into::into) })
    }

    /// Bytes of the packed weights.
    pub(crate) fn bytes(&self, isa: Isa) -> usize {
        self.method.packed_bytes(isa, &self.conv)
    }

    /// That of its method, of both.
    pub(crate) fn kernel_name(&self, [fixed_order, winograd]: [&'static str; 2]) -> &'static str {
        match self.method {
            Method::FixedOrder => fixed_order,
            Method::Winograd => winograd,
        }
    }

    /// Rows of an image that are made together.
    pub(crate) fn unit(&self) -> usize {
        match self.method {
            Method::FixedOrder => 1,
            Method::Winograd => winograd::tile_rows(&self.conv),
        }
    }

    pub(super) fn run(&self, values: Values<'_>, x: usize, part: &Part, out: &mut [f32]) {
        let conv = Conv { n: values.n, ..self.conv };
        let (isa, x, bias) = (values.plan.isa, values.f32(x), self.bias.as_deref());
        match (part, self.method) {
            (Part::Rows(rows), Method::FixedOrder) => {
                real::conv2d(isa, &conv, x, &self.weights, bias, rows.clone(), out);
            }
            (Part::Rows(rows), Method::Winograd) => SCRATCH.with_borrow_mut(|scratch| {
                let len = winograd::scratch_len(&conv);
                if scratch.len() < len {
                    scratch.resize(len, 0.0);
                }
                let scratch = &mut scratch[..len];
                winograd::conv2d(isa, &conv, x, &self.weights, bias, rows.clone(), scratch, out);
            }),
            // An output of one pixel is never made by minimal filtering.
            (Part::Channels(channels), _) => {
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
        let rows =
            Rows { len: self.conv.w, unit: 1, in_cache: false, nanoseconds: step.nanoseconds(values.plan, values.n) };
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
