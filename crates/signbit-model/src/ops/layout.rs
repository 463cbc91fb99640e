//! Shape rules of the operators that only move elements.

use super::check;
use crate::error::NodeError;
use crate::{DType, Geometry, ValueType};

pub(super) fn flatten(inputs: &[ValueType]) -> Result<ValueType, NodeError> {
    let x = check::one(inputs)?;
    check::output(1, 1, x.shape.elements(), x.dtype)
}

pub(super) fn pad(inputs: &[ValueType], pads: [usize; 4], value: f32) -> Result<ValueType, NodeError> {
    let x = check::one(inputs)?;
    check::dtype(0, x.dtype, &[DType::F32, DType::Bits])?;
    let allowed = if x.dtype == DType::Bits { value.abs() == 1.0 } else { value.is_finite() };
    if !allowed {
        return Err(NodeError::PadValue { value, dtype: x.dtype });
    }
    // A window of one element has as many places as there are elements with the frame.
    let frame = Geometry { pads, ..Geometry::valid([1, 1], [1, 1], [1, 1]) };
    let (h, w) = frame.output_size(x.shape.h, x.shape.w)?;
    check::output(h, w, x.shape.c, x.dtype)
}

pub(super) fn slice(inputs: &[ValueType], start: usize, end: usize) -> Result<ValueType, NodeError> {
    let x = check::one(inputs)?;
    let channels = x.shape.c;
    if start >= end || end > channels {
        return Err(NodeError::Slice { start, end, channels });
    }
    check::output(x.shape.h, x.shape.w, end - start, x.dtype)
}

pub(super) fn concat(inputs: &[ValueType]) -> Result<ValueType, NodeError> {
    let [first, rest @ ..] = inputs else {
        return Err(NodeError::InputCount { expected: "at least 2", found: 0 });
    };
    if rest.is_empty() {
        return Err(NodeError::InputCount { expected: "at least 2", found: 1 });
    }
    let (h, w) = (first.shape.h, first.shape.w);
    let mut c = first.shape.c;
    for (i, x) in rest.iter().enumerate() {
        check::dtype(i + 1, x.dtype, &[first.dtype])?;
        if (x.shape.h, x.shape.w) != (h, w) {
            let expected = format!("{h}x{w}xC");
            return Err(NodeError::InputShape { input: i + 1, expected, found: x.shape });
        }
        c = c.checked_add(x.shape.c).ok_or(NodeError::OutputTooLarge)?;
    }
    check::output(h, w, c, first.dtype)
}
