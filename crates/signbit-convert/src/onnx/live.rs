//! Which nodes lead to the output, before any of them is taken in.
//!
//! A straight-through estimator is exported as `sign(x) - f(x) + f(x)`: what detaching does in training is lost, and
//! the surrogate `f` stands in the file. The sum is its first term, and `f` leads nowhere then.

use std::collections::HashMap;

use super::proto::GraphProto;

/// What of a graph must be taken in.
#[derive(Debug)]
pub(super) struct Live<'a> {
    aliases: HashMap<&'a str, &'a str>,
    /// Of each node whether it leads to the output.
    pub(super) nodes: Vec<bool>,
    /// How often each value is still to be read.
    pub(super) reads: HashMap<&'a str, usize>,
}

/// Operators whose result may be the first term of a straight-through estimator: of the shape of `f`.
const QUANTIZERS: [&str; 6] = ["Sign", "Where", "BipolarQuant", "Mul", "Cast", "Sub"];

impl<'a> Live<'a> {
    pub(super) fn of(graph: &'a GraphProto, output: &'a str) -> Self {
        let mut live = Self { aliases: HashMap::new(), nodes: vec![false; graph.node.len()], reads: HashMap::new() };
        let mut makers: HashMap<&str, usize> = HashMap::new();
        for (i, node) in graph.node.iter().enumerate() {
            for name in &node.output {
                makers.entry(name).or_insert(i);
            }
            let inputs: Vec<&str> = node.input.iter().map(|name| live.root(name)).collect();
            let same = match (node.op_type.as_str(), inputs.as_slice()) {
                ("Identity", [x]) => Some(*x),
                ("Add", [a, b]) => {
                    let quantized = |sum: &str, other: &str| {
                        let difference = makers.get(sum).and_then(|&i| graph.node.get(i))?;
                        let [quantized, surrogate] = difference.input.as_slice() else {
                            return None;
                        };
                        let quantized = live.root(quantized);
                        let by = makers.get(quantized).and_then(|&i| graph.node.get(i))?;
                        let fits = difference.op_type == "Sub"
                            && live.root(surrogate) == other
                            && QUANTIZERS.contains(&by.op_type.as_str());
                        fits.then_some(quantized)
                    };
                    quantized(a, b).or_else(|| quantized(b, a))
                }
                _ => None,
            };
            if let (Some(same), Some(out)) = (same, node.output.first()) {
                live.aliases.insert(out, same);
            }
        }
        let mut wanted = vec![live.root(output)];
        live.reads.insert(live.root(output), 1);
        while let Some(name) = wanted.pop() {
            let Some(&maker) = makers.get(name) else {
                continue;
            };
            let (Some(node), Some(seen)) = (graph.node.get(maker), live.nodes.get_mut(maker)) else {
                continue;
            };
            if !std::mem::replace(seen, true) {
                for name in &node.input {
                    let name = live.root(name);
                    *live.reads.entry(name).or_insert(0) += 1;
                    wanted.push(name);
                }
            }
        }
        live
    }

    /// The name under which a value is first made.
    pub(super) fn root<'b>(&self, name: &'b str) -> &'b str
    where
        'a: 'b,
    {
        // Aliases point to roots, as nodes come in order.
        self.aliases.get(name).copied().unwrap_or(name)
    }
}
