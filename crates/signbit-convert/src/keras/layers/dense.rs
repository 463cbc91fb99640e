//! Dense layers, quantized or not.

use signbit_model::{Geometry, Op};

use super::{activation, conv};
use crate::ConvertError;
use crate::keras::build::{Builder, Flow, Step};
use crate::keras::quantizer;
use crate::keras::weights::Variable;

/// Dense, QuantDense: over the last axis, so on a picture it is a convolution of single pixels.
pub(super) fn dense(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let config = &step.config;
    let mut x = step.one()?.clone();
    if quantizer::input_sign(config)? {
        x = builder.sign(&format!("{}.input_quantizer", step.node), &x)?;
    }
    let units = config.usize("units")?;
    let quantizer = quantizer::kernel_quantizer(config, "kernel_quantizer")?;
    let shape = builder.draft.shape(x.id);
    let (vector, k) = (shape.is_vector(), shape.c);
    let kind = if vector { "kernel" } else { "kernel.1x1" };
    let weight = builder.tensor(step, kind, |builder| {
        let kernel = builder.weight(step, Variable { name: "kernel", number: 0 })?;
        if kernel.shape != [k, units] {
            let name = format!("{}/kernel", step.node);
            return Err(ConvertError::WeightShape { name, expected: format!("[{k}, {units}]"), found: kernel.shape });
        }
        let shape = if vector { vec![units, k] } else { vec![units, 1, 1, k] };
        Ok((shape, conv::transpose(&quantizer.apply(kernel).data, units)))
    })?;
    let bias = match config.bool_or("use_bias", true)? {
        true => {
            let variable = Variable { name: "bias", number: 1 };
            Some(builder.tensor(step, "bias", |builder| Ok((vec![units], builder.vector(step, variable, units)?)))?)
        }
        false => None,
    };
    let op = if vector {
        Op::Dense { weight, bias }
    } else {
        Op::Conv2d { weight, bias, geometry: Geometry::valid([1, 1], [1, 1], [1, 1]), groups: 1 }
    };
    let id = builder.draft.node(&step.node, op, &[x.id])?;
    let mut dims = x.dims;
    if let Some(last) = dims.last_mut() {
        *last = units;
    }
    activation::fused(builder, step, &Flow { id, dims })
}
