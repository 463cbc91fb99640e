//! Layer by layer, from an architecture and a state dict to a draft.

use std::collections::BTreeMap;

use signbit_model::{Op, ValueId};

use super::file::INPUT;
use super::order::Order;
use super::{Architecture, Kind, Layer, layers};
use crate::torch::StateDict;
use crate::{ConvertError, Draft, Imported, Warning};

/// Numbers that single ones, spread over all channels, may become in all.
const MAX_SPREAD: usize = 1 << 22;

/// A value of the draft.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) id: ValueId,
    /// Where its elements stand in the source.
    pub(super) order: Order,
}

/// A network being built.
pub(super) struct Builder<'a> {
    pub(super) draft: Draft,
    pub(super) weights: &'a StateDict<'a>,
    /// Numbers that may still be spread.
    pub(super) spread: usize,
}

/// Builds a network of PyTorch's layouts.
pub(crate) fn build(architecture: &Architecture, weights: &StateDict<'_>) -> Result<Imported, ConvertError> {
    let mut builder = Builder { draft: Draft::new(architecture.input), weights, spread: MAX_SPREAD };
    let input = Value { id: builder.draft.input(), order: Order::plain(architecture.input.c) };
    let mut last = input.clone();
    let mut values = BTreeMap::from([(INPUT, input)]);
    let signs = |layer: &&Layer| matches!(layer.kind, Kind::Sign | Kind::RSign { .. });
    if let Some(layer) = architecture.layers.iter().find(signs)
        && !architecture.sign_of_zero_is_one
    {
        builder.draft.warn(Warning::SignOfZero { node: layer.id.clone() });
    }
    for layer in &architecture.layers {
        let named = |id: &String| {
            let unknown = || ConvertError::Architecture(format!("{}: no layer before has the id {id:?}", layer.id));
            values.get(id.as_str()).cloned().ok_or_else(unknown)
        };
        let inputs = match layer.from.is_empty() {
            true => vec![last],
            false => layer.from.iter().map(named).collect::<Result<_, _>>()?,
        };
        last = builder.layer(layer, &inputs)?;
        values.insert(&layer.id, last.clone());
    }
    if !last.order.is_plain() {
        let what = "the network ends in a flattened picture, whose elements would stand in another order than in \
                    PyTorch; give its dense layer, or leave out the flatten";
        return Err(ConvertError::Architecture(what.into()));
    }
    if let Some(warning) = weights.unused_warning() {
        builder.draft.warn(warning);
    }
    builder.draft.finish(last.id)
}

