//! How a session is to run.

use signbit_kernels::Isa;

/// How a session runs. None of it changes a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The instruction set. Default: the best of this CPU.
    pub isa: Isa,
    /// Threads, at least 1. Default: 1, the caller's. More than one needs the feature `rayon`.
    pub threads: usize,
    /// Samples that memory is planned for, at least 1; larger inputs run in slices. Default: 1.
    pub batch: usize,
    /// Whether neighbouring operators become one step. Default: true. Without it every node is a step
    /// of its own, and [`crate::Session::run_traced`] sees each of their outputs.
    pub fuse: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { isa: Isa::best(), threads: 1, batch: 1, fuse: true }
    }
}
