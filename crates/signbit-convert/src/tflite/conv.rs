//! Real convolutions and dense layers, and what all windows have in common.

use signbit_model::limits::MAX_GEOMETRY;
use signbit_model::{Geometry, Op, Shape, ValueId};

use super::Result;
use super::constant::Reals;
use super::reader::Reader;
use super::schema::{Operator, malformed};
use crate::Activation;

const CONV_OPTIONS: u8 = 1;
const DEPTHWISE_OPTIONS: u8 = 2;
const FULLY_CONNECTED_OPTIONS: u8 = 8;

/// A fused activation by its number in the schema.
pub(super) fn activation_of(op: &Operator, code: i64) -> Result<Activation> {
    match code {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        4 => Err(op.refuse("its fused activation is TANH")),
        other => Err(op.refuse(format!("its fused activation has the number {other}"))),
    }
}

/// A window over `input`; `padding` is 0 for SAME and 1 for VALID, pairs are `[height, width]`.
pub(super) fn window(
    op: &Operator,
    input: Shape,
    padding: i64,
    kernel: [i64; 2],
    stride: [i64; 2],
    dilation: [i64; 2],
) -> Result<Geometry> {
    let size = |v: i64| usize::try_from(v).ok().filter(|v| (1..=MAX_GEOMETRY).contains(v));
    let pair = |[h, w]: [i64; 2]| size(h).zip(size(w)).map(|(h, w)| [h, w]);
    let Some(((kernel, stride), dilation)) = pair(kernel).zip(pair(stride)).zip(pair(dilation)) else {
        return Err(op.refuse(format!("a window of {kernel:?}, stride {stride:?}, dilation {dilation:?}")));
    };
    match padding {
        0 => Ok(Geometry::same(input.h, input.w, kernel, stride, dilation)),
        1 => Ok(Geometry::valid(kernel, stride, dilation)),
        other => Err(op.refuse(format!("padding {other}"))),
    }
}

/// `CONV_2D`: filter `[O, kh, kw, C / groups]`.
pub(super) fn conv2d(reader: &mut Reader, op: &Operator) -> Result<()> {
    let options = op.options(CONV_OPTIONS)?;
    let x = reader.real(op, 0)?;
    let input = reader.draft.shape(x);
    let weight = reader.reals(op, 1)?;
    let [o, kh, kw, cg] = weight.shape[..] else {
        return Err(op.refuse(format!("its filter has the shape {:?}", weight.shape)));
    };
    if cg == 0 || !input.c.is_multiple_of(cg) {
        return Err(op.refuse(format!("its filter {:?} does not fit {} channels", weight.shape, input.c)));
    }
    let (stride, dilation) = ([2, 1].map(|f| options.int(f, 0)), [5, 4].map(|f| options.int(f, 1)));
    let geometry = window_of(op, input, options.byte(0)?, [kh, kw], stride, dilation)?;
    let y = conv(reader, op, x, [o, kh, kw, cg], weight.data, geometry, input.c / cg)?;
    reader.put_activated(op, y, activation_of(op, options.byte(3)?.into())?)
}

/// `DEPTHWISE_CONV_2D`: filter `[1, kh, kw, C * m]`; channel `c` makes the outputs `c * m` to `c * m + m - 1`.
pub(super) fn depthwise(reader: &mut Reader, op: &Operator) -> Result<()> {
    let options = op.options(DEPTHWISE_OPTIONS)?;
    let x = reader.real(op, 0)?;
    let input = reader.draft.shape(x);
    let weight = reader.reals(op, 1)?;
    let [1, kh, kw, o] = weight.shape[..] else {
        return Err(op.refuse(format!("its filter has the shape {:?}", weight.shape)));
    };
    if o == 0 || !o.is_multiple_of(input.c) {
        return Err(op.refuse(format!("its filter {:?} does not fit {} channels", weight.shape, input.c)));
    }
    let (stride, dilation) = ([2, 1].map(|f| options.int(f, 0)), [6, 5].map(|f| options.int(f, 1)));
    let geometry = window_of(op, input, options.byte(0)?, [kh, kw], stride, dilation)?;
    reader.spend(weight.data.len().checked_mul(4))?;
    let taps = kh * kw;
    let mut data = Vec::with_capacity(weight.data.len());
    for channel in 0..o {
        data.extend((0..taps).filter_map(|tap| weight.data.get(tap * o + channel)));
    }
    let y = conv(reader, op, x, [o, kh, kw, 1], data, geometry, input.c)?;
    reader.put_activated(op, y, activation_of(op, options.byte(4)?.into())?)
}

