//! One walk over a graph that copies, replaces or adds nodes.

use std::collections::BTreeMap;

use signbit_model::{Graph, Model, Node, Op, Tensor, ValueId, ValueType, infer};

use super::prune;
use crate::ConvertError;
use crate::draft::unique;

/// The old graph, and the new one as far as it has come.
pub(super) struct Rewrite {
    old: Graph,
    types: Vec<ValueType>,
    uses: Vec<usize>,
    /// Where each old value lies in the new graph.
    map: Vec<ValueId>,
    nodes: Vec<Node>,
    /// Old and new ones; what is not used any more goes at the end.
    pub(super) tensors: BTreeMap<String, Tensor>,
}

/// Walks over the nodes of `model`, from input to output. `step` looks at node `i` of the old graph and may give the
/// value that takes its place; where it gives none, the node is copied.
///
/// # Errors
/// Those of `step`, and a result that is not valid.
pub(super) fn rewrite(
    model: Model,
    mut step: impl FnMut(&mut Rewrite, usize) -> Result<Option<ValueId>, ConvertError>,
) -> Result<Model, ConvertError> {
    let types = infer(&model.graph, &model.tensors)?;
    let mut uses = vec![0; types.len()];
    for input in model.graph.nodes.iter().flat_map(|node| &node.inputs).chain([&model.graph.output]) {
        uses[input.index()] += 1;
    }
    let count = model.graph.nodes.len();
    let mut map = Vec::with_capacity(types.len());
    map.push(ValueId::INPUT);
    let mut walk = Rewrite { old: model.graph, types, uses, map, nodes: Vec::new(), tensors: model.tensors };
    for i in 0..count {
        let value = match step(&mut walk, i)? {
            Some(value) => value,
            None => walk.copy(i),
        };
        walk.map.push(value);
    }
    let output = walk.map[walk.old.output.index()];
    let graph = Graph { input: walk.old.input, nodes: walk.nodes, output };
    let mut model = Model { graph, tensors: walk.tensors, ..model };
    prune(&mut model);
    name_apart(&mut model.graph.nodes);
    infer(&model.graph, &model.tensors)?;
    Ok(model)
}

/// A node that replaces another may have its name as long as both stand; here each gets its own.
fn name_apart(nodes: &mut [Node]) {
    let mut names = std::collections::BTreeSet::new();
    for node in nodes {
        node.name = unique(&node.name, |name| names.contains(name));
        names.insert(node.name.clone());
    }
}

impl Rewrite {
    /// Node `i` of the old graph.
    pub(super) fn node(&self, i: usize) -> &Node {
        &self.old.nodes[i]
    }

    /// The type of an old value.
    pub(super) fn value_type(&self, value: ValueId) -> ValueType {
        self.types[value.index()]
    }

    /// The old node that makes an old value, with its place; `None` for the input.
    pub(super) fn producer(&self, value: ValueId) -> Option<(usize, &Node)> {
        let i = value.index().checked_sub(1)?;
        Some((i, &self.old.nodes[i]))
    }

    /// How many operands, the graph's output included, an old value is.
    pub(super) fn uses(&self, value: ValueId) -> usize {
        self.uses[value.index()]
    }

    /// The operators that read an old value; `None` where it is the graph's output.
    pub(super) fn readers(&self, value: ValueId) -> Option<impl Iterator<Item = &Op>> {
        let nodes = self.old.nodes.iter().filter(move |node| node.inputs.contains(&value));
        (self.old.output != value).then(|| nodes.map(|node| &node.op))
    }

    /// Where an old value lies in the new graph.
    pub(super) fn at(&self, value: ValueId) -> ValueId {
        self.map[value.index()]
    }

    /// The new node that makes a new value; `None` for the input.
    pub(super) fn new_producer(&self, value: ValueId) -> Option<&Node> {
        value.index().checked_sub(1).map(|i| &self.nodes[i])
    }

    /// Adds a node to the new graph; `inputs` are new values.
    pub(super) fn add(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> ValueId {
        self.nodes.push(Node { name: name.to_owned(), op, inputs: inputs.to_vec() });
        ValueId::of_node(self.nodes.len() - 1)
    }

    /// Adds node `i` of the old graph with another operator.
    pub(super) fn copy_as(&mut self, i: usize, op: Op) -> ValueId {
        let inputs: Vec<ValueId> = self.old.nodes[i].inputs.iter().map(|&input| self.at(input)).collect();
        let name = self.old.nodes[i].name.clone();
        self.add(&name, op, &inputs)
    }

    fn copy(&mut self, i: usize) -> ValueId {
        let op = self.old.nodes[i].op.clone();
        self.copy_as(i, op)
    }

    /// Adds a tensor under `name` or, where that is taken, a numbered form of it.
    pub(super) fn tensor(&mut self, name: &str, tensor: Tensor) -> String {
        let name = unique(name, |n| self.tensors.contains_key(n));
        self.tensors.insert(name.clone(), tensor);
        name
    }

    /// The numbers of an F32 tensor.
    pub(super) fn f32(&self, name: &str) -> Option<&[f32]> {
        self.tensors.get(name)?.as_f32()
    }

    /// Adds `x * mul[c] + add[c]` to the new graph.
    pub(super) fn mul_add(
        &mut self,
        name: &str,
        x: ValueId,
        mul: Vec<f32>,
        add: Vec<f32>,
    ) -> Result<ValueId, ConvertError> {
        let mul = self.tensor(&format!("{name}.mul"), Tensor::f32([mul.len()], mul)?);
        let add = self.tensor(&format!("{name}.add"), Tensor::f32([add.len()], add)?);
        Ok(self.add(name, Op::MulAdd { mul, add }, &[x]))
    }
}
