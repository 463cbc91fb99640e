//! A sign behind an addition alone is a sign with a shift.

use signbit_model::{Model, Op, Tensor};

use super::rewrite::rewrite;
use crate::ConvertError;

/// Turns the sign of `x * 1 + add[c]` into [`Op::RSign`] with the shift `-add`: half the tensors. Changes no value.
///
/// # Errors
/// The model is not valid.
pub fn rsign(model: Model) -> Result<Model, ConvertError> {
    rewrite(model, |walk, i| {
        let node = walk.node(i);
        let Some((_, before)) = walk.producer(node.inputs[0]).filter(|_| node.op == Op::Sign) else {
            return Ok(None);
        };
        let Op::MulAdd { mul, add } = &before.op else {
            return Ok(None);
        };
        let ones = walk.f32(mul).is_some_and(|mul| mul.iter().all(|&m| m == 1.0));
        let real = walk.value_type(before.inputs[0]).dtype == signbit_model::DType::F32;
        let Some(add) = walk.f32(add).filter(|_| ones && real) else {
            return Ok(None);
        };
        let shift = Tensor::f32([add.len()], add.iter().map(|a| -a).collect())?;
        let (name, source) = (node.name.clone(), walk.at(before.inputs[0]));
        let shift = walk.tensor(&format!("{name}.shift"), shift);
        Ok(Some(walk.add(&name, Op::RSign { shift }, &[source])))
    })
}
