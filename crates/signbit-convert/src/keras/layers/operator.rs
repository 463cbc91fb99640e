//! TensorFlow operators between layers: `x + y`, `tf.nn.relu(x)` and the like.

use signbit_model::Op;

use super::{activation, merge};
use crate::ConvertError;
use crate::keras::build::{Builder, Flow, Input, Step};

/// TFOpLambda.
pub(super) fn operator(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let function = step.config.str_or("function", "")?;
    match function {
        "__operators__.add" | "math.add" | "add" => {
            binary(builder, step, merge::add_two, |number| Affine { mul: 1.0, add: number }, None)
        }
        "math.subtract" | "__operators__.subtract" | "subtract" => {
            let less = |number: f32| Affine { mul: 1.0, add: -number };
            binary(builder, step, merge::subtract_two, less, Some(|number| Affine { mul: -1.0, add: number }))
        }
        "math.multiply" | "__operators__.multiply" | "multiply" => {
            binary(builder, step, merge::multiply_two, |number| Affine { mul: number, add: 0.0 }, None)
        }
        "math.truediv" | "math.divide" | "__operators__.truediv" => {
            let refuse = |_: &mut Builder, step: &Step<'_>, _: &Flow, _: &Flow| {
                Err(step.unsupported("it divides by a value of the network"))
            };
            binary(builder, step, refuse, |number| Affine { mul: 1.0 / number, add: 0.0 }, None)
        }
        "concat" => {
            let flow = |input: &Input| match input {
                Input::Flow(flow) => Ok(flow.clone()),
                Input::Constant(_) => Err(step.unsupported("it has a number for an operand")),
            };
            let flows = step.inputs.iter().map(flow).collect::<Result<Vec<_>, _>>()?;
            let rank = flows.first().map_or(0, |flow| flow.dims.len() + 1);
            let axis = step.options.and_then(|options| options.get("axis")).and_then(serde_json::Value::as_i64);
            if axis != Some(-1) && axis != i64::try_from(rank).ok().map(|rank| rank - 1) {
                return Err(step.unsupported(format!("its axis is {axis:?}, not that of the channels")));
            }
            merge::concatenate_all(builder, step, &flows)
        }
        "nn.relu" | "nn.relu6" | "math.sigmoid" | "sigmoid" | "nn.sigmoid" | "nn.softmax" | "identity" => {
            let x = step.one()?.clone();
            let name = match function.rsplit('.').next() {
                Some("identity") | None => "linear",
                Some(name) => name,
            };
            if step.options.is_some_and(|options| {
                options.get("axis").is_some_and(|axis| axis.as_i64() != Some(-1) && !axis.is_null())
            }) {
                return Err(step.unsupported("its axis is not the last"));
            }
            activation::named(builder, step, &step.node, &x, name)
        }
        "clip_by_value" => {
            let x = step.one()?.clone();
            let bound = |key: &str| match named(step, key) {
                Some(Input::Constant(number)) => Ok(*number),
                _ => Err(step.unsupported(format!("its {key} is not a number"))),
            };
            let (min, max) = (bound("clip_value_min")?, bound("clip_value_max")?);
            builder.unary(&step.node, Op::Clip { min, max }, &x)
        }
        other => Err(step.unsupported(format!("the operator tf.{other} is not known here"))),
    }
}

/// What a number makes of the other operand.
struct Affine {
    mul: f32,
    add: f32,
}

fn named<'a>(step: &'a Step<'_>, key: &str) -> Option<&'a Input> {
    step.named.iter().find(|(name, _)| *name == key).map(|(_, input)| input)
}

/// An operator of two operands; the second one stands behind the first or has the name `y`.
fn binary(
    builder: &mut Builder,
    step: &Step<'_>,
    values: impl Fn(&mut Builder, &Step<'_>, &Flow, &Flow) -> Result<Flow, ConvertError>,
    number_behind: impl Fn(f32) -> Affine,
    number_before: Option<fn(f32) -> Affine>,
) -> Result<Flow, ConvertError> {
    let count = || step.unsupported("it does not have two operands");
    let x = step.inputs.first().ok_or_else(count)?;
    let y = step.inputs.get(1).or_else(|| named(step, "y")).ok_or_else(count)?;
    let (flow, affine) = match (x, y) {
        (Input::Flow(x), Input::Flow(y)) => return values(builder, step, x, y),
        (Input::Flow(x), &Input::Constant(number)) => (x, number_behind(number)),
        (&Input::Constant(number), Input::Flow(y)) => match number_before {
            Some(before) => (y, before(number)),
            None if matches!(
                step.config.str_or("function", "")?,
                "math.truediv" | "math.divide" | "__operators__.truediv"
            ) =>
            {
                return Err(step.unsupported("it divides by a value of the network"));
            }
            None => (y, number_behind(number)),
        },
        _ => return Err(count()),
    };
    let Affine { mul, add } = affine;
    builder.mul_add(step, &step.node, flow, |builder, c| Ok((builder.fill(step, mul, c)?, builder.fill(step, add, c)?)))
}
