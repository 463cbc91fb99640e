//! Layers of several values.

use signbit_model::Op;

use crate::ConvertError;
use crate::keras::build::{Builder, Flow, Input, Step};

/// The operands, all values and at least `least`.
fn operands(step: &Step<'_>, least: usize) -> Result<Vec<Flow>, ConvertError> {
    let flow = |input: &Input| match input {
        Input::Flow(flow) => Ok(flow.clone()),
        Input::Constant(_) => Err(step.unsupported("it has a number for an operand")),
    };
    let flows = step.inputs.iter().map(flow).collect::<Result<Vec<Flow>, _>>()?;
    if flows.len() < least {
        return Err(step.unsupported(format!("it has {} operands", flows.len())));
    }
    Ok(flows)
}

/// Add.
pub(super) fn add(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    sum(builder, step, &operands(step, 1)?)
}

/// Average: the sum, divided by how many there are.
pub(super) fn average(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let flows = operands(step, 1)?;
    let total = sum(builder, step, &flows)?;
    let share = 1.0 / flows.len() as f32;
    let node = format!("{}.mean", step.node);
    builder.mul_add(step, &node, &total, |builder, c| Ok((builder.fill(step, share, c)?, builder.fill(step, 0.0, c)?)))
}

fn sum(builder: &mut Builder, step: &Step<'_>, flows: &[Flow]) -> Result<Flow, ConvertError> {
    let (first, rest) = flows.split_first().ok_or_else(|| step.unsupported("it has no operands"))?;
    let mut total = first.clone();
    for (i, flow) in rest.iter().enumerate() {
        total = add_named(builder, step, &partial(step, i, rest.len()), &total, flow)?;
    }
    Ok(total)
}

/// The node's name of the `i`-th of `n` results, the last of which is the layer's.
fn partial(step: &Step<'_>, i: usize, n: usize) -> String {
    if i + 1 == n { step.node.clone() } else { format!("{}.{i}", step.node) }
}

/// `a + b` of the same shape.
pub(super) fn add_two(builder: &mut Builder, step: &Step<'_>, a: &Flow, b: &Flow) -> Result<Flow, ConvertError> {
    add_named(builder, step, &step.node, a, b)
}

fn add_named(builder: &mut Builder, step: &Step<'_>, node: &str, a: &Flow, b: &Flow) -> Result<Flow, ConvertError> {
    if a.dims != b.dims {
        return Err(step.unsupported(format!("its operands are {:?} and {:?}", a.dims, b.dims)));
    }
    let id = builder.draft.node(node, Op::Add, &[a.id, b.id])?;
    Ok(Flow { id, dims: a.dims.clone() })
}

/// Subtract.
pub(super) fn subtract(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    match operands(step, 2)?.as_slice() {
        [a, b] => subtract_two(builder, step, a, b),
        other => Err(step.unsupported(format!("it has {} operands", other.len()))),
    }
}

/// `a - b` of the same shape.
pub(super) fn subtract_two(builder: &mut Builder, step: &Step<'_>, a: &Flow, b: &Flow) -> Result<Flow, ConvertError> {
    let node = format!("{}.negated", step.node);
    let negated = builder
        .mul_add(step, &node, b, |builder, c| Ok((builder.fill(step, -1.0, c)?, builder.fill(step, 0.0, c)?)))?;
    add_two(builder, step, a, &negated)
}

/// Multiply.
pub(super) fn multiply(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let flows = operands(step, 1)?;
    let (first, rest) = flows.split_first().ok_or_else(|| step.unsupported("it has no operands"))?;
    let mut product = first.clone();
    for (i, flow) in rest.iter().enumerate() {
        product = multiply_named(builder, step, &partial(step, i, rest.len()), &product, flow)?;
    }
    Ok(product)
}

/// `a * b`, one of which may be of one pixel or of one channel.
pub(super) fn multiply_two(builder: &mut Builder, step: &Step<'_>, a: &Flow, b: &Flow) -> Result<Flow, ConvertError> {
    multiply_named(builder, step, &step.node, a, b)
}

fn multiply_named(
    builder: &mut Builder,
    step: &Step<'_>,
    node: &str,
    a: &Flow,
    b: &Flow,
) -> Result<Flow, ConvertError> {
    let (sa, sb) = (builder.draft.shape(a.id), builder.draft.shape(b.id));
    // A vector beside a picture is a value per channel, as Keras has it too.
    let (large, small) = if sa.elements() >= sb.elements() { (a, b) } else { (b, a) };
    let (sl, ss) = (builder.draft.shape(large.id), builder.draft.shape(small.id));
    let fits = (ss == sl) || (ss.is_vector() && ss.c == sl.c) || ((ss.h, ss.w) == (sl.h, sl.w) && ss.c == 1);
    if !fits {
        return Err(step.unsupported(format!("its operands are {:?} and {:?}", a.dims, b.dims)));
    }
    let id = builder.draft.node(node, Op::Mul, &[large.id, small.id])?;
    Ok(Flow { id, dims: large.dims.clone() })
}

/// Concatenate, of channels.
pub(super) fn concatenate(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let flows = operands(step, 1)?;
    let rank = flows.first().map_or(0, |flow| flow.dims.len() + 1);
    if let Some(axes) = step.config.axes("axis", rank)?
        && axes != [rank - 1]
    {
        return Err(step.unsupported(format!("its axis is {axes:?}, not that of the channels")));
    }
    concatenate_all(builder, step, &flows)
}

/// The channels of all, one after the other.
pub(super) fn concatenate_all(builder: &mut Builder, step: &Step<'_>, flows: &[Flow]) -> Result<Flow, ConvertError> {
    let (first, rest) = flows.split_first().ok_or_else(|| step.unsupported("it has no operands"))?;
    if rest.is_empty() {
        return Ok(first.clone());
    }
    let pixels = |flow: &Flow| flow.dims.split_last().map(|(_, pixels)| pixels.to_vec());
    if rest.iter().any(|flow| pixels(flow) != pixels(first)) {
        let all: Vec<_> = flows.iter().take(8).map(|flow| &flow.dims).collect();
        return Err(step.unsupported(format!("its operands are {all:?}")));
    }
    let ids: Vec<_> = flows.iter().map(|flow| flow.id).collect();
    let id = builder.draft.node(&step.node, Op::Concat, &ids)?;
    let mut dims = first.dims.clone();
    if let Some(last) = dims.last_mut() {
        *last = builder.draft.shape(id).c;
    }
    Ok(Flow { id, dims })
}
