//! What an operator of a training network owes: its shape rule, forward, backward, and how it is packed.
//!
//! An operator is one type that implements [`Operator`]. The ones of this crate stand in [`crate::ops`], one file
//! each; an operator written outside the crate is added to a network by
//! [`NetworkBuilder::add`](crate::network::NetworkBuilder::add) like any other.

use signbit_kernels::Isa;
use signbit_model::ValueType;

use crate::gemm::Gemm;
use crate::pack::{PackError, Packed, Packer};
use crate::params::Params;
use crate::ranks::Ranks;
use crate::tensor::{Buffers, Tensor, Value};

/// Whether statistics come from the batch (and are recorded) or from the running averages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Forward that a backward follows; batch norm uses the batch.
    Train,
    /// The network as it will be packed: batch norm uses the running statistics, and every float step
    /// has the order of operations that the packed network has.
    Eval,
}

/// What an operator works with.
pub struct Context<'a> {
    /// Training or evaluation.
    pub mode: Mode,
    /// The network's parameters, gradients and running statistics.
    pub params: &'a mut Params,
    /// Buffers to take outputs from and to give inputs back to.
    pub buffers: &'a mut Buffers,
    /// Instruction set of the packed kernels.
    pub isa: Isa,
    /// Real matrix products.
    pub gemm: &'a dyn Gemm,
    /// The ranks of a training step, where there are several: the samples at hand are this rank's share of the batch, and
    /// whatever is summed over the batch has to be summed over all ranks, gradients of parameters too.
    pub ranks: Option<&'a Ranks>,
}

impl Context<'_> {
    /// The numbers of the whole batch of which `own` are this rank's, in a buffer to be given back.
    ///
    /// # Panics
    /// If there are not several ranks.
    pub fn gathered(&mut self, own: &[f32]) -> Vec<f32> {
        let ranks = self.ranks.expect("several ranks");
        let mut whole = self.buffers.real(own.len() / ranks.own().len() * ranks.whole());
        ranks.gather(own, &mut whole);
        whole
    }
}

/// Which values of the forward pass an operator's backward reads; all others are released early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The inputs.
    pub inputs: bool,
    /// The output.
    pub output: bool,
}

impl Needs {
    /// Nothing: the operator has noted what it needs.
    pub const NOTHING: Self = Self { inputs: false, output: false };
    /// The inputs.
    pub const INPUTS: Self = Self { inputs: true, output: false };
    /// The output.
    pub const OUTPUT: Self = Self { inputs: false, output: true };
}

/// What a backward pass is given.
pub struct Pass<'a> {
    /// The inputs of the forward pass, where [`Needs::inputs`] asked for them.
    pub inputs: Vec<Option<&'a Value>>,
    /// The output of the forward pass, where [`Needs::output`] asked for it.
    pub output: Option<&'a Value>,
    /// The gradient of the loss by the output, `[n, h, w, c]`; by the ±1 values where the output is bits.
    pub grad: Tensor,
    /// For each input, whether its gradient is wanted.
    pub wanted: Vec<bool>,
}

impl<'a> Pass<'a> {
    /// Input `i` of the forward pass.
    ///
    /// # Panics
    /// If [`Operator::needs`] did not ask for the inputs.
    pub fn input(&self, i: usize) -> &'a Value {
        self.inputs[i].expect("Operator::needs did not ask for the inputs")
    }
}

/// One step of a network. See the module's documentation.
pub trait Operator: Send + Sync {
    /// The operator's name, as in `batch_norm`.
    fn kind(&self) -> &'static str;

    /// The type of the output.
    ///
    /// # Errors
    /// One line that says which input does not fit and what would.
    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String>;

    /// What the backward pass will read.
    fn needs(&self) -> Needs;

    /// Computes the output from inputs of the types that [`Operator::output`] accepted.
    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value;

    /// Writes the gradients of the operator's parameters into `cx.params` and returns those of the inputs:
    /// `Some` for each input that is wanted, `None` for the others.
    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>>;

    /// Hears, before each epoch, which share of the training is done, 0 to below 1. An operator whose gradient changes with
    /// it (a quantizer's, see [`Quantizer::at`](crate::quantizer::Quantizer::at)) takes note; most do not.
    fn set_progress(&mut self, progress: f32) {
        let _ = progress;
    }

    /// Adds the operator, as it is in evaluation mode, to the packed graph. The node whose values are the
    /// operator's output is called `name`, helpers before it `name/…`.
    ///
    /// # Errors
    /// By default [`PackError::Unsupported`].
    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let _ = (packer, inputs);
        Err(PackError::Unsupported { layer: name.into(), kind: self.kind() })
    }
}
