//! Operators with a sliding window over rows and columns, and those over all of them.

use signbit_model::{Geometry, Op};

use super::constant::strides;
use super::node::Node;
use super::reader::Reader;
use super::value::{Axis, HWC, Real, Value};
use crate::ConvertError;

/// The operand 0, a feature map in the order NCHW.
pub(super) fn map(reader: &Reader<'_>, node: &Node<'_>) -> Result<Real, ConvertError> {
    let x = reader.real(node, 0)?;
    if x.is_map() {
        return Ok(x);
    }
    let shape = x.shape();
    Err(node.unsupported(match shape.len() {
        3 => format!("over one axis only, of a value of shape {shape:?}"),
        4 if !x.is_flat() => format!("the axes of its value of shape {shape:?} are not in the order NCHW"),
        _ => format!("its value of shape {shape:?} is not a feature map"),
    }))
}

/// The window of a node; `kernel` is `[kh, kw]`.
fn geometry(node: &Node<'_>, x: &Real, kernel: [usize; 2]) -> Result<Geometry, ConvertError> {
    let stride = node.sizes("strides", 1)?.unwrap_or([1, 1]);
    let dilation = node.sizes("dilations", 1)?.unwrap_or([1, 1]);
    let (h, w) = (x.size(Axis::H), x.size(Axis::W));
    match node.text("auto_pad").unwrap_or("NOTSET") {
        "NOTSET" => {
            let pads = node.sizes("pads", 0)?.unwrap_or([0; 4]);
            Ok(Geometry { kernel, stride, dilation, pads })
        }
        "VALID" => Ok(Geometry::valid(kernel, stride, dilation)),
        "SAME_UPPER" => Ok(Geometry::same(h, w, kernel, stride, dilation)),
        "SAME_LOWER" => {
            let upper = Geometry::same(h, w, kernel, stride, dilation);
            let [top, left, bottom, right] = upper.pads;
            Ok(Geometry { pads: [bottom, right, top, left], ..upper })
        }
        other => Err(node.unsupported(format!("auto_pad {other}"))),
    }
}

/// `Conv`.
pub(super) fn conv(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = map(reader, node)?;
    let weight = reader.constant(node, 1)?;
    let &[c_out, c_in, kh, kw] = weight.dims() else {
        return Err(node.unsupported(format!("a weight of shape {:?}", weight.dims())));
    };
    let geometry = geometry(node, &x, [kh, kw])?;
    if node.sizes("kernel_shape", 1)?.is_some_and(|kernel| kernel != [kh, kw]) {
        return Err(node.unsupported("kernel_shape is not its weight's"));
    }
    let groups = node.int("group").unwrap_or(1);
    let groups = usize::try_from(groups).map_err(|_| node.unsupported(format!("group = {groups}")))?;
    reader.budget.hold(node.name, node.operator(), weight.len())?;
    let data = weight.to_floats();
    // [O, I, kh, kw] to [O, kh, kw, I].
    let mut moved = Vec::with_capacity(data.len());
    let [step_o, step_i, step_y, step_x] = steps(weight.dims());
    for o in 0..c_out {
        for y in 0..kh {
            for x in 0..kw {
                let first = o * step_o + y * step_y + x * step_x;
                moved.extend((0..c_in).filter_map(|i| data.get(first + i * step_i)));
            }
        }
    }
    let weight = reader.draft.f32(&format!("{}.weight", node.name), [c_out, kh, kw, c_in], moved)?;
    let bias = match reader.optional_constant(node, 2)? {
        Some(bias) => Some(reader.draft.f32(&format!("{}.bias", node.name), bias.dims(), bias.to_floats())?),
        None => None,
    };
    let id = reader.join(node, Op::Conv2d { weight, bias, geometry, groups }, &[x.id])?;
    Ok(Value::Real(as_map(reader, &x, id)))
}

fn steps(dims: &[usize]) -> [usize; 4] {
    <[usize; 4]>::try_from(strides(dims)).unwrap_or_default()
}

/// A value of the graph as a feature map in the order NCHW.
pub(super) fn as_map(reader: &Reader<'_>, x: &Real, id: signbit_model::ValueId) -> Real {
    let shape = reader.draft.shape(id);
    Real::map(id, [x.size(Axis::N), shape.h, shape.w, shape.c])
}

/// The window of a pooling, and whether `ceil_mode` made it larger below or to the right.
fn pooling(node: &Node<'_>, x: &Real) -> Result<(Geometry, bool), ConvertError> {
    let kernel = node.sizes("kernel_shape", 1)?.ok_or_else(|| node.unsupported("kernel_shape is missing"))?;
    let mut geometry = geometry(node, x, kernel)?;
    let mut larger = false;
    if node.flag("ceil_mode") {
        // Checked for numbers out of range.
        geometry.output_size(x.size(Axis::H), x.size(Axis::W)).map_err(|e| node.unsupported(e.to_string()))?;
        for (i, axis) in [Axis::H, Axis::W].into_iter().enumerate() {
            let [size, stride] = [x.size(axis), geometry.stride[i]];
            let extent = (geometry.kernel[i] - 1) * geometry.dilation[i] + 1;
            let padded = size + geometry.pads[i] + geometry.pads[i + 2];
            let last = (padded - extent).div_ceil(stride) * stride;
            // A window that would begin behind the input and its padding in front is left out.
            if last < size + geometry.pads[i] && last + extent > padded {
                geometry.pads[i + 2] += last + extent - padded;
                larger = true;
            }
        }
    }
    Ok((geometry, larger))
}

