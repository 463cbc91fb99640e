//! How a session is to run.

use signbit_kernels::Isa;

/// How a session runs. None of it changes a result, but [`Options::winograd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The instruction set. Default: the one that the environment variable `SIGNBIT_ISA` names, or
    /// [`Isa::best`] where it is not set or empty.
    ///
    /// The default cannot fail: an unknown name, or that of an instruction set that this CPU lacks, is passed
    /// over and gives [`Isa::best`] too. [`Isa::from_env`] tells such a name by an error.
    pub isa: Isa,
    /// Threads, at least 1. Default: 1, the caller's. More than one needs the feature `rayon`.
    pub threads: usize,
    /// Samples that memory is planned for, at least 1; larger inputs run in slices. Default: 1.
    pub batch: usize,
    /// Whether neighbouring operators become one step. Default: true. Without it every node is a step
    /// of its own, and [`crate::Session::run_traced`] sees each of their outputs.
    pub fuse: bool,
    /// Whether large real convolutions are made by minimal filtering ([`signbit_kernels::winograd`]) where that pays: a
    /// third of the multiplications of a 7x7 stem. Default: false. Their sums are then rounded at other places than
    /// [`signbit_model::interpreter`] has it, some 1e-6 away, and a bit behind them may flip; instruction sets, threads, batch and
    /// fusion still change nothing. Each thread keeps scratch of its own from its first such layer on, which counts for the
    /// memory limit.
    pub winograd: bool,
    /// Bytes that a session may take, so that a small file that describes a huge network is refused before
    /// anything is allocated for it. Default: [`Options::MEMORY_LIMIT`].
    ///
    /// Counted are the packed weights, the activations, and the input and output of [`Options::batch`] samples;
    /// not what is smaller than the model's file, such as thresholds. A fork counts for itself.
    pub memory_limit: u64,
}

impl Options {
    /// The default of [`Options::memory_limit`]: 4 GiB.
    pub const MEMORY_LIMIT: u64 = 4 << 30;
}

impl Default for Options {
    fn default() -> Self {
        let isa = Isa::from_env().unwrap_or_else(|_| Isa::best());
        Self { isa, threads: 1, batch: 1, fuse: true, winograd: false, memory_limit: Self::MEMORY_LIMIT }
    }
}
