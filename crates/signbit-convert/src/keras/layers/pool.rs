//! Pooling.

use signbit_model::{Geometry, Op};

use super::conv::window;
use crate::ConvertError;
use crate::keras::build::{Builder, Flow, Step};

/// MaxPooling2D.
pub(super) fn max(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    pool(builder, step, |geometry| Op::MaxPool2d { geometry })
}

/// AveragePooling2D, whose padding does not count.
pub(super) fn average(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    pool(builder, step, |geometry| Op::AvgPool2d { geometry, count_include_pad: false })
}

fn pool(builder: &mut Builder, step: &Step<'_>, op: impl Fn(Geometry) -> Op) -> Result<Flow, ConvertError> {
    step.config.channels_last()?;
    let x = step.picture()?;
    let size = step.config.pair("pool_size")?.unwrap_or([2, 2]);
    let stride = step.config.pair("strides")?.unwrap_or(size);
    let geometry = window(step, x, size, stride, [1, 1])?;
    let id = builder.draft.node(&step.node, op(geometry), &[x.id])?;
    let shape = builder.draft.shape(id);
    Ok(Flow { id, dims: vec![shape.h, shape.w, shape.c] })
}

/// GlobalAveragePooling2D.
pub(super) fn global_average(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    global(builder, step, Op::GlobalAvgPool)
}

/// GlobalMaxPooling2D.
pub(super) fn global_max(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    global(builder, step, Op::GlobalMaxPool)
}

fn global(builder: &mut Builder, step: &Step<'_>, op: Op) -> Result<Flow, ConvertError> {
    step.config.channels_last()?;
    let x = step.picture()?;
    let id = builder.draft.node(&step.node, op, &[x.id])?;
    let c = builder.draft.shape(id).c;
    let dims = if step.config.bool_or("keepdims", false)? { vec![1, 1, c] } else { vec![c] };
    Ok(Flow { id, dims })
}
