//! Neighbouring `x * mul[c] + add[c]` become one: scale factors, biases and batch norm behind a binary layer.

use signbit_model::{DType, Model, Op, ValueId};

use super::rewrite::{Rewrite, rewrite};
use crate::ConvertError;

/// Merges a [`Op::MulAdd`] with the one behind it, where nothing else reads the first; drops those that change nothing:
/// also between integers and operators that make real numbers of them themselves.
///
/// Where the first only multiplies and the second only adds, or the first does nothing, the result is the same
/// float. Else it is rounded once less per factor: merged factors are computed in f64. An integer that is only turned
/// round, `k - dot`, stays: without a rounding of its own, it is there for the order of steps behind it.
///
/// # Errors
/// The model is not valid.
pub fn merge_mul_add(mut model: Model) -> Result<Model, ConvertError> {
    loop {
        let mut merged = false;
        model = rewrite(model, |walk, i| {
            let node = walk.node(i);
            let (Op::MulAdd { mul, add }, x) = (&node.op, node.inputs.first()) else {
                return Ok(None);
            };
            let (Some(mul), Some(add), Some(&x)) = (walk.f32(mul), walk.f32(add), x) else {
                return Ok(None);
            };
            let nothing = mul.iter().all(|&m| m == 1.0) && add.iter().all(|&a| a == 0.0);
            let y = ValueId::of_node(i);
            // One change at a time: types and readers are those of the old graph.
            if nothing && !merged && (walk.value_type(x).dtype == DType::F32 || readers_convert(walk, y)) {
                merged = true;
                return Ok(Some(walk.at(x)));
            }
            let Some((_, first)) = walk.producer(x).filter(|_| walk.uses(x) == 1 && !merged) else {
                return Ok(None);
            };
            let Op::MulAdd { mul: first_mul, add: first_add } = &first.op else {
                return Ok(None);
            };
            let (Some(first_mul), Some(first_add)) = (walk.f32(first_mul), walk.f32(first_add)) else {
                return Ok(None);
            };
            let turned = first_mul.iter().all(|&m| m == -1.0) && first_add.iter().all(|&a| a == a.trunc());
            if turned && is_integer(walk, first.inputs[0]) {
                return Ok(None);
            }
            let wide = |v: &f32| f64::from(*v);
            let muls = first_mul.iter().zip(mul).map(|(a, b)| (wide(a) * wide(b)) as f32).collect();
            let adds = first_add.iter().zip(mul).zip(add);
            let adds = adds.map(|((a, m), b)| (wide(a) * wide(m) + wide(b)) as f32).collect();
            let (name, source) = (first.name.clone(), walk.at(first.inputs[0]));
            merged = true;
            walk.mul_add(&name, source, muls, adds).map(Some)
        })?;
        if !merged {
            return Ok(model);
        }
    }
}

/// Whether all that reads an old value takes integers as it takes real numbers.
fn readers_convert(walk: &Rewrite, value: ValueId) -> bool {
    let converts = |op: &Op| {
        matches!(
            op,
            Op::MulAdd { .. } | Op::Affine { .. } | Op::Relu | Op::Clip { .. } | Op::PRelu { .. } | Op::RPRelu { .. }
        )
    };
    walk.readers(value).is_some_and(|mut readers| readers.all(converts))
}

/// Whether an old value is a dot product, or one that is clipped at integers.
fn is_integer(walk: &Rewrite, value: ValueId) -> bool {
    let clipped = |op: &Op| match op {
        Op::Relu => true,
        Op::Clip { min, max } => *min == min.trunc() && *max == max.trunc(),
        _ => false,
    };
    let dot = |value: ValueId| walk.value_type(value).dtype == DType::I32;
    dot(value) || walk.producer(value).is_some_and(|(_, node)| clipped(&node.op) && dot(node.inputs[0]))
}
