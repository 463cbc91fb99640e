//! What the tests of this crate share.

#![allow(dead_code)]

use signbit_convert::Draft;
use signbit_model::interpreter::{self, ValueData};
use signbit_model::{Model, Shape, ValueId};

/// A network on pictures of `h x w x c`.
pub(crate) fn draft(h: usize, w: usize, c: usize) -> Draft {
    Draft::new(Shape::new(h, w, c))
}

/// The nodes of a model, as `name: operator(operands)`.
pub(crate) fn described(model: &Model) -> Vec<String> {
    let nodes = &model.graph.nodes;
    let name = |id: &ValueId| id.index().checked_sub(1).map_or("input", |i| nodes[i].name.as_str()).to_owned();
    let line = |node: &signbit_model::Node| {
        let operands: Vec<String> = node.inputs.iter().map(name).collect();
        format!("{}: {}({})", node.name, node.op.name(), operands.join(", "))
    };
    nodes.iter().map(line).collect()
}

/// What a model answers to a few inputs of small multiples of 1/4, so that sums are exact.
pub(crate) fn outputs(model: &Model) -> ValueData {
    let n = 16;
    let mut state = 7_u32;
    let input: Vec<f32> = (0..n * model.graph.input.shape.elements())
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 24) as f32 - 128.0) / 4.0
        })
        .collect();
    interpreter::run(model, n, &input).unwrap().data
}
