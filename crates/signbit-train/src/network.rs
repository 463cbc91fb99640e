//! A training network: operators in the order in which they run, forward and reverse.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use signbit_kernels::Isa;
use signbit_model::{DType, Model, Shape, ValueType};

use crate::gemm::{Gemm, GemmCrate};
use crate::op::{Context, Mode, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::params::{Init, ParamId, ParamInfo, Params, Role, StateId};
use crate::ranks::Ranks;
use crate::tensor::{Buffers, Tensor, Value};

/// Numbers per task where gradients are added.
const CHUNK: usize = 64 * 1024;

/// A network that cannot be built.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkError {
    /// An operator refused its inputs.
    #[error("layer {layer} ({kind}): {reason}")]
    Inputs {
        /// The layer's name.
        layer: String,
        /// The operator's name.
        kind: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// Two layers have one name.
    #[error("two layers are called {0}; names must differ")]
    Name(String),
    /// The last value is not a real tensor, or there is no layer.
    #[error("a network must end in a layer that gives real numbers")]
    Output,
}

/// A value inside a network that is being built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var(usize);

struct Node {
    name: String,
    op: Box<dyn Operator>,
    inputs: Vec<usize>,
    ty: ValueType,
    /// Whether a parameter stands at or before this node, so that its output's gradient is wanted.
    trained: bool,
}

/// Builds a [`Network`] layer by layer. Values are numbered: 0 is the input.
pub struct NetworkBuilder {
    input: ValueType,
    nodes: Vec<Node>,
    params: Params,
    rng: ChaCha8Rng,
}

impl NetworkBuilder {
    /// An empty network over real inputs `[n, h, w, c]`. The seed decides all initial weights.
    pub fn new(input: Shape, seed: u64) -> Self {
        let input = ValueType::new(input, DType::F32);
        Self { input, nodes: Vec::new(), params: Params::default(), rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// An empty network whose tensors take no memory until it is finished and then hold 0: to learn how large it is.
    pub fn blank(input: Shape) -> Self {
        Self { params: Params::blank(), ..Self::new(input, 0) }
    }

    /// How many trained numbers and running statistics the network has so far.
    pub fn sizes(&self) -> (u128, u128) {
        let sum = |infos: &[ParamInfo]| infos.iter().map(ParamInfo::elements).fold(0, u128::saturating_add);
        (sum(self.params.infos()), sum(self.params.state_infos()))
    }

    /// The network's input.
    pub fn input(&self) -> Var {
        Var(0)
    }

    /// Type of a value.
    pub fn ty(&self, var: Var) -> ValueType {
        if var.0 == 0 { self.input } else { self.nodes[var.0 - 1].ty }
    }

    /// A new trained tensor.
    pub fn param(&mut self, name: &str, shape: &[usize], role: Role, init: Init) -> ParamId {
        self.params.add(&mut self.rng, name, shape, role, init)
    }

    /// A new tensor of running statistics.
    pub fn state(&mut self, name: &str, len: usize, fill: f32) -> StateId {
        self.params.add_state(name, len, fill)
    }

    /// A new tensor of numbers that are not trained.
    pub fn constant(&mut self, name: &str, numbers: &[f32]) -> StateId {
        self.params.add_fixed(name, numbers)
    }

    /// Adds an operator over earlier values.
    ///
    /// # Errors
    /// Where the operator refuses the inputs or the name is taken.
    pub fn add(&mut self, name: &str, op: Box<dyn Operator>, inputs: &[Var]) -> Result<Var, NetworkError> {
        if self.nodes.iter().any(|n| n.name == name) {
            return Err(NetworkError::Name(name.into()));
        }
        let types: Vec<_> = inputs.iter().map(|&v| self.ty(v)).collect();
        let ty =
            op.output(&types).map_err(|reason| NetworkError::Inputs { layer: name.into(), kind: op.kind(), reason })?;
        let own = format!("{name}.");
        let trained = self.params.infos().iter().any(|p| p.name.starts_with(&own))
            || inputs.iter().any(|v| v.0 > 0 && self.nodes[v.0 - 1].trained);
        let inputs = inputs.iter().map(|v| v.0).collect();
        self.nodes.push(Node { name: name.into(), op, inputs, ty, trained });
        Ok(Var(self.nodes.len()))
    }

    /// The finished network; the last layer's output is its output.
    ///
    /// # Errors
    /// If the last value is not real.
    pub fn finish(mut self) -> Result<Network, NetworkError> {
        if self.nodes.last().is_none_or(|n| n.ty.dtype != DType::F32) {
            return Err(NetworkError::Output);
        }
        self.params.fill_blank();
        let mut last_read = vec![0; self.nodes.len() + 1];
        for (i, node) in self.nodes.iter().enumerate() {
            for &input in &node.inputs {
                last_read[input] = i;
            }
        }
        // The output is read by the caller.
        last_read[self.nodes.len()] = usize::MAX;
        let mut backward_reads = vec![false; self.nodes.len() + 1];
        for (i, node) in self.nodes.iter().enumerate() {
            let needs = node.op.needs();
            backward_reads[i + 1] |= needs.output;
            node.inputs.iter().for_each(|&input| backward_reads[input] |= needs.inputs);
        }
        Ok(Network {
            input: self.input,
            values: (0..=self.nodes.len()).map(|_| None).collect(),
            nodes: self.nodes,
            params: self.params,
            last_read,
            backward_reads,
            buffers: Buffers::default(),
            isa: Isa::from_env().unwrap_or_else(|_| Isa::best()),
            gemm: Box::new(GemmCrate),
            ranks: None,
        })
    }
}

/// A network with its parameters and the buffers of its steps.
pub struct Network {
    input: ValueType,
    nodes: Vec<Node>,
    params: Params,
    values: Vec<Option<Value>>,
    /// For each value, the last node that reads it in the forward pass.
    last_read: Vec<usize>,
    /// For each value, whether a backward pass reads it.
    backward_reads: Vec<bool>,
    buffers: Buffers,
    isa: Isa,
    gemm: Box<dyn Gemm>,
    ranks: Option<Ranks>,
}

impl Network {
    /// Makes forward and backward in training mode those of this rank's share of a batch; `None` for one process alone.
    pub fn set_ranks(&mut self, ranks: Option<Ranks>) {
        self.ranks = ranks;
    }

    /// The ranks that share each batch, if there are several.
    pub fn ranks(&self) -> Option<&Ranks> {
        self.ranks.as_ref()
    }

    /// Chooses the instruction set of the packed kernels. By default it is the one that `SIGNBIT_ISA` names, or the
    /// best where it names none that this CPU has.
    pub fn set_isa(&mut self, isa: Isa) {
        self.isa = isa;
    }

    /// Chooses the library for real matrix products; the `gemm` crate by default.
    pub fn set_gemm(&mut self, gemm: Box<dyn Gemm>) {
        self.gemm = gemm;
    }

    /// Shape of one input sample.
    pub fn input_shape(&self) -> Shape {
        self.input.shape
    }

    /// Shape of one output sample.
    pub fn output_shape(&self) -> Shape {
        self.nodes[self.nodes.len() - 1].ty.shape
    }

    /// Type of the output of the layer of this name.
    pub fn layer(&self, name: &str) -> Option<ValueType> {
        self.nodes.iter().find(|node| node.name == name).map(|node| node.ty)
    }

    /// Parameters, gradients, running statistics.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Parameters, gradients, running statistics, to be changed.
    pub fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    /// Takes a buffer for an input of `n` samples, with stale contents.
    pub fn input_buffer(&mut self, n: usize) -> Vec<f32> {
        self.buffers.real(n * self.input.shape.elements())
    }

    /// The buffers of the network's steps: whoever hands a tensor in takes its buffer from here, or they would pile up.
    pub fn buffers(&mut self) -> &mut Buffers {
        &mut self.buffers
    }

    /// Gives a tensor's buffer back after use.
    pub fn recycle(&mut self, tensor: Tensor) {
        self.buffers.give(tensor.data);
    }

    /// Tells all operators which share of the training is done, 0 to below 1.
    pub fn set_progress(&mut self, progress: f32) {
        self.nodes.iter_mut().for_each(|node| node.op.set_progress(progress));
    }

    /// Runs the network over `[n, h, w, c]` and returns its output.
    ///
    /// # Panics
    /// If the input's sample shape is not the network's.
    pub fn forward(&mut self, input: Tensor, mode: Mode) -> Tensor {
        self.forward_traced(input, mode, &mut |_, _| {})
    }

    /// As [`Network::forward`], and shows every layer's output under its name.
    ///
    /// # Panics
    /// If the input's sample shape is not the network's.
    pub fn forward_traced(&mut self, input: Tensor, mode: Mode, seen: &mut dyn FnMut(&str, &Value)) -> Tensor {
        assert_eq!(input.shape, self.input.shape, "input shape");
        self.release_all();
        self.values[0] = Some(Value::Real(input));
        for i in 0..self.nodes.len() {
            let node = &mut self.nodes[i];
            let inputs: Vec<&Value> =
                node.inputs.iter().map(|&v| self.values[v].as_ref().expect("released before its last use")).collect();
            let mut cx = Context {
                mode,
                params: &mut self.params,
                buffers: &mut self.buffers,
                isa: self.isa,
                gemm: &*self.gemm,
                ranks: self.ranks.as_ref().filter(|_| mode == Mode::Train),
            };
            let output = node.op.forward(&mut cx, &inputs);
            debug_assert_eq!(output.shape(), node.ty.shape, "{}: the operator broke its shape rule", node.name);
            seen(&node.name, &output);
            self.values[i + 1] = Some(output);
            self.release_read(i, mode);
        }
        match self.values[self.nodes.len()].take() {
            Some(Value::Real(t)) => t,
            _ => unreachable!("finish() saw to a real output"),
        }
    }

    /// Releases what node `i` was the last to read and no backward will.
    fn release_read(&mut self, i: usize, mode: Mode) {
        for &v in &self.nodes[i].inputs {
            let kept = mode == Mode::Train && self.backward_reads[v];
            if self.last_read[v] == i
                && !kept
                && let Some(value) = self.values[v].take()
            {
                self.buffers.give_value(value);
            }
        }
    }

    fn release_all(&mut self) {
        for value in &mut self.values {
            if let Some(value) = value.take() {
                self.buffers.give_value(value);
            }
        }
    }

    /// Given the output of the last training-mode forward and the gradient of the loss by it,
    /// writes the gradients of all parameters. Takes both buffers back.
    ///
    /// # Panics
    /// If no forward in training mode went before.
    pub fn backward(&mut self, output: Tensor, grad: Tensor) {
        self.backward_with(output, grad, Vec::new());
    }

    /// As [`Network::backward`], of a loss that reads real outputs of inner layers too: `inner` are its gradients by them,
    /// with the layers' names.
    ///
    /// # Panics
    /// If no forward in training mode went before, or there is no such layer.
    pub fn backward_with(&mut self, output: Tensor, grad: Tensor, inner: Vec<(String, Tensor)>) {
        let mut grads: Vec<Option<Tensor>> = (0..=self.nodes.len()).map(|_| None).collect();
        for (name, grad) in inner {
            let node = self.nodes.iter().position(|node| node.name == name).expect("a layer of this name");
            grads[node + 1] = Some(grad);
        }
        grads[self.nodes.len()] = Some(grad);
        self.values[self.nodes.len()] = Some(Value::Real(output));
        for i in (0..self.nodes.len()).rev() {
            let Some(grad) = grads[i + 1].take() else { continue };
            let trained: Vec<bool> = self.nodes[i].inputs.iter().map(|&v| v > 0 && self.nodes[v - 1].trained).collect();
            let node = &mut self.nodes[i];
            let needs = node.op.needs();
            let pass = Pass {
                inputs: node.inputs.iter().map(|&v| self.values[v].as_ref().filter(|_| needs.inputs)).collect(),
                output: self.values[i + 1].as_ref().filter(|_| needs.output),
                grad,
                wanted: trained,
            };
            let mut cx = Context {
                mode: Mode::Train,
                params: &mut self.params,
                buffers: &mut self.buffers,
                isa: self.isa,
                gemm: &*self.gemm,
                ranks: self.ranks.as_ref(),
            };
            let input_grads = node.op.backward(&mut cx, pass);
            for (&v, grad) in node.inputs.iter().zip(input_grads) {
                let Some(grad) = grad else { continue };
                match &mut grads[v] {
                    Some(sum) => {
                        sum.data.par_chunks_mut(CHUNK).zip(grad.data.par_chunks(CHUNK)).for_each(|(sum, grad)| {
                            sum.iter_mut().zip(grad).for_each(|(s, g)| *s += g);
                        });
                        self.buffers.give(grad.data);
                    }
                    slot => *slot = Some(grad),
                }
            }
            if let Some(value) = self.values[i + 1].take() {
                self.buffers.give_value(value);
            }
        }
        self.release_all();
    }

    /// The network as the one graph, in evaluation mode, with batch norm and scale factors folded.
    ///
    /// # Errors
    /// Where a layer cannot be packed; the message names it.
    pub fn pack(&self) -> Result<Model, PackError> {
        let mut packer = Packer::new(self.input.shape, &self.params);
        let mut packed = vec![packer.input()];
        for node in &self.nodes {
            let inputs: Vec<Packed> = node.inputs.iter().map(|&v| packed[v].clone()).collect();
            packed.push(node.op.pack(&node.name, &mut packer, &inputs)?);
        }
        let output = packed.pop().ok_or(PackError::Empty)?;
        packer.finish(&output)
    }
}
