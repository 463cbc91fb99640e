//! Signs and other functions of single elements, and softmax.

use signbit_model::Op;

use super::constant::Constant;
use super::node::Node;
use super::reader::Reader;
use super::value::{Axis, HWC, Real, Value};
use crate::{ConvertError, Warning};

/// `Sign`, whose 0 at 0 becomes +1.
pub(super) fn sign(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = reader.real(node, 0)?;
    reader.draft.warn(Warning::SignOfZero { node: node.name.to_owned() });
    reader.sign(node, &x).map(Value::Real)
}

/// Any other one.
pub(super) fn node(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    match node.operator() {
        "Max" | "Min" => return bound(reader, node),
        "Softmax" => return softmax(reader, node),
        _ => {}
    }
    let x = reader.real(node, 0)?;
    let result = match node.operator() {
        "Relu" => reader.same(node, Op::Relu, &x)?,
        "Sigmoid" => reader.same(node, Op::Sigmoid, &x)?,
        // A slope of -1 below 0 is the magnitude.
        "Abs" => prelu(reader, node, &x, &Constant::scalar(-1.0))?,
        "LeakyRelu" => prelu(reader, node, &x, &Constant::scalar(node.float("alpha").unwrap_or(0.01)))?,
        "PRelu" => {
            let slope = reader.constant(node, 1)?;
            prelu(reader, node, &x, &slope)?
        }
        "HardSigmoid" => {
            let (alpha, beta) = (node.float("alpha").unwrap_or(0.2), node.float("beta").unwrap_or(0.5));
            let x = reader.scaled(node, &x, Some(&Constant::scalar(alpha)), Some(&Constant::scalar(beta)))?;
            clip(reader, node, &x, 0.0, 1.0)?
        }
        "Clip" => {
            let min = reader.number(node, "min", 1)?.unwrap_or(f32::MIN);
            let max = reader.number(node, "max", 2)?.unwrap_or(f32::MAX);
            clip(reader, node, &x, min, max)?
        }
        _ => return Err(node.unsupported("the operator is not known")),
    };
    Ok(Value::Real(result))
}

fn prelu(reader: &mut Reader<'_>, node: &Node<'_>, x: &Real, slope: &Constant) -> Result<Real, ConvertError> {
    let (x, [slope]) = reader.per_channel(node, x, [slope])?;
    let slope = reader.draft.f32(&format!("{}.slope", node.name), [slope.len()], slope)?;
    reader.same(node, Op::PRelu { slope }, &x)
}

fn clip(reader: &mut Reader<'_>, node: &Node<'_>, x: &Real, min: f32, max: f32) -> Result<Real, ConvertError> {
    let (min, max) = (min.max(f32::MIN), max.min(f32::MAX));
    reader.same(node, Op::Clip { min, max }, x)
}

/// `Max` and `Min` with one number.
fn bound(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let (x, number) = match (reader.operand(node, 0)?, reader.operand(node, 1)?) {
        (Value::Real(x), Value::Constant(c)) | (Value::Constant(c), Value::Real(x)) if node.inputs().len() == 2 => {
            (x, c.single().filter(|_| c.dims().len() <= 1))
        }
        _ => return Err(node.unsupported("of two values of the network")),
    };
    let number = number.ok_or_else(|| node.unsupported("with more than one number"))?;
    let result = match node.operator() {
        "Max" if number == 0.0 => reader.same(node, Op::Relu, &x)?,
        "Max" => clip(reader, node, &x, number, f32::MAX)?,
        _ => clip(reader, node, &x, f32::MIN, number)?,
    };
    Ok(Value::Real(result))
}

/// `Softmax` over the channels, or over a whole vector.
fn softmax(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = reader.real(node, 0)?;
    // Before version 13, all axes from the one given on.
    let (axis, last) = if node.opset < 13 {
        (node.axis(node.int("axis").unwrap_or(1), x.rank())?, x.rank())
    } else {
        let axis = node.axis(node.int("axis").unwrap_or(-1), x.rank())?;
        (axis, axis + 1)
    };
    let over: Vec<Axis> = x.axes().get(axis..last).unwrap_or_default().concat();
    let all = HWC.iter().all(|a| x.size(*a) == 1 || over.contains(a));
    let channels = !x.is_flat() && HWC.iter().all(|a| x.size(*a) == 1 || over.contains(a) == (*a == Axis::C));
    if over.contains(&Axis::N) || !(all || channels) {
        return Err(node.unsupported(format!("over axis {axis} of a value of shape {:?}", x.shape())));
    }
    let x = if channels { x } else { reader.flat(node, &x)? };
    reader.same(node, Op::Softmax, &x).map(Value::Real)
}
