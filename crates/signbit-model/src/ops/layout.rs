//! Shape rules of the operators that only move elements.

use super::check;
use crate::ValueType;
use crate::error::NodeError;

pub(super) fn flatten(inputs: &[ValueType]) -> Result<ValueType, NodeError> {
    let x = check::one(inputs)?;
    check::output(1, 1, x.shape.elements(), x.dtype)
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
