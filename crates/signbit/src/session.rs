//! A session: a plan with memory of its own, and the threads that run it.

use std::borrow::Cow;
use std::sync::Arc;

use signbit_kernels::{Isa, bits};
use signbit_model::{DType, Node, ValueType};

use crate::memory::{Memory, reserve};
use crate::plan::{Plan, Values};
use crate::profile::{StepTime, Stopwatch};
use crate::threads::Workers;
use crate::{Error, Options, ValueView, ops};

/// A model that is ready to run: planned, with its weights packed and its memory allocated.
///
/// A run allocates nothing (on one thread; a pool of threads allocates a little when it is woken), except
/// that the output grows once where more samples are given than [`Options::batch`].
///
/// [`Session::fork`] makes further sessions that share the packed weights.
///
/// A caller in a rayon pool of its own keeps to it: a session of several threads shares its steps with that pool's
/// threads, and those of the session stay asleep.
///
/// Results are the same bits whatever the instruction set, the number of threads, the batch and
/// the fusion: those that [`signbit_model::interpreter`] defines, or with [`Options::winograd`] others next to them.
#[derive(Debug)]
pub struct Session {
    pub(crate) plan: Arc<Plan>,
    workers: Arc<Workers>,
    memory: Memory,
    pub(crate) output: Vec<f32>,
}

impl Session {
    /// Plans `model`, packs its weights and allocates memory. The session keeps nothing of `model`'s tensors.
    ///
    /// # Errors
    /// [`Error::Batch`], [`Error::NoThreads`], [`Error::ThreadsFeature`] and [`Error::ThreadPool`] for
    /// options that cannot be met; [`Error::MemoryLimit`], before the allocation that would go beyond
    /// [`Options::memory_limit`]; [`Error::Layer`] and [`Error::Memory`] for a layer that is too large;
    /// [`Error::Model`] for a graph that is not valid.
    pub fn new(model: &signbit_model::Model, options: Options) -> Result<Self, Error> {
        let workers = Arc::new(Workers::new(options.threads)?);
        Self::with(Arc::new(Plan::new(Cow::Borrowed(model), &options)?), workers)
    }

