//! Leaves out what does not lead to the output.

use std::collections::BTreeSet;

use signbit_model::{Model, Node, ValueId};

/// Removes nodes that the output does not need, and tensors that no node needs.
pub fn prune(model: &mut Model) {
    let nodes = std::mem::take(&mut model.graph.nodes);
    let mut needed = vec![false; nodes.len() + 1];
    if let Some(output) = needed.get_mut(model.graph.output.index()) {
        *output = true;
    }
    for (i, node) in nodes.iter().enumerate().rev() {
        if needed[i + 1] {
            for input in &node.inputs {
                if let Some(place) = needed.get_mut(input.index()) {
                    *place = true;
                }
            }
        }
    }
    let mut renamed = vec![ValueId::INPUT; nodes.len() + 1];
    let mut kept: Vec<Node> = Vec::new();
    for (i, mut node) in nodes.into_iter().enumerate().filter(|(i, _)| needed[i + 1]) {
        for input in &mut node.inputs {
            *input = renamed.get(input.index()).copied().unwrap_or(*input);
        }
        renamed[i + 1] = ValueId::of_node(kept.len());
        kept.push(node);
    }
    if let Some(&output) = renamed.get(model.graph.output.index()) {
        model.graph.output = output;
    }
    let used: BTreeSet<String> = kept.iter().flat_map(|node| node.op.tensors()).map(str::to_owned).collect();
    model.tensors.retain(|name, _| used.contains(name));
    model.graph.nodes = kept;
}
