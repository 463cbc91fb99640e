//! The quantizers of QONNX.

use super::constant::{Constant, Data};
use super::node::Node;
use super::reader::Reader;
use super::value::{Real, Value};
use crate::ConvertError;

/// The grid of `Quant` and `IntQuant` (`qonnx.custom_op.general`): an integer range and a way of rounding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    zero: f32,
    min: f32,
    max: f32,
    /// One bit with a sign: +1 and -1 only.
    bipolar: bool,
    round: fn(f32) -> f32,
}

impl Grid {
    /// The grid of a node; `operand` gives operand `i` where it is a single number.
    pub(super) fn of(node: &Node<'_>, operand: impl Fn(usize) -> Option<f32>) -> Result<Self, ConvertError> {
        let zero = operand(2).ok_or_else(|| node.unsupported("its zero point is not one constant number"))?;
        let bits = operand(3).filter(|bits| (1.0..=32.0).contains(bits));
        let bits = bits.ok_or_else(|| node.unsupported("its bit width is not one constant number from 1 to 32"))?;
        let (signed, narrow) = (node.int("signed").unwrap_or(1) != 0, node.int("narrow").unwrap_or(1) != 0);
        let less = if narrow { 1.0 } else { 0.0 };
        let (min, max) = if signed {
            let half = (bits - 1.0).exp2();
            (less - half, half - 1.0)
        } else {
            (0.0, bits.exp2() - 1.0 - less)
        };
        let round: fn(f32) -> f32 = match node.text("rounding_mode").unwrap_or("ROUND").to_ascii_uppercase().as_str() {
            "ROUND" | "HALF_EVEN" => f32::round_ties_even,
            "CEIL" => f32::ceil,
            "FLOOR" => f32::floor,
            "UP" => |v| v.abs().ceil().copysign(v),
            "DOWN" | "ROUND_TO_ZERO" => f32::trunc,
            "HALF_UP" => |v| (v.abs() + 0.5).floor().copysign(v),
            "HALF_DOWN" => |v| (v.abs() - 0.5).ceil().copysign(v),
            other => return Err(node.unsupported(format!("rounding mode {other}"))),
        };
        Ok(Self { zero, min, max, bipolar: signed && bits == 1.0, round })
    }

    /// The number of the grid that stands for `value`.
    pub(super) fn quantize(&self, value: f32, scale: f32) -> f32 {
        let steps = value / scale + self.zero;
        let step = if self.bipolar {
            if steps >= 0.0 { 1.0 } else { -1.0 }
        } else {
            (self.round)(if steps > self.max {
                self.max
            } else if steps < self.min {
                self.min
            } else {
                steps
            })
        };
        (step - self.zero) * scale
    }
}

/// `BipolarQuant`: the sign, times the scale.
pub(super) fn bipolar(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = reader.real(node, 0)?;
    let scale = reader.constant(node, 1)?;
    let sign = reader.sign(node, &x)?;
    reader.scaled(node, &sign, Some(&scale), None).map(Value::Real)
}

/// `Quant` and `IntQuant` of a value: the sign, where it has one bit.
pub(super) fn quant(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = reader.real(node, 0)?;
    let scale = reader.constant(node, 1)?;
    let scalars = [reader.optional_constant(node, 2)?, reader.optional_constant(node, 3)?];
    let grid = Grid::of(node, |i| scalars.get(i - 2)?.as_ref()?.single())?;
    if !grid.bipolar {
        let width = scalars[1].as_ref().and_then(|bits| bits.single()).unwrap_or(0.0);
        return Err(
            node.unsupported(format!("activations of {width} bits on a grid; one bit with a sign can be taken in"))
        );
    }
    if grid.zero != 0.0 || scale.to_floats().iter().any(|&s| s.is_nan() || s <= 0.0) {
        return Err(node.unsupported("one bit with a zero point or a scale that is not positive"));
    }
    let sign = reader.sign(node, &x)?;
    reader.scaled(node, &sign, Some(&scale), None).map(Value::Real)
}

/// `MultiThreshold` of one threshold per channel.
pub(super) fn multi_threshold(reader: &mut Reader<'_>, node: &Node<'_>) -> Result<Value, ConvertError> {
    let x = reader.real(node, 0)?;
    let thresholds = reader.constant(node, 1)?;
    let &[channels, 1] = thresholds.dims() else {
        return Err(
            node.unsupported(format!("thresholds of shape {:?}; one per channel can be taken in", thresholds.dims()))
        );
    };
    let layout = node.text("data_layout").filter(|layout| !layout.is_empty());
    let axis = match layout {
        Some(layout) => layout.find('C').unwrap_or(1),
        None if x.rank() == 3 => 2,
        None => 1,
    };
    let thresholds = along(&x, axis, channels, &thresholds).ok_or_else(|| node.unsupported("its channel axis"))?;
    let shifted = reader.scaled(node, &x, None, Some(&thresholds.map(|t| -t)))?;
    let sign = reader.sign(node, &shifted)?;
    let scale = node.float("out_scale").unwrap_or(1.0) / 2.0;
    let bias = node.float("out_bias").unwrap_or(0.0) + scale;
    reader.scaled(node, &sign, Some(&Constant::scalar(scale)), Some(&Constant::scalar(bias))).map(Value::Real)
}

/// A list of numbers, one per element of a value's axis, in broadcast form.
pub(super) fn along(x: &Real, axis: usize, len: usize, list: &Constant) -> Option<Constant> {
    let mut dims = vec![1; x.rank()];
    *dims.get_mut(axis)? = len;
    Constant::new(dims, Data::Float(list.to_floats()))
}
