//! Arithmetic of a value with constants or with another value.

use signbit_model::Op;

use super::constant::{Constant, Data};
use super::node::Node;
use super::quant::along;
use super::reader::Reader;
use super::value::{Axis, Real, Value};
use crate::ConvertError;

/// `BatchNormalization`, with the statistics of training, along axis 1.
pub(super) fn batch_normalization(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    if node.flag("training_mode") || node.int("spatial") == Some(0) {
        return Err(node.unsupported("with training_mode, or spatial = 0"));
    }
    let x = reader.real(node, 0)?;
    let epsilon = f64::from(node.float("epsilon").unwrap_or(1e-5));
    let operand = |i: usize| reader.constant(node, i).map(|c| c.to_floats());
    let (gamma, beta, mean, variance) = (operand(1)?, operand(2)?, operand(3)?, operand(4)?);
    let len = gamma.len();
    if [beta.len(), mean.len(), variance.len()] != [len; 3] {
        return Err(node.unsupported("its parameters are not of one length"));
    }
    let (mut mul, mut add) = (Vec::with_capacity(len), Vec::with_capacity(len));
    for (((gamma, beta), mean), variance) in gamma.into_iter().zip(beta).zip(mean).zip(variance) {
        let factor = f64::from(gamma) / (f64::from(variance) + epsilon).sqrt();
        mul.push(factor as f32);
        add.push((f64::from(beta) - f64::from(mean) * factor) as f32);
    }
    let list = |numbers: Vec<f32>| {
        let list = Constant::new(vec![len], Data::Float(numbers)).and_then(|list| along(&x, 1, len, &list));
        list.ok_or_else(|| node.unsupported("its value has no axis 1"))
    };
    let (mul, add) = (list(mul)?, list(add)?);
    reader.scaled(node, &x, Some(&mul), Some(&add)).map(Value::Real)
}

/// `Neg`.
pub(super) fn negate(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = reader.real(node, 0)?;
    negated(reader, node, &x).map(Value::Real)
}

fn negated(reader: &mut Reader<'_>, node: &Node<'_>, x: &Real) -> Result<Real, ConvertError> {
    reader.scaled(node, x, Some(&Constant::scalar(-1.0)), None)
}

/// `Add`, `Sub`, `Mul`, `Div`.
pub(super) fn arithmetic(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let (a, b) = (reader.operand(node, 0)?, reader.operand(node, 1)?);
    let result = match (a, node.operator(), b) {
        (Value::Real(x), "Add", Value::Constant(c)) | (Value::Constant(c), "Add", Value::Real(x)) => {
            reader.scaled(node, &x, None, Some(&c))?
        }
        (Value::Real(x), "Mul", Value::Constant(c)) | (Value::Constant(c), "Mul", Value::Real(x)) => {
            reader.scaled(node, &x, Some(&c), None)?
        }
        (Value::Real(x), "Sub", Value::Constant(c)) => reader.scaled(node, &x, None, Some(&c.map(|v| -v)))?,
        (Value::Constant(c), "Sub", Value::Real(x)) => {
            reader.scaled(node, &x, Some(&Constant::scalar(-1.0)), Some(&c))?
        }
        (Value::Real(x), "Div", Value::Constant(c)) => reader.scaled(node, &x, Some(&c.map(|v| 1.0 / v)), None)?,
        (Value::Real(a), "Add", Value::Real(b)) => sum(reader, node, a, b)?,
        (Value::Real(a), "Sub", Value::Real(b)) => {
            let b = negated(reader, node, &b)?;
            sum(reader, node, a, b)?
        }
        (Value::Real(a), "Mul", Value::Real(b)) => product(reader, node, a, b)?,
        (Value::Test(_), ..) | (.., Value::Test(_)) => return Err(node.unsupported("with a comparison")),
        _ => return Err(node.unsupported("by a value of the network")),
    };
    Ok(Value::Real(result))
}

/// Two values with as many axes, both flattened where one is.
fn paired(reader: &mut Reader<'_>, node: &Node<'_>, a: Real, b: Real) -> Result<(Real, Real), ConvertError> {
    let rank = a.rank().max(b.rank());
    let (mut a, mut b) = (a.aligned(rank), b.aligned(rank));
    if a.is_flat() != b.is_flat() {
        (a, b) = (reader.flat(node, &a)?, reader.flat(node, &b)?);
    }
    Ok((a, b))
}

fn sum(reader: &mut Reader<'_>, node: &Node<'_>, a: Real, b: Real) -> Result<Real, ConvertError> {
    let (a, b) = paired(reader, node, a, b)?;
    if a.dims() != b.dims() || a.axes() != b.axes() {
        return Err(mismatch(node, &a, &b));
    }
    let id = reader.join(node, Op::Add, &[a.id, b.id])?;
    Ok(a.with(id))
}

fn product(reader: &mut Reader<'_>, node: &Node<'_>, a: Real, b: Real) -> Result<Real, ConvertError> {
    let (a, b) = paired(reader, node, a, b)?;
    let (a, b) = if a.elements() >= b.elements() { (a, b) } else { (b, a) };
    // Each axis is the same one, or of size 1 in the smaller value.
    let along = a.axes().iter().zip(b.axes()).all(|(a, b)| a == b || b.is_empty());
    let [_, h, w, c] = b.dims();
    let full = [a.size(Axis::H), a.size(Axis::W), a.size(Axis::C)];
    let form = [full, [full[0], full[1], 1], [1, 1, full[2]]].contains(&[h, w, c]);
    let whole = a.dims() == b.dims() && a.axes() == b.axes();
    if a.size(Axis::N) != b.size(Axis::N) || !(whole || (along && form && !a.is_flat())) {
        return Err(mismatch(node, &a, &b));
    }
    let id = reader.join(node, Op::Mul, &[a.id, b.id])?;
    Ok(a.with(id))
}

fn mismatch(node: &Node<'_>, a: &Real, b: &Real) -> ConvertError {
    let (one, two) = (a.shape(), b.shape());
    if one == two {
        return node.unsupported(format!("its values of shape {one:?} lie in different orders in memory"));
    }
    node.unsupported(format!("of values of shapes {one:?} and {two:?}"))
}
