//! Nodes and constants of an ONNX graph.

use std::collections::{BTreeMap, BTreeSet};

use signbit_model::Node;

use super::super::names::Names;
use crate::onnx::proto::{
    AttributeProto, Dimension, DimensionProto, GraphProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto, attribute_type, data_type,
};

/// An attribute of integers.
pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let (name, ints) = (name.to_owned(), values.to_vec());
    AttributeProto { name, ints, r#type: attribute_type::INTS, ..AttributeProto::default() }
}

/// An attribute of one integer.
pub(super) fn integer(name: &str, value: i64) -> AttributeProto {
    let name = name.to_owned();
    AttributeProto { name, i: Some(value), r#type: attribute_type::INT, ..AttributeProto::default() }
}

/// The graph so far.
#[derive(Debug)]
pub(super) struct Writer {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    names: Names,
    /// The names of the model's nodes, until they are used.
    kept: BTreeSet<String>,
    /// Values that serve more than one node, by what they are.
    shared: BTreeMap<String, String>,
}

impl Writer {
    /// A graph with room for the model's nodes under their own names.
    pub(super) fn new(nodes: &[Node]) -> Self {
        let mut names = Names::default();
        names.unique("input");
        names.unique("output");
        let kept = nodes.iter().filter(|node| names.unique(&node.name) == node.name).map(|node| node.name.clone());
        let kept = kept.collect();
        Self { nodes: Vec::new(), constants: Vec::new(), names, kept, shared: BTreeMap::new() }
    }

    /// Adds a node; returns the name of its value, which is also the node's.
    pub(super) fn node(
        &mut self,
        name: &str,
        op_type: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) -> String {
        let name = if self.kept.remove(name) { name.to_owned() } else { self.names.unique(name) };
        self.push(&name, op_type, inputs, attribute);
        name
    }

    /// Adds the node that makes the graph's output.
    pub(super) fn output(&mut self, op_type: &str, value: &str, attribute: Vec<AttributeProto>) {
        self.push("output", op_type, &[value], attribute);
    }

    fn push(&mut self, name: &str, op_type: &str, inputs: &[&str], attribute: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&n| n.to_owned()).collect(),
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: op_type.to_owned(),
            attribute,
            domain: String::new(),
        });
    }

    /// The value that is known as `key`; made by `make` where it is not there yet.
    pub(super) fn shared<E>(
        &mut self,
        key: String,
        make: impl FnOnce(&mut Self) -> Result<String, E>,
    ) -> Result<String, E> {
        if let Some(name) = self.shared.get(&key) {
            return Ok(name.clone());
        }
        let name = make(self)?;
        self.shared.insert(key, name.clone());
        Ok(name)
    }

    fn constant(&mut self, name: &str, dims: &[i64], data_type: i32, raw_data: Vec<u8>) -> String {
        let name = self.names.unique(name);
        let tensor =
            TensorProto { name: name.clone(), dims: dims.to_vec(), data_type, raw_data, ..TensorProto::default() };
        self.constants.push(tensor);
        name
    }

    /// Adds a constant of real numbers.
    pub(super) fn reals(&mut self, name: &str, dims: &[i64], data: &[f32]) -> String {
        let bytes = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, dims, data_type::FLOAT, bytes)
    }

    /// Adds a constant of signed bytes.
    pub(super) fn signed_bytes(&mut self, name: &str, dims: &[i64], data: &[i8]) -> String {
        let bytes = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, dims, data_type::INT8, bytes)
    }

    /// Adds a constant of bytes.
    pub(super) fn bytes(&mut self, name: &str, dims: &[i64], data: Vec<u8>) -> String {
        self.constant(name, dims, data_type::UINT8, data)
    }

    /// A real number, of rank 0.
    pub(super) fn scalar(&mut self, value: f32) -> String {
        let make = |w: &mut Self| Ok::<_, std::convert::Infallible>(w.reals(&format!("number.{value}"), &[], &[value]));
        match self.shared(format!("scalar {:08x}", value.to_bits()), make) {
            Ok(name) => name,
            Err(never) => match never {},
        }
    }

    /// Integers in one dimension: a shape, pads, axes.
    pub(super) fn ints_constant(&mut self, values: &[i64]) -> String {
        let make = |w: &mut Self| {
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            let dims = [i64::try_from(values.len()).unwrap_or(i64::MAX)];
            Ok::<_, std::convert::Infallible>(w.constant("integers", &dims, data_type::INT64, bytes))
        };
        match self.shared(format!("ints {values:?}"), make) {
            Ok(name) => name,
            Err(never) => match never {},
        }
    }

    /// The graph, with the dimensions of input and output behind the batch's.
    pub(super) fn finish(self, input: Vec<i64>, output: Vec<i64>) -> GraphProto {
        GraphProto {
            node: self.nodes,
            name: "signbit".to_owned(),
            initializer: self.constants,
            doc_string: String::new(),
            input: vec![value_info("input", &input)],
            output: vec![value_info("output", &output)],
            value_info: Vec::new(),
        }
    }
}

fn value_info(name: &str, dims: &[i64]) -> ValueInfoProto {
    let batch = Dimension::Name("N".to_owned());
    let dims = std::iter::once(batch).chain(dims.iter().map(|&d| Dimension::Size(d)));
    let shape = TensorShapeProto { dim: dims.map(|d| DimensionProto { value: Some(d) }).collect() };
    let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape: Some(shape) });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}