impl Builder<'_> {
    fn layer(&mut self, layer: &Layer, inputs: &[Value]) -> Result<Value, ConvertError> {
        let id = layer.id.as_str();
        let wrong = |what: &str| ConvertError::Architecture(format!("layer {id:?}: {what}"));
        let several = matches!(layer.kind, Kind::Add | Kind::Mul | Kind::Concat);
        let [first, rest @ ..] = inputs else { return Err(wrong("it reads nothing")) };
        if several && rest.is_empty() {
            return Err(wrong("it needs `from` with two or more ids"));
        }
        if !several && !rest.is_empty() {
            return Err(wrong(&format!("it reads one value, `from` names {}", inputs.len())));
        }
        self.draft.found(layer.kind.name());
        let kept = |id| Value { id, order: first.order.clone() };
        let op = match &layer.kind {
            Kind::Conv2d { .. } => return self.conv2d(id, &layer.kind, first),
            Kind::Dense { name, weights } => return self.dense(id, name, *weights, first),
            Kind::BatchNorm { name, eps } => {
                let (mul, add) = self.batch_norm(name, *eps, first)?;
                return self.draft.mul_add(id, first.id, mul, add).map(kept);
            }
            Kind::Scale { name } => {
                let mul = self.per_channel(&layers::names(name, "weight"), first)?;
                let add = vec![0.0; mul.len()];
                return self.draft.mul_add(id, first.id, mul, add).map(kept);
            }
            Kind::Bias { name } => {
                let add = self.per_channel(&layers::names(name, "bias"), first)?;
                let mul = vec![1.0; add.len()];
                return self.draft.mul_add(id, first.id, mul, add).map(kept);
            }
            Kind::Sign => return self.draft.sign(id, first.id).map(kept),
            Kind::RSign { name } => {
                let shift = self.negated(&layers::names(name, "bias"), first)?;
                let shift = self.draft.f32(&format!("{id}.shift"), [shift.len()], shift)?;
                let bits = self.draft.node(id, Op::RSign { shift }, &[first.id])?;
                return self.draft.node(&format!("{id}.unpack"), Op::Unpack, &[bits]).map(kept);
            }
            Kind::PRelu { name } => {
                let slope = self.per_channel(&layers::names(name, "weight"), first)?;
                Op::PRelu { slope: self.draft.f32(&format!("{id}.slope"), [slope.len()], slope)? }
            }
            Kind::RPRelu { bias_in, slope, bias_out } => {
                let shift_in = self.negated(std::slice::from_ref(bias_in), first)?;
                let slope = self.per_channel(std::slice::from_ref(slope), first)?;
                let shift_out = self.per_channel(std::slice::from_ref(bias_out), first)?;
                let c = slope.len();
                let shift_in = self.draft.f32(&format!("{id}.shift_in"), [c], shift_in)?;
                let slope = self.draft.f32(&format!("{id}.slope"), [c], slope)?;
                Op::RPRelu { shift_in, slope, shift_out: self.draft.f32(&format!("{id}.shift_out"), [c], shift_out)? }
            }
            Kind::Flatten => {
                let order = self.flattened(first);
                return Ok(Value { id: self.draft.node(id, Op::Flatten, &[first.id])?, order });
            }
            Kind::Concat => {
                let ids: Vec<_> = inputs.iter().map(|value| value.id).collect();
                let order = Order::concat(inputs.iter().map(|value| &value.order));
                let order = order.ok_or_else(|| wrong("it joins too many flattened pictures"))?;
                return Ok(Value { id: self.draft.node(id, Op::Concat, &ids)?, order });
            }
            Kind::Add | Kind::Mul => return self.elementwise(id, &layer.kind, first, rest),
            Kind::Relu => Op::Relu,
            Kind::Clip { min, max } => Op::Clip { min: *min, max: *max },
            Kind::MaxPool2d { geometry } => Op::MaxPool2d { geometry: *geometry },
            Kind::AvgPool2d { geometry, count_include_pad } => {
                Op::AvgPool2d { geometry: *geometry, count_include_pad: *count_include_pad }
            }
            Kind::GlobalAvgPool => Op::GlobalAvgPool,
            Kind::Softmax => Op::Softmax,
            Kind::Sigmoid => Op::Sigmoid,
            Kind::Pad { padding, value } => Op::Pad { pads: *padding, value: *value },
        };
        self.draft.node(id, op, &[first.id]).map(kept)
    }

    /// The sum or product of all operands, from left to right.
    fn elementwise(&mut self, id: &str, kind: &Kind, first: &Value, rest: &[Value]) -> Result<Value, ConvertError> {
        let mut result = first.clone();
        for (i, value) in rest.iter().enumerate() {
            let same = value.order == first.order || value.order.is_plain() && first.order.is_plain();
            if !same {
                let what = format!("layer {id:?}: it joins a flattened picture and one that was not flattened");
                return Err(ConvertError::Architecture(what));
            }
            let op = if *kind == Kind::Add { Op::Add } else { Op::Mul };
            let name = if i + 1 == rest.len() { id.to_owned() } else { format!("{id}.{}", i + 1) };
            result.id = self.draft.node(&name, op, &[result.id, value.id])?;
        }
        Ok(result)
    }

    fn flattened(&self, x: &Value) -> Order {
        let shape = self.draft.shape(x.id);
        if shape.is_vector() { x.order.clone() } else { Order::flattened(shape) }
    }
}