/// `MaxPool`.
pub(super) fn max_pool(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = map(reader, node)?;
    let (geometry, _) = pooling(node, &x)?;
    let id = reader.join(node, Op::MaxPool2d { geometry }, &[x.id])?;
    Ok(Value::Real(as_map(reader, &x, id)))
}

/// `AveragePool`.
pub(super) fn average_pool(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = map(reader, node)?;
    let (geometry, larger) = pooling(node, &x)?;
    let count_include_pad = node.flag("count_include_pad");
    if larger && count_include_pad {
        return Err(node.unsupported("ceil_mode with count_include_pad, where windows reach over the padding"));
    }
    let id = reader.join(node, Op::AvgPool2d { geometry, count_include_pad }, &[x.id])?;
    Ok(Value::Real(as_map(reader, &x, id)))
}

/// `Pad` of rows and columns with one number.
pub(super) fn pad(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = reader.real(node, 0)?;
    let mode = node.text("mode").unwrap_or("constant");
    if mode != "constant" {
        return Err(node.unsupported(format!("mode {mode}")));
    }
    let pads = reader.list(node, "pads", 1)?.ok_or_else(|| node.unsupported("its pads are missing"))?;
    let value = reader.number(node, "value", 2)?.unwrap_or(0.0);
    let axes = match reader.list(node, "axes", 3)? {
        Some(axes) => axes.iter().map(|&axis| node.axis(axis, x.rank())).collect::<Result<Vec<_>, _>>()?,
        None => (0..x.rank()).collect(),
    };
    let (before, after) = pads.split_at_checked(axes.len()).unwrap_or_default();
    if before.len() != axes.len() || after.len() != axes.len() {
        return Err(node.unsupported(format!("{} pads for {} axes", pads.len(), axes.len())));
    }
    let mut frame = [0_usize; 4];
    for ((&axis, &before), &after) in axes.iter().zip(before).zip(after) {
        if before == 0 && after == 0 {
            continue;
        }
        let side = match x.roles().and_then(|roles| roles.get(axis).copied()) {
            Some(Axis::H) => 0,
            Some(Axis::W) => 1,
            _ => return Err(node.unsupported(format!("axis {axis} is not one of rows or columns of a feature map"))),
        };
        let size = |pad: i64| usize::try_from(pad).map_err(|_| node.unsupported(format!("a pad of {pad}")));
        frame[side] = size(before)?;
        frame[side + 2] = size(after)?;
    }
    if frame == [0; 4] {
        return Ok(Value::Real(x));
    }
    let roles = x.roles().ok_or_else(|| node.unsupported("its value is not a feature map"))?;
    let id = reader.join(node, Op::Pad { pads: frame, value }, &[x.id])?;
    let shape = reader.draft.shape(id);
    let axes = roles.iter().map(|&role| vec![role]).collect();
    Ok(Value::Real(x.resized(id, [x.size(Axis::N), shape.h, shape.w, shape.c], axes)))
}

/// `GlobalAveragePool`, `GlobalMaxPool`, and `ReduceMean` and `ReduceMax` over rows and columns.
pub(super) fn global(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = reader.real(node, 0)?;
    let whole = node.operator().starts_with("Global");
    let (axes, keep) = if whole {
        if !x.is_map() {
            return Err(node.unsupported("its value is not a feature map in the order NCHW"));
        }
        (vec![2, 3], true)
    } else {
        let axes = reader.list(node, "axes", 1)?.unwrap_or_default();
        if axes.is_empty() && node.flag("noop_with_empty_axes") {
            return Ok(Value::Real(x));
        }
        (node.axes(&axes, x.rank())?, node.int("keepdims").unwrap_or(1) != 0)
    };
    if node.operator() == "ReduceMean" && keep && axes == [1] && x.is_map() {
        return channel_mean(reader, node, &x);
    }
    let over: Vec<Axis> = axes.iter().filter_map(|&i| x.axes().get(i)).flatten().copied().collect();
    // An axis of size 1 may be one of them or not.
    let fits = HWC.iter().all(|a| x.size(*a) == 1 || over.contains(a) != (*a == Axis::C)) && !over.contains(&Axis::N);
    if axes.is_empty() || !fits || x.is_flat() {
        return Err(node.unsupported(format!("over axes {axes:?} of a value of shape {:?}", x.shape())));
    }
    let op = if node.operator().contains("Max") { Op::GlobalMaxPool } else { Op::GlobalAvgPool };
    let id = if x.is_vector() { x.id } else { reader.join(node, op, &[x.id])? };
    let kept = |(i, axis): (usize, &Vec<Axis>)| match axes.contains(&i) {
        true => keep.then(Vec::new),
        false => Some(axis.clone()),
    };
    let left = x.axes().iter().enumerate().filter_map(kept).collect();
    Ok(Value::Real(x.resized(id, [x.size(Axis::N), 1, 1, x.size(Axis::C)], left)))
}

/// The mean over the channels of each pixel, as a convolution of 1x1.
fn channel_mean(reader: &mut Reader<'_>, node: &Node<'_>, x: &Real) -> Result<Value, ConvertError> {
    let [n, h, w, channels] = x.dims();
    reader.budget.hold(node.name, node.operator(), channels)?;
    let weight = vec![1.0 / channels as f32; channels];
    let weight = reader.draft.f32(&format!("{}.weight", node.name), [1, 1, 1, channels], weight)?;
    let geometry = Geometry::valid([1, 1], [1, 1], [1, 1]);
    let id = reader.join(node, Op::Conv2d { weight, bias: None, geometry, groups: 1 }, &[x.id])?;
    Ok(Value::Real(x.resized(id, [n, h, w, 1], x.axes().to_vec())))
}
