//! The way through a graph: names and what they stand for.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use signbit_model::limits::MAX_NODES;
use signbit_model::{Op, Shape, ValueId};

use super::constant::{Budget, Constant, Shared};
use super::input::Input;
use super::live::Live;
use super::node::Node;
use super::proto::{GraphProto, ModelProto};
use super::value::{Axis, Real, Spread, Test, Value};
use super::{dispatch, fold, malformed, output};
use crate::{ConvertError, Draft, Imported};

/// Operator sets that a node may be of.
const DOMAINS: [&str; 5] = ["", "ai.onnx", "qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas"];

/// A graph on its way into a draft.
pub(super) struct Reader<'a> {
    pub(super) draft: Draft,
    pub(super) budget: Budget,
    values: HashMap<&'a str, Value>,
    made: HashSet<&'a str>,
    live: Live<'a>,
}

/// Reads a decoded file of `bytes` bytes.
pub(super) fn read(model: &ModelProto, bytes: usize) -> Result<Imported, ConvertError> {
    let graph = model.graph.as_ref().ok_or_else(|| malformed("there is no graph in it"))?;
    let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let opset = model.opset_import.iter().find(|set| own(&set.domain)).map_or(1, |set| set.version);
    if graph.node.len() > MAX_NODES {
        return Err(malformed(format!("it has {} nodes, {MAX_NODES} is the most", graph.node.len())));
    }
    let [result] = graph.output.as_slice() else {
        return Err(ConvertError::unsupported("output", "graph", format!("it has {} outputs", graph.output.len())));
    };
    let live = Live::of(graph, &result.name);
    let Input { input, dims, axes } = Input::of(graph, &live)?;
    let mut draft = Draft::new(Shape::new(dims[1], dims[2], dims[3]));
    if draft.shape(draft.input()).checked_elements().is_none() {
        return Err(ConvertError::unsupported(&input.name, "input", "it is too large"));
    }
    for node in &graph.node {
        draft.found(node.op_type.as_str());
    }
    let axes: Vec<&[Axis]> = axes.iter().map(Vec::as_slice).collect();
    let x = Real::new(draft.input(), dims, &axes);
    let mut reader =
        Reader { draft, budget: Budget::for_file(bytes), values: HashMap::new(), made: HashSet::new(), live };
    for tensor in &graph.initializer {
        let constant = Constant::read(tensor, &mut reader.budget)?;
        reader.define(&tensor.name, Value::Constant(Rc::new(constant)))?;
    }
    reader.define(&input.name, Value::Real(x))?;
    reader.nodes(graph, opset)?;
    let value = reader.lookup(reader.live.root(&result.name))?;
    let Value::Real(value) = value else {
        return Err(ConvertError::unsupported(&result.name, "output", "it does not depend on the input"));
    };
    let id = output::realise(&mut reader, &result.name, &value)?;
    reader.draft.finish(id)
}

