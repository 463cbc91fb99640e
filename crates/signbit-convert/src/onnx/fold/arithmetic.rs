//! Elementwise operators on constants, with broadcasting.

use super::Context;
use crate::ConvertError;
use crate::onnx::constant::{Constant, Data, elements, strides};
use crate::onnx::quant;

/// An elementwise operator's value; `None` for another operator.
pub(super) fn evaluate(
    cx: &mut Context<'_, '_>,
    operator: &str,
    x: &Constant,
) -> Result<Option<Constant>, ConvertError> {
    if let Some(f) = unary(operator) {
        return Ok(Some(match (operator, x.data()) {
            ("Neg", Data::Int(v)) => integers(cx, x.dims(), v.iter().map(|v| v.saturating_neg()).collect())?,
            ("Abs", Data::Int(v)) => integers(cx, x.dims(), v.iter().map(|v| v.saturating_abs()).collect())?,
            ("Not", Data::Int(v)) => integers(cx, x.dims(), v.iter().map(|&v| i64::from(v == 0)).collect())?,
            _ => x.map(f),
        }));
    }
    match operator {
        "Clip" => {
            let bound = |attribute, operand| match (cx.node.float(attribute), cx.operand(operand)) {
                (Some(bound), _) => Some(bound),
                (None, Some(bound)) => bound.single(),
                (None, None) => None,
            };
            let (min, max) = (bound("min", 1).unwrap_or(f32::MIN), bound("max", 2).unwrap_or(f32::MAX));
            Ok(Some(x.map(|v| {
                if v < min {
                    min
                } else if v > max {
                    max
                } else {
                    v
                }
            })))
        }
        "Where" => choose(cx, x).map(Some),
        "BipolarQuant" | "Quant" | "IntQuant" => {
            let scale = cx.operand(1).ok_or_else(|| cx.wrong())?.clone();
            let scale = broadcast(cx, &scale, x.dims())?;
            let values = x.to_floats();
            let quantized = if operator == "BipolarQuant" {
                values.iter().zip(scale.to_floats()).map(|(&v, s)| if v >= 0.0 { s } else { -s }).collect()
            } else {
                let grid = quant::Grid::of(cx.node, |i| cx.operand(i).and_then(|c| c.single()))?;
                values.iter().zip(scale.to_floats()).map(|(&v, s)| grid.quantize(v, s)).collect()
            };
            Ok(Some(Constant::new(x.dims().to_vec(), Data::Float(quantized)).ok_or_else(|| cx.wrong())?))
        }
        _ => binary(cx, operator, x),
    }
}

fn unary(operator: &str) -> Option<fn(f32) -> f32> {
    Some(match operator {
        // +1, -1 or 0: what a 0 means is its user's to decide.
        "Sign" => |v| {
            if v > 0.0 {
                1.0
            } else if v < 0.0 {
                -1.0
            } else {
                0.0
            }
        },
        "Abs" => f32::abs,
        "Neg" => |v| -v,
        "Sqrt" => f32::sqrt,
        "Reciprocal" => |v| 1.0 / v,
        "Exp" => f32::exp,
        "Log" => f32::ln,
        "Floor" => f32::floor,
        "Ceil" => f32::ceil,
        "Round" => f32::round_ties_even,
        "Relu" => |v| v.max(0.0),
        "Tanh" => f32::tanh,
        "Sigmoid" => |v| 1.0 / (1.0 + (-v).exp()),
        "Not" => |v| if v == 0.0 { 1.0 } else { 0.0 },
        _ => return None,
    })
}

fn binary(cx: &mut Context<'_, '_>, operator: &str, x: &Constant) -> Result<Option<Constant>, ConvertError> {
    let Some((floats, ints)) = operation(operator) else {
        return Ok(None);
    };
    let Some(y) = cx.operand(1).cloned().filter(|_| cx.operands.len() == 2) else {
        return Err(cx.wrong());
    };
    let dims = joined(x.dims(), y.dims()).ok_or_else(|| cx.wrong())?;
    let (x, y) = (broadcast(cx, x, &dims)?, broadcast(cx, &y, &dims)?);
    let data = match (x.data(), y.data()) {
        (Data::Int(a), Data::Int(b)) => {
            let all: Option<Vec<i64>> = a.iter().zip(b).map(|(&a, &b)| ints(a, b)).collect();
            Data::Int(all.ok_or_else(|| cx.node.unsupported("its integers overflow"))?)
        }
        _ => match floats {
            Floats::Number(f) => {
                Data::Float(x.to_floats().into_iter().zip(y.to_floats()).map(|(a, b)| f(a, b)).collect())
            }
            Floats::Bool(f) => {
                Data::Int(x.to_floats().into_iter().zip(y.to_floats()).map(|(a, b)| i64::from(f(a, b))).collect())
            }
        },
    };
    Constant::new(dims, data).map(Some).ok_or_else(|| cx.wrong())
}

