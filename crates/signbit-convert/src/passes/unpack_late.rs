//! Unpacks bits as late as it can be: what only moves or compares signs works on bits.
//!
//! A sign of unpacked bits is the bits themselves, so pairs of unpack and sign disappear.

use signbit_model::{Model, Op, ValueId};

use super::rewrite::{Rewrite, rewrite};
use crate::ConvertError;

/// Moves [`Op::Unpack`] behind flattening, pooling, slicing, concatenation and padding with +1 or -1, and drops it in
/// front of a sign. Changes no value.
///
/// # Errors
/// The model is not valid.
pub fn unpack_late(model: Model) -> Result<Model, ConvertError> {
    rewrite(model, |walk, i| {
        let op = walk.node(i).op.clone();
        let moves = match &op {
            Op::Sign => {
                let x = walk.at(walk.node(i).inputs[0]);
                return Ok(packed(walk, x));
            }
            Op::Flatten | Op::MaxPool2d { .. } | Op::GlobalMaxPool | Op::Concat | Op::Slice { .. } => true,
            Op::Pad { value, .. } => value.abs() == 1.0,
            _ => false,
        };
        if !moves {
            return Ok(None);
        }
        let node = walk.node(i);
        let (name, inputs) = (node.name.clone(), node.inputs.clone());
        let bits: Option<Vec<ValueId>> = inputs.iter().map(|&input| packed(walk, walk.at(input))).collect();
        Ok(bits.map(|bits| {
            let moved = walk.add(&name, op, &bits);
            walk.add(&format!("{name}.unpack"), Op::Unpack, &[moved])
        }))
    })
}

/// The bits whose unpacked form a new value is.
fn packed(walk: &Rewrite, value: ValueId) -> Option<ValueId> {
    let node = walk.new_producer(value)?;
    (node.op == Op::Unpack).then(|| node.inputs[0])
}
