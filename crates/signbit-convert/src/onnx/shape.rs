//! The rules of the operators that move axes, the same for constants and for values.

use super::constant::{MAX_RANK, elements};
use super::node::Node;
use crate::ConvertError;

/// What a slice takes of one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// The first element.
    pub(super) first: usize,
    /// The step to the next one.
    pub(super) step: i64,
    /// How many.
    pub(super) len: usize,
}

/// The axes `start .. end` that `Shape` gives of a value of `rank` axes.
pub(super) fn part(node: &Node<'_>, rank: usize) -> (usize, usize) {
    let len = i64::try_from(rank).unwrap_or(i64::MAX);
    let bound = |name: &str, default: i64| {
        let bound = node.int(name).unwrap_or(default);
        let bound = if bound < 0 { bound.saturating_add(len) } else { bound };
        usize::try_from(bound.clamp(0, len)).unwrap_or(0)
    };
    let end = bound("end", len);
    (bound("start", 0).min(end), end)
}

/// The shape that `Reshape` to `wanted` makes of a value of shape `from`.
pub(super) fn resolve(node: &Node<'_>, wanted: &[i64], from: &[usize]) -> Result<Vec<usize>, ConvertError> {
    let wrong = || node.unsupported(format!("shape {from:?} to {wanted:?}"));
    if wanted.len() > MAX_RANK {
        return Err(wrong());
    }
    let copy_zero = !node.flag("allowzero");
    let mut open = None;
    let mut shape = Vec::with_capacity(wanted.len());
    for (i, &size) in wanted.iter().enumerate() {
        shape.push(match size {
            0 if copy_zero => *from.get(i).ok_or_else(wrong)?,
            -1 if open.replace(i).is_none() => 1,
            size => usize::try_from(size).map_err(|_| wrong())?,
        });
    }
    let (have, known) = (elements(from).ok_or_else(wrong)?, elements(&shape).ok_or_else(wrong)?);
    if let Some(open) = open.and_then(|i| shape.get_mut(i)) {
        *open = have.checked_div(known).ok_or_else(wrong)?;
    }
    (elements(&shape) == Some(have)).then_some(shape).ok_or_else(wrong)
}

/// The axis at which `Flatten` divides a value of `rank` axes.
pub(super) fn flatten_axis(node: &Node<'_>, rank: usize) -> Result<usize, ConvertError> {
    match node.int("axis").unwrap_or(1) {
        axis if usize::try_from(axis) == Ok(rank) => Ok(rank),
        axis => node.axis(axis, rank),
    }
}

/// The permutation of `Transpose`, checked.
pub(super) fn permutation(node: &Node<'_>, rank: usize) -> Result<Vec<usize>, ConvertError> {
    let Some(perm) = node.ints("perm") else {
        return Ok((0..rank).rev().collect());
    };
    if perm.len() != rank {
        return Err(node.unsupported(format!("perm {perm:?} of a value of {rank} axes")));
    }
    node.axes(perm, rank)?;
    perm.iter().map(|&p| node.axis(p, rank)).collect()
}

/// What `Slice` takes of each axis of a value of shape `dims`; `operand` gives operand `i` where it is there.
pub(super) fn ranges(
    node: &Node<'_>,
    dims: &[usize],
    operand: impl Fn(usize) -> Option<Vec<i64>>,
) -> Result<Vec<Range>, ConvertError> {
    let list = |name: &str, i: usize| node.ints(name).map(<[i64]>::to_vec).or_else(|| operand(i));
    let missing = || node.unsupported("its starts and ends are not constant");
    let starts = list("starts", 1).ok_or_else(missing)?;
    let ends = list("ends", 2).ok_or_else(missing)?;
    let axes = list("axes", 3).unwrap_or_else(|| (0..).take(starts.len()).collect());
    let steps = list("steps", 4).unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err(node.unsupported("its starts, ends, axes and steps are not of one length"));
    }
    node.axes(&axes, dims.len())?;
    let mut ranges: Vec<Range> = dims.iter().map(|&len| Range { first: 0, step: 1, len }).collect();
    for (((&axis, &start), &end), &step) in axes.iter().zip(&starts).zip(&ends).zip(&steps) {
        let axis = node.axis(axis, dims.len())?;
        let size = dims.get(axis).and_then(|&d| i64::try_from(d).ok()).unwrap_or(0);
        let (low, high) = match step {
            0 | i64::MIN => return Err(node.unsupported(format!("a step of {step}"))),
            1.. => (0, size),
            _ => (-1, size - 1),
        };
        let bound = |v: i64, low: i64| if v < 0 { v.saturating_add(size) } else { v }.clamp(low, high.max(low));
        let (start, end) = (bound(start, 0), bound(end, low));
        let way = if step > 0 { end - start } else { start - end };
        let len = usize::try_from(way).map_or(0, |way| way.div_ceil(usize::try_from(step.unsigned_abs()).unwrap_or(1)));
        if let (Some(range), Ok(first)) = (ranges.get_mut(axis), usize::try_from(start)) {
            *range = Range { first, step, len };
        }
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::proto::{AttributeProto, NodeProto};

    fn node(attributes: &[(&str, &[i64])]) -> NodeProto {
        let ints = |(name, ints): &(&str, &[i64])| AttributeProto {
            name: (*name).into(),
            ints: ints.to_vec(),
            ..Default::default()
        };
        NodeProto { op_type: "Test".into(), attribute: attributes.iter().map(ints).collect(), ..Default::default() }
    }

    fn of(proto: &NodeProto) -> Node<'_> {
        Node { proto, opset: 13, name: "test" }
    }

    #[test]
    fn reshape_copies_and_infers() {
        let proto = node(&[]);
        let resolve = |wanted: &[i64]| resolve(&of(&proto), wanted, &[2, 3, 4]).ok();
        assert_eq!(resolve(&[0, -1]), Some(vec![2, 12]));
        assert_eq!(resolve(&[-1]), Some(vec![24]));
        assert_eq!(resolve(&[4, 6]), Some(vec![4, 6]));
        for wrong in [&[5, -1][..], &[-1, -1], &[24, 0, 0, 0], &[-2], &[1; 9]] {
            assert_eq!(resolve(wrong), None);
        }
    }

    #[test]
    fn slices_clamp_and_go_backwards() {
        let proto = node(&[("starts", &[-2, 100]), ("ends", &[i64::MAX, i64::MIN]), ("axes", &[-1, 0])]);
        let found = ranges(&of(&proto), &[5, 7], |i| (i == 4).then(|| vec![1, -2])).unwrap();
        assert_eq!(found, [Range { first: 4, step: -2, len: 3 }, Range { first: 5, step: 1, len: 2 }]);
    }
}
