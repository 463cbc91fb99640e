//! What a step costs: multiply-accumulates for the report, and an estimate of its time that decides whether
//! threads share it.

use signbit_kernels::shape::Conv;

use super::{Plan, Step, stored_len};
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

impl Step {
    /// The multiply-accumulates of `n` samples; taps in the padding count.
    pub(crate) fn macs(&self, n: usize) -> Macs {
        match &self.kernel {
            Kernel::F32(F32Kernel::Real(real)) => Macs { real: conv_macs(&real.conv, n), binary: 0 },
            Kernel::F32(F32Kernel::Dots(binary))
            | Kernel::I32(I32Kernel::Dots(binary))
            | Kernel::Bits(BitsKernel::Dots(binary, _)) => Macs { binary: conv_macs(&binary.conv, n), real: 0 },
            _ => Macs::default(),
        }
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
                F32Kernel::Real(_) => "real",
                F32Kernel::Dots(_) => "binary to f32",
                F32Kernel::Max(_) => "max f32",
                F32Kernel::Avg(..) => "mean",
                F32Kernel::Concat => "concat f32",
                F32Kernel::Pad(..) => "pad f32",
                F32Kernel::Slice(_) => "slice f32",
                F32Kernel::Softmax => "softmax",
                F32Kernel::ScaleMap(_) => "scale map",
            },
            Kernel::I32(kernel) => match kernel {
                I32Kernel::Dots(_) => "binary to i32",
                I32Kernel::Max(_) => "max i32",
                I32Kernel::Concat => "concat i32",
                I32Kernel::Slice(_) => "slice i32",
            },
            Kernel::Bits(kernel) => match kernel {
                BitsKernel::Dots(..) => "binary to bits",
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

fn conv_macs(conv: &Conv, n: usize) -> u64 {
    let outputs = (n * conv.out_h() * conv.out_w()) as u64;
    outputs.saturating_mul(conv.c_out as u64).saturating_mul(conv.k() as u64)
}
