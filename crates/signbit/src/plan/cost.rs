//! What a step costs: multiply-accumulates and bytes for the report, and an estimate of its time that decides
//! whether threads share it.

use signbit_kernels::pool::Pooling;
use signbit_kernels::shape::Conv;
use signbit_model::DType;

use super::{Plan, Step, stored_len};
use crate::ops::binary::Binary;
use crate::ops::{BitsKernel, F32Kernel, I32Kernel, Kernel};

/// Rough speeds of one core, per nanosecond. Only their order of magnitude matters.
const BINARY_MACS: f64 = 200.0;
const REAL_MACS: f64 = 10.0;
const ELEMENTS: f64 = 1.0;

/// Multiply-accumulates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Macs {
    pub(crate) binary: u64,
    pub(crate) real: u64,
}

/// Bytes that a step works on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) weights: u64,
    pub(crate) activations: u64,
}

impl Step {
    /// The multiply-accumulates of `n` samples; taps in the padding count, and of a transposed convolution each
    /// input with each tap.
    pub(crate) fn macs(&self, n: usize) -> Macs {
        let macs = self.kernel.conv().map_or(0, |conv| conv_macs(conv, n));
        match &self.kernel {
            Kernel::F32(F32Kernel::Real(_) | F32Kernel::Pooled(_)) => Macs { real: macs, binary: 0 },
            Kernel::F32(F32Kernel::TransposedReal(layer, _)) => Macs { real: of_samples(layer.macs, n), binary: 0 },
            Kernel::F32(F32Kernel::TransposedDots(layer))
            | Kernel::I32(I32Kernel::TransposedDots(layer))
            | Kernel::Bits(BitsKernel::TransposedDots(layer, _)) => Macs { binary: of_samples(layer.macs, n), real: 0 },
            _ => Macs { binary: macs, real: 0 },
        }
    }

    /// The packed weights, and what `n` samples read and write.
    pub(crate) fn bytes(&self, plan: &Plan, n: usize) -> Bytes {
        let weights = match &self.kernel {
            Kernel::Alias => return Bytes::default(),
            Kernel::F32(F32Kernel::Real(real)) => real.bytes(plan.isa),
            Kernel::F32(F32Kernel::Pooled(pooled)) => pooled.real.bytes(plan.isa),
            Kernel::F32(F32Kernel::Dots(binary))
            | Kernel::I32(I32Kernel::Dots(binary))
            | Kernel::Bits(BitsKernel::Dots(binary, _)) => Binary::packed_bytes(plan.isa, &binary.conv),
            Kernel::F32(F32Kernel::TransposedReal(layer, _)) => layer.bytes(plan.isa),
            Kernel::F32(F32Kernel::TransposedDots(layer))
            | Kernel::I32(I32Kernel::TransposedDots(layer))
            | Kernel::Bits(BitsKernel::TransposedDots(layer, _)) => layer.bytes(plan.isa),
            _ => 0,
        };
        let of_value = |&value: &usize| {
            let ty = plan.types[value];
            let size = if ty.dtype == DType::Bits { size_of::<u64>() } else { size_of::<f32>() };
            (n as u64).saturating_mul((stored_len(ty) * size) as u64)
        };
        let activations = self.inputs.iter().chain([&self.output]).map(of_value).fold(0, u64::saturating_add);
        Bytes { weights: weights as u64, activations }
    }

    /// The estimated time of `n` samples on one thread.
    pub(crate) fn nanoseconds(&self, plan: &Plan, n: usize) -> f64 {
        let Macs { binary, real } = self.macs(n);
        let values = self.inputs.iter().chain([&self.output]);
        let elements: usize = values.map(|&value| n * stored_len(plan.types[value])).sum();
        binary as f64 / BINARY_MACS + real as f64 / REAL_MACS + elements as f64 / ELEMENTS
    }

    /// The name of the kernel, in the words of this crate.
    pub(crate) fn kernel_name(&self) -> &'static str {
        match &self.kernel {
            Kernel::Alias => "none",
            Kernel::F32(kernel) => match kernel {
                F32Kernel::Copy => "elementwise",
                F32Kernel::Convert => "convert",
                F32Kernel::Unpack => "unpack",
                F32Kernel::Real(real) => real.kernel_name(["real", "real, winograd"]),
                F32Kernel::Pooled(pooled) => pooled.real.kernel_name(["real, pooled", "real, winograd, pooled"]),
                F32Kernel::Dots(_) => "binary to f32",
                F32Kernel::TransposedReal(..) => "real transposed",
                F32Kernel::TransposedDots(_) => "binary transposed to f32",
                F32Kernel::Pool(_, Pooling::Max) => "max f32",
                F32Kernel::Pool(_, Pooling::Mean { .. }) => "mean",
                F32Kernel::Concat => "concat f32",
                F32Kernel::Pad(..) => "pad f32",
                F32Kernel::Slice(_) => "slice f32",
                F32Kernel::Softmax => "softmax",
                F32Kernel::ScaleMap(_) => "scale map",
            },
            Kernel::I32(kernel) => match kernel {
                I32Kernel::Dots(_) => "binary to i32",
                I32Kernel::TransposedDots(_) => "binary transposed to i32",
                I32Kernel::Max(_) => "max i32",
                I32Kernel::Concat => "concat i32",
                I32Kernel::Slice(_) => "slice i32",
            },
            Kernel::Bits(kernel) => match kernel {
                BitsKernel::Dots(..) => "binary to bits",
                BitsKernel::TransposedDots(..) => "binary transposed to bits",
                BitsKernel::Sign | BitsKernel::SignI32 | BitsKernel::RSign(_) => "pack",
                BitsKernel::Threshold(_) => "threshold",
                BitsKernel::Max(_) => "max bits",
                BitsKernel::Concat => "concat bits",
                BitsKernel::Pad(..) => "pad bits",
                BitsKernel::Slice(_) => "slice bits",
                BitsKernel::Flatten => "flatten bits",
            },
        }
    }
}

fn of_samples(macs: u64, n: usize) -> u64 {
    macs.saturating_mul(n as u64)
}

fn conv_macs(conv: &Conv, n: usize) -> u64 {
    let outputs = (n * conv.out_h() * conv.out_w()) as u64;
    outputs.saturating_mul(conv.c_out as u64).saturating_mul(conv.k() as u64)
}
