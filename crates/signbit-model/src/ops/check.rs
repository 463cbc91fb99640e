//! The checks that the shape rules share.

use std::collections::BTreeMap;

use crate::error::NodeError;
use crate::limits::MAX_ROW;
use crate::{DType, Shape, Tensor, ValueType};

/// The single operand of a unary operator.
pub(super) fn one(inputs: &[ValueType]) -> Result<ValueType, NodeError> {
    match inputs {
        [x] => Ok(*x),
        _ => Err(NodeError::InputCount { expected: "1", found: inputs.len() }),
    }
}

/// The two operands of a binary operator.
pub(super) fn two(inputs: &[ValueType]) -> Result<(ValueType, ValueType), NodeError> {
    match inputs {
        [a, b] => Ok((*a, *b)),
        _ => Err(NodeError::InputCount { expected: "2", found: inputs.len() }),
    }
}

/// Checks the type of operand `input`.
pub(super) fn dtype(input: usize, found: DType, allowed: &[DType]) -> Result<(), NodeError> {
    if allowed.contains(&found) {
        return Ok(());
    }
    let expected = match allowed {
        [DType::F32] => "f32",
        [DType::I32] => "i32",
        [DType::Bits] => "bits",
        [DType::F32, DType::Bits] => "f32 or bits",
        _ => "f32 or i32",
    };
    Err(NodeError::InputDType { input, expected, found })
}

/// The single operand, of type `allowed`.
pub(super) fn one_of(inputs: &[ValueType], allowed: &[DType]) -> Result<Shape, NodeError> {
    let x = one(inputs)?;
    dtype(0, x.dtype, allowed)?;
    Ok(x.shape)
}

/// Checks that operand 0 is a vector and returns its length.
pub(super) fn vector(found: Shape) -> Result<usize, NodeError> {
    if found.is_vector() {
        Ok(found.c)
    } else {
        Err(NodeError::InputShape { input: 0, expected: "a vector 1x1xC".into(), found })
    }
}

/// The output type, where it is not too large.
pub(super) fn output(h: usize, w: usize, c: usize, dtype: DType) -> Result<ValueType, NodeError> {
    let shape = Shape { h, w, c };
    shape.checked_elements().ok_or(NodeError::OutputTooLarge)?;
    Ok(ValueType { shape, dtype })
}

/// Checks the length of a weight's rows.
pub(super) fn row(name: &str, weight: &Tensor) -> Result<(), NodeError> {
    match weight.row_len() {
        found if found > MAX_ROW => Err(NodeError::WeightRow { tensor: name.to_owned(), found }),
        _ => Ok(()),
    }
}

/// The model's tensors.
#[derive(Clone, Copy)]
pub(crate) struct Tensors<'a>(pub(crate) &'a BTreeMap<String, Tensor>);

impl<'a> Tensors<'a> {
    pub(crate) fn get(self, name: &str) -> Result<&'a Tensor, NodeError> {
        self.0.get(name).ok_or_else(|| NodeError::MissingTensor { tensor: name.to_owned() })
    }

    /// A tensor of type F32 or Bits.
    pub(super) fn weight(self, name: &str, allowed: &[DType]) -> Result<&'a Tensor, NodeError> {
        let tensor = self.get(name)?;
        if allowed.contains(&tensor.dtype()) {
            return Ok(tensor);
        }
        let expected = if allowed == [DType::Bits] { "bits" } else { "f32 or bits" };
        Err(wrong_dtype(name, expected, tensor))
    }

    /// Checks a tensor of one number per channel.
    pub(super) fn per_channel(self, name: &str, expected: DType, c: usize) -> Result<(), NodeError> {
        let shape: &[usize] = if expected == DType::Bits { &[1, c] } else { &[c] };
        self.has(name, expected, shape)
    }

    /// Whether a tensor is of this type and shape.
    pub(super) fn has(self, name: &str, expected: DType, shape: &[usize]) -> Result<(), NodeError> {
        let tensor = self.get(name)?;
        let word = match expected {
            DType::F32 => "f32",
            DType::I32 => "i32",
            DType::Bits => "bits",
        };
        if tensor.dtype() != expected {
            return Err(wrong_dtype(name, word, tensor));
        }
        if tensor.shape() != shape {
            return Err(wrong_shape(name, &format!("{shape:?}"), tensor));
        }
        Ok(())
    }
}

fn wrong_dtype(name: &str, expected: &'static str, tensor: &Tensor) -> NodeError {
    NodeError::TensorDType { tensor: name.to_owned(), expected, found: tensor.dtype() }
}

pub(super) fn wrong_shape(name: &str, expected: &str, tensor: &Tensor) -> NodeError {
    NodeError::TensorShape { tensor: name.to_owned(), expected: expected.to_owned(), found: tensor.shape().to_vec() }
}
