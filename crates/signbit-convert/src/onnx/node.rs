//! One node of the file, with typed access to its attributes.

use super::proto::{AttributeProto, NodeProto, TensorProto, attribute_type};
use crate::ConvertError;

/// A node, its operator's version and the name to call it by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) proto: &'a NodeProto,
    /// Version of ONNX's own operator set.
    pub(super) opset: i64,
    /// The node's name, or its first output's.
    pub(super) name: &'a str,
}

impl<'a> Node<'a> {
    pub(super) fn operator(&self) -> &'a str {
        &self.proto.op_type
    }

    /// The names of the operands, without the empty ones at the end.
    pub(super) fn inputs(&self) -> &'a [String] {
        let used = self.proto.input.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        self.proto.input.get(..used).unwrap_or_default()
    }

    /// The name of operand `i`, where it is there.
    pub(super) fn input(&self, i: usize) -> Option<&'a str> {
        self.proto.input.get(i).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// That the operator cannot be taken in.
    pub(super) fn unsupported(&self, reason: impl Into<String>) -> ConvertError {
        ConvertError::unsupported(self.name, self.operator(), reason)
    }

    /// The attribute of a name and of a type, by [`attribute_type`]; the oldest files do not give the type.
    fn attribute(&self, name: &str, kind: i32) -> Option<&'a AttributeProto> {
        self.proto.attribute.iter().find(|a| a.name == name && (a.r#type == kind || a.r#type == 0))
    }

    /// An integer attribute.
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name, attribute_type::INT).map(|a| a.i.unwrap_or(0))
    }

    /// An integer attribute that is a switch, off where it is not there.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.int(name).unwrap_or(0) != 0
    }

    /// A float attribute.
    pub(super) fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name, attribute_type::FLOAT).map(|a| a.f.unwrap_or(0.0))
    }

    /// A list of floats.
    pub(super) fn floats(&self, name: &str) -> Option<&'a [f32]> {
        self.attribute(name, attribute_type::FLOATS).map(|a| a.floats.as_slice())
    }

    /// A list of integers.
    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name, attribute_type::INTS).map(|a| a.ints.as_slice())
    }

    /// A text attribute.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.attribute(name, attribute_type::STRING)
            .and_then(|a| a.s.as_deref())
            .and_then(|s| std::str::from_utf8(s).ok())
    }

    /// A tensor attribute.
    pub(super) fn tensor(&self, name: &str) -> Option<&'a TensorProto> {
        self.attribute(name, attribute_type::TENSOR).and_then(|a| a.t.as_deref())
    }

    /// A list of lengths of `N` numbers, each at least `least`.
    pub(super) fn sizes<const N: usize>(&self, name: &str, least: i64) -> Result<Option<[usize; N]>, ConvertError> {
        let Some(ints) = self.ints(name) else {
            return Ok(None);
        };
        let sizes: Option<Vec<usize>> = ints.iter().map(|&v| usize::try_from(v).ok().filter(|_| v >= least)).collect();
        let sizes = sizes.and_then(|v| <[usize; N]>::try_from(v).ok());
        sizes.map(Some).ok_or_else(|| self.unsupported(format!("{name} = {ints:?}")))
    }

    /// An axis of a value of `rank` axes; a negative one counts from the end.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize, ConvertError> {
        let signed = i64::try_from(rank).unwrap_or(i64::MAX);
        let from_front = if axis < 0 { axis.checked_add(signed) } else { Some(axis) };
        from_front
            .and_then(|a| usize::try_from(a).ok())
            .filter(|&a| a < rank)
            .ok_or_else(|| self.unsupported(format!("axis {axis} of a value of {rank} axes")))
    }

    /// Several axes of a value of `rank` axes, each once, ascending.
    pub(super) fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>, ConvertError> {
        if axes.len() > rank {
            return Err(self.unsupported(format!("{} axes of a value of {rank}", axes.len())));
        }
        let mut found = axes.iter().map(|&a| self.axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
        found.sort_unstable();
        if found.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(self.unsupported(format!("axes {axes:?} name one twice")));
        }
        Ok(found)
    }
}
