//! Element by element: sums and products, with a constant or of two values, and activations.

use signbit_model::{Op, Shape, ValueId};

use super::Result;
use super::constant::Reals;
use super::conv::activation_of;
use super::reader::Reader;
use super::schema::Operator;
use crate::Activation;

const SOFTMAX_OPTIONS: u8 = 9;
pub(super) const ADD_OPTIONS: u8 = 11;
pub(super) const MUL_OPTIONS: u8 = 21;
pub(super) const SUB_OPTIONS: u8 = 28;
pub(super) const DIV_OPTIONS: u8 = 29;
const LEAKY_RELU_OPTIONS: u8 = 75;

/// Two operands of which at least one is a value.
enum Operands {
    Values(ValueId, ValueId),
    /// A value and then a constant.
    ByConstant(ValueId, Reals),
    /// A constant and then a value.
    ConstantBy(Reals, ValueId),
}

fn operands(reader: &mut Reader, op: &Operator) -> Result<Operands> {
    let constant = [reader.is_constant(op, 0)?, reader.is_constant(op, 1)?];
    Ok(match constant {
        [_, true] => Operands::ByConstant(reader.real(op, 0)?, reader.reals(op, 1)?),
        [true, false] => {
            let x = reader.real(op, 1)?;
            Operands::ConstantBy(reader.reals(op, 0)?, x)
        }
        [false, false] => Operands::Values(reader.real(op, 0)?, reader.real(op, 1)?),
    })
}

/// A constant operand as one number for each channel of `x`.
fn per_channel(reader: &mut Reader, op: &Operator, constant: Reals, x: ValueId) -> Result<Vec<f32>> {
    let channels = reader.draft.shape(x).c;
    // Two vectors of the result's length are made of it.
    reader.spend(channels.checked_mul(8))?;
    match (constant.data[..].as_ref(), constant.shape.last()) {
        ([one], _) => Ok(vec![*one; channels]),
        (all, Some(&last)) if last == channels && all.len() == channels => Ok(constant.data),
        _ => {
            let shape = constant.shape;
            Err(op.refuse(format!(
                "a constant of the shape {shape:?}; it must be one number, or one for each of {channels} channels"
            )))
        }
    }
}

/// Whether a constant is one number for each position of a value of this shape, which has several channels.
fn is_map(constant: &Reals, Shape { h, w, c }: Shape) -> bool {
    h * w > 1 && c > 1 && constant.shape.ends_with(&[h, w, 1]) && constant.data.len() == h * w
}

/// `x * mul + add`, then the fused activation.
fn affine(reader: &mut Reader, op: &Operator, x: ValueId, mul: Vec<f32>, add: Vec<f32>, fused: i8) -> Result<()> {
    let y = reader.draft.mul_add(&op.name, x, mul, add)?;
    reader.put_activated(op, y, activation_of(op, fused.into())?)
}

fn sum(reader: &mut Reader, op: &Operator, a: ValueId, b: ValueId, fused: i8) -> Result<()> {
    let shapes = [a, b].map(|v| reader.draft.shape(v));
    if shapes[0] != shapes[1] {
        return Err(op.refuse(format!("two values of different shapes, {} and {}", shapes[0], shapes[1])));
    }
    let y = reader.draft.node(&op.name, Op::Add, &[a, b])?;
    reader.put_activated(op, y, activation_of(op, fused.into())?)
}

pub(super) fn add(reader: &mut Reader, op: &Operator) -> Result<()> {
    let fused = op.options(ADD_OPTIONS)?.byte(0)?;
    match operands(reader, op)? {
        Operands::ByConstant(x, add) | Operands::ConstantBy(add, x) => {
            let add = per_channel(reader, op, add, x)?;
            affine(reader, op, x, vec![1.0; add.len()], add, fused)
        }
        Operands::Values(a, b) => sum(reader, op, a, b, fused),
    }
}

pub(super) fn sub(reader: &mut Reader, op: &Operator) -> Result<()> {
    let fused = op.options(SUB_OPTIONS)?.byte(0)?;
    match operands(reader, op)? {
        Operands::ByConstant(x, sub) => {
            let add: Vec<f32> = per_channel(reader, op, sub, x)?.iter().map(|v| -v).collect();
            affine(reader, op, x, vec![1.0; add.len()], add, fused)
        }
        Operands::ConstantBy(add, x) => {
            let add = per_channel(reader, op, add, x)?;
            affine(reader, op, x, vec![-1.0; add.len()], add, fused)
        }
        Operands::Values(a, b) => {
            let channels = reader.draft.shape(b).c;
            reader.spend(channels.checked_mul(8))?;
            let negative = format!("{}.negative", op.name);
            let b = reader.draft.mul_add(&negative, b, vec![-1.0; channels], vec![0.0; channels])?;
            sum(reader, op, a, b, fused)
        }
    }
}