impl<'a> Reader<'a> {
    fn nodes(&mut self, graph: &'a GraphProto, opset: i64) -> Result<(), ConvertError> {
        let mut names: HashSet<&str> = HashSet::new();
        for (i, proto) in graph.node.iter().enumerate() {
            if !self.live.nodes.get(i).copied().unwrap_or(false) {
                // Also what leads nowhere must not be a second maker of a name.
                for name in proto.output.iter().filter(|name| !name.is_empty()) {
                    self.name(name)?;
                }
                continue;
            }
            let first = proto.output.first().map_or("", String::as_str);
            // Names need not be unique, outputs are.
            let free = !proto.name.is_empty() && names.insert(&proto.name);
            let node = Node { proto, opset, name: if free { &proto.name } else { first } };
            if !DOMAINS.contains(&proto.domain.as_str()) {
                return Err(node.unsupported(format!("operators of the domain {} are not known", proto.domain)));
            }
            let results = self.node(&node)?;
            for name in proto.input.iter().filter(|name| !name.is_empty()) {
                self.done(name);
            }
            for (name, value) in proto.output.iter().zip(results) {
                if !name.is_empty() {
                    self.define(name, value)?;
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &Node<'a>) -> Result<Vec<Value>, ConvertError> {
        let mut operands = Vec::with_capacity(node.inputs().len());
        let mut all_constant = true;
        for name in node.inputs() {
            operands.push(match name.as_str() {
                "" => None,
                name => match self.lookup(self.live.root(name))? {
                    Value::Constant(constant) => Some(constant),
                    _ => {
                        all_constant = false;
                        None
                    }
                },
            });
        }
        if all_constant {
            let folded = fold::evaluate(node, &operands, &mut self.budget)?;
            let folded = folded.ok_or_else(|| node.unsupported("of constants"))?;
            return Ok(vec![Value::Constant(Rc::new(folded))]);
        }
        dispatch::node(self, node)
    }

    fn name(&mut self, name: &'a str) -> Result<(), ConvertError> {
        if self.made.insert(name) { Ok(()) } else { Err(malformed(format!("`{name}` is made twice"))) }
    }

    fn define(&mut self, name: &'a str, value: Value) -> Result<(), ConvertError> {
        self.name(name)?;
        if !self.live.reads.contains_key(name) {
            return Ok(());
        }
        if let Value::Constant(constant) = &value {
            self.budget.hold(name, "constant", constant.len())?;
        }
        self.values.insert(name, value);
        Ok(())
    }

    /// One of the reads of a value is done; after the last one, the value goes.
    fn done(&mut self, name: &'a str) {
        let root = self.live.root(name);
        let Some(left) = self.live.reads.get_mut(root) else {
            return;
        };
        *left = left.saturating_sub(1);
        if *left == 0
            && let Some(Value::Constant(constant)) = self.values.remove(root)
        {
            self.budget.release(constant.len());
        }
    }

    fn lookup(&self, name: &str) -> Result<Value, ConvertError> {
        self.values.get(name).cloned().ok_or_else(|| malformed(format!("nothing makes `{name}` before it is read")))
    }

    /// Operand `i`.
    pub(super) fn operand(&self, node: &Node<'_>, i: usize) -> Result<Value, ConvertError> {
        self.find(node, i)?.cloned().ok_or_else(|| node.unsupported(format!("its operand {i} is missing")))
    }

    /// Operand `i`, a value of the network.
    pub(super) fn real(&self, node: &Node<'_>, i: usize) -> Result<Real, ConvertError> {
        match self.find(node, i)? {
            Some(Value::Real(x)) => Ok(x.clone()),
            Some(Value::Constant(_)) => Err(node.unsupported(format!("its operand {i} is a constant"))),
            Some(Value::Test(_)) => Err(node.unsupported(format!("its operand {i} is a comparison"))),
            None => Err(node.unsupported(format!("its operand {i} is missing"))),
        }
    }

    /// Operand `i`, a constant.
    pub(super) fn constant(&self, node: &Node<'_>, i: usize) -> Result<Shared, ConvertError> {
        self.optional_constant(node, i)?.ok_or_else(|| node.unsupported(format!("its operand {i} is missing")))
    }

    /// Operand `i`, a constant where it is there.
    pub(super) fn optional_constant(&self, node: &Node<'_>, i: usize) -> Result<Option<Shared>, ConvertError> {
        match self.find(node, i)? {
            None => Ok(None),
            Some(Value::Constant(constant)) => Ok(Some(Rc::clone(constant))),
            Some(_) => Err(node.unsupported(format!("its operand {i} is not a constant"))),
        }
    }

    fn find(&self, node: &Node<'_>, i: usize) -> Result<Option<&Value>, ConvertError> {
        let Some(name) = node.input(i) else {
            return Ok(None);
        };
        let root = self.live.root(name);
        self.values.get(root).map(Some).ok_or_else(|| malformed(format!("nothing makes `{name}` before it is read")))
    }

    /// Integers in an attribute, or in a constant operand in newer files.
    pub(super) fn list(&self, node: &Node<'_>, attribute: &str, i: usize) -> Result<Option<Vec<i64>>, ConvertError> {
        if let Some(ints) = node.ints(attribute) {
            return Ok(Some(ints.to_vec()));
        }
        let constant = self.optional_constant(node, i)?;
        let wrong = || node.unsupported(format!("its operand {i} is not a list of integers"));
        constant.map(|c| c.as_ints().map(<[i64]>::to_vec).ok_or_else(wrong)).transpose()
    }

    /// A number in an attribute, or in a constant operand in newer files.
    pub(super) fn number(&self, node: &Node<'_>, attribute: &str, i: usize) -> Result<Option<f32>, ConvertError> {
        if let Some(number) = node.float(attribute) {
            return Ok(Some(number));
        }
        let constant = self.optional_constant(node, i)?;
        let wrong = || node.unsupported(format!("its operand {i} is not one number"));
        constant.map(|c| c.single().ok_or_else(wrong)).transpose()
    }

    /// Adds an operator that leaves the axes as they are.
    pub(super) fn same(&mut self, node: &Node<'_>, op: Op, x: &Real) -> Result<Real, ConvertError> {
        Ok(x.with(self.draft.node(node.name, op, &[x.id])?))
    }

    /// The sign, as +1.0 and -1.0.
    pub(super) fn sign(&mut self, node: &Node<'_>, x: &Real) -> Result<Real, ConvertError> {
        Ok(x.with(self.draft.sign(node.name, x.id)?))
    }

    /// The value as a vector of the graph.
    pub(super) fn flat(&mut self, node: &Node<'_>, x: &Real) -> Result<Real, ConvertError> {
        if x.is_vector() {
            return Ok(x.clone());
        }
        let id = self.draft.node(&format!("{}.flatten", node.name), Op::Flatten, &[x.id])?;
        Ok(x.flattened(id))
    }

    /// The numbers of some constants for each channel of the graph's value, which is flattened where it must be.
    pub(super) fn per_channel<const K: usize>(
        &mut self,
        node: &Node<'_>,
        x: &Real,
        constants: [&Constant; K],
    ) -> Result<(Real, [Vec<f32>; K]), ConvertError> {
        let rank = constants.iter().map(|c| c.dims().len()).max().unwrap_or(0);
        let mut x = x.aligned(rank);
        let mut all = Vec::with_capacity(K);
        for _ in 0..2 {
            all.clear();
            for constant in constants {
                let len = x.spread_len(constant).map_err(|reason| node.unsupported(reason))?;
                self.budget.hold(node.name, node.operator(), len)?;
                self.budget.charge(node.name, node.operator(), constant.len())?;
                match x.spread(constant).map_err(|reason| node.unsupported(reason))? {
                    Spread::Channels(numbers) => all.push(numbers),
                    Spread::Flat(numbers) if x.is_vector() => all.push(numbers),
                    Spread::Flat(_) => break,
                }
            }
            if let Ok(all) = <[Vec<f32>; K]>::try_from(std::mem::take(&mut all)) {
                return Ok((x, all));
            }
            x = self.flat(node, &x)?;
        }
        Err(node.unsupported("its constants do not go with its value"))
    }

    /// `x * mul + add`, each where it is there, in a broadcast form.
    pub(super) fn scaled(
        &mut self,
        node: &Node<'_>,
        x: &Real,
        mul: Option<&Constant>,
        add: Option<&Constant>,
    ) -> Result<Real, ConvertError> {
        let (one, zero) = (Constant::scalar(1.0), Constant::scalar(0.0));
        let (mul, add) = (mul.unwrap_or(&one), add.unwrap_or(&zero));
        let all = |constant: &Constant, value: f32| constant.to_floats().iter().all(|&v| v == value);
        if all(mul, 1.0) && all(add, 0.0) && mul.dims().len().max(add.dims().len()) <= x.rank() {
            // Nothing to do, where the constants do not make the value larger.
            x.spread_len(mul).and_then(|_| x.spread_len(add)).map_err(|reason| node.unsupported(reason))?;
            return Ok(x.clone());
        }
        if let Some(steps) = x.map_steps(mul).filter(|_| all(add, 0.0) && add.dims().len() <= x.rank()) {
            return self.mul_map(node, x, mul, steps);
        }
        let (x, [mul, add]) = self.per_channel(node, x, [mul, add])?;
        Ok(x.with(self.draft.mul_add(node.name, x.id, mul, add)?))
    }

    /// `x` times a constant that steps along its rows and columns.
    fn mul_map(
        &mut self,
        node: &Node<'_>,
        x: &Real,
        mul: &Constant,
        [row, column]: [usize; 2],
    ) -> Result<Real, ConvertError> {
        let (h, w) = (x.size(Axis::H), x.size(Axis::W));
        self.budget.hold(node.name, node.operator(), h.saturating_mul(w))?;
        self.budget.charge(node.name, node.operator(), mul.len())?;
        let numbers = mul.to_floats();
        let data =
            (0..h).flat_map(|i| (0..w).map(move |j| (i, j))).map(|(i, j)| numbers[i * row + j * column]).collect();
        let map = self.draft.f32(&format!("{}.map", node.name), [h, w], data)?;
        Ok(x.with(self.join(node, Op::MulMap { map }, &[x.id])?))
    }

    /// +1.0 where a comparison holds, else -1.0.
    pub(super) fn tested(&mut self, node: &Node<'_>, test: &Test) -> Result<Real, ConvertError> {
        let x = if test.ascending {
            self.scaled(node, &test.x, None, Some(&test.than.map(|v| -v)))?
        } else {
            self.scaled(node, &test.x, Some(&Constant::scalar(-1.0)), Some(&test.than))?
        };
        let sign = self.sign(node, &x)?;
        if test.strict { self.scaled(node, &sign, Some(&Constant::scalar(-1.0)), None) } else { Ok(sign) }
    }

    /// Adds a node of the graph with several operands.
    pub(super) fn join(&mut self, node: &Node<'_>, op: Op, values: &[ValueId]) -> Result<ValueId, ConvertError> {
        self.draft.node(node.name, op, values)
    }
}
