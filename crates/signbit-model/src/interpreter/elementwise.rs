//! Elementwise operators, and softmax.

use super::pool::greatest;
use super::{Value, ValueData};
use crate::error::NodeError;
use crate::{Shape, math};

pub(super) fn mul_add(x: &Value, mul: &[f32], add: &[f32]) -> ValueData {
    let x = x.to_f32();
    let channels = mul.iter().zip(add).cycle();
    ValueData::F32(x.iter().zip(channels).map(|(x, (mul, add))| x * mul + add).collect())
}

pub(super) fn add(a: &Value, b: &Value) -> Result<ValueData, NodeError> {
    Ok(ValueData::F32(a.f32()?.iter().zip(b.f32()?).map(|(a, b)| a + b).collect()))
}

pub(super) fn mul(x: &Value, k: &Value) -> Result<ValueData, NodeError> {
    let (Shape { h, w, c }, factors) = (x.ty.shape, k.f32()?);
    // The factor of element `i`. One per channel serves all pixels of its sample, one per pixel all its channels.
    let factor = |i: usize| match k.ty.shape {
        shape if shape == x.ty.shape => factors[i],
        shape if shape == Shape::vector(c) => factors[i / (h * w * c) * c + i % c],
        _ => factors[i / c],
    };
    Ok(ValueData::F32(x.to_f32().iter().enumerate().map(|(i, x)| x * factor(i)).collect()))
}

pub(super) fn mul_map(x: &Value, map: &[f32]) -> ValueData {
    let (c, x) = (x.ty.shape.c, x.to_f32());
    ValueData::F32(x.chunks_exact(c).zip(map.iter().cycle()).flat_map(|(x, k)| x.iter().map(move |x| x * k)).collect())
}

pub(super) fn relu(x: &Value) -> ValueData {
    ValueData::F32(x.to_f32().iter().map(|&x| if x > 0.0 { x } else { 0.0 }).collect())
}

pub(super) fn prelu(x: &Value, slope: &[f32]) -> ValueData {
    let x = x.to_f32();
    let data = x.iter().zip(slope.iter().cycle());
    ValueData::F32(data.map(|(&x, slope)| if x > 0.0 { x } else { slope * x }).collect())
}

pub(super) fn rprelu(x: &Value, shift_in: &[f32], slope: &[f32], shift_out: &[f32]) -> ValueData {
    let x = x.to_f32();
    let channels = shift_in.iter().zip(slope).zip(shift_out).cycle();
    let mut y = Vec::with_capacity(x.len());
    for (&x, ((&shift_in, &slope), &shift_out)) in x.iter().zip(channels) {
        let t = x - shift_in;
        let bent = if x > shift_in { t } else { slope * t };
        y.push(bent + shift_out);
    }
    ValueData::F32(y)
}

pub(super) fn clip(x: &Value, min: f32, max: f32) -> ValueData {
    let clip = |&x: &f32| {
        if x < min {
            min
        } else if x > max {
            max
        } else {
            x
        }
    };
    ValueData::F32(x.to_f32().iter().map(clip).collect())
}

pub(super) fn sigmoid(x: &Value) -> Result<ValueData, NodeError> {
    Ok(ValueData::F32(x.f32()?.iter().map(|&x| math::sigmoid(x)).collect()))
}

