//! Shape rules of the poolings.

use super::check;
use crate::error::NodeError;
use crate::{DType, Geometry, ValueType};

pub(super) fn max(inputs: &[ValueType], geometry: &Geometry) -> Result<ValueType, NodeError> {
    let x = check::one(inputs)?;
    let (h, w) = geometry.pool_output_size(x.shape.h, x.shape.w)?;
    check::output(h, w, x.shape.c, x.dtype)
}

pub(super) fn avg(inputs: &[ValueType], geometry: &Geometry) -> Result<ValueType, NodeError> {
    let x = check::one_of(inputs, &[DType::F32])?;
    let (h, w) = geometry.pool_output_size(x.h, x.w)?;
    check::output(h, w, x.c, DType::F32)
}

pub(super) fn global_avg(inputs: &[ValueType]) -> Result<ValueType, NodeError> {
    let x = check::one_of(inputs, &[DType::F32])?;
    check::output(1, 1, x.c, DType::F32)
}

pub(super) fn global_max(inputs: &[ValueType]) -> Result<ValueType, NodeError> {
    let x = check::one(inputs)?;
    check::output(1, 1, x.shape.c, x.dtype)
}