/// [`window`] of a built-in's options.
pub(super) fn window_of(
    op: &Operator,
    input: Shape,
    padding: i8,
    kernel: [usize; 2],
    [stride_h, stride_w]: [Result<i32>; 2],
    [dilation_h, dilation_w]: [Result<i32>; 2],
) -> Result<Geometry> {
    let stride = [stride_h?.into(), stride_w?.into()];
    let dilation = [dilation_h?.into(), dilation_w?.into()];
    window(op, input, padding.into(), kernel.map(|k| k as i64), stride, dilation)
}

fn conv(
    reader: &mut Reader,
    op: &Operator,
    x: ValueId,
    shape: [usize; 4],
    data: Vec<f32>,
    geometry: Geometry,
    groups: usize,
) -> Result<ValueId> {
    let bias = bias(reader, op, 2, shape[0])?;
    let weight = reader.draft.f32(&format!("{}.weight", op.name), shape, data)?;
    reader.draft.node(&op.name, Op::Conv2d { weight, bias, geometry, groups }, &[x])
}

/// The operand `i`, where it is there.
pub(super) fn bias(reader: &mut Reader, op: &Operator, i: usize, len: usize) -> Result<Option<String>> {
    if op.input(i).is_none() {
        return Ok(None);
    }
    let data = reader.vector(op, i, len)?;
    reader.draft.f32(&format!("{}.bias", op.name), [len], data).map(Some)
}

/// `FULLY_CONNECTED`: weights `[O, K]`.
pub(super) fn fully_connected(reader: &mut Reader, op: &Operator) -> Result<()> {
    let options = op.options(FULLY_CONNECTED_OPTIONS)?;
    if options.byte(1)? != 0 {
        return Err(op.refuse("its weights are shuffled"));
    }
    let keeps_dims = options.flag(2)?;
    let x = reader.real(op, 0)?;
    let Reals { shape, data } = reader.reals(op, 1)?;
    let [o, k] = shape[..] else {
        return Err(op.refuse(format!("its weights have the shape {shape:?}")));
    };
    let input = reader.draft.shape(x);
    let y = if input.is_vector() || (!keeps_dims && input.elements() == k) {
        let flat = match input.is_vector() {
            true => x,
            false => reader.draft.node(&format!("{}.flatten", op.name), Op::Flatten, &[x])?,
        };
        let bias = bias(reader, op, 2, o)?;
        let weight = reader.draft.f32(&format!("{}.weight", op.name), [o, k], data)?;
        reader.draft.node(&op.name, Op::Dense { weight, bias }, &[flat])?
    } else if keeps_dims && input.c == k {
        conv(reader, op, x, [o, 1, 1, k], data, Geometry::valid([1, 1], [1, 1], [1, 1]), 1)?
    } else {
        return Err(op.refuse(format!("weights {shape:?} for {input} per sample")));
    };
    reader.put_activated(op, y, activation_of(op, options.byte(0)?.into())?)
}

/// An axis of a tensor of `rank` dimensions; a negative one counts from behind.
pub(super) fn axis(op: &Operator, axis: i64, rank: usize) -> Result<usize> {
    let from_front = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let found = from_front.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank);
    found.ok_or_else(|| malformed(format!("`{}`: axis {axis} of {rank} dimensions", op.name)))
}
