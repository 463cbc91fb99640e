//! Operators that move the axes of values, join them or take parts of them.

use signbit_model::Op;

use super::node::Node;
use super::reader::Reader;
use super::shape::{self, Range};
use super::value::{Axis, Real, Value};
use crate::ConvertError;

/// `Transpose`, `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`: nothing moves in memory.
pub(super) fn axes(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = reader.real(node, 0)?;
    let shape = x.shape();
    let moved = match node.operator() {
        "Transpose" => x.transposed(&shape::permutation(node, x.rank())?),
        "Reshape" => {
            let wanted = reader.list(node, "shape", 1)?.ok_or_else(|| node.unsupported("its shape is missing"))?;
            let wanted = shape::resolve(node, &wanted, &shape)?;
            let moved = x.reshaped(&wanted);
            return moved.map(Value::Real).ok_or_else(|| {
                node.unsupported(format!("{shape:?} to {wanted:?} divides an axis; joining neighbours can be taken in"))
            });
        }
        "Flatten" => {
            let (front, back) = shape.split_at(shape::flatten_axis(node, x.rank())?.min(shape.len()));
            let product = |dims: &[usize]| dims.iter().fold(1_usize, |p, &d| p.saturating_mul(d));
            x.reshaped(&[product(front), product(back)])
        }
        "Squeeze" => {
            let positions = match reader.list(node, "axes", 1)? {
                Some(axes) => node.axes(&axes, x.rank())?,
                None => {
                    // The batch of 1 that stands for any batch stays.
                    (0..x.rank()).filter(|&i| x.axes().get(i).is_some_and(Vec::is_empty)).collect()
                }
            };
            x.squeezed(&positions)
        }
        _ => {
            let axes = reader.list(node, "axes", 1)?.ok_or_else(|| node.unsupported("its axes are missing"))?;
            x.unsqueezed(&node.axes(&axes, x.rank().saturating_add(axes.len()))?)
        }
    };
    moved.map(Value::Real).ok_or_else(|| node.unsupported(format!("of a value of shape {shape:?}")))
}

/// `Concat` along the channels.
pub(super) fn concat(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let count = node.inputs().len();
    let mut parts = (0..count).map(|i| reader.real(node, i)).collect::<Result<Vec<_>, _>>()?;
    // Flattened values in the order of memory are vectors like any other.
    for part in parts.iter_mut().filter(|part| !part.is_map()) {
        if let Some(vector) = part.as_plain_vector().or_else(|| {
            let ordered = part.in_memory_order() && part.rank() == 2;
            ordered.then(|| reader.flat(node, part).ok()).flatten().and_then(|flat| flat.as_plain_vector())
        }) {
            *part = vector;
        }
    }
    let Some(first) = parts.first().cloned() else {
        return Err(node.unsupported("of nothing"));
    };
    if count == 1 {
        return Ok(Value::Real(first));
    }
    let axis = node.axis(node.int("axis").unwrap_or(1), first.rank())?;
    let channels = |x: &Real| {
        let axis = x.axes().get(axis).map_or(&[][..], Vec::as_slice);
        !x.is_flat() && (axis == [Axis::C] || (axis.is_empty() && x.size(Axis::C) == 1))
    };
    let others = |x: &Real| x.axes().iter().enumerate().filter(|(i, _)| *i != axis).map(|(_, a)| a.clone()).collect();
    let rest: Vec<Vec<Axis>> = others(&first);
    if !parts.iter().all(|part| channels(part) && part.rank() == first.rank() && rest == others(part)) {
        let shapes: Vec<_> = parts.iter().map(Real::shape).collect();
        return Err(node.unsupported(format!("of values of shapes {shapes:?} along axis {axis}: not their channels")));
    }
    let ids: Vec<_> = parts.iter().map(|part| part.id).collect();
    let id = reader.join(node, Op::Concat, &ids)?;
    let [n, h, w, _] = first.dims();
    let mut axes = first.axes().to_vec();
    if let Some(axis) = axes.get_mut(axis) {
        *axis = vec![Axis::C];
    }
    Ok(Value::Real(first.resized(id, [n, h, w, reader.draft.shape(id).c], axes)))
}

/// `Slice` of channels.
pub(super) fn slice(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = reader.real(node, 0)?;
    let mut operands = Vec::new();
    for i in 1..5 {
        operands.push(reader.optional_constant(node, i)?.and_then(|c| c.as_ints().map(<[i64]>::to_vec)));
    }
    let shape = x.shape();
    let ranges = shape::ranges(node, &shape, |i| operands.get(i - 1).cloned().flatten())?;
    let mut result = x;
    for (axis, (range, size)) in ranges.into_iter().zip(shape).enumerate() {
        let Range { first, step, len } = range;
        if step == 1 && len == size {
            continue;
        }
        if step != 1 && len > 1 {
            return Err(node.unsupported(format!("with a step of {step}")));
        }
        result = channels(reader, node, &result, axis, first, len)?;
    }
    Ok(Value::Real(result))
}

/// `Split` of channels.
pub(super) fn split(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Vec<Value>, ConvertError> {
    let x = reader.real(node, 0)?;
    let axis = node.axis(node.int("axis").unwrap_or(0), x.rank())?;
    let size = x.shape().get(axis).copied().unwrap_or(0);
    let count = node.proto.output.len();
    let lengths = match reader.list(node, "split", 1)? {
        Some(lengths) => lengths
            .iter()
            .map(|&len| usize::try_from(len).map_err(|_| node.unsupported(format!("a part of {len}"))))
            .collect::<Result<Vec<_>, _>>()?,
        None => {
            let each = size.div_ceil(count.max(1)).max(1);
            (0..count).map(|i| size.saturating_sub(i.saturating_mul(each)).min(each)).collect()
        }
    };
    let total = lengths.iter().fold(0_usize, |sum, &len| sum.saturating_add(len));
    if total != size || lengths.len() != count {
        return Err(node.unsupported(format!("{count} parts {lengths:?} of {size}")));
    }
    let mut first = 0;
    let mut parts = Vec::with_capacity(count);
    for len in lengths {
        parts.push(Value::Real(channels(reader, node, &x, axis, first, len)?));
        first += len;
    }
    Ok(parts)
}

/// `len` channels from `first` on; `axis` must be that of the channels.
fn channels(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    x: &Real,
    axis: usize,
    first: usize,
    len: usize,
) -> Result<Real, ConvertError> {
    if x.axes().get(axis).map(Vec::as_slice) != Some(&[Axis::C]) || x.is_flat() || len == 0 {
        return Err(node.unsupported(format!("axis {axis} of a value of shape {:?} is not its channels", x.shape())));
    }
    let op = Op::Slice { start: first, end: first.saturating_add(len) };
    let id = reader.join(node, op, &[x.id])?;
    let [n, h, w, _] = x.dims();
    Ok(x.resized(id, [n, h, w, len], x.axes().to_vec()))
}
