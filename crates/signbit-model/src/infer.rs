//! Shape inference: the type of every value in a graph.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{ModelError, NodeError};
use crate::limits::{MAX_NAME, MAX_NODES};
use crate::ops::Tensors;
use crate::{DType, Graph, Node, Tensor, ValueType};

/// The types of all values of a graph: first the input's, then each node's output.
///
/// Checks everything that lies in the graph and its use of the tensors: names, order, operand counts,
/// element types and shapes. It does not look at the tensors' data, nor for unused ones; see
/// [`crate::Model::validate`].
///
/// # Errors
/// The first problem, with the node's name.
pub fn infer(graph: &Graph, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<ValueType>, ModelError> {
    if graph.input.dtype != DType::F32 {
        return Err(ModelError::InputDType { found: graph.input.dtype });
    }
    if graph.input.shape.checked_elements().is_none() {
        return Err(ModelError::InputShape { found: graph.input.shape });
    }
    if graph.nodes.len() > MAX_NODES {
        return Err(ModelError::TooManyNodes { found: graph.nodes.len() });
    }
    let mut names = BTreeSet::new();
    let mut types = Vec::with_capacity(graph.nodes.len() + 1);
    types.push(graph.input);
    for node in &graph.nodes {
        if !names.insert(node.name.as_str()) {
            return Err(ModelError::DuplicateNode { node: node.name.clone() });
        }
        types.push(infer_node(node, &types, tensors)?);
    }
    if graph.output.index() >= types.len() {
        return Err(ModelError::Output { value: graph.output.0, values: types.len() });
    }
    Ok(types)
}

/// The type of one node's output; `types` are those of the values before it, the input's first.
///
/// # Errors
/// The node does not fit its operands or tensors, or its name is none.
pub fn infer_node(
    node: &Node,
    types: &[ValueType],
    tensors: &BTreeMap<String, Tensor>,
) -> Result<ValueType, ModelError> {
    check_name(&node.name)?;
    node_output(node, types, Tensors(tensors)).map_err(|source| ModelError::Node { node: node.name.clone(), source })
}

fn node_output(node: &Node, types: &[ValueType], tensors: Tensors<'_>) -> Result<ValueType, NodeError> {
    let operand = |id: &crate::ValueId| types.get(id.index()).copied().ok_or(NodeError::NotTopological { value: id.0 });
    let inputs = node.inputs.iter().map(operand).collect::<Result<Vec<_>, _>>()?;
    node.op.output(&inputs, tensors)
}

/// Checks the name of a node or tensor.
pub(crate) fn check_name(name: &str) -> Result<(), ModelError> {
    // Names are printed: a control character could lead a terminal astray.
    let printable = !name.chars().any(char::is_control);
    if name.is_empty() || name.len() > MAX_NAME || name == "__metadata__" || !printable {
        return Err(ModelError::Name { name: name.chars().take(40).collect() });
    }
    Ok(())
}