pub(super) fn mul(reader: &mut Reader, op: &Operator) -> Result<()> {
    let fused = op.options(MUL_OPTIONS)?.byte(0)?;
    let (a, b) = match operands(reader, op)? {
        Operands::ByConstant(x, map) | Operands::ConstantBy(map, x) if is_map(&map, reader.draft.shape(x)) => {
            let Shape { h, w, .. } = reader.draft.shape(x);
            let map = reader.draft.f32(&format!("{}.map", op.name), [h, w], map.data)?;
            let y = reader.draft.node(&op.name, Op::MulMap { map }, &[x])?;
            return reader.put_activated(op, y, activation_of(op, fused.into())?);
        }
        Operands::ByConstant(x, mul) | Operands::ConstantBy(mul, x) => {
            let mul = per_channel(reader, op, mul, x)?;
            let zeros = vec![0.0; mul.len()];
            return affine(reader, op, x, mul, zeros, fused);
        }
        Operands::Values(a, b) => (a, b),
    };
    // The gate, of one pixel or one channel, comes second.
    let (first, second) = match reader.draft.shape(a).elements() < reader.draft.shape(b).elements() {
        true => (b, a),
        false => (a, b),
    };
    let y = reader.draft.node(&op.name, Op::Mul, &[first, second])?;
    reader.put_activated(op, y, activation_of(op, fused.into())?)
}

pub(super) fn div(reader: &mut Reader, op: &Operator) -> Result<()> {
    let fused = op.options(DIV_OPTIONS)?.byte(0)?;
    match operands(reader, op)? {
        Operands::ByConstant(x, div) => {
            let mul: Vec<f32> = per_channel(reader, op, div, x)?.iter().map(|v| 1.0 / v).collect();
            let zeros = vec![0.0; mul.len()];
            affine(reader, op, x, mul, zeros, fused)
        }
        _ => Err(op.refuse("only a constant may be divided by")),
    }
}

pub(super) fn activation(reader: &mut Reader, op: &Operator, activation: Activation) -> Result<()> {
    let x = reader.real(op, 0)?;
    reader.put_activated(op, x, activation)
}

/// The greater or the smaller of a value and one constant number; `other` is the bound that is not there.
pub(super) fn bound(reader: &mut Reader, op: &Operator, other: f32) -> Result<()> {
    let x = reader.real(op, 0)?;
    let bound = reader.vector(op, 1, 1)?.first().copied().unwrap_or(other);
    let y = reader.draft.node(&op.name, Op::Clip { min: bound.min(other), max: bound.max(other) }, &[x])?;
    reader.put(op, 0, y)
}

/// `|x|`, as a slope of -1 below 0.
pub(super) fn magnitude(reader: &mut Reader, op: &Operator) -> Result<()> {
    let x = reader.real(op, 0)?;
    let channels = reader.draft.shape(x).c;
    reader.spend(channels.checked_mul(4))?;
    put_prelu(reader, op, x, vec![-1.0; channels])
}

/// One slope per channel, shared by all pixels.
pub(super) fn prelu(reader: &mut Reader, op: &Operator) -> Result<()> {
    let x = reader.real(op, 0)?;
    let slope = reader.reals(op, 1)?;
    let slope = per_channel(reader, op, slope, x)?;
    put_prelu(reader, op, x, slope)
}

pub(super) fn leaky_relu(reader: &mut Reader, op: &Operator) -> Result<()> {
    let alpha = op.options(LEAKY_RELU_OPTIONS)?.float(0)?;
    let x = reader.real(op, 0)?;
    let channels = reader.draft.shape(x).c;
    reader.spend(channels.checked_mul(4))?;
    put_prelu(reader, op, x, vec![alpha; channels])
}

fn put_prelu(reader: &mut Reader, op: &Operator, x: ValueId, slope: Vec<f32>) -> Result<()> {
    let slope = reader.draft.f32(&format!("{}.slope", op.name), [slope.len()], slope)?;
    let y = reader.draft.node(&op.name, Op::PRelu { slope }, &[x])?;
    reader.put(op, 0, y)
}

pub(super) fn logistic(reader: &mut Reader, op: &Operator) -> Result<()> {
    let x = reader.real(op, 0)?;
    let y = reader.draft.node(&op.name, Op::Sigmoid, &[x])?;
    reader.put(op, 0, y)
}

pub(super) fn softmax(reader: &mut Reader, op: &Operator) -> Result<()> {
    let beta = op.options(SOFTMAX_OPTIONS)?.float(0)?;
    let mut x = reader.real(op, 0)?;
    if beta != 1.0 {
        let channels = reader.draft.shape(x).c;
        reader.spend(channels.checked_mul(8))?;
        x = reader.draft.mul_add(&format!("{}.beta", op.name), x, vec![beta; channels], vec![0.0; channels])?;
    }
    let y = reader.draft.node(&op.name, Op::Softmax, &[x])?;
    reader.put(op, 0, y)
}
