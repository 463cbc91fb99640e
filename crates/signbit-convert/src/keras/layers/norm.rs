//! Layers that are an affine function of each channel: batch norm, normalization, rescaling.

use crate::ConvertError;
use crate::keras::build::{Builder, Flow, Step};
use crate::keras::weights::Variable;

/// BatchNormalization: `gamma * (x - mean) / sqrt(variance + epsilon) + beta`.
pub(super) fn batch_norm(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let config = &step.config;
    let x = step.one()?.clone();
    last_axis(step, &x)?;
    let epsilon = f64::from(config.f32("epsilon")?.unwrap_or(1e-3));
    let (scale, center) = (config.bool_or("scale", true)?, config.bool_or("center", true)?);
    builder.mul_add(step, &step.node, &x, |builder, c| {
        let mut number = 0;
        let mut next = |name, there: bool| {
            there.then(|| {
                number += 1;
                Variable { name, number: number - 1 }
            })
        };
        let variables =
            [next("gamma", scale), next("beta", center), next("moving_mean", true), next("moving_variance", true)];
        let mut vector = |variable: Option<Variable>, default: f32| match variable {
            Some(variable) => builder.vector(step, variable, c),
            None => builder.fill(step, default, c),
        };
        let [gamma, beta, mean, variance] = variables;
        let (gamma, beta) = (vector(gamma, 1.0)?, vector(beta, 0.0)?);
        let (mean, variance) = (vector(mean, 0.0)?, vector(variance, 1.0)?);
        let mul = gamma.iter().zip(&variance).map(|(&g, &v)| f64::from(g) / (f64::from(v) + epsilon).sqrt());
        let mul: Vec<f64> = mul.collect();
        let add = beta.iter().zip(&mean).zip(&mul).map(|((&b, &m), k)| (f64::from(b) - f64::from(m) * k) as f32);
        Ok((mul.iter().map(|&k| k as f32).collect(), add.collect()))
    })
}

/// Normalization: `(x - mean) / max(sqrt(variance), epsilon)`.
pub(super) fn normalization(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let config = &step.config;
    let x = step.one()?.clone();
    last_axis(step, &x)?;
    if config.bool_or("invert", false)? {
        return Err(step.unsupported("it is inverted"));
    }
    builder.mul_add(step, &step.node, &x, |builder, c| {
        let mut vector = |key: &str, name, number| match config.f32s(key)? {
            Some(numbers) if numbers.len() == c => Ok(numbers),
            Some(numbers) => match numbers.as_slice() {
                [one] => builder.fill(step, *one, c),
                _ => Err(step.unsupported(format!("its {key} has {} numbers for {c} channels", numbers.len()))),
            },
            None => builder.vector(step, Variable { name, number }, c),
        };
        let mean = vector("mean", "mean", 0)?;
        let variance = vector("variance", "variance", 1)?;
        let mul: Vec<f32> = variance.iter().map(|v| 1.0 / v.sqrt().max(1e-7)).collect();
        let add = mean.iter().zip(&mul).map(|(m, k)| -m * k).collect();
        Ok((mul, add))
    })
}

/// Rescaling: `x * scale + offset`.
pub(super) fn rescaling(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let config = &step.config;
    let x = step.one()?.clone();
    builder.mul_add(step, &step.node, &x, |builder, c| {
        let mut vector = |key: &str, default: f32| match config.f32s(key)? {
            Some(numbers) if numbers.len() == c => Ok(numbers),
            Some(numbers) => match numbers.as_slice() {
                [one] => builder.fill(step, *one, c),
                _ => Err(step.unsupported(format!("its {key} has {} numbers for {c} channels", numbers.len()))),
            },
            None => builder.fill(step, default, c),
        };
        Ok((vector("scale", 1.0)?, vector("offset", 0.0)?))
    })
}

/// The statistics must be those of the channels.
fn last_axis(step: &Step<'_>, x: &Flow) -> Result<(), ConvertError> {
    let rank = x.dims.len() + 1;
    match step.config.axes("axis", rank)? {
        None => Ok(()),
        Some(axes) if axes == [rank - 1] => Ok(()),
        Some(axes) => Err(step.unsupported(format!("its axis is {axes:?}, not that of the channels"))),
    }
}
