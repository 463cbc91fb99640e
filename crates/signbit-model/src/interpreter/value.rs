//! A batch of values, unpacked.

use std::borrow::Cow;

use crate::error::NodeError;
use crate::{DType, ValueType};

/// What a node made for a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Samples in the batch.
    pub n: usize,
    /// Shape per sample and element type.
    pub ty: ValueType,
    /// The elements, `[n, H, W, C]`.
    pub data: ValueData,
}

/// Elements of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueData {
    /// Real numbers.
    F32(Vec<f32>),
    /// Integers.
    I32(Vec<i32>),
    /// Bits, each unpacked to +1 or -1.
    Bits(Vec<i8>),
}

impl Value {
    /// The real numbers.
    pub(super) fn f32(&self) -> Result<&[f32], NodeError> {
        match &self.data {
            ValueData::F32(data) => Ok(data),
            _ => Err(self.wrong_dtype("f32")),
        }
    }

    /// The integers.
    pub(super) fn i32(&self) -> Result<&[i32], NodeError> {
        match &self.data {
            ValueData::I32(data) => Ok(data),
            _ => Err(self.wrong_dtype("i32")),
        }
    }

    /// The bits as +1 and -1.
    pub(super) fn signs(&self) -> Result<&[i8], NodeError> {
        match &self.data {
            ValueData::Bits(data) => Ok(data),
            _ => Err(self.wrong_dtype("bits")),
        }
    }

    /// The elements as real numbers.
    pub(super) fn to_f32(&self) -> Cow<'_, [f32]> {
        match &self.data {
            ValueData::F32(data) => Cow::Borrowed(data),
            ValueData::I32(data) => data.iter().map(|&v| v as f32).collect(),
            ValueData::Bits(data) => data.iter().map(|&v| f32::from(v)).collect(),
        }
    }

    fn wrong_dtype(&self, expected: &'static str) -> NodeError {
        let found = match self.data {
            ValueData::F32(_) => DType::F32,
            ValueData::I32(_) => DType::I32,
            ValueData::Bits(_) => DType::Bits,
        };
        NodeError::InputDType { input: 0, expected, found }
    }
}
