//! Comparisons with constants, and the signs that `Where` and `Cast` make of them.

use std::rc::Rc;

use super::constant::Constant;
use super::node::Node;
use super::proto::data_type;
use super::reader::Reader;
use super::value::{Test, Value};
use crate::ConvertError;

/// `Greater`, `GreaterOrEqual`, `Less`, `LessOrEqual`.
pub(super) fn test(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let (x, than, swapped) = match (reader.operand(node, 0)?, reader.operand(node, 1)?) {
        (Value::Real(x), Value::Constant(c)) => (x, c, false),
        (Value::Constant(c), Value::Real(x)) => (x, c, true),
        _ => return Err(node.unsupported("of two values of the network")),
    };
    // c < x is x > c.
    let greater = node.operator().starts_with("Greater") != swapped;
    let strict = !node.operator().ends_with("OrEqual");
    Ok(Value::Test(Test { x, than, ascending: greater != strict, strict }))
}

/// `Not`.
pub(super) fn not(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    match reader.operand(node, 0)? {
        // x < c is not x >= c.
        Value::Test(test) => Ok(Value::Test(Test { strict: !test.strict, ..test })),
        _ => Err(node.unsupported("of what is no comparison")),
    }
}

/// `Where` of a comparison and two constants.
pub(super) fn choose(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let Value::Test(test) = reader.operand(node, 0)? else {
        return Err(node.unsupported("its condition is no comparison of a value with a constant"));
    };
    let (a, b) = (reader.constant(node, 1)?, reader.constant(node, 2)?);
    // Each may be one number or one per channel; of two lists, the shapes must be the same.
    let joined = |f: fn(f32, f32) -> f32| match (a.single(), b.single()) {
        (_, Some(b)) => Some(a.map(|a| f(a, b))),
        (Some(a), None) => Some(b.map(|b| f(a, b))),
        (None, None) => {
            let pairs = a.to_floats().into_iter().zip(b.to_floats());
            let data = super::constant::Data::Float(pairs.map(|(a, b)| f(a, b)).collect());
            (a.dims() == b.dims()).then(|| Constant::new(a.dims().to_vec(), data)).flatten()
        }
    };
    reader.budget.charge(node.name, node.operator(), a.len().saturating_add(b.len()).saturating_mul(2))?;
    let different = || node.unsupported("its two constants are of different shapes");
    let scale = joined(|a, b| (a - b) / 2.0).ok_or_else(different)?;
    let middle = joined(|a, b| (a + b) / 2.0).ok_or_else(different)?;
    let sign = reader.tested(node, &test)?;
    reader.scaled(node, &sign, Some(&scale), Some(&middle)).map(Value::Real)
}

/// `CastLike` a value of the network, which is one of floats.
pub(super) fn cast_like(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    match (reader.operand(node, 0)?, reader.operand(node, 1)?) {
        (Value::Constant(constant), Value::Real(_)) => Ok(Value::Constant(Rc::new(constant.map(|v| v)))),
        (Value::Real(x), Value::Real(_)) => Ok(Value::Real(x)),
        _ => Err(node.unsupported("of or like what is no float")),
    }
}

/// `Cast` between float types, which does nothing here, and of a comparison to 1 and 0.
pub(super) fn cast(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let to = node.int("to").and_then(|to| i32::try_from(to).ok()).unwrap_or(0);
    let float = [data_type::FLOAT, data_type::DOUBLE, data_type::FLOAT16, data_type::BFLOAT16].contains(&to);
    match reader.operand(node, 0)? {
        Value::Test(test) if to == data_type::BOOL => Ok(Value::Test(test)),
        Value::Test(test) if float => {
            let half = Constant::scalar(0.5);
            let sign = reader.tested(node, &test)?;
            reader.scaled(node, &sign, Some(&half), Some(&half)).map(Value::Real)
        }
        Value::Real(x) if float => Ok(Value::Real(x)),
        _ => Err(node.unsupported(format!("to element type {to}"))),
    }
}
