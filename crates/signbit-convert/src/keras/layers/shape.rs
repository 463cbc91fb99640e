//! Layers that move numbers or add some around them.

use serde_json::Value;
use signbit_model::Op;

use crate::ConvertError;
use crate::keras::build::{Builder, Flow, Step, shape_of};
use crate::keras::config::Config;

/// ZeroPadding2D.
pub(super) fn zero_padding(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    step.config.channels_last()?;
    let x = step.picture()?.clone();
    let wrong = || step.unsupported("its padding is not of the form ((top, bottom), (left, right))");
    let number = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
    let both = |value: &Value| match value.as_array().map(Vec::as_slice) {
        Some([before, after]) => Some((number(before)?, number(after)?)),
        Some(_) => None,
        None => number(value).map(|n| (n, n)),
    };
    let (rows, columns) = match step.config.get("padding") {
        Some(Value::Array(list)) => match list.as_slice() {
            [rows, columns] => (both(rows).ok_or_else(wrong)?, both(columns).ok_or_else(wrong)?),
            _ => return Err(wrong()),
        },
        Some(one) => (both(one).ok_or_else(wrong)?, both(one).ok_or_else(wrong)?),
        None => ((1, 1), (1, 1)),
    };
    builder.pad(&step.node, &x, [rows.0, columns.0, rows.1, columns.1], 0.0)
}

/// Flatten.
pub(super) fn flatten(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    step.config.channels_last()?;
    let x = step.one()?.clone();
    to_vector(builder, step, &x)
}

/// Reshape, where the graph needs none or a vector will do.
pub(super) fn reshape(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let x = step.one()?.clone();
    // The input may have the shape already, see `input_shape`.
    let dims = target(&step.config, &x.dims)?;
    let (from, to) = (builder.draft.shape(x.id), shape_of(&dims));
    match to {
        Some(to) if to == from => Ok(Flow { id: x.id, dims }),
        Some(to) if to.is_vector() => Ok(Flow { id: to_vector(builder, step, &x)?.id, dims }),
        _ => Err(step.unsupported(format!("{:?} to {dims:?} is not a vector", x.dims))),
    }
}

fn to_vector(builder: &mut Builder, step: &Step<'_>, x: &Flow) -> Result<Flow, ConvertError> {
    let shape = builder.draft.shape(x.id);
    let id = if shape.is_vector() { x.id } else { builder.draft.node(&step.node, Op::Flatten, &[x.id])? };
    Ok(Flow { id, dims: vec![shape.elements()] })
}

/// The dimensions that a Reshape makes of `dims`; one of them may be left open as -1.
pub(in crate::keras) fn target(config: &Config<'_>, dims: &[usize]) -> Result<Vec<usize>, ConvertError> {
    let wrong = || config.unsupported("its target_shape does not fit");
    let list = config.get("target_shape").and_then(Value::as_array).ok_or_else(wrong)?;
    let product = |dims: &[usize]| dims.iter().try_fold(1_usize, |product, &d| product.checked_mul(d));
    let total = product(dims).ok_or_else(wrong)?;
    let fixed: Option<Vec<usize>> = list.iter().filter(|d| d.as_i64() != Some(-1)).map(whole).collect();
    let fixed = fixed.as_deref().and_then(product).filter(|&fixed| fixed > 0).ok_or_else(wrong)?;
    let open = total / fixed;
    let target: Option<Vec<usize>> =
        list.iter().map(|d| if d.as_i64() == Some(-1) { Some(open) } else { whole(d) }).collect();
    target.filter(|target| product(target) == Some(total)).ok_or_else(wrong)
}

fn whole(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|n| usize::try_from(n).ok())
}
