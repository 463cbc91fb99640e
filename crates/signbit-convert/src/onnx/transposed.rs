//! `ConvTranspose`.

use signbit_model::{Op, TransposedGeometry};

use super::node::Node;
use super::reader::Reader;
use super::value::{Axis, Real, Value};
use super::window::{as_map, map};
use crate::ConvertError;

/// `ConvTranspose` with a constant weight `[C, O / group, kh, kw]`.
pub(super) fn conv(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = map(reader, node)?;
    let weight = reader.constant(node, 1)?;
    let &[c, o_group, kh, kw] = weight.dims() else {
        return Err(node.unsupported(format!("a weight of shape {:?}", weight.dims())));
    };
    if node.sizes("kernel_shape", 1)?.is_some_and(|kernel| kernel != [kh, kw]) {
        return Err(node.unsupported("kernel_shape is not its weight's"));
    }
    let groups = node.int("group").unwrap_or(1);
    let groups = usize::try_from(groups).ok().filter(|&groups| groups > 0 && c.is_multiple_of(groups));
    let groups = groups.ok_or_else(|| node.unsupported(format!("group = {:?} of {c} channels", node.int("group"))))?;
    let geometry = geometry(node, &x, [kh, kw])?;
    reader.budget.hold(node.name, node.operator(), weight.len())?;
    let (data, c_group) = (weight.to_floats(), c / groups);
    // [C, O / group, kh, kw] to [O, kh, kw, C / group].
    let mut moved = Vec::with_capacity(data.len());
    for (group, o) in (0..groups).flat_map(|group| (0..o_group).map(move |o| (group, o))) {
        for tap in 0..kh * kw {
            let at = |i: usize| ((group * c_group + i) * o_group + o) * kh * kw + tap;
            moved.extend((0..c_group).filter_map(|i| data.get(at(i))));
        }
    }
    let shape = [groups.saturating_mul(o_group), kh, kw, c_group];
    let weight = reader.draft.f32(&format!("{}.weight", node.name), shape, moved)?;
    let bias = match reader.optional_constant(node, 2)? {
        Some(bias) => Some(reader.draft.f32(&format!("{}.bias", node.name), bias.dims(), bias.to_floats())?),
        None => None,
    };
    let id = reader.join(node, Op::Conv2dTranspose { weight, bias, geometry, groups }, &[x.id])?;
    Ok(Value::Real(as_map(reader, &x, id)))
}

/// The geometry, from pads or from the output's size.
fn geometry(node: &Node<'_>, x: &Real, kernel: [usize; 2]) -> Result<TransposedGeometry, ConvertError> {
    let stride = node.sizes("strides", 1)?.unwrap_or([1, 1]);
    let dilation = node.sizes("dilations", 1)?.unwrap_or([1, 1]);
    let output_padding = node.sizes("output_padding", 0)?.unwrap_or([0; 2]);
    let full = TransposedGeometry { output_padding, ..TransposedGeometry::valid(kernel, stride, dilation) };
    let (h, w) = (x.size(Axis::H), x.size(Axis::W));
    let wanted = node.sizes("output_shape", 1)?;
    let auto_pad = node.text("auto_pad").unwrap_or("NOTSET");
    let size = match (wanted, auto_pad) {
        (None, "NOTSET") => return Ok(TransposedGeometry { pads: node.sizes("pads", 0)?.unwrap_or([0; 4]), ..full }),
        (None, "VALID") => return Ok(full),
        (Some(size), "NOTSET" | "VALID" | "SAME_UPPER" | "SAME_LOWER") => size,
        (None, "SAME_UPPER" | "SAME_LOWER") => [h.saturating_mul(stride[0]), w.saturating_mul(stride[1])],
        (_, other) => return Err(node.unsupported(format!("auto_pad {other}"))),
    };
    let (full_h, full_w) = full.output_size(h, w).map_err(|e| node.unsupported(e.to_string()))?;
    // What is too much is cut off on both sides; of an odd number one more at the end for SAME_UPPER, else at the front.
    let before = |full: usize, size: usize| {
        let total = full.saturating_sub(size);
        if auto_pad == "SAME_UPPER" { total / 2 } else { total - total / 2 }
    };
    let top_left = [before(full_h, size[0]), before(full_w, size[1])];
    full.of_size((h, w), size, top_left).ok_or_else(|| node.unsupported(format!("an output of {size:?}")))
}
