//! The sign moves in front of max pooling: the maximum of signs is the sign of the maximum, and an OR of bits.

use signbit_model::{Model, Op};

use super::rewrite::rewrite;
use crate::ConvertError;

/// Turns a sign of a max pool that nothing else reads into a max pool of signs. Changes no value, but where a NaN
/// is pooled.
///
/// # Errors
/// The model is not valid.
pub fn sign_before_pool(mut model: Model) -> Result<Model, ConvertError> {
    // A sign behind two pools moves twice.
    loop {
        let mut moved = false;
        model = rewrite(model, |walk, i| {
            let node = walk.node(i);
            let signs = matches!(node.op, Op::Sign | Op::RSign { .. });
            let (name, op, x) = (node.name.clone(), node.op.clone(), node.inputs[0]);
            let Some((_, pool)) = walk.producer(x).filter(|_| signs && walk.uses(x) == 1) else {
                return Ok(None);
            };
            if !matches!(pool.op, Op::MaxPool2d { .. } | Op::GlobalMaxPool) {
                return Ok(None);
            }
            let (pool_name, pool_op, source) = (pool.name.clone(), pool.op.clone(), pool.inputs[0]);
            moved = true;
            let bits = walk.add(&name, op, &[walk.at(source)]);
            Ok(Some(walk.add(&pool_name, pool_op, &[bits])))
        })?;
        if !moved {
            return Ok(model);
        }
    }
}