/// An operator on floats, by what it makes.
enum Floats {
    Number(fn(f32, f32) -> f32),
    Bool(fn(f32, f32) -> bool),
}

type Ints = fn(i64, i64) -> Option<i64>;

fn operation(operator: &str) -> Option<(Floats, Ints)> {
    use Floats::{Bool, Number};
    Some(match operator {
        "Add" => (Number(|a, b| a + b), i64::checked_add as Ints),
        "Sub" => (Number(|a, b| a - b), i64::checked_sub),
        "Mul" => (Number(|a, b| a * b), i64::checked_mul),
        "Div" => (Number(|a, b| a / b), i64::checked_div),
        "Pow" => (Number(f32::powf), |a, b| a.checked_pow(u32::try_from(b).ok()?)),
        "Max" => (Number(f32::max), |a, b| Some(a.max(b))),
        "Min" => (Number(f32::min), |a, b| Some(a.min(b))),
        "Greater" => (Bool(|a, b| a > b), |a, b| Some(i64::from(a > b))),
        "GreaterOrEqual" => (Bool(|a, b| a >= b), |a, b| Some(i64::from(a >= b))),
        "Less" => (Bool(|a, b| a < b), |a, b| Some(i64::from(a < b))),
        "LessOrEqual" => (Bool(|a, b| a <= b), |a, b| Some(i64::from(a <= b))),
        "Equal" => (Bool(|a, b| a == b), |a, b| Some(i64::from(a == b))),
        "And" => (Bool(|a, b| a != 0.0 && b != 0.0), |a, b| Some(i64::from(a != 0 && b != 0))),
        "Or" => (Bool(|a, b| a != 0.0 || b != 0.0), |a, b| Some(i64::from(a != 0 || b != 0))),
        _ => return None,
    })
}

/// `Where` on constants.
fn choose(cx: &mut Context<'_, '_>, condition: &Constant) -> Result<Constant, ConvertError> {
    let (Some(a), Some(b)) = (cx.operand(1).cloned(), cx.operand(2).cloned()) else {
        return Err(cx.wrong());
    };
    let dims = joined(a.dims(), b.dims()).and_then(|dims| joined(&dims, condition.dims())).ok_or_else(|| cx.wrong())?;
    let (a, b) = (broadcast(cx, &a, &dims)?, broadcast(cx, &b, &dims)?);
    let condition = broadcast(cx, condition, &dims)?;
    let condition = condition.as_ints().ok_or_else(|| cx.wrong())?;
    let data = match (a.data(), b.data()) {
        (Data::Int(a), Data::Int(b)) => {
            Data::Int(condition.iter().zip(a.iter().zip(b)).map(|(&c, (&a, &b))| if c != 0 { a } else { b }).collect())
        }
        _ => {
            let pairs = a.to_floats().into_iter().zip(b.to_floats());
            Data::Float(condition.iter().zip(pairs).map(|(&c, (a, b))| if c != 0 { a } else { b }).collect())
        }
    };
    Constant::new(dims, data).ok_or_else(|| cx.wrong())
}

fn integers(cx: &Context<'_, '_>, dims: &[usize], data: Vec<i64>) -> Result<Constant, ConvertError> {
    Constant::new(dims.to_vec(), Data::Int(data)).ok_or_else(|| cx.wrong())
}

/// The shape that two shapes are broadcast to.
pub(super) fn joined(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim = |dims: &[usize], i: usize| (i + dims.len()).checked_sub(rank).and_then(|i| dims.get(i)).copied();
    (0..rank)
        .map(|i| match (dim(a, i).unwrap_or(1), dim(b, i).unwrap_or(1)) {
            (1, d) | (d, 1) => Some(d),
            (d, e) => (d == e).then_some(d),
        })
        .collect()
}

/// A constant in the larger shape `dims`.
pub(super) fn broadcast(cx: &mut Context<'_, '_>, x: &Constant, dims: &[usize]) -> Result<Constant, ConvertError> {
    let skipped = dims.len().checked_sub(x.dims().len()).ok_or_else(|| cx.wrong())?;
    let mut steps = vec![0_isize; skipped];
    for ((&dim, stride), &wanted) in x.dims().iter().zip(strides(x.dims())).zip(dims.iter().skip(skipped)) {
        match dim {
            1 => steps.push(0),
            _ if dim == wanted => steps.push(isize::try_from(stride).unwrap_or(isize::MAX)),
            _ => return Err(cx.wrong()),
        }
    }
    let len = elements(dims).ok_or_else(|| cx.wrong())?;
    cx.charge(len)?;
    super::moving::strided(x.data(), dims, &steps, 0)
        .and_then(|data| Constant::new(dims.to_vec(), data))
        .ok_or_else(|| cx.wrong())
}
