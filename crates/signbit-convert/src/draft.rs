//! The graph that a reader builds, node by node, with the types known at every step.

use std::collections::{BTreeMap, BTreeSet};

use signbit_model::limits::MAX_NAME;
use signbit_model::{DType, Graph, Model, Node, Op, Shape, Tensor, ValueId, ValueType, infer_node};

use crate::{ConvertError, Imported, Warning};

/// An activation fused into another system's operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// None.
    None,
    /// max(x, 0).
    Relu,
    /// To [-1, 1].
    ReluN1To1,
    /// To [0, 6].
    Relu6,
}

/// A network under construction.
///
/// A reader adds each of its file's operators as it stands there: a sign as [`Op::Sign`] and [`Op::Unpack`],
/// weights of +-alpha as F32, batch norm as [`Op::MulAdd`]; [`crate::passes`] makes bits of them.
#[derive(Debug, Clone)]
pub struct Draft {
    graph: Graph,
    types: Vec<ValueType>,
    tensors: BTreeMap<String, Tensor>,
    names: BTreeSet<String>,
    warnings: Vec<Warning>,
    operators: BTreeMap<String, usize>,
}

impl Draft {
    /// A network whose input is F32 of the given shape.
    #[must_use]
    pub fn new(input: Shape) -> Self {
        let input = ValueType { shape: input, dtype: DType::F32 };
        Self {
            graph: Graph { input, nodes: Vec::new(), output: ValueId::INPUT },
            types: vec![input],
            tensors: BTreeMap::new(),
            names: BTreeSet::new(),
            warnings: Vec::new(),
            operators: BTreeMap::new(),
        }
    }

    /// The network's input.
    #[must_use]
    pub fn input(&self) -> ValueId {
        ValueId::INPUT
    }

    /// The type of a value that this draft gave.
    ///
    /// # Panics
    /// Where it is another draft's.
    #[must_use]
    pub fn value_type(&self, value: ValueId) -> ValueType {
        self.types[value.index()]
    }

    /// The shape of a value that this draft gave; panics as [`Draft::value_type`].
    #[must_use]
    pub fn shape(&self, value: ValueId) -> Shape {
        self.value_type(value).shape
    }

    /// The operator that makes a value; `None` for the input.
    #[must_use]
    pub fn op_of(&self, value: ValueId) -> Option<&Op> {
        value.index().checked_sub(1).and_then(|node| self.graph.nodes.get(node)).map(|node| &node.op)
    }

    /// The operands of the node that makes a value; empty for the input.
    #[must_use]
    pub fn operands_of(&self, value: ValueId) -> &[ValueId] {
        value.index().checked_sub(1).and_then(|node| self.graph.nodes.get(node)).map_or(&[], |node| &node.inputs)
    }

    /// Counts one of the source's operators, by the source's name.
    pub fn found(&mut self, operator: impl Into<String>) {
        *self.operators.entry(operator.into()).or_insert(0) += 1;
    }

    /// Adds a warning.
    pub fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// Adds a tensor and returns the name that it got: `name`, made printable, short and unique.
    pub fn tensor(&mut self, name: &str, tensor: Tensor) -> String {
        let name = unique(name, |n| self.tensors.contains_key(n));
        self.tensors.insert(name.clone(), tensor);
        name
    }

    /// Adds an F32 tensor.
    ///
    /// # Errors
    /// The data does not have the shape's length.
    pub fn f32(&mut self, name: &str, shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<String, ConvertError> {
        let tensor = Tensor::f32(shape, data)?;
        Ok(self.tensor(name, tensor))
    }

    /// Adds a node; its name is `name`, made printable, short and unique.
    ///
    /// # Errors
    /// The operator does not fit its operands or tensors.
    pub fn node(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId, ConvertError> {
        let name = unique(name, |n| self.names.contains(n));
        let node = Node { name: name.clone(), op, inputs: inputs.to_vec() };
        self.types.push(infer_node(&node, &self.types, &self.tensors)?);
        self.names.insert(name);
        self.graph.nodes.push(node);
        Ok(ValueId::of_node(self.graph.nodes.len() - 1))
    }

    /// Adds `x * mul[c] + add[c]`, `mul` and `add` of one number per channel.
    ///
    /// # Errors
    /// They have another length than the value has channels.
    pub fn mul_add(&mut self, name: &str, x: ValueId, mul: Vec<f32>, add: Vec<f32>) -> Result<ValueId, ConvertError> {
        let mul = self.f32(&format!("{name}.mul"), [mul.len()], mul)?;
        let add = self.f32(&format!("{name}.add"), [add.len()], add)?;
        self.node(name, Op::MulAdd { mul, add }, &[x])
    }

    /// Adds the sign of a real value, as the real numbers +1 and -1.
    ///
    /// # Errors
    /// The value is not F32 or I32.
    pub fn sign(&mut self, name: &str, x: ValueId) -> Result<ValueId, ConvertError> {
        let bits = self.node(name, Op::Sign, &[x])?;
        self.node(&format!("{name}.unpack"), Op::Unpack, &[bits])
    }

    /// Adds a fused activation, where there is one.
    ///
    /// # Errors
    /// The value is of bits.
    pub fn activation(&mut self, name: &str, x: ValueId, activation: Activation) -> Result<ValueId, ConvertError> {
        let op = match activation {
            Activation::None => return Ok(x),
            Activation::Relu => Op::Relu,
            Activation::ReluN1To1 => Op::Clip { min: -1.0, max: 1.0 },
            Activation::Relu6 => Op::Clip { min: 0.0, max: 6.0 },
        };
        self.node(&format!("{name}.act"), op, &[x])
    }

    /// The finished network, checked.
    ///
    /// # Errors
    /// As [`Model::validate`]; nodes and tensors that do not lead to the output are left out before.
    pub fn finish(self, output: ValueId) -> Result<Imported, ConvertError> {
        let mut graph = self.graph;
        graph.output = output;
        let mut model =
            Model { graph, tensors: self.tensors, preprocessing: None, classes: Vec::new(), notes: BTreeMap::new() };
        crate::passes::prune(&mut model);
        model.validate()?;
        Ok(Imported { model, warnings: self.warnings, operators: self.operators })
    }
}

/// `name`, printable, short, and not `taken`.
pub(crate) fn unique(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut base: String = name.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    if base.is_empty() || base == "__metadata__" {
        base.insert_str(0, "node");
    }
    // Room for a number behind it.
    while base.len() > MAX_NAME - 24 {
        base.pop();
    }
    let numbered = (2_u64..).map(|i| format!("{base}.{i}"));
    std::iter::once(base.clone()).chain(numbered).find(|n| !taken(n)).unwrap_or(base)
}
