//! A padding in front of a convolution or an average pool becomes the window's own.

use signbit_model::{Geometry, Model, Op, Padding, ValueId};

use super::rewrite::{Rewrite, rewrite};
use crate::ConvertError;

/// Folds [`Op::Pad`] into the window behind it: zeros into real convolutions and average pools, +1 and -1 into
/// binary convolutions that have no padding of their own. Changes no value.
///
/// # Errors
/// The model is not valid.
pub fn fold_pad(model: Model) -> Result<Model, ConvertError> {
    rewrite(model, |walk, i| {
        let Some((source, pads, value)) = walk.node(i).inputs.first().and_then(|&x| pad_of(walk, x)) else {
            return Ok(None);
        };
        let folded = match walk.node(i).op.clone() {
            Op::Conv2d { weight, bias, geometry, groups } if value == 0.0 => {
                grown(geometry, pads).map(|geometry| Op::Conv2d { weight, bias, geometry, groups })
            }
            Op::BinaryConv2d { weight, geometry, groups, .. } if geometry.pads == [0; 4] && value.abs() == 1.0 => {
                let padding = if value > 0.0 { Padding::One } else { Padding::MinusOne };
                grown(geometry, pads).map(|geometry| Op::BinaryConv2d { weight, geometry, groups, padding })
            }
            Op::AvgPool2d { geometry, count_include_pad } if value == 0.0 => {
                let fits = count_include_pad || geometry.pads == [0; 4];
                let shape = walk.value_type(source).shape;
                let whole = |g: &Geometry| g.pool_output_size(shape.h, shape.w).is_ok();
                let geometry = grown(geometry, pads).filter(|g| fits && whole(g));
                geometry.map(|geometry| Op::AvgPool2d { geometry, count_include_pad: true })
            }
            _ => None,
        };
        let name = walk.node(i).name.clone();
        Ok(folded.map(|op| walk.add(&name, op, &[walk.at(source)])))
    })
}

/// What a padding pads, by how much and with what, if `value` is made by one.
fn pad_of(walk: &Rewrite, value: ValueId) -> Option<(ValueId, [usize; 4], f32)> {
    let (_, node) = walk.producer(value)?;
    match node.op {
        Op::Pad { pads, value } => Some((node.inputs[0], pads, value)),
        _ => None,
    }
}

fn grown(geometry: Geometry, pads: [usize; 4]) -> Option<Geometry> {
    let mut sum = geometry.pads;
    for (own, more) in sum.iter_mut().zip(pads) {
        *own = own.checked_add(more).filter(|&pad| pad <= signbit_model::limits::MAX_GEOMETRY)?;
    }
    Some(Geometry { pads: sum, ..geometry })
}
