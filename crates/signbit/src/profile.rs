//! Measuring each step.

use std::time::{Duration, Instant};

use crate::plan::Plan;

/// The time of one step, as [`crate::Session::profile`] measured it.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTime {
    /// The names of the nodes that the step computes.
    pub nodes: Vec<String>,
    /// Their operators, as [`signbit_model::Op::name`] calls them.
    pub ops: Vec<&'static str>,
    /// The kernel that computes them.
    pub kernel: &'static str,
    /// The instruction set.
    pub isa: &'static str,
    /// Seconds for all samples.
    pub seconds: f64,
    /// Multiply-accumulates of bits for all samples; taps in the padding count.
    pub macs_1bit: u64,
    /// Multiply-accumulates of real numbers for all samples; taps in the padding count.
    pub macs_32bit: u64,
    /// Bytes of the packed weights, as the instruction set lays them out; numbers per channel (biases, thresholds,
    /// factors) do not count.
    pub weight_bytes: u64,
    /// Bytes of the values that the step reads and writes, for all samples. What it changes in place counts as read
    /// and as written; a change of shape alone moves nothing.
    pub activation_bytes: u64,
}

impl StepTime {
    /// Bytes that the step has to move at least once: the weights, and the values that it reads and writes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.weight_bytes.saturating_add(self.activation_bytes)
    }
}

/// Adds up the time of each step over the slices of a batch.
pub(crate) struct Stopwatch {
    started: Instant,
    times: Vec<Duration>,
}

impl Stopwatch {
    pub(crate) fn new(steps: usize) -> Self {
        Self { times: vec![Duration::ZERO; steps], started: Instant::now() }
    }

    /// Step `step` is done; the next one begins.
    pub(crate) fn lap(&mut self, step: usize) {
        let now = Instant::now();
        self.times[step] += now - self.started;
        self.started = now;
    }

    pub(crate) fn times(self, plan: &Plan, n: usize) -> Vec<StepTime> {
        let report = |(step, time): (&crate::plan::Step, Duration)| {
            let nodes = || step.nodes.iter().map(|&node| &plan.graph.nodes[node]);
            let (macs, bytes) = (step.macs(n), step.bytes(plan, n));
            StepTime {
                nodes: nodes().map(|node| node.name.clone()).collect(),
                ops: nodes().map(|node| node.op.name()).collect(),
                kernel: step.kernel_name(),
                isa: plan.isa.name(),
                seconds: time.as_secs_f64(),
                macs_1bit: macs.binary,
                macs_32bit: macs.real,
                weight_bytes: bytes.weights,
                activation_bytes: bytes.activations,
            }
        };
        plan.steps.iter().zip(self.times).map(report).collect()
    }
}
