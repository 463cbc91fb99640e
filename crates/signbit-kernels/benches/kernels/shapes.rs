//! The layers that are measured. `signbit bench kernels` measures the same binary ones, by the same names.

use std::fmt;

use signbit_kernels::{Conv, Isa};

/// A layer on an instruction set.
pub(crate) struct Case {
    pub(crate) isa: Isa,
    name: &'static str,
    pub(crate) conv: Conv,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.isa.name(), self.name)
    }
}

impl Case {
    /// Multiply-accumulates of a call.
    pub(crate) fn macs(&self) -> usize {
        self.conv.rows() * self.conv.out_w() * self.conv.c_out * self.conv.k()
    }
}

/// Every instruction set of this CPU but the reference.
pub(crate) fn isas() -> impl Iterator<Item = Isa> {
    Isa::all().filter(|isa| isa.name() != "reference")
}

fn cases(layers: &[(&'static str, Conv)]) -> Vec<Case> {
    let of_layer = |&(name, conv): &(&'static str, Conv)| isas().map(move |isa| Case { isa, name, conv });
    layers.iter().flat_map(of_layer).collect()
}

fn same(size: usize, channels: [usize; 2], kernel: usize) -> Conv {
    let conv = Conv::new([1, size, size, channels[0]], channels[1], [kernel; 2]);
    Conv { pads: [kernel / 2; 4], ..conv }
}

/// Binary layers: those of a ResNet-18, pointwise and dense ones, channels that fill no word, a channel at a time.
pub(crate) fn binary() -> Vec<Case> {
    cases(&[
        ("56x56x64,3,64", same(56, [64, 64], 3)),
        ("28x28x128,3,128", same(28, [128, 128], 3)),
        ("14x14x256,3,256", same(14, [256, 256], 3)),
        ("7x7x512,3,512", same(7, [512, 512], 3)),
        ("56x56x64,3,128,stride=2", Conv { stride: [2, 2], ..same(56, [64, 128], 3) }),
        ("28x28x256,1,256", same(28, [256, 256], 1)),
        ("1024,1024", Conv::dense(1, 1024, 1024)),
        ("1024,1024,batch=64", Conv::dense(64, 1024, 1024)),
        ("4096,4096", Conv::dense(1, 4096, 4096)),
        ("28x28x100,3,100", same(28, [100, 100], 3)),
        ("13x13x67,3,35", same(13, [67, 35], 3)),
        ("28x28x128,3,128,groups=128", Conv { groups: 128, ..same(28, [128, 128], 3) }),
    ])
}

/// Real layers, first and last ones for the most part.
pub(crate) fn real() -> Vec<Case> {
    cases(&[
        ("32x32x3,3,64", same(32, [3, 64], 3)),
        ("28x28x32,3,32", same(28, [32, 32], 3)),
        ("28x28x32,3,32,groups=32", Conv { groups: 32, ..same(28, [32, 32], 3) }),
        ("784,1024,batch=64", Conv::dense(64, 784, 1024)),
        ("1024,10,batch=64", Conv::dense(64, 1024, 10)),
        ("1024,10", Conv::dense(1, 1024, 10)),
    ])
}
