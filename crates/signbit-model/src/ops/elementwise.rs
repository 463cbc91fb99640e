//! Shape rules of the elementwise operators.

use super::check::{self, Tensors};
use crate::error::NodeError;
use crate::{DType, Shape, ValueType};

pub(super) fn unary(inputs: &[ValueType]) -> Result<ValueType, NodeError> {
    let shape = check::one_of(inputs, &[DType::F32])?;
    Ok(ValueType { shape, dtype: DType::F32 })
}

/// An operator of one operand that converts integers first.
pub(super) fn activation(inputs: &[ValueType]) -> Result<ValueType, NodeError> {
    let shape = check::one_of(inputs, &[DType::F32, DType::I32])?;
    Ok(ValueType { shape, dtype: DType::F32 })
}

/// The same with tensors of one real number per channel.
pub(super) fn per_channel(inputs: &[ValueType], tensors: Tensors<'_>, names: &[&str]) -> Result<ValueType, NodeError> {
    let out = activation(inputs)?;
    for name in names {
        tensors.per_channel(name, DType::F32, out.shape.c)?;
    }
    Ok(out)
}

pub(super) fn mul_map(inputs: &[ValueType], tensors: Tensors<'_>, map: &str) -> Result<ValueType, NodeError> {
    let out = activation(inputs)?;
    tensors.has(map, DType::F32, &[out.shape.h, out.shape.w])?;
    Ok(out)
}

pub(super) fn affine(inputs: &[ValueType], mul: f32, add: f32) -> Result<ValueType, NodeError> {
    if !(mul.is_finite() && add.is_finite()) {
        return Err(NodeError::AffineNumbers { mul, add });
    }
    activation(inputs)
}

pub(super) fn clip(inputs: &[ValueType], min: f32, max: f32) -> Result<ValueType, NodeError> {
    if !(min.is_finite() && max.is_finite() && min <= max) {
        return Err(NodeError::ClipBounds { min, max });
    }
    activation(inputs)
}

pub(super) fn add(inputs: &[ValueType]) -> Result<ValueType, NodeError> {
    let (a, b) = check::two(inputs)?;
    check::dtype(0, a.dtype, &[DType::F32])?;
    check::dtype(1, b.dtype, &[DType::F32])?;
    if a.shape != b.shape {
        return Err(NodeError::InputShape { input: 1, expected: a.shape.to_string(), found: b.shape });
    }
    Ok(a)
}

pub(super) fn mul(inputs: &[ValueType]) -> Result<ValueType, NodeError> {
    let (x, k) = check::two(inputs)?;
    check::dtype(0, x.dtype, &[DType::F32, DType::I32])?;
    check::dtype(1, k.dtype, &[DType::F32])?;
    let Shape { h, w, c } = x.shape;
    if ![x.shape, Shape::new(h, w, 1), Shape::vector(c)].contains(&k.shape) {
        let expected = format!("{}, {h}x{w}x1 or 1x1x{c}", x.shape);
        return Err(NodeError::InputShape { input: 1, expected, found: k.shape });
    }
    Ok(ValueType { shape: x.shape, dtype: DType::F32 })
}