    /// As [`Session::new`], and drops each tensor of the model as soon as its weights are packed, so that little more
    /// memory is taken than the session keeps.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn from_model(model: signbit_model::Model, options: Options) -> Result<Self, Error> {
        let workers = Arc::new(Workers::new(options.threads)?);
        Self::with(Arc::new(Plan::new(Cow::Owned(model), &options)?), workers)
    }

    /// [`Session::new`], but threads share the smallest step too: so that tests reach what is shared.
    ///
    /// # Errors
    /// As [`Session::new`].
    #[doc(hidden)]
    pub fn new_sharing_small_steps(model: &signbit_model::Model, options: Options) -> Result<Self, Error> {
        let workers = Arc::new(Workers::new(options.threads)?.sharing_small_steps());
        Self::with(Arc::new(Plan::new(Cow::Borrowed(model), &options)?), workers)
    }

    fn with(plan: Arc<Plan>, workers: Arc<Workers>) -> Result<Self, Error> {
        let memory = plan.memory()?;
        let mut output = Vec::new();
        reserve(&mut output, "output", plan.batch, plan.output_len())?;
        Ok(Self { plan, workers, memory, output })
    }

    /// Another session with memory of its own, for another thread of the caller. The plan, the packed weights
    /// and the pool of threads are shared.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn fork(&self) -> Result<Self, Error> {
        Self::with(Arc::clone(&self.plan), Arc::clone(&self.workers))
    }

    /// Runs `n` samples, `input` is `[n, h, w, c]`. Returns `[n, h, w, c]` of the output; integers come as the
    /// nearest real number, bits as +1.0 and -1.0.
    ///
    /// More samples than [`Options::batch`] run in slices of that many.
    ///
    /// # Errors
    /// [`Error::InputLength`], and [`Error::Memory`] where the output of so many samples cannot be allocated.
    pub fn run(&mut self, input: &[f32], n: usize) -> Result<&[f32], Error> {
        self.execute(input, n, |_, _| ())
    }

    /// As [`Session::run`], into a slice of the caller's.
    ///
    /// # Errors
    /// [`Error::InputLength`], [`Error::OutputLength`].
    pub fn run_into(&mut self, input: &[f32], n: usize, output: &mut [f32]) -> Result<(), Error> {
        let expected = n.saturating_mul(self.plan.output_len());
        if output.len() != expected {
            return Err(Error::OutputLength { expected, found: output.len() });
        }
        self.check_input(input, n)?;
        self.slices(input, n, output, |_, _| ());
        Ok(())
    }

    /// As [`Session::run`], and calls `trace` after each step with the node whose output it made, in the
    /// order of the graph.
    ///
    /// A fused step shows its last node only; [`Options::fuse`] set to false shows all of them. Where more
    /// samples are given than [`Options::batch`], `trace` sees one slice of the batch after the other.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_traced(
        &mut self,
        input: &[f32],
        n: usize,
        mut trace: impl FnMut(&Node, ValueView<'_>),
    ) -> Result<&[f32], Error> {
        self.execute(input, n, |step, values| {
            let step = &values.plan.steps[step];
            if let Some(&node) = step.nodes.last() {
                trace(&values.plan.graph.nodes[node], values.view(step.output));
            }
        })
    }

    /// Runs once and measures each step, in the order in which they ran.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn profile(&mut self, input: &[f32], n: usize) -> Result<Vec<StepTime>, Error> {
        let mut stopwatch = Stopwatch::new(self.plan.steps.len());
        self.execute(input, n, |step, _| stopwatch.lap(step))?;
        Ok(stopwatch.times(&self.plan, n))
    }

    fn check_input(&self, input: &[f32], n: usize) -> Result<(), Error> {
        let elements = self.plan.input_len();
        match n.checked_mul(elements) {
            Some(expected) if expected == input.len() => Ok(()),
            _ => Err(Error::InputLength { n, elements, found: input.len() }),
        }
    }

    fn execute(&mut self, input: &[f32], n: usize, after: impl FnMut(usize, Values<'_>)) -> Result<&[f32], Error> {
        self.check_input(input, n)?;
        let len = reserve(&mut self.output, "output", n, self.plan.output_len())?;
        let mut output = std::mem::take(&mut self.output);
        self.slices(input, n, &mut output[..len], after);
        self.output = output;
        Ok(&self.output[..len])
    }

    /// Runs slices of the planned batch; the lengths have been checked.
    fn slices(&mut self, input: &[f32], n: usize, output: &mut [f32], mut after: impl FnMut(usize, Values<'_>)) {
        let Self { plan, workers, memory, .. } = self;
        let (batch, input_len, output_len) = (plan.batch, plan.input_len(), plan.output_len());
        let slices = input.chunks(batch.saturating_mul(input_len));
        let nanoseconds = plan.steps.iter().map(|step| step.nanoseconds(plan, batch.min(n)));
        workers.enter(nanoseconds, || {
            for (i, input) in slices.enumerate() {
                let n = batch.min(n - i * batch);
                for (i, step) in plan.steps.iter().enumerate() {
                    ops::run(plan, workers, step, n, input, memory);
                    after(i, Values { plan, n, input, memory });
                }
                let values = Values { plan, n, input, memory };
                write_output(values, &mut output[i * batch * output_len..][..n * output_len]);
            }
        });
    }

    /// The type of the network's input.
    #[must_use]
    pub fn input_type(&self) -> ValueType {
        self.plan.graph.input
    }

    /// The type of the network's output, before [`Session::run`] makes real numbers of it.
    #[must_use]
    pub fn output_type(&self) -> ValueType {
        self.plan.types[self.plan.graph.output.index()]
    }

    /// The instruction set.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.plan.isa
    }

    /// The bytes of the buffers for activations.
    #[must_use]
    pub fn activation_bytes(&self) -> usize {
        self.memory.bytes()
    }
}

/// Brings the network's output out of the memory, as real numbers.
fn write_output(values: Values<'_>, out: &mut [f32]) {
    let value = values.plan.graph.output.index();
    let ValueType { shape, dtype } = values.plan.types[value];
    match dtype {
        DType::F32 => out.copy_from_slice(values.f32(value)),
        DType::I32 => ops::elementwise::convert(values.i32(value), out),
        DType::Bits => bits::unpack_signs(values.plan.isa, values.bits(value), shape.c, out),
    }
}
