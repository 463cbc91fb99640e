//! The graph: nodes in topological order, each with one output.

use serde::{Deserialize, Serialize};

use crate::{Op, ValueType};

/// A value in a graph: 0 is the graph's input, `i + 1` the output of node `i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValueId(pub u32);

impl ValueId {
    /// The graph's input.
    pub const INPUT: Self = Self(0);

    /// The output of node `node`; an index that no graph can have becomes `u32::MAX`.
    #[must_use]
    pub fn of_node(node: usize) -> Self {
        Self(u32::try_from(node).map_or(u32::MAX, |i| i.saturating_add(1)))
    }

    /// The value's place in the vector that [`crate::infer`] returns.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One operation of the graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Unique among the nodes; 1 to [`crate::limits::MAX_NAME`] bytes.
    pub name: String,
    /// What the node computes.
    pub op: Op,
    /// Its operands: values made by earlier nodes, or the input.
    pub inputs: Vec<ValueId>,
}

/// A network's structure: one input, nodes in topological order, one output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// The type of the input; its dtype is `F32`.
    pub input: ValueType,
    /// The nodes; a node reads only the input and the outputs of nodes before it.
    pub nodes: Vec<Node>,
    /// The value that the network returns.
    pub output: ValueId,
}
