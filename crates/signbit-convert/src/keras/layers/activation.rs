//! Activations: as layers, and inside of other layers.

use serde_json::Value;
use signbit_model::Op;

use crate::ConvertError;
use crate::keras::build::{Builder, Flow, Step};
use crate::keras::config::Config;
use crate::keras::quantizer::{is_sign, name_of, plain};
use crate::keras::weights::Variable;

/// Activation: a layer of only that.
pub(super) fn layer(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let x = step.one()?.clone();
    apply(builder, step, &step.node, &x, step.config.get("activation"))
}

/// The activation of a layer that computes something else before it.
pub(super) fn fused(builder: &mut Builder, step: &Step<'_>, x: &Flow) -> Result<Flow, ConvertError> {
    apply(builder, step, &format!("{}.activation", step.node), x, step.config.get("activation"))
}

fn apply(
    builder: &mut Builder,
    step: &Step<'_>,
    node: &str,
    x: &Flow,
    activation: Option<&Value>,
) -> Result<Flow, ConvertError> {
    let Some(value) = activation else {
        return Ok(x.clone());
    };
    let name = name_of(activation).ok_or_else(|| step.unsupported("its activation has no name"))?;
    let class = plain(name);
    // An activation may be a layer with options of its own.
    if let (Some(config), "relu" | "leakyrelu") = (Config::of(value).filter(|c| c.class != "function"), class.as_str())
    {
        let linear = if class == "relu" { relu_options(&config)? } else { Rectifier::leaky(leak(&config)?) };
        return rectify(builder, step, node, x, &linear);
    }
    named(builder, step, node, x, name)
}

/// An activation by its name.
pub(super) fn named(
    builder: &mut Builder,
    step: &Step<'_>,
    node: &str,
    x: &Flow,
    name: &str,
) -> Result<Flow, ConvertError> {
    let op = match plain(name).as_str() {
        "linear" | "noop" => return Ok(x.clone()),
        "relu" => Op::Relu,
        "relu6" => Op::Clip { min: 0.0, max: 6.0 },
        "hardtanh" => Op::Clip { min: -1.0, max: 1.0 },
        // larq-zoo's, of DoReFa-Net.
        "clipbyvalueactivation" => Op::Clip { min: 0.0, max: 1.0 },
        "leakyrelu" => return rectify(builder, step, node, x, &Rectifier::leaky(0.2)),
        "softmax" => Op::Softmax,
        "sigmoid" => Op::Sigmoid,
        sign if is_sign(sign) => return builder.sign(node, x),
        _ => return Err(step.unsupported(format!("the activation {name} is not known here"))),
    };
    builder.unary(node, op, x)
}

/// Linear pieces: `x < 0 ? slope * x : min(x, max)`.
struct Rectifier {
    slope: f32,
    max: Option<f32>,
}

impl Rectifier {
    fn leaky(slope: f32) -> Self {
        Self { slope, max: None }
    }
}

fn relu_options(config: &Config<'_>) -> Result<Rectifier, ConvertError> {
    if config.f32("threshold")?.unwrap_or(0.0) != 0.0 {
        return Err(config.unsupported("its threshold is not 0"));
    }
    Ok(Rectifier { slope: config.f32("negative_slope")?.unwrap_or(0.0), max: config.f32("max_value")? })
}

fn leak(config: &Config<'_>) -> Result<f32, ConvertError> {
    Ok(config.f32("alpha")?.or(config.f32("negative_slope")?).unwrap_or(0.3))
}

fn rectify(
    builder: &mut Builder,
    step: &Step<'_>,
    node: &str,
    x: &Flow,
    rectifier: &Rectifier,
) -> Result<Flow, ConvertError> {
    let &Rectifier { slope, max } = rectifier;
    match max {
        Some(max) if max < 0.0 => return Err(step.unsupported("its max_value is below 0")),
        Some(max) if slope == 0.0 => return builder.unary(node, Op::Clip { min: 0.0, max }, x),
        None if slope == 0.0 => return builder.unary(node, Op::Relu, x),
        _ => {}
    }
    let c = builder.draft.shape(x.id).c;
    let kind = format!("slope.{c}");
    let slope = builder.tensor(step, &kind, |builder| Ok((vec![c], builder.fill(step, slope, c)?)))?;
    let x = builder.unary(node, Op::PRelu { slope }, x)?;
    match max {
        Some(max) => builder.unary(&format!("{node}.clip"), Op::Clip { min: f32::MIN, max }, &x),
        None => Ok(x),
    }
}

/// ReLU.
pub(super) fn relu(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let x = step.one()?.clone();
    rectify(builder, step, &step.node, &x, &relu_options(&step.config)?)
}

/// LeakyReLU.
pub(super) fn leaky_relu(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let x = step.one()?.clone();
    rectify(builder, step, &step.node, &x, &Rectifier::leaky(leak(&step.config)?))
}

/// Softmax.
pub(super) fn softmax(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let x = step.one()?.clone();
    let rank = x.dims.len() + 1;
    match step.config.axes("axis", rank)? {
        Some(axes) if axes != [rank - 1] => Err(step.unsupported(format!("its axis is {axes:?}, not the last"))),
        _ => builder.unary(&step.node, Op::Softmax, &x),
    }
}

/// PReLU, whose slopes must be the same at all pixels.
pub(super) fn prelu(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let x = step.one()?.clone();
    let c = builder.draft.shape(x.id).c;
    let slope = builder.tensor(step, "alpha", |builder| {
        let alpha = builder.weight(step, Variable { name: "alpha", number: 0 })?;
        let channels = alpha.shape.last().copied().unwrap_or(0);
        let (Some(first), true) = (alpha.data.get(..channels), channels == c || channels == 1) else {
            let name = format!("{}/alpha", step.node);
            return Err(ConvertError::WeightShape { name, expected: format!("[..., {c}]"), found: alpha.shape });
        };
        if alpha.data.chunks_exact(channels.max(1)).any(|pixel| pixel != first) {
            return Err(step.unsupported("its slopes differ from pixel to pixel; build it with shared_axes=[1, 2]"));
        }
        let slope = if channels == c { first.to_vec() } else { builder.fill(step, first[0], c)? };
        Ok((vec![c], slope))
    })?;
    builder.unary(&step.node, Op::PRelu { slope }, &x)
}