pub(super) fn softmax(x: &Value) -> Result<ValueData, NodeError> {
    let mut y = Vec::with_capacity(x.f32()?.len());
    for pixel in x.f32()?.chunks_exact(x.ty.shape.c) {
        let max = greatest(pixel.iter().copied()).unwrap_or(0.0);
        let exps: Vec<f32> = pixel.iter().map(|x| math::exp(x - max)).collect();
        let mut sum = 0.0;
        for e in &exps {
            sum += e;
        }
        y.extend(exps.iter().map(|e| e / sum));
    }
    Ok(ValueData::F32(y))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{f32s, real, run_op, run_ops, signs};
    use super::super::{ValueData, run};
    use crate::{Geometry, ModelBuilder, Op, Shape, Tensor};

    fn float_bits(data: ValueData) -> Vec<u32> {
        match data {
            ValueData::F32(y) => y.iter().map(|v| v.to_bits()).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn mul_add_of_reals_and_integers() {
        let op = || Op::MulAdd { mul: "m".into(), add: "a".into() };
        let tensors = || vec![f32s("m", &[2], &[2.0, -1.0]), f32s("a", &[2], &[0.5, 10.0])];
        let y = run_op(Shape::new(2, 1, 2), &[1.0, 2.0, 3.0, 4.0], op(), tensors());
        assert_eq!(y, real(&[2.5, 8.0, 6.5, 6.0]));
        let mut tensors = tensors();
        tensors.push(signs("w", &[2, 3], &[1, 1, 1, -1, -1, -1]));
        let ops = vec![Op::Sign, Op::BinaryDense { weight: "w".into() }, op()];
        assert_eq!(run_ops(Shape::vector(3), &[1.0; 3], ops, tensors), real(&[6.5, 13.0]));
    }

    #[test]
    fn mul_add_rounds_twice() {
        let a = 1.0 + 2.0_f32.powi(-12);
        let tensors = vec![f32s("m", &[1], &[a]), f32s("a", &[1], &[-1.0 - 2.0_f32.powi(-11)])];
        let op = Op::MulAdd { mul: "m".into(), add: "a".into() };
        assert_eq!(run_op(Shape::vector(1), &[a], op, tensors), real(&[0.0]));
    }

    #[test]
    fn add_and_mul_of_two_values() {
        let x = [1.0, -2.0, 3.0, 0.5];
        for (op, expected) in [(Op::Add, [2.0, -2.0, 6.0, 1.0]), (Op::Mul, [1.0, 0.0, 9.0, 0.25])] {
            let mut b = ModelBuilder::new(Shape::new(2, 1, 2));
            let relu = b.node("relu", Op::Relu, &[b.input()]);
            let y = b.node("y", op, &[b.input(), relu]);
            assert_eq!(run(&b.finish(y).unwrap(), 1, &x).unwrap().data, real(&expected));
        }
    }

    #[test]
    fn mul_broadcasts_one_channel() {
        let mut b = ModelBuilder::new(Shape::new(2, 1, 2));
        let geometry = Geometry::valid([1, 1], [1, 1], [1, 1]);
        let k = b.node("k", Op::ActivationScale { geometry }, &[b.input()]);
        let y = b.node("y", Op::Mul, &[b.input(), k]);
        let model = b.finish(y).unwrap();
        let y = run(&model, 1, &[1.0, 3.0, -2.0, 4.0]).unwrap();
        assert_eq!(y.data, real(&[2.0, 6.0, -6.0, 12.0]));
    }

    /// One factor per channel and sample: two samples of two pixels.
    #[test]
    fn mul_by_a_factor_per_channel() {
        let mut b = ModelBuilder::new(Shape::new(2, 1, 2));
        let k = b.node("k", Op::GlobalMaxPool, &[b.input()]);
        let y = b.node("y", Op::Mul, &[b.input(), k]);
        let model = b.finish(y).unwrap();
        let y = run(&model, 2, &[1.0, 5.0, 3.0, -1.0, 0.5, 2.0, -4.0, 1.0]).unwrap();
        assert_eq!(y.data, real(&[3.0, 25.0, 9.0, -5.0, 0.25, 4.0, -2.0, 2.0]));
    }

    #[test]
    fn mul_of_an_integer() {
        let mut b = ModelBuilder::new(Shape::vector(2));
        b.tensor("w", Tensor::bits_from_signs([2, 2], &[1, 1, -1, -1]).unwrap());
        let s = b.node("s", Op::Sign, &[b.input()]);
        let d = b.node("d", Op::BinaryDense { weight: "w".into() }, &[s]);
        let y = b.node("y", Op::Mul, &[d, b.input()]);
        let y = run(&b.finish(y).unwrap(), 1, &[0.5, 4.0]).unwrap();
        assert_eq!(y.data, real(&[1.0, -8.0]));
    }

    #[test]
    fn relu_makes_negative_zero_and_nan_positive_zero() {
        let y = run_op(Shape::vector(4), &[-0.0, f32::NAN, -1.0, 2.0], Op::Relu, vec![]);
        assert_eq!(float_bits(y), [0.0_f32, 0.0, 0.0, 2.0].map(f32::to_bits));
    }

    #[test]
    fn a_map_serves_all_channels_and_samples() {
        let op = Op::MulMap { map: "m".into() };
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let y = run_op(Shape::new(1, 2, 2), &x, op, vec![f32s("m", &[1, 2], &[2.0, -1.0])]);
        assert_eq!(y, ValueData::F32(vec![2.0, 4.0, -3.0, -4.0, 10.0, 12.0, -7.0, -8.0]));
    }

    #[test]
    fn prelu_slopes_per_channel() {
        let op = Op::PRelu { slope: "s".into() };
        let tensors = vec![f32s("s", &[2], &[0.5, -2.0])];
        let y = run_op(Shape::new(1, 3, 2), &[2.0, 2.0, -2.0, -2.0, 0.0, 0.0], op, tensors);
        assert_eq!(float_bits(y), [2.0_f32, 2.0, -1.0, 4.0, 0.0, -0.0].map(f32::to_bits));
    }

    #[test]
    fn rprelu_shifts_bends_and_shifts() {
        let op = Op::RPRelu { shift_in: "i".into(), slope: "s".into(), shift_out: "o".into() };
        let tensors = vec![f32s("i", &[1], &[1.0]), f32s("s", &[1], &[0.25]), f32s("o", &[1], &[10.0])];
        let y = run_op(Shape::new(1, 3, 1), &[3.0, 1.0, -3.0], op, tensors);
        assert_eq!(y, real(&[12.0, 10.0, 9.0]));
    }

    #[test]
    fn clip_keeps_nan() {
        let op = Op::Clip { min: -1.0, max: 6.0 };
        let y = run_op(Shape::vector(4), &[-2.0, 7.0, 0.5, f32::NAN], op, vec![]);
        assert_eq!(float_bits(y), [-1.0_f32, 6.0, 0.5, f32::NAN].map(f32::to_bits));
    }

    #[test]
    fn sigmoid_saturates_and_keeps_nan() {
        let x = [0.0, -0.0, 1.0, 20.0, f32::INFINITY, -87.0, -89.0, -1e30, f32::NEG_INFINITY, f32::NAN];
        let e = crate::math::exp;
        let y = [0.5, 0.5, 1.0 / (1.0 + e(-1.0)), 1.0, 1.0, 1.0 / (1.0 + e(87.0)), 0.0, 0.0, 0.0, f32::NAN];
        let found = run_op(Shape::vector(10), &x, Op::Sigmoid, vec![]);
        let ValueData::F32(found) = found else { panic!("{found:?}") };
        assert!(found[9].is_nan());
        assert_eq!(found[..9], y[..9]);
        assert!(found[5] > 0.0 && found[5] < 1e-37);
    }

    #[test]
    fn softmax_is_per_pixel_and_survives_large_numbers() {
        let y = run_op(Shape::new(2, 1, 2), &[1000.0, 1000.0, -200.0, 0.0], Op::Softmax, vec![]);
        assert_eq!(y, real(&[0.5, 0.5, 0.0, 1.0]));
        let e = std::f32::consts::E;
        let y = run_op(Shape::vector(2), &[0.0, -1.0], Op::Softmax, vec![]);
        let small = crate::math::exp(-1.0);
        assert_eq!(y, real(&[1.0 / (1.0 + small), small / (1.0 + small)]));
        assert!((small * e - 1.0).abs() < 1e-6);
    }
}
