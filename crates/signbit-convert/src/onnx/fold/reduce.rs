//! Sums, means and extremes of constants over axes.

use super::Context;
use crate::ConvertError;
use crate::onnx::constant::{Constant, Data, elements, strides};

/// What is made of the elements of an axis.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Mean,
    Sum,
    SumOfAbs,
    Product,
    Max,
    Min,
}

pub(super) fn kind(operator: &str) -> Option<Kind> {
    Some(match operator {
        "ReduceMean" => Kind::Mean,
        "ReduceSum" => Kind::Sum,
        "ReduceL1" => Kind::SumOfAbs,
        "ReduceProd" => Kind::Product,
        "ReduceMax" => Kind::Max,
        "ReduceMin" => Kind::Min,
        _ => return None,
    })
}

/// The reduced constant; `None` where there is nothing to reduce.
pub(super) fn reduce(cx: &mut Context<'_, '_>, kind: Kind, x: &Constant) -> Result<Option<Constant>, ConvertError> {
    let rank = x.dims().len();
    let axes = match cx.list("axes", 1)? {
        Some(axes) if !axes.is_empty() => cx.node.axes(&axes, rank)?,
        _ if cx.node.flag("noop_with_empty_axes") => return Ok(Some(x.clone())),
        _ => (0..rank).collect(),
    };
    let keep = cx.node.int("keepdims").unwrap_or(1) != 0;
    let kept: Vec<usize> = (0..rank).map(|i| if axes.contains(&i) { 1 } else { x.dims()[i] }).collect();
    let Some(len) = elements(&kept).filter(|&len| len > 0) else {
        return Ok(None);
    };
    let count = x.len() / len;
    if count == 0 {
        return Ok(None);
    }
    let steps: Vec<usize> = strides(&kept).into_iter().zip(&kept).map(|(s, &d)| if d == 1 { 0 } else { s }).collect();
    let start = match kind {
        Kind::Product => 1.0,
        Kind::Max => f64::NEG_INFINITY,
        Kind::Min => f64::INFINITY,
        Kind::Mean | Kind::Sum | Kind::SumOfAbs => 0.0,
    };
    let mut sums = vec![start; len];
    let mut position = vec![0_usize; rank];
    for value in x.to_floats() {
        let at: usize = position.iter().zip(&steps).map(|(p, s)| p * s).sum();
        let Some(sum) = sums.get_mut(at) else {
            return Ok(None);
        };
        let value = f64::from(value);
        *sum = match kind {
            Kind::Mean | Kind::Sum => *sum + value,
            Kind::SumOfAbs => *sum + value.abs(),
            Kind::Product => *sum * value,
            Kind::Max => sum.max(value),
            Kind::Min => sum.min(value),
        };
        super::moving::advance(&mut position, x.dims());
    }
    if matches!(kind, Kind::Mean) {
        sums.iter_mut().for_each(|sum| *sum /= count as f64);
    }
    let dims = if keep { kept } else { (0..rank).filter(|i| !axes.contains(i)).map(|i| x.dims()[i]).collect() };
    let data = match x.data() {
        Data::Int(_) if !matches!(kind, Kind::Mean) => Data::Int(sums.into_iter().map(|v| v as i64).collect()),
        _ => Data::Float(sums.into_iter().map(|v| v as f32).collect()),
    };
    Ok(Constant::new(dims, data))
}
