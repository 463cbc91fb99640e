//! Shape rules of the operators that take or make bits.

use super::check::{self, Tensors};
use super::real::{conv_output, dense_output};
use crate::error::{GeometryError, NodeError};
use crate::{DType, ValueType};

/// A convolution, transposed or not, with this kernel, whose output has `size(h, w)`.
pub(super) fn conv2d(
    inputs: &[ValueType],
    tensors: Tensors<'_>,
    weight: &str,
    (kernel, size): ([usize; 2], impl FnOnce(usize, usize) -> Result<(usize, usize), GeometryError>),
    groups: usize,
) -> Result<ValueType, NodeError> {
    let x = check::one_of(inputs, &[DType::Bits])?;
    let tensor = tensors.weight(weight, &[DType::Bits])?;
    let size = size(x.h, x.w)?;
    conv_output(x, weight, tensor, (kernel, size), groups, DType::I32)
}

pub(super) fn dense(inputs: &[ValueType], tensors: Tensors<'_>, weight: &str) -> Result<ValueType, NodeError> {
    let x = check::one_of(inputs, &[DType::Bits])?;
    let tensor = tensors.weight(weight, &[DType::Bits])?;
    dense_output(x, weight, tensor, DType::I32)
}

pub(super) fn sign(inputs: &[ValueType]) -> Result<ValueType, NodeError> {
    let shape = check::one_of(inputs, &[DType::F32, DType::I32])?;
    Ok(ValueType { shape, dtype: DType::Bits })
}

pub(super) fn unpack(inputs: &[ValueType]) -> Result<ValueType, NodeError> {
    let shape = check::one_of(inputs, &[DType::Bits])?;
    Ok(ValueType { shape, dtype: DType::F32 })
}

pub(super) fn rsign(inputs: &[ValueType], tensors: Tensors<'_>, shift: &str) -> Result<ValueType, NodeError> {
    let shape = check::one_of(inputs, &[DType::F32])?;
    tensors.per_channel(shift, DType::F32, shape.c)?;
    Ok(ValueType { shape, dtype: DType::Bits })
}

pub(super) fn threshold(
    inputs: &[ValueType],
    tensors: Tensors<'_>,
    threshold: &str,
    flip: &str,
) -> Result<ValueType, NodeError> {
    let shape = check::one_of(inputs, &[DType::I32])?;
    tensors.per_channel(threshold, DType::I32, shape.c)?;
    tensors.per_channel(flip, DType::Bits, shape.c)?;
    Ok(ValueType { shape, dtype: DType::Bits })
}
