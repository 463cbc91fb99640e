//! Shape rules of the operators on real activations: convolution, dense layer, activation scale.

use super::check::{self, Tensors};
use crate::error::{GeometryError, NodeError};
use crate::{DType, Geometry, Shape, Tensor, ValueType};

const WEIGHTS: [DType; 2] = [DType::F32, DType::Bits];

/// A convolution, transposed or not, with this kernel, whose output has `size(h, w)`.
pub(super) fn conv2d(
    inputs: &[ValueType],
    tensors: Tensors<'_>,
    weight: &str,
    bias: Option<&str>,
    (kernel, size): ([usize; 2], impl FnOnce(usize, usize) -> Result<(usize, usize), GeometryError>),
    groups: usize,
) -> Result<ValueType, NodeError> {
    let x = check::one_of(inputs, &[DType::F32])?;
    let tensor = tensors.weight(weight, &WEIGHTS)?;
    let size = size(x.h, x.w)?;
    let out = conv_output(x, weight, tensor, (kernel, size), groups, DType::F32)?;
    if let Some(bias) = bias {
        tensors.per_channel(bias, DType::F32, out.shape.c)?;
    }
    Ok(out)
}

pub(super) fn dense(
    inputs: &[ValueType],
    tensors: Tensors<'_>,
    weight: &str,
    bias: Option<&str>,
) -> Result<ValueType, NodeError> {
    let x = check::one_of(inputs, &[DType::F32])?;
    let tensor = tensors.weight(weight, &WEIGHTS)?;
    let out = dense_output(x, weight, tensor, DType::F32)?;
    if let Some(bias) = bias {
        tensors.per_channel(bias, DType::F32, out.shape.c)?;
    }
    Ok(out)
}

pub(super) fn activation_scale(inputs: &[ValueType], geometry: &Geometry) -> Result<ValueType, NodeError> {
    let x = check::one_of(inputs, &[DType::F32])?;
    let (h, w) = geometry.output_size(x.h, x.w)?;
    check::output(h, w, 1, DType::F32)
}

/// The output of a convolution, transposed or not, whose geometry gives `size`; its weight's shape is checked.
pub(super) fn conv_output(
    x: Shape,
    name: &str,
    weight: &Tensor,
    ([kh, kw], (h, w)): ([usize; 2], (usize, usize)),
    groups: usize,
    dtype: DType,
) -> Result<ValueType, NodeError> {
    let c_out = weight.shape().first().copied().unwrap_or(0);
    if groups == 0 || !x.c.is_multiple_of(groups) || !c_out.is_multiple_of(groups) {
        return Err(NodeError::Groups { groups, c_in: x.c, c_out });
    }
    let c_group = x.c / groups;
    if weight.shape() != [c_out, kh, kw, c_group] {
        return Err(check::wrong_shape(name, &format!("[O, {kh}, {kw}, {c_group}]"), weight));
    }
    check::row(name, weight)?;
    check::output(h, w, c_out, dtype)
}

/// The output of a dense layer, with its weight's shape checked.
pub(super) fn dense_output(x: Shape, name: &str, weight: &Tensor, dtype: DType) -> Result<ValueType, NodeError> {
    let k = check::vector(x)?;
    match weight.shape() {
        [o, found] if *found == k => {
            check::row(name, weight)?;
            check::output(1, 1, *o, dtype)
        }
        _ => Err(check::wrong_shape(name, &format!("[O, {k}]"), weight)),
    }
}
